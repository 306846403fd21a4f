"""State, inbox, outbox and timers change in one step: the store's promises on a real Valkey, alone and in a cluster."""

import pytest

from tests.integration.cases.store_suite import SUITE, Promise
from tests.integration.cases.valkeys import world_on


@pytest.mark.parametrize("promise", SUITE, ids=lambda promise: promise.__name__)
async def test_a_valkey_keeps(promise: Promise, valkey_alone: str):
    async with world_on(valkey_alone) as world:
        await promise(world)


@pytest.mark.parametrize("promise", SUITE, ids=lambda promise: promise.__name__)
async def test_a_cluster_keeps(promise: Promise, valkey_cluster: str):
    async with world_on(valkey_cluster) as world:
        await promise(world)
