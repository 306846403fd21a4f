"""Valkeys of a test's own: one that is stopped, emptied and put back, and a cluster of three."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from redis.asyncio import Redis

from services.cases.redis_folding import RedisFolding
from services.cases.redis_store import RedisStore
from services.local.ports import HOST, choose_port
from services.local.valkey import valkey_answers, valkey_command
from services.runtime.buckets import COUNT, prefix_of
from services.runtime.redis_link import connect
from services.runtime.scripts import Call, Script, run_all

WITHIN_S = 60
_AGE = Script("""
for _, kind in ipairs({'due', 'leased', 'unsent'}) do
  local key = KEYS[1] .. ':' .. kind
  for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -ARGV[1], member) end
end
""")


class Valkey:
    """A server with its own folder."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.folder, self.port, self._more = folder, choose_port(()), more
        folder.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    async def start(self) -> None:
        self.run()
        async with asyncio.timeout(WITHIN_S):
            while not valkey_answers(self.port):
                await asyncio.sleep(0.02)

    def run(self) -> None:
        self._process = subprocess.Popen([*valkey_command(self.port), *self._more], cwd=self.folder, stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def copy_to(self, place: Path) -> None:
        """Copy what lies on the disk, as a backup of a running server would."""
        shutil.copytree(self.folder, place)

    def put_back(self, place: Path) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(place, self.folder)


@asynccontextmanager
async def valkey(folder: Path) -> AsyncIterator[Valkey]:
    server = Valkey(folder)
    await server.start()
    try:
        yield server
    finally:
        server.stop()


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[str]:
    """Three masters that share the slots; the URL of the cluster."""
    buses = list[int]()  # the servers' own choice may be a port of somebody's outgoing connection
    for _ in range(3):
        buses.append(choose_port(buses))
    of_cluster = ("--cluster-enabled", "yes", "--cluster-node-timeout", "5000", "--cluster-port")
    nodes = [Valkey(folder / str(bus), *of_cluster, str(bus)) for bus in buses]
    try:
        for node in nodes:
            await node.start()
        clients = [Redis.from_url(node.url) for node in nodes]
        share = 16384 // 3 + 1
        for number, client in enumerate(clients):
            await client.execute_command("CLUSTER", "ADDSLOTSRANGE", number * share, min((number + 1) * share, 16384) - 1)
            await client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node, bus in zip(nodes[1:], buses[1:], strict=True):
            await clients[0].execute_command("CLUSTER", "MEET", HOST, node.port, bus)
        async with asyncio.timeout(WITHIN_S):
            for client in clients:
                while b"cluster_state:ok" not in (told := await client.execute_command("CLUSTER", "INFO")) or b"cluster_known_nodes:3" not in told:
                    await asyncio.sleep(0.05)
        for client in clients:
            await client.aclose()
        yield nodes[0].url.replace("redis://", "redis+cluster://")
    finally:
        for node in nodes:
            node.stop()


async def have_folded(redis: Redis) -> None:
    """Say of every bucket that it reflects the log, whatever it holds."""
    folding = RedisFolding(redis)
    servers = {each.bucket: each.server for each in await folding.survey() if not each.is_folded}
    await folding.begin(servers, "folding test")
    await folding.finish(servers, "folding test", {0: 0})


class RealWorld:
    """A store on a real Valkey; its time passes by ageing what it holds."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.store = RedisStore(redis)

    def now(self) -> datetime:
        return datetime.now().astimezone()

    async def wait(self, span: timedelta) -> None:
        await run_all(self._redis, [Call(_AGE, prefix_of(bucket), (int(span.total_seconds() * 1000),)) for bucket in range(COUNT)])
        async for key in self._redis.scan_iter(match="gc:*", count=1000):
            left_ms = await self._redis.pttl(key)
            if left_ms >= 0:
                await self._redis.pexpire(key, max(0, left_ms - int(span.total_seconds() * 1000)))

    async def lose_everything(self) -> None:
        await self._redis.flushall()

    async def come_back_elsewhere(self) -> None:
        await run_all(self._redis, [Call(_ELSEWHERE, prefix_of(bucket)) for bucket in range(COUNT)])


_ELSEWHERE = Script("redis.call('SET', KEYS[1] .. ':folded:cases', string.rep('0', 40))")


@asynccontextmanager
async def world_on(url: str) -> AsyncIterator[RealWorld]:
    redis = connect(url)
    await redis.flushall()
    await have_folded(redis)
    try:
        yield RealWorld(redis)
    finally:
        await redis.aclose()
