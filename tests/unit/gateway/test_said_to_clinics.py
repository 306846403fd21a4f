"""What the gateway says beside its yes or no: which fields it did not understand, what is away, and whom to call meanwhile."""

import asyncio
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from contracts.envelope import Record
from contracts.topics import Topic
from services.runtime.blobs import FolderBlobs
from tests.unit.gateway.clinic_door import ECG, Log, gateway

MISTYPED = {"patient_number": "A-77", "first_medical_contact_at": "2026-03-01T12:00:00Z", "110101199003071234": "blue"}


def _counted() -> float:
    return REGISTRY.get_sample_value("greenchannel_upload_fields_not_understood_total") or 0.0


@pytest.mark.parametrize("lane", ["emergency", "routine"])
async def test_a_mistyped_fact_refuses_nothing_and_is_named_counted_and_logged_without_its_value(tmp_path: Path, lane: str) -> None:
    before = _counted()
    with capture_logs() as logs:
        async with gateway(tmp_path / "blobs", Log()) as clinic:
            in_form = await clinic.post("/v1/ecgs", files={"files": ECG}, data=MISTYPED, params={"lane": lane, "age": "61"})
            again = await clinic.post("/v1/ecgs", files={"files": ECG}, data=MISTYPED, params={"lane": lane, "age": "61"})
            rightly = await clinic.post("/v1/ecgs", content=ECG, params={"lane": lane, "age": "61"})
    assert (in_form.status_code, in_form.json()["not_understood"]) == (202, ["patient_number", "first_medical_contact_at", "?"])
    assert in_form.json() == again.json()
    assert (rightly.json()["upload_id"], rightly.json()["not_understood"]) == (in_form.json()["upload_id"], [])  # a mistyped fact is none
    assert _counted() - before == 6
    told = [entry for entry in logs if entry["event"] == "fields not understood"]
    assert {entry["names"] for entry in told} == {("patient_number", "first_medical_contact_at", "?")}
    assert all(value not in text for value in ("A-77", "blue", "110101199003071234") for text in (str(logs), in_form.text))


class _Frozen(Log):
    """A Kafka that answers nothing."""

    async def publish(self, topic: Topic, records: list[Record]) -> None:  # type: ignore[override]
        await asyncio.Event().wait()


def _told(answer: httpx.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.json()["detail"], answer.json()["standing_number"]


async def test_the_503_names_what_is_away_and_the_number_to_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    log.away = True

    async with (
        gateway(tmp_path / "blobs", _Frozen(), answered_within_s=0.2) as clinic,
        gateway(tmp_path / "blobs", log, answered_within_s=0.2) as other,
    ):
        of_kafka = [await clinic.post("/v1/ecgs", content=ECG) for _ in range(2)]  # the second finds the first under way
        of_kafka.append(await other.post("/v1/ecgs", content=ECG))

        async def frozen(*_: object) -> bytes:
            await asyncio.Event().wait()
            return b""

        monkeypatch.setattr(FolderBlobs, "note", frozen)
        of_blobs = [
            await clinic.post("/v1/ecgs", content=ECG + b" "),
            await other.post("/v1/ecgs", content=ECG),
        ]  # the other's bytes were stored before
    for answer, what in (*((each, "kafka") for each in of_kafka), *((each, "blobs") for each in of_blobs)):
        status, detail, number = _told(answer)
        assert (status, number, answer.headers["retry-after"]) == (503, "555-0100", "2")
        assert detail.startswith(f"{what} cannot be reached. Send the same again")
        assert "call the centre meanwhile: 555-0100" in detail
