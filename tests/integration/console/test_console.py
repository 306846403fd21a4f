"""The console on a real Kafka and Redis: the projector reads the topics, the API is asked over HTTP, commands reach Kafka."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import yaml
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import topics
from contracts.access import digest_of
from contracts.cases import Acknowledged, ClinicAnswered, CommandRefused
from contracts.commands import Acknowledge
from contracts.envelope import seal
from contracts.ids import EventId, UploadId, event_id
from contracts.vocabulary import Priority
from services.console.app import HTTP_PLAN, PROJECTOR_PLAN
from services.console.projection import places_of
from services.console.redis_projection import KEPT, PAGES_AT_MOST, RedisProjection
from services.runtime.blobs import open_blobs
from services.runtime.producer import Producer
from services.runtime.redis_link import connect
from services.runtime.service import Links
from tests.integration.notify.running import read_until, running, settings_for, until, writing
from tests.unit.console.story import Story

CAMPAIGN = 4000
TOKENS = {name: f"{name}-token" for name in ("clinic", "other", "ann", "eve", "guest")}
ACCESS = yaml.safe_dump(
    {
        "clinics": [{"token_sha256": digest_of(TOKENS[name]), "clinic": name} for name in ("clinic", "other")],
        "people": [{"token_sha256": digest_of(TOKENS[name]), "person": name} for name in ("ann", "eve", "guest")],
    }
)
CENTRES = {
    name: {"name": name.title(), "standing_number": "555-0100", "standing_alarm": "local", "on_call": [person]}
    for name, person in (("centre", "ann"), ("elsewhere", "eve"))
}
DIRECTORY = yaml.safe_dump(
    {
        "version": "test-1",
        "centres": CENTRES,
        "clinics": {name: {"name": name.title(), "centre": "centre"} for name in ("clinic", "other")},
        "people": {name: {"name": name.title(), "methods": {"local": "local"}} for name in ("ann", "eve")},
    }
)


class Asking:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def get(self, path: str, who: str = "ann", **params: object) -> httpx.Response:
        return await self._http.get(path, params=params, headers={"Authorization": f"Bearer {TOKENS.get(who, who)}"})

    async def press(
        self, case: object, who: str = "ann", key: str | None = None, command: str = "acknowledge", seen: int | None = None, **params: object
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {TOKENS[who]}"} | ({"Idempotency-Key": key} if key else {})
        asked = {"command": command} | ({"seen": seen} if seen is not None else {})
        return await self._http.post(f"/v1/cases/{case}/commands", json=asked, headers=headers, params=params)


@asynccontextmanager
async def console(stack, folder) -> AsyncIterator[Asking]:
    async with running(settings_for(stack, folder, DIRECTORY, ACCESS), HTTP_PLAN, PROJECTOR_PLAN) as services:
        app = FastAPI()
        for service in services:
            if service.router is not None:
                app.include_router(service.router)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://console") as http:
            yield Asking(http)


def a_story() -> Story:
    return Story(str(uuid4()), datetime.now(UTC) - timedelta(minutes=5))


async def tell(producer, story: Story, *kinds: str) -> None:
    """Write a story's events; all, or those of some kinds."""
    for topic, record in story.told:
        if not kinds or dict(record.headers)["ce_type"].decode() in kinds:
            await producer.publish(topic, [record])


async def test_an_upload_and_its_case_are_shown_with_every_event(stack, tmp_path):
    story = a_story()
    async with console(stack, tmp_path) as ask, writing(stack) as producer:
        await tell(producer, story)

        async def in_hand() -> bool:
            return (await ask.get(f"/v1/uploads/{story.second}", "clinic")).json().get("state") == "in_hand"

        await until(in_hand)
        upload = (await ask.get(f"/v1/uploads/{story.second}", "clinic")).json()

        async def whole() -> bool:
            return len((await ask.get(f"/v1/cases/{story.case}")).json().get("timeline", [])) == len(story.told)

        await until(whole)
        case = (await ask.get(f"/v1/cases/{story.case}")).json()
        listed = (await ask.get("/v1/cases", phase="acknowledged")).json()["cases"]
    assert upload["case"]["case_id"] == str(story.case)
    assert upload["assessment"]["priority"] == "red"
    assert upload["messages"][0]["text"] == "URGENT: call 555-0100 now."
    assert (case["phase"], case["owner"], case["clinic"]) == ("acknowledged", "ann", "Clinic")
    assert [entry["event_id"] for entry in case["timeline"]] == [str(fact.event_id) for fact, _ in story.heard()]
    assert str(story.case) in {each["case_id"] for each in listed}


async def test_everybody_sees_what_is_theirs_and_problem_details_tell_the_rest(stack, tmp_path):
    story = a_story()
    async with console(stack, tmp_path) as ask, writing(stack) as producer:
        await tell(producer, story)
        assert (await ask.get(f"/v1/uploads/{story.first}", "clinic")).status_code == 200
        assert (await ask.get(f"/v1/uploads/{story.first}", "ann")).status_code == 200
        refused = {
            404: [
                await ask.get(f"/v1/uploads/{story.first}", "other"),
                await ask.get(f"/v1/uploads/{story.first}", "eve"),
                await ask.get(f"/v1/cases/{story.case}", "eve"),
                await ask.press(story.case, "eve"),
            ],
            403: [
                await ask.get("/v1/cases", "clinic"),
                await ask.get(f"/v1/cases/{story.case}", "clinic"),
                await ask.press(story.case, "clinic"),
                await ask.get("/v1/cases", "guest"),
            ],
            401: [await ask.get("/v1/cases", "nobody"), await ask.get(f"/v1/uploads/{story.first}", "nobody")],
            422: [
                await ask.get("/v1/uploads/not-an-id"),
                await ask.press(story.case, command="dance"),
                await ask.press(story.case, key="two words"),
                await ask.get("/v1/cases", cursor="elsewhere"),
            ],
        }
        others = (await ask.get("/v1/cases", "eve")).json()["cases"]
    for status, answers in refused.items():
        for answer in answers:
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"
            assert set(answer.json()) >= {"type", "title", "status", "detail"}
    assert str(story.case) not in {each["case_id"] for each in others}


async def test_an_upload_that_is_not_known_yet_is_waited_for_and_one_that_never_comes_is_404(stack, tmp_path):
    story = a_story()
    async with console(stack, tmp_path) as ask, writing(stack) as producer:
        asked = asyncio.create_task(ask.get(f"/v1/uploads/{story.first}", "clinic"))
        await asyncio.sleep(0)  # the question is under way before there is an answer
        await tell(producer, story, "EcgUploaded")
        answer = await asked
        unknown = await ask.get(f"/v1/uploads/{uuid4()}", "clinic")
    assert answer.json()["state"] == "received"
    assert answer.json()["case"] is None
    assert (unknown.status_code, unknown.json()["title"]) == (404, "Unknown upload")


async def test_a_press_becomes_one_command_however_often_its_key_is_sent(stack, tmp_path):
    story = a_story()
    async with console(stack, tmp_path) as ask, writing(stack) as producer:
        await tell(producer, story, "UploadReceived", "CaseOpened")
        answers = [await ask.press(story.case, key=key) for key in ("k-1", "k-1", "k-2")]
        sent = await read_until(stack, topics.COMMANDS, lambda found: len(found) == 3, lambda envelope: envelope.subject == str(story.case))
    assert {answer.status_code for answer in answers} == {202}
    assert [answer.json()["command_id"] for answer in answers] == [str(envelope.id) for envelope, _ in sent]
    assert len({envelope.id for envelope, _ in sent}) == 2
    envelope, command = sent[0]
    assert isinstance(command, Acknowledge)
    assert (command.by, command.case_id) == ("ann", story.case)
    assert (envelope.partitionkey, envelope.correlationid) == (story.key, story.first)


async def test_a_press_says_how_far_the_case_was_seen_by_the_client_or_else_by_the_projection(stack, tmp_path):
    story = a_story()
    sequences = {fact.type: fact.sequence for fact, _ in story.heard()}
    async with console(stack, tmp_path) as ask, writing(stack) as producer:
        await tell(producer, story, "UploadReceived", "CaseOpened", "Acknowledged")
        shown = (await ask.get(f"/v1/cases/{story.case}")).json()["seen"]
        await ask.press(story.case, key="k")
        await tell(producer, story, "CaseRaised")

        async def raised() -> bool:
            return (await ask.get(f"/v1/cases/{story.case}")).json()["seen"] == sequences["CaseRaised"]

        await until(raised)
        await ask.press(story.case, key="k", seen=shown)
        await ask.press(story.case, key="k", seen=sequences["CaseRaised"])
        await ask.press(story.case)
        assert (await ask.press(story.case, seen=0)).status_code == 422
        sent = await read_until(stack, topics.COMMANDS, lambda found: len(found) == 4, mine(story))
    assert shown == sequences["CaseOpened"]
    assert [command.seen_sequence for _, command in sent] == [shown, shown, sequences["CaseRaised"], sequences["CaseRaised"]]
    assert len({envelope.id for envelope, _ in sent}) == 4  # the same key after another look is another press


async def test_a_red_is_shown_and_taken_in_hand_while_a_campaign_is_still_being_read(stack, tmp_path):
    """All lie in one partition, the red's case last: only its own group gets it out before the rest."""
    story, check_ups = a_story(), [uuid4() for _ in range(CAMPAIGN)]
    answered = {"case_id": story.case, "patient_key": story.key, "at": story.start, "clinic_id": "clinic", "priority": Priority.GREEN, "text": "x"}
    async with writing(stack) as producer:
        campaign = [
            seal(
                ClinicAnswered(**answered, upload_id=upload),
                event_id=EventId(uuid4()),
                source="cases",
                subject=upload,
                key=story.key,
                time=story.start,
                recorded=story.start,
                correlation=UploadId(upload),
                causation=upload,
                priority=Priority.GREEN,
            )
            for upload in check_ups
        ]
        for start in range(0, CAMPAIGN, 500):
            await producer.publish(topics.CASES, campaign[start : start + 500])
        await tell(producer, story, "UploadReceived", "CaseOpened")
        redis = connect(stack.redis)
        projection = RedisProjection(redis)
        async with console(stack, tmp_path) as ask:

            async def there() -> bool:
                return (await ask.press(story.case)).status_code == 202

            await until(there)
            last_of_campaign = await projection.upload(UploadId(check_ups[-1]))

            async def all_read() -> bool:
                return bool(await projection.upload(UploadId(check_ups[-1])))

            await until(all_read)
        await redis.aclose()
    assert last_of_campaign == {}


@settings(max_examples=25, deadline=None)
@given(st.data())
async def test_any_order_and_any_repeats_of_the_events_are_remembered_the_same(stack, data):
    redis, now = connect(stack.redis), datetime.now(UTC)
    projection, story = RedisProjection(redis), a_story()
    heard = story.heard()
    order = [*data.draw(st.permutations(heard)), *data.draw(st.lists(st.sampled_from(heard), max_size=10))]
    for fact, event in order:
        await projection.add(fact, places_of(event), now)
    [(of_case, cut)] = await projection.cases([story.case], pages=PAGES_AT_MOST)
    of_uploads = [await projection.upload(each) for each in (story.first, story.second)]
    listed = [each for each in await projection.listed("centre", None, 10_000) if each.case_id == str(story.case)]
    await redis.aclose()
    places = [(fact, place) for fact, event in heard for place in places_of(event)]
    assert not cut
    assert of_case == {fact.event_id: fact for fact, place in places if place.of == "case"}
    assert of_uploads == [{fact.event_id: fact for fact, place in places if place.id == each} for each in (story.first, story.second)]
    assert len(listed) == 1


async def test_the_first_that_is_told_of_an_event_stands(stack):
    redis, now, story = connect(stack.redis), datetime.now(UTC), a_story()
    projection = RedisProjection(redis)
    fact, event = next(each for each in story.heard() if each[0].type == "CaseOpened")
    for each in (fact, fact.model_copy(update={"causation_id": story.press})):
        await projection.add(each, places_of(event), now)
    [(facts, _)] = await projection.cases([story.case], pages=1)
    await redis.aclose()
    assert facts == {fact.event_id: fact}


async def test_a_case_that_is_opened_again_is_listed_by_its_last_opening_whichever_is_told_first(stack):
    redis, now = connect(stack.redis), datetime.now(UTC)
    projection = RedisProjection(redis)
    for turn in (1, -1):
        story = a_story()
        fact, event = next(each for each in story.heard() if each[0].type == "CaseOpened")
        again = fact.model_copy(update={"event_id": EventId(uuid4()), "at": fact.at + timedelta(minutes=1), "sequence": 99})
        again = again.model_copy(update={"told": event.model_copy(update={"at": again.at}).model_dump_json()})
        for each in (fact, again)[::turn]:
            await projection.add(each, places_of(event), now)
        [listed] = [each for each in await projection.listed("centre", None, 10_000) if each.case_id == str(story.case)]
        assert listed.opened_ms == int(again.at.timestamp() * 1000)
    await redis.aclose()


async def test_a_press_that_waits_hears_what_came_of_it(stack, tmp_path):
    story = a_story()
    async with console(stack, tmp_path) as ask, writing(stack) as producer:
        await tell(producer, story, "UploadReceived", "CaseOpened")

        async def answered(key: str, outcome) -> httpx.Response:
            """Be cases: answer the command once it is in its topic."""
            press = asyncio.create_task(ask.press(story.case, key=key, wait=10))
            sent_before = seen_commands(story)
            [*_, (envelope, _)] = await read_until(stack, topics.COMMANDS, lambda found: len(found) > sent_before, mine(story))
            event = outcome(envelope.id)
            story.sequence += 1
            told = {"source": "cases", "subject": story.case, "key": story.key, "time": event.at, "recorded": event.at, "correlation": story.first}
            known = event_id(envelope.id, type(event).__name__)
            await producer.publish(topics.CASES, [seal(event, event_id=known, causation=envelope.id, sequence=story.sequence, **told)])
            story.pressed = sent_before + 1
            return await press

        of_case = {"case_id": story.case, "patient_key": story.key, "at": datetime.now(UTC)}
        taken = await answered("one", lambda _: Acknowledged(**of_case, by="ann", round=1))
        refused = await answered("two", lambda it: CommandRefused(**of_case, command="Acknowledge", command_id=it, by="ann", reason="bob has it"))
        unanswered = await ask.press(story.case, key="three", wait=0.1)
    assert (taken.status_code, taken.json()["outcome"]) == (200, "acknowledged")
    assert UUID(taken.json()["event_id"]) == event_id(EventId(UUID(taken.json()["command_id"])), "Acknowledged")
    assert (refused.status_code, refused.json()["detail"]) == (409, "bob has it.")
    assert UUID(refused.json()["event_id"]) == event_id(EventId(UUID(refused.json()["command_id"])), "CommandRefused")
    assert (unanswered.status_code, unanswered.json()["outcome"]) == (202, None)


def seen_commands(story: Story) -> int:
    return getattr(story, "pressed", 0)


def mine(story: Story):
    return lambda envelope: envelope.subject == str(story.case)


async def test_a_list_is_paged_newest_first_without_a_gap_or_a_repeat(stack, tmp_path):
    stories = [Story(str(uuid4()), datetime.now(UTC) + timedelta(minutes=number // 2)) for number in range(6)]  # two are opened in the same ms
    async with console(stack, tmp_path) as ask, writing(stack) as producer:
        for story in stories:
            await tell(producer, story, "UploadReceived", "CaseOpened")
            assert (await ask.get(f"/v1/cases/{story.case}")).status_code == 200
        found, cursor = list[dict](), None
        while len(found) < 100:
            page = (await ask.get("/v1/cases", limit=2, **({"cursor": cursor} if cursor else {}))).json()
            found += page["cases"]
            cursor = page["next"]
            if cursor is None:
                break
    ids = [each["case_id"] for each in found]
    assert len(ids) == len(set(ids))
    assert set(ids[:6]) == {str(story.case) for story in stories}
    opened_ms = [int(datetime.fromisoformat(each["opened_at"]).timestamp() * 1000) for each in found]
    assert opened_ms == sorted(opened_ms, reverse=True)


async def test_what_is_old_is_forgotten_and_of_endless_pages_the_newest_stay(stack):
    redis = connect(stack.redis)
    projection, story, now = RedisProjection(redis), a_story(), datetime.now(UTC)
    heard = {fact.type: (fact, event) for fact, event in story.heard()}
    old = Story(str(uuid4()), now - KEPT - timedelta(hours=1))
    for fact, event in old.heard():
        await projection.add(fact, places_of(event), now)
    assert await projection.upload(old.first) == {}
    assert str(old.case) not in {each.case_id for each in await projection.listed("centre", None, 10_000)}

    for fact, event in heard.values():
        await projection.add(fact, places_of(event), now)
    asked, event = heard["PageRequested"]
    for number in range(PAGES_AT_MOST + 50):
        again = asked.model_copy(update={"event_id": EventId(uuid4()), "sequence": 1000 + number})
        await projection.add(again, places_of(event), now)
    [(facts, cut)] = await projection.cases([story.case], pages=PAGES_AT_MOST)
    assert cut
    assert {fact.type for fact in facts.values()} >= {"CaseOpened", "Acknowledged", "PageRequested"}
    pages = [fact.sequence for fact in facts.values() if fact.type == "PageRequested"]
    assert (len(pages), max(pages)) == (PAGES_AT_MOST, 1000 + PAGES_AT_MOST + 49)
    left = [await redis.pttl(key) async for key in redis.scan_iter(f"*:console:*:{story.case}")]
    assert len(left) == 2
    assert all(0 < each <= KEPT.total_seconds() * 1000 for each in left)
    await redis.aclose()


async def test_with_kafka_away_a_press_is_503_and_may_be_sent_again(stack, tmp_path):
    story = a_story()
    async with console(stack, tmp_path) as ask, writing(stack) as producer:
        await tell(producer, story, "UploadReceived", "CaseOpened")
        assert (await ask.get(f"/v1/cases/{story.case}")).status_code == 200
    answer = await press_with(settings_for(stack, tmp_path, DIRECTORY, ACCESS).model_copy(update={"kafka": "127.0.0.1:1"}), story)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["title"] == "Away for the moment"


async def press_with(settings, story: Story) -> httpx.Response:
    """Press on a console whose Kafka is not there: only its HTTP side is built."""
    links = Links(settings, connect(settings.redis), Producer(settings.kafka, "test", HTTP_PLAN.may_write()), open_blobs(settings.blobs))
    app = FastAPI()
    app.include_router(HTTP_PLAN.build(links).router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://console") as http:
        answer = await Asking(http).press(story.case)
    await links.redis.aclose()
    return answer
