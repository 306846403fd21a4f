"""One schedule: a world under faults, then healed; what did not hold in it, or that all did."""

import asyncio
import gc
import logging
import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import structlog

from contracts.ids import CaseId
from contracts.vocabulary import Lane
from services.runtime.buckets import bucket_of
from tests.sim.actors import Clinics, People, uploads
from tests.sim.broker import SimulatedBroker
from tests.sim.checks import Checks
from tests.sim.faults import Chance, Fault
from tests.sim.loop import OWNER, Idle
from tests.sim.processes import CLOCKED, LOOKS_EVERY_S, cases, notify
from tests.sim.providers import Providers
from tests.sim.replacing import replaced
from tests.sim.store import Copy, Memory
from tests.sim.world import Process, Violation, World

FAULTS_FOR_S = 200.0
HEALED_WITHIN_S = 900.0
NEMESIS = ("redis", "kafka", "pager", "kill", "kill", "redis emptied", "redis put back")
LOOK_EVERY_S = 2.0
SETTLED_WITHIN_S, PAGED_WITHIN_S = 45.0, 75.0  # sessions, leases and waits are over; a page a minute, and what one takes


@dataclass(frozen=True)
class Asked:
    """A schedule by its seed; the rest makes it smaller: these uploads, these faults and no other, fewer seconds under them."""

    seed: int
    uploads: tuple[int, ...] | None = None
    faults_for_s: float | None = None
    only: frozenset[str] | None = None

    @property
    def lasts_s(self) -> float:
        """How long there are faults: in one of eight long enough for an owner who fell asleep to be released."""
        drawn_s = FAULTS_FOR_S * (3 if Chance(self.seed, "length").one_in(8) else 1)
        return drawn_s if self.faults_for_s is None else self.faults_for_s


@dataclass(frozen=True)
class Ran:
    asked: Asked
    steps: int
    violation: Violation | None
    digest: int
    fired: tuple[str, ...]
    uploads: int
    table: Counter[tuple[str, Fault]] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)


class Schedule:
    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.world = world = World(asked.seed, asked.only)
        self.memory, self.broker, self.providers = Memory(world.now_ms), SimulatedBroker(world), Providers()
        self.checks = Checks(world, self.broker, self.memory, self.providers)
        self.clinics = Clinics(world, self.broker, uploads(asked.seed, asked.uploads))
        for upload in self.clinics.sent:  # the buckets of this county: all there are
            self.memory.bucket(bucket_of(upload.patient_key))
        self.people = People(world, self.broker, self.checks.logs, self.providers)

    async def play(self) -> None:
        world, nemesis = self.world, Chance(self.asked.seed, "nemesis")
        world.start("gateway", self.clinics.gateway)
        world.start("triage", self.clinics.triage)
        world.start("console", self.people.console)
        world.start("notify", notify(world, self.broker, self.memory, self.providers))
        for instance in ("0", "1"):
            world.start(f"cases-{instance}", cases(world, self.broker, self.memory, instance))
        for number in range(nemesis.below(4)):
            what, at_s = NEMESIS[nemesis.below(len(NEMESIS))], nemesis.between(0.0, self.asked.lasts_s)
            self._plan_outage(
                f"nemesis#{number}", what, at_s, nemesis.between(1.0, 60.0), ("cases-0", "cases-1", "notify", "gateway")[nemesis.below(4)]
            )
        await asyncio.sleep(self.asked.lasts_s)
        world.plan.on = False
        world.away_until_s = dict.fromkeys(world.away_until_s, 0.0)
        world.note("world", "healed", "")
        await self._until_well()

    def _plan_outage(self, name: str, what: str, at_s: float, for_s: float, whom: str) -> None:
        def begin() -> None:
            if not self.world.plan.on or not self.world.plan.allows(name):
                return
            self.world.note("nemesis", what, f"{whom} {for_s:.1f} s")
            match what:
                case "kill":
                    self.world.kill(self.world.processes[whom], for_s / 3)
                case "redis emptied":
                    self.memory.lose_everything()
                    self.checks.lost()
                case "redis put back":
                    self.memory.come_back(copies[0] if copies else None)
                    self.checks.lost()
                case _:
                    self.world.away_until_s[what] = self.world.loop.time() + for_s

        copies: list[Copy] = []
        if what == "redis put back":
            self.world.later(max(0.0, at_s - for_s), lambda: copies.append(self.memory.copied()))
        self.world.later(at_s, begin)

    async def _until_well(self) -> None:
        """What is open is paged again while nobody answers; then people are awake, and all comes to rest."""
        healed_at_s = self.world.loop.time()
        await asyncio.sleep(SETTLED_WITHIN_S)
        if any(log.view.waits_for_nobody for log in self.checks.logs.values()):
            await asyncio.sleep(PAGED_WITHIN_S)
            self._check_paged(PAGED_WITHIN_S)
        self.people.wake()
        lacks = self._lacks()
        while lacks and self.world.loop.time() < healed_at_s + HEALED_WITHIN_S:
            await asyncio.sleep(LOOK_EVERY_S)
            lacks = self._lacks()
        if lacks:
            self.world.violate("when all is healed all comes to rest", lacks)

    def _check_paged(self, within_s: float) -> None:
        rung_at_s: dict[CaseId | None, float] = {}
        for rung in self.providers.rung:
            rung_at_s[rung.notice.case_id] = rung.at_s
        for case_id, log in self.checks.logs.items():
            silent_s = self.world.loop.time() - rung_at_s.get(case_id, 0.0)
            if log.view.waits_for_nobody and silent_s > within_s:
                self.world.violate("4: paged again and again until acknowledged", f"{case_id}: silent for {silent_s:.0f} s")

    def _lacks(self) -> str:
        """Return the first thing that is not as it should be in the end; empty where there is none."""
        return next(self._all_that_lacks(), "")

    def _all_that_lacks(self) -> Iterator[str]:
        logs = self.checks.logs
        for upload in self.clinics.sent:
            if upload.upload_id not in self.clinics.accepted:
                yield f"{upload.name} has no 202"
            known = any(upload.upload_id in log.view.assessed or upload.upload_id in log.view.for_people for log in logs.values())
            if not known and not self.checks.given_up and (upload.upload_id in self.clinics.assessed or upload.lane is Lane.EMERGENCY):
                yield f"{upload.name} was neither assessed nor opened"
        for case_id, log in logs.items():
            if log.view.is_open and not log.view.is_decided:
                yield f"{log.view.owner or 'nobody'} has {case_id} in hand, and nobody has decided about it"
            if self.checks.rebuilt(case_id) != self.memory.bucket(bucket_of(log.patient_key)).cases.get(case_id):
                yield f"{case_id} rebuilt from the log is not what the store holds"
        if any(bucket.outbox or bucket.unsent_ms for bucket in self.memory.buckets.values()):
            yield "an outbox is not empty"
        for (name, topic), group in self.broker.groups.items():
            for number, log_of in enumerate(self.broker.log(topic)):
                unsettled = self.checks.unsettled(name, log_of[group.committed.get(number, 0) :])  # a commit may have been lost
                if unsettled:
                    yield f"{name} has not settled {unsettled} of {topic}/{number}"


def run(asked: Asked) -> Ran:
    """Play a schedule to its end. One that asks for the same runs the same, whatever ran before it in this process."""
    random.seed(asked.seed)
    schedule = Schedule(asked)
    world = schedule.world
    with _simulated_clock(world):
        task = world.loop.spawn(world.itself, schedule.play())
        try:
            world.loop.run(task)
            if world.violation is None:
                task.result()
        except Idle:
            world.violate("nobody waits for what cannot come", "nothing is ready, and nothing ever will be")
    ran = Ran(asked, world.steps, world.violation, world.digest, tuple(dict.fromkeys(world.plan.fired)), len(schedule.clinics.sent), world.plan.table)
    if world.violation is not None:
        lines = [f"{at_s:10.4f} {who:10} {what:18} {told} {fault}".rstrip() for at_s, who, what, fault, told in world.trace]
        ran.trace.extend(lines)
    with _unheard():
        world.loop.close()
        del schedule, world, task
        gc.collect()
    return ran


@contextmanager
def _simulated_clock(world: World) -> Iterator[None]:
    """What reads a clock by itself (metrics, and how often a reader commits) reads the world's."""
    clock = SimpleNamespace(monotonic=world.loop.time, time=lambda: world.now_ms() / 1000)
    with ExitStack() as stack:
        for module in CLOCKED:
            stack.enter_context(replaced(module, "time", clock))
        for module, every_s in LOOKS_EVERY_S.items():
            stack.enter_context(replaced(module, "LOOK_EVERY_S", every_s))
        yield


@contextmanager
def _unheard() -> Iterator[None]:
    """What the dead say when they are cleared away is nobody's business."""
    before, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        yield
    finally:
        sys.unraisablehook = before


def listen_to_logs() -> None:
    """Let the services log nothing: a run tells its own trace. What they call critical waits for a person, and is a finding."""
    gc.freeze()  # what is there by now stays: clearing up after a run looks at what the run made
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), processors=[_find])


def _find(_: object, __: str, told: structlog.typing.EventDict) -> structlog.typing.EventDict:
    owner = OWNER.get(None)
    if isinstance(owner, Process):
        owner.world.violate("nothing waits for a person to mend it", f"{told['event']}: {sys.exc_info()[1]!r}")
    raise structlog.DropEvent
