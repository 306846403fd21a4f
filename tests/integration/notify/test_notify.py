"""Notify on a real Kafka and Redis, with a provider that is a real HTTP server."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest_asyncio
import yaml

from contracts import topics
from contracts.deliveries import Failure, NoticeFailed, NoticeSent, NoticeUnknown
from contracts.envelope import Record, open_envelope
from contracts.vocabulary import Priority
from services.notify.app import PLAN
from tests.conftest import Stack
from tests.integration.notify.running import publish, read_until, running, settings_for, until, writing
from tests.unit.notify.pages import page, sealed


class Provider:
    """A web hook: /<status> answers with it; /hang waits until the test lets it go."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.answers: list[str] = []  # what /next answers, in its order
        self.hung, self.let_go = asyncio.Event(), asyncio.Event()

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return f"json://127.0.0.1:{port}"

    async def stop(self) -> None:
        self.let_go.set()
        self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        said = json.loads(await reader.readexactly(length))
        self.heard.append(said.get("message") or said["text"])
        what = head.split()[1].decode().rsplit("/", 1)[1]
        what = self.answers.pop(0) if what == "next" else what
        if what == "hang":
            self.hung.set()
            await self.let_go.wait()
        writer.write(f"HTTP/1.1 {'200' if what == 'hang' else what} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        writer.close()


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[tuple[Provider, str]]:
    provider = Provider()
    address = await provider.start()
    yield provider, address
    await provider.stop()


def directory_yaml(address: str, alarm: str = "local") -> str:
    methods = {
        "pager": "local",
        "yes": f"{address}/200",
        "no": f"{address}/403",
        "busy": f"{address}/503",
        "hang": f"{address}/hang",
        "next": f"{address}/next",
        "two": f"{address.replace('json', 'mmost')}/next?to=first,second",
    }
    centres = {
        name: {"name": name.title(), "standing_number": "555-0100", "standing_alarm": alarm, "on_call": ["ann"]} for name in ("north", "south")
    }
    told = {"version": "test-1", "centres": centres, "clinics": {"clinic": {"name": "Test Clinic", "centre": "south"}}}
    return yaml.safe_dump(told | {"people": {"ann": {"name": "Test Ann", "methods": methods}}})


def a_page(**changed):
    return page(str(uuid4()), **{"method": "pager", "at": datetime.now(UTC)} | changed)


async def deliveries(stack: Stack, *pages):
    """Return what became of each page, by its notice."""
    wanted = {each.notice_id for each in pages}
    cases = {str(each.case_id) for each in pages}

    def enough(found):
        return {event.notice_id for _, event in found} >= wanted

    return {
        event.notice_id: (envelope, event) for envelope, event in await read_until(stack, topics.DELIVERIES, enough, lambda it: it.subject in cases)
    }


def lines(folder: Path, *pages):
    pager = folder / "pager.jsonl"
    told = [json.loads(line) for line in pager.read_text().splitlines()] if pager.exists() else []
    return [line for line in told if line["case_id"] in {str(each.case_id) for each in pages}]


async def test_a_page_goes_to_the_local_pager_once_and_its_delivery_names_the_page_that_asked_for_it(stack, tmp_path, provider):
    asked = a_page()
    record = sealed(asked)
    async with running(settings_for(stack, tmp_path, directory_yaml(provider[1])), PLAN), writing(stack) as producer:
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
    async with running(settings_for(stack, tmp_path, directory_yaml(provider[1])), PLAN), writing(stack) as producer:
        await publish(producer, topics.CASES, *map(sealed, pages.values()))
        told = await deliveries(stack, *pages.values())
    found = {name: told[each.notice_id][1] for name, each in pages.items()}
    assert isinstance(found["yes"], NoticeSent)
    assert isinstance(found["no"], NoticeFailed)
    assert found["no"].failure is Failure.PERMANENT
    assert isinstance(found["busy"], NoticeFailed)
    assert found["busy"].failure is Failure.TEMPORARY
    assert isinstance(found["hang"], NoticeUnknown)
    assert found["carrier-pigeon"].reason == "ann has no carrier-pigeon in the directory"
    assert found["nobody"].reason == "bob is not in the directory"
    assert len(provider[0].heard) == 5  # only what is known to have failed for the moment was tried once more
    assert not [event for event in found.values() if "127.0.0.1" in event.model_dump_json()]  # an address holds secrets


async def test_a_provider_that_hangs_delays_neither_a_red_nor_the_rest(stack, tmp_path, provider):
    hung = [a_page(method="hang", priority=priority) for priority in (Priority.YELLOW, Priority.RED) for _ in range(10)]
    red, other = a_page(), a_page(priority=Priority.GREEN)
    hook, address = provider
    async with running(settings_for(stack, tmp_path, directory_yaml(address)), PLAN), writing(stack) as producer:
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
    async with running(settings_for(stack, tmp_path, directory_yaml(provider[1])), PLAN), writing(stack) as producer:
        await producer.publish(topics.CASES, [sealed(hung), sealed(same_patient)])
        told = await deliveries(stack, hung, same_patient)
    assert told[same_patient.notice_id][1].at < told[hung.notice_id][1].at


async def test_a_dead_letter_rings_the_standing_number_with_its_ids(stack, tmp_path, provider):
    lost = a_page()
    origin = (("dlq_origin", str(uuid4()).encode()), ("dlq_group", b"cases.commands.v1"))
    dead = sealed(lost)
    letter = Record(dead.key, (*dead.headers, *origin), dead.value)
    garbage = Record("x", (("ce_id", b"\xff"), ("dlq_origin", str(uuid4()).encode()), ("dlq_group", b"cases.commands.v1")), b"\x00{")
    async with running(settings_for(stack, tmp_path, directory_yaml(provider[1])), PLAN), writing(stack) as producer:
        for each in (garbage, letter, letter):
            await producer.publish(topics.COMMANDS.dead_letters, [each])

        async def all_told() -> bool:
            pager = tmp_path / "pager.jsonl"
            return pager.exists() and len(pager.read_text().splitlines()) >= 3

        await until(all_told)
    [line] = lines(tmp_path, lost)
    assert (line["person"], line["method"]) == ("standing-number", "local")
    assert str(lost.upload_id) in line["text"]
    everything = (tmp_path / "pager.jsonl").read_text()
    assert lost.patient_key not in everything
    assert everything.count("no id could be read") >= 2  # of the garbage no clinic is known: both centres are told


async def test_a_page_that_cannot_be_read_rings_the_standing_number(stack, tmp_path, provider):
    lost = a_page()
    record = sealed(lost)
    async with running(settings_for(stack, tmp_path, directory_yaml(provider[1])), PLAN), writing(stack) as producer:
        await producer.publish(topics.CASES, [Record(record.key, record.headers, b"{}")])

        async def told() -> bool:
            return bool(lines(tmp_path, lost))

        await until(told)
    assert {line["person"] for line in lines(tmp_path, lost)} == {"standing-number"}


async def test_an_alarm_that_is_refused_for_good_ends_at_a_critical_line_and_not_in_another_dead_letter(stack, tmp_path, provider, capsys):
    hook, address = provider
    origin = (("dlq_origin", str(uuid4()).encode()), ("dlq_group", b"cases.commands.v1"))
    async with running(settings_for(stack, tmp_path, directory_yaml(address, f"{address}/403")), PLAN), writing(stack) as producer:
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
    async with running(settings_for(stack, tmp_path, directory_yaml(address)), PLAN), writing(stack) as producer:
        last = a_page()
        await publish(producer, topics.CASES, sealed(last))
        await deliveries(stack, *asked, last)
    assert len(hook.heard) == len(asked)


async def test_a_page_that_a_provider_refuses_for_the_moment_is_tried_once_more_at_once(stack, tmp_path, provider):
    hook, address = provider
    hook.answers = ["503", "200", "503", "503"]
    healed, refused = a_page(method="next"), a_page(method="next")
    async with running(settings_for(stack, tmp_path, directory_yaml(address)), PLAN), writing(stack) as producer:
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
    async with running(settings_for(stack, tmp_path, directory_yaml(address)), PLAN), writing(stack) as producer:
        await publish(producer, topics.CASES, sealed(asked))
        _, event = (await deliveries(stack, asked))[asked.notice_id]
    assert isinstance(event, NoticeUnknown)
    assert len(hook.heard) == 2


async def test_after_an_outage_of_notify_one_of_a_cases_rounds_goes_out_and_nothing_that_is_days_old(stack, tmp_path, provider):
    hook, address = provider
    now = datetime.now(UTC)
    stale = a_page(method="yes", at=now - timedelta(days=7))
    first = a_page(method="yes", at=now - timedelta(hours=2))
    rounds = [first, *(a_page(method="yes", case_id=first.case_id, round=number, at=now - timedelta(minutes=120 - number)) for number in range(2, 9))]
    async with running(settings_for(stack, tmp_path, directory_yaml(address)), PLAN), writing(stack) as producer:
        await publish(producer, topics.CASES, *map(sealed, (stale, *rounds)))
        told = await deliveries(stack, stale, *rounds)
    assert [type(told[each.notice_id][1]) for each in rounds].count(NoticeSent) == len(hook.heard) == 1
    assert told[stale.notice_id][1].failure is Failure.PERMANENT


async def test_a_timer_whose_command_fails_again_and_again_rings_the_standing_number_once_through_restarts(stack, tmp_path, provider):
    hook, address = provider
    lost = sealed(a_page())

    def letter() -> Record:
        return Record(lost.key, (*lost.headers, ("dlq_origin", str(uuid4()).encode()), ("dlq_group", b"cases.commands.v1")), lost.value)

    settings = settings_for(stack, tmp_path, directory_yaml(address, f"{address}/200"))
    for round_ in range(2):
        async with running(settings, PLAN), writing(stack) as producer:
            for _ in range(3):
                await producer.publish(topics.COMMANDS.dead_letters, [letter()])
            other = str(uuid4())
            await producer.publish(topics.COMMANDS.dead_letters, [Record(lost.key, (("dlq_origin", other.encode()), ("dlq_group", b"cases.x")), b"")])

            async def other_told(number: int = round_) -> bool:
                return sum("no id could be read" in text for text in hook.heard) == 2 * (number + 1)  # both centres

            await until(other_told)
    assert sum(open_envelope(lost.headers).subject in text for text in hook.heard) == 1
