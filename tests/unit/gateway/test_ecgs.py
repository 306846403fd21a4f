"""`POST /v1/ecgs`: 202 only for what is stored, noted and published; a problem for all else, and nothing stored."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from contracts.envelope import open_envelope
from contracts.ids import patient_key
from contracts.topics import INTAKE_EMERGENCY, INTAKE_ROUTINE
from contracts.vocabulary import Lane
from services.gateway.app import WRITES
from services.gateway.facts import ALLOWED
from services.gateway.room import MIB, Room
from services.runtime.archive import MAX_TOTAL_BYTES, SEVERAL_FILES, UploadedFile, pack, unpack
from services.runtime.blobs import MARK, FolderBlobs
from services.runtime.producer import Producer
from tests.unit.gateway.clinic_door import ECG, OTHER_TOKEN, PERSON_TOKEN, SECRET, TOKEN, Log, app_of, gateway, stored

RAW = {"content-type": "application/octet-stream"}


def as_problem(answer: httpx.Response, status: int) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, object] = answer.json()
    assert told["status"] == status
    assert told["title"]
    assert told["detail"]
    return told


@pytest.fixture
def blobs_folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


async def test_a_202_means_that_the_bytes_the_note_and_the_event_are_there(blobs_folder: Path) -> None:
    log = Log()
    async with gateway(blobs_folder, log) as clinic:
        answer = await clinic.post("/v1/ecgs", content=ECG, params={"age": "63", "sex": "M", "sent_at": "2026-03-01T12:00:00Z"})
    assert answer.status_code == 202
    told = answer.json()
    assert set(told) == {"upload_id", "lane", "standing_number", "unknown_facts", "not_understood", "received_at"}
    assert (told["lane"], told["standing_number"], told["unknown_facts"], told["not_understood"]) == ("emergency", "555-0100", [], [])
    (event,) = log.events()
    assert (str(event.upload_id), event.clinic_id, event.age_y, event.sex, event.lane) == (told["upload_id"], "township", 63, "M", Lane.EMERGENCY)
    assert event.sent_at is not None
    assert event.clock_skew_s == (event.at - event.sent_at).total_seconds()
    assert await FolderBlobs(blobs_folder).get(event.recording) == ECG
    assert stored(blobs_folder) == sorted([event.recording.dataref, f"uploads/{told['upload_id'][:2]}/{told['upload_id']}"])
    ((topic, record),) = log.records
    envelope = open_envelope(record.headers)
    assert topic is INTAKE_EMERGENCY
    assert (record.key, envelope.subject, str(envelope.correlationid), envelope.priority) == (
        event.patient_key,
        told["upload_id"],
        told["upload_id"],
        None,
    )


async def test_files_of_a_form_are_one_recording_and_keep_their_names(blobs_folder: Path) -> None:
    log = Log()
    parts = [
        ("files", ("ecg\\7.hea", b"7 1 500\n7.dat 16\n")),
        ("files", ("C:/ecg/7.dat", b"\x01\x00" * 2_000_000)),
    ]  # more than a form keeps in memory by itself
    async with gateway(blobs_folder, log) as clinic:
        answer = await clinic.post("/v1/ecgs", files=parts, data={"age": "50", "complaint": "胸痛"})
    assert answer.status_code == 202
    (event,) = log.events()
    assert (event.age_y, event.complaint, event.recording.media_type) == (50, "chest_pain", SEVERAL_FILES)
    files = unpack(await FolderBlobs(blobs_folder).get(event.recording), SEVERAL_FILES)
    assert [(file.name, len(file.content)) for file in files] == [("7.dat", 4_000_000), ("7.hea", 17)]


async def test_the_same_sent_twenty_times_at_once_is_one_event_and_one_answer(blobs_folder: Path) -> None:
    log = Log()
    log.open.clear()
    async with gateway(blobs_folder, log) as clinic:
        sending = [asyncio.create_task(clinic.post("/v1/ecgs", content=ECG)) for _ in range(20)]
        asyncio.get_running_loop().call_later(0.2, log.open.set)
        answers = await asyncio.gather(*sending)
        again = await clinic.post("/v1/ecgs", content=ECG, params={"sent_at": "2026-03-01T12:00:00Z"})
    assert {answer.status_code for answer in (*answers, again)} == {202}
    assert len({answer.text for answer in (*answers, again)}) == 1
    assert len(log.records) == 1


async def test_a_repeat_after_a_restart_is_the_same_event_to_the_byte(blobs_folder: Path) -> None:
    log = Log()
    answers = []
    for sent_at in ("2026-03-01T12:00:00Z", "2026-03-01T12:00:09Z"):
        async with gateway(blobs_folder, log) as clinic:
            answers.append(await clinic.post("/v1/ecgs", content=ECG, params={"sent_at": sent_at}))
    assert answers[0].json() == answers[1].json()
    assert log.records[0] == log.records[1]


async def test_other_facts_or_another_lane_make_another_upload_of_the_same_patient(blobs_folder: Path) -> None:
    log = Log()
    async with gateway(blobs_folder, log) as clinic:
        for params in ({}, {"age": "50"}, {"lane": "routine"}):
            assert (await clinic.post("/v1/ecgs", content=ECG, params=params)).status_code == 202
    assert len({event.upload_id for event in log.all_events()}) == 3
    assert len({event.patient_key for event in log.all_events()}) == 1
    assert [event.lane for event in log.events(INTAKE_ROUTINE)] == [Lane.ROUTINE]


async def test_an_emergency_is_taken_whatever_its_facts_and_says_which_are_unknown(blobs_folder: Path) -> None:
    log = Log()
    bad = {"age": "212", "sex": "?", "complaint": "Wang hurts", "sent_at": "now", "follows": "that one", "patient": "0"}
    async with gateway(blobs_folder, log) as clinic:
        answer = await clinic.post("/v1/ecgs", content=ECG, params=bad)
    assert answer.status_code == 202
    assert set(answer.json()["unknown_facts"]) == set(bad)
    (event,) = log.events()
    assert set(event.unknown_facts) == set(bad)


async def test_a_routine_upload_with_facts_that_cannot_be_true_is_refused_and_told_what_can(blobs_folder: Path) -> None:
    log = Log()
    async with gateway(blobs_folder, log) as clinic:
        bad = {"lane": "routine", "age": "212", "follows": "5f4a9f0e-8a70-5b51-9c1e-6d2f3b7c1a44", "complaint": "Wang hurts"}
        told = as_problem(await clinic.post("/v1/ecgs", content=ECG, params=bad), 422)
    assert told["unknown_facts"] == ["age", "complaint", "follows"]
    assert "0 to 125" in str(told["detail"])
    assert "Wang" not in json.dumps(told)
    assert "212" not in json.dumps(told)
    assert (log.records, stored(blobs_folder)) == ([], [])


async def chunks(size_bytes: int) -> AsyncIterator[bytes]:
    for _ in range(size_bytes // MIB):
        yield b"\0" * MIB
    yield b"\0" * (size_bytes % MIB)


@pytest.mark.parametrize(
    ("status", "request_of"),
    [
        pytest.param(401, {"content": ECG, "headers": {"authorization": "Bearer nobody"}}, id="unknown token"),
        pytest.param(401, {"content": ECG, "headers": {"authorization": TOKEN}}, id="no scheme"),
        pytest.param(401, {"content": ECG, "headers": {"authorization": ""}}, id="no token"),
        pytest.param(403, {"content": ECG, "headers": {"authorization": f"Bearer {PERSON_TOKEN}"}}, id="a person's token"),
        pytest.param(403, {"content": ECG, "params": {"clinic": "harbour"}}, id="another clinic"),
        pytest.param(403, {"files": {"files": ECG}, "data": {"clinic": "harbour"}}, id="another clinic in a form"),
        pytest.param(400, {"content": b""}, id="no bytes"),
        pytest.param(400, {"files": {"files": b""}}, id="an empty file"),
        pytest.param(400, {"data": {"age": "6"}, "files": {"x": ("", b"")}}, id="no file"),
        pytest.param(400, {"files": [("files", (f"{n}", b"x")) for n in range(33)]}, id="33 files"),
        pytest.param(400, {"files": [("files", (f"{n}", b"x")) for n in range(40)]}, id="40 files"),
        pytest.param(400, {"files": [("files", ("a", b"x")), ("files", ("a", b"y"))]}, id="one name twice"),
        pytest.param(400, {"content": b"nonsense", "headers": {"content-type": "multipart/form-data; boundary=x"}}, id="not a form"),
        pytest.param(400, {"content": b"nonsense", "headers": {"content-type": "multipart/form-data"}}, id="no boundary"),
        pytest.param(400, {"content": ECG, "headers": {"idempotency-key": "k" * 201}}, id="long key"),
        pytest.param(400, {"content": ECG, "headers": {"idempotency-key": "a b"}}, id="blank in key"),
        pytest.param(413, {"content": b"\0" * (MAX_TOTAL_BYTES + 1)}, id="too many bytes"),
        pytest.param(413, {"files": {"files": b"\0" * MAX_TOTAL_BYTES}}, id="too many bytes in a form"),
    ],
)
async def test_what_is_refused_is_a_problem_and_nothing_is_stored(blobs_folder: Path, status: int, request_of: dict[str, object]) -> None:
    log = Log()
    async with gateway(blobs_folder, log) as clinic:
        answer = await clinic.post("/v1/ecgs", **request_of)  # type: ignore[arg-type]
    as_problem(answer, status)
    assert (status == 401) == ("www-authenticate" in answer.headers)
    assert (log.records, stored(blobs_folder)) == ([], [])


async def test_a_body_of_unsaid_length_is_counted_while_it_comes(blobs_folder: Path) -> None:
    log = Log()
    async with gateway(blobs_folder, log) as clinic:
        as_problem(await clinic.post("/v1/ecgs", content=chunks(MAX_TOTAL_BYTES + 1)), 413)
        assert stored(blobs_folder) == []
        assert (await clinic.post("/v1/ecgs", content=chunks(MAX_TOTAL_BYTES))).status_code == 202


async def test_the_token_is_asked_before_a_byte_is_read(blobs_folder: Path) -> None:
    asked: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        asked.append(1)
        yield ECG

    async with gateway(blobs_folder, Log()) as clinic:
        as_problem(await clinic.post("/v1/ecgs", content=body(), headers={"authorization": "Bearer nobody"}), 401)
    assert asked == []


async def test_another_method_is_a_problem_that_says_which(blobs_folder: Path) -> None:
    async with gateway(blobs_folder, Log()) as clinic:
        answer = await clinic.get("/v1/ecgs")
    as_problem(answer, 405)
    assert answer.headers["allow"] == "POST"


async def test_a_number_becomes_the_same_key_for_its_clinic_and_is_nowhere_else(blobs_folder: Path) -> None:
    log, number, name = Log(), "ZY-20260301-77", "WANG_XIAOMING.xml"
    with capture_logs() as logs:
        async with gateway(blobs_folder, log) as clinic:
            for params, token in (({}, TOKEN), ({"age": "70"}, TOKEN), ({}, OTHER_TOKEN), ({"age": "999", "sex": "M"}, TOKEN)):
                answer = await clinic.post(
                    "/v1/ecgs", files={"files": (name, ECG)}, data={"patient": number} | params, headers={"authorization": f"Bearer {token}"}
                )
                assert answer.status_code == 202
                assert number not in answer.text
            refused = await clinic.post("/v1/ecgs", files={"files": (name, ECG)}, data={"patient": number, "age": "999", "lane": "routine"})
    keys = [event.patient_key for event in log.events()]
    assert keys[0] == keys[1] == keys[3] == patient_key(SECRET, "township", number)
    assert keys[2] == patient_key(SECRET, "harbour", number)
    seen = [
        refused.text,
        str(logs),
        str(log.records),
        *stored(blobs_folder),
        *(path.read_text() for path in (blobs_folder / "uploads").rglob("*") if path.is_file()),
    ]
    assert logs
    assert all(number not in text and "WANG" not in text for text in seen)


async def test_a_repeat_that_follows_takes_the_patient_of_what_it_follows(blobs_folder: Path) -> None:
    log = Log()
    async with gateway(blobs_folder, log) as clinic:
        first = (await clinic.post("/v1/ecgs", content=b"first")).json()["upload_id"]
        second = await clinic.post("/v1/ecgs", content=b"second", params={"follows": first, "patient": "A1"})
        third = await clinic.post("/v1/ecgs", content=b"third", params={"follows": second.json()["upload_id"], "patient": "B2"})
    of_first, of_second, of_third = log.events()
    assert of_second.patient_key == of_first.patient_key
    assert str(of_second.follows) == first
    assert second.json()["unknown_facts"] == []
    assert third.json()["unknown_facts"] == ["follows"]  # A1's recordings must not settle what was opened for B2
    assert (of_third.patient_key, of_third.follows) == (patient_key(SECRET, "township", "B2"), None)


async def test_what_another_clinic_or_nobody_sent_cannot_be_followed(blobs_folder: Path) -> None:
    log = Log()
    async with gateway(blobs_folder, log) as clinic:
        first = (await clinic.post("/v1/ecgs", content=b"first", headers={"authorization": f"Bearer {OTHER_TOKEN}"})).json()["upload_id"]
        for follows in (first, "5f4a9f0e-8a70-5b51-9c1e-6d2f3b7c1a44"):
            assert (await clinic.post("/v1/ecgs", content=b"second", params={"follows": follows})).json()["unknown_facts"] == ["follows"]
    assert len({event.patient_key for event in log.events()}) == 2


async def test_a_key_of_the_clinics_own_stands_for_one_upload(blobs_folder: Path) -> None:
    log, key = Log(), {"idempotency-key": "cart-7/000123"}
    async with gateway(blobs_folder, log) as clinic:
        first = await clinic.post("/v1/ecgs", content=ECG, headers=key)
        assert (await clinic.post("/v1/ecgs", content=ECG, headers=key)).json() == first.json()
        before = stored(blobs_folder)
        as_problem(await clinic.post("/v1/ecgs", content=b"other", headers=key), 422)
    async with gateway(blobs_folder, log) as restarted:
        as_problem(await restarted.post("/v1/ecgs", content=ECG, params={"age": "9"}, headers=key), 422)
        as_problem(await restarted.post("/v1/ecgs", content=b"other", headers=key), 422)
        assert stored(blobs_folder) == before
        other = await restarted.post("/v1/ecgs", content=b"other", headers=key | {"authorization": f"Bearer {OTHER_TOKEN}"})
        assert other.json()["upload_id"] != first.json()["upload_id"]


async def test_a_key_used_for_two_uploads_at_once_stands_for_one_of_them(blobs_folder: Path) -> None:
    log = Log()
    log.open.clear()
    async with gateway(blobs_folder, log) as clinic:
        sending = [asyncio.create_task(clinic.post("/v1/ecgs", content=b"%d" % n, headers={"idempotency-key": "one"})) for n in range(4)]
        asyncio.get_running_loop().call_later(0.2, log.open.set)
        answers = await asyncio.gather(*sending)
    assert sorted(answer.status_code for answer in answers) == [202, 422, 422, 422]
    assert len(log.records) == 1
    assert len(stored(blobs_folder)) == 2


async def test_what_kafka_does_not_acknowledge_is_not_accepted_and_is_once_it_is_back(blobs_folder: Path) -> None:
    log = Log()
    log.away = True
    async with gateway(blobs_folder, log) as clinic:
        answer = await clinic.post("/v1/ecgs", content=ECG)
        as_problem(answer, 503)
        assert answer.headers["retry-after"] == "2"
        log.away = False
        assert (await clinic.post("/v1/ecgs", content=ECG)).status_code == 202
    assert len(log.records) == 1


async def test_a_publication_that_is_late_is_not_cancelled_and_its_repeat_finds_it(blobs_folder: Path) -> None:
    log = Log()
    log.open.clear()
    async with gateway(blobs_folder, log, answered_within_s=0.1) as clinic:
        as_problem(await clinic.post("/v1/ecgs", content=ECG), 503)
        log.open.set()
        await log.heard.wait()  # with nobody asking any more
        assert (await clinic.post("/v1/ecgs", content=ECG)).status_code == 202
    assert len(log.records) == 1


async def test_with_no_broker_there_the_answer_is_503(blobs_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: whoever connects is refused
        producer = Producer(f"127.0.0.1:{taken.getsockname()[1]}", "gateway-test", WRITES)
        async with gateway(blobs_folder, producer) as clinic:
            as_problem(await clinic.post("/v1/ecgs", content=ECG), 503)
        await producer.stop()


async def test_with_the_blob_folder_gone_nothing_is_published_and_it_heals(blobs_folder: Path) -> None:
    log, elsewhere = Log(), blobs_folder.with_name("elsewhere")
    async with gateway(blobs_folder, log) as clinic:
        blobs_folder.rename(elsewhere)
        as_problem(await clinic.post("/v1/ecgs", content=ECG), 503)
        assert log.records == []
        elsewhere.rename(blobs_folder)
        assert (blobs_folder / MARK).exists()
        assert (await clinic.post("/v1/ecgs", content=ECG)).status_code == 202


async def test_under_load_routine_is_refused_and_an_emergency_is_not(blobs_folder: Path) -> None:
    log, arriving = Log(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"begin"
        await arriving.wait()

    async with gateway(blobs_folder, log, room=Room(emergency_bytes=128 * MIB, clinic_bytes=96 * MIB, routine_bytes=33 * MIB)) as clinic:
        held = asyncio.create_task(clinic.post("/v1/ecgs", content=slowly()))  # of unsaid length: room for the largest
        also = asyncio.create_task(clinic.post("/v1/ecgs", content=slowly(), params={"age": "9"}))
        await asyncio.sleep(0)
        for request_of in ({"content": ECG, "params": {"lane": "routine"}}, {"files": {"files": ECG}, "data": {"lane": "routine"}}):
            answer = await clinic.post("/v1/ecgs", **request_of)
            as_problem(answer, 503)
            assert answer.headers["retry-after"] == "2"
        assert (await clinic.post("/v1/ecgs", content=ECG)).status_code == 202
        arriving.set()
        assert [(await each).status_code for each in (held, also)] == [202, 202]
        assert (await clinic.post("/v1/ecgs", content=ECG, params={"lane": "routine"})).status_code == 202


async def test_one_clinics_slow_uploads_of_unsaid_length_refuse_no_emergency_of_another(blobs_folder: Path) -> None:
    log, arriving = Log(), asyncio.Event()

    async def slowly(number: int) -> AsyncIterator[bytes]:
        yield b"begin %d" % number
        await arriving.wait()

    async with gateway(blobs_folder, log, room=Room(wait_s=0.1)) as clinic:
        held = [asyncio.create_task(clinic.post("/v1/ecgs", content=slowly(number))) for number in range(8)]
        refused, _ = await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
        assert {each.result().status_code for each in refused} == {503}  # its own share is full
        other = await clinic.post("/v1/ecgs", content=ECG, headers={"authorization": f"Bearer {OTHER_TOKEN}"})
        assert other.status_code == 202
        arriving.set()
        assert {answer.status_code for answer in await asyncio.gather(*held)} == {202, 503}


async def test_a_damaged_note_refuses_no_emergency_that_follows_it_and_is_a_problem_that_quotes_nothing_for_its_own(blobs_folder: Path) -> None:
    log = Log()
    async with gateway(blobs_folder, log) as clinic:
        first = (await clinic.post("/v1/ecgs", content=ECG)).json()["upload_id"]
    (blobs_folder / "uploads" / first[:2] / first).write_text("damaged by Wang")
    with capture_logs() as logs:
        async with gateway(blobs_folder, log) as restarted:
            following = await restarted.post("/v1/ecgs", content=b"repeat", params={"follows": first})
            told = as_problem(await restarted.post("/v1/ecgs", content=ECG), 500)
    assert (following.status_code, following.json()["unknown_facts"]) == (202, ["follows"])
    assert "Wang" not in json.dumps(told)
    assert {"note damaged", "upload failed"} <= {entry["event"] for entry in logs}


async def test_a_recording_of_the_field_arrives_as_it_is(blobs_folder: Path, recordings: Path) -> None:
    log = Log()
    philips = (recordings / "vendor/philips-1.03/129DYNRG.XML").read_bytes()
    wfdb = [recordings / "ludb/1.hea", recordings / "ludb/1.dat"]
    async with gateway(blobs_folder, log) as clinic:
        assert (await clinic.post("/v1/ecgs", content=philips, headers={"content-type": "text/xml"})).status_code == 202
        assert (await clinic.post("/v1/ecgs", files=[("files", (path.name, path.read_bytes())) for path in wfdb])).status_code == 202
    blobs = [await FolderBlobs(blobs_folder).get(event.recording) for event in log.events()]
    assert blobs == [philips, pack([UploadedFile(path.name, path.read_bytes()) for path in wfdb])[0]]


async def test_openapi_names_each_fact_and_the_bearer(blobs_folder: Path) -> None:
    post = app_of(blobs_folder, Log()).openapi()["paths"]["/v1/ecgs"]["post"]
    assert {each["name"] for each in post["parameters"]} == {"clinic", "Idempotency-Key", *ALLOWED}
    assert post["security"] == [{"bearer": []}]
