"""Wiring of cases: every message about a case becomes a decision, a step in Redis, a record batch in Kafka, in that order. Nothing here decides."""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from structlog import get_logger

from contracts import topics
from contracts.assessments import Assessed
from contracts.cases import CaseEvents
from contracts.directory import Directory
from contracts.envelope import Record, seal
from contracts.ids import CaseId, PatientKey, case_id, event_id, timer_id
from contracts.intake import EcgUploaded
from contracts.vocabulary import Priority
from services.cases.decide import Heard, Told, decide
from services.cases.evolve import evolve
from services.cases.redis_store import Entry, RedisStore, Route, entry
from services.cases.state import Case
from services.cases.timers import timers
from services.runtime.buckets import COUNT, bucket_of
from services.runtime.errors import Away, GreenchannelError
from services.runtime.producer import Producer
from services.runtime.reader import Reader
from services.runtime.service import Links, Plan, Service
from services.runtime.settling import ATTEMPTS, Message, TriedTooOften
from services.runtime.yaml_files import read_directory

READS = (topics.INTAKE_EMERGENCY, topics.ASSESSMENTS_EMERGENCY, topics.ASSESSMENTS_ROUTINE, topics.COMMANDS, topics.DELIVERIES)
WRITES = (topics.CASES, topics.COMMANDS)
OVERTAKEN_AT_MOST = 20
LOOK_EVERY_S = 0.25
SLICE = 16  # buckets a look: all of them in four seconds

log = get_logger()


class AlwaysOvertaken(GreenchannelError):
    """Others changed the case each time between reading and writing. args: the case."""


def build(links: Links) -> Service:
    directory = read_directory(links.settings.directory)
    store = RedisStore(links.redis)
    desk = _Desk(store, links.producer, directory)
    readers = [
        Reader(topic, f"cases.{topic.name}", desk.hear, inbox=_CountedByLoad(store), dead_letters=links.producer, at_once=16) for topic in READS
    ]
    return Service(readers=readers, background=(desk.watch,))


PLAN = Plan(name="cases", writes=WRITES, build=build, dead_letters_of=READS)


class _CountedByLoad:
    """The inbox of cases lies with the case: loading counts a beginning, the step that handles a message knows it for good."""

    def __init__(self, store: RedisStore) -> None:
        self.pardon = store.pardon

    async def begin(self, message_id: UUID | str, key: str, beginning: str) -> int:
        return 1

    async def handled(self, message_id: UUID | str, key: str) -> None: ...


class _Desk:
    def __init__(self, store: RedisStore, producer: Producer, directory: Directory) -> None:
        self._store, self._producer, self._directory = store, producer, directory
        self._soon: list[tuple[float, int]] = []  # a heap: when to look at which bucket, for the timers that were set here

    async def hear(self, message: Message) -> None:
        """Bring one message into its case; return when what follows from it is in Kafka."""
        told: Told = message.event  # type: ignore[assignment] # the topics of READS carry nothing else
        key = message.envelope.partitionkey
        route = _route(told, key)
        for _ in range(OVERTAKEN_AT_MOST):
            loaded = await self._store.load(message.envelope.id, route, beginning=message.beginning)
            if loaded.begun > ATTEMPTS:
                raise TriedTooOften(loaded.begun - 1)
            await self._relay(key, loaded.outbox)  # of one who fell between the step and Kafka; in order, or a reader would see a gap
            if loaded.handled:
                return
            heard = Heard(message.envelope.id, datetime.now(UTC), told)
            events = decide(loaded.case, heard, self._directory)
            after, records = _sealed(loaded.case, events, message)
            decision = entry(after.case_id, records)
            if await self._store.step(message.envelope.id, loaded.case, after, decision):
                self._look_when_due(loaded.case, after)
                await self._relay(key, [decision])
                return
        raise AlwaysOvertaken(str(route.case_id or route.fresh))

    async def _relay(self, key: PatientKey, outbox: Sequence[Entry]) -> None:
        for decision in outbox:
            await self._producer.publish(topics.CASES, decision.records)
            await self._store.sent(key, decision)

    def _look_when_due(self, before: Case, after: Case) -> None:
        for name, timer in timers(after).items():
            if name not in timers(before):
                heapq.heappush(self._soon, (timer.due_at.timestamp(), bucket_of(after.patient_key)))

    async def watch(self) -> None:
        """Send the commands of timers that are due, and what others left in an outbox; for ever.

        It looks where it knows of a timer, and in turn everywhere: at all at first, then at each bucket every few seconds, for what others set."""
        looked_at: Iterable[int] = range(COUNT)
        turn = itertools.cycle(range(0, COUNT, SLICE))
        while True:
            for claimed in await self._store.claim(looked_at):
                for case, timer in claimed.due:
                    await self._beside_others(case, self._fire(claimed.bucket, case, timer))
                for case in claimed.left_behind:
                    await self._beside_others(case, self._take_over(claimed.bucket, case))
            await asyncio.sleep(LOOK_EVERY_S)
            now, start = datetime.now(UTC).timestamp(), next(turn)
            looked_at = set(range(start, min(start + SLICE, COUNT)))
            while self._soon and self._soon[0][0] <= now:
                looked_at.add(heapq.heappop(self._soon)[1])

    async def _beside_others(self, case: CaseId, work: Awaitable[None]) -> None:
        """Do what one case needs; one that cannot be helped is said so, and the others go on."""
        try:
            await work
        except Away:
            raise
        except Exception:
            log.critical("a case's timer or outbox cannot be served: look at it by hand", case_id=str(case), exc_info=True)

    async def _take_over(self, bucket: int, case: CaseId) -> None:
        state, outbox = await self._store.case_in(bucket, case)
        if state is not None:
            log.info("outbox taken over", case_id=str(case))
            await self._relay(state.patient_key, outbox)

    async def _fire(self, bucket: int, case: CaseId, timer: str) -> None:
        state, _ = await self._store.case_in(bucket, case)
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
            recorded=datetime.now(UTC),
            correlation=upload_id,
            causation=case,
        )
        await self._producer.publish(topics.COMMANDS, [command])


def _route(told: Told, key: PatientKey) -> Route:
    if isinstance(told, EcgUploaded | Assessed):
        return Route(patient_key=key, upload_id=told.upload_id, fresh=case_id(told.upload_id))
    return Route(patient_key=key, case_id=told.case_id)


def _sealed(before: Case, events: Sequence[CaseEvents], message: Message) -> tuple[Case, list[Record]]:
    """Return the case after its events, and the events in their envelopes."""
    after, records = before, list[Record]()
    places: dict[str, int] = {}
    recorded = datetime.now(UTC)
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
