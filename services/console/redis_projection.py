"""Facts in Redis. Every write is a union in which the first of an id stands: nothing is read before it, and two projectors may write at once.

    P:console:upload:<upload>   hash: event id -> fact
    P:console:case:<case>       hash: event id -> fact, those that do not repeat
    P:console:pages:<case>      sorted set: facts of pages and refusals, by sequence, the newest 2,000
    P:console:paged:<case>      set: who was called for the case
    P:console:centre:<centre>   sorted set: the centre's newest 10,000 cases, by the time in ms at which they were last opened or handed to it
    P:console:person:<person>   sorted set: the newest 10,000 that a person has to do with, by the time in ms at which they first had
    P:console:readings:<centre>  sorted set: case and upload on the centre's reading list, by the time in ms by which they are to be read

What was read, or let go, stays in a reading list until it is next shown: whether a list or a reading is heard of first does not matter then. P is the
bucket of the id. What nobody said anything of for 30 days is forgotten; its events stay in Kafka.

That there is nothing is said only where a bucket is known to reflect the log (services.runtime.fence)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from contracts.cases import CommandRefused
from contracts.ids import CaseId, CentreId, EventId, PersonId, UploadId
from services.console.projection import Fact, Facts, Place
from services.runtime.buckets import prefix
from services.runtime.fence import asking_fenced, fenced, knowing_folded
from services.runtime.redis_link import reaching_redis
from services.runtime.scripts import Call, run, run_all

WHAT = "console"
KEPT = timedelta(days=30)
PAGES_AT_MOST = 2000
CASES_AT_MOST = 10_000
LATEST = 200

_UPLOAD = fenced(WHAT, "return redis.call('HVALS', KEYS[1] .. ':console:upload:' .. ARGV[1])")
# ARGV: the case, the index of the last of its newest pages.
_OF_CASE = """
local of = function(kind) return KEYS[1] .. ':console:' .. kind .. ':' .. ARGV[1] end
local facts, pages = redis.call('HVALS', of('case')), redis.call('ZRANGE', of('pages'), 0, ARGV[2], 'REV')
return {facts, pages, redis.call('SMEMBERS', of('paged')), folded(KEYS[1]) and 1 or 0}
"""
_CASE = fenced(WHAT, _OF_CASE)
_CASE_SO_FAR = knowing_folded(WHAT, _OF_CASE)
# ARGV: the list's kind, whose it is; then the highest score and where to begin and how many, or cases.
_LISTED = fenced(
    WHAT,
    "return redis.call('ZRANGE', KEYS[1] .. ':console:' .. ARGV[1] .. ':' .. ARGV[2], ARGV[3], '-inf', "
    "'BYSCORE', 'REV', 'LIMIT', ARGV[4], ARGV[5], 'WITHSCORES')",
)
_LISTED_AT = fenced(WHAT, "return redis.call('ZMSCORE', KEYS[1] .. ':console:' .. ARGV[1] .. ':' .. ARGV[2], unpack(ARGV, 3))")
_TO_READ = fenced(WHAT, "return redis.call('ZRANGE', KEYS[1] .. ':console:readings:' .. ARGV[1], ARGV[2], ARGV[3])")


@dataclass(frozen=True)
class Known:
    """What is known of a case: its facts, of those that repeat the newest so many, and whether older ones were left out."""

    facts: Facts
    cut: bool
    paged: frozenset[PersonId]
    is_whole: bool  # False: there may be more, or there may be one where nothing is known


@dataclass(frozen=True)
class CaseList:
    """A centre's list of cases, or a person's."""

    kind: Literal["centre", "person"]
    of: CentreId | PersonId


@dataclass(frozen=True, order=True)
class Listed:
    """A case in a list: cases are listed by a time in ms, then by id."""

    opened_ms: int
    case_id: str


class RedisProjection:
    """Raises Away, NotFolded where something that was asked for may be missing."""

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
        with asking_fenced():
            held: Any = await run(self._redis, _UPLOAD, prefix(str(upload_id)), str(upload_id))
        return _facts(held)

    async def cases(self, case_ids: Sequence[CaseId], *, pages: int) -> list[Known]:
        """Return what is known of each case, with so many of its newest pages."""
        with asking_fenced():
            answers = await run_all(self._redis, [Call(_CASE, prefix(str(each)), (str(each), pages - 1)) for each in case_ids])
        return [_known(answer, pages) for answer in answers]

    async def case_so_far(self, case_id: CaseId, *, pages: int) -> Known:
        """Return what is known of a case, be it whole or not."""
        with asking_fenced():
            return _known(await run(self._redis, _CASE_SO_FAR, prefix(str(case_id)), str(case_id), pages - 1), pages)

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

    async def listed(self, of: CaseList, before: Listed | None, limit: int) -> list[Listed]:
        """Return the cases of a list that stand behind `before`, newest first."""
        top: str | int = "+inf" if before is None else before.opened_ms
        found, start = list[Listed](), 0
        with asking_fenced():
            while len(found) < limit:
                page: Any = await run(self._redis, _LISTED, prefix(of.of), of.kind, of.of, top, start, limit)
                each = [Listed(int(float(ms)), case_id.decode()) for case_id, ms in zip(page[::2], page[1::2], strict=True)]
                found += [one for one in each if before is None or one < before]
                start += len(each)
                if len(each) < limit:
                    break
        return found[:limit]

    async def listed_at(self, lists: Sequence[CaseList], case_ids: Sequence[str]) -> list[int | None]:
        """Return for each case at what time it is listed, of several the last; None where it stands in none of the lists."""
        if not case_ids or not lists:
            return [None] * len(case_ids)
        with asking_fenced():
            answers = await run_all(self._redis, [Call(_LISTED_AT, prefix(each.of), (each.kind, each.of, *case_ids)) for each in lists])
        return [max((int(float(ms)) for ms in of_case if ms is not None), default=None) for of_case in zip(*answers, strict=True)]

    async def to_read(self, centre_id: CentreId, start: int, limit: int) -> list[tuple[CaseId, UploadId]]:
        """Return so many of the centre's reading list from the start-th on, the earliest deadline first; some may have been read."""
        with asking_fenced():
            page: Any = await run(self._redis, _TO_READ, prefix(centre_id), centre_id, start, start + limit - 1)
        pairs = (each.decode().split("/") for each in page)
        return [(CaseId(UUID(case_id)), UploadId(UUID(upload_id))) for case_id, upload_id in pairs]

    async def take_off_reading_list(self, centre_id: CentreId, done: Iterable[tuple[CaseId, UploadId]]) -> None:
        """Take what was read, let go or forgotten from the centre's reading list."""
        members = [_member(*each) for each in done]
        if members:
            with reaching_redis():
                await self._redis.zrem(_key("readings", centre_id), *members)

    async def put_on_reading_list(self, centre_id: CentreId, listed: Iterable[tuple[CaseId, UploadId, datetime]]) -> None:
        """Have uploads stand on the centre's reading list, each by the time by which it is to be read."""
        scores = {_member(case_id, upload_id): in_ms(read_by) for case_id, upload_id, read_by in listed}
        if scores:
            with reaching_redis():
                await self._redis.zadd(_key("readings", centre_id), scores, lt=True)

    async def forget(self, of: CaseList, case_ids: Sequence[str]) -> None:
        """Take cases out of a list whose facts are forgotten."""
        with reaching_redis():
            await self._redis.zrem(_key(of.kind, of.of), *case_ids)


def _add(pipeline: Pipeline, fact: Fact, place: Place, now: datetime) -> None:
    written = fact.model_dump_json(exclude_none=True)
    keys = [_key(place.of, place.id)]
    if place.repeating:
        keys.append(_key("pages", place.id))
        pipeline.zadd(keys[1], {written: fact.sequence or 0})
        pipeline.zremrangebyrank(keys[1], 0, -PAGES_AT_MOST - 1)
    else:
        pipeline.hsetnx(keys[0], str(fact.event_id), written)
    if place.paged is not None:
        keys.append(_key("paged", place.id))
        pipeline.sadd(keys[-1], place.paged)
    for key in keys:
        pipeline.pexpireat(key, fact.at + KEPT, nx=True)
        pipeline.pexpireat(key, fact.at + KEPT, gt=True)  # it only ever grows; by itself it would pass over a key that never expires
    if place.listed_at is not None:
        pipeline.zadd(_key("centre", place.listed_at), {str(place.id): in_ms(fact.at)}, gt=True)
        pipeline.zremrangebyrank(_key("centre", place.listed_at), 0, -CASES_AT_MOST - 1)
    if place.listed_for is not None:  # by the first time: who is paged again and again still turns its pages without a gap
        pipeline.zadd(_key("person", place.listed_for), {str(place.id): in_ms(fact.at)}, lt=True)
        pipeline.zremrangebyrank(_key("person", place.listed_for), 0, -CASES_AT_MOST - 1)
    if place.to_read is not None:
        key = _key("readings", place.to_read.centre_id)
        pipeline.zadd(key, {_member(CaseId(place.id), place.to_read.upload_id): in_ms(place.to_read.read_by)}, lt=True)
        pipeline.zremrangebyscore(key, "-inf", in_ms(now - KEPT))


def _member(case_id: CaseId, upload_id: UploadId) -> str:
    return f"{case_id}/{upload_id}"


def in_ms(at: datetime) -> int:
    """Return an instant as it is listed by: ms since 1970."""
    return int(at.timestamp() * 1000)


def _known(answer: Any, pages: int) -> Known:
    held, newest, paged, is_whole = answer
    return Known(_facts([*held, *newest]), len(newest) >= pages, frozenset(each.decode() for each in paged), bool(is_whole))


def _facts(written: Iterable[bytes]) -> Facts:
    facts = (Fact.model_validate_json(each) for each in written)
    return {fact.event_id: fact for fact in facts if fact.is_known}


def _key(kind: str, of: UUID | str) -> str:
    return f"{prefix(str(of))}:console:{kind}:{of}"
