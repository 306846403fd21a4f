"""The projection in a real Redis: a union, whatever comes first, however often."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.cases import CaseClosed, CaseEvent, ReadingDone, ReadingListed, ReadingOverdue, UploadAssessed
from contracts.envelope import Envelope
from contracts.ids import CaseId, EventId, UploadId
from contracts.topics import CASES
from contracts.vocabulary import Lane, Outcome, Priority
from services.console import api as console_api
from services.console.projection import fact_of, places_of
from services.console.redis_projection import KEPT, PAGES_AT_MOST, CaseList, RedisProjection
from services.runtime.redis_link import connect
from tests.integration.console.asking import Asking, a_story, api, say_folded
from tests.unit.console.story import Story

CENTRE = CaseList("centre", "centre")


@settings(max_examples=25, deadline=None)
@given(st.data())
async def test_any_order_and_any_repeats_of_the_events_are_remembered_the_same(stack, data):
    redis, now = connect(stack.redis), datetime.now(UTC)
    await say_folded(redis)
    projection, story = RedisProjection(redis), a_story()
    heard = story.heard()
    order = [*data.draw(st.permutations(heard)), *data.draw(st.lists(st.sampled_from(heard), max_size=10))]
    for fact, event in order:
        await projection.add([(fact, places_of(event))], now)
    [known] = await projection.cases([story.case], pages=PAGES_AT_MOST)
    of_uploads = [await projection.upload(each) for each in (story.first, story.second)]
    listed = [each for each in await projection.listed(CENTRE, None, 10_000) if each.case_id == str(story.case)]
    await redis.aclose()
    places = [(fact, place) for fact, event in heard for place in places_of(event)]
    assert not known.cut
    assert known.paged == {"ann"}
    assert known.facts == {fact.event_id: fact for fact, place in places if place.of == "case"}
    assert of_uploads == [{fact.event_id: fact for fact, place in places if place.id == each} for each in (story.first, story.second)]
    assert len(listed) == 1


async def test_the_first_that_is_told_of_an_event_stands(stack):
    redis, now, story = connect(stack.redis), datetime.now(UTC), a_story()
    await say_folded(redis)
    projection = RedisProjection(redis)
    fact, event = next(each for each in story.heard() if each[0].type == "CaseOpened")
    for each in (fact, fact.model_copy(update={"causation_id": story.press})):
        await projection.add([(each, places_of(event))], now)
    [known] = await projection.cases([story.case], pages=1)
    await redis.aclose()
    assert known.facts == {fact.event_id: fact}


async def test_a_case_that_is_opened_again_is_listed_by_its_last_opening_whichever_is_told_first(stack):
    redis, now = connect(stack.redis), datetime.now(UTC)
    await say_folded(redis)
    projection = RedisProjection(redis)
    for turn in (1, -1):
        story = a_story()
        fact, event = next(each for each in story.heard() if each[0].type == "CaseOpened")
        again = fact.model_copy(update={"event_id": EventId(uuid4()), "at": fact.at + timedelta(minutes=1), "sequence": 99})
        again = again.model_copy(update={"told": event.model_copy(update={"at": again.at}).model_dump_json()})
        for each in (fact, again)[::turn]:
            await projection.add([(each, places_of(event))], now)
        [listed] = [each for each in await projection.listed(CENTRE, None, 10_000) if each.case_id == str(story.case)]
        assert listed.opened_ms == int(again.at.timestamp() * 1000)
    await redis.aclose()


async def test_what_is_old_is_forgotten_and_of_endless_pages_the_newest_stay(stack):
    redis = connect(stack.redis)
    await say_folded(redis)
    projection, story, now = RedisProjection(redis), a_story(), datetime.now(UTC)
    heard = {fact.type: (fact, event) for fact, event in story.heard()}
    old = Story(str(uuid4()), now - KEPT - timedelta(hours=1))
    for fact, event in old.heard():
        await projection.add([(fact, places_of(event))], now)
    assert await projection.upload(old.first) == {}
    assert str(old.case) not in {each.case_id for each in await projection.listed(CENTRE, None, 10_000)}

    for fact, event in heard.values():
        await projection.add([(fact, places_of(event))], now)
    asked, event = heard["PageRequested"]
    for number in range(PAGES_AT_MOST + 50):
        again = asked.model_copy(update={"event_id": EventId(uuid4()), "sequence": 1000 + number})
        await projection.add([(again, places_of(event))], now)
    [known] = await projection.cases([story.case], pages=PAGES_AT_MOST)
    assert known.cut
    assert {fact.type for fact in known.facts.values()} >= {"CaseOpened", "Acknowledged", "PageRequested"}
    pages = [fact.sequence for fact in known.facts.values() if fact.type == "PageRequested"]
    assert (len(pages), max(pages)) == (PAGES_AT_MOST, 1000 + PAGES_AT_MOST + 49)
    left = [await redis.pttl(key) async for key in redis.scan_iter(f"*:console:*:{story.case}")]
    assert len(left) == 3
    assert all(0 < each <= KEPT.total_seconds() * 1000 for each in left)
    await redis.aclose()


def reading(read_by: datetime, *, done: bool) -> list[CaseEvent]:
    """Return a yellow's events; it is never opened for people."""
    of_case = {"case_id": CaseId(uuid4()), "patient_key": str(uuid4()), "at": datetime.now(UTC), "upload_id": UploadId(uuid4())}
    at = {"clinic_id": "clinic", "received_at": of_case["at"], "headline": "AV block II"}
    listed = ReadingListed(**of_case, **at, centre_id="centre", read_by=read_by)
    judged = {"priority": Priority.YELLOW, "lane": Lane.EMERGENCY, "assessed_event": uuid4(), "age_y": 70}
    return [UploadAssessed(**of_case, **at, **judged), listed, *([ReadingDone(**of_case, by="ann")] if done else [])]


async def hear(projection: RedisProjection, event: CaseEvent, sequence: int) -> None:
    about = {
        "subject": str(event.case_id),
        "partitionkey": event.patient_key,
        "sequence": sequence,
        "correlationid": getattr(event, "upload_id", uuid4()),
    }
    times = {"time": event.at, "recordedtime": event.at}
    envelope = Envelope(id=EventId(uuid4()), type=type(event).__name__, source="test", causationid=uuid4(), **about, **times)
    await projection.add([(fact_of(CASES, envelope, event), places_of(event))], event.at)


@settings(max_examples=10, deadline=None)
@given(st.data())
async def test_what_is_to_be_read_is_listed_by_its_deadline_and_what_was_read_is_not_whichever_is_heard_first(stack, data):
    redis = connect(stack.redis)
    await redis.flushall()
    await say_folded(redis)
    projection, now = RedisProjection(redis), datetime.now(UTC)
    late, soon, done = (reading(now + timedelta(minutes=each), done=each == 1) for each in (50, 20, 1))
    events = [(each, number) for of_one in (late, soon, done) for number, each in enumerate(of_one, 1)]
    for event, sequence in data.draw(st.permutations(events)):
        await hear(projection, event, sequence)
    async with api(stack) as ask:
        told = (await ask.get("/v1/readings")).json()
        first = (await ask.get("/v1/readings", limit=1)).json()
        others = (await ask.get("/v1/readings", "eve")).json()
    left = await projection.to_read("centre", 0, 10)
    await redis.aclose()
    assert [each["upload_id"] for each in told["readings"]] == [str(each[0].upload_id) for each in (soon, late)]
    assert [(each["priority"], each["age_y"], each["overdue"]) for each in told["readings"]] == [("yellow", 70, False)] * 2
    assert (len(first["readings"]), first["more"], told["more"]) == (1, True, False)
    assert others == {"readings": [], "more": False}
    assert [upload_id for _, upload_id in left] == [each[0].upload_id for each in (soon, late)]


def let_go(read_by: datetime) -> list[CaseEvent]:
    """Return the events of a yellow that nobody read in its time, and whose case is closed."""
    listed = reading(read_by, done=False)
    of_case = {"case_id": listed[0].case_id, "patient_key": listed[0].patient_key, "at": listed[0].at}
    return [*listed, ReadingOverdue(**of_case, upload_id=listed[0].upload_id), CaseClosed(**of_case, by="ann", outcome=Outcome.NOT_AN_EMERGENCY)]


@asynccontextmanager
async def reading_list(stack, *cases: list[CaseEvent]) -> AsyncIterator[tuple[RedisProjection, Asking]]:
    redis = connect(stack.redis)
    await redis.flushall()
    await say_folded(redis)
    projection = RedisProjection(redis)
    for events in cases:
        for sequence, event in enumerate(events, 1):
            await hear(projection, event, sequence)
    async with api(stack) as ask:
        yield projection, ask
    await redis.aclose()


async def readings(ask: Asking) -> list[str]:
    return [each["upload_id"] for each in (await ask.get("/v1/readings")).json()["readings"]]


async def test_however_much_was_let_go_the_list_goes_on_to_what_is_to_be_read(stack, monkeypatch):
    monkeypatch.setattr(console_api, "LOOKS_AT_ONCE", 2)
    monkeypatch.setattr(console_api, "LOOKS_THROUGH", 4)
    now = datetime.now(UTC)
    gone, to_read = [let_go(now - timedelta(minutes=each + 1)) for each in range(5)], reading(now + timedelta(hours=1), done=False)
    async with reading_list(stack, *gone, to_read) as (projection, ask):
        looked = [await readings(ask) for _ in range(2)]
        left = await projection.to_read("centre", 0, 10)
    assert looked == [[], [str(to_read[0].upload_id)]]
    assert left == [(to_read[0].case_id, to_read[0].upload_id)]


@pytest.mark.parametrize("is_between", [True, False], ids=["while it is taken off", "later"])
async def test_what_was_let_go_and_is_listed_anew_stands_in_the_list_again(stack, monkeypatch, is_between):
    now = datetime.now(UTC)
    events = let_go(now - timedelta(minutes=1))
    anew = events[1].model_copy(update={"read_by": now + timedelta(hours=2)})
    take_off = RedisProjection.take_off_reading_list

    async def take_off_late(projection: RedisProjection, *of) -> None:
        if is_between:
            await hear(projection, anew, 9)
        await take_off(projection, *of)

    monkeypatch.setattr(RedisProjection, "take_off_reading_list", take_off_late)
    async with reading_list(stack, events) as (projection, ask):
        assert await readings(ask) == []
        if not is_between:
            assert await projection.to_read("centre", 0, 10) == []
            await hear(projection, anew, 9)
        assert await readings(ask) == [str(anew.upload_id)]


async def test_a_reading_is_finished_by_its_centres_people_though_it_is_no_case_for_them(stack):
    redis = connect(stack.redis)
    await say_folded(redis)
    events = reading(datetime.now(UTC) + timedelta(minutes=20), done=False)
    for sequence, event in enumerate(events, 1):
        await hear(RedisProjection(redis), event, sequence)
    case, done = events[0].case_id, {"command": "finish_reading", "upload_id": str(events[0].upload_id)}
    async with api(stack) as ask:
        answers = [await ask.press(case, **done), await ask.press(case, "eve", **done), await ask.press(case)]
        assert (await ask.get(f"/v1/cases/{case}")).status_code == 404
    await redis.aclose()
    assert [each.status_code for each in answers] == [202, 404, 404]
