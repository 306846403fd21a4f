"""Notify on a real Kafka and Redis, with a provider that is a real HTTP server."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from contracts import topics
from contracts.cases import PageReason
from contracts.deliveries import Failure, NoticeFailed, NoticeSent, NoticeUnknown
from contracts.envelope import Record, open_envelope
from contracts.vocabulary import Priority
from services.notify.app import AT_ONCE
from services.notify.apprise_carrier import SEND_WITHIN_S
from services.notify.groups import REST_GROUP
from tests.integration.notify.centre import a_page, deliveries, lines, notify
from tests.integration.notify.running import publish, until, writing
from tests.unit.notify.pages import note, sealed


async def test_a_page_goes_to_the_local_pager_once_and_its_delivery_names_the_page_that_asked_for_it(stack, tmp_path, provider):
    asked = a_page()
    record = sealed(asked)
    async with notify(stack, tmp_path, provider[1]), writing(stack) as producer:
        await publish(producer, topics.CASES, record, record)
        envelope, event = (await deliveries(stack, asked))[asked.notice_id]
        last = a_page()
        await publish(producer, topics.CASES, sealed(last))
        await deliveries(stack, last)
    assert isinstance(event, NoticeSent)
    assert envelope.causationid == open_envelope(record.headers).id
    assert envelope.correlationid == asked.upload_id
    assert envelope.partitionkey == asked.patient_key
    [line] = lines(tmp_path, asked)
    assert line["notice_id"] == str(asked.notice_id)
    assert line["text"].startswith("RED: ")


async def test_what_a_provider_says_is_what_is_told_and_its_silence_is_unknown(stack, tmp_path, provider):
    pages = {method: a_page(method=method) for method in ("yes", "no", "busy", "hang", "carrier-pigeon")}
    pages["nobody"] = a_page(person_id="bob")
    async with notify(stack, tmp_path, provider[1]), writing(stack) as producer:
        await publish(producer, topics.CASES, *map(sealed, pages.values()))
        told = await deliveries(stack, *pages.values())
    found = {name: told[each.notice_id][1] for name, each in pages.items()}
    assert isinstance(found["yes"], NoticeSent)
    assert isinstance(found["no"], NoticeFailed)
    assert found["no"].failure is Failure.PERMANENT
    assert isinstance(found["busy"], NoticeFailed)
    assert found["busy"].failure is Failure.TEMPORARY
    assert isinstance(found["hang"], NoticeUnknown)
    assert found["carrier-pigeon"].reason == "ann has no carrier-pigeon in the contacts: load a directory that has it"
    assert found["nobody"].reason == "bob is not in the contacts: load a directory that has them"
    assert len(provider[0].heard) == 5  # only what is known to have failed for the moment was tried once more
    assert not [event for event in found.values() if "127.0.0.1" in event.model_dump_json()]  # an address holds secrets


async def test_a_provider_that_hangs_delays_neither_a_red_nor_the_rest(stack, tmp_path, provider):
    hung = [a_page(method="hang", priority=priority) for priority in (Priority.YELLOW, Priority.RED) for _ in range(10)]
    red, other = a_page(), a_page(priority=Priority.GREEN)
    hook, address = provider
    async with notify(stack, tmp_path, address), writing(stack) as producer:
        await publish(producer, topics.CASES, *map(sealed, hung))
        await asyncio.wait_for(hook.hung.wait(), 30)
        first = a_page(method="yes")
        await publish(producer, topics.CASES, sealed(red), sealed(other), sealed(first))
        told = await deliveries(stack, red, other, first)
        late = await deliveries(stack, *hung)
    at = max(told[each.notice_id][1].at for each in (red, other, first))
    assert at < min(late[each.notice_id][1].at for each in hung)


async def test_two_people_of_one_case_are_paged_at_once_though_the_first_hangs(stack, tmp_path, provider):
    hung = a_page(method="hang")
    same_patient = hung.model_copy(update={"method": "pager", "notice_id": uuid4()})
    async with notify(stack, tmp_path, provider[1]), writing(stack) as producer:
        await producer.publish(topics.CASES, [sealed(hung), sealed(same_patient)])
        told = await deliveries(stack, hung, same_patient)
    assert told[same_patient.notice_id][1].at < told[hung.notice_id][1].at


async def test_a_dead_letter_rings_the_standing_number_with_its_ids(stack, tmp_path, provider):
    lost = a_page()
    origin = (("dlq_origin", str(uuid4()).encode()), ("dlq_group", b"cases.commands.v1"))
    dead = sealed(lost)
    letter = Record(dead.key, (*dead.headers, *origin), dead.value)
    garbage = Record("x", (("ce_id", b"\xff"), ("dlq_origin", str(uuid4()).encode()), ("dlq_group", b"cases.commands.v1")), b"\x00{")
    async with notify(stack, tmp_path, provider[1]), writing(stack) as producer:
        for each in (garbage, letter, letter):
            await producer.publish(topics.COMMANDS.dead_letters, [each])

        async def all_told() -> bool:
            pager = tmp_path / "pager.jsonl"
            return pager.exists() and len(pager.read_text().splitlines()) >= 3

        await until(all_told)
    [line] = lines(tmp_path, lost)
    assert (line["person"], line["method"]) == ("standing-number", "standing-alarm")
    assert str(lost.upload_id) in line["text"]
    everything = (tmp_path / "pager.jsonl").read_text()
    assert lost.patient_key not in everything
    assert everything.count("no id could be read") >= 2  # of the garbage no clinic is known: both centres are told


async def test_a_page_that_cannot_be_read_rings_the_standing_number(stack, tmp_path, provider):
    lost = a_page()
    record = sealed(lost)
    async with notify(stack, tmp_path, provider[1]), writing(stack) as producer:
        await producer.publish(topics.CASES, [Record(record.key, record.headers, b"{}")])

        async def told() -> bool:
            return bool(lines(tmp_path, lost))

        await until(told)
    assert {line["person"] for line in lines(tmp_path, lost)} == {"standing-number"}


async def test_an_alarm_that_is_refused_for_good_ends_at_a_critical_line_and_not_in_another_dead_letter(stack, tmp_path, provider, capsys):
    hook, address = provider
    origin = (("dlq_origin", str(uuid4()).encode()), ("dlq_group", b"cases.commands.v1"))
    async with notify(stack, tmp_path, address, f"{address}/403"), writing(stack) as producer:
        await producer.publish(topics.COMMANDS.dead_letters, [Record("x", origin, b"")])
        said = ""

        async def critical() -> bool:
            nonlocal said
            said += "".join(capsys.readouterr())
            return "a dead letter could not be handled" in said

        await until(critical)
    assert len(hook.heard) >= 6  # three attempts at each of two centres
    assert address not in said


async def test_a_page_that_lies_twice_in_the_log_goes_to_its_provider_once(stack, tmp_path, provider):
    hook, address = provider
    asked = [a_page(method="yes") for _ in range(5)]
    async with writing(stack) as producer:
        for each in asked:
            await producer.publish(topics.CASES, [sealed(each), sealed(each)])  # in one batch: they are taken together
    async with notify(stack, tmp_path, address), writing(stack) as producer:
        last = a_page()
        await publish(producer, topics.CASES, sealed(last))
        await deliveries(stack, *asked, last)
    assert len(hook.heard) == len(asked)


async def test_a_page_that_a_provider_refuses_for_the_moment_is_tried_once_more_at_once(stack, tmp_path, provider):
    hook, address = provider
    hook.answers = ["503", "200", "503", "503"]
    healed, refused = a_page(method="next"), a_page(method="next")
    async with notify(stack, tmp_path, address), writing(stack) as producer:
        await publish(producer, topics.CASES, sealed(healed))
        told = await deliveries(stack, healed)
        await publish(producer, topics.CASES, sealed(refused))
        told |= await deliveries(stack, refused)
    assert isinstance(told[healed.notice_id][1], NoticeSent)
    assert isinstance(told[refused.notice_id][1], NoticeFailed)
    assert len(hook.heard) == 4


async def test_where_one_of_several_targets_took_it_nothing_is_sent_twice_and_it_is_unknown(stack, tmp_path, provider):
    hook, address = provider
    hook.answers = ["200", "503"]
    asked = a_page(method="two")
    async with notify(stack, tmp_path, address), writing(stack) as producer:
        await publish(producer, topics.CASES, sealed(asked))
        _, event = (await deliveries(stack, asked))[asked.notice_id]
    assert isinstance(event, NoticeUnknown)
    assert len(hook.heard) == 2


async def test_after_an_outage_of_notify_one_of_a_cases_rounds_goes_out_and_nothing_that_is_days_old(stack, tmp_path, provider):
    hook, address = provider
    now = datetime.now(UTC)
    stale = a_page(method="yes", at=now - timedelta(days=7))
    first = a_page(method="yes", at=now - timedelta(hours=2))
    rounds = [
        first,
        *(first.model_copy(update={"notice_id": uuid4(), "round": each, "at": first.at + timedelta(minutes=each)}) for each in range(2, 9)),
    ]
    async with notify(stack, tmp_path, address), writing(stack) as producer:
        await publish(producer, topics.CASES, *map(sealed, (stale, *rounds)))
        told = await deliveries(stack, stale, *rounds)
    sent = [told[each.notice_id][1] for each in rounds]
    [rang] = [event for event in sent if event.said_by is None]
    assert len(hook.heard) == 1
    assert {event.said_by for event in sent} == {None, rang.notice_id}
    assert told[stale.notice_id][1].failure is Failure.PERMANENT


async def test_a_timer_whose_command_fails_again_and_again_rings_the_standing_number_once_through_restarts(stack, tmp_path, provider):
    hook, address = provider
    lost = sealed(a_page())

    def letter() -> Record:
        return Record(lost.key, (*lost.headers, ("dlq_origin", str(uuid4()).encode()), ("dlq_group", b"cases.commands.v1")), lost.value)

    for round_ in range(2):
        async with notify(stack, tmp_path, address, f"{address}/200"), writing(stack) as producer:
            for _ in range(3):
                await producer.publish(topics.COMMANDS.dead_letters, [letter()])
            other = str(uuid4())
            await producer.publish(topics.COMMANDS.dead_letters, [Record(lost.key, (("dlq_origin", other.encode()), ("dlq_group", b"cases.x")), b"")])

            async def other_told(number: int = round_) -> bool:
                return sum("no id could be read" in text for text in hook.heard) == 2 * (number + 1)  # both centres

            await until(other_told)
    assert sum(open_envelope(lost.headers).subject in text for text in hook.heard) == 1


async def test_a_standing_number_is_rung_for_a_page_and_a_person_hears_a_note(stack, tmp_path, provider):
    nobody = a_page(person_id="standing-number", method="standing-alarm", centre_id="north", reason=PageReason.NOBODY_ON_CALL)
    told = note(str(uuid4()), method="pager", at=datetime.now(UTC))
    async with notify(stack, tmp_path, provider[1]), writing(stack) as producer:
        await publish(producer, topics.CASES, sealed(nobody), sealed(told, Priority.RED))
        found = await deliveries(stack, nobody, told)
    assert {type(event) for _, event in found.values()} == {NoticeSent}
    assert [line["text"][:38] for line in lines(tmp_path, nobody)] == ["RED: Nobody is on call: find somebody."]
    assert [line["text"][:24] for line in lines(tmp_path, told)] == ["Test Bob has it in hand."]


async def test_a_red_does_not_wait_while_every_yellow_hangs_at_its_provider(stack, tmp_path, provider):
    hook, address = provider
    async with notify(stack, tmp_path, address), writing(stack) as producer:
        hung = [a_page(method="hang", priority=Priority.YELLOW, reason=PageReason.HAND_OVER) for _ in range(AT_ONCE[REST_GROUP] + 10)]
        await publish(producer, topics.CASES, *map(sealed, hung))
        await asyncio.wait_for(hook.hung.wait(), 30)
        red = a_page(method="yes")
        await publish(producer, topics.CASES, sealed(red))
        _, event = (await deliveries(stack, red))[red.notice_id]
        late = await deliveries(stack, *hung)
    assert event.at < max(each.at for _, each in late.values())
    assert (event.at - red.at).total_seconds() < SEND_WITHIN_S
