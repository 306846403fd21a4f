"""The reader on a real broker: what is not handled comes again, what cannot be handled is kept apart, what is away is waited for."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer

from services.runtime import reader, settling
from services.runtime.errors import Away
from services.runtime.inbox import Inbox
from services.runtime.messages import Message
from services.runtime.settling import DEAD_LETTERS_IN_A_ROW
from tests.integration.runtime.reader_bench import Bench, Heard, command, is_now, number_of, until


async def test_a_message_that_fails_is_attempted_again_and_the_rest_is_not_lost(bench: Bench):
    async def fail_first_time(number: int, times: int) -> None:
        if number == 1 and times == 1:
            raise RuntimeError

    await bench.send(*(command(number) for number in range(3)))
    heard = Heard(fail_first_time)
    async with bench.read(heard):
        await heard.until(lambda numbers: len(numbers) == 4)
        await until(lambda: is_now(bench.committed, 3))
    assert heard.numbers == [0, 1, 1, 2]


async def test_a_message_that_always_fails_goes_to_the_dead_letters_with_its_cause_and_blocks_nobody(bench: Bench):
    async def fail(number: int, _: int) -> None:
        if number == 0:
            raise RuntimeError("quotes a patient's name")

    await bench.send(command(0), command(1))
    heard = Heard(fail)
    async with bench.read(heard):
        await heard.until(lambda numbers: 1 in numbers)
        (letter,) = await bench.dead_letters(1)
    assert heard.numbers == [0, 0, 0, 1]
    assert letter["dlq_origin"].startswith(bench.topic.name)
    assert (letter["dlq_cause"], letter["dlq_attempts"], letter["ce_type"]) == ("RuntimeError", "3", "Acknowledge")


async def test_what_is_away_is_waited_for_and_nothing_is_given_up(bench: Bench):
    async def away_at_first(_: int, times: int) -> None:
        if times <= 6:
            raise Away("redis", "test")

    await bench.send(command(0))
    heard = Heard(away_at_first)
    async with bench.read(heard) as reader:
        await heard.until(lambda numbers: len(numbers) == 2)
        assert reader.away is not None
        await heard.until(lambda numbers: len(numbers) == 7)
        await until(lambda: is_now(bench.committed, 1))
        assert reader.away is None
    assert await bench.redis.keys(f"*{bench.group}*")


async def test_a_message_that_ends_its_process_each_time_is_given_up(bench: Bench):
    record = command(0)
    inbox = Inbox(bench.redis, bench.group)
    message_id = dict(record.headers)["ce_id"].decode()
    for number in range(3):  # what a process that dies in the handler leaves behind
        await inbox.begin(message_id, record.key, f"process {number}")
    await bench.send(record, command(1))
    heard = Heard()
    async with bench.read(heard):
        await heard.until(lambda numbers: 1 in numbers)
        (letter,) = await bench.dead_letters(1)
    assert heard.numbers == [1]
    assert letter["dlq_cause"] == "it ended its process each time"


async def test_a_beginning_that_a_redis_which_hung_hears_many_times_is_counted_once(bench: Bench):
    inbox = Inbox(bench.redis, bench.group)
    assert [await inbox.begin("message", "patient", "the same") for _ in range(20)] == [1] * 20
    assert await inbox.begin("message", "patient", "another") == 2


async def test_only_what_was_written_after_a_reader_had_its_partition_is_new_to_it(bench: Bench):
    before, after = Heard(), Heard()
    await bench.send(command(0), command(1))
    async with bench.read(before):
        await before.until(lambda numbers: len(numbers) == 2)
        await bench.send(command(2))
        await before.until(lambda numbers: len(numbers) == 3)
        await until(lambda: is_now(bench.committed, 3))
    await bench.send(command(3))
    async with bench.read(after):  # another may have had it in hand and fallen
        await after.until(lambda numbers: len(numbers) == 1)
    assert (before.new, after.new) == ([False, False, True], [False])


@pytest.mark.parametrize("in_order", [True, False])
async def test_a_message_that_was_given_back_is_not_new_again(bench: Bench, monkeypatch: pytest.MonkeyPatch, in_order: bool):
    monkeypatch.setattr(reader, "AFTER_A_FAULT_S", 0.01)
    heard, faults = Heard(), iter((RuntimeError("a fault of ours"),))
    real_handled = Inbox.handled

    async def handled(self: Inbox, message_id: UUID | str, key: str) -> None:
        if 1 in heard.numbers and (fault := next(faults, None)):
            raise fault
        await real_handled(self, message_id, key)

    monkeypatch.setattr(Inbox, "handled", handled)
    await bench.send(command(0))
    async with bench.read(heard, in_order=in_order):
        await heard.until(lambda numbers: 0 in numbers)
        await bench.send(command(1))
        await heard.until(lambda numbers: numbers[1:] == [1, 1])
    assert heard.new[1:] == [True, False]


async def test_bytes_that_are_no_event_are_kept_apart_and_the_next_message_is_handled(bench: Bench):
    rubbish = AIOKafkaProducer(bootstrap_servers=bench.stack.kafka)
    await rubbish.start()
    for value, headers in ((b"0", []), (b"\xff\xfe", [("ce_id", b"\xff")]), (None, [("ce_type", b"Acknowledge"), ("ce_id", None)])):
        await rubbish.send_and_wait(bench.topic.name, value, key=b"patient", headers=headers)
    await rubbish.stop()
    await bench.send(command(7))
    heard = Heard()
    async with bench.read(heard):
        await heard.until(lambda numbers: 7 in numbers)
        letters = await bench.dead_letters(3)
    assert len({letter["dlq_origin"] for letter in letters}) == 3
    assert heard.numbers == [7]


@pytest.mark.parametrize("in_order", [True, False])
async def test_when_everything_goes_to_the_dead_letters_the_reader_stops_and_the_rest_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, in_order: bool
):
    monkeypatch.setattr(settling, "BETWEEN_ATTEMPTS_S", (0.01, 0.01))

    async def fail(_: int, __: int) -> None:
        raise RuntimeError

    many, at_once = 3 * DEAD_LETTERS_IN_A_ROW, 8
    await bench.send(*(command(number, key=f"patient-{number}") for number in range(many)))
    async with bench.read(Heard(fail), at_once=at_once, in_order=in_order) as reader:
        await bench.dead_letters(DEAD_LETTERS_IN_A_ROW)

        async def stopped() -> bool:
            return reader.stopped

        await until(stopped)
    letters = await bench.count_dead_letters()
    assert DEAD_LETTERS_IN_A_ROW <= letters < DEAD_LETTERS_IN_A_ROW + at_once
    well = Heard()
    async with bench.read(well):

        async def all_are_somewhere() -> bool:
            return len(set(well.numbers)) + await bench.count_dead_letters() >= many

        await until(all_are_somewhere)


async def test_one_patients_messages_do_not_stop_a_reader_that_serves_all(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(settling, "BETWEEN_ATTEMPTS_S", (0.01, 0.01))

    async def fail_one(number: int, _: int) -> None:
        if number < 2 * DEAD_LETTERS_IN_A_ROW:
            raise RuntimeError

    sick = [command(number, key="sick") for number in range(DEAD_LETTERS_IN_A_ROW + 5)]
    await bench.send(*sick, command(99, key="well"))
    heard = Heard(fail_one)
    async with bench.read(heard, at_once=1) as reader:
        await heard.until(lambda numbers: 99 in numbers)
        assert not reader.stopped


async def test_what_fell_with_the_inbox_away_is_not_held_against_the_message(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """Redis goes away in the middle of a handler, three times: neither the handled nor the unhandled message is given up."""
    monkeypatch.setattr(settling, "wait_s", lambda _: 0.01)
    falls = iter([True, True, True, False])

    async def away_in_between(_: int, __: int) -> None:
        if next(falls, False):
            raise Away("kafka", "test")

    real_pardon, real_handled, broken = Inbox.pardon, Inbox.handled, {"pardon": 3, "handled": 3}

    def breaking(name: str, real: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def call(self: Inbox, *words: str) -> None:
            if broken[name]:
                broken[name] -= 1
                raise Away("redis", "test")
            await real(self, *words)

        return call

    monkeypatch.setattr(Inbox, "pardon", breaking("pardon", real_pardon))
    monkeypatch.setattr(Inbox, "handled", breaking("handled", real_handled))
    await bench.send(command(0))
    heard = Heard(away_in_between)
    async with bench.read(heard):
        await until(lambda: is_now(bench.committed, 1))
    assert heard.numbers == [0, 0, 0, 0]
    assert await bench.count_dead_letters() == 0


async def test_a_beginning_whose_answer_is_lost_is_asked_for_again_under_its_name(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """Redis counts it and hangs before it answers, more often than a message has attempts."""
    monkeypatch.setattr(settling, "wait_s", lambda _: 0.01)
    real_begin, lost = Inbox.begin, iter(range(2 * settling.ATTEMPTS))

    async def begin(self: Inbox, *words: str) -> int:
        begun = await real_begin(self, *words)
        if next(lost, None) is not None:
            raise Away("redis", "test")
        return begun

    monkeypatch.setattr(Inbox, "begin", begin)
    await bench.send(command(0))
    heard = Heard()
    async with bench.read(heard):
        await until(lambda: is_now(bench.committed, 1))
    assert heard.numbers == [0]
    assert await bench.count_dead_letters() == 0


async def test_a_stop_in_the_middle_is_not_an_attempt(bench: Bench):
    await bench.send(command(0))
    for _ in range(4):
        running = asyncio.Event()

        async def hold(_: int, __: int, running: asyncio.Event = running) -> None:
            running.set()
            await asyncio.Event().wait()

        async with bench.read(Heard(hold)):
            await running.wait()
    again = Heard()
    async with bench.read(again):
        await again.until(lambda numbers: numbers == [0])


async def test_under_a_steady_flow_what_is_settled_is_committed(bench: Bench):
    async def hold_first(number: int, _: int) -> None:
        if number == 0:
            await asyncio.Event().wait()

    await bench.send(command(0, "slow"))
    heard = Heard(hold_first)
    async with bench.read(heard, in_order=False):
        for number in range(1, 40):
            await bench.send(command(number, f"patient-{number}"))
        await heard.until(lambda numbers: len(numbers) == 40)

        async def most_are_committed() -> bool:
            await bench.send(command(100, "tick"))  # the flow goes on
            return await bench.committed() >= 20

        await until(most_are_committed)


class BegunEarly:
    """A handler that begins while its beginning is counted, and acts when it is."""

    def __init__(self) -> None:
        self.acted: list[int] = []

    async def __call__(self, message: Message) -> None:
        await message.counted
        self.acted.append(number_of(message))


async def test_who_begins_early_acts_once_on_a_message_that_comes_twice(bench: Bench):
    twice = command(0)
    await bench.send(twice, twice)
    early = BegunEarly()
    async with bench.read(early, begins_early=True, in_order=True):
        await until(lambda: is_now(bench.committed, 2))
    assert early.acted == [0]


async def test_who_begins_early_does_not_act_on_what_ended_its_process_each_time(bench: Bench):
    record = command(0)
    for number in range(settling.ATTEMPTS):
        await Inbox(bench.redis, bench.group).begin(dict(record.headers)["ce_id"].decode(), record.key, f"process {number}")
    await bench.send(record)
    early = BegunEarly()
    async with bench.read(early, begins_early=True, in_order=False):
        await bench.dead_letters(1)
    assert early.acted == []


async def test_who_begins_early_waits_for_an_inbox_that_is_away(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(settling, "wait_s", lambda _: 0.01)
    real_begin, away = Inbox.begin, iter(range(2 * settling.ATTEMPTS))

    async def begin(self: Inbox, *words: str) -> int:
        if next(away, None) is not None:
            raise Away("redis", "test")
        return await real_begin(self, *words)

    monkeypatch.setattr(Inbox, "begin", begin)
    await bench.send(command(0))
    early = BegunEarly()
    async with bench.read(early, begins_early=True, in_order=False):
        await until(lambda: is_now(bench.committed, 1))
    assert early.acted == [0]
    assert await bench.count_dead_letters() == 0


async def test_messages_of_one_patient_keep_their_order_while_others_pass(bench: Bench):
    go = asyncio.Event()

    async def hold_first(number: int, _: int) -> None:
        if number == 0:
            await go.wait()

    await bench.send(command(0, "slow"), command(1, "slow"), command(2, "quick"), command(3, "quick"))
    heard = Heard(hold_first)
    async with bench.read(heard):
        await heard.until(lambda numbers: {0, 2, 3} <= set(numbers))
        assert 1 not in heard.numbers
        go.set()
        await heard.until(lambda numbers: 1 in numbers)
    assert heard.numbers.index(2) < heard.numbers.index(3)


async def test_a_reader_that_is_stopped_in_a_handler_leaves_the_message_to_the_next(bench: Bench):
    running = asyncio.Event()

    async def hold(_: int, __: int) -> None:
        running.set()
        await asyncio.Event().wait()

    await bench.send(command(0))
    async with bench.read(Heard(hold)):
        await running.wait()
    again = Heard()
    async with bench.read(again):
        await again.until(lambda numbers: numbers == [0])


@pytest.mark.parametrize("records", [0, 5])
async def test_a_batch_is_there_whole_or_refused(bench: Bench, records: int):
    batch = [command(number) for number in range(records)] or [command(0, "one"), command(1, "another")]
    if not records:
        with pytest.raises(ValueError, match="one key"):
            await bench.producer.publish(bench.topic, batch)
        return
    await bench.producer.publish(bench.topic, batch)
    heard = Heard()
    async with bench.read(heard):
        await heard.until(lambda numbers: len(numbers) == records)
    assert heard.numbers == list(range(records))


async def test_a_service_may_write_only_its_own_topics(bench: Bench):
    with pytest.raises(ValueError, match="may not write"):
        await bench.producer.publish("cases.v1", [command(0)])
