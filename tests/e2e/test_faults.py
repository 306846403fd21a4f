"""What the main job bears: kill -9 of anything, at the worst moment, and it goes on by itself."""

import io
import json
import os
import signal
import struct
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from contracts.vocabulary import Lane
from services.cases.state import NOT_READ_YET
from services.triage.app import WORKERS
from services.triage.stored import decode_stored
from tests.e2e.centre import Centre, Clinic, check_assessed_once, kept_killed, running, until

KAFKA_AWAY_S = 10.0
HOSTILE_BYTES = 16 * 1024 * 1024
CHILDREN = ("kafka", "valkey", "web", "cases", "notify", "projector", "triage-emergency", "triage-routine")


@pytest.fixture
def own_centre(tmp_path: Path) -> Iterator[Centre]:
    yield from running(tmp_path)


def red(centre: Centre, recordings: Path, patient: str) -> str:
    return str(centre.send(recordings / "vendor/philips-1.03/129DYNRG.XML", patient=patient, age="61", sex="M")["upload_id"])


def page_of(centre: Centre, upload_id: str) -> list[dict]:
    return centre.paged(centre.case_of(upload_id, within_s=60), within_s=60)


def one_case_one_first_page(centre: Centre, upload_id: str) -> str:
    pages = page_of(centre, upload_id)
    assert Counter(page["round"] for page in pages)[1] == 1
    case_id = pages[0]["case_id"]
    assert [entry["type"] for entry in centre.case(case_id)["timeline"]].count("CaseOpened") == 1
    return case_id


def test_a_page_comes_after_everything_was_killed_between_the_202_and_the_page(own_centre: Centre, recordings: Path):
    os.kill(own_centre.child("triage-emergency"), signal.SIGSTOP)  # so that the kill surely comes before the page
    upload_id = red(own_centre, recordings, "killed")
    own_centre.kill_everything()
    assert not own_centre.pages()
    own_centre.start()
    one_case_one_first_page(own_centre, upload_id)


def test_when_the_parent_alone_is_killed_nothing_of_it_stays_and_the_next_up_goes_on(own_centre: Centre, recordings: Path):
    upload_id = red(own_centre, recordings, "orphans")
    case_id = own_centre.case_of(upload_id)
    assert own_centre.program is not None
    others = own_centre.processes()[1:]
    own_centre.program.kill()
    own_centre.program.wait(timeout=30)
    gone, alive = psutil.wait_procs(others, timeout=20)
    assert (len(gone), alive) == (len(others), [])
    own_centre.start()
    assert own_centre.case(case_id)["phase"] == "opened"
    assert own_centre.acknowledge(case_id).is_success


@pytest.mark.parametrize("name", CHILDREN)
def test_a_child_that_is_killed_comes_back_and_the_next_patient_is_paged(centre: Centre, recordings: Path, name: str):
    before = centre.child(name)
    os.kill(before, signal.SIGKILL)
    until(lambda: centre.child(name) != before, what=f"{name} started again")
    until(centre.is_ready, within_s=60, what="all ready again")
    centre.take_in_hand(one_case_one_first_page(centre, red(centre, recordings, f"after-{name}")))


def test_a_workers_nursery_that_is_killed_comes_back(centre: Centre, recordings: Path):
    triage = psutil.Process(centre.child("triage-emergency"))
    for child in triage.children(recursive=True):
        child.kill()
    until(centre.is_ready, within_s=60)
    case_id = one_case_one_first_page(centre, red(centre, recordings, "nursery"))
    assert centre.acknowledge(case_id).is_success


def test_while_kafka_is_killed_for_ten_seconds_uploads_are_refused_and_every_202_becomes_one_assessment(centre: Centre, recordings: Path):
    content = (recordings / "vendor/muse/synthetic_muse.xml").read_bytes()
    with Clinic(centre, content, per_s=5) as clinic:
        until(lambda: len(clinic.accepted) >= 10)
        killed_at = time.monotonic()
        with kept_killed(centre, "kafka") as killed:
            until(lambda: clinic.refused, what="a refusal while Kafka is away")
            before = len(clinic.accepted)
            time.sleep(max(0.0, killed_at + KAFKA_AWAY_S - time.monotonic()))
            assert len(clinic.accepted) == before
        until(lambda: len(clinic.accepted) >= before + 10, within_s=60, what="uploads accepted again")
    clinic.check_answers()
    assert len(killed) > 1  # it was started again, and killed again
    for upload_id in clinic.upload_ids:
        centre.assessed(upload_id, within_s=60)
    check_assessed_once(centre, clinic.upload_ids)


def file_that_hangs_its_reader(recordings: Path) -> bytes:
    """Return a DICOM recording with a tail of sequences of empty items, which would take pydicom a minute: a worker is given five seconds."""
    file = pydicom.dcmread(recordings / "vendor/one-recording/Example.dcm")
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    whole = io.BytesIO()
    file.save_as(whole, enforce_file_format=True)
    begin = struct.pack("<HH2sHI", 0x0010, 0x1002, b"SQ", 0, 0xFFFFFFFF)
    item, end = struct.pack("<HHI", 0xFFFE, 0xE000, 0), struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    sequence = begin + 500 * item + end
    return whole.getvalue() + sequence * (HOSTILE_BYTES // len(sequence))


def test_files_that_would_hang_every_worker_are_refused_at_once_paged_and_hold_up_no_other_patient(centre: Centre, recordings: Path, tmp_path: Path):
    file = tmp_path / "hostile.dcm"
    file.write_bytes(file_that_hangs_its_reader(recordings))
    hostile = [centre.send(file, patient=f"hostile-{number}") for number in range(WORKERS[Lane.EMERGENCY])]
    others = [centre.send(recordings / "vendor/philips-1.03/129DYNRG.XML", patient=f"beside-{number}", age="61", sex="M") for number in range(4)]
    check_held_up_nobody(centre, hostile, others, code="too_large")


def test_workers_that_no_signal_wakes_are_given_up_and_hold_up_no_other_patient(centre: Centre, recordings: Path):
    """No file is known that does this: stopped in the middle of their work by hand, they hear not even the kernel's alarm."""
    path = recordings / "vendor/philips-1.03/129DYNRG.XML"
    until(lambda: centre.assessed(red(centre, recordings, str(uuid4()))) and len(workers(centre)) == WORKERS[Lane.EMERGENCY], what="all workers")
    for worker in workers(centre):
        worker.suspend()
    hung = [centre.send(path, patient=f"hung-{number}", age="61", sex="M") for number in range(WORKERS[Lane.EMERGENCY])]
    others = [centre.send(path, patient=f"beside-hung-{number}", age="61", sex="M") for number in range(4)]
    check_held_up_nobody(centre, hung, others, code="timed_out")


def workers(centre: Centre) -> list[psutil.Process]:
    (nursery,) = psutil.Process(centre.child("triage-emergency")).children()
    return nursery.children()


def check_held_up_nobody(centre: Centre, lost: list[dict[str, Any]], others: list[dict[str, Any]], *, code: str) -> None:
    """Fail unless people are paged for all as they were assessed, in time: for what was lost as not evaluable, with this reason, others as red."""
    for told in lost:
        assessment = centre.assessed(told["upload_id"])
        assert [problem["code"] for problem in assessment["quality"]["problems"]] == [code]
    assert [centre.assessed(told["upload_id"])["priority"] for told in others] == ["red"] * len(others)
    first = [centre.paged(centre.case_of(told["upload_id"]))[0]["text"] for told in (*lost, *others)]
    assert not [text for text in first if NOT_READ_YET in text]
    for told in (*lost, *others):
        assert centre.acknowledge(centre.case_of(told["upload_id"])).is_success


def test_a_name_in_a_file_is_nowhere_else(own_centre: Centre, recordings: Path):
    """Topics, logs, metrics, pages, Redis, decoded blobs and every answer are searched for what the uploaded file and its facts say of the person.

    The cart repeats the name in its statements: that is where it would leave. What it says beside the name must be found."""
    original = (recordings / "vendor/philips-1.03/129DYNRG.XML").read_bytes()
    secrets = (b"Wang Xiaoming-Secret", b"PID-99887766", b"OU YA")
    marked = original
    for old, new in (
        (b"<lastname></lastname>", b"<lastname>OU</lastname>"),
        (b"<firstname></firstname>", b"<firstname>YA</firstname>"),
        (b"<generalpatientdata>", b"<generalpatientdata><MRN>PID-99887766</MRN><birthname>Wang Xiaoming-Secret</birthname>"),
        (b"Sinus rhythm</leftstatement>", b"OU YA sinus rhythm</leftstatement>"),
        (b"Extensive anterior infarct", b"Wang Xiaoming-Secret PID-99887766: extensive anterior infarct"),
    ):
        assert marked.count(old) == 1
        marked = marked.replace(old, new)
    file = own_centre.folder / "Wang Xiaoming-Secret.xml"
    file.write_bytes(marked)
    upload_id = own_centre.send(file, patient="PID-99887766", complaint="Wang Xiaoming-Secret has pain", sex="M")["upload_id"]
    case_id = page_of(own_centre, upload_id)[0]["case_id"]
    own_centre.acknowledge(case_id)
    said = json.dumps([own_centre.upload(upload_id), own_centre.case(case_id), own_centre.pages()]).encode()
    for port in own_centre.ports():
        said += httpx.get(f"http://127.0.0.1:{port}/metrics").content
    own_centre.stop()
    for path in own_centre.data.rglob("*"):
        if path.is_file() and "raw" not in path.relative_to(own_centre.data).parts:
            said += repr(decode_stored(path.read_bytes())).encode() if "decoded" in path.parts else path.read_bytes()
    assert upload_id.encode() in said  # the search would have found it
    assert said.count(b"Acute MI") > said.count(b"format='Philips Sierra'") > 0  # in topics and in the decoded recording
    for secret in secrets:
        assert secret not in said
