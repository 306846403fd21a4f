"""From a schedule that breaks a promise to a smaller one that breaks the same: fewer faults, fewer uploads, less time."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from tests.sim.schedule import Asked, Ran, run

RUNS_AT_MOST = 300

T = TypeVar("T")


def shrunk(found: Ran) -> Ran:
    """Return the smallest schedule that was found to break the same promise within some hundred runs."""
    assert found.violation is not None
    left = iter(range(RUNS_AT_MOST))
    best = found
    for smaller in (_with_fewer_faults, _with_fewer_uploads, _with_less_time, _with_fewer_faults):
        best = smaller(best, left)
    return best


def command(asked: Asked) -> str:
    """Return the command that runs a schedule again."""
    parts = ["make sim ARGS='--seed", str(asked.seed)]
    if asked.uploads is not None:
        parts += ["--uploads", ",".join(map(str, asked.uploads))]
    if asked.only is not None:
        parts += ["--only", ",".join(sorted(asked.only)) or "none"]
    if asked.faults_for_s is not None:
        parts += ["--faults-for", f"{asked.faults_for_s:g}"]
    return " ".join(parts) + "'"


def _again(asked: Asked, before: Ran, left: Iterator[int]) -> Ran | None:
    """Run, and return what was found if it is the same."""
    if next(left, None) is None:
        return None
    ran = run(asked)
    same = ran.violation is not None and before.violation is not None and ran.violation.invariant == before.violation.invariant
    return ran if same else None


def _with_fewer_faults(best: Ran, left: Iterator[int]) -> Ran:
    """Take faults away in ever smaller parts (ddmin)."""
    faults: Sequence[str] = best.fired if best.asked.only is None else sorted(best.asked.only)
    parts = 1
    while faults:
        for rest in _without_a_part(faults, parts):
            ran = _again(replace(best.asked, only=frozenset(rest)), best, left)
            if ran is not None:
                best, faults, parts = ran, rest, max(parts - 1, 1)
                break
        else:
            if parts >= len(faults):
                break
            parts = min(parts * 2, len(faults))
    return best


def _with_fewer_uploads(best: Ran, left: Iterator[int]) -> Ran:
    kept = best.asked.uploads if best.asked.uploads is not None else tuple(range(best.uploads))
    for number in kept:
        fewer = tuple(each for each in (best.asked.uploads or kept) if each != number)
        ran = _again(replace(best.asked, uploads=fewer), best, left) if fewer else None
        best = ran or best
    return best


def _with_less_time(best: Ran, left: Iterator[int]) -> Ran:
    for part in (0.125, 0.25, 0.5, 0.75):
        ran = _again(replace(best.asked, faults_for_s=best.asked.lasts_s * part), best, left)
        if ran is not None:
            return ran
    return best


def _without_a_part(faults: Sequence[T], parts: int) -> Iterator[list[T]]:
    size = -(-len(faults) // parts)
    for first in range(0, len(faults), size):
        yield [*faults[:first], *faults[first + size :]]
