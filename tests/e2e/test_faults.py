"""What the main job bears: kill -9 of anything, at the worst moment, and it goes on by itself."""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.centre import Centre, running, until

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
    case_id = one_case_one_first_page(centre, red(centre, recordings, f"after-{name}"))
    assert centre.acknowledge(case_id).is_success


def test_a_workers_nursery_that_is_killed_comes_back(centre: Centre, recordings: Path):
    triage = psutil.Process(centre.child("triage-emergency"))
    for child in triage.children(recursive=True):
        child.kill()
    until(centre.is_ready, within_s=60)
    case_id = one_case_one_first_page(centre, red(centre, recordings, "nursery"))
    assert centre.acknowledge(case_id).is_success


def test_while_kafka_is_down_uploads_are_refused_and_every_202_becomes_an_assessment(centre: Centre, recordings: Path):
    accepted: list[str] = []
    refused: list[int] = []
    stop = threading.Event()

    def clinic() -> None:
        content = (recordings / "vendor/muse/synthetic_muse.xml").read_bytes()
        number = 0
        with centre.clinic() as line:
            while not stop.is_set():
                number += 1
                try:
                    answer = line.post("/v1/ecgs", files={"files": content}, data={"patient": f"kafka-{number}"})
                except httpx.TransportError:
                    continue
                if answer.status_code == 202:
                    accepted.append(answer.json()["upload_id"])
                else:
                    assert (answer.status_code, answer.headers["retry-after"] != "") == (503, True)
                    refused.append(answer.status_code)
                stop.wait(0.2)

    sender = threading.Thread(target=clinic)
    sender.start()
    until(lambda: len(accepted) >= 10)
    os.kill(centre.child("kafka"), signal.SIGSTOP)
    until(lambda: refused, what="a refusal while Kafka is frozen")
    os.kill(centre.child("kafka"), signal.SIGKILL)
    before = len(accepted)
    until(lambda: len(accepted) > before + 10, within_s=60, what="uploads accepted again")
    stop.set()
    sender.join()
    for upload_id in accepted:
        centre.assessed(upload_id, within_s=60)
    assert len(set(accepted)) == len(accepted)


def test_a_file_that_kills_its_worker_is_paged_and_holds_up_no_other_patient(own_centre: Centre, recordings: Path):
    """The worker is stopped by hand in the middle of its work: the kernel's alarm cannot run, and the service gives it up by itself."""
    own_centre.assessed(red(own_centre, recordings, "warm"))
    workers = psutil.Process(own_centre.child("triage-emergency")).children(recursive=True)
    nursery = min(workers, key=lambda process: process.create_time())
    hung = [process for process in workers if process != nursery]
    assert hung
    hung[0].suspend()
    uploads = [red(own_centre, recordings, f"patient-{number}") for number in range(4)]
    verdicts = [own_centre.assessed(upload_id) for upload_id in uploads]
    assert Counter(verdict["priority"] for verdict in verdicts)["red"] >= 3
    for upload_id in uploads:
        assert page_of(own_centre, upload_id)


def test_an_upload_that_nobody_reads_is_paged_after_a_minute_and_its_late_assessment_joins(own_centre: Centre, recordings: Path):
    os.kill(own_centre.child("triage-emergency"), signal.SIGSTOP)
    sent_at = time.monotonic()
    upload_id = red(own_centre, recordings, "unread")
    case_id = own_centre.case_of(upload_id, within_s=80)
    page = own_centre.paged(case_id)[0]
    assert time.monotonic() - sent_at >= 59
    assert "not read in time" in page["text"]
    os.kill(own_centre.child("triage-emergency"), signal.SIGCONT)
    until(lambda: own_centre.case(case_id)["priority"] == "red")
    assert own_centre.case_of(upload_id) == case_id


def test_a_name_in_a_file_is_nowhere_else(own_centre: Centre, recordings: Path):
    """Topics, logs, metrics, pages, Redis and every answer are searched for what the uploaded file and its facts say about the person."""
    original = (recordings / "vendor/philips-1.03/129DYNRG.XML").read_bytes()
    secrets = (b"Wang Xiaoming-Secret", b"PID-99887766")
    marked = original.replace(
        b"<generalpatientdata>", b"<generalpatientdata><name><lastname>Wang Xiaoming-Secret</lastname></name><MRN>PID-99887766</MRN>", 1
    )
    assert marked != original
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
            said += path.read_bytes()
    assert upload_id.encode() in said  # the search would have found it
    for secret in secrets:
        assert secret not in said
