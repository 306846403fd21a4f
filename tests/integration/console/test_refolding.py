"""What Redis lost of the projection comes back from the topics, while readers go on: emptied, put back from an older copy, another server."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from contracts import topics
from services.console.app import READS
from services.console.projection import fact_of, places_of
from services.console.redis_projection import PAGES_AT_MOST, CaseList, RedisProjection
from services.console.refolding import Fold, Heard, refolding
from services.runtime.buckets import COUNT, prefix_of
from services.runtime.errors import Away
from services.runtime.folded import Folded
from services.runtime.redis_link import connect
from tests.integration.console.asking import a_story, api, console, tell
from tests.integration.notify.running import until, writing
from tests.unit.console.life import Life
from tests.unit.console.story import Story

GROUPS = {topic: (f"console.{topic.name}", *(("console.cases.v1.rest",) if topic is topics.CASES else ())) for topic in READS}


def now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def projecting(stack) -> AsyncIterator[tuple[Redis, RedisProjection, Folded]]:
    redis = connect(stack.redis)
    projection = RedisProjection(redis)
    yield redis, projection, refolding(redis, stack.kafka, GROUPS, adding(projection), now)
    await redis.aclose()


def adding(projection: RedisProjection) -> Fold:
    async def fold(heard: Sequence[Heard]) -> None:
        await projection.add([(fact_of(topic, envelope, event), places_of(event)) for topic, envelope, event in heard], now())

    return fold


async def shown(projection: RedisProjection, *stories: Story) -> list[object]:
    """Return all that the projection holds of stories, and where their cases are listed."""
    facts = [(await projection.cases([story.case], pages=PAGES_AT_MOST))[0] for story in stories]
    uploads = [await projection.upload(story.first) for story in stories]
    cases = {str(story.case) for story in stories}
    of = [CaseList("centre", "centre"), CaseList("centre", "elsewhere"), CaseList("person", "ann"), CaseList("person", "eve")]
    lists = [[each for each in await projection.listed(one, None, 10_000) if each.case_id in cases] for one in of]
    return [facts, uploads, lists]


async def whole(projection: RedisProjection, story: Story) -> bool:
    known = await projection.case_so_far(story.case, pages=PAGES_AT_MOST)
    return len(known.facts) == sum(topic is topics.CASES for topic, _ in story.told)


async def test_an_emptied_redis_shows_the_same_again_and_is_whole_then(stack):
    stories = [a_story(), a_story(Life)]
    async with projecting(stack) as (redis, projection, again):
        async with console(stack), writing(stack) as producer:
            for story in stories:
                await tell(producer, story)
            for story in stories:
                await until(lambda story=story: whole(projection, story))
            await again.look()
            before = await shown(projection, *stories)
            await redis.flushall()
            folded = await again.look()
            after = await shown(projection, *stories)
        assert after == before
        assert folded >= sum(len(story.told) for story in stories)
        assert await again.look() == 0
        async with api(stack) as ask:
            assert (await ask.get(f"/v1/cases/{stories[1].case}")).json()["wire_min"] == 24.0


async def test_a_redis_put_back_from_an_older_copy_gets_only_what_came_after_it(stack):
    earlier, later = a_story(), a_story(Life)
    async with projecting(stack) as (redis, projection, again), writing(stack) as producer:
        async with console(stack):
            await tell(producer, earlier)
            await until(lambda: whole(projection, earlier))
        await again.look()  # the console was stopped: what it handled is committed
        await again.look()
        copy = {key: (await redis.dump(key), await redis.pttl(key)) async for key in redis.scan_iter("*:console*")}
        async with console(stack):
            await tell(producer, later)
            await until(lambda: whole(projection, later))
            before = await shown(projection, earlier, later)
        await again.look()  # the newer offsets are noted, in a Redis that is lost then
        await redis.flushall()
        for key, (dumped, ttl_ms) in copy.items():
            await redis.restore(key, max(ttl_ms, 0), dumped)
        assert not (await projection.case_so_far(later.case, pages=1)).facts
        for bucket in range(COUNT):  # the copy is served by another process
            await redis.set(f"{prefix_of(bucket)}:folded:console", "0" * 40)
        folded = await again.look()
        assert await shown(projection, earlier, later) == before
        assert len(later.told) <= folded < len(earlier.told) + len(later.told)


async def test_who_is_overtaken_by_a_loss_does_not_call_it_whole(stack):
    """Redis is emptied once more while its projection is folded: the next look begins anew."""
    story = a_story()
    async with projecting(stack) as (redis, projection, again), writing(stack) as producer:
        await tell(producer, story)
        await redis.flushall()
        fold, emptied = adding(projection), list[bool]()

        async def fold_and_lose(heard: Sequence[Heard]) -> None:
            await fold(heard)
            if not emptied and any(envelope.subject == str(story.case) for _, envelope, _ in heard):
                emptied.append(True)
                await redis.flushall()

        with pytest.raises(Away, match="lost while they were folded"):
            await refolding(redis, stack.kafka, GROUPS, fold_and_lose, now).look()
        assert emptied
        assert not await whole(projection, story)
        await again.look()
        assert await whole(projection, story)
        assert await again.look() == 0


async def test_two_that_make_it_whole_at_once_both_come_to_an_end(stack):
    story = a_story()
    async with projecting(stack) as (redis, projection, other), writing(stack) as producer:
        await tell(producer, story)
        await redis.flushall()
        fold, beside = adding(projection), list[int]()

        async def fold_beside(heard: Sequence[Heard]) -> None:
            if not beside:
                beside.append(await other.look())
            await fold(heard)

        one = refolding(redis, stack.kafka, GROUPS, fold_beside, now)
        assert await one.look() == beside[0] > 0
        assert await whole(projection, story)
        assert (await one.look(), await other.look()) == (0, 0)


async def test_while_it_is_not_known_what_there_is_nobody_is_told_that_there_is_nothing(stack):
    """The projector is stopped and Redis emptied: only once the log was read again, a case that is not found is none."""
    story, done = a_story(), {"command": "finish_reading", "upload_id": str(uuid4())}
    async with projecting(stack) as (redis, _, again), writing(stack) as producer, api(stack) as ask:
        await tell(producer, story)
        await redis.flushall()
        answers = [
            await ask.get("/v1/cases"),
            await ask.get("/v1/readings"),
            await ask.get(f"/v1/cases/{story.case}"),
            await ask.get(f"/v1/uploads/{story.first}", "clinic"),
            await ask.press(story.case),
            await ask.press(story.case, **done),
        ]
        assert {(answer.status_code, answer.json()["title"]) for answer in answers} == {(503, "Not known yet")}
        assert all("retry-after" in answer.headers and "call by telephone" in answer.json()["detail"] for answer in answers)
        await again.look()
        assert str(story.case) in {each["case_id"] for each in (await ask.get("/v1/cases")).json()["cases"]}
        assert (await ask.get(f"/v1/cases/{story.case}")).status_code == 200
        assert (await ask.get(f"/v1/cases/{uuid4()}")).status_code == 404


async def test_a_press_on_a_case_that_is_known_does_not_wait_for_all_to_be_read_again(stack):
    story = a_story()
    async with projecting(stack) as (redis, projection, _), api(stack) as ask:
        await redis.flushall()
        await projection.add([(fact, places_of(event)) for fact, event in story.heard()], now())
        pressed, shown_as_known = await ask.press(story.case), await ask.get(f"/v1/cases/{story.case}")
    assert (pressed.status_code, shown_as_known.status_code) == (202, 503)
