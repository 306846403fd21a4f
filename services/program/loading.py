"""The directory and the accounts in Kafka, for the commands that write them: read as they stand, written only where something changes."""

import asyncio
import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid5

import structlog

from contracts import topics
from contracts.access import Access, AccessEvents
from contracts.directory import Contacts, ContactsLoaded, Directory, DirectoryLoaded
from contracts.envelope import Record, seal
from contracts.ids import NAMESPACE, UploadId, event_id
from contracts.topics import Topic
from contracts.vocabulary import Frozen
from services.program.server import DEFAULT_DATA, Refused
from services.runtime.errors import Away, ConfigurationError
from services.runtime.followed import Followed, followed_access, followed_contacts, followed_directory
from services.runtime.producer import Producer, RecordTooLarge
from services.runtime.topics_admin import ensure_topics

REPLICATION = "GREENCHANNEL_REPLICATION"
PREPARED_WITHIN_S = 20.0


def find_kafka(data: Path | None) -> str:
    """Return the bootstrap servers: of a data folder, else of GREENCHANNEL_KAFKA; Refused where neither tells."""
    named = os.environ.get("GREENCHANNEL_KAFKA")
    if data is None and named:
        return named
    ports = (data or DEFAULT_DATA) / "ports.json"
    try:
        return f"127.0.0.1:{json.loads(ports.read_text(encoding='utf-8'))['Kafka']}"
    except (OSError, ValueError, KeyError):
        raise Refused(
            f"{ports} names no Kafka. Start a server with `greenchannel up`, name its folder with --data, or set GREENCHANNEL_KAFKA."
        ) from None


def replication() -> int:
    """Return how many copies a topic gets that is made here, as services read it; Refused where it is no number."""
    told = os.environ.get(REPLICATION, "1")
    if not told.isdecimal() or not 1 <= int(told) <= 9:
        raise Refused(f"{REPLICATION} is to be a number from 1 to 9")
    return int(told)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the log lines of what is used here off a person's terminal, but for what is critical."""
    before, libraries = structlog.get_config(), logging.getLogger("aiokafka")
    level = libraries.level
    critical = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=critical, logger_factory=structlog.WriteLoggerFactory(file=sys.stderr))
    libraries.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        structlog.configure(**before)
        libraries.setLevel(level)


@contextmanager
def on_a_terminal() -> Iterator[None]:
    """Be quiet, and raise Refused with the sentence that a person needs."""
    try:
        with quiet():
            yield
    except Away as away:
        raise Refused(f"{away}. Is the server running? Start it with `greenchannel up`, and try again.") from None
    except ConfigurationError as error:
        raise Refused(str(error)) from None


async def prepare(kafka: str) -> None:
    """Have the two topics there, before they are read or written. Raises Away, ConfigurationError."""
    try:
        async with asyncio.timeout(PREPARED_WITHIN_S):
            await ensure_topics(kafka, replication(), (topics.DIRECTORY, topics.ACCESS))
    except TimeoutError:
        raise Away("kafka", f"no answer within {PREPARED_WITHIN_S:g} s") from None


async def read_loaded(kafka: str) -> tuple[Directory | None, Contacts | None]:
    """Return what is loaded; None for what is not. Raises Away."""
    return await followed_directory(kafka).read(), await followed_contacts(kafka).read()


async def refuse_other_content(kafka: str, directory: Directory, contacts: Contacts) -> None:
    """Raise Refused where the version was loaded with other content: a case names the version that decided, and that is to be one. Raises Away.

    What compaction has taken is not known any more: of those before the last, not all are found."""
    loaded, known_contacts = await read_loaded(kafka)
    known = (await _known_versions(kafka).read() or {}).get(directory.version)
    is_loaded = loaded is not None and loaded.version == directory.version
    if known not in (None, directory) or (is_loaded and (loaded, known_contacts) != (directory, contacts)):
        raise Refused(
            f"version {directory.version} was loaded before with other content, and cases name it as what decided: give the file another version."
        )


def _known_versions(kafka: str) -> Followed[dict[str, Directory]]:
    def hear(held: dict[str, Directory] | None, event: Frozen) -> dict[str, Directory] | None:
        return (held or {}) | {event.directory.version: event.directory} if isinstance(event, DirectoryLoaded) else held

    return Followed(kafka, topics.DIRECTORY, "directory", "`greenchannel directory load FILE`", hear)


async def load(kafka: str, directory: Directory, contacts: Contacts, at: datetime) -> bool:
    """Publish a checked directory with its contacts; False where just that is loaded, and nothing was written. Raises Away, ConfigurationError.

    Both go in one record batch, which their topic's one partition allows: whole or not at all, the contacts first, so that nobody reads of a
    person who cannot be reached yet. Two keys, so that compaction keeps the last of each."""
    if await read_loaded(kafka) == (directory, contacts):
        return False
    records = [
        _sealed_load(ContactsLoaded(at=at, version=directory.version, contacts=contacts)),
        _sealed_load(DirectoryLoaded(at=at, directory=directory)),
    ]
    try:
        await _publish(kafka, topics.DIRECTORY, records)
    except RecordTooLarge:
        size_kib = sum(len(record.value) for record in records) // 1024
        raise ConfigurationError(
            f"directory {directory.version}", f"has {size_kib} KiB as events, more than one batch holds; nothing was loaded"
        ) from None
    return True


async def read_accounts(kafka: str) -> Access | None:
    """Return who has access; None where nobody was ever given a token. Raises Away."""
    return await followed_access(kafka).read()


async def publish_access(kafka: str, events: Sequence[AccessEvents]) -> None:
    """Publish what was given or taken; every service that asks for tokens hears of it within a moment. Raises Away."""
    if events:
        await _publish(kafka, topics.ACCESS, [_sealed_access(event) for event in events])


async def _publish(kafka: str, topic: Topic, records: Sequence[Record]) -> None:
    producer = Producer(kafka, f"{topic.name}-commands", (topic,))
    try:
        await producer.publish(topic, records)
    finally:
        await producer.stop()


def _sealed_load(event: DirectoryLoaded | ContactsLoaded) -> Record:
    subject = uuid5(NAMESPACE, event.KEY)
    content = uuid5(subject, hashlib.sha256(event.model_dump_json(exclude={"at"}).encode()).hexdigest())
    return _sealed(event, event.KEY, subject, content, source="directory")


def _sealed_access(event: AccessEvents) -> Record:
    subject = uuid5(NAMESPACE, event.token_sha256)
    return _sealed(event, event.token_sha256, subject, subject, source="access")


def _sealed(event: DirectoryLoaded | ContactsLoaded | AccessEvents, key: str, subject: UUID, cause: UUID, *, source: str) -> Record:
    """Return the event in its envelope; its id is made of what it says, so that the same has the same."""
    return seal(
        event,
        event_id=event_id(cause, type(event).__name__),
        source=source,
        subject=subject,
        key=key,
        time=event.at,
        recorded=event.at,
        correlation=UploadId(subject),
        causation=cause,
    )
