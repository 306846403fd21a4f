"""The simulation itself: some schedules hold, one seed repeats one run, and what is found is made small."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.conftest import ROOT
from tests.sim.mutations import away_taken_for_handled, offset_committed_before_settled
from tests.sim.schedule import Asked, run
from tests.sim.shrinking import command, shrunk

SEEDS = range(60)


@pytest.mark.parametrize("first", range(0, len(SEEDS), 10))
def test_the_promises_hold_under_faults_and_after(first: int) -> None:
    assert [ran.violation for ran in (run(Asked(seed)) for seed in SEEDS[first : first + 10])] == [None] * 10


def test_one_seed_repeats_one_run_whatever_ran_before_and_however_strings_are_hashed() -> None:
    here = [run(Asked(seed)).digest for seed in (3, 4, 3)]
    assert here[0] == here[2] != here[1]
    for hashed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-m", "tests.sim", "--seed", "3"],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hashed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"trace {here[0]:08x}" in told.stdout


def test_without_faults_nothing_is_done_twice_and_everything_is_brought_to_its_end() -> None:
    ran = run(Asked(7, only=frozenset()))
    assert (ran.violation, ran.fired) == (None, ())
    assert ran.steps > 20


def test_what_is_found_is_made_small_and_its_command_finds_it_again() -> None:
    with away_taken_for_handled():
        found = next(ran for ran in (run(Asked(seed)) for seed in range(50)) if ran.violation)
        small = shrunk(found)
        assert small.violation is not None
        assert len(small.asked.only or ()) < len(found.fired)
        assert run(small.asked).violation == small.violation
    assert run(small.asked).violation is None
    assert command(small.asked).startswith(f"make sim ARGS='--seed {found.asked.seed} ")


def test_a_violation_names_the_promise_and_shows_the_last_steps() -> None:
    with offset_committed_before_settled():
        ran = run(Asked(0))
    assert ran.violation is not None
    assert ran.violation.invariant == "5: the offset is committed last"
    assert "consumer.commit" in ran.trace[-2]
    assert run(replace(ran.asked)).violation is None
