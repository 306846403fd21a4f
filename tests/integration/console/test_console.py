"""The console on a real Kafka and Redis: the projector reads the topics, the API is asked over HTTP."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from contracts import topics
from contracts.cases import ClinicAnswered, PageRequested
from contracts.envelope import seal
from contracts.ids import EventId, UploadId
from contracts.vocabulary import Priority
from services.console.redis_projection import RedisProjection
from services.runtime.redis_link import connect
from tests.integration.console.asking import a_story, console, tell, tell_until_shown
from tests.integration.notify.running import until, writing
from tests.unit.console.life import Life
from tests.unit.console.story import Story

CAMPAIGN = 4000


async def test_an_upload_and_its_case_are_shown_with_every_event(stack):
    story = a_story()
    async with console(stack) as ask, writing(stack) as producer:
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


async def test_everybody_sees_what_is_theirs_and_problem_details_tell_the_rest(stack):
    story = a_story()
    async with console(stack) as ask, writing(stack) as producer:
        await tell_until_shown(ask, producer, story)
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


async def test_who_has_left_the_directory_reads_neither_a_case_nor_its_uploads_though_they_were_called_for_it(stack):
    story, known = a_story(), EventId(uuid4())
    page = next(event for _, event in story.heard() if isinstance(event, PageRequested)).model_copy(update={"person_id": "guest"})
    about = {"source": "cases", "subject": story.case, "key": story.key, "time": page.at, "recorded": page.at, "correlation": story.first}
    async with console(stack) as ask, writing(stack) as producer:
        await tell_until_shown(ask, producer, story)
        await producer.publish(topics.CASES, [seal(page, event_id=known, causation=story.first, sequence=99, **about)])

        async def is_called() -> bool:
            return str(known) in {entry["event_id"] for entry in (await ask.get(f"/v1/cases/{story.case}")).json()["timeline"]}

        await until(is_called)
        answers = [await ask.get(path, "guest") for path in (f"/v1/cases/{story.case}", f"/v1/uploads/{story.first}", "/v1/readings")]
    assert [answer.status_code for answer in answers] == [403, 403, 403]


async def test_an_upload_that_is_not_known_yet_is_waited_for_and_one_that_never_comes_is_404(stack):
    story = a_story()
    async with console(stack) as ask, writing(stack) as producer:
        asked = asyncio.create_task(ask.get(f"/v1/uploads/{story.first}", "clinic"))
        await asyncio.sleep(0)  # the question is under way before there is an answer
        await tell(producer, story, "EcgUploaded")
        answer = await asked
        unknown = await ask.get(f"/v1/uploads/{uuid4()}", "clinic")
    assert answer.json()["state"] == "received"
    assert answer.json()["case"] is None
    assert (unknown.status_code, unknown.json()["title"]) == (404, "Unknown upload")


async def test_a_red_is_shown_and_taken_in_hand_while_a_campaign_is_still_being_read(stack):
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
        async with console(stack) as ask:

            async def there() -> bool:
                return (await ask.press(story.case)).status_code == 202

            await until(there)
            last_of_campaign = await projection.upload(UploadId(check_ups[-1]))

            async def all_read() -> bool:
                return bool(await projection.upload(UploadId(check_ups[-1])))

            await until(all_read)
        await redis.aclose()
    assert last_of_campaign == {}


async def test_a_list_is_paged_newest_first_without_a_gap_or_a_repeat(stack):
    stories = [Story(str(uuid4()), datetime.now(UTC) + timedelta(minutes=number // 2)) for number in range(6)]  # two are opened in the same ms
    async with console(stack) as ask, writing(stack) as producer:
        for story in stories:
            await tell_until_shown(ask, producer, story, "UploadReceived", "CaseOpened")
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


async def test_a_case_of_two_of_a_persons_centres_is_listed_once_however_the_list_is_paged(stack):
    lives = [Life(str(uuid4()), datetime.now(UTC) + timedelta(minutes=number)) for number in range(3)]
    async with console(stack) as ask, writing(stack) as producer:
        for life in lives:
            await tell(producer, life, "UploadAssessed", "CaseOpened", "HandOverOffered", "HandOverAccepted")

            async def handed(life: Life = life) -> bool:
                return (await ask.get(f"/v1/cases/{life.case}", "eve")).json().get("centre_id") == "elsewhere"

            await until(handed)
        found, cursor = list[str](), None
        while len(found) < 100:
            page = (await ask.get("/v1/cases", "zoe", limit=1, **({"cursor": cursor} if cursor else {}))).json()
            found += [each["case_id"] for each in page["cases"]]
            cursor = page["next"]
            if cursor is None:
                break
    assert found[:3] == [str(life.case) for life in reversed(lives)]
    assert len(found) == len(set(found))
