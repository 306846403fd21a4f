"""What a service knows by following a compacted topic of one partition: the directory, the contacts, who has access.

Read from its beginning by every process for itself, with no consumer group: each needs all of it, and nothing is ever committed."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from structlog import get_logger

from contracts import topics
from contracts.access import Access, AccountAdded, ClinicTokenAdded, TokenRevoked
from contracts.directory import Contacts, ContactsLoaded, Directory, DirectoryLoaded
from contracts.envelope import EnvelopeUnreadable, open_envelope
from contracts.topics import EventUnreadable, Topic, read_event
from contracts.vocabulary import Frozen
from services.runtime.errors import Away, NotLoaded

LOOKS_EVERY_MS = 1000
FETCH_WAITS_MS = 2000
ANSWERS_WITHIN_S = 10.0

T = TypeVar("T")

log = get_logger()


class Followed(Generic[T]):
    """The value that a topic's events leave. What was known stays known while Kafka is away: minutes old is better than nothing."""

    def __init__(self, kafka: str, topic: Topic, what: str, remedy: str, hear: Callable[[T | None, Frozen], T | None]) -> None:
        """hear returns the value after an event, for events that do not concern it the same value; remedy says how something gets there."""
        if topic.partitions != 1:
            raise ValueError(f"{topic.name} has several partitions: its events have no order among them")
        self.what, self.topic = what, topic
        self._kafka, self._remedy, self._hear = kafka, remedy, hear
        self._partition = TopicPartition(topic.name, 0)
        self._value: T | None = None
        self._next: int | None = None  # the offset to go on from: what lies before it is in the value
        self._read_whole = False

    def current(self) -> T:
        """Return what is known by now. Raises Away until the topic was read once to its end, NotLoaded where nothing lies in it."""
        if not self._read_whole:
            raise Away(self.what, "it is not read yet")
        if self._value is None:
            raise NotLoaded(self.what, self._remedy)
        return self._value

    async def follow(self) -> None:
        """Hear the topic until cancelled. Raises Away where Kafka cannot be read; called again, it goes on where it was."""
        await self._read(to_the_end=False)

    async def read(self) -> T | None:
        """Read to the end that the topic has now; return what was found, None for nothing. Raises Away."""
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                await self._read(to_the_end=True)
        except TimeoutError as error:
            raise Away("kafka", f"{self.topic.name} was not read within {ANSWERS_WITHIN_S:g} s") from error
        return self._value

    async def _read(self, *, to_the_end: bool) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka.split(","),
            group_id=None,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=FETCH_WAITS_MS,
        )
        try:
            await consumer.start()
            consumer.assign([self._partition])
            if self._next is not None:
                consumer.seek(self._partition, self._next)
            end = (await consumer.end_offsets([self._partition]))[self._partition]
            while True:
                self._next = await consumer.position(self._partition)
                if not self._read_whole and self._next >= end:
                    self._read_whole = True
                    log.info("read whole", what=self.what, topic=self.topic.name)
                if to_the_end and self._next >= end:
                    return
                for records in (await consumer.getmany(timeout_ms=LOOKS_EVERY_MS)).values():
                    for record in records:
                        self._take(record)
        except (KafkaError, OSError) as error:
            raise Away("kafka", type(error).__name__) from error
        finally:
            with contextlib.suppress(KafkaError, OSError):
                await consumer.stop()

    def _take(self, record: ConsumerRecord[Any, Any]) -> None:
        self._next = record.offset + 1
        headers = ((name, value or b"") for name, value in record.headers)  # somebody's may be null
        try:
            event = read_event(self.topic, open_envelope(headers).type, record.value or b"")
        except (EnvelopeUnreadable, EventUnreadable) as error:
            log.critical("a record cannot be read and is left out: load it again", topic=record.topic, offset=record.offset, cause=str(error))
            return
        self._value = self._hear(self._value, event)


def followed_directory(kafka: str) -> Followed[Directory]:
    def hear(held: Directory | None, event: Frozen) -> Directory | None:
        return event.directory if isinstance(event, DirectoryLoaded) else held

    return Followed(kafka, topics.DIRECTORY, "directory", "`greenchannel directory load FILE`", hear)


def followed_contacts(kafka: str) -> Followed[Contacts]:
    def hear(held: Contacts | None, event: Frozen) -> Contacts | None:
        return event.contacts if isinstance(event, ContactsLoaded) else held

    return Followed(kafka, topics.DIRECTORY, "contacts", "`greenchannel directory load FILE`", hear)


def followed_access(kafka: str) -> Followed[Access]:
    def hear(held: Access | None, event: Frozen) -> Access | None:
        access = held or Access()
        if isinstance(event, AccountAdded | ClinicTokenAdded | TokenRevoked):
            access.hear(event)
        return access

    return Followed(kafka, topics.ACCESS, "access", "`greenchannel access add`", hear)
