"""The yardstick: a bare aiokafka chain of as many hops as an upload takes, gateway to triage to cases to notify, and nothing done in any.

Each stage is a process: it consumes, produces with acks=all by an idempotent producer, and commits, message by message."""

import asyncio
import json
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from contracts.topics import PARTITIONS
from tests.bench.figures import Lost
from tests.bench.pacing import at_rate
from tests.conftest import ROOT

VALUE_BYTES = 2048
READY_WITHIN_S = 30.0
ARRIVES_WITHIN_S = 60.0


@dataclass(frozen=True)
class Passed:
    """One message; times in s since 1970."""

    begun_at_s: float  # before the first topic was given it
    accepted_at_s: float  # Kafka had acknowledged it there
    handed_over_at_s: float  # the last stage had it


class Chain:
    """Use it as a context: entering it makes the topics and starts the stages."""

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka
        run = uuid4().hex[:8]
        self._topics = [f"bench.{run}.{name}" for name in ("intake", "assessments", "cases")]
        self._stages: list[Process] = []
        self._handed_over: dict[str, float] = {}
        self._producer = _producer(kafka)

    async def __aenter__(self) -> Self:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka)
        await admin.start()
        await admin.create_topics([NewTopic(name, num_partitions=PARTITIONS, replication_factor=1) for name in self._topics])
        await admin.close()
        await self._producer.start()
        for names in zip(self._topics, [*self._topics[1:], ""], strict=True):
            arguments = ("-m", "tests.bench.chain", self._kafka, *names)
            self._stages.append(await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stdin=DEVNULL, stdout=PIPE))
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                for stage in self._stages:
                    await _line_of(stage)
        except TimeoutError:
            await self._end()
            raise Lost(f"the bare chain was not ready in {READY_WITHIN_S:.0f} s") from None
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        await self._end()

    async def _end(self) -> None:
        for stage in self._stages:
            stage.terminate()
        await asyncio.gather(*(stage.wait() for stage in self._stages))
        await self._producer.stop()

    async def _listen(self) -> None:
        while True:
            told = json.loads(await _line_of(self._stages[-1]))
            self._handed_over[told["id"]] = told["at_s"]

    async def pass_on(self, count: int, *, per_s: float) -> Sequence[Passed]:
        """Send so many messages and return them once the last stage has had them all; Lost where it does not."""
        ids = [str(uuid4()) for _ in range(count)]
        times = await at_rate(per_s, [partial(self._begin, each) for each in ids])
        give_up_at = time.monotonic() + ARRIVES_WITHIN_S
        while not all(each in self._handed_over for each in ids):
            if self._listening.done() or time.monotonic() > give_up_at:
                raise Lost("messages of the bare chain did not arrive")
            await asyncio.sleep(0.02)
        return [Passed(*begun, self._handed_over[each]) for each, begun in zip(ids, times, strict=True)]

    async def _begin(self, message_id: str) -> tuple[float, float]:
        begun_at_s = time.time()
        value = json.dumps({"id": message_id, "filler": "x" * (VALUE_BYTES - 64)}).encode()
        await self._producer.send_and_wait(self._topics[0], value, key=message_id.encode())
        return begun_at_s, time.time()


def _producer(kafka: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True)


async def _line_of(stage: Process) -> bytes:
    assert stage.stdout is not None
    line = await stage.stdout.readline()
    if not line:
        raise Lost("a stage of the bare chain ended")
    return line


async def _stage(kafka: str, takes: str, gives: str) -> None:
    """Pass messages on, or where there is nowhere to give them to, say when each came."""
    consumer = AIOKafkaConsumer(takes, bootstrap_servers=kafka, group_id=takes, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    producer = _producer(kafka)
    await producer.start()
    while not consumer.assignment():
        await asyncio.sleep(0.05)
    print("ready", flush=True)
    async for record in consumer:
        message = json.loads(record.value)
        if gives:
            await producer.send_and_wait(gives, json.dumps(message).encode(), key=record.key)
        else:
            print(json.dumps({"id": message["id"], "at_s": time.time()}), flush=True)
        await consumer.commit()


if __name__ == "__main__":
    asyncio.run(_stage(*sys.argv[1:]))
