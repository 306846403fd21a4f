"""What goes wrong at an await point, and when: by the seed, the point and how often that point was passed, so that one fault less changes little."""

from collections import Counter
from enum import StrEnum
from zlib import crc32

_ALL_BITS = (1 << 64) - 1


class Fault(StrEnum):
    NONE = "none"
    DELAY = "delay"  # for seconds
    AWAY_BEFORE = "away before"  # it did not happen, and the caller is told that it is away
    AWAY_AFTER = "away after"  # it happened, and the caller is told that it is away
    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    DUPLICATE = "duplicate"  # it happened twice
    STALL = "stall"  # the process stands still, as under SIGSTOP, after it happened; longer than its session with the broker may last


FAULTS = tuple(fault for fault in Fault if fault is not Fault.NONE)
# In how many of 10,000 passages, where a schedule has it at all; a schedule has about half of them, so that each is also seen without the others.
OFTEN = {
    Fault.DELAY: 200,
    Fault.AWAY_BEFORE: 200,
    Fault.AWAY_AFTER: 200,
    Fault.CRASH_BEFORE: 25,
    Fault.CRASH_AFTER: 25,
    Fault.DUPLICATE: 100,
    Fault.STALL: 15,
}
POINTS = (
    "cases.load",
    "cases.step",
    "cases.sent",
    "cases.pardon",
    "cases.claim",
    "cases.case_in",
    "cases.outbox_in",
    "cases.drop",
    "inbox.begin",
    "inbox.handled",
    "inbox.pardon",
    "consumer.getone",
    "consumer.getmany",
    "consumer.commit",
    "publish.intake",
    "publish.assessments",
    "publish.commands",
    "publish.cases",
    "publish.deliveries",
    "notices.keep",
    "notices.speaks_for",
    "hands.hand_over",
    "fold.turn",
    "fold.survey",
    "fold.begin",
    "fold.heard",
    "fold.look",
    "fold.write",
    "fold.finish",
    "fold.advance",
    "log.ends",
    "log.read",
)
# Where a schedule passes a point seldom, faults are likelier there; looks for timers and commits of nothing come by the thousand.
HOW_MUCH_OFTENER = {
    "cases.claim": 0.1,
    "fold.turn": 0.2,
    "fold.survey": 0.2,
    "log.ends": 0.2,
    "fold.begin": 6,
    "fold.finish": 6,
    "fold.write": 4,
    "fold.look": 4,
    "cases.pardon": 4,
    "inbox.pardon": 4,
    "hands.hand_over": 2,
    "cases.case_in": 8,
    "cases.outbox_in": 8,
    "notices.speaks_for": 8,
    "consumer.commit": 0.5,
}
HARDLY_EVER_PASSED = {"cases.drop"}  # a timer that its case dropped between claim and look


def mixed(*numbers: int) -> int:
    """Return 64 bits that are a function of the numbers and look like none (splitmix64)."""
    bits = 0
    for number in numbers:
        bits = (bits ^ number) + 0x9E3779B97F4A7C15 & _ALL_BITS
        bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _ALL_BITS
        bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & _ALL_BITS
        bits ^= bits >> 31
    return bits


class Chance:
    """Numbers of one seed for one purpose; a generator of the standard library costs as much to make as a whole step."""

    def __init__(self, seed: int, purpose: str) -> None:
        self._key, self._drawn = mixed(seed, crc32(purpose.encode())), 0

    def below(self, bound: int) -> int:
        self._drawn += 1
        return mixed(self._key, self._drawn) % bound

    def between(self, low: float, high: float) -> float:
        self._drawn += 1
        return low + (high - low) * (mixed(self._key, self._drawn) >> 11) / (1 << 53)

    def one_in(self, times: int) -> bool:
        return self.below(times) == 0


class Plan:
    """Which fault comes at which passage. `fired` are those that came, by name: `cases-0/cases.step#12`. `only` names those that may; None: all."""

    def __init__(self, seed: int, only: frozenset[str] | None = None) -> None:
        self._seed, self._only, self.on = seed, only, True
        self._passed: dict[tuple[str, str], list[int]] = {}
        self.table: Counter[tuple[str, Fault]] = Counter()
        self.fired: list[str] = []
        kinds = Chance(seed, "faults")
        weight = (0.3, 1.0, 1.0, 3.0)[kinds.below(4)]
        chosen = {fault: weight * often for fault, often in OFTEN.items() if kinds.below(2)}
        self._of_point = {point: _bounds(point, chosen) for point in POINTS}

    def at(self, process: str, point: str) -> tuple[Fault, int]:
        """Return what happens at this passage of a point by a process, and bits for how long it takes."""
        site = self._passed.get((process, point))
        if site is None:
            site = self._passed[process, point] = [mixed(self._seed, crc32(f"{process}/{point}".encode())), 0]
        site[1] += 1
        bits = mixed(site[0], site[1])
        fault = Fault.NONE
        if self.on:
            drawn = bits % 10_000
            for bound, kind in self._of_point[point]:
                if drawn < bound:
                    fault = kind
                    break
        if fault is not Fault.NONE and not self.allows(f"{process}/{point}#{site[1]}"):
            fault = Fault.NONE
        self.table[point, fault] += 1
        return fault, bits >> 16

    def allows(self, name: str) -> bool:
        """Note that a fault comes; False where it is switched off."""
        if self._only is not None and name not in self._only:
            return False
        self.fired.append(name)
        return True


def _bounds(point: str, chosen: dict[Fault, float]) -> list[tuple[float, Fault]]:
    bounds, reached = [], 0.0
    for fault, often in chosen.items():
        reached += 1200.0 if point in HARDLY_EVER_PASSED else often * HOW_MUCH_OFTENER.get(point, 1)
        bounds.append((reached, fault))
    return bounds
