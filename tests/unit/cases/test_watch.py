"""What is due after an outage: no page stands behind the readings, one that hangs holds up no other, and one failure is the whole look's."""

import asyncio
from collections.abc import Iterable, Sequence
from uuid import uuid4

import pytest

from contracts.envelope import Record
from contracts.ids import CaseId
from contracts.topics import Topic
from contracts.vocabulary import Lane, Priority
from services.cases import desk
from services.cases.desk import Desk
from services.cases.outbox import Claimed
from services.cases.state import Case
from services.cases.timers import timers
from services.runtime.buckets import COUNT
from services.runtime.errors import Away
from tests.unit.cases.case_world import CASE, DIRECTORY, T0, World, assessed, uploaded

READINGS, HANGING = 300, 5


def waiting_for(priority: Priority, lane: Lane = Lane.EMERGENCY) -> Case:
    world = World()
    world.hear(uploaded())
    world.hear(assessed(priority, lane=lane))
    return world.case


YELLOW, RED = waiting_for(Priority.YELLOW), waiting_for(Priority.RED)
[READ] = [name for name in timers(YELLOW) if name.startswith("read/")]


class Overdue:
    """A store with the timers of many readings, and last of one red; each is claimed once."""

    def __init__(self, readings: int) -> None:
        self.cases = {CaseId(uuid4()): YELLOW for _ in range(readings)} | {CASE: RED}
        self.hurried = set[int]()
        self.due = [(case, READ if state is YELLOW else "again/1") for case, state in self.cases.items()]

    async def claim(self, buckets: Iterable[int]) -> list[Claimed]:
        due, self.due = self.due, []
        return [Claimed(number, (timer,), ()) for number, timer in enumerate(due)]

    async def case_in(self, bucket: int, case_id: CaseId) -> Case | None:
        await asyncio.sleep(0)
        return self.cases[case_id]

    async def hurry(self, bucket: int) -> None:
        self.hurried.add(bucket)


class Commands:
    """Where commands go: the first hang for as long as nobody lets them go on."""

    def __init__(self, hanging: int = 0) -> None:
        self.kinds, self.all_of, self.go_on, self.hanging = list[str](), asyncio.Event(), asyncio.Event(), hanging

    async def publish(self, topic: Topic | str, records: Sequence[Record]) -> None:
        if self.hanging:
            self.hanging -= 1
            await self.go_on.wait()
        self.kinds += [dict(record.headers)["ce_type"].decode() for record in records]
        if len(self.kinds) > READINGS - HANGING:
            self.all_of.set()


def watching(store: Overdue, log: object) -> asyncio.Task[None]:
    return asyncio.create_task(Desk(store, log, lambda: DIRECTORY, lambda: T0).watch())  # type: ignore[arg-type]


async def fired(log: Commands) -> list[str]:
    """Watch until all that does not hang is fired; return what was, in its order."""
    task = watching(Overdue(READINGS), log)
    async with asyncio.timeout(10):
        await log.all_of.wait()
    task.cancel()
    return log.kinds


async def test_no_page_stands_behind_the_readings() -> None:
    assert (await fired(Commands()))[0] == "PageAgain"


async def test_a_command_that_hangs_holds_up_no_other() -> None:
    assert len(await fired(Commands(hanging=HANGING))) == READINGS + 1 - HANGING


async def test_what_is_away_for_one_ends_the_look_and_nothing_of_it_goes_on_alone() -> None:
    class KafkaAway(Commands):
        async def publish(self, topic: Topic | str, records: Sequence[Record]) -> None:
            await asyncio.sleep(0)
            self.kinds.append("asked")
            raise Away("kafka", "test")

    log = KafkaAway()
    with pytest.raises(Away):
        await watching(Overdue(READINGS), log)
    asked = len(log.kinds)
    await asyncio.sleep(0.01)
    assert 0 < asked == len(log.kinds) < READINGS


async def test_what_a_clock_has_left_far_ahead_is_looked_for_in_every_bucket(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(desk, "LOOK_EVERY_S", 0)
    store = Overdue(0)
    task = watching(store, Commands())
    async with asyncio.timeout(10):
        while store.hurried != set(range(COUNT)):
            await asyncio.sleep(0)
    task.cancel()
