"""Comparing what Redis holds of cases with the log, and having it folded anew: what `greenchannel ops rebuild` does."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from contracts import topics
from services.cases.comparing import Comparison, compare
from services.cases.redis_folding import RedisFolding
from services.local.ports import HOST
from services.program.server import Refused
from services.runtime.buckets import COUNT
from services.runtime.errors import Away
from services.runtime.fence import LEASE_MS, Lease
from services.runtime.kafka_log import KafkaLog
from services.runtime.redis_link import connect
from services.runtime.settings import settings_from_environment

LEASE = "cases"  # as services.cases.app names it
LOOK_EVERY_S = 0.2
TAKEN_WITHIN_S = 30.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Stores:
    kafka: str
    redis: str


def stores_of(data: Path | None) -> Stores:
    """Return where Kafka and Redis are: those of an embedded centre, or those that the environment names. Raises Refused, ConfigurationError."""
    if data is None:
        settings = settings_from_environment()
        return Stores(settings.kafka, settings.redis)
    try:
        ports = json.loads((data / "ports.json").read_text(encoding="utf-8"))
        return Stores(f"{HOST}:{ports['Kafka']}", f"redis://{HOST}:{ports['Redis']}/0")
    except (OSError, ValueError, KeyError):
        raise Refused(f"{data} holds no centre that was started: start it with `greenchannel up`, or name another folder with --data.") from None


async def check(stores: Stores, progress: Progress) -> Comparison:
    """Fold the log in memory, and compare Redis with what comes of it. progress hears of records. Raises Refused."""
    redis, log = connect(stores.redis), KafkaLog(stores.kafka, topics.CASES, "greenchannel-ops")
    try:
        return await compare(RedisFolding(redis), log, lambda: datetime.now(UTC), progress)
    except Away as away:
        raise Refused(f"{away}. Start it, and ask again.") from None
    finally:
        await log.close()
        await redis.aclose()


async def rebuild(stores: Stores, progress: Progress) -> int:
    """Have the running cases service fold the whole log into a Redis that is cleared of cases; return how many keys were cleared.

    Nothing is decided meanwhile: messages wait in Kafka, and so do timers. progress hears of buckets. Raises Refused."""
    redis = connect(stores.redis)
    try:
        folding, lease = RedisFolding(redis), Lease(redis, LEASE)
        await lease.take_over()
        from_the_beginning = dict.fromkeys(range(topics.CASES.partitions), 0)
        clearing = asyncio.create_task(_cleared(folding, from_the_beginning))
        while not (await asyncio.wait({clearing}, timeout=LEASE_MS / 3000))[0]:
            await lease.hold()
        await lease.give_back()
        await _folded(folding, lease, progress)
        return clearing.result()
    except Away as away:
        raise Refused(f"{away}. Start it, and ask again.") from None
    finally:
        await redis.aclose()


async def _cleared(folding: RedisFolding, reflects: dict[int, int]) -> int:
    for bucket in range(COUNT):
        await folding.unfold(bucket, reflects)
    return await folding.clear()


async def _folded(folding: RedisFolding, lease: Lease, progress: Progress) -> None:
    idle_since = time.monotonic()
    while True:
        done = sum(each.is_folded for each in await folding.survey())
        progress(done, COUNT)
        if done == COUNT:
            return
        if await lease.is_held():
            idle_since = time.monotonic()
        elif time.monotonic() - idle_since > TAKEN_WITHIN_S:
            raise Refused("nobody folds: start the cases service, which does it before it takes a message.")
        await asyncio.sleep(LOOK_EVERY_S)
