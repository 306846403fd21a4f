"""From kill -9 of the cases service to the next page: where it is started again, and where another replica has to take its partitions over."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import islice

import httpx
import psutil

from contracts.vocabulary import Lane
from services.ops.synthetic_patient import Pattern
from tests.bench.figures import Figure, percentile
from tests.bench.patients import patients
from tests.bench.sending import acknowledge, connected, pages_of, send
from tests.e2e.centre import Centre, until
from tests.e2e.replica import Replica

PART = "takeover"
RUNS, RUNS_QUICK = 5, 2
REDS = 8  # at once after each kill: they lie in several partitions, and the page that comes last counts too
AIM_S = 15.0
HEARD_BY_BOTH_S = 20.0
SESSION = "a session of 10 s runs out (static membership), then the group is formed anew"


async def takeover(centre: Centre, *, quick: bool) -> list[Figure]:
    """Measure on a centre that is ready and has nothing to do. Raises Lost."""
    runs = RUNS_QUICK if quick else RUNS
    reds = iter(list(islice(patients(Pattern.ANTERIOR), REDS * (2 * runs + 1))))
    async with connected(centre, "clinic_token") as clinic, connected(centre, "person_token") as person:
        await _paged_after_s(centre, clinic, person, reds, time.time())  # warm
        again = [await _started_again(centre, clinic, person, reds) for _ in range(runs)]
        taken = [await _taken_over(centre, clinic, person, reds, number) for number in range(runs)]
    return [
        *_figures("started again by its supervisor", again, "the start of a process; its partitions wait for it by its instance's name"),
        *_figures("taken over by another replica", taken, SESSION),
    ]


def _figures(name: str, runs: Sequence[Sequence[float]], bound: str) -> list[Figure]:
    first, last = [min(run) for run in runs], [max(run) for run in runs]
    return [
        Figure(PART, f"{name}: the first page", percentile(first, 50), "s", 50, note=bound),
        Figure(PART, f"{name}: the last page of {REDS} uploads", percentile(last, 50), "s", 50, aim=AIM_S),
        Figure(PART, f"{name}: the last page, worst of {len(runs)} runs", max(last), "s", aim=AIM_S),
    ]


async def _started_again(centre: Centre, clinic: httpx.AsyncClient, person: httpx.AsyncClient, reds: Iterator[bytes]) -> list[float]:
    cases = psutil.Process(centre.child("cases"))
    cases.kill()
    times = await _paged_after_s(centre, clinic, person, reds, time.time())
    await asyncio.to_thread(until, centre.is_ready, within_s=60)
    return times


async def _taken_over(centre: Centre, clinic: httpx.AsyncClient, person: httpx.AsyncClient, reds: Iterator[bytes], number: int) -> list[float]:
    """Kill the one that `up` started while `up` itself is stopped, so that nothing starts it again, and a replica is all that is left."""
    assert centre.program is not None
    replica = await asyncio.to_thread(Replica, centre, "cases", instance=f"second-{number}", log=centre.folder / "second-cases.txt")
    try:
        await asyncio.to_thread(replica.until_it_listens)
        await asyncio.sleep(HEARD_BY_BOTH_S)  # the group has formed, and each of the two has its half
        parent, cases = psutil.Process(centre.program.pid), psutil.Process(centre.child("cases"))
        parent.suspend()
        try:
            cases.kill()
            return await _paged_after_s(centre, clinic, person, reds, time.time())
        finally:
            parent.resume()
    finally:
        await asyncio.to_thread(replica.kill)
        await asyncio.to_thread(until, centre.is_ready, within_s=60)


async def _paged_after_s(
    centre: Centre, clinic: httpx.AsyncClient, person: httpx.AsyncClient, reds: Iterator[bytes], killed_at_s: float
) -> list[float]:
    """Send reds and return how long after the kill each was paged for, in s; then take them in hand."""
    sent = await asyncio.gather(*(send(clinic, recording, Lane.EMERGENCY) for recording in islice(reds, REDS)))
    pages = await pages_of(centre, sent)
    await acknowledge(person, sent)
    return [pages[each.case_id] - killed_at_s for each in sent]
