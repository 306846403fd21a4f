"""One call is one batch: of one key, or of several where the topic has but one partition for them."""

from dataclasses import replace
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer

from contracts.envelope import Record
from contracts.topics import DIRECTORY
from services.runtime.producer import MAX_BATCH_BYTES, Producer, RecordTooLarge
from services.runtime.topics_admin import ensure_topics
from tests.conftest import Stack
from tests.integration.runtime.reader_bench import Bench, command


async def test_records_of_two_keys_go_in_one_batch_where_their_topic_has_one_partition(stack: Stack):
    topic = replace(DIRECTORY, name=f"test.{uuid4().hex}")
    await ensure_topics(stack.kafka, 1, [topic])
    producer = Producer(stack.kafka, "test", [topic])
    with pytest.raises(RecordTooLarge):  # whole or not at all
        await producer.publish(topic, [command(1, key="contacts"), Record("directory", (), b"0" * MAX_BATCH_BYTES)])
    await producer.publish(topic, [command(1, key="contacts"), command(2, key="directory")])
    await producer.stop()
    consumer = AIOKafkaConsumer(topic.name, bootstrap_servers=stack.kafka, auto_offset_reset="earliest")
    await consumer.start()
    found = [await consumer.getone() for _ in range(2)]
    await consumer.stop()
    assert [(record.offset, record.key) for record in found] == [(0, b"contacts"), (1, b"directory")]


async def test_records_of_two_keys_are_refused_where_they_could_be_led_apart(bench: Bench):
    with pytest.raises(ValueError, match="one batch, one key"):
        await bench.producer.publish(bench.topic, [command(1, key="a"), command(2, key="b")])
    await bench.producer.publish(bench.topic, [command(1, key="a"), command(2, key="a")])
