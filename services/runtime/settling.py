"""Bringing one message to its end: handled, known to have been, or given up in the open.

Two kinds of failure. Something is away: the message is waited with, and nothing is held against it. This message cannot be handled while all
else works: three attempts within two seconds, then the topic's dead letters. Attempts are counted before they start, so that one that ends
its process is given up too; a count that was not the message's fault is taken back."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

from aiokafka import ConsumerRecord
from structlog import get_logger
from structlog.contextvars import bound_contextvars

from contracts.envelope import EnvelopeUnreadable, Record, open_envelope
from contracts.topics import EventUnreadable, Topic, read_event
from services.runtime import metrics
from services.runtime.errors import Away, GreenchannelError, in_words
from services.runtime.inbox import HANDLED
from services.runtime.messages import ATTEMPTS, Message, TriedTooOften
from services.runtime.producer import RecordTooLarge
from services.runtime.waiting import wait_s

BETWEEN_ATTEMPTS_S = (0.2, 0.8)
ATTEMPT_WITHIN_S = 90.0  # longer than all that it reaches may take to say that it is away: what is left is a handler that hangs
PARDON_WITHIN_S = 1.0
DEAD_LETTERS_IN_A_ROW = 20
OF_PATIENTS = 5  # one patient's messages alone do not stop a reader that serves all

log = get_logger()


Handle = Callable[[Message], Awaitable[None]]
Read = Callable[[Topic, ConsumerRecord[Any, Any]], Message]


class InboxPort(Protocol):
    """Where beginnings are counted: `services.runtime.inbox.Inbox`, or a service's own where the count lies with its state."""

    async def begin(self, message_id: UUID | str, key: str, beginning: str) -> int: ...
    async def pardon(self, message_id: UUID | str, key: str) -> None: ...
    async def handled(self, message_id: UUID | str, key: str) -> None: ...


class DeadLetterPort(Protocol):
    async def publish(self, topic: str, records: Sequence[Record]) -> None: ...


class ReaderStopped(GreenchannelError):
    """Everything went to the dead letters: nothing more is taken until somebody has mended the cause. args: the reader."""


class HandledBefore(GreenchannelError):
    """This message is done already: another copy of it was handled, or its handler fell before the commit."""


@dataclass
class _Course:
    """How far a message has come. What is owed to the inbox outlives an outage of the inbox."""

    beginnings: tuple[str, ...]
    is_new: bool
    message: Message | None = None
    begun: int = 0
    cause: str = "it ended its process each time"  # what the last attempt failed of
    handled: bool = False
    owes_pardon: bool = False
    turn: asyncio.Lock | None = None


class Settler:
    """Settles the messages of one reader. `away` is what it waits for just now; `stopped` is for good."""

    def __init__(
        self, topic: Topic, group: str, handle: Handle, inbox: InboxPort, dead_letters: DeadLetterPort | None, read: Read, *, begins_early: bool
    ) -> None:
        self.name = f"{group}/{topic.name}"
        self.away: Away | None = None
        self.stopped = False
        self._topic, self._group, self._handle, self._inbox, self._dead_letters, self._read = topic, group, handle, inbox, dead_letters, read
        self._begins_early = begins_early
        self._dead_in_a_row = 0
        self._dead_keys = set[str]()
        # A message that lies there several times is settled one copy after another: else each would count as an attempt, and all be given up.
        self._copies: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def settle(self, record: ConsumerRecord[Any, Any], *, is_new: bool) -> None:
        """Return when the message is at its end. Raises ReaderStopped; what else it raises is a fault of ours, and the message comes again.

        is_new: nobody can have begun it before."""
        if self.stopped:
            raise ReaderStopped(self.name)
        begun_at = time.monotonic()
        metrics.AGE_SECONDS.labels(self.name).observe(max(0.0, time.time() - record.timestamp / 1000))
        course, failures = _Course((uuid4().hex,), is_new), 0
        try:
            while True:
                try:
                    await self._go_on(record, course)
                    break
                except Away as away:
                    self._note_away(away)
                    await asyncio.sleep(wait_s(failures))
                    failures += 1
        except asyncio.CancelledError:
            await self._pardon_in_passing(course)
            raise
        finally:
            if course.turn is not None:
                course.turn.release()
        self._note_back()
        metrics.HANDLING_SECONDS.labels(self.name).observe(time.monotonic() - begun_at)

    async def _go_on(self, record: ConsumerRecord[Any, Any], course: _Course) -> None:
        try:
            message = self._read(self._topic, record)
        except (EnvelopeUnreadable, EventUnreadable) as unreadable:
            await self._give_up(record, str(unreadable), attempts=0)
            return
        course.message = message
        if course.turn is None:
            turn = self._copies.setdefault(message.envelope.id, asyncio.Lock())
            await turn.acquire()
            course.turn = turn
        with bound_contextvars(reader=self.name, event_id=str(message.envelope.id), upload_id=str(message.envelope.correlationid)):
            await self._attempt(record, message, course)

    async def _attempt(self, record: ConsumerRecord[Any, Any], message: Message, course: _Course) -> None:
        """Attempt until handled or given up; Away passes through, and what is owed by then is paid when it goes on."""
        message_id, key = message.envelope.id, message.envelope.partitionkey
        if course.owes_pardon and not course.handled:
            await self._inbox.pardon(message_id, key)
            course.owes_pardon = False
        while not course.handled:
            try:
                failed = await self._try(message, course)
            except HandledBefore:
                metrics.REPEATED.labels(self.name).inc()
                return
            except TriedTooOften as given_up:
                await self._give_up(record, course.cause, attempts=given_up.attempts)
                await self._inbox.pardon(message_id, key)  # sent again by a person, or by a timer, it is attempted anew
                return
            if failed is None:
                course.handled = True
                break
            course.owes_pardon = False
            course.cause = in_words(failed)
            log.warning("attempt failed", attempt=course.begun, cause=course.cause, exc_info=failed)
            if course.begun < ATTEMPTS:
                await asyncio.sleep(BETWEEN_ATTEMPTS_S[course.begun - 1])
            course.beginnings = (*course.beginnings, uuid4().hex)
        await self._inbox.handled(message_id, key)
        metrics.HANDLED.labels(self.name).inc()
        self._dead_in_a_row = 0
        self._dead_keys.clear()

    async def _try(self, message: Message, course: _Course) -> Exception | None:
        """Attempt once, and return what it failed of. Raises Away, HandledBefore, TriedTooOften."""
        counting = asyncio.create_task(self._count(message, course))
        failed: Exception | None = None
        try:
            if not self._begins_early:
                await counting
            async with asyncio.timeout(ATTEMPT_WITHIN_S):
                await self._handle(replace(message, beginnings=course.beginnings, counted=counting, is_new=course.is_new))
        except (Away, HandledBefore, TriedTooOften):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the message is tried again, then kept apart with its cause
            failed = error
            await counting
        finally:
            if not counting.done():
                counting.cancel()
            await asyncio.gather(counting, return_exceptions=True)
        return failed

    async def _count(self, message: Message, course: _Course) -> None:
        begun = await self._inbox.begin(message.envelope.id, message.envelope.partitionkey, course.beginnings[-1])
        if begun == HANDLED:
            raise HandledBefore
        course.begun = max(begun, len(course.beginnings))  # where the handler is to count, it may fail before it has
        if course.begun > ATTEMPTS:
            raise TriedTooOften(course.begun - 1)
        course.owes_pardon = True

    async def _pardon_in_passing(self, course: _Course) -> None:
        """Take back the count of a message that is put down because the service stops; where that fails, one of its attempts is lost."""
        if course.message is None or course.handled or not course.owes_pardon:
            return
        envelope = course.message.envelope
        with contextlib.suppress(Away, TimeoutError):
            async with asyncio.timeout(PARDON_WITHIN_S):
                await self._inbox.pardon(envelope.id, envelope.partitionkey)

    async def _give_up(self, record: ConsumerRecord[Any, Any], cause: str, *, attempts: int) -> None:
        origin = f"{record.topic}/{record.partition}/{record.offset}"
        if self._dead_letters is None:
            log.critical(
                "a dead letter could not be handled: look at the message at its origin, and call those it is about", origin=origin, cause=cause
            )
        else:
            letter = _letter(record, origin, cause, self._group, attempts)
            try:
                await self._dead_letters.publish(self._topic.dead_letters, [letter])
            except RecordTooLarge:  # nobody of ours wrote it; its origin says where it lies
                await self._dead_letters.publish(self._topic.dead_letters, [Record(letter.key, letter.headers, b"")])
        metrics.DEAD_LETTERS.labels(self.name).inc()
        log.error("message given up", reader=self.name, origin=origin, cause=cause)
        self._dead_in_a_row += 1
        self._dead_keys.add(str(record.key))
        if self._dead_in_a_row >= DEAD_LETTERS_IN_A_ROW and len(self._dead_keys) >= OF_PATIENTS and not self.stopped:
            self.stopped = True
            metrics.STOPPED.labels(self.name).set(1)
            log.critical("everything goes to the dead letters: the reader stops; mend the cause, then start the service again", reader=self.name)

    def _note_away(self, away: Away) -> None:
        if self.away is None or self.away.what != away.what:
            log.warning("waiting", reader=self.name, what=away.what, cause=away.cause)
            self._clear_away()
        self.away = away
        metrics.AWAY.labels(self.name, away.what).set(1)

    def _note_back(self) -> None:
        if self.away is not None:
            log.info("back", reader=self.name, what=self.away.what)
            self._clear_away()
            self.away = None

    def _clear_away(self) -> None:
        if self.away is not None:
            metrics.AWAY.labels(self.name, self.away.what).set(0)


def _letter(record: ConsumerRecord[Any, Any], origin: str, cause: str, group: str, attempts: int) -> Record:
    """Return the message as it came, with why and from where it was put aside."""
    return Record(
        key=(record.key or b"").decode(errors="replace"),
        headers=(
            *((name, value) for name, value in record.headers if not name.startswith("dlq_")),
            ("dlq_cause", cause.encode()),
            ("dlq_origin", origin.encode()),
            ("dlq_group", group.encode()),
            ("dlq_attempts", str(attempts).encode()),
            ("dlq_at", datetime.now(UTC).isoformat().encode()),
        ),
        value=record.value or b"",
    )


def read_message(topic: Topic, record: ConsumerRecord[Any, Any]) -> Message:
    """Return the message that a record of a typed topic holds. Raises EnvelopeUnreadable, EventUnreadable."""
    envelope = open_envelope(record.headers)
    event = read_event(topic, envelope.type, record.value or b"")
    return Message(envelope=envelope, event=event, topic=topic, partition=record.partition, offset=record.offset)
