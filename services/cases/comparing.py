"""Comparing the store with the log: is what lies there what the log makes of it, case by case?"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.cases.fold import Held, canonical, decisions, fold, held, is_out_of_mind
from services.cases.folding import Log
from services.cases.timers import timers
from services.runtime.buckets import bucket_of

AGAIN_AT_MOST = 10  # while the cases that differ are at work
AGAIN_AFTER_S = 1.0
AT_ONCE = 500


class Compared(Protocol):
    """The store, as who compares needs it. Raises Away."""

    async def look(self, asked: Sequence[tuple[str, str]]) -> list[Held]: ...
    async def due(self, bucket: int) -> Mapping[str, Mapping[str, int | None]]:
        """Return a bucket's timers, by case and name: when they are due, in ms; None for one that was claimed."""
        ...

    def case_ids(self) -> AsyncIterator[str]: ...


@dataclass(frozen=True)
class Comparison:
    cases: int
    differing: tuple[str, ...]  # case ids
    unknown_to_the_log: tuple[str, ...]
    log: Mapping[str, bytes]  # what the log makes of those that differ: canonical
    store: Mapping[str, bytes]


async def compare(store: Compared, log: Log, now: Callable[[], datetime], progress: Callable[[int, int], None]) -> Comparison:
    """Fold the whole log in memory, and compare. Cases that are at work meanwhile are looked at again. progress hears of records, of all of them."""
    position, of_log = dict[int, int](), dict[str, Held]()
    await _read_on(log, position, of_log, progress)
    asked = [case_id for case_id, each in of_log.items() if not is_out_of_mind(each.state, now())]
    found, made = dict[str, bytes](), dict[str, bytes]()
    in_store = {case_id async for case_id in store.case_ids()}
    differing = asked
    for _ in range(AGAIN_AT_MOST):
        found, made = await _in_store(store, of_log, differing), {case_id: _of_log(of_log[case_id]) for case_id in differing}
        differing = [case_id for case_id in differing if found[case_id] != made[case_id]]
        if not differing and in_store <= of_log.keys():
            break
        await asyncio.sleep(AGAIN_AFTER_S)
        await _read_on(log, position, of_log, progress)
    differ = set(differing)
    return Comparison(
        len(asked),
        tuple(differing),
        tuple(sorted(in_store - of_log.keys())),
        {case_id: held for case_id, held in made.items() if case_id in differ},
        {case_id: held for case_id, held in found.items() if case_id in differ},
    )


async def _read_on(log: Log, position: dict[int, int], of_log: dict[str, Held], progress: Callable[[int, int], None]) -> None:
    ends = await log.ends()
    async for chunk in log.read(position, ends):
        for decision in decisions(chunk):
            case = of_log.get(decision.case_id)
            if case is None:
                case = of_log[decision.case_id] = held(decision.case_id, decision.key)
                case.is_whole = True
            fold(case, decision)
        position[chunk[0].partition] = chunk[-1].offset + 1
        progress(sum(position.values()), sum(ends.values()))


def _of_log(case: Held) -> bytes:
    return canonical(case.state, case.inbox, {name: int(timer.due_at.timestamp() * 1000) for name, timer in timers(case.state).items()})


async def _in_store(store: Compared, of_log: Mapping[str, Held], case_ids: Sequence[str]) -> dict[str, bytes]:
    found = dict[str, bytes]()
    due = {bucket: await store.due(bucket) for bucket in {bucket_of(of_log[case_id].state.patient_key) for case_id in case_ids}}
    for start in range(0, len(case_ids), AT_ONCE):
        asked = [(case_id, of_log[case_id].state.patient_key) for case_id in case_ids[start : start + AT_ONCE]]
        for (case_id, key), case in zip(asked, await store.look(asked), strict=True):
            found[case_id] = canonical(case.state, case.inbox, _due_ms(case, due[bucket_of(key)].get(case_id, {})))
    return found


def _due_ms(case: Held, due: Mapping[str, int | None]) -> dict[str, int]:
    """Return when timers are due. One that was claimed is due when its case says; so is one that was brought forward, for a clock ran ahead."""
    said = {name: int(timer.due_at.timestamp() * 1000) for name, timer in timers(case.state).items()}
    found = dict[str, int]()
    for name, at_ms in due.items():
        of_case = said.get(name)
        found[name] = of_case if of_case is not None and (at_ms is None or at_ms <= of_case) else at_ms or 0
    return found
