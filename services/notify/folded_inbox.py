"""The inbox of one group of pages: Away in a bucket of which it is not known that it holds what the log says."""

import asyncio
from collections.abc import Callable, Iterable
from uuid import UUID

from redis.asyncio import Redis

from services.runtime.buckets import prefix
from services.runtime.errors import Away
from services.runtime.fence import asking_folded, fenced
from services.runtime.inbox import BEGIN, HAVE_HANDLED, Inbox
from services.runtime.redis_link import reaching_redis
from services.runtime.scripts import Call, run, run_all

WHAT = "notify"
_FENCED_BEGIN = fenced(WHAT, BEGIN + "return begin(KEYS[1] .. ARGV[3], ARGV[1], ARGV[2])")


class FoldedInbox(Inbox):
    """Away until this process has caught up with the log too; `lost` is set where a bucket is found that is not folded."""

    def __init__(self, redis: Redis, group: str, *, has_caught_up: Callable[[], bool], lost: asyncio.Event) -> None:
        super().__init__(redis, group)
        self._has_caught_up, self._lost = has_caught_up, lost

    async def begin(self, message_id: UUID | str, key: str, beginning: str) -> int:
        if not self._has_caught_up():
            raise Away("redis", "the inbox is not folded yet")
        bucket = prefix(key)
        with asking_folded(self._lost):
            name = self._key(message_id, key).removeprefix(bucket)
            return int(await run(self._redis, _FENCED_BEGIN, bucket, beginning, self._kept_ms, name))

    async def handled_all(self, messages: Iterable[tuple[UUID, str]]) -> None:
        """Mark messages handled, by id and key, in one trip."""
        with reaching_redis():
            await run_all(self._redis, [Call(HAVE_HANDLED, self._key(*each), (self._kept_ms,)) for each in messages])
