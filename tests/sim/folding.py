"""The simulated Redis as who folds needs it, the log read beside every group, and whose turn it is: the ports of services/cases/keeper.py."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from contracts import topics
from services.cases.fold import Decision, Held, held, is_out_of_mind
from services.cases.folding import FoldBroken, Guards, Part, Surveyed
from services.cases.state import Case
from services.cases.timers import timers
from services.runtime.buckets import bucket_of
from tests.sim.broker import SimulatedBroker
from tests.sim.store import Bucket, Memory
from tests.sim.world import World

LEASE_S = 5.0


class SimulatedFolding:
    """As services/cases/redis_folding.py. It names the buckets in which something lies or was asked for: the others hold nothing to be folded."""

    def __init__(self, world: World, memory: Memory) -> None:
        self._world, self._memory = world, memory

    async def _call(self, point: str, effect: Callable[[], Any]) -> Any:
        return await self._world.call(f"fold.{point}", "redis", effect)

    async def survey(self) -> list[Surveyed]:
        memory = self._memory
        found: list[Surveyed] = await self._call(
            "survey",
            lambda: [
                Surveyed(number, memory.server, each.folded_on == memory.server, dict(each.reflects)) for number, each in memory.buckets.items()
            ],
        )
        self._world.steps -= all(each.is_folded for each in found)
        return found

    async def begin(self, servers: Mapping[int, str], guard: str) -> list[int]:
        def take() -> list[int]:
            taken = [number for number, server in servers.items() if self._memory.server == server and not self._is_folded(number)]
            for number in taken:
                self._memory.bucket(number).folded_on = guard
            return taken

        return list(await self._call("begin", take))

    async def heard(self, of_cases: Sequence[Sequence[Decision]]) -> list[bool]:
        return list(await self._call("heard", lambda: [self._has_heard(each) for each in of_cases]))

    async def look(self, asked: Sequence[tuple[str, str]]) -> list[Held]:
        return list(await self._call("look", lambda: [self._held(case_id, key) for case_id, key in asked]))

    async def write(self, changed: Sequence[Held], guards: Guards, now: datetime) -> list[bool]:
        return list(await self._call("write", lambda: [self._write(each, guards, now) for each in changed]))

    async def restore(self, part: Part, guards: Guards, now: datetime) -> None:
        raise NotImplementedError("there are no snapshots here")

    async def finish(self, servers: Mapping[int, str], guard: str, reflects: Mapping[int, int]) -> None:
        def end() -> None:
            for number, server in servers.items():
                bucket = self._memory.bucket(number)
                if bucket.folded_on != guard or self._memory.server != server:
                    raise FoldBroken(number)
                bucket.folded_on, bucket.reflects = server, dict(reflects)

        await self._call("finish", end)

    async def advance(self, reflects: Mapping[int, int]) -> None:
        def say() -> None:
            for number, bucket in self._memory.buckets.items():
                if not self._is_folded(number):
                    raise FoldBroken(number)
                bucket.reflects |= {of: max(offset, bucket.reflects.get(of, offset)) for of, offset in reflects.items()}

        await self._call("advance", say)

    def parts(self) -> AsyncIterator[Part]:
        raise NotImplementedError("there are no snapshots here")

    async def unfold(self, bucket: int, reflects: Mapping[int, int] | None = None) -> None:
        raise AssertionError(f"bucket {bucket}: no server of this world is put back while it runs")

    def _is_folded(self, number: int) -> bool:
        return self._memory.bucket(number).folded_on == self._memory.server

    def _has_heard(self, of_case: Sequence[Decision]) -> bool:
        bucket, case_id = self._of(of_case[0].key), of_case[0].case_id
        inbox = {str(each): at for case, told in bucket.heard.items() if str(case) == case_id for each, at in told.items()}
        return all(inbox.get(each.cause) == each.recorded for each in of_case) and not any(str(case) == case_id for case in bucket.outbox)

    def _held(self, case_id: str, key: str) -> Held:
        bucket = self._of(key)
        nothing = held(case_id, key).stored
        inbox = {str(each): at for each, at in bucket.heard.get(nothing.case_id, {}).items()}
        return held(case_id, key, bucket.cases.get(nothing.case_id), inbox, bucket.outbox.get(nothing.case_id, ()))

    def _of(self, key: str) -> Bucket:
        return self._memory.bucket(bucket_of(key))

    def _write(self, of: Held, guards: Guards, now: datetime) -> bool:
        state, number = of.state, bucket_of(of.state.patient_key)
        bucket, guard, case_id = self._memory.bucket(number), guards[number], of.state.case_id
        if bucket.folded_on != guard or (not guard.startswith("folding ") and not self._is_folded(number)):
            raise FoldBroken(number)
        there = bucket.cases.get(case_id)
        if (there.sequence if there else 0) != of.stored.sequence:
            return False
        before = Case(case_id=case_id, patient_key=state.patient_key) if of.is_anew else of.stored
        if of.is_anew:
            bucket.cases.pop(case_id, None)
            bucket.heard.pop(case_id, None)
            for name in timers(of.stored):
                bucket.lose_timer((case_id, name))
        if of.stored.sequence or not is_out_of_mind(state, now):
            self._memory.put(bucket, before, state, {cause: of.inbox[cause] for cause in of.heard}, is_decided_now=False)
        for entry in of.proven:
            self._memory.take_out(bucket, entry)
        for hear in self._memory.on_timers:
            hear(number, case_id)
        return True


class SimulatedLog:
    """cases.v1, read beside every group."""

    def __init__(self, world: World, broker: SimulatedBroker) -> None:
        self._world, self._broker = world, broker

    async def ends(self) -> dict[int, int]:
        logs = self._broker.log(topics.CASES.name)
        ends = {number: len(log) for number, log in enumerate(logs)}
        empty = dict.fromkeys(range(len(logs), topics.CASES.partitions), 0)
        found: dict[int, int] = await self._world.call("log.ends", "kafka", lambda: ends | empty)
        self._world.steps -= 1
        return found

    async def read(self, starts: Mapping[int, int], ends: Mapping[int, int]) -> AsyncIterator[Sequence[Any]]:
        for number, end in ends.items():
            if starts.get(number, 0) < end:
                log = self._broker.log(topics.CASES.name)[number]
                yield await self._world.call("log.read", "kafka", lambda log=log, number=number, end=end: log[starts.get(number, 0) : end])


class SimulatedTurn:
    """A lease, as services/runtime/fence.py keeps it in Redis."""

    def __init__(self, world: World, memory: Memory) -> None:
        self._world, self._memory, self._token = world, memory, uuid4().hex

    async def hold(self) -> bool:
        held_by: bool = await self._world.call("fold.turn", "redis", lambda: self._memory.lease(self._token, LEASE_S))
        self._world.steps -= 1
        return held_by


class NoSnapshots:
    async def newest_first(self) -> Sequence[Any]:
        return ()

    async def take(self, parts: AsyncIterator[Part], reflects: Mapping[int, int], at: datetime) -> int:
        return 0
