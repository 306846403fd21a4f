"""What a service knows by following a topic: heard while it runs, kept while Kafka is away, never lost to a record that cannot be read."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import psutil
import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from structlog.testing import capture_logs

from contracts.access import AccountAdded, TokenRevoked
from contracts.directory import ContactsLoaded, DirectoryLoaded
from contracts.envelope import Record, seal
from contracts.ids import EventId, UploadId
from contracts.topics import Topic
from contracts.vocabulary import Event
from services.runtime import followed
from services.runtime.errors import Away, NotLoaded
from services.runtime.followed import Followed
from services.runtime.producer import Producer
from services.runtime.service import _keep
from services.runtime.topics_admin import ensure_topics
from tests.conftest import Stack
from tests.integration.directories import T0, a_directory, account, local_contacts, own_topics

SOON_S = 30


def sealed(event: Event, key: str) -> Record:
    some = uuid4()
    return seal(
        event, event_id=EventId(some), source="test", subject=some, key=key, time=T0, recorded=T0, correlation=UploadId(some), causation=UUID(int=1)
    )


def directory(version: str) -> Record:
    return sealed(DirectoryLoaded(at=T0, directory=a_directory(version)), DirectoryLoaded.KEY)


class Bench:
    """The two topics, and what is needed to write them."""

    def __init__(self, stack: Stack, directory: Topic, access: Topic) -> None:
        self.stack, self.directory, self.access = stack, directory, access
        self.producer = Producer(stack.kafka, "test", [directory, access])

    async def write(self, topic: Topic, *records: Record) -> None:
        for record in records:
            await self.producer.publish(topic, [record])


@pytest_asyncio.fixture(loop_scope="session")
async def bench(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    bench = Bench(stack, *own_topics(monkeypatch))
    await ensure_topics(stack.kafka, 1, [bench.directory, bench.access])
    yield bench
    await bench.producer.stop()


@asynccontextmanager
async def following(*each: Followed) -> AsyncIterator[None]:
    """Follow as a service does."""
    tasks = [asyncio.create_task(_keep(one.follow)) for one in each]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not true():
            await asyncio.sleep(0.02)


def version_of(held: Followed) -> str:
    try:
        return str(held.current().version)
    except Away as away:
        return type(away).__name__


async def test_what_is_loaded_later_is_heard_by_who_already_follows(bench: Bench):
    held = followed.followed_directory(bench.stack.kafka)
    assert version_of(held) == "Away"  # not read yet, which is not the same as nothing there
    async with following(held):
        await until(lambda: version_of(held) == "NotLoaded")
        with pytest.raises(NotLoaded, match="greenchannel directory load FILE"):
            held.current()
        await bench.write(bench.directory, directory("one"))
        await until(lambda: version_of(held) == "one")
        await bench.write(bench.directory, directory("two"))
        await until(lambda: version_of(held) == "two")


async def test_at_the_start_nothing_older_than_the_last_is_ever_shown(bench: Bench):
    await bench.write(bench.directory, *(directory(f"v{number}") for number in range(40)))
    held, seen = followed.followed_directory(bench.stack.kafka), set[str]()
    async with following(held):
        await until(lambda: seen.add(version_of(held)) or version_of(held) == "v39")
    assert seen == {"Away", "v39"}
    assert (await followed.followed_directory(bench.stack.kafka).read()) == held.current()


async def test_who_follows_again_goes_on_where_it_was(bench: Bench):
    """Heard from the beginning again, a revoked token would hold for a moment."""
    counted = Followed(bench.stack.kafka, bench.directory, "count", "write", lambda held, _: (held or 0) + 1)
    await bench.write(bench.directory, *(directory(f"v{number}") for number in range(5)))
    assert await counted.read() == 5
    await bench.write(bench.directory, directory("v5"))
    async with following(counted):
        await until(lambda: counted.current() == 6)
        await bench.write(bench.directory, directory("v6"))
        await until(lambda: counted.current() == 7)


async def test_what_compaction_took_away_is_not_waited_for(stack: Stack, monkeypatch: pytest.MonkeyPatch):
    """The end that a topic has at the start is reached though most offsets before it are gone."""
    bench = Bench(stack, *own_topics(monkeypatch))
    at_once = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0", "max.compaction.lag.ms": "100"}
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    await admin.create_topics([NewTopic(bench.directory.name, 1, 1, topic_configs=at_once)])
    await admin.close()

    async def counted() -> int:
        return await Followed(stack.kafka, bench.directory, "count", "write", lambda held, _: (held or 0) + 1).read() or 0

    written = 0
    async with asyncio.timeout(60):
        while written == await counted():  # the cleaner comes every 15 s
            await bench.write(bench.directory, directory(f"v{written}"))
            written += 1
            await asyncio.sleep(0.2)
    known = await followed.followed_directory(stack.kafka).read()
    assert known is not None
    assert known.version == f"v{written - 1}"
    await bench.producer.stop()


async def test_contacts_and_directory_of_one_topic_are_known_apart(bench: Bench):
    whole = a_directory("three")
    contacts = ContactsLoaded(at=T0, version="three", contacts=local_contacts(whole))
    await bench.producer.publish(bench.directory, [sealed(contacts, ContactsLoaded.KEY), directory("three")])
    assert await followed.followed_contacts(bench.stack.kafka).read() == contacts.contacts
    assert await followed.followed_directory(bench.stack.kafka).read() == whole


async def test_a_revoked_token_is_worth_nothing_while_the_service_runs_and_after_its_restart(bench: Bench):
    topic, held = bench.access, followed.followed_access(bench.stack.kafka)
    added = account("ann", "secret")
    await bench.write(topic, sealed(added, added.token_sha256))
    async with following(held):
        await until(lambda: version_of_access(held) == added)
        await bench.write(topic, sealed(TokenRevoked(at=T0, token_sha256=added.token_sha256), added.token_sha256))
        await until(lambda: version_of_access(held) is None)
    again = await followed.followed_access(bench.stack.kafka).read()
    assert again is not None
    assert again.holder("secret") is None


def version_of_access(held: Followed) -> AccountAdded | str | None:
    try:
        found: AccountAdded | None = held.current().holder("secret")
        return found
    except Away:
        return "away"


@pytest.mark.parametrize(
    "garbage",
    [
        Record("directory", (), b"\xff\x00"),
        Record("directory", (("ce_type", b"\xff"), ("ce_id", None)), b"{}"),  # type: ignore[arg-type]
        Record("directory", directory("x").headers, b'{"at": "2026-03-01T00:00:00Z"}'),
        sealed(account("ann", "secret"), "directory"),
    ],
    ids=["no-envelope", "null-header", "not-whole", "of-another-topic"],
)
async def test_a_record_that_cannot_be_read_is_said_and_left_out(bench: Bench, garbage: Record):
    held = followed.followed_directory(bench.stack.kafka)
    with capture_logs() as logs:
        async with following(held):
            await bench.write(bench.directory, directory("before"), garbage)
            await until(lambda: any(entry["log_level"] == "critical" for entry in logs))
            assert version_of(held) == "before"
            await bench.write(bench.directory, directory("after"))
            await until(lambda: version_of(held) == "after")
    (said,) = [entry for entry in logs if entry["log_level"] == "critical"]
    assert (said["topic"], said["offset"]) == (bench.directory.name, 1)


async def test_while_the_broker_is_killed_it_stays_known_and_what_came_after_is_heard(bench: Bench):
    held = followed.followed_directory(bench.stack.kafka)
    await bench.write(bench.directory, directory("before"))
    async with following(held):
        await until(lambda: version_of(held) == "before")
        killed = broker(bench.stack)
        os.kill(killed, signal.SIGKILL)
        assert version_of(held) == "before"
        async with asyncio.timeout(60):
            while not await written(bench, directory("after")):
                assert version_of(held) == "before"
                await asyncio.sleep(0.2)
        await until(lambda: version_of(held) == "after")
    assert broker(bench.stack) != killed


async def written(bench: Bench, record: Record) -> bool:
    try:
        await bench.write(bench.directory, record)
    except Away:
        return False
    return True


def broker(stack: Stack) -> int:
    port = int(stack.kafka.rsplit(":", 1)[1])
    found = psutil.net_connections("tcp")
    listening = [each.pid for each in found if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port and each.pid]
    if not listening:
        pytest.skip("the broker is not a process of this machine, which could be killed")
    return listening[0]
