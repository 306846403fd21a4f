"""Cases in Redis: state, inbox, outbox and timers of a case change in one script, or not at all.

What lies in a bucket, P being its prefix (services.runtime.buckets):

    P:case:<case>        hash: state (canonical JSON), sequence
    P:begun:<message>    set: the names of the beginnings of a message that is not handled yet
    P:handled:<case>     set: ids of the messages that it has heard
    P:outbox:<case>      list: its decisions that Kafka has not acknowledged, oldest first
    P:patient:<key>      the patient's live case
    P:upload:<upload>    the case that the upload belongs to
    P:due                sorted set: <case> <timer>, by the time in ms at which it is due, or its lease ends
    P:unsent             sorted set: cases with something in the outbox, by the time in ms at which it was put there

The scripts make key names from the prefix: they all lie in the slot of its hash tag."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from redis.asyncio import Redis

from contracts.ids import CaseId, EventId, PatientKey
from services.cases.outbox import Claimed, Entry, Loaded, Route
from services.cases.state import Case
from services.cases.timers import timers
from services.runtime.buckets import COUNT, prefix, prefix_of
from services.runtime.redis_link import reaching_redis

OUT_OF_MIND_AFTER = timedelta(days=8)  # a finished case; its events stay in Kafka for ever
UPLOAD_KNOWN_FOR = timedelta(days=90)  # as long as intake may be read again
LEASE = timedelta(seconds=15)
LEFT_BEHIND_AFTER = timedelta(seconds=2)  # an outbox that its writer should have sent by now
BEGINNINGS_KNOWN_MS = 7 * 24 * 60 * 60 * 1000
AT_MOST = 50

_LOAD = """
local p, message, upload, case, patient, fresh = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local of_upload = upload ~= '' and redis.call('GET', p .. ':upload:' .. upload)
if case == '' then case = of_upload or redis.call('GET', p .. ':patient:' .. patient) or fresh end
local state = redis.call('HGET', p .. ':case:' .. case, 'state')
local forgotten = of_upload and not state
local heard = (forgotten or redis.call('SISMEMBER', p .. ':handled:' .. case, message) == 1) and 1 or 0
local begun = 0
if ARGV[6] ~= '' and heard == 0 then
  for name in string.gmatch(ARGV[6], '%S+') do redis.call('SADD', p .. ':begun:' .. message, name) end
  redis.call('PEXPIRE', p .. ':begun:' .. message, ARGV[7])
  begun = redis.call('SCARD', p .. ':begun:' .. message)
end
return {
  case,
  state,
  heard,
  redis.call('LRANGE', p .. ':outbox:' .. case, 0, -1),
  begun,
}
"""

_STEP = """
local p, change = KEYS[1], cjson.decode(ARGV[1])
local state, entry = ARGV[2], ARGV[3]
local case = p .. ':case:' .. change.case
local handled = p .. ':handled:' .. change.case
local patient = p .. ':patient:' .. change.patient
if redis.call('SISMEMBER', handled, change.message) == 1 then return 'handled' end
if tonumber(redis.call('HGET', case, 'sequence') or '0') ~= change.expected then return 'overtaken' end
if change.expected == 0 then
  if change.live and redis.call('EXISTS', patient) == 1 then return 'overtaken' end
  for _, upload in ipairs(change.uploads) do
    if redis.call('EXISTS', p .. ':upload:' .. upload) == 1 then return 'overtaken' end
  end
end
redis.call('HSET', case, 'state', state, 'sequence', change.sequence)
redis.call('SADD', handled, change.message)
redis.call('DEL', p .. ':begun:' .. change.message)
redis.call('RPUSH', p .. ':outbox:' .. change.case, entry)
local time = redis.call('TIME')
redis.call('ZADD', p .. ':unsent', 'NX', time[1] * 1000 + math.floor(time[2] / 1000), change.case)
for _, upload in ipairs(change.uploads) do
  redis.call('SET', p .. ':upload:' .. upload, change.case, 'PX', change.upload_known_ms)
end
for _, timer in ipairs(change.dropped) do redis.call('ZREM', p .. ':due', timer) end
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, timer in ipairs(change.set) do redis.call('ZADD', p .. ':due', math.min(timer[2], now + timer[3]), timer[1]) end
if change.live then
  redis.call('SET', patient, change.case)
  redis.call('PERSIST', case)
  redis.call('PERSIST', handled)
else
  if redis.call('GET', patient) == change.case then redis.call('DEL', patient) end
  redis.call('PEXPIREAT', case, change.forget_at_ms)
  redis.call('PEXPIREAT', handled, change.forget_at_ms)
end
return 'done'
"""

_SENT = """
local p, case = KEYS[1], ARGV[1]
redis.call('LREM', p .. ':outbox:' .. case, 1, ARGV[2])
if redis.call('EXISTS', p .. ':outbox:' .. case) == 0 then redis.call('ZREM', p .. ':unsent', case) end
"""

_CLAIM = """
local p = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', p .. ':due', '-inf', now, 'LIMIT', 0, ARGV[3])
for _, timer in ipairs(due) do redis.call('ZADD', p .. ':due', 'XX', now + ARGV[1], timer) end
return {due, redis.call('ZRANGEBYSCORE', p .. ':unsent', '-inf', now - ARGV[2], 'LIMIT', 0, ARGV[3])}
"""


class RedisStore:
    """Raises Away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._load, self._step = redis.register_script(_LOAD), redis.register_script(_STEP)
        self._sent, self._claim = redis.register_script(_SENT), redis.register_script(_CLAIM)

    async def load(self, message_id: UUID, route: Route, *, beginnings: Sequence[str] = ()) -> Loaded:
        """Return the case that a message belongs to, whether it has heard it, and what of it has not reached Kafka.

        Beginnings that are named are counted, each once. An upload whose case is long finished and out of mind counts as heard: it was
        answered then."""
        upload_id, case_id, fresh = (str(each or "") for each in (route.upload_id, route.case_id, route.fresh))
        arguments = [str(message_id), upload_id, case_id, route.patient_key, fresh, " ".join(beginnings), str(BEGINNINGS_KNOWN_MS)]
        with reaching_redis():
            found, state, handled, outbox, begun = await self._load(keys=[prefix(route.patient_key)], args=arguments)
        found_id = CaseId(UUID(found.decode()))
        case = Case.model_validate_json(state) if state else Case(case_id=found_id, patient_key=route.patient_key)
        return Loaded(case, bool(handled), tuple(Entry(found_id, raw) for raw in outbox), int(begun))

    async def step(self, message_id: EventId, before: Case, after: Case, decision: Entry, at: datetime) -> bool:
        """Make the change whole; False where another was faster: load and decide again.

        A timer falls due when it says, and no later than as long from now as it is from `at`: a clock that runs ahead delays nothing."""
        old, new = timers(before), timers(after)
        known = {upload.upload_id for upload in before.uploads}
        last_ms = _ms(after.last_at) if after.last_at else 0
        change = {
            "case": str(after.case_id),
            "patient": after.patient_key,
            "message": str(message_id),
            "expected": before.sequence,
            "sequence": after.sequence,
            "uploads": [str(upload.upload_id) for upload in after.uploads if upload.upload_id not in known],
            "upload_known_ms": int(UPLOAD_KNOWN_FOR.total_seconds() * 1000),
            "dropped": [f"{after.case_id} {name}" for name in old.keys() - new.keys()],
            "set": [[f"{after.case_id} {name}", _ms(new[name].due_at), _ms(new[name].due_at) - _ms(at)] for name in new.keys() - old.keys()],
            "live": after.is_live,
            "forget_at_ms": last_ms + int(OUT_OF_MIND_AFTER.total_seconds() * 1000),
        }
        with reaching_redis():
            outcome = await self._step(keys=[prefix(after.patient_key)], args=[json.dumps(change), after.model_dump_json(), decision.raw])
        return bool(outcome == b"done")

    async def sent(self, patient_key: PatientKey, decision: Entry) -> None:
        """Take a decision out of the outbox: Kafka has it."""
        with reaching_redis():
            await self._sent(keys=[prefix(patient_key)], args=[str(decision.case_id), decision.raw])

    async def pardon(self, message_id: UUID | str, key: str) -> None:
        """Forget how often a message was begun: what failed was not the message."""
        with reaching_redis():
            await self._redis.delete(f"{prefix(key)}:begun:{message_id}")

    async def claim(self, buckets: Iterable[int] = range(COUNT)) -> list[Claimed]:
        """Return what is due or left behind in buckets; a timer that is claimed comes again after its lease, unless its case dropped it."""
        looked_at = list(buckets)
        arguments = [int(span.total_seconds() * 1000) for span in (LEASE, LEFT_BEHIND_AFTER)]
        with reaching_redis():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for bucket in looked_at:
                    await self._claim(keys=[prefix_of(bucket)], args=[*arguments, AT_MOST], client=pipeline)
                answers = await pipeline.execute()
        return [
            Claimed(bucket, tuple(_timer(member) for member in due), tuple(CaseId(UUID(case.decode())) for case in left))
            for bucket, (due, left) in zip(looked_at, answers, strict=True)
            if due or left
        ]

    async def case_in(self, bucket: int, case_id: CaseId) -> tuple[Case | None, tuple[Entry, ...]]:
        """Return a case of a bucket with its outbox; None where it is forgotten."""
        at = prefix_of(bucket)
        with reaching_redis():
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.hget(f"{at}:case:{case_id}", "state")
                pipeline.lrange(f"{at}:outbox:{case_id}", 0, -1)
                state, outbox = await pipeline.execute()
        return (Case.model_validate_json(state) if state else None), tuple(Entry(case_id, raw) for raw in outbox)

    async def drop(self, bucket: int, case_id: CaseId, timer: str) -> None:
        """Forget a timer that its case does not have any more."""
        with reaching_redis():
            await self._redis.zrem(f"{prefix_of(bucket)}:due", f"{case_id} {timer}")


def _timer(member: bytes) -> tuple[CaseId, str]:
    case_id, _, name = member.decode().partition(" ")
    return CaseId(UUID(case_id)), name


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
