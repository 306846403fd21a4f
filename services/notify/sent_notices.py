"""Whose notice it was, for whom it spoke and whether it failed afterwards, in Redis: a provider's later word knows only the notice's id.

P is the bucket of the notice id; all is kept for seven days, and follows from deliveries.v1 (services.notify.refolding):

    P:notice:<id>         the origin as JSON
    P:notice:<id>:said    hash: the id of a notice that was not sent because this one said the same -> its origin as JSON
    P:notice:<id>:failed  it is known to have failed"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from redis.asyncio import Redis

from contracts.deliveries import NoticeEvent, NoticeFailed
from contracts.ids import NoticeId
from services.notify.folded_inbox import WHAT
from services.notify.notice import Origin, spoken_for_by
from services.runtime.buckets import prefix
from services.runtime.errors import Away
from services.runtime.fence import UNFOLDED, asking_folded, fenced, knowing_folded
from services.runtime.inbox import KEPT
from services.runtime.redis_link import reaching_redis
from services.runtime.scripts import Call, Script, run, run_all

# What is there is true whatever else was lost; that nothing is there is known only where the bucket reflects the log.
_FIND = knowing_folded(
    WHAT,
    f"""
local held = redis.call('GET', KEYS[1] .. ARGV[1])
if not held and not folded(KEYS[1]) then return redis.error_reply('{UNFOLDED} the bucket does not reflect the log yet') end
return held
""",
)
_KEEP = Script("redis.call('SET', KEYS[1] .. ARGV[1], ARGV[3], 'PX', ARGV[2])")
_SAID = """
redis.call('HSET', KEYS[1] .. ARGV[1] .. ':said', ARGV[3], ARGV[4])
redis.call('PEXPIRE', KEYS[1] .. ARGV[1] .. ':said', ARGV[2])
return 1
"""
_SPEAK_FOR = fenced(WHAT, "if redis.call('EXISTS', KEYS[1] .. ARGV[1] .. ':failed') == 1 then return 0 end" + _SAID)
_HAS_SPOKEN_FOR = Script(_SAID)
_FAILED = "redis.call('SET', KEYS[1] .. ARGV[1] .. ':failed', 1, 'PX', ARGV[2])"
_FAIL = fenced(WHAT, _FAILED + " return redis.call('HVALS', KEYS[1] .. ARGV[1] .. ':said')")
_HAS_FAILED = Script(_FAILED)


class SentNotices:
    """Raises Away. What it has not is known only when this process has caught up with the log; `lost` is set where a bucket is not folded."""

    def __init__(self, redis: Redis, *, has_caught_up: Callable[[], bool], lost: asyncio.Event) -> None:
        self._redis, self._has_caught_up, self._lost = redis, has_caught_up, lost

    async def keep(self, origin: Origin) -> None:
        """Keep what a word about the notice has to name."""
        with reaching_redis():
            await run_all(self._redis, [_call(_KEEP, origin.notice_id, origin.model_dump_json())])

    async def find(self, notice_id: NoticeId) -> Origin | None:
        """Return it; None for a notice that was never handed over, or more than seven days ago."""
        held = await self._ask(_call(_FIND, notice_id))
        if held is None and not self._has_caught_up():
            raise Away("redis", "the notices are not folded yet")
        return None if held is None else Origin.model_validate_json(held)

    async def speaks_for(self, notice_id: NoticeId, other: Origin) -> bool:
        """Note that another notice is not sent because this one says the same; False, and nothing noted, where this one failed since."""
        return bool(await self._ask(_call(_SPEAK_FOR, notice_id, str(other.notice_id), other.model_dump_json())))

    async def failed(self, notice_id: NoticeId) -> list[Origin]:
        """Note that a notice failed: from now on it speaks for no other. Return those for which it has spoken."""
        return [Origin.model_validate_json(each) for each in await self._ask(_call(_FAIL, notice_id))]

    async def _ask(self, call: Call) -> Any:
        with asking_folded(self._lost):
            return await run(self._redis, call.script, call.prefix, *call.arguments)

    async def fold(self, told: Iterable[tuple[Origin, NoticeEvent]]) -> None:
        """Bring back in one trip what follows from what was told of notices."""
        calls = list[Call]()
        for origin, event in told:
            if isinstance(event, NoticeFailed):
                calls.append(_call(_HAS_FAILED, origin.notice_id))
            if (by := spoken_for_by(event)) is not None:
                calls.append(_call(_HAS_SPOKEN_FOR, by, str(origin.notice_id), origin.model_dump_json()))
            else:
                calls.append(_call(_KEEP, origin.notice_id, origin.model_dump_json()))
        with reaching_redis():
            await run_all(self._redis, calls)


def _call(script: Script, notice_id: NoticeId, *more: str) -> Call:
    return Call(script, prefix(str(notice_id)), (f":notice:{notice_id}", int(KEPT.total_seconds() * 1000), *more))
