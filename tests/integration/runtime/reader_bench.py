"""A topic of its own on the real broker, and a handler that keeps what it heard."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from contracts.commands import Acknowledge
from contracts.envelope import Record, seal
from contracts.ids import CaseId, UploadId, event_id
from contracts.topics import Topic
from services.runtime.inbox import Inbox
from services.runtime.messages import Message
from services.runtime.producer import Producer
from services.runtime.reader import Reader, kafka_broker, subscribe
from services.runtime.redis_link import connect
from tests.conftest import Stack

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SOON_S = 20


def command(number: int, key: str = "patient") -> Record:
    cause = uuid4()
    case = CaseId(UUID(int=number))
    return seal(
        Acknowledge(case_id=case, at=NOW, by="ann"),
        event_id=event_id(cause, "Acknowledge"),
        source="test",
        subject=case,
        key=key,
        time=NOW,
        recorded=NOW,
        correlation=UploadId(case),
        causation=cause,
    )


def number_of(message: Message) -> int:
    assert isinstance(message.event, Acknowledge)
    return message.event.case_id.int


class Bench:
    """A topic of its own with its dead letters, and what is needed to write and read them."""

    def __init__(self, stack: Stack, topic: Topic, producer: Producer) -> None:
        self.stack, self.topic, self.producer = stack, topic, producer
        self.group = f"group-{topic.name}"
        self.redis = connect(stack.redis)

    async def send(self, *records: Record) -> None:
        for record in records:
            await self.producer.publish(self.topic, [record])

    @asynccontextmanager
    async def read(self, handle: Callable[[Message], Awaitable[None]], instance: str = "0", **options: Any) -> AsyncIterator[Reader]:
        reader = Reader(self.topic, self.group, handle, inbox=Inbox(self.redis, self.group), dead_letters=self.producer, **options)
        broker = kafka_broker(self.stack.kafka)
        subscribe(broker, reader, instance=instance)
        await broker.start()
        try:
            yield reader
        finally:
            await broker.stop()

    async def committed(self) -> int:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.stack.kafka)
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(self.group)
            return sum(offset.offset for partition, offset in offsets.items() if partition.topic == self.topic.name)
        finally:
            await admin.close()

    async def group_state(self) -> str:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.stack.kafka)
        await admin.start()
        try:
            (response,) = await admin.describe_consumer_groups([self.group])
            return str(response.groups[0][2])
        finally:
            await admin.close()

    async def count_dead_letters(self) -> int:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.stack.kafka)
        await consumer.start()
        try:
            partition = TopicPartition(self.topic.dead_letters, 0)
            return (await consumer.end_offsets([partition]))[partition]
        finally:
            await consumer.stop()

    async def dead_letters(self, count: int) -> list[dict[str, str]]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.stack.kafka, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign([TopicPartition(self.topic.dead_letters, 0)])
            async with asyncio.timeout(SOON_S):
                letters = [await consumer.getone() for _ in range(count)]
            return [{name: value.decode(errors="replace") for name, value in letter.headers} for letter in letters]
        finally:
            await consumer.stop()


class Heard:
    """A handler that keeps what it heard and does with each message what the test says."""

    def __init__(self, act: Callable[[int, int], Awaitable[None]] | None = None) -> None:
        self.numbers: list[int] = []
        self.new: list[bool] = []
        self._act = act
        self._changed = asyncio.Condition()

    async def __call__(self, message: Message) -> None:
        number = number_of(message)
        async with self._changed:
            self.numbers.append(number)
            self.new.append(message.is_new)
            self._changed.notify_all()
        if self._act is not None:
            await self._act(number, self.numbers.count(number))

    async def until(self, enough: Callable[[Sequence[int]], bool]) -> None:
        async with asyncio.timeout(SOON_S), self._changed:
            await self._changed.wait_for(lambda: enough(self.numbers))


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SOON_S):
        while not await true():
            await asyncio.sleep(0.05)


async def is_now(ask: Callable[[], Awaitable[object]], value: object) -> bool:
    return await ask() == value
