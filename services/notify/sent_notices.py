"""Whose notice it was, in Redis, for a provider's later word: it knows only the notice's id.

P:notice:<id>   the origin as JSON, for seven days; P is the bucket of the notice id"""

from redis.asyncio import Redis

from contracts.ids import NoticeId
from services.notify.notice import Origin
from services.runtime.buckets import prefix
from services.runtime.inbox import KEPT
from services.runtime.redis_link import reaching_redis


class SentNotices:
    """Raises Away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def keep(self, origin: Origin) -> None:
        """Keep what a word about the notice has to name; call it before the notice goes out."""
        with reaching_redis():
            await self._redis.set(_key(origin.notice_id), origin.model_dump_json(), px=KEPT)

    async def find(self, notice_id: NoticeId) -> Origin | None:
        """Return it; None for a notice that was never handed over, or more than seven days ago."""
        with reaching_redis():
            held = await self._redis.get(_key(notice_id))
        return None if held is None else Origin.model_validate_json(held)


def _key(notice_id: NoticeId) -> str:
    return f"{prefix(str(notice_id))}:notice:{notice_id}"
