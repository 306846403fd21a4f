"""A reader of one topic: takes messages from FastStream, settles each to its end, and only then lets the offset be committed.

Two kinds of failure. Something is away: the reader waits, its messages in hand, and dead-letters nothing. This message cannot be handled
while all else works: three attempts within two seconds, then the topic's dead letters. Attempts are counted before they start."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError
from faststream import AckPolicy
from faststream.exceptions import StopConsume
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage
from structlog import get_logger
from structlog.contextvars import bound_contextvars

from contracts.envelope import Envelope, EnvelopeUnreadable, Record, open_envelope
from contracts.topics import EventUnreadable, Topic, read_event
from contracts.vocabulary import Frozen
from services.runtime import metrics
from services.runtime.errors import Away, in_words
from services.runtime.inbox import HANDLED
from services.runtime.waiting import wait_s

ATTEMPTS = 3
BETWEEN_ATTEMPTS_S = (0.2, 0.8)
ATTEMPT_WITHIN_S = 30.0
DEAD_LETTERS_IN_A_ROW = 20
REVOKE_WAITS_S = 20.0
REBALANCE_WITHIN_MS = 30_000  # longer than a revoke waits: else the group goes on without the one that still handles
TAKES_AT_MOST = 2000
LOOKS_EVERY_MS = 20
DAY_MS = 24 * 60 * 60 * 1000

log = get_logger()


@dataclass(frozen=True)
class Message:
    """A message that can be read: its envelope, its event, and where it lies."""

    envelope: Envelope
    event: Frozen
    topic: Topic
    partition: int
    offset: int


Handle = Callable[[Message], Awaitable[None]]
Read = Callable[[Topic, ConsumerRecord[Any, Any]], Message]


class InboxPort(Protocol):
    """Where beginnings are counted: `services.runtime.inbox.Inbox`, or a service's own where the count lies with its state."""

    async def begin(self, message_id: UUID | str, key: str) -> int: ...
    async def pardon(self, message_id: UUID | str, key: str) -> None: ...
    async def handled(self, message_id: UUID | str, key: str) -> None: ...


class DeadLetterPort(Protocol):
    async def publish(self, topic: str, records: Sequence[Record]) -> None: ...


class Reader:
    """Reads one topic for one consumer group.

    handle is called with each message that can be read, never twice at once for one key, and again if it failed. Returning means that
    everything that follows from the message is durable. It raises Away where a part of the stack is away.

    read makes a Message of a record, or raises EnvelopeUnreadable or EventUnreadable. Without in_order, messages of one key are handled at
    once too, and others are taken while some are still in hand: one that hangs holds up nobody. dead_letters is None where the topic holds
    dead letters itself: one that cannot be handled stays there, and a critical log line names it."""

    def __init__(
        self,
        topic: Topic,
        group: str,
        handle: Handle,
        *,
        inbox: InboxPort,
        dead_letters: DeadLetterPort | None,
        wants: Callable[[Sequence[tuple[str, bytes]]], bool] = lambda _: True,
        read: Read | None = None,
        at_once: int = 8,
        drain: int = 100,
        in_order: bool = True,
    ) -> None:
        self.topic, self.group = topic, group
        self.name = f"{group}/{topic.name}"
        self.away: Away | None = None
        self.stopped = False
        self.handing_on = False  # its partitions are being taken away: nothing more is begun
        self._handle, self._inbox, self._dead_letters = handle, inbox, dead_letters
        self._wants, self._at_once, self._drain, self._in_order = wants, asyncio.Semaphore(at_once), drain, in_order
        self._read = read or _read
        self._dead_in_a_row = 0

    async def on_message(self, message: KafkaMessage) -> None:
        """Settle one message and whatever lies ready behind it; raising leaves all of them uncommitted."""
        if self.stopped:
            raise StopConsume
        consumer = message.consumer
        records: list[ConsumerRecord[Any, Any]] = [message.raw_message]  # type: ignore[list-item] # not a batch subscriber
        try:
            await self._take(consumer, records, wait_ms=0)
            if self._in_order:
                await self._settle_all(records)
            else:
                await self._settle_meanwhile(consumer, records)
        except BaseException:
            # FastStream seeks back in the first message's partition; what was drained after it lies in others too.
            for partition, offset in _earliest(records).items():
                try:
                    consumer.seek(partition, offset)
                except IllegalStateError:
                    log.info("partition went to another reader", reader=self.name, partition=partition.partition)
            raise

    async def _take(self, consumer: Any, records: list[ConsumerRecord[Any, Any]], *, wait_ms: int) -> list[ConsumerRecord[Any, Any]]:
        """Add to the records what lies ready, and return what was added."""
        found = await consumer.getmany(timeout_ms=wait_ms, max_records=self._drain)
        more = [record for of_partition in found.values() for record in of_partition]
        records += more
        return more

    async def _settle_meanwhile(self, consumer: Any, records: list[ConsumerRecord[Any, Any]]) -> None:
        """Settle each by itself, and take others while some are in hand. What was settled and not committed yet, the inbox knows."""
        more: Sequence[ConsumerRecord[Any, Any]] = list(records)
        in_hand: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                for record in more:
                    if self._wants(record.headers):
                        task = group.create_task(self._settle_in_order([record]))
                        in_hand.add(task)
                        task.add_done_callback(in_hand.discard)
                await asyncio.sleep(0)
                if not in_hand or self.handing_on or len(records) >= TAKES_AT_MOST:
                    break
                more = await self._take(consumer, records, wait_ms=LOOKS_EVERY_MS)

    async def _settle_all(self, records: Sequence[ConsumerRecord[Any, Any]]) -> None:
        by_key: dict[tuple[int, bytes | None], list[ConsumerRecord[Any, Any]]] = {}
        for record in records:
            if self._wants(record.headers):
                by_key.setdefault((record.partition, record.key), []).append(record)
        async with asyncio.TaskGroup() as group:
            for of_one_key in by_key.values():
                group.create_task(self._settle_in_order(of_one_key))

    async def _settle_in_order(self, records: Sequence[ConsumerRecord[Any, Any]]) -> None:
        async with self._at_once:
            for record in records:
                await self._settle(record)

    async def _settle(self, record: ConsumerRecord[Any, Any]) -> None:
        """Bring one message to its end: handled, known to be, or given up."""
        begun_at = time.monotonic()
        metrics.AGE_SECONDS.labels(self.name).observe(max(0.0, time.time() - record.timestamp / 1000))
        failures = 0
        while True:
            try:
                await self._read_and_attempt(record)
                break
            except Away as away:
                self._note_away(away)
                await asyncio.sleep(wait_s(failures))
                failures += 1
        self._note_back()
        metrics.HANDLING_SECONDS.labels(self.name).observe(time.monotonic() - begun_at)

    async def _read_and_attempt(self, record: ConsumerRecord[Any, Any]) -> None:
        try:
            message = self._read(self.topic, record)
        except (EnvelopeUnreadable, EventUnreadable) as unreadable:
            await self._give_up(record, f"{record.topic}-{record.partition}-{record.offset}", str(unreadable), attempts=0)
            return
        with bound_contextvars(reader=self.name, event_id=str(message.envelope.id), upload_id=str(message.envelope.correlationid)):
            await self._attempt(record, message)

    async def _attempt(self, record: ConsumerRecord[Any, Any], message: Message) -> None:
        """Attempt until handled or given up; Away passes through, the message pardoned."""
        message_id, key = message.envelope.id, message.envelope.partitionkey
        cause = "it ended its process each time"
        while True:
            attempt = await self._inbox.begin(message_id, key)
            if attempt == HANDLED:
                metrics.REPEATED.labels(self.name).inc()
                return
            if attempt > ATTEMPTS:
                await self._give_up(record, message_id, cause, attempts=attempt - 1)
                return
            try:
                async with asyncio.timeout(ATTEMPT_WITHIN_S):
                    await self._handle(message)
            except Away:
                await self._inbox.pardon(message_id, key)
                raise
            except Exception as error:  # whatever it is, the message is tried again, then kept apart with its cause
                cause = in_words(error)
                log.warning("attempt failed", attempt=attempt, cause=cause, exc_info=True)
                if attempt < ATTEMPTS:
                    await asyncio.sleep(BETWEEN_ATTEMPTS_S[attempt - 1])
            else:
                await self._inbox.handled(message_id, key)
                metrics.HANDLED.labels(self.name).inc()
                self._dead_in_a_row = 0
                return

    async def _give_up(self, record: ConsumerRecord[Any, Any], message_id: UUID | str, cause: str, *, attempts: int) -> None:
        origin = f"{record.topic}/{record.partition}/{record.offset}"
        key = (record.key or b"").decode(errors="replace")
        letter = Record(
            key=key,
            headers=(
                *((name, value) for name, value in record.headers if not name.startswith("dlq_")),
                ("dlq_cause", cause.encode()),
                ("dlq_origin", origin.encode()),
                ("dlq_group", self.group.encode()),
                ("dlq_attempts", str(attempts).encode()),
                ("dlq_at", datetime.now(UTC).isoformat().encode()),
            ),
            value=record.value or b"",
        )
        if self._dead_letters is None:
            log.critical("a dead letter could not be handled: call those it is about; see `greenchannel ops dlq`", origin=origin, cause=cause)
        else:
            await self._dead_letters.publish(self.topic.dead_letters, [letter])
        await self._inbox.handled(message_id, key)
        metrics.DEAD_LETTERS.labels(self.name).inc()
        log.error("message given up", reader=self.name, origin=origin, cause=cause)
        self._dead_in_a_row += 1
        if self._dead_in_a_row >= DEAD_LETTERS_IN_A_ROW:
            self.stopped = True
            metrics.STOPPED.labels(self.name).set(1)
            log.critical("everything goes to the dead letters: the reader stops; mend the cause, then start the service again", reader=self.name)

    def _note_away(self, away: Away) -> None:
        if self.away is None:
            log.warning("waiting", reader=self.name, what=away.what, cause=away.cause)
        self.away = away
        metrics.AWAY.labels(self.name, away.what).set(1)

    def _note_back(self) -> None:
        if self.away is not None:
            log.info("back", reader=self.name, what=self.away.what)
            metrics.AWAY.labels(self.name, self.away.what).set(0)
            self.away = None


def _read(topic: Topic, record: ConsumerRecord[Any, Any]) -> Message:
    envelope = open_envelope(record.headers)
    event = read_event(topic, envelope.type, record.value or b"")
    return Message(envelope=envelope, event=event, topic=topic, partition=record.partition, offset=record.offset)


def _earliest(records: Sequence[ConsumerRecord[Any, Any]]) -> dict[TopicPartition, int]:
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
        self._reader.handing_on = True
        consumer = self.subscriber.consumer
        if consumer is not None:  # the next assignment begins unpaused
            consumer.pause(*(revoked & consumer.assignment()))
        await self.subscriber.lock.wait_release(REVOKE_WAITS_S)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._reader.handing_on = False


async def _raw(message: Any) -> bytes:
    body: bytes = message.body
    return body


async def _with_readable_headers(record: ConsumerRecord[Any, Any], parse: Callable[[Any], Awaitable[Any]]) -> Any:
    """FastStream decodes every header; a message where that fails would be skipped and committed past. Let it come, to be given up in the open."""
    if any(not _is_utf8(value) for _, value in record.headers):
        record.headers = tuple((name, value.decode(errors="replace").encode()) for name, value in record.headers)
    return await parse(record)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


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
        parser=_with_readable_headers,
        decoder=_raw,
        no_reply=True,
        max_poll_interval_ms=DAY_MS,  # waiting for a part of the stack is not being dead; an attempt has its own limit
        rebalance_timeout_ms=REBALANCE_WITHIN_MS,
        session_timeout_ms=10_000,
        fetch_max_wait_ms=500,
    )
    listener.subscriber = subscriber
    subscriber(reader.on_message)
