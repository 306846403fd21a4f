"""State, inbox, outbox and timers change in one step: the store's promises on a real Valkey, alone and in a cluster."""

from datetime import timedelta

import pytest

from services.runtime.buckets import bucket_of, prefix
from services.runtime.redis_link import connect
from tests.integration.cases.store_suite import SUITE, Patient, Promise
from tests.integration.cases.valkeys import world_on


@pytest.mark.parametrize("promise", SUITE, ids=lambda promise: promise.__name__)
async def test_a_valkey_keeps(promise: Promise, valkey_alone: str):
    async with world_on(valkey_alone) as world:
        await promise(world)


@pytest.mark.parametrize("promise", SUITE, ids=lambda promise: promise.__name__)
async def test_a_cluster_keeps(promise: Promise, valkey_cluster: str):
    async with world_on(valkey_cluster) as world:
        await promise(world)


@pytest.mark.parametrize("was_claimed", [False, True])
async def test_a_timer_that_a_clock_has_left_far_ahead_is_due_at_once_and_one_that_may_lie_there_is_not(was_claimed: bool, valkey_alone: str):
    async with world_on(valkey_alone) as world:
        redis, patient = connect(valkey_alone), Patient(world)
        await patient.hear(patient.received(due_in=timedelta(0)))
        if was_claimed:
            assert len((await patient.claimed())[0]) == 1
        lies = f"{prefix(patient.key)}:{'leased' if was_claimed else 'due'}"
        [timer] = await redis.zrange(lies, 0, -1)
        await redis.zincrby(lies, 8 * 60 * 60 * 1000, timer)  # as if Redis's clock had been put back by that
        now_ms = int(world.now().timestamp() * 1000)
        await redis.zadd(f"{prefix(patient.key)}:due", {f"{patient.case} read/1/2": now_ms + 8 * 60 * 60 * 1000})
        assert (await patient.claimed())[0] == ()
        await world.store.hurry(bucket_of(patient.key))
        await world.store.hurry(bucket_of(patient.key))
        assert [name.split("/")[0] for _, name in (await patient.claimed())[0]] == ["unread"]
        await redis.aclose()
