"""The inbox of a reader: which messages it has handled, and how often it has begun one.

A beginning is counted before it is made, so that a message that kills its process is counted too."""

from datetime import timedelta
from uuid import UUID

from redis.asyncio import Redis

from services.runtime.buckets import prefix
from services.runtime.redis_link import reaching_redis

KEPT = timedelta(days=7)  # longer than any redelivery: a consumer group's offsets are kept as long
HANDLED = -1

_BEGIN = """
local state = redis.call('GET', KEYS[1])
if state == 'handled' then return -1 end
local begun = redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return begun
"""


_PARDON = "if redis.call('GET', KEYS[1]) ~= 'handled' then redis.call('DEL', KEYS[1]) end"


class Inbox:
    """What one consumer group has handled, by message id, in the bucket of the message's key. Raises Away."""

    def __init__(self, redis: Redis, group: str) -> None:
        self._redis = redis
        self._group = group
        self._begin, self._pardon = redis.register_script(_BEGIN), redis.register_script(_PARDON)
        self._kept_ms = int(KEPT.total_seconds() * 1000)

    def _key(self, message_id: UUID | str, key: str) -> str:
        return f"{prefix(key)}:inbox:{self._group}:{message_id}"

    async def begin(self, message_id: UUID | str, key: str) -> int:
        """Count a beginning and return the count, 1 for the first; HANDLED where it is done already."""
        with reaching_redis():
            return int(await self._begin(keys=[self._key(message_id, key)], args=[self._kept_ms]))

    async def pardon(self, message_id: UUID | str, key: str) -> None:
        """Forget the beginnings: what failed was not the message. What another has handled meanwhile stays handled."""
        with reaching_redis():
            await self._pardon(keys=[self._key(message_id, key)])

    async def handled(self, message_id: UUID | str, key: str) -> None:
        with reaching_redis():
            await self._redis.set(self._key(message_id, key), "handled", px=self._kept_ms)
