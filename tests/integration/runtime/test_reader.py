"""The reader on a real broker: what is not handled comes again, what cannot be handled is kept apart, what is away is waited for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faststream.kafka import KafkaBroker

from contracts.commands import Acknowledge
from contracts.envelope import Record, seal
from contracts.ids import CaseId, UploadId, event_id
from contracts.topics import Topic
from services.runtime.errors import Away
from services.runtime.inbox import Inbox
from services.runtime.producer import Producer
from services.runtime.reader import DEAD_LETTERS_IN_A_ROW, Message, Reader, subscribe
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
    async def read(self, handle: Callable[[Message], Awaitable[None]], instance: str = "0", **options: int) -> AsyncIterator[Reader]:
        reader = Reader(self.topic, self.group, handle, inbox=Inbox(self.redis, self.group), dead_letters=self.producer, **options)
        broker = KafkaBroker(self.stack.kafka, consumer_only=True, allow_auto_create_topics=False, logger=None, graceful_timeout=5)
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


@pytest_asyncio.fixture(loop_scope="session")
async def bench(stack: Stack) -> AsyncIterator[Bench]:
    topic = Topic(f"test.{uuid4().hex}", (Acknowledge,), kept=None, partitions=3)
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic.name, 3, 1), NewTopic(topic.dead_letters, 1, 1)])
    await admin.close()
    producer = Producer(stack.kafka, "test", [topic, Topic(topic.dead_letters, (), kept=None)])
    bench = Bench(stack, topic, producer)
    yield bench
    await producer.stop()
    await bench.redis.aclose()


class Heard:
    """A handler that keeps what it heard and does with each message what the test says."""

    def __init__(self, act: Callable[[int, int], Awaitable[None]] | None = None) -> None:
        self.numbers: list[int] = []
        self._act = act
        self._changed = asyncio.Condition()

    async def __call__(self, message: Message) -> None:
        number = number_of(message)
        async with self._changed:
            self.numbers.append(number)
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


async def test_a_message_that_fails_is_attempted_again_and_the_rest_is_not_lost(bench: Bench):
    async def fail_first_time(number: int, times: int) -> None:
        if number == 1 and times == 1:
            raise RuntimeError

    await bench.send(*(command(number) for number in range(3)))
    heard = Heard(fail_first_time)
    async with bench.read(heard):
        await heard.until(lambda numbers: len(numbers) == 4)
        await until(lambda: _is(bench.committed, 3))
    assert heard.numbers == [0, 1, 1, 2]


async def _is(ask: Callable[[], Awaitable[object]], value: object) -> bool:
    return await ask() == value


async def test_a_message_that_always_fails_goes_to_the_dead_letters_with_its_cause_and_blocks_nobody(bench: Bench):
    async def fail(number: int, _: int) -> None:
        if number == 0:
            raise RuntimeError("quotes a patient's name")

    await bench.send(command(0), command(1))
    heard = Heard(fail)
    async with bench.read(heard):
        await heard.until(lambda numbers: 1 in numbers)
        (letter,) = await bench.dead_letters(1)
    assert heard.numbers == [0, 0, 0, 1]
    assert letter["dlq_origin"].startswith(bench.topic.name)
    assert (letter["dlq_cause"], letter["dlq_attempts"], letter["ce_type"]) == ("RuntimeError", "3", "Acknowledge")


async def test_what_is_away_is_waited_for_and_nothing_is_given_up(bench: Bench):
    async def away_at_first(_: int, times: int) -> None:
        if times <= 6:
            raise Away("redis", "test")

    await bench.send(command(0))
    heard = Heard(away_at_first)
    async with bench.read(heard) as reader:
        await heard.until(lambda numbers: len(numbers) == 2)
        assert reader.away is not None
        await heard.until(lambda numbers: len(numbers) == 7)
        await until(lambda: _is(bench.committed, 1))
        assert reader.away is None
    assert await bench.redis.keys(f"*{bench.group}*")


async def test_a_message_that_ends_its_process_each_time_is_given_up(bench: Bench):
    record = command(0)
    inbox = Inbox(bench.redis, bench.group)
    message_id = dict(record.headers)["ce_id"].decode()
    for _ in range(3):  # what a process that dies in the handler leaves behind
        await inbox.begin(message_id, record.key)
    await bench.send(record, command(1))
    heard = Heard()
    async with bench.read(heard):
        await heard.until(lambda numbers: 1 in numbers)
        (letter,) = await bench.dead_letters(1)
    assert heard.numbers == [1]
    assert letter["dlq_cause"] == "it ended its process each time"


async def test_bytes_that_are_no_event_are_kept_apart_and_the_next_message_is_handled(bench: Bench):
    rubbish = AIOKafkaProducer(bootstrap_servers=bench.stack.kafka)
    await rubbish.start()
    for value, headers in ((b"0", []), (b"\xff\xfe", [("ce_id", b"\xff")]), (None, [("ce_type", b"Acknowledge")])):
        await rubbish.send_and_wait(bench.topic.name, value, key=b"patient", headers=headers)
    await rubbish.stop()
    await bench.send(command(7))
    heard = Heard()
    async with bench.read(heard):
        await heard.until(lambda numbers: 7 in numbers)
        letters = await bench.dead_letters(3)
    assert len({letter["dlq_origin"] for letter in letters}) == 3
    assert heard.numbers == [7]


async def test_when_everything_goes_to_the_dead_letters_the_reader_stops_and_says_so(bench: Bench):
    async def fail(_: int, __: int) -> None:
        raise RuntimeError

    many = DEAD_LETTERS_IN_A_ROW + 10
    await bench.send(*(command(number, key=f"patient-{number}") for number in range(many)))
    async with bench.read(Heard(fail), at_once=64) as reader:
        await bench.dead_letters(DEAD_LETTERS_IN_A_ROW)

        async def stopped() -> bool:
            return reader.stopped

        await until(stopped)


async def test_messages_of_one_patient_keep_their_order_while_others_pass(bench: Bench):
    go = asyncio.Event()

    async def hold_first(number: int, _: int) -> None:
        if number == 0:
            await go.wait()

    await bench.send(command(0, "slow"), command(1, "slow"), command(2, "quick"), command(3, "quick"))
    heard = Heard(hold_first)
    async with bench.read(heard):
        await heard.until(lambda numbers: {0, 2, 3} <= set(numbers))
        assert 1 not in heard.numbers
        go.set()
        await heard.until(lambda numbers: 1 in numbers)
    assert heard.numbers.index(2) < heard.numbers.index(3)


async def test_a_partition_is_handed_over_only_when_its_handler_has_ended(bench: Bench):
    go, running = asyncio.Event(), asyncio.Event()

    async def hold(_: int, times: int) -> None:
        if times == 1:
            running.set()
            await go.wait()

    await bench.send(*(command(number, key=f"patient-{number}") for number in range(6)))
    heard = Heard(hold)
    async with bench.read(heard, at_once=1):
        await running.wait()
        second, both_done = Heard(), asyncio.Event()
        joining = asyncio.create_task(_read_beside(bench, second, both_done))
        await until(lambda: _is(bench.group_state, "PreparingRebalance"))
        go.set()
        await until(lambda: _is(bench.committed, 6))
        both_done.set()
        await joining
    assert sorted([*heard.numbers, *second.numbers]) == list(range(6))


async def _read_beside(bench: Bench, heard: Heard, until_done: asyncio.Event) -> None:
    async with bench.read(heard, instance="1"):
        await until_done.wait()


async def test_a_reader_that_is_stopped_in_a_handler_leaves_the_message_to_the_next(bench: Bench):
    running = asyncio.Event()

    async def hold(_: int, __: int) -> None:
        running.set()
        await asyncio.Event().wait()

    await bench.send(command(0))
    async with bench.read(Heard(hold)):
        await running.wait()
    again = Heard()
    async with bench.read(again):
        await again.until(lambda numbers: numbers == [0])


@pytest.mark.parametrize("records", [0, 5])
async def test_a_batch_is_there_whole_or_refused(bench: Bench, records: int):
    batch = [command(number) for number in range(records)] or [command(0, "one"), command(1, "another")]
    if not records:
        with pytest.raises(ValueError, match="one key"):
            await bench.producer.publish(bench.topic, batch)
        return
    await bench.producer.publish(bench.topic, batch)
    heard = Heard()
    async with bench.read(heard):
        await heard.until(lambda numbers: len(numbers) == records)
    assert heard.numbers == list(range(records))


async def test_a_service_may_write_only_its_own_topics(bench: Bench):
    with pytest.raises(ValueError, match="may not write"):
        await bench.producer.publish("cases.v1", [command(0)])
