"""What is drawn holds what the run promises to have done."""

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.faults import CHILDREN, DISKS, Kind, draw

SEEDS = st.integers(0, 10_000)


@given(SEEDS, st.integers(0, 100))
def test_every_kind_is_drawn_and_at_least_so_many_kills(seed: int, kills: int):
    faults = draw(seed, kills, DISKS)
    assert {fault.kind for fault in faults} == set(Kind)
    assert sum(fault.kills for fault in faults) >= kills
    assert all(fault.targets and len(set(fault.targets)) == len(fault.targets) for fault in faults)


@given(SEEDS)
def test_sixty_kills_are_of_every_process_and_fill_every_disk_that_can_be_filled(seed: int):
    faults = draw(seed, 60, DISKS)
    assert {target for fault in faults if fault.kind in {Kind.KILL, Kind.KILL_SEVERAL} for target in fault.targets} == set(CHILDREN)
    assert not any(fault.kind is Kind.DISK_FULL for fault in draw(seed, 60, ()))


@given(SEEDS)
def test_one_seed_draws_one_run(seed: int):
    assert draw(seed, 60, DISKS) == draw(seed, 60, DISKS)
