"""The green channel on the real thing: from the clinic's ECG to the wire, and an escalation that nothing ends but a person."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.conftest import ROOT
from tests.e2e.centre import Centre, running, until

MINUTE = timedelta(minutes=1)


@pytest.fixture
def own_centre(tmp_path: Path) -> Iterator[Centre]:
    yield from running(tmp_path)


def asked(centre: Centre, case_id: str, command: str, **fields: str | int) -> dict[str, Any]:
    with centre.person() as person:
        answer = person.post(f"/v1/cases/{case_id}/commands", params={"wait": 10}, json={"command": command, **fields})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_the_wuwei_sequence_from_the_clinics_ecg_to_the_wire_at_24_minutes_each_time_from_its_event(centre: Centre, recordings: Path):
    """What happened before it is entered is told with its time: the test does not last 24 minutes, and no clock is turned."""
    contact = datetime.now(UTC).replace(microsecond=0) - 24 * MINUTE
    upload = centre.send(recordings / "challenge/S0008.hea", recordings / "challenge/S0008.mat", first_medical_contact=contact.isoformat())
    case_id = centre.case_of(upload["upload_id"])
    assert centre.paged(case_id)[0]["text"].startswith("RED:")
    events = {
        "acknowledged": asked(centre, case_id, "acknowledge", seen=centre.case(case_id)["seen"]),
        "said": asked(centre, case_id, "say", text="aspirin 300 mg, ticagrelor 180 mg; keep the patient lying"),
        "confirmed": asked(centre, case_id, "confirm", diagnosis="stemi"),
        "referral": asked(centre, case_id, "accept_referral"),
        "activated": asked(centre, case_id, "activate_lab"),
        "departed": asked(centre, case_id, "record_departure", happened_at=(contact + 4 * MINUTE).isoformat()),
        "arrived": asked(centre, case_id, "record_arrival", place="lab", happened_at=(contact + 16 * MINUTE).isoformat()),
        "treated": asked(centre, case_id, "record_treatment", treatment="pci_wire", happened_at=(contact + 24 * MINUTE).isoformat()),
    }
    case = until(lambda: _in_phase(centre, case_id, "treated"), what="the treated case")
    assert case["wire_min"] == 24
    in_the_timeline = {entry["event_id"] for entry in case["timeline"]}
    assert {told["event_id"] for told in events.values()} <= in_the_timeline
    assert set(case["sources"].values()) <= in_the_timeline
    assert case["sources"]["wire_min"] == events["treated"]["event_id"]
    messages = centre.upload(upload["upload_id"])["messages"]
    assert any("aspirin" in message["text"] and message["event_id"] == events["said"]["event_id"] for message in messages)


def test_an_escalation_goes_on_at_its_next_step_though_everything_was_killed_and_redis_emptied(own_centre: Centre, recordings: Path, tmp_path: Path):
    directory = (own_centre.data / "directory.yaml").read_text().replace("version: example-1", "version: quick").replace("wait_s: 60", "wait_s: 30")
    quick = tmp_path / "quick.yaml"
    quick.write_text(directory)
    load = [sys.executable, "-m", "services.program", "directory", "load", str(quick), "--data", str(own_centre.data)]
    subprocess.run(load, cwd=ROOT, check=True, capture_output=True)
    upload = own_centre.send(recordings / "vendor/philips-1.03/129DYNRG.XML", age="61", sex="M")
    case_id = own_centre.case_of(upload["upload_id"])
    assert [page["person"] for page in own_centre.paged(case_id)] == ["demo-cardiologist"]
    own_centre.kill_everything()
    own_centre.start()
    until(lambda: len(own_centre.pages(case_id)) == 2, within_s=60, what="the second step")
    port = json.loads((own_centre.data / "ports.json").read_text())["Redis"]
    redis.Redis(port=port).flushall()
    os.kill(own_centre.child("cases"), signal.SIGKILL)
    until(lambda: len(own_centre.pages(case_id)) == 3, within_s=60, what="the first step again")
    pages = own_centre.pages(case_id)
    assert [(page["person"], page["round"]) for page in pages] == [("demo-cardiologist", 1), ("demo-coordinator", 2), ("demo-cardiologist", 3)]
    assert own_centre.acknowledge(case_id).is_success


def _in_phase(centre: Centre, case_id: str, phase: str) -> dict[str, Any] | None:
    case = centre.case(case_id)
    return case if case["phase"] == phase else None
