"""What breaks the logic is found: a simulation that finds nothing is worth what it can find."""

import pytest

from tests.sim.mutations import MUTATIONS, Mutation
from tests.sim.schedule import Asked, run

FOUND_WITHIN = 120  # schedules


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_what_breaks_the_logic_is_found(mutation: Mutation) -> None:
    with mutation():
        assert any(run(Asked(seed)).violation for seed in range(FOUND_WITHIN))
