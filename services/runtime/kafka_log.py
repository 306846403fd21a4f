"""A topic's partitions, read from any offset on beside every consumer group: by whoever folds them."""

import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from contracts.topics import Topic
from services.runtime.errors import Away

AT_ONCE_BYTES = 4 * 1024 * 1024  # of a partition: the more of a case comes at once, the less often it is written
SILENT_AT_MOST_S = 30.0

# Of one partition, in its order; it begins and ends where a record batch does, so what was written together comes together.
Chunk = Sequence[ConsumerRecord[Any, Any]]
Offsets = Mapping[int, int]  # by partition


class KafkaLog:
    """Raises Away. One reads at a time; it may be closed, and read again."""

    def __init__(self, kafka: str, topic: Topic, client_id: str) -> None:
        self._kafka, self.topic, self._client_id = kafka, topic, client_id
        self._consumer: AIOKafkaConsumer | None = None

    @contextlib.asynccontextmanager
    async def _reaching(self) -> AsyncIterator[AIOKafkaConsumer]:
        try:
            yield await self._open()
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise Away("kafka", type(error).__name__) from error

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
                consumer.assign(self._partitions(range(self.topic.partitions)))
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
        async with self._reaching() as consumer:
            ends = await consumer.end_offsets(list(consumer.assignment()))
        return {each.partition: offset for each, offset in ends.items()}

    async def since(self, at: datetime, ends: Offsets) -> dict[int, int]:
        """Return for each partition of ends the offset of its first record that was written then or later; its end where none was."""
        async with self._reaching() as consumer:
            found = await consumer.offsets_for_times(dict.fromkeys(self._partitions(ends), int(at.timestamp() * 1000)))
        return {each.partition: ends[each.partition] if first is None else first.offset for each, first in found.items()}

    async def read(self, starts: Offsets, ends: Offsets) -> AsyncIterator[Chunk]:
        """Return what lies in each partition from its start, 0 where none is given, to its end; chunks of partitions come in any order."""
        left = {partition: end for partition, end in ends.items() if starts.get(partition, 0) < end}
        if not left:
            return
        async with self._reaching() as consumer:
            for each, first in (await consumer.beginning_offsets(self._partitions(left))).items():
                consumer.seek(each, max(first, starts.get(each.partition, 0)))
            consumer.resume(*self._partitions(left))
            heard_at = time.monotonic()
            while left:
                found = await consumer.getmany(*self._partitions(left), timeout_ms=1000)
                if not found and time.monotonic() - heard_at > SILENT_AT_MOST_S:
                    raise TimeoutError
                for each, records in found.items():
                    within = [record for record in records if record.offset < ends[each.partition]]
                    if within:
                        yield within
                    heard_at = time.monotonic()
                for each in self._partitions(left):
                    if await consumer.position(each) >= ends[each.partition]:
                        consumer.pause(each)
                        del left[each.partition]

    def _partitions(self, numbers: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self.topic.name, number) for number in numbers]
