"""Facts in Redis. Every write is a union in which the first of an id stands: nothing is read before it, and two projectors may write at once.

    P:console:upload:<upload>   hash: event id -> fact
    P:console:case:<case>       hash: event id -> fact, those that do not repeat
    P:console:pages:<case>      sorted set: facts of pages and refusals, by sequence, the newest 2,000
    P:console:centre:<centre>   sorted set: the centre's newest 10,000 cases, by the time in ms at which they were last opened or handed to it
    P:console:readings:<centre>  sorted set: case and upload on the centre's reading list, by the time in ms by which they are to be read

What was read stays in a reading list until it is next shown: whether a list or a reading is heard of first does not matter then. P is the
bucket of the id. What nobody said anything of for 30 days is forgotten; its events stay in Kafka."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from contracts.cases import CommandRefused
from contracts.ids import CaseId, CentreId, EventId, UploadId
from services.console.projection import Fact, Facts, Place
from services.runtime.buckets import prefix
from services.runtime.redis_link import reaching_redis

KEPT = timedelta(days=30)
PAGES_AT_MOST = 2000
CASES_AT_MOST = 10_000
LATEST = 200


@dataclass(frozen=True, order=True)
class Listed:
    """A case in a centre's list: cases are listed by when they were last opened or handed to the centre, in ms, then by id."""

    opened_ms: int
    case_id: str


class RedisProjection:
    """Raises Away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def add(self, found: Sequence[tuple[Fact, Sequence[Place]]], now: datetime) -> None:
        """Remember facts wherever each belongs; one that is older than what is kept is left out."""
        kept = [(fact, places) for fact, places in found if fact.at + KEPT > now]
        if not kept:
            return
        with reaching_redis():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for fact, places in kept:
                    for place in places:
                        _add(pipeline, fact, place, now)
                await pipeline.execute()

    async def upload(self, upload_id: UploadId) -> Facts:
        with reaching_redis():
            held: Any = await self._redis.hgetall(_key("upload", upload_id))
        return _facts(held.values())

    async def cases(self, case_ids: Sequence[CaseId], *, pages: int) -> list[tuple[Facts, bool]]:
        """Return for each case its facts, of those that repeat the newest so many, and whether older ones were left out."""
        with reaching_redis():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for case_id in case_ids:
                    pipeline.hgetall(_key("case", case_id))
                    pipeline.zrange(_key("pages", case_id), 0, pages - 1, desc=True)
                answers = await pipeline.execute()
        pairs = zip(answers[::2], answers[1::2], strict=True)
        return [(_facts([*held.values(), *newest]), len(newest) >= pages) for held, newest in pairs]

    async def outcome(self, case_id: CaseId, command_id: EventId, done_id: EventId) -> Fact | None:
        """Return what came of a command: the event that tells that it was done, or its refusal; None where neither is known yet."""
        with reaching_redis():
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.hget(_key("case", case_id), str(done_id))
                pipeline.zrange(_key("pages", case_id), 0, LATEST - 1, desc=True)
                done, pages = await pipeline.execute()
        if done is not None:
            return Fact.model_validate_json(done)
        refusals = (fact for fact in _facts(pages).values() if fact.type == CommandRefused.__name__ and fact.causation_id == command_id)
        return next(refusals, None)

    async def listed(self, centre_id: CentreId, before: Listed | None, limit: int) -> list[Listed]:
        """Return the centre's cases that stand behind `before`, newest first."""
        top: str | int = "+inf" if before is None else before.opened_ms
        found, start = list[Listed](), 0
        with reaching_redis():
            while len(found) < limit:
                key = _key("centre", centre_id)
                page: Any = await self._redis.zrange(key, top, "-inf", desc=True, byscore=True, offset=start, num=limit, withscores=True)
                each = [Listed(int(ms), case_id.decode()) for case_id, ms in page]
                found += [one for one in each if before is None or one < before]
                start += len(page)
                if len(page) < limit:
                    break
        return found[:limit]

    async def to_read(self, centre_id: CentreId, start: int, limit: int) -> list[tuple[CaseId, UploadId]]:
        """Return so many of the centre's reading list from the start-th on, the earliest deadline first; some may have been read."""
        with reaching_redis():
            page: Any = await self._redis.zrange(_key("readings", centre_id), start, start + limit - 1)
        pairs = (each.decode().split("/") for each in page)
        return [(CaseId(UUID(case_id)), UploadId(UUID(upload_id))) for case_id, upload_id in pairs]

    async def take_off_reading_list(self, centre_id: CentreId, read: Iterable[tuple[CaseId, UploadId]]) -> None:
        """Take what was read, or is forgotten, from the centre's reading list."""
        members = [_member(*each) for each in read]
        if members:
            with reaching_redis():
                await self._redis.zrem(_key("readings", centre_id), *members)

    async def forget(self, centre_id: CentreId, case_ids: Sequence[str]) -> None:
        """Take cases out of a list whose facts are forgotten."""
        with reaching_redis():
            await self._redis.zrem(_key("centre", centre_id), *case_ids)


def _add(pipeline: Pipeline, fact: Fact, place: Place, now: datetime) -> None:
    written = fact.model_dump_json(exclude_none=True)
    keys = [_key(place.of, place.id)]
    if place.repeating:
        keys.append(_key("pages", place.id))
        pipeline.zadd(keys[1], {written: fact.sequence or 0})
        pipeline.zremrangebyrank(keys[1], 0, -PAGES_AT_MOST - 1)
    else:
        pipeline.hsetnx(keys[0], str(fact.event_id), written)
    for key in keys:
        pipeline.pexpireat(key, fact.at + KEPT, nx=True)
        pipeline.pexpireat(key, fact.at + KEPT, gt=True)  # it only ever grows; by itself it would pass over a key that never expires
    if place.listed_at is not None:
        pipeline.zadd(_key("centre", place.listed_at), {str(place.id): in_ms(fact.at)}, gt=True)
        pipeline.zremrangebyrank(_key("centre", place.listed_at), 0, -CASES_AT_MOST - 1)
    if place.to_read is not None:
        key = _key("readings", place.to_read.centre_id)
        pipeline.zadd(key, {_member(CaseId(place.id), place.to_read.upload_id): in_ms(place.to_read.read_by)}, lt=True)
        pipeline.zremrangebyscore(key, "-inf", in_ms(now - KEPT))


def _member(case_id: CaseId, upload_id: UploadId) -> str:
    return f"{case_id}/{upload_id}"


def in_ms(at: datetime) -> int:
    """Return an instant as it is listed by: ms since 1970."""
    return int(at.timestamp() * 1000)


def _facts(written: Iterable[bytes]) -> Facts:
    facts = (Fact.model_validate_json(each) for each in written)
    return {fact.event_id: fact for fact in facts if fact.is_known}


def _key(kind: str, of: UUID | str) -> str:
    return f"{prefix(str(of))}:console:{kind}:{of}"
