"""The fence before what lies in Redis: nothing is read or decided in a bucket of which it is not known that it reflects the log.

A Redis may be emptied, come back with an older copy of itself, or be replaced by a replica that had not heard everything. Whatever happened, the
server is another process then, or the bucket is empty: so each bucket names the server, by its run id, on which it was last brought up to the log,
and each script compares the name with the server that it runs on. While a bucket is being brought up, it names who does it instead.

    P:folded:<what>   the run id of a server, or `folding <token>`"""

from uuid import uuid4

from redis.asyncio import Redis

from services.runtime.redis_link import reaching_redis
from services.runtime.scripts import Script, run

UNFOLDED = "UNFOLDED"  # what a script's error begins with that was kept out
NOT_FOLDED_YET = "not folded yet"
LEASE_MS = 5000

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
    return Script(_FOLDED.replace("@what", what) + lua)


def fenced(what: str, lua: str) -> Script:
    """Return a script that does nothing, and answers with an UNFOLDED error, unless its bucket is folded on the server that runs it."""
    return knowing_folded(what, _REFUSE.replace("@unfolded", UNFOLDED) + lua)


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

    async def give_back(self) -> None:
        with reaching_redis():
            await run(self._redis, _GIVE_BACK, self._key, self.token)
