"""Many schedules, a process a core."""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field

from tests.sim.faults import Fault
from tests.sim.schedule import Asked, Ran, listen_to_logs, run

AT_ONCE = 40  # schedules a task
SAY_EVERY_S = 5.0


@dataclass
class Sum:
    """What many schedules come to."""

    schedules: int = 0
    steps: int = 0
    failed: list[Ran] = field(default_factory=list)
    table: Counter[tuple[str, Fault]] = field(default_factory=Counter)

    def add(self, other: "Sum") -> None:
        self.schedules += other.schedules
        self.steps += other.steps
        self.failed += other.failed
        self.table += other.table


def play(seeds: range) -> Sum:
    """Run schedules in this process."""
    listen_to_logs()
    total = Sum()
    for seed in seeds:
        ran = run(Asked(seed))
        total.add(Sum(1, ran.steps, [ran] if ran.violation else [], ran.table))
    return total


def _seeds(first: int, schedules: int | None) -> Iterator[range]:
    end = first + schedules if schedules is not None else sys.maxsize
    while first < end:
        yield range(first, min(first + AT_ONCE, end))
        first += AT_ONCE


def play_many(first: int, *, schedules: int | None, minutes: float | None, say: Callable[[Sum, float], None]) -> tuple[Sum, float]:
    """Run schedules on every core until there are enough of them, the time is up, or one fails; return what they come to, and the seconds.

    say hears every few seconds what there is by then."""
    began_s, said_s, total = time.monotonic(), 0.0, Sum()
    seeds, workers = _seeds(first, schedules), os.cpu_count() or 1
    with ProcessPoolExecutor(workers) as pool:
        running = {pool.submit(play, each) for _, each in zip(range(2 * workers), seeds, strict=False)}
        while running:
            done = next(as_completed(running))
            running.discard(done)
            total.add(done.result())
            took_s = time.monotonic() - began_s
            if not total.failed and (minutes is None or took_s < minutes * 60):
                running |= {pool.submit(play, each) for each in [next(seeds, None)] if each is not None}
            if took_s > said_s + SAY_EVERY_S:
                said_s = took_s
                say(total, took_s)
    return total, time.monotonic() - began_s
