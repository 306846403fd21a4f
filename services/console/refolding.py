"""The projection made whole again when Redis has lost of it, the newest first. Readers go on beside it: it is a union, of which nothing is read
before something is added. While nothing is lost, what all its readers have handled is noted."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from redis.asyncio import Redis
from structlog import get_logger

from contracts.envelope import Envelope, EnvelopeUnreadable, open_envelope
from contracts.topics import EventUnreadable, Topic, read_event
from contracts.vocabulary import Frozen
from services.console.redis_projection import KEPT, WHAT
from services.runtime.errors import Away
from services.runtime.fence import Fence, Reflects
from services.runtime.folded import Folded, lowest, partition_of
from services.runtime.kafka_log import Chunk, KafkaLog

RECENT = timedelta(days=1)  # what people look at now

Heard = tuple[Topic, Envelope, Frozen]
Fold = Callable[[Sequence[Heard]], Awaitable[None]]

log = get_logger()


def refolding(redis: Redis, kafka: str, groups: Mapping[Topic, Sequence[str]], fold: Fold, now: Callable[[], datetime]) -> Folded:
    """Return what keeps the projection whole. groups are the consumer groups that read each topic into it; fold adds events to it."""

    async def apply(topic: Topic, records: Chunk) -> None:
        await fold([each for record in records if (each := _heard(topic, record)) is not None])

    async def handled() -> Reflects:
        return await _committed(kafka, groups)

    logs = [KafkaLog(kafka, topic, "console-log") for topic in groups]
    return Folded(Fence(redis, WHAT), logs, [RECENT, KEPT], apply, handled, now)


async def _committed(kafka: str, groups: Mapping[Topic, Sequence[str]]) -> Reflects:
    """Return up to where every group has handled each partition; one that a group has committed nothing of is left out."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.split(","))
    try:
        await admin.start()
        found = dict[str, int]()
        for topic, of_topic in groups.items():
            found |= lowest([_of_topic(topic, await admin.list_consumer_group_offsets(group)) for group in of_topic])
        return found
    except (KafkaError, OSError) as error:
        raise Away("kafka", type(error).__name__) from error
    finally:
        with contextlib.suppress(KafkaError, OSError):
            await admin.close()


def _of_topic(topic: Topic, committed: Mapping[TopicPartition, Any]) -> Reflects:
    return {partition_of(topic, each.partition): at.offset for each, at in committed.items() if each.topic == topic.name and at.offset >= 0}


def _heard(topic: Topic, record: ConsumerRecord[Any, Any]) -> Heard | None:
    try:
        envelope = open_envelope((name, value or b"") for name, value in record.headers)
        return topic, envelope, read_event(topic, envelope.type, record.value or b"")
    except (EnvelopeUnreadable, EventUnreadable) as error:  # its reader gave it up when it came
        log.info("not folded", origin=f"{record.topic}/{record.partition}/{record.offset}", cause=str(error))
        return None
