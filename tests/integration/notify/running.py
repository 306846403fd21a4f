"""Services run in the test's own process, on the real Kafka and Redis; and what the tests say to them and read of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer

from contracts import topics
from contracts.directory import Contacts, ContactsLoaded, Directory, DirectoryLoaded
from contracts.envelope import Envelope, Record, open_envelope, seal
from contracts.ids import EventId, UploadId
from contracts.topics import TOPICS, Topic, dead_letter_topic, read_event
from contracts.vocabulary import Frozen
from services.runtime.blobs import open_blobs
from services.runtime.producer import Producer
from services.runtime.reader import kafka_broker, subscribe
from services.runtime.redis_link import connect
from services.runtime.service import Links, Plan, Service
from services.runtime.settings import Settings
from services.runtime.topics_admin import ensure_topics
from services.runtime.waiting import until_there
from tests.conftest import Stack

LIMIT_S = 30


def settings_for(stack: Stack, folder: Path, **more: Any) -> Settings:
    """Return the settings of a service whose files lie in the folder. One instance name: a service finds its earlier self's partitions at once."""
    told = {"kafka": stack.kafka, "redis": stack.redis, "blobs": stack.blobs, "pager": folder / "pager.jsonl", "instance": "test"}
    return Settings(**told | {"link": "https://console.example"} | more)


@asynccontextmanager
async def running(settings: Settings, *plans: Plan) -> AsyncIterator[list[Service]]:
    """Run services until the end of the block."""
    await ensure_topics(settings.kafka)
    writes = [topic for plan in plans for topic in plan.may_write()]
    links = Links(settings, connect(settings.redis), Producer(settings.kafka, "test", writes), open_blobs(settings.blobs))
    services = [plan.build(links) for plan in plans]
    broker = kafka_broker(settings.kafka)
    for reader in (reader for service in services for reader in service.readers):
        subscribe(broker, reader, instance=settings.instance)
    await broker.start()
    lasting = [each.follow for each in links.following] + [each for service in services for each in service.background]
    tasks = [asyncio.create_task(until_there(each, lambda _: None)) for each in lasting]
    try:
        yield services
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        await broker.stop()
        for stop in (each for service in services for each in service.on_stop):
            await stop()
        await links.producer.stop()
        await links.redis.aclose()
    assert [each for each in ended if isinstance(each, Exception)] == []


async def load(stack: Stack, directory: Directory, contacts: Contacts) -> None:
    """Load a directory and how everybody is reached, as its command does."""
    now = datetime.now(UTC)
    async with writing(stack) as producer:
        for event in (DirectoryLoaded(at=now, directory=directory), ContactsLoaded(at=now, version=directory.version, contacts=contacts)):
            names = {"event_id": EventId(uuid4()), "subject": uuid4(), "correlation": UploadId(uuid4()), "causation": uuid4()}
            await producer.publish(topics.DIRECTORY, [seal(event, source="test", key=event.KEY, time=now, recorded=now, **names)])


@asynccontextmanager
async def writing(stack: Stack) -> AsyncIterator[Producer]:
    """A producer that may write everything, dead letters too."""
    await ensure_topics(stack.kafka)
    producer = Producer(stack.kafka, "test-writer", [*TOPICS, *(dead_letter_topic(topic) for topic in TOPICS)])
    try:
        yield producer
    finally:
        await producer.stop()


async def read_until(
    stack: Stack, topic: Topic, enough: Callable[[Sequence[tuple[Envelope, Frozen]]], bool], mine: Callable[[Envelope], bool]
) -> list[tuple[Envelope, Frozen]]:
    """Return what lies in the topic of the test's own, read until there is enough of it; TimeoutError where there never is."""
    consumer = AIOKafkaConsumer(topic.name, bootstrap_servers=stack.kafka, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    found: list[tuple[Envelope, Frozen]] = []
    try:
        async with asyncio.timeout(LIMIT_S):
            while not enough(found):
                record = await consumer.getone()
                envelope = open_envelope(record.headers)
                if mine(envelope):
                    found.append((envelope, read_event(topic, envelope.type, record.value or b"")))
    finally:
        await consumer.stop()
    return found


async def until(there: Callable[[], Awaitable[bool]]) -> None:
    """Return when something outside of this process is so; TimeoutError where it never is."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            if await there():
                return
            await asyncio.sleep(0.02)


async def publish(producer: Producer, topic: Topic, *records: Record) -> None:
    for record in records:
        await producer.publish(topic, [record])
