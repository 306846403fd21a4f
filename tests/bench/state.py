"""What a case costs in Redis: a step beside a bare SET of the same server, room, many cases beside few, timers, and folding them all anew."""

import asyncio
import os
import time
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from contracts import topics
from contracts.cases import UploadReceived
from contracts.directory import Directory
from contracts.envelope import Record, seal
from contracts.ids import EventId, UploadId, case_id
from contracts.topics import Topic
from services.cases.desk import Desk
from services.cases.evolve import evolve
from services.cases.keeper import Keeper
from services.cases.outbox import Entry, Route, entry
from services.cases.redis_folding import RedisFolding
from services.cases.redis_store import RedisStore
from services.cases.snapshots import BlobSnapshots
from services.cases.state import Case
from services.local.jars import cache_folder
from services.runtime.blobs import open_blobs
from services.runtime.fence import Lease
from services.runtime.kafka_log import KafkaLog
from services.runtime.redis_link import connect
from services.runtime.topics_admin import ensure_topics
from tests.bench.case_log import Change, changes, publish_many
from tests.bench.figures import Figure, Lost, percentile, spread
from tests.integration.cases.valkeys import have_folded
from tests.integration.local.conftest import open_centre

PART = "state"
AIM_P50, AIM_P99, AIM_BYTES, AIM_MANY, AIM_LATE_S, AIM_REBUILD_S = 1.5, 2.0, 4096, 1.2, 1.0, 60.0
FEW, MANY, QUICK_MANY = 100, 100_000, 10_000
STEPS, QUICK_STEPS = 2000, 500
AT_ONCE = 64  # as many as a busy service has under way
TIMERS, TIMERS_OVER_S = 400, 8.0


async def state(folder: Path, *, quick: bool) -> list[Figure]:
    """Measure on a Kafka and a Valkey of its own, that sync each write to the disk as the embedded ones do."""
    many, steps = (QUICK_MANY, QUICK_STEPS) if quick else (MANY, STEPS)
    with open_centre(folder / "centre") as centre:
        addresses = centre.start_stack(cache_folder(os.environ))
        await ensure_topics(addresses.kafka)
        redis = connect(addresses.redis)
        try:
            await redis.flushall()
            await have_folded(redis)
            figures, few = await _beside_set(redis, steps)
            figures += await _on_one_core(redis, steps)
            await redis.flushall()
            figures += await _rebuilt(redis, addresses.kafka, folder, many)
            figures += await _among_many(redis, steps, many, few)
            await redis.flushall()
            await have_folded(redis)
            figures += await _late_timers(redis)
            return figures
        finally:
            await redis.aclose()


def _prepared(count: int) -> list[list[Change]]:
    """Return the decisions of so many cases, ready to be stepped: what deciding costs is not measured here."""
    at = datetime.now(UTC)
    return [list(changes(UploadId(uuid4()), str(uuid4()), at, [EventId(uuid4()) for _ in range(5)])) for _ in range(count)]


async def _timed(work: Awaitable[object]) -> float:
    begun_at = time.perf_counter()
    await work
    return time.perf_counter() - begun_at


async def _step(store: RedisStore, change: Change, decision: Entry) -> None:
    message, before, after, _ = change
    if not await store.step(message, before, after, decision):
        raise Lost("a step was not made")


async def _load_and_step(store: RedisStore, change: Change, decision: Entry) -> None:
    message, _, after, _ = change
    route = Route(after.patient_key, upload_id=after.uploads[0].upload_id, fresh=after.case_id)
    await store.load(message, route)
    await _step(store, change, decision)


async def _turn_about(redis: Redis, prepared: Sequence[Sequence[Change]]) -> dict[str, list[float]]:
    """Step cases in turn with bare SETs of as many bytes: all share what the machine does meanwhile. Times in s."""
    store = RedisStore(redis)
    taken: dict[str, list[float]] = {"set": [], "step": [], "load": []}
    for place, of_case in enumerate(prepared):
        for change in of_case:
            decision = entry(change[2].case_id, change[3])
            bare = b"v" * (len(decision.raw) + len(change[2].model_dump_json()))
            taken["set"].append(await _timed(redis.set(f"bench:{place}", bare)))
            if place % 2:
                taken["load"].append(await _timed(_load_and_step(store, change, decision)))
            else:
                taken["step"].append(await _timed(_step(store, change, decision)))
            await store.sent(change[2].patient_key, decision)
    return taken


async def _beside_set(redis: Redis, steps: int) -> tuple[list[Figure], float]:
    taken = await _turn_about(redis, _prepared(steps // 5))
    figures = [
        Figure(PART, "a bare SET", percentile(taken["set"], each) * 1000, "ms", each, note="as many bytes; synced to the disk") for each in (50, 99)
    ]
    names = {"step": "a transition", "load": "a transition, loaded first"}
    for kind, name in names.items():
        note = "of a case in hand, or a new one" if kind == "step" else "of a case that this process does not remember: two trips"
        figures += spread(PART, name, taken[kind], note=note)
        for each, aim in ((50, AIM_P50), (99, AIM_P99)):
            ratio = percentile(taken[kind], each) / percentile(taken["set"], each)
            figures.append(Figure(PART, f"{name}, by the SET's", ratio, "x", each, aim=aim))
    return figures, percentile(taken["step"], 50) / percentile(taken["set"], 50)


async def _on_one_core(redis: Redis, steps: int) -> list[Figure]:
    """Load, step and clear many cases at once, as one process does; what deciding and Kafka cost is not in it."""
    store, prepared = RedisStore(redis), _prepared(steps // 5)
    turns = asyncio.Semaphore(AT_ONCE)

    async def whole(of_case: Sequence[Change]) -> None:
        async with turns:
            for change in of_case:
                decision = entry(change[2].case_id, change[3])
                await _load_and_step(store, change, decision)
                await store.sent(change[2].patient_key, decision)

    begun_at, used_s = time.perf_counter(), time.process_time()
    await asyncio.gather(*(whole(of_case) for of_case in prepared))
    took_s, used_s = time.perf_counter() - begun_at, time.process_time() - used_s
    note = f"five messages a case; {len(prepared) / took_s:,.0f} a second of wall time, with Valkey beside it"
    return [Figure(PART, "cases a second of one core", len(prepared) / used_s, "/s", note=note)]


async def _rebuilt(redis: Redis, kafka: str, folder: Path, many: int) -> list[Figure]:
    events = await publish_many(kafka, many, seed=5)
    before = (await redis.info("memory"))["used_memory"]
    log, folding = KafkaLog(kafka, topics.CASES, "bench"), RedisFolding(redis)
    keeper = Keeper(
        folding,
        log,
        BlobSnapshots(open_blobs((folder / "blobs").as_uri())),
        Lease(redis, "cases"),
        asyncio.Event(),
        {},
        _nothing,
        lambda: datetime.now(UTC),
    )
    begun_at, used_s = time.perf_counter(), time.process_time()
    await keeper.look()
    took_s, used_s = time.perf_counter() - begun_at, time.process_time() - used_s
    bytes_each = ((await redis.info("memory"))["used_memory"] - before) / many
    await log.close()
    note = f"{many:,} cases, {events:,} events; {used_s:.0f} s of this process's core"
    aim = AIM_REBUILD_S * many / MANY
    return [
        Figure(PART, "rebuilt from the log", took_s, "s", aim=aim, note=note),
        Figure(PART, "room in Redis of an open case", bytes_each, "bytes", aim=AIM_BYTES, note="all its keys, of eight events"),
    ]


async def _nothing() -> None: ...


def _now() -> datetime:
    return datetime.now(UTC)


async def _among_many(redis: Redis, steps: int, many: int, few: float) -> list[Figure]:
    taken = await _turn_about(redis, _prepared(steps // 5))
    share = percentile(taken["step"], 50) / percentile(taken["set"], 50)
    note = f"{many:,} open cases against {FEW}; each by the SET of its own run"
    return [Figure(PART, "a transition among many cases, by that among few", share / few, "x", 50, aim=AIM_MANY, note=note)]


class _Heard:
    """Where timers' commands go: notes when each came."""

    def __init__(self) -> None:
        self.late_s: list[float] = []

    async def publish(self, topic: Topic | str, records: Sequence[Record]) -> None:
        for record in records:
            due_at = datetime.fromisoformat(dict(record.headers)["ce_time"].decode())
            self.late_s.append((datetime.now(UTC) - due_at).total_seconds())


async def _late_timers(redis: Redis) -> list[Figure]:
    """Set timers that a desk knows nothing of, as if another process had: it is to find each when it is due."""
    store, heard, random = RedisStore(redis), _Heard(), Random(7)
    for _ in range(TIMERS):
        at = datetime.now(UTC)
        due_at = at + timedelta(seconds=2 + random.random() * TIMERS_OVER_S)
        upload, key = UploadId(uuid4()), str(uuid4())
        before = Case(case_id=case_id(upload), patient_key=key)
        received = UploadReceived(at=at, case_id=before.case_id, patient_key=key, upload_id=upload, clinic_id="clinic", received_at=at, due_at=due_at)
        after, message = evolve(before, received), EventId(uuid4())
        of_event: dict[str, Any] = {"event_id": EventId(uuid4()), "subject": before.case_id, "correlation": upload, "causation": message}
        decision = entry(before.case_id, [seal(received, source="cases", key=key, time=at, recorded=at, sequence=1, **of_event)])
        if not await store.step(message, before, after, decision):
            raise Lost("a timer was not set")
        await store.sent(key, decision)
    watching = asyncio.create_task(Desk(store, heard, _no_directory, _now).watch())
    async with asyncio.timeout(TIMERS_OVER_S + 20):
        while len(heard.late_s) < TIMERS:
            await asyncio.sleep(0.05)
    watching.cancel()
    note = f"{TIMERS} timers that another process set, found by looking"
    return [
        Figure(PART, "a timer's delay", percentile(heard.late_s, each), "s", each, aim=AIM_LATE_S if each == 99 else None, note=note)
        for each in (50, 99)
    ]


def _no_directory() -> Directory:
    raise Lost("nothing is decided here")
