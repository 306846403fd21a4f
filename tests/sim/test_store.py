"""The simulated store keeps the promises that the real one keeps."""

import asyncio
from datetime import datetime, timedelta

import pytest

from tests.integration.cases.store_suite import SUITE, Promise
from tests.sim.store import Memory, SimulatedStore
from tests.sim.world import Process, World


class StoreWorld:
    """A new store in a world without faults; its time is the simulated one."""

    def __init__(self, world: World) -> None:
        self._world, self._memory = world, Memory(world.now_ms)
        self.store = SimulatedStore(world, self._memory)

    def now(self) -> datetime:
        return self._world.now()

    async def wait(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())

    async def lose_everything(self) -> None:
        self._memory.lose_everything()

    async def come_back_elsewhere(self) -> None:
        self._memory.come_back()


@pytest.mark.parametrize("promise", SUITE, ids=lambda promise: promise.__name__)
def test_the_simulated_store_keeps_the_promises_of_the_real_one(promise: Promise) -> None:
    world = World(seed=0)
    task = world.loop.spawn(Process(world, "test", _never, 0.0, faults=False), promise(StoreWorld(world)))  # type: ignore[arg-type]
    world.loop.run(task)
    task.result()
    world.loop.close()


async def _never(_: Process) -> None: ...
