"""The simulated broker keeps the promises that Kafka keeps."""

from collections.abc import Sequence
from typing import Any

import pytest

from contracts.envelope import Record
from tests.sim.broker import SimulatedBroker, SimulatedConsumer, SimulatedProducer
from tests.sim.broker_suite import PARTITIONS, SUITE, Promise
from tests.sim.world import Process, World


class BrokerWorld:
    topic = "test"

    def __init__(self, world: World) -> None:
        self._world, self._broker = world, SimulatedBroker(world, PARTITIONS)
        self._producer = SimulatedProducer(world, self._broker)

    async def publish(self, records: Sequence[Record]) -> None:
        await self._producer.publish(self.topic, records)

    def consumer(self, instance: str, listener: Any) -> SimulatedConsumer:
        return SimulatedConsumer(self._world, self._broker, "group", self.topic, instance, listener)


@pytest.mark.parametrize("promise", SUITE, ids=lambda promise: promise.__name__)
def test_the_simulated_broker_keeps_the_promises_of_kafka(promise: Promise) -> None:
    world = World(seed=0)
    task = world.loop.spawn(Process(world, "test", _never, 0.0, faults=False), promise(BrokerWorld(world)))  # type: ignore[arg-type]
    world.loop.run(task)
    task.result()
    world.loop.close()


async def _never(_: Process) -> None: ...
