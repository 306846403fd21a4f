"""The faults of a run, drawn from a seed: which, of what, for how long, and how long after it the next begins. Pure."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

CHILDREN = ("web", "cases", "notify", "triage-emergency", "triage-routine", "projector", "kafka", "valkey")
REPLICAS = ("cases", "notify")
DISKS = ("blobs", "kafka", "pager")
OLDER_BY_S = 30.0
SEVERAL_AT_MOST = 4


class Kind(StrEnum):
    KILL = "kill -9"
    KILL_SEVERAL = "kill -9 of several"
    FREEZE = "stopped for a while"
    REBALANCE = "a replica comes, and is killed"
    PROVIDER_HANGS = "provider hangs"
    PROVIDER_REFUSES = "provider answers 500"
    DISK_FULL = "disk full"
    VALKEY_OLDER = "valkey put back"
    VALKEY_EMPTIED = "valkey emptied"


OFTEN = {
    Kind.KILL: 10,
    Kind.KILL_SEVERAL: 3,
    Kind.FREEZE: 5,
    Kind.REBALANCE: 2,
    Kind.PROVIDER_HANGS: 1,
    Kind.PROVIDER_REFUSES: 1,
    Kind.DISK_FULL: 2,
    Kind.VALKEY_OLDER: 1,
    Kind.VALKEY_EMPTIED: 1,
}
LASTS_S = {
    Kind.FREEZE: (1.0, 20.0),
    Kind.REBALANCE: (6.0, 15.0),
    Kind.PROVIDER_HANGS: (8.0, 25.0),
    Kind.PROVIDER_REFUSES: (8.0, 25.0),
    Kind.DISK_FULL: (3.0, 10.0),
    Kind.VALKEY_OLDER: (OLDER_BY_S, OLDER_BY_S),
}
NEXT_AFTER_S = (3.0, 12.0)


@dataclass(frozen=True)
class Fault:
    """lasts_s: 0 for what is over at once. then_s: from its beginning to that of the next, which may come while this one lasts."""

    kind: Kind
    targets: tuple[str, ...]
    lasts_s: float
    then_s: float

    @property
    def kills(self) -> int:
        """How many processes it kills with -9; what puts Valkey back kills it too."""
        return len(self.targets) if self.kind in {Kind.KILL, Kind.KILL_SEVERAL, Kind.REBALANCE, Kind.VALKEY_OLDER} else 0


def draw(seed: int, kills: int, disks: Sequence[str]) -> list[Fault]:
    """Return faults with at least so many kills: every kind at least once, and of each kind its targets in turn. disks: those that can be filled."""
    chance = random.Random(seed)
    kinds = [kind for kind in Kind if disks or kind is not Kind.DISK_FULL]
    targets = {kind: _in_turn(chance, kind, disks) for kind in kinds}
    faults = [_drawn(chance, kind, targets[kind]) for kind in kinds]
    while sum(fault.kills for fault in faults) < kills:
        (kind,) = chance.choices(kinds, weights=[OFTEN[kind] for kind in kinds])
        faults.append(_drawn(chance, kind, targets[kind]))
    chance.shuffle(faults)
    return faults


def _in_turn(chance: random.Random, kind: Kind, disks: Sequence[str]) -> Iterator[str]:
    of_kind: dict[Kind, Sequence[str]] = {
        Kind.KILL: CHILDREN,
        Kind.KILL_SEVERAL: CHILDREN,
        Kind.FREEZE: CHILDREN,
        Kind.REBALANCE: REPLICAS,
        Kind.DISK_FULL: disks,
        Kind.VALKEY_OLDER: ("valkey",),
        Kind.VALKEY_EMPTIED: ("valkey",),
    }
    possible = list(of_kind.get(kind, ("provider",)))
    chance.shuffle(possible)
    return itertools.cycle(possible)


def _drawn(chance: random.Random, kind: Kind, targets: Iterator[str]) -> Fault:
    many = chance.randint(2, SEVERAL_AT_MOST) if kind is Kind.KILL_SEVERAL else 1
    lasts_s = chance.uniform(*LASTS_S[kind]) if kind in LASTS_S else 0.0
    return Fault(kind, tuple(itertools.islice(targets, many)), lasts_s, chance.uniform(*NEXT_AFTER_S))
