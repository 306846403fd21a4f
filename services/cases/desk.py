"""The desk where messages about cases are heard: each becomes a decision, a step in the store, a record batch in the log, in that order.

It reaches the store and the log by ports, and is told the time: the same desk runs against Redis and Kafka, and in a simulation."""

import asyncio
import heapq
import itertools
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Protocol
from uuid import UUID

from structlog import get_logger

from contracts import topics
from contracts.assessments import Assessed
from contracts.cases import CaseEvents
from contracts.directory import Directory
from contracts.envelope import Record, seal
from contracts.ids import CaseId, EventId, PatientKey, UploadId, case_id, event_id, timer_id
from contracts.intake import EcgUploaded
from contracts.topics import Topic
from contracts.vocabulary import Priority
from services.cases.decide import decide
from services.cases.decision import Heard, Told
from services.cases.evolve import evolve
from services.cases.outbox import Claimed, Entry, Loaded, Route, entry
from services.cases.state import Case
from services.cases.timers import timers
from services.runtime.buckets import COUNT, bucket_of
from services.runtime.errors import Away, GreenchannelError
from services.runtime.messages import ATTEMPTS, Message, TriedTooOften

OVERTAKEN_AT_MOST = 20
STALE_AFTER_S = 1.0  # what Redis said of a step: it may have been put back since from a copy that knows nothing of it
LOOK_EVERY_S = 0.25
RECENT_AT_MOST = 500
AT_ONCE = 16
OF_READINGS = "read/"  # how the timers of the reading list are called
SLICE = 128  # buckets a look: all of them in half a second, for what others set

log = get_logger()


class AlwaysOvertaken(GreenchannelError):
    """Others changed the case each time between reading and writing. args: the case."""


class Store(Protocol):
    """Where cases lie: state, inbox, outbox and timers of a case change together or not at all.

    Each raises Away; case_in raises StateUnreadable."""

    async def load(self, message_id: UUID, route: Route, *, beginnings: Sequence[str] = ()) -> Loaded: ...
    async def step(self, message_id: EventId, before: Case, after: Case, decision: Entry) -> bool: ...
    async def sent(self, patient_key: PatientKey, decision: Entry) -> None: ...
    async def claim(self, buckets: Iterable[int]) -> list[Claimed]: ...
    async def case_in(self, bucket: int, case_id: CaseId) -> Case | None: ...
    async def outbox_in(self, bucket: int, case_id: CaseId) -> tuple[Entry, ...]: ...
    async def hurry(self, bucket: int) -> None: ...
    async def drop(self, bucket: int, case_id: CaseId, timer: str) -> None: ...


class Log(Protocol):
    """Where decisions go: a batch whole or not at all. Raises Away."""

    async def publish(self, topic: Topic | str, records: Sequence[Record]) -> None: ...


class _Recent:
    """The cases that this process changed last, as it left them, with nothing in their outbox: what follows soon needs no trip to load them.

    They may be old: a step on a case that another has changed since is overtaken, and one on a message that was handled changes nothing."""

    def __init__(self) -> None:
        self._cases = OrderedDict[CaseId, Case]()
        self._of_upload: dict[UploadId, CaseId] = {}

    def find(self, route: Route) -> Case | None:
        case_id = route.case_id or (self._of_upload.get(route.upload_id) if route.upload_id else None)
        return self._cases.get(case_id) if case_id else None

    def keep(self, case: Case) -> None:
        self._cases[case.case_id] = case
        self._cases.move_to_end(case.case_id)
        self._of_upload |= {upload.upload_id: case.case_id for upload in case.uploads}
        if len(self._cases) > RECENT_AT_MOST:
            self.forget(next(iter(self._cases)))

    def forget(self, case_id: CaseId) -> None:
        case = self._cases.pop(case_id, None)
        for upload in case.uploads if case else ():
            self._of_upload.pop(upload.upload_id, None)


class InHand:
    """The work that has begun and not ended: what it stepped may still be on its way to the log."""

    def __init__(self) -> None:
        self._under_way = set[asyncio.Future[None]]()

    @contextmanager
    def one(self) -> Iterator[None]:
        ended = asyncio.get_running_loop().create_future()
        self._under_way.add(ended)
        try:
            yield
        finally:
            self._under_way.discard(ended)
            ended.set_result(None)

    async def ended(self) -> None:
        """Return when all that is under way now has ended; what begins meanwhile is not waited for."""
        if self._under_way:
            await asyncio.wait(set(self._under_way))


class Desk:
    """Where messages about cases are heard; any number of them, in as many processes, share one Redis."""

    def __init__(self, store: Store, log: Log, directory: Callable[[], Directory], now: Callable[[], datetime]) -> None:
        """directory raises Away while none is known."""
        self._store, self._log, self._directory, self._now = store, log, directory, now
        self.in_hand = InHand()
        self._recent = _Recent()
        self._soon: list[tuple[float, int]] = []  # a heap: when to look at which bucket, for the timers that were set here

    async def hear(self, message: Message) -> None:
        """Bring one message into its case; return when what follows from it is in Kafka.

        The first attempt at a new message takes one trip: it is decided on the case as this process knows it, or on none where an upload may begin
        one; the case is loaded where that was old. A message that ended its process is not new to the next one, and is counted there."""
        with self.in_hand.one():
            await self._hear(message)

    async def _hear(self, message: Message) -> None:
        told: Told = message.event  # type: ignore[assignment] # the topics of READS carry nothing else
        route = _route(told, message.envelope.partitionkey)
        recent, is_first = self._recent.find(route), len(message.beginnings) == 1
        guess = recent
        if recent is not None:
            self._recent.forget(recent.case_id)  # until this went well
        elif message.is_new and isinstance(told, EcgUploaded):
            guess = Case(case_id=case_id(told.upload_id), patient_key=route.patient_key)
        if guess is not None and is_first and await self._bring(message, told, guess):
            return
        beginnings = () if message.is_new and is_first else message.beginnings
        for _ in range(OVERTAKEN_AT_MOST):
            loaded = await self._store.load(message.envelope.id, route, beginnings=beginnings)
            if loaded.begun > ATTEMPTS:
                raise TriedTooOften(loaded.begun - 1)
            # Of one who fell between the step and Kafka; in order, or a reader would see a gap.
            await self._relay(message.envelope.partitionkey, loaded.outbox)
            if loaded.handled or await self._bring(message, told, loaded.case):
                return
        raise AlwaysOvertaken(str(route.case_id or route.fresh))

    async def _bring(self, message: Message, told: Told, case: Case) -> bool:
        """Decide, step and relay; False where another has changed the case, or heard the message, since it was read, or may have."""
        at = self._now()
        events = decide(case, Heard(message.envelope.id, at, told), self._directory())
        after, records = _sealed(case, events, message, at)
        decision = entry(after.case_id, records)
        asked_at_s = asyncio.get_running_loop().time()
        if not await self._store.step(message.envelope.id, case, after, decision):
            return False
        self._look_when_due(case, after)
        if asyncio.get_running_loop().time() - asked_at_s > STALE_AFTER_S:
            return False  # the load that follows relays what the outbox holds by now
        await self._relay(message.envelope.partitionkey, [decision])
        self._recent.keep(after)
        return True

    async def _relay(self, key: PatientKey, outbox: Sequence[Entry]) -> None:
        for decision in outbox:
            await self._log.publish(topics.CASES, decision.records)
            await self._store.sent(key, decision)

    def _look_when_due(self, before: Case, after: Case) -> None:
        known = timers(before)
        for name, timer in timers(after).items():
            if name not in known:
                heapq.heappush(self._soon, (timer.due_at.timestamp(), bucket_of(after.patient_key)))

    async def watch(self) -> None:
        """Send the commands of timers that are due, and what others left in an outbox; for ever.

        It looks where it knows of a timer, and in turn everywhere: at all at first, then at each bucket every half second, for what others set; and
        at each about once a minute for what a clock that was put back has left far ahead."""
        looked_at: Iterable[int] = range(COUNT)
        turn, to_hurry = itertools.cycle(range(0, COUNT, SLICE)), itertools.cycle(range(COUNT))
        while True:
            await self._serve(await self._store.claim(looked_at))
            await self._store.hurry(next(to_hurry))
            await asyncio.sleep(LOOK_EVERY_S)
            now, start = self._now().timestamp(), next(turn)
            looked_at = set(range(start, min(start + SLICE, COUNT)))
            while self._soon and self._soon[0][0] <= now:
                looked_at.add(heapq.heappop(self._soon)[1])

    async def _serve(self, claimed: Sequence[Claimed]) -> None:
        """Do what was claimed, some of it at once. After an outage readings are overdue in their thousands: no page stands behind them."""
        due = sorted(((each.bucket, *timer) for each in claimed for timer in each.due), key=lambda timer: timer[-1].startswith(OF_READINGS))
        work: list[tuple[CaseId, Callable[[], Awaitable[None]]]] = [
            *((case, partial(self._take_over, each.bucket, case)) for each in claimed for case in each.left_behind),
            *((case, partial(self._fire, bucket, case, timer)) for bucket, case, timer in due),
        ]
        left = iter(work)

        async def one_after_another() -> None:
            for case, do in left:
                await self._beside_others(case, do)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(AT_ONCE, len(work))):
                    group.create_task(one_after_another())
        except ExceptionGroup as aways:  # what is not done comes again after its lease
            raise aways.exceptions[0] from aways

    async def _beside_others(self, case: CaseId, do: Callable[[], Awaitable[None]]) -> None:
        """Do what one case needs; one that cannot be helped is said so, and the others go on. Raises Away."""
        try:
            await do()
        except Away:
            raise
        except Exception:
            log.critical("a case's timer or outbox cannot be served: look at it by hand", case_id=str(case), exc_info=True)

    async def _take_over(self, bucket: int, case: CaseId) -> None:
        outbox = await self._store.outbox_in(bucket, case)
        if outbox:
            log.info("outbox taken over", case_id=str(case))
            with self.in_hand.one():
                await self._relay(outbox[0].records[0].key, outbox)

    async def _fire(self, bucket: int, case: CaseId, timer: str) -> None:
        state = await self._store.case_in(bucket, case)
        needed = timers(state).get(timer) if state else None
        if state is None or needed is None:
            await self._store.drop(bucket, case, timer)
            return
        upload_id = state.upload_id or state.uploads[0].upload_id
        command = seal(
            needed.command,
            event_id=timer_id(case, timer),
            source="cases",
            subject=case,
            key=state.patient_key,
            time=needed.due_at,
            recorded=self._now(),
            correlation=upload_id,
            causation=case,
        )
        await self._log.publish(topics.COMMANDS, [command])


def _route(told: Told, key: PatientKey) -> Route:
    if isinstance(told, EcgUploaded | Assessed):
        return Route(patient_key=key, upload_id=told.upload_id, fresh=case_id(told.upload_id))
    return Route(patient_key=key, case_id=told.case_id)


def _sealed(before: Case, events: Sequence[CaseEvents], message: Message, recorded: datetime) -> tuple[Case, list[Record]]:
    """Return the case after its events, and the events in their envelopes."""
    after, records = before, list[Record]()
    places: dict[str, int] = {}
    for event in events:
        after = evolve(after, event)
        kind = type(event).__name__
        place = places.get(kind, 0)
        places[kind] = place + 1
        records.append(
            seal(
                event,
                event_id=event_id(message.envelope.id, kind, place),
                source="cases",
                subject=after.case_id,
                key=after.patient_key,
                time=event.at,
                recorded=recorded,
                correlation=message.envelope.correlationid,
                causation=message.envelope.id,
                sequence=after.sequence,
                priority=_priority(after, event),
                traceparent=message.envelope.traceparent,
            )
        )
    return after, records


def _priority(after: Case, event: CaseEvents) -> Priority | None:
    of_event = getattr(event, "priority", None)
    return of_event if of_event is not None else after.priority if after.is_open else None
