"""A simulated Redis: cases, their inbox, outbox and timers as the scripts of services/cases/redis_store.py keep them, and the inbox of other readers.

The memory outlives every process; each process reaches it by ports of its own. It passes the store's suite, as the real one does."""

import asyncio
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from contracts.ids import CaseId, EventId, PatientKey
from services.cases.outbox import Claimed, Entry, Loaded, Route
from services.cases.redis_store import AT_MOST, CLOCKS_DIFFER_BY_MS, LEASE, LEFT_BEHIND_AFTER, OUT_OF_MIND_AFTER
from services.cases.state import Case
from services.cases.timers import timers
from services.runtime.buckets import COUNT, bucket_of
from services.runtime.errors import Away
from services.runtime.inbox import HANDLED
from tests.sim.world import World

NOT_FOLDED = "not folded yet"

T = TypeVar("T")
Member = tuple[CaseId, str]
Copy = tuple["dict[int, Bucket]", dict[tuple[str, str], dict[str, None]]]
OnStep = Callable[[EventId, Case, Case, Entry], None]


@dataclass
class Bucket:
    cases: dict[CaseId, Case] = field(default_factory=dict)
    heard: dict[CaseId, dict[UUID, str]] = field(default_factory=dict)
    begun: dict[UUID, dict[str, None]] = field(default_factory=dict)
    outbox: dict[CaseId, list[Entry]] = field(default_factory=dict)
    of_patient: dict[str, CaseId] = field(default_factory=dict)
    of_upload: dict[UUID, CaseId] = field(default_factory=dict)
    due_ms: dict[Member, int] = field(default_factory=dict)
    leased_ms: dict[Member, int] = field(default_factory=dict)  # due and claimed: when that lease ends
    forget_at_ms: dict[CaseId, int] = field(default_factory=dict)  # of finished cases
    unsent_ms: dict[CaseId, int] = field(default_factory=dict)
    folded_on: str | None = None  # the server on which it reflects the log, or who folds it
    reflects: dict[int, int] = field(default_factory=dict)

    def copied(self) -> "Bucket":
        """Return a copy as a file of it would be; what lies in it does not change, only where it lies."""
        return Bucket(
            dict(self.cases),
            {case: dict(told) for case, told in self.heard.items()},
            {message: dict(names) for message, names in self.begun.items()},
            {case: list(entries) for case, entries in self.outbox.items()},
            dict(self.of_patient),
            dict(self.of_upload),
            dict(self.due_ms),
            dict(self.leased_ms),
            dict(self.forget_at_ms),
            dict(self.unsent_ms),
            self.folded_on,
            dict(self.reflects),
        )

    def lose_timer(self, member: Member) -> None:
        self.due_ms.pop(member, None)
        self.leased_ms.pop(member, None)

    def forget(self, now_ms: int) -> None:
        """Forget the cases whose time has come, as Redis does with what has one."""
        for case_id in [case_id for case_id, at_ms in self.forget_at_ms.items() if at_ms <= now_ms]:
            for held in (self.forget_at_ms, self.cases, self.heard):
                held.pop(case_id, None)  # type: ignore[attr-defined]


class Memory:
    """All that lies in Redis. on_step and on_sent hear of each change as it is made."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.server = "server 0"
        self.new_are_folded_on: str | None = self.server  # an empty log is reflected by an empty bucket
        self._turn: tuple[str, int] = ("", 0)
        self.buckets: dict[int, Bucket] = {}
        self.inboxes: dict[tuple[str, str], dict[str, None]] = {}
        self.on_step: list[OnStep] = []
        self.on_sent: list[Callable[[Entry], None]] = []
        self.on_timers: list[Callable[[int, CaseId], None]] = []

    def bucket(self, number: int) -> Bucket:
        if number not in self.buckets:
            self.buckets[number] = Bucket(folded_on=self.new_are_folded_on)
        at = self.buckets[number]
        if at.forget_at_ms:
            at.forget(self.now_ms())
        return at

    def folded(self, number: int) -> Bucket:
        """Return a bucket that reflects the log; Away for one of which that is not known."""
        at = self.bucket(number)
        if at.folded_on != self.server:
            raise Away("redis", NOT_FOLDED)
        return at

    def lease(self, token: str, for_s: float) -> bool:
        holder, until_ms = self._turn
        if holder != token and until_ms > self.now_ms():
            return False
        self._turn = token, self.now_ms() + _span_ms(for_s)
        return True

    def lose_everything(self) -> None:
        self.buckets = {number: Bucket() for number in self.buckets}
        self.inboxes, self.new_are_folded_on, self._turn = {}, None, ("", 0)

    def come_back(self, copy: Copy | None = None) -> None:
        """Be another server from now on, with what it holds or with an older copy."""
        self.server = f"server {int(self.server.split()[1]) + 1}"
        self.new_are_folded_on = None
        if copy is not None:
            self.buckets, self.inboxes = copy

    def copied(self) -> Copy:
        return {number: bucket.copied() for number, bucket in self.buckets.items()}, {name: dict(held) for name, held in self.inboxes.items()}

    def load(self, message_id: UUID, route: Route, beginnings: Sequence[str]) -> Loaded:
        at = self.folded(bucket_of(route.patient_key))
        of_upload = at.of_upload.get(route.upload_id) if route.upload_id else None
        case_id = route.case_id or of_upload or at.of_patient.get(route.patient_key) or route.fresh
        assert case_id is not None
        case = at.cases.get(case_id)
        handled = (of_upload is not None and case is None) or self.is_handled(at, case_id, message_id)
        begun = 0
        if beginnings and not handled:
            names = at.begun.setdefault(message_id, {})
            names |= dict.fromkeys(beginnings)
            begun = len(names)
        return Loaded(case or Case(case_id=case_id, patient_key=route.patient_key), handled, tuple(at.outbox.get(case_id, ())), begun)

    def is_handled(self, at: Bucket, case_id: CaseId, message_id: UUID) -> bool:
        return message_id in at.heard.get(case_id, ())

    def is_overtaken(self, at: Bucket, before: Case, after: Case) -> bool:
        known = at.cases.get(after.case_id)
        if (known.sequence if known else 0) != before.sequence:
            return True
        if before.sequence:
            return False
        return (after.is_live and after.patient_key in at.of_patient) or any(upload.upload_id in at.of_upload for upload in after.uploads)

    def step(self, message_id: EventId, before: Case, after: Case, decision: Entry) -> bool:
        number = bucket_of(after.patient_key)
        bucket, case_id = self.folded(number), after.case_id
        if self.is_handled(bucket, case_id, message_id) or self.is_overtaken(bucket, before, after):
            return False
        self.put(bucket, before, after, {str(message_id): decision.recorded}, is_decided_now=True)
        bucket.begun.pop(message_id, None)
        bucket.outbox.setdefault(case_id, []).append(decision)
        bucket.unsent_ms.setdefault(case_id, self.now_ms())
        for hear in self.on_step:
            hear(message_id, before, after, decision)
        return True

    def put(self, bucket: Bucket, before: Case, after: Case, heard: Mapping[str, str], *, is_decided_now: bool) -> None:
        """Have a case as it is after a change, with its timers and what it is found by."""
        case_id, now_ms, last_ms = after.case_id, self.now_ms(), _ms(after.last_at) if after.last_at else 0
        bucket.cases[case_id] = after
        bucket.heard.setdefault(case_id, {}).update({UUID(message): recorded for message, recorded in heard.items()})
        for upload in after.uploads:
            if before.upload(upload.upload_id) is None:
                bucket.of_upload[upload.upload_id] = case_id
        old, new = timers(before), timers(after)
        for name in old.keys() - new.keys():
            bucket.lose_timer((case_id, name))
        is_behind = is_decided_now and now_ms - last_ms > CLOCKS_DIFFER_BY_MS
        for name in new.keys() - old.keys():
            due_ms = _ms(new[name].due_at)
            bucket.due_ms[case_id, name] = now_ms + due_ms - last_ms if is_behind else min(due_ms, now_ms + due_ms - last_ms)
        if after.is_live:
            bucket.of_patient[after.patient_key] = case_id
            bucket.forget_at_ms.pop(case_id, None)
        else:
            bucket.forget_at_ms[case_id] = last_ms + _span_ms(OUT_OF_MIND_AFTER.total_seconds())
            if bucket.of_patient.get(after.patient_key) == case_id:
                del bucket.of_patient[after.patient_key]

    def sent(self, patient_key: PatientKey, decision: Entry) -> None:
        self.take_out(self.bucket(bucket_of(patient_key)), decision)
        for hear in self.on_sent:
            hear(decision)

    def take_out(self, at: Bucket, decision: Entry) -> None:
        entries = at.outbox.get(decision.case_id, [])
        if decision in entries:
            entries.remove(decision)
        if not entries:
            at.outbox.pop(decision.case_id, None)
            at.unsent_ms.pop(decision.case_id, None)

    def claim(self, numbers: Container[int]) -> list[Claimed]:
        now_ms, found = self.now_ms(), list[Claimed]()
        for number, at in self.buckets.items():
            if number not in numbers or at.folded_on != self.server:
                continue
            due = [*_first(at.leased_ms, now_ms), *_first(at.due_ms, now_ms)]
            for member in due:
                at.due_ms.pop(member, None)
                at.leased_ms[member] = now_ms + _span_ms(LEASE.total_seconds())
            left = [case for case, since_ms in at.unsent_ms.items() if since_ms <= now_ms - _span_ms(LEFT_BEHIND_AFTER.total_seconds())][:AT_MOST]
            if due or left:
                found.append(Claimed(number, tuple(due), tuple(left)))
        return found

    def case_in(self, number: int, case_id: CaseId) -> Case | None:
        return self.folded(number).cases.get(case_id)

    def outbox_in(self, number: int, case_id: CaseId) -> tuple[Entry, ...]:
        return tuple(self.folded(number).outbox.get(case_id, ()))

    def drop(self, number: int, case_id: CaseId, timer: str) -> None:
        at = self.folded(number)
        at.lose_timer((case_id, timer))
        for hear in self.on_timers:
            hear(number, case_id)


class SimulatedStore:
    """The Store of a process of cases; `refused` is set when a bucket is met that does not reflect the log."""

    def __init__(self, world: World, memory: Memory) -> None:
        self._world, self._memory = world, memory
        self.refused = asyncio.Event()

    async def _call(self, point: str, effect: Callable[[], T], note: object) -> T:
        try:
            return await self._world.call(f"cases.{point}", "redis", effect, note)
        except Away as away:
            if away.cause == NOT_FOLDED:
                self.refused.set()
            raise

    async def load(self, message_id: UUID, route: Route, *, beginnings: Sequence[str] = ()) -> Loaded:
        return await self._call("load", lambda: self._memory.load(message_id, route, beginnings), message_id)

    async def step(self, message_id: EventId, before: Case, after: Case, decision: Entry) -> bool:
        return await self._call("step", lambda: self._memory.step(message_id, before, after, decision), message_id)

    async def sent(self, patient_key: PatientKey, decision: Entry) -> None:
        await self._call("sent", lambda: self._memory.sent(patient_key, decision), decision.case_id)

    async def pardon(self, message_id: UUID | str, key: str) -> None:
        await self._call("pardon", lambda: self._memory.bucket(bucket_of(key)).begun.pop(UUID(str(message_id)), None), message_id)

    async def claim(self, buckets: Iterable[int] = range(COUNT)) -> list[Claimed]:
        looked_at = buckets if isinstance(buckets, range | set) else set(buckets)
        found = await self._call("claim", lambda: self._memory.claim(looked_at), "")
        self._world.steps -= not found  # a look at nothing is no step
        if any(each.folded_on != self._memory.server for each in self._memory.buckets.values()):
            self.refused.set()
        return found

    async def case_in(self, bucket: int, case_id: CaseId) -> Case | None:
        return await self._call("case_in", lambda: self._memory.case_in(bucket, case_id), case_id)

    async def outbox_in(self, bucket: int, case_id: CaseId) -> tuple[Entry, ...]:
        return await self._call("outbox_in", lambda: self._memory.outbox_in(bucket, case_id), case_id)

    async def drop(self, bucket: int, case_id: CaseId, timer: str) -> None:
        await self._call("drop", lambda: self._memory.drop(bucket, case_id, timer), timer)

    async def hurry(self, bucket: int) -> None:
        """Nobody puts this world's clock back."""


class SimulatedInbox:
    """The inbox of a reader, by message id."""

    def __init__(self, world: World, memory: Memory, group: str) -> None:
        self._world, self._memory, self._group = world, memory, group

    async def begin(self, message_id: UUID | str, key: str, beginning: str) -> int:
        return await self._world.call("inbox.begin", "redis", lambda: self._begin(str(message_id), beginning), message_id)

    async def pardon(self, message_id: UUID | str, key: str) -> None:
        await self._world.call("inbox.pardon", "redis", lambda: self._pardon(str(message_id)), message_id)

    async def handled(self, message_id: UUID | str, key: str) -> None:
        await self._world.call("inbox.handled", "redis", lambda: self._set_handled(str(message_id)), message_id)

    def _begin(self, message_id: str, beginning: str) -> int:
        names = self._memory.inboxes.setdefault((self._group, message_id), {})
        if "handled" in names:
            return HANDLED
        names[beginning] = None
        return len(names)

    def _pardon(self, message_id: str) -> None:
        if "handled" not in self._memory.inboxes.get((self._group, message_id), ()):
            self._memory.inboxes.pop((self._group, message_id), None)

    def _set_handled(self, message_id: str) -> None:
        self._memory.inboxes[self._group, message_id] = {"handled": None}


def _first(of: dict[Member, int], now_ms: int) -> list[Member]:
    due = sorted((at_ms, str(case), name, case) for (case, name), at_ms in of.items() if at_ms <= now_ms) if of else []
    return [(case, name) for _, _, name, case in due[:AT_MOST]]


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _span_ms(seconds: float) -> int:
    return int(seconds * 1000)
