"""Comparing what Redis holds of cases with the log, and having it folded anew: what `greenchannel ops rebuild` does.

Nothing is cleared before it is known that somebody lives who folds, and that there is a log to fold."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from contracts import topics
from services.cases.comparing import Comparison, compare
from services.cases.redis_folding import RedisFolding
from services.local.ports import HOST
from services.program.server import DEFAULT_DATA, Refused
from services.program.waiting_told import told_while
from services.runtime.buckets import COUNT
from services.runtime.errors import Away
from services.runtime.fence import LEASE_MS, Lease
from services.runtime.kafka_log import KafkaLog
from services.runtime.redis_link import connect
from services.runtime.settings import PREFIX

LEASE = "cases"  # as services.cases.app names it
LOOK_EVERY_S = 0.2
LIVES_WITHIN_S = 2 * LEASE_MS / 1000
TAKEN_WITHIN_S = 30.0
ANSWERS_WITHIN_S = 20.0

Progress = Callable[[int, int], None]
Waiting = Callable[[str], None]


@dataclass(frozen=True)
class Stores:
    kafka: str
    redis: str


def stores_of(data: Path | None) -> Stores:
    """Return where Kafka and Redis are: those that the environment names, else those of an embedded centre. Raises Refused."""
    named = {name: os.environ.get(name) for name in (f"{PREFIX}KAFKA", f"{PREFIX}REDIS")}
    if data is None and any(named.values()):
        kafka, redis = named.values()
        if not (kafka and redis):
            raise Refused(f"Of {' and '.join(named)} only one is set: set both, or neither and name a server's folder with --data.")
        return Stores(kafka, redis)
    folder = data or DEFAULT_DATA
    try:
        ports = json.loads((folder / "ports.json").read_text(encoding="utf-8"))
        return Stores(f"{HOST}:{ports['Kafka']}", f"redis://{HOST}:{ports['Redis']}/0")
    except (OSError, ValueError, KeyError, TypeError):
        raise Refused(
            f"{folder} holds no centre that was started: start it with `greenchannel up`, name another folder with --data, "
            f"or set {' and '.join(named)}."
        ) from None


async def check(stores: Stores, progress: Progress, waiting: Waiting) -> Comparison:
    """Fold the log in memory, and compare Redis with what comes of it. progress hears of records, waiting why there are none. Raises Refused."""
    redis, log = connect(stores.redis), KafkaLog(stores.kafka, topics.CASES, "greenchannel-ops")
    try:
        await _kafka_answers(log, waiting)
        return await compare(RedisFolding(redis), log, lambda: datetime.now(UTC), progress)
    except Away as away:
        raise Refused(f"{away}. Start it, and ask again.") from None
    finally:
        await log.close()
        await redis.aclose()


async def rebuild(stores: Stores, progress: Progress, waiting: Waiting) -> int:
    """Have the running cases service fold the whole log into a Redis that is cleared of cases; return how many keys were cleared.

    Nothing is decided meanwhile: messages wait in Kafka, and so do timers. progress hears of buckets, waiting why there are none. Raises Refused; its
    sentence says whether anything was cleared."""
    redis, log = connect(stores.redis), KafkaLog(stores.kafka, topics.CASES, "greenchannel-ops")
    done = "Nothing was cleared."
    try:
        folding, lease = RedisFolding(redis), Lease(redis, LEASE)
        await _kafka_answers(log, waiting)
        await _somebody_lives(lease)
        done = "Redis may be cleared of cases in part; what was cleared comes back from the log once the cases service runs."
        await lease.take_over()
        from_the_beginning = dict.fromkeys(range(topics.CASES.partitions), 0)
        clearing = asyncio.create_task(_cleared(folding, from_the_beginning))
        while not (await asyncio.wait({clearing}, timeout=LEASE_MS / 3000))[0]:
            await lease.hold()
        cleared = clearing.result()
        done = f"{cleared:,} keys of cases were cleared from Redis; they come back from the log once the cases service runs."
        await lease.give_back()
        await _folded(folding, lease, progress)
        return cleared
    except Away as away:
        raise Refused(f"{away}. {done} Start it, and ask again.") from None
    except _NobodyFolds:
        raise Refused(f"Nobody folds: start the cases service, which does it before it takes a message. {done}") from None
    finally:
        await log.close()
        await redis.aclose()


async def _kafka_answers(log: KafkaLog, waiting: Waiting) -> None:
    """Return once it does. Raises Away."""
    try:
        await told_while(asyncio.wait_for(log.ends(), ANSWERS_WITHIN_S), "Kafka", ANSWERS_WITHIN_S, waiting)
    except TimeoutError:
        raise Away("kafka", f"no answer within {ANSWERS_WITHIN_S:g} s") from None


class _NobodyFolds(Exception):
    """No cases service lives, or none that reaches this Redis."""


async def _somebody_lives(lease: Lease) -> None:
    """Return once somebody keeps the turn to fold: one who was killed or hangs keeps nothing. Raises _NobodyFolds."""
    until, before = time.monotonic() + LIVES_WITHIN_S, await lease.left_ms()
    while (left := await lease.left_ms()) <= before:
        if time.monotonic() > until:
            raise _NobodyFolds
        before = left
        await asyncio.sleep(LOOK_EVERY_S)


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
            raise _NobodyFolds
        await asyncio.sleep(LOOK_EVERY_S)
