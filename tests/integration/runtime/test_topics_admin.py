"""Topics on a real broker: made as the table says, compared with it where they are there already."""

import uuid
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from structlog.testing import capture_logs

from contracts.commands import PageAgain
from contracts.topics import Topic, durability
from services.runtime.errors import Away, ConfigurationError
from services.runtime.topics_admin import _check_copies, ensure_topics
from tests.conftest import Stack


@pytest_asyncio.fixture
async def admin(stack: Stack) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    yield admin
    await admin.close()


def a_topic(partitions: int = 2) -> Topic:
    return Topic(f"test.{uuid.uuid4()}", (PageAgain,), kept=None, partitions=partitions)


async def made_by_somebody(admin: AIOKafkaAdminClient, topic: str, partitions: int, settings: Mapping[str, str] | None = None) -> None:
    await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=dict(settings or {}))])


async def settings_of(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    [response] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for entry in response.resources[0][4]}


async def test_a_topic_is_made_with_what_keeps_an_acknowledged_message(stack: Stack, admin: AIOKafkaAdminClient):
    topic = a_topic()
    with capture_logs() as logs:
        await ensure_topics(stack.kafka, 1, [topic])
        await ensure_topics(stack.kafka, 1, [topic])
    assert [entry for entry in logs if entry["log_level"] == "warning"] == []
    for name in (topic.name, topic.dead_letters):
        settings = await settings_of(admin, name)
        assert (settings["min.insync.replicas"], settings["unclean.leader.election.enable"]) == ("1", "false")
        assert settings["retention.bytes"] == "-1"


def test_in_a_cluster_most_copies_have_a_message_before_it_is_acknowledged():
    assert [durability(copies)["min.insync.replicas"] for copies in (1, 2, 3, 5)] == ["1", "2", "2", "3"]


async def test_more_copies_than_brokers_are_waited_for_and_nothing_is_made_with_fewer(stack: Stack, admin: AIOKafkaAdminClient):
    topic = a_topic()
    with pytest.raises(Away, match="1 of the 3 brokers"):
        await ensure_topics(stack.kafka, 3, [topic])
    assert topic.name not in await admin.list_topics()


def test_a_cluster_that_nobody_told_to_keep_copies_is_refused_with_what_to_set():
    with pytest.raises(ConfigurationError, match="Set it to 3"):
        _check_copies(brokers=3, replication=1)
    _check_copies(brokers=3, replication=3)
    _check_copies(brokers=1, replication=1)


async def test_a_topic_with_another_number_of_partitions_is_refused_with_what_to_do(stack: Stack, admin: AIOKafkaAdminClient):
    topic = a_topic(partitions=6)
    await made_by_somebody(admin, topic.name, 1)
    with pytest.raises(ConfigurationError, match=r"has 1 partitions and must have 6.*delete the topic"):
        await ensure_topics(stack.kafka, 1, [topic])


async def test_what_else_differs_is_said_and_stands_in_nobodys_way(stack: Stack, admin: AIOKafkaAdminClient):
    topic = a_topic()
    await made_by_somebody(admin, topic.name, 2, {"retention.ms": "60000", "unclean.leader.election.enable": "true"})
    await made_by_somebody(admin, topic.dead_letters, 3)  # no order to keep in it
    with capture_logs() as logs:
        await ensure_topics(stack.kafka, 1, [topic])
    said = {(entry["topic"], entry["setting"]): (entry["found"], entry["wanted"]) for entry in logs if entry["log_level"] == "warning"}
    assert said[topic.name, "retention.ms"] == ("60000", "-1")
    assert said[topic.name, "unclean.leader.election.enable"] == ("true", "false")
    assert said[topic.dead_letters, "partitions"] == ("3", "1")
    assert (topic.name, "partitions") not in said
