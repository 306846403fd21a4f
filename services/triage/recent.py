"""The patients' recent ECGs, in Redis: what a new one is compared with. A projection of the assessments; losing it loses only the comparison.

    P:recent:order:<patient>   sorted set: upload ids, by the time in ms at which they were received
    P:recent:ecgs:<patient>    hash: upload id -> what its assessment left, as JSON

P is the bucket of the patient key. Four are kept, for seven days. The first of an upload stands: the same assessment again, or assessments
in another order, change nothing."""

from typing import Any

from pydantic import ValidationError
from redis.asyncio import Redis
from structlog import get_logger

from contracts.assessments import Assessed
from contracts.ids import PatientKey
from services.runtime.buckets import prefix
from services.runtime.redis_link import reaching_redis
from services.runtime.scripts import Script, run
from services.triage.earlier import KEPT, EarlierEcg, left_by

AT_MOST = 4

_ADD = Script("""
local order, ecgs, upload = KEYS[1] .. ':order:' .. ARGV[6], KEYS[1] .. ':ecgs:' .. ARGV[6], ARGV[1]
redis.call('HSETNX', ecgs, upload, ARGV[2])
redis.call('ZADD', order, 'NX', ARGV[3], upload)
local beyond = -1 - tonumber(ARGV[4])
for _, old in ipairs(redis.call('ZRANGE', order, 0, beyond)) do redis.call('HDEL', ecgs, old) end
redis.call('ZREMRANGEBYRANK', order, 0, beyond)
local forget_at = tonumber(redis.call('ZRANGE', order, -1, -1, 'WITHSCORES')[2]) + ARGV[5]
redis.call('PEXPIREAT', order, forget_at)
redis.call('PEXPIREAT', ecgs, forget_at)
""")

log = get_logger()


class RecentEcgs:
    """Raises Away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._kept_ms = int(KEPT.total_seconds() * 1000)

    async def add(self, assessed: Assessed) -> None:
        """Keep what an assessment leaves for the patient's next ECG: nothing of one that is too old, or of which too little is sure."""
        left = left_by(assessed)
        if left is None:
            return
        patient, received_ms = assessed.patient_key, int(left.received_at.timestamp() * 1000)
        with reaching_redis():
            what = (str(left.upload_id), left.model_dump_json(), received_ms, AT_MOST, self._kept_ms, patient)
            await run(self._redis, _ADD, f"{prefix(patient)}:recent", *what)

    async def of(self, patient: PatientKey) -> tuple[EarlierEcg, ...]:
        """Return what is kept of a patient's ECGs, in no order; one that cannot be read is logged and left out."""
        with reaching_redis():
            held: Any = await self._redis.hvals(_keys(patient)[1])
        found = []
        for each in held:
            try:
                found.append(EarlierEcg.model_validate_json(each))
            except ValidationError:
                log.warning("an earlier ECG cannot be read: nothing is compared with it")
        return tuple(found)


def _keys(patient: PatientKey) -> tuple[str, str]:
    return f"{prefix(patient)}:recent:order:{patient}", f"{prefix(patient)}:recent:ecgs:{patient}"
