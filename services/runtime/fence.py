"""The fence before what lies in Redis: nothing is read or decided in a bucket of which it is not known that it reflects the log.

A Redis may be emptied, come back with an older copy of itself, or be replaced by a replica that had not heard everything. Whatever happened, the
server is another process then, or the bucket is empty: so each bucket names the server, by its run id, on which it was last brought up to the log,
and each script compares the name with the server that it runs on. While a bucket is being brought up, it names who does it instead.

    P:folded:<what>    the run id of a server, or `folding <token>`
    P:reflects:<what>  hash: partition -> offset; what lies before it in the log is reflected"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from services.runtime.buckets import COUNT, prefix_of
from services.runtime.errors import NotFolded
from services.runtime.redis_link import reaching_redis
from services.runtime.scripts import Call, Script, run, run_all

UNFOLDED = "UNFOLDED"  # what a script's error begins with that was kept out
LEASE_MS = 5000

Reflects = Mapping[str, int]  # partition, by whatever name -> offset

_FOLDED = """
local function run_id() return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') end
local function folded(p)
  local server = redis.call('GET', p .. ':folded:@what')
  return server and string.find(redis.call('INFO', 'server'), 'run_id:' .. server .. '\\r', 1, true)
end
"""
_REFUSE = "if not folded(KEYS[1]) then return redis.error_reply('@unfolded the bucket does not reflect the log yet') end\n"


def knowing_folded(what: str, lua: str) -> Script:
    """Return a script that may ask folded(p) and run_id() of its bucket."""
    return Script((_FOLDED + lua).replace("@what", what))


def fenced(what: str, lua: str) -> Script:
    """Return a script that does nothing, and answers with an UNFOLDED error, unless its bucket is folded on the server that runs it."""
    return knowing_folded(what, _REFUSE.replace("@unfolded", UNFOLDED) + lua)


@contextmanager
def asking_fenced() -> Iterator[None]:
    """Turn what a fenced script was kept out by into NotFolded. Raises Away."""
    with reaching_redis():
        try:
            yield
        except ResponseError as error:
            if not str(error).startswith(UNFOLDED):
                raise
            raise NotFolded("redis", "not folded yet") from None


@contextmanager
def asking_folded(refused: asyncio.Event) -> Iterator[None]:
    """As asking_fenced, and set refused, for whoever folds."""
    try:
        with asking_fenced():
            yield
    except NotFolded:
        refused.set()
        raise


_SURVEY = "return {run_id(), redis.call('GET', KEYS[1] .. ':folded:@what'), redis.call('HGETALL', KEYS[1] .. ':reflects:@what')}"
# ARGV: what says who folds it. Who comes later goes by the name that is there: any of them may end it.
_JOIN = (
    """
local says = redis.call('GET', KEYS[1] .. ':folded:@what')
if not folded(KEYS[1]) and (not says or string.sub(says, 1, 8) ~= 'folding ') then redis.call('SET', KEYS[1] .. ':folded:@what', ARGV[1]) end
"""
    + _SURVEY
)
# ARGV: the server on which the bucket was found not to be folded, what says who folds it: from now on nobody else.
_TAKE_BUCKET = """
if run_id() ~= ARGV[1] or folded(KEYS[1]) then return 0 end
redis.call('SET', KEYS[1] .. ':folded:@what', ARGV[2])
return 1
"""
# ARGV: the server on which the folding began, what the bucket said of itself then, partition and offset in turn.
_FINISH = """
local says, reflects = redis.call('GET', KEYS[1] .. ':folded:@what'), KEYS[1] .. ':reflects:@what'
if says ~= ARGV[2] or run_id() ~= ARGV[1] then return 0 end
redis.call('DEL', reflects)
for place = 3, #ARGV, 2 do redis.call('HSET', reflects, ARGV[place], ARGV[place + 1]) end
redis.call('SET', KEYS[1] .. ':folded:@what', ARGV[1])
return 1
"""
_ADVANCE = """
if not folded(KEYS[1]) then return 0 end
for place = 1, #ARGV, 2 do
  local known = tonumber(redis.call('HGET', KEYS[1] .. ':reflects:@what', ARGV[place]) or '-1')
  if known < tonumber(ARGV[place + 1]) then redis.call('HSET', KEYS[1] .. ':reflects:@what', ARGV[place], ARGV[place + 1]) end
end
return 1
"""
_UNFOLD = """
redis.call('DEL', KEYS[1] .. ':folded:@what')
for place = 1, #ARGV, 2 do redis.call('HSET', KEYS[1] .. ':reflects:@what', ARGV[place], ARGV[place + 1]) end
"""


@dataclass(frozen=True)
class Bucket:
    """What a bucket says of itself, and the server that it lies on, which has another name after each start."""

    number: int
    server: str
    says: str | None
    reflects: Reflects

    @property
    def is_folded(self) -> bool:
        return self.says == self.server


class Fence:
    """The fence of one kind of thing in every bucket. Raises Away."""

    def __init__(self, redis: Redis, what: str) -> None:
        self._redis, self.what = redis, what
        lua = (_SURVEY, _JOIN, _TAKE_BUCKET, _FINISH, _ADVANCE, _UNFOLD)
        self._survey, self._join, self._take, self._finish, self._advance, self._unfold = (knowing_folded(what, each) for each in lua)

    async def survey(self) -> list[Bucket]:
        return _buckets(range(COUNT), await self._each(self._survey, dict.fromkeys(range(COUNT), ())))

    async def join(self, buckets: Iterable[int]) -> list[Bucket]:
        """Begin to fold buckets, or join who folds them already; one that is folded stays so. Return what they say of themselves then."""
        asked = dict.fromkeys(buckets, (f"folding {uuid4().hex}",))
        return _buckets(asked, await self._each(self._join, asked))

    async def take(self, servers: Mapping[int, str], guard: str) -> list[int]:
        """Take buckets that are not folded, each on the server on which it was found so, from whoever folds them; return those that were taken."""
        answers = await self._each(self._take, {bucket: (server, guard) for bucket, server in servers.items()})
        return [bucket for bucket, taken in zip(servers, answers, strict=True) if taken]

    async def finish(self, begun: Mapping[int, tuple[str, str]], reflects: Reflects) -> list[int]:
        """Say that buckets reflect the log; begun names each one's server, and what it said of itself, when that began.

        Return those of which it cannot be said: meanwhile they were lost, or taken or finished by another."""
        answers = await self._each(self._finish, {bucket: (*each, *_flat(reflects)) for bucket, each in begun.items()})
        return [bucket for bucket, done in zip(begun, answers, strict=True) if not done]

    async def advance(self, reflects: Reflects) -> list[int]:
        """Say in each bucket up to where it reflects the log; return those that are not folded, in which nothing is said.

        One who was stopped in between and says late what is long surpassed takes nothing back."""
        answers = await self._each(self._advance, dict.fromkeys(range(COUNT), _flat(reflects)))
        return [bucket for bucket, done in enumerate(answers) if not done]

    async def unfold(self, bucket: int, reflects: Reflects) -> None:
        """Have a bucket folded: from offsets that are given, or from what it says that it reflects where none is."""
        await self._each(self._unfold, {bucket: _flat(reflects)})

    async def _each(self, script: Script, arguments: Mapping[int, Sequence[str | int]]) -> list[Any]:
        with reaching_redis():
            return await run_all(self._redis, [Call(script, prefix_of(bucket), each) for bucket, each in arguments.items()])


def _buckets(numbers: Iterable[int], answers: Sequence[Any]) -> list[Bucket]:
    return [
        Bucket(
            number,
            server.decode(),
            None if says is None else says.decode(),
            {of.decode(): int(offset) for of, offset in zip(flat[::2], flat[1::2], strict=True)},
        )
        for number, (server, says, flat) in zip(numbers, answers, strict=True)
    ]


def _flat(reflects: Reflects) -> tuple[str | int, ...]:
    return tuple(each for pair in sorted(reflects.items()) for each in pair)


_TAKE = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
""")
_GIVE_BACK = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end")


class Lease:
    """What one process of several does, until it has been silent for LEASE_MS. It keeps others from the same work, and protects nothing."""

    def __init__(self, redis: Redis, name: str) -> None:
        self._redis, self._key, self.token = redis, f"gc:lease:{name}", uuid4().hex

    async def hold(self) -> bool:
        """Take it, or keep it for as long again; False where another has it. Raises Away."""
        with reaching_redis():
            return bool(await run(self._redis, _TAKE, self._key, self.token, LEASE_MS))

    async def take_over(self) -> None:
        """Take it from whoever has it: that one finds that out when it next asks."""
        with reaching_redis():
            await self._redis.set(self._key, self.token, px=LEASE_MS)

    async def is_held(self) -> bool:
        """Return whether anybody has it."""
        with reaching_redis():
            return bool(await self._redis.exists(self._key))

    async def left_ms(self) -> int:
        """Return how long it holds if it is not kept: it grows where somebody keeps it; 0 where nobody has it."""
        with reaching_redis():
            return max(0, int(await self._redis.pttl(self._key)))

    async def give_back(self) -> None:
        with reaching_redis():
            await run(self._redis, _GIVE_BACK, self._key, self.token)
