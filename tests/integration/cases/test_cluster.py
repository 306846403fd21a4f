"""What else lies in Redis lies in a cluster too: the readers' inboxes, and the console's projection."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest_asyncio
from redis.asyncio import Redis

from contracts import topics
from contracts.ids import CaseId, EventId, UploadId
from services.console.projection import Fact, Place
from services.console.redis_projection import RedisProjection
from services.runtime.fence import Lease
from services.runtime.inbox import HANDLED, Inbox
from services.runtime.redis_link import connect
from services.runtime.waiting import until_there


@pytest_asyncio.fixture(loop_scope="session")
async def redis(valkey_cluster: str) -> AsyncIterator[Redis]:
    client = connect(valkey_cluster)
    yield client
    await client.aclose()


async def test_the_keys_of_many_patients_lie_on_every_node(redis: Redis):
    inbox = Inbox(redis, "test")
    messages = [(uuid4(), str(uuid4())) for _ in range(60)]
    # Many at once on a client that does not know its nodes yet: it may close one's connection for another's sake, which is Away.
    await asyncio.gather(*(until_there(lambda each=each: inbox.begin(*each, "a"), lambda _: None) for each in messages))
    sizes = await redis.dbsize(target_nodes="primaries")  # type: ignore[call-arg] # a cluster's own
    assert sizes >= 60


async def test_an_inbox_counts_and_knows(redis: Redis):
    inbox, message, key = Inbox(redis, "test"), uuid4(), str(uuid4())
    assert [await inbox.begin(message, key, name) for name in ("a", "a", "b")] == [1, 1, 2]
    await inbox.pardon(message, key)
    assert await inbox.begin(message, key, "c") == 1
    await inbox.handled(message, key)
    assert await inbox.begin(message, key, "d") == HANDLED


async def test_one_at_a_time_has_a_lease(redis: Redis):
    one, other = Lease(redis, "test"), Lease(redis, "test")
    assert [await one.hold(), await other.hold(), await one.hold()] == [True, False, True]
    await one.give_back()
    assert [await other.hold(), await one.hold()] == [True, False]


async def test_the_projection_keeps_facts_of_cases_in_several_buckets(redis: Redis):
    projection, now = RedisProjection(redis), datetime.now(UTC)
    cases, upload = [CaseId(uuid4()) for _ in range(20)], UploadId(uuid4())
    for number, case in enumerate(cases, 1):
        fact = _fact(number, now)
        places = [Place("case", case, listed_at="centre"), Place("upload", upload)]
        await projection.add([(fact, places)], now)
    found = await projection.cases(cases, pages=10)
    assert [len(facts) for facts, _ in found] == [1] * 20
    assert len(await projection.upload(upload)) == 20
    assert {each.case_id for each in await projection.listed("centre", None, 50)} == {str(case) for case in cases}


def _fact(number: int, now: datetime) -> Fact:
    return Fact(event_id=EventId(uuid4()), type="CaseSettled", at=now, topic=topics.CASES.name, sequence=number, causation_id=uuid4(), told="{}")
