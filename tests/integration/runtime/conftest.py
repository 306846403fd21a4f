"""A topic of its own for each test of the reader."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from contracts.commands import Acknowledge
from contracts.topics import Topic
from services.runtime import reader
from services.runtime.producer import Producer
from tests.conftest import Stack
from tests.integration.runtime.reader_bench import Bench


@pytest_asyncio.fixture(loop_scope="session")
async def bench(stack: Stack) -> AsyncIterator[Bench]:
    topic = Topic(f"test.{uuid4().hex}", (Acknowledge,), kept=None, partitions=3)
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic.name, 3, 1), NewTopic(topic.dead_letters, 1, 1)])
    await admin.close()
    producer = Producer(stack.kafka, "test", [topic, Topic(topic.dead_letters, (), kept=None)])
    bench = Bench(stack, topic, producer)
    yield bench
    await producer.stop()
    await bench.redis.aclose()


@pytest.fixture(autouse=True)
def _stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that a test holds for ever is not waited for when its reader stops."""
    monkeypatch.setattr(reader, "STOP_WITHIN_S", 0.2)
