"""A reader of one topic: takes messages from FastStream, has each settled, and only then lets its offset be committed."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.exceptions import StopConsume
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage
from structlog import get_logger

from contracts.topics import Topic
from services.runtime.errors import Away
from services.runtime.settling import DeadLetterPort, Handle, InboxPort, Read, Settler, read_message

REVOKE_WAITS_S = 20.0
REBALANCE_WITHIN_MS = 30_000  # longer than a revoke waits: else the group goes on without the one that still handles
COMMITS_EVERY_S = 1.0
TAKES_AT_MOST = 100
LOOKS_EVERY_MS = 200  # it hears of a message at once, and so often whether it shall hand on
FETCH_WAITS_MS = 2_000
AFTER_A_FAULT_S = 1.0  # FastStream gives a message back at once: a fault of ours must not spin
STOP_WITHIN_S = 5.0
DAY_MS = 24 * 60 * 60 * 1000

Records = list[ConsumerRecord[Any, Any]]

log = get_logger()


class Reader:
    """Reads one topic for one consumer group.

    handle is called with each message that can be read, never twice at once for one key, and again if it failed. Returning means that
    everything that follows from the message is durable. It raises Away where a part of the stack is away.

    read makes a Message of a record, or raises EnvelopeUnreadable or EventUnreadable. Without in_order, messages of one key are handled at
    once too, and others are taken while some are still in hand: one that hangs holds up nobody. With begins_early the handler runs while its
    beginning is being counted, and awaits message.counted before it does what others see: a repeat is then handled in vain. dead_letters
    is None where the topic holds dead letters itself: one that cannot be handled stays there, and a critical log line names it."""

    def __init__(
        self,
        topic: Topic,
        group: str,
        handle: Handle,
        *,
        inbox: InboxPort,
        dead_letters: DeadLetterPort | None,
        wants: Callable[[Sequence[tuple[str, bytes]]], bool] = lambda _: True,
        read: Read = read_message,
        at_once: int = 8,
        in_order: bool = True,
        begins_early: bool = False,
    ) -> None:
        self.topic, self.group = topic, group
        self._handing_on = asyncio.Event()
        self._settler = Settler(topic, group, handle, inbox, dead_letters, read, begins_early=begins_early)
        self._wants, self._at_once, self._in_order = wants, at_once, in_order
        self._turns = asyncio.Semaphore(at_once)
        self._reached: dict[TopicPartition, int] = {}  # how far a partition went when first taken of: what lies before may have been begun

    @property
    def name(self) -> str:
        return self._settler.name

    @property
    def away(self) -> Away | None:
        return self._settler.away

    @property
    def stopped(self) -> bool:
        return self._settler.stopped

    @property
    def handing_on(self) -> bool:
        return self._handing_on.is_set()

    def hand_on(self) -> None:
        """Begin nothing more and bring what is in hand to its end: its partitions are being taken away, or the service stops."""
        self._handing_on.set()

    def go_on(self) -> None:
        self._reached.clear()
        self._handing_on.clear()

    async def on_message(self, message: KafkaMessage) -> None:
        """Settle one message and what comes behind it within a second; raising leaves all that is not settled uncommitted.

        A commit costs as much as a message. What was settled and not committed comes again after a crash, and the inbox knows it."""
        if self.stopped:
            raise StopConsume
        consumer: Any = message.consumer
        records: Records = [message.raw_message]  # type: ignore[list-item] # not a batch subscriber
        try:
            await self._take(consumer, records, wait_ms=0, at_most=TAKES_AT_MOST if self._in_order else self._at_once)
            await (self._settle_in_turn(consumer, records) if self._in_order else self._settle_meanwhile(consumer, records))
        except BaseException as error:
            self._reached.clear()
            # FastStream seeks back in the first message's partition; what was drained after it lies in others too.
            for partition, offset in _earliest(records).items():
                try:
                    consumer.seek(partition, offset)
                except IllegalStateError:
                    log.info("partition went to another reader", reader=self.name, partition=partition.partition)
            if isinstance(error, Exception) and not self.stopped:
                log.exception("messages given back", reader=self.name)
                await asyncio.sleep(AFTER_A_FAULT_S)
            raise

    async def _take(self, consumer: Any, records: Records, *, wait_ms: int, at_most: int) -> Records:
        """Add to the records what lies ready, and return what was added.

        While partitions are reassigned aiokafka answers nobody, and the reassignment waits for what is in hand: so who hands on does not wait."""
        taking, handing_on = (
            asyncio.ensure_future(consumer.getmany(timeout_ms=wait_ms, max_records=at_most)),
            asyncio.ensure_future(self._handing_on.wait()),
        )
        try:
            await asyncio.wait({taking, handing_on}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            handing_on.cancel()
            taking.cancel()  # what it has taken by now is its result all the same
            await asyncio.wait({taking})
        found = {} if taking.cancelled() else taking.result()
        more = [_readable(record) for of_partition in found.values() for record in of_partition]
        records += more
        return more

    async def _settle_in_turn(self, consumer: Any, records: Records) -> None:
        """Settle what was taken, then what lies ready by then; one key's messages in their order, several keys at once."""
        more: Records = list(records)
        commit_at = time.monotonic() + COMMITS_EVERY_S
        while True:
            by_key: dict[tuple[int, bytes | None], Records] = {}
            for record in more:
                if self._wants(record.headers):
                    by_key.setdefault((record.partition, record.key), []).append(record)
            async with asyncio.TaskGroup() as group:
                for of_one_key in by_key.values():
                    group.create_task(self._settle_in_order(consumer, of_one_key))
            if self.handing_on or self.stopped or time.monotonic() >= commit_at:
                return
            more = await self._take(consumer, records, wait_ms=LOOKS_EVERY_MS, at_most=TAKES_AT_MOST)

    async def _settle_in_order(self, consumer: Any, records: Sequence[ConsumerRecord[Any, Any]]) -> None:
        async with self._turns:
            for record in records:
                await self._settler.settle(record, is_new=self._is_new(consumer, record))

    def _is_new(self, consumer: Any, record: ConsumerRecord[Any, Any]) -> bool:
        """Tell whether a message was written after this reader had its partition, so that nobody can have begun it before."""
        partition = TopicPartition(record.topic, record.partition)
        if partition not in self._reached:
            end = consumer.highwater(partition) if partition in consumer.assignment() else None
            if end is None:
                return False
            self._reached[partition] = end
        return record.offset >= self._reached[partition]

    async def _settle_meanwhile(self, consumer: Any, records: Records) -> None:
        """Settle each by itself, take others while there is room, and commit what lies before the first that is not settled.

        No more is taken than can be handled at once: what is in hand when partitions are taken away can then be brought to its end."""
        more: Records = list(records)
        in_hand: dict[asyncio.Task[None], ConsumerRecord[Any, Any]] = {}
        commit_at = time.monotonic() + COMMITS_EVERY_S

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception() is None:
                del in_hand[task]

        async with asyncio.TaskGroup() as group:
            while True:
                for record in more:
                    if self._wants(record.headers):
                        task = group.create_task(self._settler.settle(record, is_new=self._is_new(consumer, record)))
                        in_hand[task] = record
                        task.add_done_callback(ended)
                if self.handing_on or self.stopped:
                    return
                if time.monotonic() >= commit_at:
                    if not in_hand:
                        return
                    await self._commit_settled(consumer, records, in_hand.values())
                    commit_at = time.monotonic() + COMMITS_EVERY_S
                room = self._at_once - len(in_hand)
                if room > 0:
                    more = await self._take(consumer, records, wait_ms=LOOKS_EVERY_MS, at_most=room)
                else:
                    await asyncio.wait(in_hand, timeout=LOOKS_EVERY_MS / 1000, return_when=asyncio.FIRST_COMPLETED)
                    more = []

    async def _commit_settled(self, consumer: Any, records: Records, in_hand: Iterable[ConsumerRecord[Any, Any]]) -> None:
        """Commit up to the first unsettled message of each partition, and forget what lies before it."""
        settled = {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}
        settled |= _earliest(in_hand)
        try:
            await consumer.commit(settled)
        except (KafkaError, IllegalStateError) as error:  # it comes again, and the inbox knows it
            log.info("not committed", reader=self.name, cause=type(error).__name__)
            return
        records[:] = [record for record in records if record.offset >= settled[TopicPartition(record.topic, record.partition)]]


def _earliest(records: Iterable[ConsumerRecord[Any, Any]]) -> dict[TopicPartition, int]:
    earliest: dict[TopicPartition, int] = {}
    for record in records:
        partition = TopicPartition(record.topic, record.partition)
        earliest[partition] = min(record.offset, earliest.get(partition, record.offset))
    return earliest


class _RevokeWaits(ConsumerRebalanceListener):
    """A partition is handed on only when what is being handled of it has ended, and nothing more of it is begun meanwhile."""

    subscriber: Any = None

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._reader.hand_on()
        consumer = self.subscriber.consumer
        if consumer is not None:  # the next assignment begins unpaused
            consumer.pause(*(revoked & consumer.assignment()))
        await self.subscriber.lock.wait_release(REVOKE_WAITS_S)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._reader.go_on()


async def _whole(message: Any) -> Any:
    """The handler is given the message as it is: FastStream would guess at its JSON, and inject it through a thread."""
    return message


async def _parse_readable(record: ConsumerRecord[Any, Any], parse: Callable[[Any], Awaitable[Any]]) -> Any:
    """FastStream decodes every header; a message where that fails would be skipped and committed past. Let it come, to be given up in the open."""
    return await parse(_readable(record))


def _readable(record: ConsumerRecord[Any, Any]) -> ConsumerRecord[Any, Any]:
    """Return the record with headers that are UTF-8, whatever somebody wrote there: null, or bytes."""
    if any(value is None or not _is_utf8(value) for _, value in record.headers):
        record.headers = tuple((name, (value or b"").decode(errors="replace").encode()) for name, value in record.headers)
    return record


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def kafka_broker(kafka: str) -> KafkaBroker:
    """Return a broker for readers: it writes nothing, makes no topic, injects nothing, and waits a little for what is in hand when it stops."""
    return KafkaBroker(
        kafka.split(","), consumer_only=True, allow_auto_create_topics=False, apply_types=False, graceful_timeout=STOP_WITHIN_S, logger=None
    )


def subscribe(broker: KafkaBroker, reader: Reader, *, instance: str) -> None:
    """Let the reader hear its topic: from the earliest message on, each kept until it is settled."""
    listener = _RevokeWaits(reader)
    subscriber = broker.subscriber(
        reader.topic.name,
        group_id=reader.group,
        group_instance_id=f"{reader.name.replace('/', '-')}-{instance}",  # one that comes back at once finds its partitions waiting
        ack_policy=AckPolicy.NACK_ON_ERROR,
        auto_offset_reset="earliest",
        listener=listener,
        parser=_parse_readable,
        decoder=_whole,
        no_reply=True,
        max_poll_interval_ms=DAY_MS,  # waiting for a part of the stack is not being dead; an attempt has its own limit
        rebalance_timeout_ms=REBALANCE_WITHIN_MS,
        session_timeout_ms=10_000,
        fetch_max_wait_ms=FETCH_WAITS_MS,
    )
    listener.subscriber = subscriber
    subscriber(reader.on_message)
