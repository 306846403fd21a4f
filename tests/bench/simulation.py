"""How fast the simulation is: schedules for a minute on every core."""

import os

from tests.bench.figures import Figure, Lost
from tests.sim.many import play_many

PART = "simulation"
STEPS, WITHIN_S = 300_000, 60.0


def simulation(*, quick: bool) -> list[Figure]:
    """Return what 300,000 steps take. Lost where a schedule breaks a promise."""
    total, took_s = play_many(0, schedules=None, minutes=0.25 if quick else 1.0, say=lambda *_: None)
    for ran in total.failed:
        raise Lost(f"seed {ran.asked.seed}: {ran.violation}")
    note = f"{total.steps / took_s * 60:,.0f} a minute in {total.schedules:,} schedules on {os.cpu_count()} cores"
    return [Figure(PART, f"{STEPS:,} steps", took_s / total.steps * STEPS, "s", aim=WITHIN_S, note=note)]
