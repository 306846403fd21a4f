"""What is left of a run, read without the services: every record of every topic, the pager's file, the provider's, the driver's journal."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from contracts import topics
from contracts.envelope import Envelope, EnvelopeUnreadable, open_envelope
from contracts.topics import EventUnreadable, Topic, dead_letter_topic, read_event
from contracts.vocabulary import Frozen
from tests.chaos.journal import Entry, read_journal

READ = (
    topics.INTAKE_EMERGENCY,
    topics.INTAKE_ROUTINE,
    topics.ASSESSMENTS_EMERGENCY,
    topics.ASSESSMENTS_ROUTINE,
    topics.COMMANDS,
    topics.CASES,
    topics.DELIVERIES,
)
DEAD = tuple(dead_letter_topic(topic) for topic in topics.TOPICS)
_MINUTES = re.compile(r"(under 1|\d+) min since upload")  # what a notice that is sent again may say otherwise


@dataclass(frozen=True)
class Written:
    """A record as it lies in its topic."""

    topic: str
    partition: int
    offset: int
    envelope: Envelope
    event: Frozen


@dataclass(frozen=True)
class Rung:
    """A notice as it came to its carrier: the pager's file, or the provider. taken: it was answered with yes."""

    notice_id: str
    at: datetime
    text: str
    taken: bool = True

    @property
    def says(self) -> str:
        """The text without what counts the minutes."""
        return _MINUTES.sub("N min since upload", self.text)


@dataclass(frozen=True)
class Evidence:
    written: Sequence[Written]
    rung: Sequence[Rung]
    journal: Sequence[Entry]
    dead_letters: Sequence[str] = field(default=())  # where each lies, and where it came from
    unreadable: Sequence[str] = field(default=())


async def read_evidence(kafka: str, *, pager: Path, provider: Path, journal: Path) -> Evidence:
    """Read everything from its beginning up to its end of now."""
    written, unreadable = list[Written](), list[str]()
    for topic in READ:
        for record in await _records(kafka, topic):
            try:
                envelope = open_envelope(record.headers)
                event = read_event(topic, envelope.type, record.value or b"")
            except (EnvelopeUnreadable, EventUnreadable) as error:
                unreadable.append(f"{topic.name}/{record.partition}/{record.offset}: {error}")
                continue
            written.append(Written(topic.name, record.partition, record.offset, envelope, event))
    dead = [_dead_letter(record) for topic in DEAD for record in await _records(kafka, topic)]
    return Evidence(written, [*read_rung(pager), *read_rung(provider)], read_journal(journal), dead, unreadable)


def read_rung(path: Path) -> list[Rung]:
    """Return the notices of a file of JSON lines; a line that was torn by a kill names none."""
    found = list[Rung]()
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        found.append(Rung(told["notice_id"], datetime.fromisoformat(told["at"]), told["text"], told.get("taken", True)))
    return found


async def ends_of(kafka: str) -> int:
    """Return how many records lie in all that is read; it grows while anything is under way."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    await consumer.start()
    try:
        return sum((await consumer.end_offsets(_partitions(READ))).values())
    finally:
        await consumer.stop()


def _partitions(of: Iterable[Topic]) -> list[TopicPartition]:
    return [TopicPartition(topic.name, number) for topic in of for number in range(topic.partitions)]


async def _records(kafka: str, topic: Topic) -> list[ConsumerRecord[Any, Any]]:
    """Return a topic's records, each partition's in its order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = _partitions([topic])
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        found = list[ConsumerRecord[Any, Any]]()
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
        return found
    finally:
        await consumer.stop()


def _dead_letter(record: ConsumerRecord[Any, Any]) -> str:
    said = {name: value.decode(errors="replace") for name, value in record.headers if name.startswith("dlq_") or name == "ce_type"}
    return f"{record.topic}/{record.offset}: {json.dumps(said, ensure_ascii=False)}"
