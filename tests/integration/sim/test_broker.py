"""Kafka keeps the promises that the simulated broker is held to."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from contracts.envelope import Record
from contracts.topics import Topic
from services.runtime.producer import Producer
from tests.conftest import Stack
from tests.sim.broker_suite import PARTITIONS, SUITE, Promise


class KafkaWorld:
    """A topic of its own, and a group of the same name."""

    def __init__(self, stack: Stack, topic: str, producer: Producer) -> None:
        self._kafka, self.topic, self._producer = stack.kafka, topic, producer

    async def publish(self, records: Sequence[Record]) -> None:
        await self._producer.publish(self.topic, records)

    def consumer(self, instance: str, listener: Any) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka,
            group_id=self.topic,
            group_instance_id=instance,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=6_000,
            heartbeat_interval_ms=500,
        )
        consumer.subscribe([self.topic], listener=listener)
        return consumer


@pytest_asyncio.fixture(loop_scope="session")
async def world(stack: Stack) -> AsyncIterator[KafkaWorld]:
    topic = Topic(f"test.{uuid4().hex}", (), kept=None)
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic.name, PARTITIONS, 1)])
    await admin.close()
    producer = Producer(stack.kafka, "test", [topic])
    yield KafkaWorld(stack, topic.name, producer)
    await producer.stop()


@pytest.mark.parametrize("promise", SUITE, ids=lambda promise: promise.__name__)
async def test_kafka_keeps_the_promises_that_the_simulated_broker_is_held_to(promise: Promise, world: KafkaWorld) -> None:
    await promise(world)
