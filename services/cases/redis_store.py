"""Cases in Redis, as the desk needs them: state, inbox, outbox and timers of a case change in one script, or not at all.

What lies where, and the scripts: services.cases.redis_scripts."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from structlog import get_logger

from contracts.ids import CaseId, EventId, PatientKey
from services.cases import redis_scripts as scripts
from services.cases.fold import OUT_OF_MIND_AFTER
from services.cases.outbox import Claimed, Entry, Loaded, Route
from services.cases.state import Case
from services.cases.timers import FAR_AHEAD, timers
from services.cases.unreadable import StateUnreadable, read_state
from services.runtime.buckets import COUNT, prefix, prefix_of
from services.runtime.errors import Away
from services.runtime.fence import asking_folded
from services.runtime.scripts import Call, run, run_all

UPLOAD_KNOWN_FOR = timedelta(days=90)  # as long as intake may be read again
LEASE = timedelta(seconds=15)
LEFT_BEHIND_AFTER = timedelta(seconds=2)  # an outbox that its writer should have sent by now
BEGINNINGS_KNOWN_MS = 7 * 24 * 60 * 60 * 1000
CLOCKS_DIFFER_BY_MS = 2000  # what is later is either a clock that is behind, or a step that took so long
AHEAD_AT_MOST_MS = 15 * 60 * 1000  # of any timer that is not FAR_AHEAD: a step of a policy waits ten minutes at most
AT_MOST = 50

log = get_logger()

_compact = json.JSONEncoder(separators=(",", ":")).encode


class RedisStore:
    """Raises Away, also for a bucket that does not reflect the log yet; `refused` is set then, for whoever folds.

    A case whose state cannot be read is noted in `unreadable`, with its patient's key, and `refused` is set: it is folded from the log, and what a
    message is loaded for waits for that."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.refused = asyncio.Event()
        self.unreadable: dict[str, str] = {}

    async def load(self, message_id: UUID, route: Route, *, beginnings: Sequence[str] = ()) -> Loaded:
        """Return the case that a message belongs to, whether it has heard it, and what of it has not reached Kafka.

        Beginnings that are named are counted, each once. An upload whose case is long finished and out of mind counts as heard: it was
        answered then."""
        upload_id, case_id, fresh = (str(each or "") for each in (route.upload_id, route.case_id, route.fresh))
        arguments: list[str | int] = [str(message_id), upload_id, case_id, route.patient_key, fresh, " ".join(beginnings), BEGINNINGS_KNOWN_MS]
        with asking_folded(self.refused):
            found, state, handled, outbox, begun = await run(self._redis, scripts.LOAD, prefix(route.patient_key), *arguments)
        found_id = CaseId(UUID(found.decode()))
        try:
            case = read_state(found_id, state) if state else Case(case_id=found_id, patient_key=route.patient_key)
        except StateUnreadable as unreadable:
            self._have_folded(found_id, route.patient_key)
            raise Away("redis", f"case {found_id} is folded from the log, for its state cannot be read") from unreadable
        return Loaded(case, bool(handled), tuple(Entry(found_id, raw) for raw in outbox), int(begun))

    async def step(self, message_id: EventId, before: Case, after: Case, decision: Entry) -> bool:
        """Make the change whole; False where another was faster: load and decide again.

        A timer falls due when it says, and no later than as long from now as it is from the case's own time, which goes by whoever's clock is
        furthest ahead of those that it was decided by: a clock that runs ahead delays nothing, for others either. Nor does one that is behind
        hurry anything: where the case's own time is CLOCKS_DIFFER_BY_MS ago, it is as long from now."""
        known = {upload.upload_id for upload in before.uploads}
        known_ms = int(UPLOAD_KNOWN_FOR.total_seconds() * 1000)
        uploads = [(str(upload.upload_id), known_ms) for upload in after.uploads if upload.upload_id not in known]
        change = change_of(before, after, {str(message_id): decision.recorded}, uploads)
        with asking_folded(self.refused):
            outcome = await run(
                self._redis, scripts.STEP, prefix(after.patient_key), change, after.model_dump_json(), decision.raw, CLOCKS_DIFFER_BY_MS
            )
        return bool(outcome == b"done")

    async def sent(self, patient_key: PatientKey, decision: Entry) -> None:
        """Take a decision out of the outbox: Kafka has it."""
        with asking_folded(self.refused):
            await run(self._redis, scripts.SENT, prefix(patient_key), str(decision.case_id), decision.raw)

    async def pardon(self, message_id: UUID | str, key: str) -> None:
        """Forget how often a message was begun: what failed was not the message."""
        with asking_folded(self.refused):
            await self._redis.delete(f"{prefix(key)}:begun:{message_id}")

    async def claim(self, buckets: Iterable[int] = range(COUNT)) -> list[Claimed]:
        """Return what is due or left behind in buckets; a timer that is claimed comes again after its lease, unless its case dropped it.

        A bucket that does not reflect the log yet gives nothing."""
        looked_at = list(buckets)
        arguments = [*(int(span.total_seconds() * 1000) for span in (LEASE, LEFT_BEHIND_AFTER)), AT_MOST]
        with asking_folded(self.refused):
            answers = await run_all(self._redis, [Call(scripts.CLAIM, prefix_of(bucket), arguments) for bucket in looked_at])
        claimed = list[Claimed]()
        for bucket, answer in zip(looked_at, answers, strict=True):
            if answer is None:
                self.refused.set()
                continue
            due, left = answer
            if due or left:
                claimed.append(Claimed(bucket, tuple(_timer(member) for member in due), tuple(CaseId(UUID(case.decode())) for case in left)))
        return claimed

    async def hurry(self, bucket: int) -> None:
        """Have due at once what lies further ahead than it may: this Redis's clock was put back since, and nobody would be paged till then."""
        kinds = "".join(f"<{kind}>" for kind in FAR_AHEAD)
        with asking_folded(self.refused):
            hurried = await run(self._redis, scripts.HURRY, prefix_of(bucket), AHEAD_AT_MOST_MS, kinds)
        if hurried:
            log.warning("timers lay further ahead than any may: the clock of Redis was put back; they are due now", bucket=bucket, timers=hurried)

    async def case_in(self, bucket: int, case_id: CaseId) -> Case | None:
        """Return a case of a bucket; None where it is forgotten. Raises StateUnreadable."""
        with asking_folded(self.refused):
            state = await run(self._redis, scripts.CASE_IN, prefix_of(bucket), str(case_id))
        try:
            return read_state(case_id, state) if state else None
        except StateUnreadable as unreadable:
            if unreadable.patient_key is not None:
                self._have_folded(case_id, unreadable.patient_key)
            raise

    async def outbox_in(self, bucket: int, case_id: CaseId) -> tuple[Entry, ...]:
        """Return the outbox of a case of a bucket, be its state as it may."""
        with asking_folded(self.refused):
            return tuple(Entry(case_id, raw) for raw in await run(self._redis, scripts.OUTBOX_IN, prefix_of(bucket), str(case_id)))

    async def drop(self, bucket: int, case_id: CaseId, timer: str) -> None:
        """Forget a timer that its case does not have any more."""
        with asking_folded(self.refused):
            await run(self._redis, scripts.DROP, prefix_of(bucket), f"{case_id} {timer}")

    def _have_folded(self, case_id: CaseId, key: PatientKey) -> None:
        self.unreadable[str(case_id)] = key
        self.refused.set()


def change_of(before: Case, after: Case, heard: Mapping[str, str], uploads: Sequence[tuple[str, int]], **more: Any) -> str:
    """Return what a script is told of a change, as JSON: see scripts.STEP and scripts.WRITE. heard: messages, and when the decision about each
    was recorded. uploads: ids, and how long each is known, in ms."""
    old, new = timers(before), timers(after)
    last_ms = in_ms(after.last_at) if after.last_at else 0
    change: dict[str, Any] = {
        "case": str(after.case_id),
        "patient": after.patient_key,
        "messages": list(heard.items()),
        "expected": before.sequence,
        "sequence": after.sequence,
        "uploads": uploads,
        "dropped": [f"{after.case_id} {name}" for name in old.keys() - new.keys()],
        "set": [(f"{after.case_id} {name}", in_ms(new[name].due_at), in_ms(new[name].due_at) - last_ms) for name in new.keys() - old.keys()],
        "live": after.is_live,
        "at_ms": last_ms,
        "forget_at_ms": last_ms + int(OUT_OF_MIND_AFTER.total_seconds() * 1000),
    }
    return _compact(change | more)


def in_ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _timer(member: bytes) -> tuple[CaseId, str]:
    case_id, _, name = member.decode().partition(" ")
    return CaseId(UUID(case_id)), name
