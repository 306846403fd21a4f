"""The inbox of a reader: which messages it has handled, and how often it has begun one.

A beginning is counted before it is made, so that a message that kills its process is counted too."""

from datetime import timedelta
from uuid import UUID

from redis.asyncio import Redis

from services.runtime.buckets import prefix
from services.runtime.redis_link import reaching_redis
from services.runtime.scripts import Script, run

KEPT = timedelta(days=7)  # longer than any redelivery: a consumer group's offsets are kept as long
HANDLED = -1

# The beginnings are a set of names: one that is asked for again, because a Redis that hung gave no answer, is not counted twice.
BEGIN = """
local function begin(key, name, kept_ms)
  if redis.call('SISMEMBER', key, 'handled') == 1 then return -1 end
  redis.call('SADD', key, name)
  redis.call('PEXPIRE', key, kept_ms)
  return redis.call('SCARD', key)
end
"""
_BEGIN = Script(BEGIN + "return begin(KEYS[1], ARGV[1], ARGV[2])")
HAVE_HANDLED = Script("""
redis.call('DEL', KEYS[1])
redis.call('SADD', KEYS[1], 'handled')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
""")
_PARDON = Script("if redis.call('SISMEMBER', KEYS[1], 'handled') == 0 then redis.call('DEL', KEYS[1]) end")


class Inbox:
    """What one consumer group has handled, by message id, in the bucket of the message's key. Raises Away."""

    def __init__(self, redis: Redis, group: str) -> None:
        self._redis = redis
        self._group = group
        self._kept_ms = int(KEPT.total_seconds() * 1000)

    def _key(self, message_id: UUID | str, key: str) -> str:
        return f"{prefix(key)}:inbox:{self._group}:{message_id}"

    async def begin(self, message_id: UUID | str, key: str, beginning: str) -> int:
        """Count a beginning, by its name, and return the count, 1 for the first; HANDLED where it is done already."""
        with reaching_redis():
            return int(await run(self._redis, _BEGIN, self._key(message_id, key), beginning, self._kept_ms))

    async def pardon(self, message_id: UUID | str, key: str) -> None:
        """Forget the beginnings: what failed was not the message. What another has handled meanwhile stays handled."""
        with reaching_redis():
            await run(self._redis, _PARDON, self._key(message_id, key))

    async def handled(self, message_id: UUID | str, key: str) -> None:
        with reaching_redis():
            await run(self._redis, HAVE_HANDLED, self._key(message_id, key), self._kept_ms)
