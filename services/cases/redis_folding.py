"""Cases in Redis, as who folds the log needs them: which buckets do not reflect it, and the writes that bring them there."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from contracts.ids import CaseId
from services.cases import redis_scripts as scripts
from services.cases.fold import Decision, Held, held, is_out_of_mind
from services.cases.folding import FoldBroken, Guards, Kept, KnownUpload, Part, Surveyed
from services.cases.outbox import Entry
from services.cases.redis_store import UPLOAD_KNOWN_FOR, change_of, in_ms
from services.cases.state import Case
from services.cases.timers import timers
from services.cases.unreadable import StateUnreadable, read_state
from services.runtime.buckets import bucket_of, prefix, prefix_of
from services.runtime.fence import UNFOLDED, Fence
from services.runtime.redis_link import reaching_redis
from services.runtime.scripts import Call, run_all

SCANNED_AT_ONCE = 1000
IN_A_PART = 5000


class RedisFolding:
    """Raises Away, and FoldBroken where a bucket does not say of itself what a guard asks."""

    def __init__(self, redis: Redis) -> None:
        self._redis, self._fence = redis, Fence(redis, scripts.WHAT)

    async def survey(self) -> list[Surveyed]:
        return [
            Surveyed(each.number, each.server, each.is_folded, {int(of): offset for of, offset in each.reflects.items()})
            for each in await self._fence.survey()
        ]

    async def begin(self, servers: Mapping[int, str], guard: str) -> list[int]:
        """Take buckets that are not folded, each on the server on which it was found so; return those that were taken."""
        return await self._fence.take(servers, guard)

    async def heard(self, of_cases: Sequence[Sequence[Decision]]) -> list[bool]:
        """Return for decisions, those of one case each, whether it has heard them all and nothing of it is in the outbox."""
        calls = [
            Call(scripts.HEARD, prefix(each[0].key), (each[0].case_id, *(told for one in each for told in (one.cause, one.recorded))))
            for each in of_cases
        ]
        with reaching_redis():
            return [bool(answer) for answer in await run_all(self._redis, calls)]

    async def look(self, asked: Sequence[tuple[str, str]]) -> list[Held]:
        """Return cases as they lie, by id and patient key; one whose state cannot be read is torn."""
        with reaching_redis():
            answers = await run_all(self._redis, [Call(scripts.LOOK, prefix(key), (case_id,)) for case_id, key in asked])
        return [_held(case_id, key, *answer) for (case_id, key), answer in zip(asked, answers, strict=True)]

    async def write(self, changed: Sequence[Held], guards: Guards, now: datetime) -> list[bool]:
        """Write cases as the log makes them; False for one that was stepped since it was looked at. Raises FoldBroken."""
        calls = [_write_of(each, guards[bucket_of(each.state.patient_key)], now) for each in changed]
        return await self._written(calls)

    async def restore(self, part: Part, guards: Guards, now: datetime) -> None:
        """Write what belongs to guarded buckets, where nothing of it is there. Raises FoldBroken."""
        calls = []
        for each in part.cases:
            state, bucket = each.state, bucket_of(each.state.patient_key)
            if bucket in guards and not is_out_of_mind(state, now):
                nothing = Case(case_id=state.case_id, patient_key=state.patient_key)
                outbox = [entry.raw.decode() for entry in each.outbox]
                change = change_of(nothing, state, each.inbox, (), outbox=outbox)
                calls.append(Call(scripts.WRITE, prefix_of(bucket), (guards[bucket], change, state.model_dump_json())))
        of_buckets = dict[int, list[str | int]]()
        for upload in part.uploads:
            if upload.bucket in guards and upload.until_ms > in_ms(now):
                of_buckets.setdefault(upload.bucket, []).extend((upload.upload_id, upload.case_id, upload.until_ms))
        calls += [Call(scripts.REMEMBER, prefix_of(bucket), (guards[bucket], *told)) for bucket, told in of_buckets.items()]
        await self._written(calls)

    async def parts(self) -> AsyncIterator[Part]:
        """Return all that is there, each case whole. Raises FoldBroken where a bucket is not folded, StateUnreadable."""
        asked, uploads = dict[int, list[str]](), dict[int, list[str]]()
        with reaching_redis():
            async for key in self._redis.scan_iter(match="gc:{b*}:[cu]*:*", count=SCANNED_AT_ONCE):
                of_bucket, kind, name = key.decode().split(":", 3)[1:]
                of_kind = {"case": asked, "upload": uploads}.get(kind)
                if of_kind is not None:
                    of_kind.setdefault(int(of_bucket[2:5]), []).append(name)
                if sum(map(len, asked.values())) + sum(map(len, uploads.values())) >= IN_A_PART:
                    yield await self._part(asked, uploads)
                    asked, uploads = {}, {}
            yield await self._part(asked, uploads)

    async def _part(self, cases: Mapping[int, Sequence[str]], uploads: Mapping[int, Sequence[str]]) -> Part:
        calls = [Call(scripts.WHOLE, prefix_of(bucket), case_ids) for bucket, case_ids in cases.items()]
        calls += [Call(scripts.KNOWN, prefix_of(bucket), upload_ids) for bucket, upload_ids in uploads.items()]
        try:
            answers = await run_all(self._redis, calls)
        except ResponseError as error:
            if str(error).startswith(UNFOLDED):
                raise FoldBroken("not folded") from error
            raise
        kept, known = list[Kept](), list[KnownUpload]()
        for case_ids, answer in zip(cases.values(), answers, strict=False):
            for case_id, (state, inbox, outbox) in zip(case_ids, answer, strict=True):
                if state is not None:
                    of_case = CaseId(UUID(case_id))
                    entries = tuple(Entry(of_case, raw) for raw in outbox)
                    kept.append(Kept(read_state(of_case, state), _by_message(inbox), entries))
        for (bucket, upload_ids), answer in zip(uploads.items(), answers[len(cases) :], strict=True):
            for upload_id, (case_id, until_ms) in zip(upload_ids, answer, strict=True):
                if case_id is not None:
                    known.append(KnownUpload(bucket, upload_id, case_id.decode(), until_ms))
        return Part(tuple(kept), tuple(known))

    async def _written(self, calls: Sequence[Call]) -> list[bool]:
        with reaching_redis():
            answers = await run_all(self._redis, calls)
        for call, answer in zip(calls, answers, strict=True):
            if answer == b"refused":
                raise FoldBroken(call.prefix)
        return [answer == b"done" for answer in answers]

    async def finish(self, servers: Mapping[int, str], guard: str, reflects: Mapping[int, int]) -> None:
        """Say of buckets that they reflect the log, on the servers on which that began. Raises FoldBroken where one is another by now."""
        if lost := await self._fence.finish({bucket: (server, guard) for bucket, server in servers.items()}, _named(reflects)):
            raise FoldBroken(prefix_of(lost[0]))

    async def advance(self, reflects: Mapping[int, int]) -> None:
        """Say of every bucket up to where it reflects the log. Raises FoldBroken where one is not folded."""
        if lost := await self._fence.advance(_named(reflects)):
            raise FoldBroken(prefix_of(lost[0]))

    async def unfold(self, bucket: int, reflects: Mapping[int, int] | None = None) -> None:
        """Let a bucket be folded: from what it reflected last, or from offsets that are given."""
        await self._fence.unfold(bucket, _named(reflects or {}))

    async def clear(self) -> int:
        """Forget every case, and what belongs to cases; return how many keys that were. Hold the lease of who folds meanwhile."""
        cleared = 0
        with reaching_redis():
            async with self._redis.pipeline(transaction=False) as pipeline:
                async for key in self._redis.scan_iter(match="gc:{b*}:*", count=SCANNED_AT_ONCE):
                    if key.split(b":", 3)[2] in scripts.OF_CASES:
                        cleared += 1
                        pipeline.unlink(key)
                        if len(pipeline) >= SCANNED_AT_ONCE:
                            await pipeline.execute()
                await pipeline.execute()
        return cleared

    async def due(self, bucket: int) -> dict[str, dict[str, int | None]]:
        """Return a bucket's timers, by case and name: when they are due, in ms; None for one that was claimed."""
        found = dict[str, dict[str, int | None]]()
        with reaching_redis():
            waiting = await self._redis.zrange(f"{prefix_of(bucket)}:due", 0, -1, withscores=True)
            leased = await self._redis.zrange(f"{prefix_of(bucket)}:leased", 0, -1)
        for member, at_ms in [*waiting, *((member, None) for member in leased)]:
            case_id, _, name = member.decode().partition(" ")
            found.setdefault(case_id, {})[name] = None if at_ms is None else int(at_ms)
        return found

    async def case_ids(self) -> AsyncIterator[str]:
        """Return every case, some perhaps more than once."""
        with reaching_redis():
            async for key in self._redis.scan_iter(match="gc:{b*}:case:*", count=SCANNED_AT_ONCE):
                yield key.decode().rpartition(":")[2]


def _named(reflects: Mapping[int, int]) -> dict[str, int]:
    return {str(of): offset for of, offset in reflects.items()}


def _held(case_id: str, key: str, state: bytes | None, sequence: bytes | None, inbox: Sequence[bytes], outbox: Iterable[bytes]) -> Held:
    of_case = CaseId(UUID(case_id))
    try:
        case, is_torn = read_state(of_case, state) if state else None, False
    except StateUnreadable:
        case, is_torn = Case(case_id=of_case, patient_key=key, sequence=int(sequence or 0)), True
    found = held(case_id, key, case, _by_message(inbox), [Entry(of_case, raw) for raw in outbox])
    found.is_torn = is_torn
    return found


def _by_message(told: Sequence[bytes]) -> dict[str, str]:
    """Return what HGETALL answers, in order of the messages: what is written from it is then the same each time."""
    return dict(sorted(zip((each.decode() for each in told[::2]), (each.decode() for each in told[1::2]), strict=True)))


def _write_of(of: Held, guard: str, now: datetime) -> Call:
    state = of.state
    heard = {cause: of.inbox[cause] for cause in of.heard}
    recorded_at = datetime.fromisoformat(of.inbox[of.heard[-1]]) if of.heard else now
    before = Case(case_id=state.case_id, patient_key=state.patient_key) if of.is_anew else of.stored
    of_its_earlier_self = {"dropped": [f"{state.case_id} {name}" for name in timers(of.stored)]} if of.is_anew else {}
    uploads = _uploads(before, state, recorded_at, now)
    change = change_of(before, state, heard, uploads, expected=of.stored.sequence, anew=of.is_anew, outbox=(), **of_its_earlier_self)
    written = "" if not of.stored.sequence and is_out_of_mind(state, now) else state.model_dump_json()
    return Call(scripts.WRITE, prefix(state.patient_key), (guard, change, written, *(entry.raw for entry in of.proven)))


def _uploads(before: Case, after: Case, recorded_at: datetime, now: datetime) -> list[tuple[str, int]]:
    """Return the uploads that are new, each with how long it is still known, in ms."""
    known, left_ms = {upload.upload_id for upload in before.uploads}, in_ms(recorded_at + UPLOAD_KNOWN_FOR) - in_ms(now)
    return [(str(upload.upload_id), left_ms) for upload in after.uploads if upload.upload_id not in known and left_ms > 0]
