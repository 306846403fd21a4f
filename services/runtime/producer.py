"""The way into Kafka: all records of one call go to one partition as one record batch, whole or not at all."""

import asyncio
import contextlib
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import murmur2
from structlog import get_logger

from contracts.envelope import MAX_VALUE_BYTES, Record
from contracts.topics import Topic
from services.runtime.errors import Away, GreenchannelError

MAX_BATCH_BYTES = 2 * MAX_VALUE_BYTES
ACKNOWLEDGED_WITHIN_S = 15.0  # after that it is not known, and is sent again: readers know its id
STOP_WITHIN_S = 3.0

log = get_logger()


class RecordTooLarge(GreenchannelError):
    """A decision's events do not fit one record batch; asking again cannot help. args: the topic, the bytes."""


class Producer:
    """Publishes to the topics that a service may write, and to no other. Idempotent, acks=all."""

    def __init__(self, kafka: str, client_id: str, writes: Sequence[Topic]) -> None:
        self._kafka, self._client_id = kafka, client_id
        self._writes = frozenset(topic.name for topic in writes)
        self._producer: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()

    async def start(self) -> None:
        """Connect; Away where no broker answers."""
        await self._open()

    async def stop(self) -> None:
        if self._producer is not None:
            await self._discard(self._producer)

    async def ready(self) -> None:
        """Return where a broker answers now; Away where none does."""
        producer = await self._open()
        try:
            await producer.client.fetch_all_metadata()
        except (KafkaError, OSError) as error:
            raise Away("kafka", type(error).__name__) from error

    async def _open(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._kafka.split(","),
                    client_id=self._client_id,
                    acks="all",
                    enable_idempotence=True,
                    max_batch_size=MAX_BATCH_BYTES,
                    max_request_size=MAX_BATCH_BYTES + 4096,
                    request_timeout_ms=10_000,
                )
                try:
                    await producer.start()
                except BaseException as error:
                    await self._discard(producer)
                    if isinstance(error, KafkaError | OSError):
                        raise Away("kafka", type(error).__name__) from error
                    raise
                self._producer = producer
            return self._producer

    async def _discard(self, producer: AIOKafkaProducer) -> None:
        """Give a producer up. After an error that it does not retry, its sequence numbers are of no use: the next one gets new ones."""
        if self._producer is producer:
            self._producer = None
        # It waits for batches that can no more be sent, and raises what they failed of: both are known here.
        with contextlib.suppress(KafkaError, TimeoutError, OSError):
            await asyncio.wait_for(producer.stop(), STOP_WITHIN_S)

    async def publish(self, topic: Topic | str, records: Sequence[Record]) -> None:
        """Return when every in-sync replica has the records, in their order and one batch. All have one key, or the topic one partition.

        Raises Away where Kafka cannot take them now (they may arrive all the same: readers know their ids), RecordTooLarge."""
        name = topic if isinstance(topic, str) else topic.name
        if name not in self._writes:
            raise ValueError(f"{self._client_id} may not write {name}")
        try:
            async with asyncio.timeout(ACKNOWLEDGED_WITHIN_S):
                await self._send(await self._open(), name, records)
        except TimeoutError as error:
            log.warning("kafka did not answer", topic=name)
            if self._producer is not None:
                await self._discard(self._producer)
            raise Away("kafka", f"no acknowledgement within {ACKNOWLEDGED_WITHIN_S:g} s") from error

    async def _send(self, producer: AIOKafkaProducer, name: str, records: Sequence[Record]) -> None:
        batch = producer.create_batch()
        for record in records:
            if batch.append(key=record.key.encode(), value=record.value, timestamp=None, headers=list(record.headers)) is None:
                raise RecordTooLarge(name, sum(len(each.value) for each in records))
        batch.close()
        try:
            partitions = sorted(await producer.partitions_for(name))
            if len(partitions) > 1 and any(record.key != records[0].key for record in records):
                raise ValueError("one batch, one key")
            partition = partitions[(murmur2(records[0].key.encode()) & 0x7FFFFFFF) % len(partitions)]
            future = await producer.send_batch(batch, name, partition=partition)
            await asyncio.shield(future)  # who asked may leave; what is under way is not torn
        except MessageSizeTooLargeError as error:
            raise RecordTooLarge(name, sum(len(each.value) for each in records)) from error
        except (KafkaError, OSError) as error:
            log.warning("kafka did not take a batch", topic=name, error=type(error).__name__)
            await self._discard(producer)
            raise Away("kafka", type(error).__name__) from error
