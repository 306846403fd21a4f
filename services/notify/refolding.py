"""The inboxes come back from deliveries.v1, which names the message of each notice that was told of: at every start, and whenever Redis was lost.

Until that is done pages wait: a Redis that forgot would have everybody rung again for what they were rung for."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from redis.asyncio import Redis
from structlog import get_logger

from contracts.envelope import header
from contracts.topics import DELIVERIES
from services.notify.folded_inbox import Fence, FoldedInbox, Offsets
from services.notify.groups import RED_GROUP, REST_GROUP, group_told_of
from services.runtime.buckets import COUNT
from services.runtime.errors import Away
from services.runtime.inbox import KEPT

READS_BACK = KEPT + timedelta(days=1)
AT_ONCE = 500
SILENT_AT_MOST_S = 30.0
LOOKS_EVERY_MS = 100
LOOKS_EVERY_S = 1.0

log = get_logger()


class Refolding:
    """Folds both groups' inboxes. Raises Away where Kafka or Redis cannot be reached."""

    def __init__(self, kafka: str, redis: Redis, now: Callable[[], datetime]) -> None:
        self._kafka, self._now = kafka, now
        self.fence = Fence(redis)
        self._folded, self._lost = False, asyncio.Event()
        self.inboxes = {group: FoldedInbox(redis, group, is_folded=lambda: self._folded, on_lost=self._lost.set) for group in (RED_GROUP, REST_GROUP)}

    async def run(self) -> None:
        """Fold, and fold again whenever Redis was lost; until cancelled."""
        while True:
            self._lost.clear()
            await self.fold()
            await self._until_lost()
            log.warning("redis was emptied or started anew: the inboxes are folded again")

    async def fold(self) -> int:
        """Mark handled each message whose delivery is in the log, and return how many deliveries were read."""
        name, buckets = uuid4().hex, range(COUNT)
        reflected = await asyncio.gather(*(self.fence.begin(bucket, name) for bucket in buckets))
        to, read = await self._read(_lowest(reflected))
        if not all(await asyncio.gather(*(self.fence.end(bucket, name, to) for bucket in buckets))):
            raise Away("redis", "it was lost while the inboxes were folded")
        self._folded = True
        log.info("inboxes folded", deliveries=read)
        return read

    async def _until_lost(self) -> None:
        """Look at one bucket after the other; a page that finds its bucket lost says so at once."""
        bucket = 0
        while await self.fence.holds(bucket):
            with contextlib.suppress(TimeoutError):  # nobody said so: the next bucket is looked at
                await asyncio.wait_for(self._lost.wait(), LOOKS_EVERY_S)
                return
            bucket = (bucket + 1) % COUNT

    async def _read(self, reflected: Offsets) -> tuple[Offsets, int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._kafka.split(","), group_id=None, auto_offset_reset="earliest", enable_auto_commit=False)
        try:
            await consumer.start()
            partitions = [TopicPartition(DELIVERIES.name, each) for each in range(DELIVERIES.partitions)]
            ends = await consumer.end_offsets(partitions)
            consumer.assign(partitions)
            for partition, offset in (await self._starts(consumer, reflected, ends)).items():
                consumer.seek(partition, offset)
            return {partition.partition: end for partition, end in ends.items()}, await self._mark_to(consumer, ends)
        except (KafkaError, OSError, TimeoutError) as error:
            raise Away("kafka", type(error).__name__) from error
        finally:
            with contextlib.suppress(KafkaError, OSError):
                await consumer.stop()

    async def _starts(self, consumer: Any, reflected: Offsets, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Return where to begin: behind what is reflected, and never before the oldest that an inbox would still keep."""
        oldest_ms = int((self._now() - READS_BACK).timestamp() * 1000)
        starts = {}
        for partition, found in (await consumer.offsets_for_times(dict.fromkeys(ends, oldest_ms))).items():
            oldest, end = found.offset if found else ends[partition], ends[partition]
            known = reflected.get(partition.partition, 0)
            starts[partition] = max(oldest, known if known <= end else 0)  # beyond the end: of a log that was there before this one
        return starts

    async def _mark_to(self, consumer: Any, ends: Mapping[TopicPartition, int]) -> int:
        read, behind = 0, [*ends]
        async with asyncio.timeout(SILENT_AT_MOST_S) as limit:
            while behind := [each for each in behind if await consumer.position(each) < ends[each]]:
                found = await consumer.getmany(*behind, timeout_ms=LOOKS_EVERY_MS, max_records=AT_ONCE)
                records = [record for of_partition in found.values() for record in of_partition]
                if records:
                    await self._mark(records)
                    read += len(records)
                    limit.reschedule(asyncio.get_running_loop().time() + SILENT_AT_MOST_S)
        return read

    async def _mark(self, records: Sequence[ConsumerRecord[Any, Any]]) -> None:
        handled: dict[str, list[tuple[UUID, str]]] = {group: [] for group in self.inboxes}
        for record in records:
            headers = [(name, value or b"") for name, value in record.headers]
            try:
                message = UUID((header(headers, "ce_causationid") or b"").decode()), (record.key or b"").decode()
            except ValueError:  # UnicodeDecodeError too
                log.error("a delivery cannot be read: its page may be sent again", partition=record.partition, offset=record.offset)
                continue
            handled[group_told_of(headers)].append(message)
        for group, messages in handled.items():
            await self.inboxes[group].handled_all(messages)


def _lowest(reflected: Sequence[Offsets]) -> Offsets:
    """Return, of each partition, the offset that every bucket reflects; none where a bucket reflects nothing."""
    partitions = set[int].intersection(*(set(each) for each in reflected))
    return {partition: min(each[partition] for each in reflected) for partition in partitions}
