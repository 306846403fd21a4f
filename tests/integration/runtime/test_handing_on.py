"""Partitions that go from one reader to another: what is in hand is brought to its end, and nobody waits for longer than that."""

import asyncio
from typing import Any

import pytest

from services.runtime import reader
from tests.integration.runtime.reader_bench import SOON_S, Bench, Heard, command, is_now, until


async def test_no_more_is_taken_than_can_be_brought_to_its_end_when_partitions_are_handed_on(bench: Bench):
    go = asyncio.Event()

    async def hold(_: int, __: int) -> None:
        await go.wait()

    await bench.send(*(command(number, f"patient-{number}") for number in range(60)))
    heard = Heard(hold)
    async with bench.read(heard, at_once=2, in_order=False) as first:
        await heard.until(lambda numbers: len(numbers) >= 2)

        async def first_is_handing_on() -> bool:
            return first.handing_on

        second, done = Heard(), asyncio.Event()
        joining = asyncio.create_task(_read_beside(bench, second, done))
        await until(first_is_handing_on)
        go.set()
        await second.until(lambda numbers: len(numbers) > 0)  # had the first taken all, none would be left
        await until(lambda: is_now(bench.committed, 60))
        done.set()
        await joining
    assert sorted([*heard.numbers, *second.numbers]) == list(range(60))


async def test_a_partition_is_handed_over_only_when_its_handler_has_ended(bench: Bench):
    go, running = asyncio.Event(), asyncio.Event()

    async def hold(_: int, times: int) -> None:
        if times == 1:
            running.set()
            await go.wait()

    await bench.send(*(command(number, key=f"patient-{number}") for number in range(6)))
    heard = Heard(hold)
    async with bench.read(heard, at_once=1):
        await running.wait()
        second, both_done = Heard(), asyncio.Event()
        joining = asyncio.create_task(_read_beside(bench, second, both_done))
        await until(lambda: is_now(bench.group_state, "PreparingRebalance"))
        go.set()
        await until(lambda: is_now(bench.committed, 6))
        both_done.set()
        await joining
    assert sorted([*heard.numbers, *second.numbers]) == list(range(6))


@pytest.mark.parametrize("in_order", [True, False])
async def test_who_waits_for_messages_when_another_joins_does_not_keep_it_waiting(bench: Bench, monkeypatch: pytest.MonkeyPatch, in_order: bool):
    """aiokafka answers nobody while partitions are reassigned; the reassignment waits for the handler."""
    monkeypatch.setattr(reader, "REVOKE_WAITS_S", 10 * SOON_S)
    first, second, done = Heard(), Heard(), asyncio.Event()
    async with bench.read(first, in_order=in_order):
        await bench.send(command(0))
        await first.until(lambda numbers: len(numbers) == 1)
        joining = asyncio.create_task(_read_beside(bench, second, done, in_order=in_order))

        async def second_has_heard() -> bool:
            await bench.send(*(command(number, f"patient-{number}") for number in range(6)))  # the first is never idle
            return bool(second.numbers)

        await until(second_has_heard)
        done.set()
        await joining


async def _read_beside(bench: Bench, heard: Heard, until_done: asyncio.Event, **options: Any) -> None:
    async with bench.read(heard, instance="1", **options):
        await until_done.wait()
