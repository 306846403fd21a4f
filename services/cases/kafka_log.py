"""The log of cases, read from any offset on: by whoever folds it, beside every consumer group."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from contracts import topics
from services.cases.fold import LogRecord
from services.runtime.errors import Away

TOPIC = topics.CASES.name
AT_ONCE_BYTES = 4 * 1024 * 1024  # of a partition: the more of a case comes at once, the less often it is written
SILENT_AT_MOST_S = 30.0

Chunk = Sequence[LogRecord]  # of one partition, in its order; it begins and ends where a record batch does, so no decision is torn


class KafkaLog:
    """Raises Away. One reads at a time."""

    def __init__(self, kafka: str, client_id: str) -> None:
        self._kafka, self._client_id = kafka, client_id
        self._consumer: AIOKafkaConsumer | None = None

    async def _open(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._kafka.split(","),
                client_id=self._client_id,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                max_partition_fetch_bytes=AT_ONCE_BYTES,
            )
            try:
                await consumer.start()
                consumer.assign(_partitions(range(topics.CASES.partitions)))
                consumer.pause(*consumer.assignment())  # else it fetches what nobody asks for
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with contextlib.suppress(KafkaError, OSError):
                await consumer.stop()

    async def ends(self) -> dict[int, int]:
        """Return for each partition the offset behind its last record."""
        try:
            consumer = await self._open()
            ends = await consumer.end_offsets(list(consumer.assignment()))
            return {each.partition: offset for each, offset in ends.items()}
        except (KafkaError, OSError) as error:
            await self.close()
            raise Away("kafka", type(error).__name__) from error

    async def read(self, starts: Mapping[int, int], ends: Mapping[int, int]) -> AsyncIterator[Chunk]:
        """Return what lies in each partition from its start, 0 where none is given, to its end; chunks of partitions come in any order."""
        left = {partition: end for partition, end in ends.items() if starts.get(partition, 0) < end}
        if not left:
            return
        try:
            consumer = await self._open()
            for each, first in (await consumer.beginning_offsets(_partitions(left))).items():
                consumer.seek(each, max(first, starts.get(each.partition, 0)))
            consumer.resume(*_partitions(left))
            while left:
                async with asyncio.timeout(SILENT_AT_MOST_S):
                    found = await consumer.getmany(*_partitions(left), timeout_ms=1000)
                for each, records in found.items():
                    within = [record for record in records if record.offset < ends[each.partition]]
                    if within:
                        yield within
                for each in _partitions(left):
                    if await consumer.position(each) >= ends[each.partition]:
                        consumer.pause(each)
                        del left[each.partition]
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise Away("kafka", type(error).__name__) from error


def _partitions(numbers: Iterable[int]) -> list[TopicPartition]:
    return [TopicPartition(TOPIC, number) for number in numbers]
