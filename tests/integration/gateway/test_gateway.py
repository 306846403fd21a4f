"""The gateway on a real Kafka, a real blob folder and a real socket."""

import asyncio
import os
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil
import pytest
import uvicorn
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.envelope import open_envelope
from contracts.intake import EcgUploaded
from contracts.topics import INTAKE_EMERGENCY, INTAKE_ROUTINE, Topic, read_event
from services.edge.recordings import Recording
from services.edge.uploader import Accepted, Facts, connected, upload, upload_all
from services.gateway.app import WRITES
from services.runtime.archive import MAX_TOTAL_BYTES
from services.runtime.blobs import open_blobs
from services.runtime.producer import Producer
from services.runtime.topics_admin import ensure_topics
from tests.conftest import Stack
from tests.unit.gateway.clinic_door import TOKEN, app_of, stored


@asynccontextmanager
async def serving(stack: Stack, blobs: Path) -> AsyncIterator[str]:
    """Give the address of a gateway that listens."""
    await ensure_topics(stack.kafka)
    producer = Producer(stack.kafka, f"gateway-test-{uuid.uuid4()}", WRITES)
    server = uvicorn.Server(uvicorn.Config(app_of(blobs, producer), log_config=None, lifespan="off"))
    listening = socket.create_server(("127.0.0.1", 0))  # whoever connects before the server runs waits for it
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
        await producer.stop()


async def events(stack: Stack, topic: Topic) -> list[EcgUploaded]:
    """Return what lies in a topic by now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        found = []
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [read_event(topic, open_envelope(record.headers).type, record.value or b"") for record in records]
        return [EcgUploaded.model_validate(event) for event in found]
    finally:
        await consumer.stop()


async def of_upload(stack: Stack, upload_id: str, topic: Topic = INTAKE_EMERGENCY) -> list[EcgUploaded]:
    return [event for event in await events(stack, topic) if str(event.upload_id) == upload_id]


def a_recording(folder: Path, content: bytes | None = None) -> Recording:
    path = folder / "cart.xml"
    path.write_bytes(content if content is not None else b"<ecg/>" + uuid.uuid4().bytes)
    return Recording(path, (path,))


async def test_a_202_means_that_the_event_is_in_its_topic_and_the_blob_in_the_store(stack: Stack, tmp_path: Path, recordings: Path) -> None:
    content = (recordings / "vendor/philips-1.03/129DYNRG.XML").read_bytes() + uuid.uuid4().bytes
    async with serving(stack, tmp_path / "blobs") as url, connected(url, TOKEN) as clinic:
        emergency = await upload(clinic, a_recording(tmp_path, content), Facts(age_y=61, sex="M", patient="A-77"))
        routine = await upload(clinic, a_recording(tmp_path, content), Facts(age_y=61, sex="M", patient="A-77", routine=True))
    (event,) = await of_upload(stack, emergency.upload_id)
    assert (event.age_y, event.sex, event.unknown_facts) == (61, "M", ())
    assert await open_blobs((tmp_path / "blobs").as_uri()).get(event.recording) == content
    (of_routine,) = await of_upload(stack, routine.upload_id, INTAKE_ROUTINE)
    assert (of_routine.recording, of_routine.patient_key) == (event.recording, event.patient_key)


async def test_twenty_at_once_are_one_event(stack: Stack, tmp_path: Path) -> None:
    recording = a_recording(tmp_path)
    async with serving(stack, tmp_path / "blobs") as url, connected(url, TOKEN) as clinic:
        told = await upload_all(clinic, [recording] * 20, Facts(), at_once=20)
    assert len({each.upload_id for each in told if isinstance(each, Accepted)}) == 1
    assert len(told) == 20
    assert len(await of_upload(stack, told[0].upload_id if isinstance(told[0], Accepted) else "")) == 1


async def test_too_many_bytes_are_answered_on_a_real_line_and_nothing_is_stored(stack: Stack, tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(MAX_TOTAL_BYTES // 65536 + 1):
            yield b"\0" * 65536

    async with serving(stack, tmp_path / "blobs") as url, connected(url, TOKEN) as clinic:
        for content in (b"\0" * (MAX_TOTAL_BYTES + 1), chunks()):
            answer = await clinic.post("/v1/ecgs", content=content)
            assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
        async with connected(url, "nobody") as stranger:
            assert (await stranger.post("/v1/ecgs", content=b"\0" * 1_000_000)).status_code == 401
    assert stored(tmp_path / "blobs") == []


@contextmanager
def kafka_stopped(stack: Stack) -> Iterator[None]:
    port = int(stack.kafka.rsplit(":", 1)[1])
    found = psutil.net_connections("tcp")
    listening = [each.pid for each in found if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port and each.pid]
    if not listening:
        pytest.skip("the broker is not a process of this machine, which could be stopped")
    os.kill(listening[0], signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(listening[0], signal.SIGCONT)


async def test_while_kafka_does_not_answer_it_is_503_and_then_each_upload_is_there_once(stack: Stack, tmp_path: Path) -> None:
    recording, fresh = a_recording(tmp_path), uuid.uuid4().bytes
    async with serving(stack, tmp_path / "blobs") as url, connected(url, TOKEN) as clinic:
        await upload(clinic, recording, Facts(age_y=1))
        with kafka_stopped(stack):
            answers = await asyncio.gather(*(clinic.post("/v1/ecgs", content=fresh, params={"age": str(age)}) for age in range(5)))
        assert [answer.status_code for answer in answers] == [503] * 5
        assert {answer.headers["retry-after"] for answer in answers} == {"2"}
        assert {answer.json()["detail"].partition(".")[0] for answer in answers} == {"kafka cannot be reached"}
        told = [await upload(clinic, a_recording(tmp_path, fresh), Facts(age_y=age)) for age in range(5)]
    found = await events(stack, INTAKE_EMERGENCY)
    ids = {each.upload_id for each in told}
    assert len(ids) == 5
    kept = {event.upload_id: event for event in found if str(event.upload_id) in ids}
    assert {str(each) for each in kept} == ids
    assert all(event == kept[event.upload_id] for event in found if event.upload_id in kept)  # sent again, it is the same event
