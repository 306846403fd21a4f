"""Does the faults, one after another and over each other, and writes each down."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.chaos.faults import Fault, Kind
from tests.chaos.journal import Journal
from tests.chaos.provider import Mood, Provider
from tests.chaos.site import Site
from tests.e2e.centre import until

DIES_WITHIN_S = 10.0
ASKS_AGAIN_S = 0.3


class Nemesis:
    def __init__(self, site: Site, provider: Provider, journal: Journal) -> None:
        self._site, self._provider, self._journal = site, provider, journal
        self._copies = 0
        self.not_done: list[str] = []

    async def strike(self, faults: Sequence[Fault], on_begun: Callable[[Fault], None]) -> None:
        """Do all of them; return when the last has ended and everything that was stopped goes on."""
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                on_begun(fault)
                group.create_task(self._do(fault))
                await asyncio.sleep(fault.then_s)

    async def _do(self, fault: Fault) -> None:
        begun_s = time.monotonic()
        ways: dict[Kind, Callable[[Fault], Awaitable[int]]] = {
            Kind.KILL: self._kill,
            Kind.KILL_SEVERAL: self._kill,
            Kind.FREEZE: self._freeze,
            Kind.REBALANCE: self._rebalance,
            Kind.PROVIDER_HANGS: self._provider_is(Mood.HANGS),
            Kind.PROVIDER_REFUSES: self._provider_is(Mood.REFUSES),
            Kind.DISK_FULL: self._fill,
            Kind.VALKEY_OLDER: self._put_back,
            Kind.VALKEY_EMPTIED: self._empty,
        }
        try:
            kills = await ways[fault.kind](fault)
        except AssertionError as error:  # what was to be struck did not come back in its time: that is a finding, and the run goes on
            self.not_done.append(f"{fault.kind} of {', '.join(fault.targets)}: {error}")
            return
        lasted_s = round(time.monotonic() - begun_s, 1)
        self._journal.write("fault", name=fault.kind.value, target=", ".join(fault.targets), kills=kills, lasted_s=lasted_s)

    async def _kill(self, fault: Fault) -> int:
        return await asyncio.to_thread(self._site.kill, fault.targets)

    async def _freeze(self, fault: Fault) -> int:
        child = await asyncio.to_thread(self._site.running, fault.targets[0])
        child.suspend()
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            _go_on(child)
        return 0

    async def _rebalance(self, fault: Fault) -> int:
        replica = await asyncio.to_thread(self._site.replica, fault.targets[0])
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            ran = await asyncio.to_thread(replica.kill)
        return int(ran)

    def _provider_is(self, mood: Mood) -> Callable[[Fault], Awaitable[int]]:
        async def be(fault: Fault) -> int:
            self._provider.mood = mood
            await asyncio.sleep(fault.lasts_s)
            self._provider.mood = Mood.TAKES
            return 0

        return be

    async def _fill(self, fault: Fault) -> int:
        disk = self._site.disks[fault.targets[0]].full()
        await asyncio.to_thread(disk.__enter__)
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            await asyncio.to_thread(disk.__exit__, None, None, None)
        return 0

    async def _put_back(self, fault: Fault) -> int:
        self._copies += 1
        copy = self._site.folder / f"valkey-copy-{self._copies}"
        await asyncio.to_thread(self._copy_valkey, copy)
        await asyncio.sleep(fault.lasts_s)
        await asyncio.to_thread(self._swap_valkey, copy)
        return 1

    def _copy_valkey(self, copy: Path) -> None:
        """Take what Valkey has on the disk at one moment."""
        valkey = self._site.running("valkey")
        valkey.suspend()
        try:
            shutil.copytree(self._site.data / "valkey", copy)
        finally:
            _go_on(valkey)

    def _swap_valkey(self, copy: Path) -> None:
        """The supervisor stands still meanwhile, or it would start Valkey on what is just being exchanged."""
        parent, folder = self._site.parent(), self._site.data / "valkey"
        valkey = self._site.running("valkey")
        parent.suspend()
        try:
            valkey.kill()
            until(lambda: _is_dead(valkey), within_s=DIES_WITHIN_S, what="Valkey is dead")
            shutil.rmtree(folder)
            copy.rename(folder)
        finally:
            parent.resume()

    async def _empty(self, fault: Fault) -> int:
        """Ask until it is done: Valkey may be away just then."""
        redis = Redis(port=self._site.valkey_port(), socket_timeout=5)
        try:
            while True:
                try:
                    await redis.flushall()
                    return 0
                except (RedisError, OSError):
                    await asyncio.sleep(ASKS_AGAIN_S)
        finally:
            await redis.aclose()


def _go_on(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):  # another fault has killed it meanwhile
        process.resume()


def _is_dead(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
