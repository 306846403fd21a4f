"""The topics, made in Kafka as contracts.topics says; those that are there already, compared with it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaError,
    TopicAlreadyExistsError,
    for_code,
)
from structlog import get_logger

from contracts.topics import TOPICS, Topic, dead_letter_topic, durability
from services.runtime.errors import Away, ConfigurationError

log = get_logger()


async def ensure_topics(kafka: str, replication: int = 1, table: Sequence[Topic] = TOPICS) -> None:
    """Create the topics of the table that are not there yet, with their dead letters; those that are stay as they are.

    Raises Away, and ConfigurationError where messages would not be kept as they must be: a topic with another number of partitions, which would
    lead a patient's messages apart; a cluster that is not told to keep copies. What else differs is logged."""
    wanted = {topic.name: topic for topic in (*table, *map(dead_letter_topic, table))}
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.split(","), client_id="greenchannel-topics")
    try:
        await admin.start()
        brokers = len((await admin.describe_cluster())["brokers"])
        _check_copies(brokers, replication)
        there = wanted.keys() & set(await admin.list_topics())
        if there:
            await _compare(admin, [wanted[name] for name in sorted(there)], replication)
        new = [topic for name, topic in wanted.items() if name not in there]
        if new and brokers < replication:
            raise Away("kafka", f"it has {brokers} of the {replication} brokers that GREENCHANNEL_REPLICATION asks for")
        if new:
            await _create(admin, new, replication)
    except (KafkaError, OSError) as error:
        raise Away("kafka", type(error).__name__) from error
    finally:
        await admin.close()


def _check_copies(brokers: int, replication: int) -> None:
    if brokers > 1 and replication == 1:
        raise ConfigurationError(
            "GREENCHANNEL_REPLICATION",
            f"is 1, and this Kafka has {brokers} brokers: with one copy, the loss of one broker loses messages. Set it to {min(3, brokers)}",
        )


async def _create(admin: AIOKafkaAdminClient, topics: Iterable[Topic], replication: int) -> None:
    response = await admin.create_topics(
        [
            NewTopic(
                topic.name,
                num_partitions=topic.partitions,
                replication_factor=replication,
                topic_configs=topic.config() | durability(replication),
            )
            for topic in topics
        ]
    )
    for name, code, *_ in response.topic_errors:  # type: ignore[attr-defined] # the library's types stop at Response
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(name)
        log.info("topic made", topic=name)


async def _compare(admin: AIOKafkaAdminClient, topics: Sequence[Topic], replication: int) -> None:
    described = {each["topic"]: each for each in await admin.describe_topics([topic.name for topic in topics])}
    settings = await _settings(admin, [topic.name for topic in topics])
    for topic in topics:
        if code := described[topic.name]["error_code"]:
            raise for_code(code)(topic.name)
        partitions = described[topic.name]["partitions"]
        found = settings[topic.name] | {"partitions": str(len(partitions)), "replication": str(min(len(each["replicas"]) for each in partitions))}
        wanted = topic.config() | durability(replication) | {"partitions": str(topic.partitions), "replication": str(replication)}
        if topic.events and len(partitions) != topic.partitions:
            raise ConfigurationError(
                topic.name,
                f"has {len(partitions)} partitions and must have {topic.partitions}: a patient's messages would be led apart. "
                "Stop every service; if it holds no messages, delete the topic and start again; else copy its messages into one that was made anew",
            )
        for name in sorted(wanted):
            if found.get(name) != wanted[name]:
                log.warning(
                    "a topic is not as it must be: change its setting in Kafka",
                    topic=topic.name,
                    setting=name,
                    found=found.get(name),
                    wanted=wanted[name],
                )


async def _settings(admin: AIOKafkaAdminClient, names: Iterable[str]) -> Mapping[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names]):
        resources: Any = response.resources  # type: ignore[attr-defined] # as above
        for code, _, _, name, entries in resources:
            if code:
                raise for_code(code)(name)
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found
