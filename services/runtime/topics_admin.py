"""The topics, made in Kafka as contracts.topics says."""

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from structlog import get_logger

from contracts.topics import TOPICS, dead_letter_topic
from services.runtime.errors import Away

BROKERS_DEFAULT = -1  # the broker's own replication factor: 1 on one machine, 3 in a cluster

log = get_logger()


async def ensure_topics(kafka: str) -> None:
    """Create the topics that are not there yet; those that are stay as they are. Raises Away."""
    wanted = [*TOPICS, *(dead_letter_topic(topic) for topic in TOPICS)]
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.split(","), client_id="greenchannel-topics")
    try:
        await admin.start()
        there = set(await admin.list_topics())
        new = [
            NewTopic(
                topic.name,
                num_partitions=topic.partitions,
                replication_factor=BROKERS_DEFAULT,
                replica_assignments={},  # none: left out, the library takes the broker's default for a mistake
                topic_configs=topic.config(),
            )
            for topic in wanted
            if topic.name not in there
        ]
        if new:
            response = await admin.create_topics(new)
            for name, code, *_ in response.topic_errors:  # type: ignore[attr-defined] # the library's types stop at Response
                error = for_code(code)
                if code and error is not TopicAlreadyExistsError:
                    raise error(name)
                log.info("topic made", topic=name)
    except (KafkaError, OSError) as error:
        raise Away("kafka", type(error).__name__) from error
    finally:
        await admin.close()
