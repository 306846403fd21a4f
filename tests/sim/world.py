"""The world of one run: its clock, its processes, and the await points at which the seed decides what goes wrong."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from zlib import crc32

from services.runtime.errors import Away
from tests.sim.faults import Chance, Fault, Plan
from tests.sim.loop import OWNER, Owner, SimulatedLoop

T0 = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
SKEW_S = 2.0
TRACE_KEPT = 60

T = TypeVar("T")


@dataclass(frozen=True)
class Violation:
    """What does not hold, and where it was seen."""

    invariant: str
    told: str
    step: int
    at_s: float


class Process(Owner):
    """One incarnation of a process; its clock is off by up to two seconds, in the next incarnation too."""

    __slots__ = ("faults", "main", "skew", "world")

    def __init__(self, world: "World", name: str, main: Callable[["Process"], Coroutine[Any, Any, None]], skew_s: float, *, faults: bool) -> None:
        super().__init__(name)
        self.world, self.main, self.skew, self.faults = world, main, timedelta(seconds=skew_s), faults


class World:
    def __init__(self, seed: int, only: frozenset[str] | None = None) -> None:
        self.seed, self.plan, self.steps = seed, Plan(seed, only), 0
        order = Chance(seed, "order")
        self.loop = SimulatedLoop(order.below, self._note_error)
        self.itself = Process(self, "world", _nothing, 0.0, faults=False)
        self.processes: dict[str, Process] = {}
        self.kills = 0
        self.violation: Violation | None = None
        self.trace: deque[tuple[float, str, str, str, object]] = deque(maxlen=TRACE_KEPT)
        self.digest = 0
        self.away_until_s = {"redis": 0.0, "kafka": 0.0, "pager": 0.0}
        self.on_stopped: list[Callable[[Process], None]] = []  # killed, or stalled
        self.on_back: list[Callable[[Process], None]] = []  # stalled, and running again

    def now(self, process: Process | None = None) -> datetime:
        return T0 + timedelta(seconds=self.loop.time()) + (process.skew if process else timedelta(0))

    def now_ms(self) -> int:
        return int(T0.timestamp() * 1000 + self.loop.time() * 1000)

    def process(self) -> Process:
        """Return the process that runs now."""
        owner = OWNER.get()
        assert isinstance(owner, Process)
        return owner

    def start(self, name: str, main: Callable[[Process], Coroutine[Any, Any, None]], *, faults: bool = True) -> Process:
        skew_s = Chance(self.seed, f"skew {name}").between(-SKEW_S, SKEW_S)
        process = Process(self, name, main, skew_s, faults=faults)
        self.processes[name] = process
        self.loop.spawn(process, self._live(process))
        return process

    async def _live(self, process: Process) -> None:
        try:
            await process.main(process)
        except Exception as error:  # noqa: BLE001 - a service that ends of an error is a finding, whatever the error
            self.violate("no service ends of an error", f"{process.name}: {error!r}")

    def kill(self, process: Process, restart_after_s: float) -> None:
        """End a process as kill -9 does; it starts again with an empty memory."""
        if not process.alive:
            return
        process.alive = False
        self.kills += 1
        self.note(process.name, "killed", f"back in {restart_after_s:.1f} s")
        for each in self.on_stopped:
            each(process)
        self.later(restart_after_s, lambda: self.start(process.name, process.main, faults=process.faults))

    def stall(self, process: Process, for_s: float) -> None:
        process.stalled_until_s = self.loop.time() + for_s
        self.note(process.name, "stalled", f"{for_s:.1f} s")
        for each in self.on_stopped:
            each(process)
        self.later(for_s, lambda: [each(process) for each in self.on_back if process.alive])

    def later(self, wait_s: float, act: Callable[[], object]) -> None:
        """Do something outside every process."""
        self.loop.call_later(wait_s, act, context=_context_of(self.itself))

    def note(self, who: str, what: str, told: object, fault: str = "") -> None:
        line = (self.loop.time(), who, what, fault, told)
        self.trace.append(line)
        self.digest = crc32(repr(line).encode(), self.digest)

    def violate(self, invariant: str, told: str) -> None:
        """Stop the run; the first violation stands."""
        if self.violation is None:
            self.violation = Violation(invariant, told, self.steps, self.loop.time())
            self.note("world", "violated", f"{invariant}: {told}")
            self.loop.stop()

    async def call(self, point: str, what: str, effect: Callable[[], T], note: object = "") -> T:
        """Have an effect on `what` at an await point of the process that runs; Away where the seed says so, or while `what` is away."""
        process = self.process()
        fault, bits = self.plan.at(process.name, point) if process.faults else (Fault.NONE, 123)
        wait_s = _latency_s(bits)
        slow = fault is Fault.DELAY or (fault in {Fault.AWAY_BEFORE, Fault.AWAY_AFTER} and bits & 256)
        before_s, after_s = (wait_s + 4.5 * (bits >> 20 & 255) / 256, 0.0) if slow and bits & 512 else (wait_s, 0.0)
        if slow and not bits & 512:
            after_s = 4.5 * (bits >> 20 & 255) / 256
        try:
            await asyncio.sleep(before_s)
        except asyncio.CancelledError:
            if bits & 1024:  # it was on its way when the caller left
                self.later(wait_s, lambda: _unheard(effect))
            raise
        self.steps += 1
        if self.away_until_s[what] > self.loop.time():
            self.note(process.name, point, note, "away")
            raise Away(what, "an outage")
        self.note(process.name, point, note, fault)
        if fault is Fault.AWAY_BEFORE:
            await asyncio.sleep(after_s)
            raise Away(what, "not done")
        if fault is Fault.CRASH_BEFORE:
            await self._crash(process, bits)
        done = effect()
        if fault is Fault.DUPLICATE:
            done = effect()
        elif fault is Fault.CRASH_AFTER:
            await self._crash(process, bits)
        elif fault is Fault.STALL:
            self.stall(process, 2.0 + 28.0 * (bits >> 20 & 255) / 256)
            await asyncio.sleep(0)
        if after_s:
            await asyncio.sleep(after_s)
        if fault is Fault.AWAY_AFTER:
            raise Away(what, "done, perhaps")
        return done

    async def fetch(self, point: str, take: Callable[[], list[T]], put_back: Callable[[list[T]], None], again: Callable[[], None]) -> list[T]:
        """Take what lies ready, in one piece with the caller's next step, as a consumer hands records out.

        An answer that is lost is put back, for a consumer asks again; `again` has the group share anew, so that it comes once more."""
        process = self.process()
        fault, bits = self.plan.at(process.name, point) if process.faults else (Fault.NONE, 123)
        slow = fault in {Fault.DELAY, Fault.AWAY_BEFORE, Fault.AWAY_AFTER}
        await asyncio.sleep(_latency_s(bits) + (5.0 * (bits >> 20 & 255) / 256 if slow else 0.0))
        while self.away_until_s["kafka"] > self.loop.time():
            await asyncio.sleep(self.away_until_s["kafka"] - self.loop.time())
        self.steps += 1
        self.note(process.name, point, "", fault)
        if fault is Fault.CRASH_BEFORE:
            await self._crash(process, bits)
        if fault is Fault.STALL:
            self.stall(process, 2.0 + 28.0 * (bits >> 20 & 255) / 256)
            await asyncio.sleep(0)
        if fault is Fault.AWAY_BEFORE:
            return []
        taken = take()
        if fault is Fault.CRASH_AFTER:
            await self._crash(process, bits)
        if fault is Fault.AWAY_AFTER:
            put_back(taken)
            return []
        if fault is Fault.DUPLICATE:
            again()
        return taken

    async def _crash(self, process: Process, bits: int) -> None:
        self.kill(process, 0.1 + 5.0 * (bits >> 28 & 255) / 256 if bits & 3 else 12.0 + 10.0 * (bits >> 28 & 255) / 256)
        await asyncio.Event().wait()

    def _note_error(self, error: BaseException | None, told: str) -> None:
        if error is not None:
            self.note("loop", "error", repr(error))


def _unheard(effect: Callable[[], object]) -> None:
    """Have an effect whose caller has left: that it was refused is heard by nobody."""
    with suppress(Away):
        effect()


def _latency_s(bits: int) -> float:
    fraction = (bits >> 36 & 0xFFFF) / 0x10000
    return 0.0002 + (0.08 if bits & 31 == 0 else 0.003) * fraction


async def _nothing(_: Process) -> None: ...


def _context_of(owner: Owner) -> Context:
    context = copy_context()
    context.run(OWNER.set, owner)
    return context
