"""A whole centre as its users have it: `greenchannel up` in a process of its own, spoken to over HTTP and through its files."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import psutil
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from contracts.envelope import open_envelope
from contracts.ids import EventId
from contracts.topics import ASSESSMENTS, CASES, TOPICS, Topic, dead_letter_topic
from tests.conftest import ROOT

READY_WITHIN_S = 120
SOON_S = 30
SENDS_AT_ONCE = 64

Found = TypeVar("Found")


def until(look: Callable[[], Found], *, within_s: float = SOON_S, what: str = "") -> Found:
    """Return what look returns once it is true; the only waiting there is for what happens in other processes."""
    give_up_at = time.monotonic() + within_s
    while not (found := look()):
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not within {within_s} s: {what or look}")
        time.sleep(0.05)
    return found


class Centre:
    """One data folder, and the program that runs on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.program: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run `greenchannel up` and return when it is ready."""
        words = (self.folder / "words.txt").open("ab")
        command = [sys.executable, "-m", "services.program", "up", "--data", str(self.data)]
        self.program = subprocess.Popen(command, cwd=ROOT, stdout=words, stderr=words, start_new_session=True)
        words.close()
        until(self._is_ready, within_s=READY_WITHIN_S, what="greenchannel up ready")

    def _is_ready(self) -> bool:
        assert self.program is not None
        assert self.program.poll() is None, (self.folder / "words.txt").read_text()[-2000:]
        return (self.data / "client.toml").exists() and self.is_ready()

    def is_ready(self) -> bool:
        try:
            return all(httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=3).is_success for port in self.ports())
        except (httpx.TransportError, FileNotFoundError, ValueError):
            return False

    def ports(self) -> list[int]:
        told = json.loads((self.data / "ports.json").read_text())
        return [port for name, port in told.items() if name == "web" or name.startswith("health of ")]

    def stop(self) -> None:
        if self.program is not None:
            self.program.send_signal(signal.SIGTERM)
            self.program.wait(timeout=60)
            self.program = None

    def kill_everything(self) -> None:
        """kill -9 of the whole program, every process of it."""
        assert self.program is not None
        for process in self.processes():
            process.kill()
        self.program.wait(timeout=30)
        self.program = None

    def processes(self) -> list[psutil.Process]:
        assert self.program is not None
        parent = psutil.Process(self.program.pid)
        return [parent, *parent.children(recursive=True)]

    def child(self, name: str) -> int:
        """Return the pid of a child by its name, once it runs."""
        return until(lambda: self._children().get(name, [0])[0], what=f"{name} runs")

    def _children(self) -> dict[str, list[int]]:
        told: dict[str, list[int]] = json.loads((self.data / "children.json").read_text())["children"]
        return told

    @property
    def kafka(self) -> str:
        return f"127.0.0.1:{json.loads((self.data / 'ports.json').read_text())['Kafka']}"

    @property
    def client(self) -> dict[str, str]:
        return tomllib.loads((self.data / "client.toml").read_text())

    @property
    def console_url(self) -> str:
        """Where uploads and cases are read, and commands sent: beside the gateway, unless the console runs alone."""
        return self.client["url"]

    def clinic(self) -> httpx.Client:
        return _line(self.client["url"], self.client["clinic_token"])

    def person(self) -> httpx.Client:
        return _line(self.console_url, self.client["person_token"])

    def send(self, *files: Path, **facts: str) -> dict[str, Any]:
        """Send one recording as a clinic does and return its 202."""
        with self.clinic() as clinic:
            answer = clinic.post("/v1/ecgs", files=[("files", (path.name, path.read_bytes())) for path in files], data=facts)
        assert answer.status_code == 202, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def upload(self, upload_id: str) -> dict[str, Any]:
        with _line(self.console_url, self.client["clinic_token"]) as clinic:
            answer = clinic.get(f"/v1/uploads/{upload_id}")
        told: dict[str, Any] = answer.json() if answer.is_success else {"state": "unknown", "case": None, "assessment": None, "messages": []}
        return told

    def case(self, case_id: str) -> dict[str, Any]:
        with self.person() as person:
            answer = person.get(f"/v1/cases/{case_id}")
        assert answer.is_success, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def acknowledge(self, case_id: str) -> httpx.Response:
        """Acknowledge what the case shows, as a person does who has just looked at it; what is answered where it cannot be looked at."""
        with self.person() as person:
            shown = person.get(f"/v1/cases/{case_id}")
            if not shown.is_success:
                return shown
            asked = {"command": "acknowledge", "seen": shown.json()["seen"]}
            return person.post(f"/v1/cases/{case_id}/commands", params={"wait": 5}, json=asked)

    def take_in_hand(self, case_id: str) -> None:
        """Acknowledge as a person does: again where the answer is 503, until the case says so."""
        until(lambda: self.acknowledge(case_id).status_code != 503, what=f"an answer to the acknowledgement of {case_id}")
        until(lambda: self.case(case_id)["phase"] == "acknowledged", what=f"{case_id} in hand")

    def assessed(self, upload_id: str, *, within_s: float = SOON_S) -> dict[str, Any]:
        """Return the assessment of an upload, once there is one."""
        found: dict[str, Any] = until(lambda: self.upload(upload_id)["assessment"], within_s=within_s, what=f"assessment of {upload_id}")
        return found

    def case_of(self, upload_id: str, *, within_s: float = SOON_S) -> str:
        found: dict[str, Any] = until(lambda: self.upload(upload_id)["case"], within_s=within_s, what=f"case of {upload_id}")
        return str(found["case_id"])

    def answered(self, upload_id: str) -> list[dict[str, Any]]:
        """Return what the clinic was told of an upload, once it was told something."""
        found: list[dict[str, Any]] = until(lambda: self.upload(upload_id)["messages"], what=f"an answer to {upload_id}")
        return found

    def pages(self, case_id: str | None = None) -> list[dict[str, Any]]:
        path = self.data / "pager.jsonl"
        lines = path.read_bytes().splitlines() if path.exists() else []
        pages = [json.loads(line) for line in lines]
        return [page for page in pages if case_id in {None, page["case_id"]}]

    def paged(self, case_id: str, *, within_s: float = SOON_S) -> list[dict[str, Any]]:
        return until(lambda: self.pages(case_id), within_s=within_s, what=f"a page for {case_id}")

    def paged_after_s(self, told: dict[str, Any], *, within_s: float = SOON_S) -> float:
        """Return how long after its receipt an upload's first page was handed over, in s, by the 202 and the page themselves."""
        pages = self.paged(self.case_of(told["upload_id"], within_s=within_s), within_s=within_s)
        return (datetime.fromisoformat(pages[0]["at"]) - datetime.fromisoformat(told["received_at"])).total_seconds()

    def lying(self, topics: Iterable[Topic]) -> list[ConsumerRecord[Any, Any]]:
        """Return every record that lies in the topics now, repeats too."""
        return asyncio.run(_lying(self.kafka, [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]))

    def dead_letters(self) -> int:
        return len(self.lying(dead_letter_topic(topic) for topic in TOPICS))


def _line(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=15)


async def _lying(kafka: str, partitions: Sequence[TopicPartition]) -> list[ConsumerRecord[Any, Any]]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        found: list[ConsumerRecord[Any, Any]] = []
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
        return found
    finally:
        await consumer.stop()


class Clinic:
    """Sends a recording so many times a second, each time as another patient's, whatever became of those before; keeps what it was answered."""

    def __init__(self, centre: Centre, content: bytes, *, per_s: float) -> None:
        self.accepted: list[dict[str, Any]] = []
        self.refused: list[httpx.Response] = []
        self._line, self._content, self._every_s = centre.clinic(), content, 1 / per_s
        self._sent: list[Future[None]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send_in_time)

    def __enter__(self) -> "Clinic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._line.close()

    @property
    def upload_ids(self) -> list[str]:
        return [str(told["upload_id"]) for told in self.accepted]

    def check_answers(self) -> None:
        """Fail where an upload was not answered, or was refused without a word on when to send it again."""
        for each in self._sent:
            each.result()
        assert {(answer.status_code, "retry-after" in answer.headers) for answer in self.refused} <= {(503, True)}

    def _send_in_time(self) -> None:
        with ThreadPoolExecutor(SENDS_AT_ONCE) as hands:
            while not self._stop.wait(self._every_s):
                self._sent.append(hands.submit(self._send))

    def _send(self) -> None:
        answer = self._line.post("/v1/ecgs", files={"files": self._content}, data={"patient": str(uuid4()), "age": "61", "sex": "M"})
        if answer.status_code == 202:
            self.accepted.append(answer.json())
        else:
            self.refused.append(answer)


@contextmanager
def frozen(centre: Centre, *names: str) -> Iterator[None]:
    """Stop children without their end: they hold their connections and answer nothing."""
    pids = [centre.child(name) for name in names]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def kept_killed(centre: Centre, name: str) -> Iterator[list[int]]:
    """Kill a child, and whatever is started in its place, until the end; give the pids that were killed."""
    killed: list[int] = []
    enough = threading.Event()

    def kill_again() -> None:
        while not enough.is_set():
            pid = centre.child(name)
            if pid not in killed:
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)
            enough.wait(0.02)

    with ThreadPoolExecutor(1) as hand:
        work = hand.submit(kill_again)
        try:
            yield killed
        finally:
            enough.set()
            work.result()


def check_assessed_once(centre: Centre, upload_ids: Sequence[str]) -> None:
    """Fail unless each upload has one Assessed, and its case acted on it once; say how many records there are of them.

    A record that is written twice under one event id is one event: every reader knows it by that id."""
    assessed, acted_on = defaultdict[str, list[EventId]](list), defaultdict[str, list[EventId]](list)
    for record in centre.lying((*ASSESSMENTS.values(), CASES)):
        envelope = open_envelope(record.headers)
        of_kind = {"Assessed": assessed, "UploadAssessed": acted_on}.get(envelope.type)
        if of_kind is not None:
            of_kind[json.loads(record.value)["upload_id"]].append(envelope.id)
    assert upload_ids
    for kind, found in (("Assessed", assessed), ("UploadAssessed", acted_on)):
        records = sum(len(found[upload_id]) for upload_id in upload_ids)
        print(f"{len(upload_ids)} uploads, {records} records of {kind}")
        not_once = {upload_id: found[upload_id] for upload_id in upload_ids if len(set(found[upload_id])) != 1}
        assert not not_once, f"{kind} not once: {not_once}"


def running(folder: Path) -> Iterator[Centre]:
    """Give a centre that is ready, and stop it in the end however the test left it."""
    centre = Centre(folder)
    try:
        centre.start()
        yield centre
    finally:
        if centre.program is not None:
            if centre.program.poll() is None:
                centre.program.send_signal(signal.SIGTERM)
            try:
                centre.program.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(centre.program.pid, signal.SIGKILL)
