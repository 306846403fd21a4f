"""What lies in Redis lies in a cluster too: inboxes, sent notices, recent ECGs, the console's projection; and it comes back there from the log."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from contracts import topics
from contracts.ids import CaseId, EventId, UploadId
from services.console.projection import Fact, Place
from services.console.redis_projection import CaseList, RedisProjection
from services.notify.sent_notices import SentNotices
from services.runtime.archive import UploadedFile
from services.runtime.errors import NotFolded
from services.runtime.fence import Lease
from services.runtime.inbox import HANDLED, Inbox
from services.runtime.redis_link import connect
from services.runtime.waiting import until_there
from services.triage.decode import decode
from services.triage.recent import AT_MOST, RecentEcgs
from tests.conftest import Stack
from tests.integration.console.asking import a_story, console, say_folded, tell
from tests.integration.notify.centre import Provider, a_page, deliveries, notify
from tests.integration.notify.running import publish, until, writing
from tests.integration.triage.test_recent import assessed_of
from tests.unit.notify.pages import sealed


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
    with pytest.raises(NotFolded):
        await projection.cases(cases, pages=10)
    await say_folded(redis)
    found = await projection.cases(cases, pages=10)
    assert [len(known.facts) for known in found] == [1] * 20
    assert len(await projection.upload(upload)) == 20
    assert {each.case_id for each in await projection.listed(CaseList("centre", "centre"), None, 50)} == {str(case) for case in cases}


def _fact(number: int, now: datetime) -> Fact:
    return Fact(event_id=EventId(uuid4()), type="CaseSettled", at=now, topic=topics.CASES.name, sequence=number, causation_id=uuid4(), told="{}")


@pytest.fixture
def on_cluster(stack: Stack, valkey_cluster: str) -> Stack:
    return replace(stack, redis=valkey_cluster)


async def test_no_page_goes_out_twice_after_a_cluster_was_emptied(redis: Redis, on_cluster: Stack, tmp_path: Path):
    hook = Provider()
    address = await hook.start()
    asked = [a_page(method="yes") for _ in range(20)]
    sent = [sealed(each) for each in asked]
    notices = SentNotices(redis, has_caught_up=lambda: True, lost=asyncio.Event())
    async with notify(on_cluster, tmp_path, address), writing(on_cluster) as producer:
        await publish(producer, topics.CASES, *sent)
        await deliveries(on_cluster, *asked)
        origins = [await notices.find(each.notice_id) for each in asked]
        await redis.flushall()
        new = a_page(method="yes")
        await publish(producer, topics.CASES, *sent, sealed(new))
        await deliveries(on_cluster, new)
        brought_back = [await notices.find(each.notice_id) for each in asked]
    await hook.stop()
    assert [origin.notice_id for origin in origins if origin] == [each.notice_id for each in asked]
    assert brought_back == origins
    assert len(hook.heard) == len(asked) + 1


async def test_the_projection_of_an_emptied_cluster_comes_back(redis: Redis, on_cluster: Stack):
    stories, projection = [a_story() for _ in range(5)], RedisProjection(redis)

    async def there() -> bool:
        found = [await projection.case_so_far(story.case, pages=1) for story in stories]
        return all(known.is_whole and "CaseOpened" in {fact.type for fact in known.facts.values()} for known in found)

    async with console(on_cluster), writing(on_cluster) as producer:
        for story in stories:
            await tell(producer, story)
        await until(there)
        await redis.flushall()
        await until(there)


async def test_recent_ecgs_are_kept_beside_each_other(redis: Redis, recordings: Path):
    file = recordings / "challenge" / "E00002"
    recording = decode([UploadedFile(each.name, each.read_bytes()) for each in (file.with_suffix(".hea"), file.with_suffix(".mat"))])
    kept, now, patients = RecentEcgs(redis), datetime.now(UTC), [uuid4().hex * 2 for _ in range(5)]
    every = {key: [assessed_of(recording, key, now - timedelta(hours=hours)) for hours in range(AT_MOST + 1)] for key in patients}
    for of_patient in every.values():
        for assessed in of_patient:
            await kept.add(assessed)
    for key, of_patient in every.items():
        assert {each.upload_id for each in await kept.of(key)} == {each.upload_id for each in of_patient[:AT_MOST]}
