"""A part of the stack is away for a while: nothing is lost, nothing is dead-lettered, and it goes on by itself.

The outage lasts GREENCHANNEL_OUTAGE_S seconds; `make faults` makes it two minutes."""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.topics import TOPICS
from tests.e2e.centre import Centre, running, until

OUTAGE_S = float(os.environ.get("GREENCHANNEL_OUTAGE_S", "12"))


@pytest.fixture(scope="module")
def own_centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    yield from running(tmp_path_factory.mktemp("outages"))


@contextmanager
def frozen(centre: Centre, name: str) -> Iterator[None]:
    pid = centre.child(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def folder_gone(centre: Centre) -> Iterator[None]:
    blobs, elsewhere = centre.data / "blobs", centre.data / "elsewhere"
    blobs.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(blobs)


AWAY = {"kafka": lambda centre: frozen(centre, "kafka"), "valkey": lambda centre: frozen(centre, "valkey"), "blobs": folder_gone}


def dead_letters(centre: Centre) -> int:
    async def count() -> int:
        ports = json.loads((centre.data / "ports.json").read_text())
        consumer = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{ports['Kafka']}")
        await consumer.start()
        try:
            return sum((await consumer.end_offsets([TopicPartition(topic.dead_letters, 0) for topic in TOPICS])).values())
        finally:
            await consumer.stop()

    return asyncio.run(count())


class Clinic:
    """Sends a recording a second, as another patient each time, and keeps what it was answered."""

    def __init__(self, centre: Centre, content: bytes) -> None:
        self.centre, self.content = centre, content
        self.accepted: list[str] = []
        self.refused: list[httpx.Response] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> "Clinic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _send(self) -> None:
        number = 0
        with self.centre.clinic() as line:
            while not self._stop.wait(0.5):
                number += 1
                answer = line.post("/v1/ecgs", files={"files": self.content}, data={"patient": f"{id(self)}-{number}", "age": "61"})
                if answer.status_code == 202:
                    self.accepted.append(answer.json()["upload_id"])
                else:
                    self.refused.append(answer)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", AWAY)
def test_what_was_accepted_is_assessed_and_paged_once_the_part_is_back(own_centre: Centre, recordings: Path, part: str):
    content = (recordings / "vendor/philips-1.03/129DYNRG.XML").read_bytes()
    with Clinic(own_centre, content) as clinic:
        until(lambda: len(clinic.accepted) >= 4)
        with AWAY[part](own_centre):
            time.sleep(OUTAGE_S)
            during = len(clinic.accepted)
        until(lambda: len(clinic.accepted) >= during + 4, within_s=60, what="uploads accepted again")
    assert all((answer.status_code, "retry-after" in answer.headers) == (503, True) for answer in clinic.refused)
    assert clinic.refused or part == "valkey"  # the gateway does without Redis
    until(own_centre.is_ready, within_s=60)
    for upload_id in clinic.accepted:
        assert own_centre.assessed(upload_id, within_s=60)["priority"] == "red"
        case_id = own_centre.case_of(upload_id, within_s=60)
        assert own_centre.paged(case_id, within_s=60)
        own_centre.acknowledge(case_id)
    assert len(set(clinic.accepted)) == len(clinic.accepted)
    assert dead_letters(own_centre) == 0
