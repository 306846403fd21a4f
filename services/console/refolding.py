"""The projection made whole again when Redis has lost of it: emptied, put back from an older copy, another server. Readers go on beside it.

    P:console:reflected   hash, one in each bucket: `run`, the Redis process that holds all that lies before `offsets`;
                          `offsets`, JSON, of the console's topics; `folding/<instance>`, who makes it whole now, and in which run

Offsets are written after the facts that lie before them, so that a copy of Redis that has them has those. A bucket whose run is not the
one that answers may lack what came after its offsets; one without offsets may lack everything. What is missing is read from Kafka again, and
added again: a union, of which nothing is read before it. A bucket is whole again only if the run, and the mark of who made it whole, are
still what they were when its folding began."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from redis.asyncio import Redis
from structlog import get_logger

from contracts.envelope import Envelope, EnvelopeUnreadable, open_envelope
from contracts.topics import EventUnreadable, Topic, read_event
from contracts.vocabulary import Frozen
from services.console.redis_projection import KEPT
from services.runtime.buckets import COUNT, prefix_of
from services.runtime.errors import Away
from services.runtime.redis_link import reaching_redis

LOOKS_EVERY_S = 5.0
SCRIPTS_AT_ONCE = 16
RECORDS_AT_ONCE = 500
RECENT = timedelta(days=1)
TAKES_WITHIN_MS = 1000

Offsets = dict[str, int]  # "topic/partition": the first offset that is not reflected
At = Mapping[TopicPartition, int]
Heard = tuple[Topic, Envelope, Frozen]
Fold = Callable[[Sequence[Heard]], Awaitable[None]]

_RUN = "local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')\n"
_ADVANCE = f"""{_RUN}
if redis.call('HGET', KEYS[1], 'run') ~= run then return 0 end
if redis.call('HGET', KEYS[1], 'offsets') ~= ARGV[1] then redis.call('HSET', KEYS[1], 'offsets', ARGV[1]) end
return 1
"""
_BEGIN = f"""{_RUN}
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. run)
return redis.call('HGET', KEYS[1], 'offsets')
"""
_WHOLE = f"""{_RUN}
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] .. ':' .. run then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], 'run', run, 'offsets', ARGV[3])
return 1
"""

log = get_logger()


class Refolding:
    """Keeps the offsets that the projection reflects, and folds again what it turns out to lack.

    groups are the consumer groups by which each topic is read into the projection; fold adds events to it. Raises Away."""

    def __init__(
        self, redis: Redis, kafka: str, groups: Mapping[Topic, Sequence[str]], fold: Fold, now: Callable[[], datetime], *, instance: str
    ) -> None:
        self._kafka, self._groups, self._fold, self._now = kafka.split(","), groups, fold, now
        self._advance, self._begin, self._whole = (redis.register_script(script) for script in (_ADVANCE, _BEGIN, _WHOLE))
        self._folding = f"folding/{instance}"
        self._times = 0

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOKS_EVERY_S)

    async def look(self) -> int:
        """Note what is reflected by now; where Redis has lost of it, make it whole. Return how many events were folded again."""
        committed = await self._committed()
        lacking = await self._lacking(committed)
        if not lacking:
            return 0
        self._times += 1
        mark = f"{self._now().isoformat()}/{self._times}"
        held = await self._each(lambda key: self._begin(keys=[key], args=[self._folding, mark]), lacking)
        reflected = least([json.loads(each) if each else {} for each in held])
        log.warning("the projection lacks events: reading them again", buckets=len(lacking), partitions_known=len(reflected))
        ends, folded = await self._read(reflected)
        told = json.dumps(ends, sort_keys=True)
        whole = await self._each(lambda key: self._whole(keys=[key], args=[self._folding, mark, told]), lacking)
        log.warning("the projection was read again", events=folded, buckets_whole=sum(map(int, whole)))
        return folded

    async def _lacking(self, committed: Offsets) -> list[int]:
        told = json.dumps(committed, sort_keys=True)
        answers = await self._each(lambda key: self._advance(keys=[key], args=[told]), range(COUNT))
        return [bucket for bucket, answer in enumerate(answers) if not int(answer)]

    async def _each(self, ask: Callable[[str], Awaitable[Any]], buckets: Iterable[int]) -> list[Any]:
        """Return what a script answers for each bucket, a few at once: each bucket is a slot of its own."""
        keys, answers = [f"{prefix_of(bucket)}:console:reflected" for bucket in buckets], list[Any]()
        with reaching_redis():
            for start in range(0, len(keys), SCRIPTS_AT_ONCE):
                answers += await asyncio.gather(*(ask(key) for key in keys[start : start + SCRIPTS_AT_ONCE]))
        return answers

    async def _committed(self) -> Offsets:
        """Return up to where every group has handled each partition; one that a group has committed nothing of is left out."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka)
        try:
            await admin.start()
            found: Offsets = {}
            for topic, groups in self._groups.items():
                of_groups = [_of_topic(topic, await admin.list_consumer_group_offsets(group)) for group in groups]
                found |= least(of_groups)
            return found
        except (KafkaError, OSError) as error:
            raise Away("kafka", type(error).__name__) from error
        finally:
            with contextlib.suppress(KafkaError, OSError):
                await admin.close()

    async def _read(self, reflected: Offsets) -> tuple[Offsets, int]:
        """Fold every topic from what is reflected to its end, and return the ends, and how many events there were.

        The last day first: what people look at now is in it, and a union has no order."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka, group_id=None, auto_offset_reset="earliest", enable_auto_commit=False, fetch_max_wait_ms=100
        )
        partitions = [TopicPartition(topic.name, number) for topic in self._groups for number in range(topic.partitions)]
        try:
            await consumer.start()
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            kept, recent = await self._first_since(consumer, KEPT, ends), await self._first_since(consumer, RECENT, ends)
            starts = {partition: max(at, reflected.get(_name(partition), 0)) for partition, at in kept.items()}
            middles = {partition: max(at, starts[partition]) for partition, at in recent.items()}
            folded = await self._read_between(consumer, middles, ends) + await self._read_between(consumer, starts, middles)
        except (KafkaError, OSError) as error:
            raise Away("kafka", type(error).__name__) from error
        finally:
            with contextlib.suppress(KafkaError, OSError):
                await consumer.stop()
        return {_name(partition): end for partition, end in ends.items()}, folded

    async def _first_since(self, consumer: AIOKafkaConsumer, age: timedelta, ends: At) -> At:
        since_ms = int((self._now() - age).timestamp() * 1000)
        found = await consumer.offsets_for_times(dict.fromkeys(ends, since_ms))
        return {partition: found[partition].offset if found[partition] is not None else end for partition, end in ends.items()}

    async def _read_between(self, consumer: AIOKafkaConsumer, starts: At, ends: At) -> int:
        """Fold what lies between, and return how many events that were; a few behind the ends may be among them."""
        for partition, start in starts.items():
            consumer.seek(partition, start)
        folded = 0
        while True:
            behind = [partition for partition, end in ends.items() if await consumer.position(partition) < end]
            if not behind:
                return folded
            found = await consumer.getmany(*behind, timeout_ms=TAKES_WITHIN_MS, max_records=RECORDS_AT_ONCE)
            heard = [each for partition, records in found.items() for record in records if (each := self._heard(partition, record)) is not None]
            await self._fold(heard)
            folded += len(heard)

    def _heard(self, partition: TopicPartition, record: ConsumerRecord[Any, Any]) -> Heard | None:
        topic = next(each for each in self._groups if each.name == partition.topic)
        try:
            envelope = open_envelope((name, value or b"") for name, value in record.headers)
            return topic, envelope, read_event(topic, envelope.type, record.value or b"")
        except (EnvelopeUnreadable, EventUnreadable) as error:  # its reader gave it up when it came
            log.info("not folded", origin=f"{record.topic}/{record.partition}/{record.offset}", cause=str(error))
            return None


def least(offsets: Sequence[Offsets]) -> Offsets:
    """Return what lies before all of them: a partition that one of them does not name is not named."""
    if not offsets:
        return {}
    named = set(offsets[0]).intersection(*offsets[1:])
    return {name: min(each[name] for each in offsets) for name in sorted(named)}


def _of_topic(topic: Topic, committed: Mapping[TopicPartition, Any]) -> Offsets:
    return {_name(partition): at.offset for partition, at in committed.items() if partition.topic == topic.name and at.offset >= 0}


def _name(partition: TopicPartition) -> str:
    return f"{partition.topic}/{partition.partition}"
