"""An inbox that answers only where it holds what the log says: a Redis that was emptied, or put back from an older copy, is known by its fence.

    P:notify:folded          hash: `run`, the server's run in which the bucket's inboxes were folded; `to`, the offsets that they reflect
    P:notify:folding:<name>  the run in which this folding of the bucket began

A server that starts anew has another run id; one that is emptied loses the key."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from uuid import UUID

from pydantic import TypeAdapter
from redis.asyncio import Redis

from services.runtime.buckets import bucket_of, prefix_of
from services.runtime.errors import Away
from services.runtime.inbox import BEGIN, Inbox
from services.runtime.redis_link import reaching_redis

FOLDS_WITHIN = timedelta(hours=1)
NOT_FOLDED = -2

_RUN = "local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')\n"
_HOLDS = f"{_RUN} return redis.call('HGET', KEYS[1], 'run') == run"
_FENCED_BEGIN = f"{_RUN} if redis.call('HGET', KEYS[2], 'run') ~= run then return {NOT_FOLDED} end\n{BEGIN}"
_BEGIN_FOLDING = f"""{_RUN}
redis.call('SET', KEYS[2], run, 'PX', ARGV[1])
return redis.call('HGET', KEYS[1], 'to')
"""
_END_FOLDING = f"""{_RUN}
if redis.call('GET', KEYS[2]) ~= run then return false end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'run', run, 'to', ARGV[1])
return true
"""

Offsets = Mapping[int, int]  # of each partition of deliveries.v1: the next that is not reflected
_OFFSETS = TypeAdapter(dict[int, int])


class Fence:
    """Of each bucket: whether its inboxes hold what the log says. Raises Away."""

    def __init__(self, redis: Redis) -> None:
        self._holds, self._begin, self._end = (redis.register_script(script) for script in (_HOLDS, _BEGIN_FOLDING, _END_FOLDING))

    async def holds(self, bucket: int) -> bool:
        with reaching_redis():
            return bool(await self._holds(keys=[fence_of(bucket)]))

    async def begin(self, bucket: int, name: str) -> Offsets:
        """Begin a folding, which has a name of its own; return what the bucket reflects by now."""
        with reaching_redis():
            held = await self._begin(keys=self._keys(bucket, name), args=[int(FOLDS_WITHIN.total_seconds() * 1000)])
        return _OFFSETS.validate_json(held) if held else {}

    async def end(self, bucket: int, name: str, to: Offsets) -> bool:
        """End a folding; False where Redis was lost since it began: what was folded may be lost with it."""
        with reaching_redis():
            return bool(await self._end(keys=self._keys(bucket, name), args=[_OFFSETS.dump_json(dict(to))]))

    def _keys(self, bucket: int, name: str) -> list[str]:
        return [fence_of(bucket), f"{prefix_of(bucket)}:notify:folding:{name}"]


class FoldedInbox(Inbox):
    """The inbox of one group of pages. Away until it is folded; on_lost hears of each time that it is found not to be."""

    def __init__(self, redis: Redis, group: str, *, is_folded: Callable[[], bool], on_lost: Callable[[], None]) -> None:
        super().__init__(redis, group)
        self._fenced_begin = redis.register_script(_FENCED_BEGIN)
        self._is_folded, self._on_lost = is_folded, on_lost

    async def begin(self, message_id: UUID | str, key: str, beginning: str) -> int:
        keys = [self._key(message_id, key), fence_of(bucket_of(key))]
        if self._is_folded():
            with reaching_redis():
                begun = int(await self._fenced_begin(keys=keys, args=[beginning, self._kept_ms]))
            if begun != NOT_FOLDED:
                return begun
            self._on_lost()
        raise Away("redis", "the inbox is not folded yet")

    async def handled_all(self, messages: Iterable[tuple[UUID, str]]) -> None:
        """Mark messages handled, by id and key, in one trip."""
        with reaching_redis():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for message_id, key in messages:
                    name = self._key(message_id, key)
                    pipeline.sadd(name, "handled")
                    pipeline.pexpire(name, self._kept_ms)
                await pipeline.execute()


def fence_of(bucket: int) -> str:
    return f"{prefix_of(bucket)}:notify:folded"
