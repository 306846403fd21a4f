"""What people ask of a case becomes a command in Kafka, once, and its outcome comes back."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx

from contracts import topics
from contracts.cases import Acknowledged, CommandRefused, Confirmed, PageRequested
from contracts.commands import AcceptReferral, Acknowledge, Confirm, LinkCase, Say
from contracts.envelope import Record, seal
from contracts.ids import EventId, event_id
from contracts.vocabulary import Diagnosis
from tests.integration.console.asking import a_story, api, console, soon, tell, tell_until_shown
from tests.integration.notify.running import read_until, until, writing
from tests.unit.console.life import Life
from tests.unit.console.story import Story


async def test_a_press_becomes_one_command_however_often_its_key_is_sent(stack):
    story = a_story()
    async with console(stack) as ask, writing(stack) as producer:
        await tell_until_shown(ask, producer, story, "UploadReceived", "CaseOpened")
        answers = [await ask.press(story.case, key=key) for key in ("k-1", "k-1", "k-2")]
        sent = await read_until(stack, topics.COMMANDS, lambda found: len(found) == 3, lambda envelope: envelope.subject == str(story.case))
    assert {answer.status_code for answer in answers} == {202}
    assert [answer.json()["command_id"] for answer in answers] == [str(envelope.id) for envelope, _ in sent]
    assert len({envelope.id for envelope, _ in sent}) == 2
    envelope, command = sent[0]
    assert isinstance(command, Acknowledge)
    assert (command.by, command.case_id) == ("ann", story.case)
    assert envelope.partitionkey == story.key
    assert envelope.correlationid in {story.first, story.second}


async def test_a_press_says_how_far_the_case_was_seen_where_the_client_says_so_and_else_nothing(stack):
    story = a_story()
    sequences = {fact.type: fact.sequence for fact, _ in story.heard()}
    async with console(stack) as ask, writing(stack) as producer:
        await tell_until_shown(ask, producer, story, "UploadReceived", "CaseOpened", "Acknowledged")
        shown = (await ask.get(f"/v1/cases/{story.case}")).json()["seen"]
        await ask.press(story.case, key="k")
        await ask.press(story.case, command="stand_down", reason="lead off")
        await tell(producer, story, "CaseRaised")

        async def raised() -> bool:
            return (await ask.get(f"/v1/cases/{story.case}")).json()["seen"] == sequences["CaseRaised"]

        await until(raised)
        await ask.press(story.case, key="k", seen=shown)
        await ask.press(story.case, key="k", seen=sequences["CaseRaised"])
        await ask.press(story.case)  # the console knows of the red by now: whether the person does is not known
        assert (await ask.press(story.case, seen=0)).status_code == 422
        sent = await read_until(stack, topics.COMMANDS, lambda found: len(found) == 5, mine(story))
    assert shown == sequences["CaseOpened"]
    assert [command.seen_sequence for _, command in sent] == [None, None, shown, sequences["CaseRaised"], None]
    assert len({envelope.id for envelope, _ in sent}) == 5  # the same key after another look is another press


async def test_a_press_that_waits_hears_what_came_of_it(stack):
    story = a_story()
    async with console(stack) as ask, writing(stack) as producer:
        await tell_until_shown(ask, producer, story, "UploadReceived", "CaseOpened")

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


async def test_with_kafka_away_a_press_is_503_and_may_be_sent_again(stack):
    story = a_story()
    async with console(stack) as ask, writing(stack) as producer:
        await tell_until_shown(ask, producer, story, "UploadReceived", "CaseOpened")
        assert (await ask.get(f"/v1/cases/{story.case}")).status_code == 200
    async with api(stack, kafka="127.0.0.1:1") as ask:
        answer = await ask.press(story.case)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["title"] == "Away for the moment"


async def test_confirming_what_nobody_has_in_hand_is_told_as_confirmed_not_as_acknowledged(stack):
    story = a_story()
    async with console(stack) as ask, writing(stack) as producer:
        await tell_until_shown(ask, producer, story, "UploadReceived", "CaseOpened")
        press = asyncio.create_task(ask.press(story.case, command="confirm", diagnosis="stemi", seen=3, wait=10))
        [(envelope, command)] = await read_until(stack, topics.COMMANDS, lambda found: len(found) == 1, mine(story))
        of_case = {"case_id": story.case, "patient_key": story.key, "at": datetime.now(UTC), "by": "ann"}
        for event in (Acknowledged(**of_case, round=1), Confirmed(**of_case, diagnosis=Diagnosis.STEMI)):
            story.sequence += 1
            told = {"source": "cases", "subject": story.case, "key": story.key, "time": event.at, "recorded": event.at, "correlation": story.first}
            known = event_id(envelope.id, type(event).__name__)
            await producer.publish(topics.CASES, [seal(event, event_id=known, causation=envelope.id, sequence=story.sequence, **told)])
        answer = await soon(press)
    assert isinstance(command, Confirm)
    assert (command.diagnosis, command.seen_sequence) == (Diagnosis.STEMI, 3)
    assert (answer.status_code, answer.json()["outcome"]) == (200, "confirmed")
    assert UUID(answer.json()["event_id"]) == event_id(envelope.id, "Confirmed")


async def test_what_is_asked_wrongly_is_refused_with_the_field_that_is_wrong_and_reaches_nobody(stack):
    story = a_story()
    now = datetime.now(UTC)
    wrong = [
        ({"command": "confirm"}, "diagnosis"),
        ({"command": "confirm", "diagnosis": "stemi", "by": "bob"}, "by"),
        ({"command": "say", "text": "x" * 401}, "text"),
        ({"command": "say", "text": "  "}, "text"),
        ({"command": "offer_hand_over"}, "to_person"),
        ({"command": "offer_hand_over", "to_person": "eve", "to_centre": "elsewhere"}, "to_person"),
        ({"command": "record_departure", "happened_at": (now + timedelta(minutes=5)).isoformat()}, "happened_at"),
        ({"command": "record_departure", "happened_at": (now - timedelta(hours=25)).isoformat()}, "happened_at"),
        ({"command": "record_departure", "happened_at": "2026-03-01T03:00:00"}, "happened_at"),
        ({"command": "link", "other_case_id": str(story.case)}, "other_case_id"),
    ]
    async with console(stack) as ask, writing(stack) as producer:
        await tell_until_shown(ask, producer, story, "UploadReceived", "CaseOpened")
        answers = [(await ask.press(story.case, **body), field) for body, field in wrong]
        assert (await ask.press(story.case, "quality")).status_code == 403
        await ask.press(story.case, command="accept_referral")
        sent = await read_until(stack, topics.COMMANDS, lambda found: len(found) == 1, mine(story))
    for answer, field in answers:
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert field in answer.json()["detail"]
    assert [type(command) for _, command in sent] == [AcceptReferral]


async def test_the_same_key_with_another_request_is_another_command(stack):
    story = a_story()
    async with console(stack) as ask, writing(stack) as producer:
        await tell_until_shown(ask, producer, story, "UploadReceived", "CaseOpened")
        for text in ("one", "one", "two"):
            await ask.press(story.case, key="k", command="say", text=text)
        sent = await read_until(stack, topics.COMMANDS, lambda found: len(found) == 3, mine(story))
    assert [command.text for _, command in sent] == ["one", "one", "two"]
    first, again, other = [envelope.id for envelope, _ in sent]
    assert first == again != other


async def test_a_clinic_says_something_of_its_own_upload_and_asks_nothing_else(stack):
    story = a_story()
    async with console(stack) as ask, writing(stack) as producer:
        await tell_until_shown(ask, producer, story, "UploadReceived")  # not opened for people: the clinic may say something all the same
        said = await ask.press(story.case, "clinic", command="say", text="Pain since 10.")
        strangers = await ask.press(story.case, "other", command="say", text="Pain since 10.")
        more = await ask.press(story.case, "clinic", command="close", outcome="died")
        [(envelope, command)] = await read_until(stack, topics.COMMANDS, lambda found: len(found) == 1, mine(story))
    assert (said.status_code, strangers.status_code, more.status_code) == (202, 404, 403)
    assert isinstance(command, Say)
    assert (command.clinic_id, command.by, command.text) == ("clinic", None, "Pain since 10.")
    assert envelope.partitionkey == story.key
    assert envelope.correlationid in {story.first, story.second}


async def test_a_link_is_asked_of_both_cases(stack):
    one, other = a_story(), a_story()
    async with console(stack) as ask, writing(stack) as producer:
        for story in (one, other):
            await tell_until_shown(ask, producer, story, "UploadReceived", "CaseOpened")
        assert (await ask.press(one.case, key="k", command="link", other_case_id=str(other.case))).status_code == 202
        [(_, here)] = await read_until(stack, topics.COMMANDS, lambda found: len(found) == 1, mine(one))
        [(there_envelope, there)] = await read_until(stack, topics.COMMANDS, lambda found: len(found) == 1, mine(other))
        unknown = await ask.press(one.case, command="link", other_case_id=str(uuid4()))
    assert isinstance(here, LinkCase)
    assert isinstance(there, LinkCase)
    assert (here.other_case_id, there.other_case_id) == (other.case, one.case)
    assert there_envelope.partitionkey == other.key
    assert unknown.status_code == 404


async def test_a_case_that_is_offered_to_another_centre_is_read_listed_and_commanded_there_too(stack):
    life = a_story(Life)
    async with console(stack) as ask, writing(stack) as producer:
        await tell_until_shown(ask, producer, life, "UploadAssessed", "CaseOpened")
        assert (await ask.get(f"/v1/cases/{life.case}")).status_code == 200
        assert (await ask.get(f"/v1/cases/{life.case}", "eve")).status_code == 404
        assert (await ask.press(life.case, "eve", command="accept_hand_over")).status_code == 404
        await producer.publish(topics.CASES, [_first(life, "HandOverOffered")])

        async def offered() -> bool:
            return (await ask.get(f"/v1/cases/{life.case}", "eve")).status_code == 200

        await until(offered)
        pressed = await ask.press(life.case, "eve", command="accept_hand_over")
        listed = [[each["case_id"] for each in (await ask.get("/v1/cases", who)).json()["cases"]] for who in ("ann", "eve")]
    assert pressed.status_code == 202
    assert [each.count(str(life.case)) for each in listed] == [1, 1]


async def test_who_is_paged_by_no_centre_any_more_sees_lists_and_commands_what_they_were_called_for_and_nothing_else(stack):
    called, others = a_story(Life), a_story(Life)
    page = next(event for _, event in called.heard() if isinstance(event, PageRequested)).model_copy(update={"person_id": "lee"})
    about = {"source": "cases", "subject": called.case, "key": called.key, "time": page.at, "recorded": page.at, "correlation": called.first}
    async with console(stack) as ask, writing(stack) as producer:
        for life in (called, others):
            await tell_until_shown(ask, producer, life, "UploadAssessed", "CaseOpened")
        assert (await ask.get(f"/v1/cases/{called.case}", "lee")).status_code == 404
        assert str(called.case) not in {each["case_id"] for each in (await ask.get("/v1/cases", "lee")).json()["cases"]}
        await producer.publish(topics.CASES, [seal(page, event_id=EventId(uuid4()), causation=called.first, sequence=99, **about)])

        async def is_shown() -> bool:
            return (await ask.get(f"/v1/cases/{called.case}", "lee")).status_code == 200

        await until(is_shown)
        listed = {each["case_id"] for each in (await ask.get("/v1/cases", "lee")).json()["cases"]}
        answers = [
            await ask.press(called.case, "lee"),
            await ask.get(f"/v1/uploads/{called.first}", "lee"),
            await ask.press(others.case, "lee"),
            await ask.get(f"/v1/uploads/{others.first}", "lee"),
        ]
    assert {str(called.case), str(others.case)} & listed == {str(called.case)}
    assert [answer.status_code for answer in answers] == [202, 200, 404, 404]


async def test_who_was_offered_a_case_and_did_not_take_it_reads_lists_and_commands_it_no_more(stack):
    life = a_story(Life)
    async with console(stack) as ask, writing(stack) as producer:
        await tell_until_shown(ask, producer, life, "UploadAssessed", "CaseOpened")
        await tell(producer, life, "HandOverOffered", "HandOverExpired", "HandOverDeclined", "HandOverAccepted")

        async def over() -> bool:
            return (await ask.get(f"/v1/cases/{life.case}", "zoe")).json().get("owner") == "ann"

        await until(over)
        assert (await ask.get(f"/v1/cases/{life.case}", "eve")).status_code == 200  # of the centre that accepted it
        declined = a_story(Life)
        await tell_until_shown(ask, producer, declined, "UploadAssessed", "CaseOpened")
        await producer.publish(topics.CASES, [_first(declined, "HandOverOffered")])

        async def is_asked() -> bool:
            return (await ask.get(f"/v1/cases/{declined.case}", "eve")).status_code == 200

        await until(is_asked)
        await producer.publish(topics.CASES, [_first(declined, "HandOverExpired")])

        async def is_over() -> bool:
            return (await ask.get(f"/v1/cases/{declined.case}", "eve")).status_code == 404

        await until(is_over)
        taken = await ask.press(declined.case, "eve", command="take_over", reason="mine")
        listed = {each["case_id"] for each in (await ask.get("/v1/cases", "eve")).json()["cases"]}
    assert taken.status_code == 404
    assert {str(life.case), str(declined.case)} & listed == {str(life.case)}


def _first(story: Story, kind: str) -> Record:
    return next(record for _, record in story.told if dict(record.headers)["ce_type"].decode() == kind)
