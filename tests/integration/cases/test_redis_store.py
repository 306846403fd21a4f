"""State, inbox, outbox and timers change in one step, on a real Valkey."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest_asyncio

from contracts.envelope import seal
from contracts.ids import EventId, UploadId, case_id, event_id
from contracts.vocabulary import Lane, Priority
from services.cases.decide import Heard, Told, decide
from services.cases.evolve import evolve
from services.cases.redis_store import Entry, RedisStore, Route, entry
from services.cases.state import Case, Phase
from services.cases.timers import timers
from services.runtime.buckets import bucket_of, prefix
from services.runtime.redis_link import connect
from tests.conftest import Stack
from tests.unit.cases.case_world import DIRECTORY, acknowledge, assessed, uploaded


class Patient:
    """One new patient with one upload, and what cases does with a message about it."""

    def __init__(self, store: RedisStore) -> None:
        self.store = store
        self.upload = UploadId(uuid4())
        self.key = str(uuid4())
        self.case = case_id(self.upload)
        self.heard_before = timedelta(0)

    def route(self, told: Told) -> Route:
        if hasattr(told, "upload_id"):
            return Route(patient_key=self.key, upload_id=told.upload_id, fresh=case_id(told.upload_id))
        return Route(patient_key=self.key, case_id=self.case)

    def decided(self, before: Case, message: EventId, told: Told) -> tuple[Case, Entry]:
        after = before
        events = decide(before, Heard(message, datetime.now(UTC) - self.heard_before, told), DIRECTORY)
        for event in events:
            after = evolve(after, event)
        record = seal(
            events[0],
            event_id=event_id(message, "test"),
            source="cases",
            subject=after.case_id,
            key=self.key,
            time=events[0].at,
            recorded=events[0].at,
            correlation=self.upload,
            causation=message,
        )
        return after, entry(after.case_id, [record])

    async def hear(self, told: Told, message: EventId | None = None) -> Case:
        message = message or EventId(uuid4())
        while True:
            loaded = await self.store.load(message, self.route(told))
            if loaded.handled:
                return loaded.case
            after, decision = self.decided(loaded.case, message, told)
            if await self.store.step(message, loaded.case, after, decision):
                return after

    def red(self):
        return assessed(Priority.RED, self.upload)

    def received(self, at: datetime):
        return uploaded(self.upload, at)


@pytest_asyncio.fixture(loop_scope="session")
async def patient(stack: Stack) -> AsyncIterator[Patient]:
    redis = connect(stack.redis)
    await redis.flushdb()
    yield Patient(RedisStore(redis))
    await redis.flushdb()
    await redis.aclose()


async def test_what_was_stepped_is_what_is_loaded(patient: Patient):
    after = await patient.hear(patient.red())
    loaded = await patient.store.load(EventId(uuid4()), Route(patient_key=patient.key, case_id=patient.case))
    assert loaded.case == after
    assert (after.phase, after.case_id) == (Phase.OPENED, patient.case)
    assert len(loaded.outbox) == 1


async def test_a_message_that_was_heard_is_known_and_changes_nothing(patient: Patient):
    message = EventId(uuid4())
    after = await patient.hear(patient.red(), message)
    again, decision = patient.decided(after, message, patient.red())
    assert not await patient.store.step(message, after, again, decision)
    loaded = await patient.store.load(message, Route(patient_key=patient.key, case_id=patient.case))
    assert (loaded.handled, loaded.case, len(loaded.outbox)) == (True, after, 1)


async def test_of_two_that_decide_at_once_the_slower_decides_again_and_both_are_kept(patient: Patient):
    await patient.hear(patient.red())
    second = assessed(Priority.GREEN, UploadId(uuid4()))
    await asyncio.gather(patient.hear(replace_case(acknowledge(), patient.case)), patient.hear(second))
    loaded = await patient.store.load(EventId(uuid4()), Route(patient_key=patient.key, case_id=patient.case))
    assert loaded.case.owner == "ann"
    assert {upload.upload_id for upload in loaded.case.uploads} == {patient.upload, second.upload_id}


def replace_case(command, case):
    return command.model_copy(update={"case_id": case})


async def test_a_decision_on_an_overtaken_state_is_not_made(patient: Patient):
    before = await patient.hear(patient.red())
    late, decision = patient.decided(before, EventId(uuid4()), replace_case(acknowledge("bob"), patient.case))
    await patient.hear(replace_case(acknowledge("ann"), patient.case))
    assert not await patient.store.step(EventId(uuid4()), before, late, decision)
    loaded = await patient.store.load(EventId(uuid4()), Route(patient_key=patient.key, case_id=patient.case))
    assert loaded.case.owner == "ann"


async def test_two_uploads_of_one_new_patient_heard_at_once_make_one_case(patient: Patient):
    other = UploadId(uuid4())
    await asyncio.gather(patient.hear(patient.red()), patient.hear(assessed(Priority.NOT_EVALUABLE, other)))
    cases = {
        (await patient.store.load(EventId(uuid4()), patient.route(assessed(Priority.RED, upload)))).case.case_id for upload in (patient.upload, other)
    }
    assert len(cases) == 1


async def test_a_repeat_joins_the_open_case_and_the_next_illness_begins_another(patient: Patient):
    await patient.hear(assessed(Priority.NOT_EVALUABLE, patient.upload))
    repeat = UploadId(uuid4())
    closed = await patient.hear(assessed(Priority.GREEN, repeat))
    assert (closed.case_id, closed.phase) == (patient.case, Phase.CLOSED)
    later = UploadId(uuid4())
    assert (await patient.hear(assessed(Priority.RED, later))).case_id == case_id(later)


async def test_the_outbox_keeps_decisions_in_order_until_each_was_sent(patient: Patient):
    await patient.hear(patient.red())
    await patient.hear(replace_case(acknowledge(), patient.case))
    route = Route(patient_key=patient.key, case_id=patient.case)
    first, second = (await patient.store.load(EventId(uuid4()), route)).outbox
    await patient.store.sent(patient.key, first)
    await patient.store.sent(patient.key, first)  # two relays may send the same
    assert (await patient.store.load(EventId(uuid4()), route)).outbox == (second,)
    await patient.store.sent(patient.key, second)
    assert (await patient.store.load(EventId(uuid4()), route)).outbox == ()


async def test_a_timer_is_claimed_once_when_due_and_not_before(patient: Patient):
    await patient.hear(patient.received(datetime.now(UTC)))
    assert await patient.store.claim() == []
    overdue = Patient(patient.store)
    overdue.heard_before = timedelta(minutes=2)
    await overdue.hear(overdue.received(datetime.now(UTC) - timedelta(minutes=2)))
    claims = await asyncio.gather(patient.store.claim(), patient.store.claim())
    due = [timer for claimed in claims for bucket in claimed for timer in bucket.due]
    assert due == [(overdue.case, f"unread/{overdue.upload}")]


async def test_a_timer_whose_reason_is_gone_is_gone(patient: Patient):
    patient.heard_before = timedelta(minutes=2)
    await patient.hear(patient.received(datetime.now(UTC) - timedelta(minutes=2)))
    await patient.hear(assessed(Priority.GREEN, patient.upload))
    assert not [bucket for bucket in await patient.store.claim() if bucket.due]


async def test_a_claimed_bucket_gives_the_case_and_its_timers_back(patient: Patient):
    patient.heard_before = timedelta(minutes=2)
    after = await patient.hear(patient.received(datetime.now(UTC) - timedelta(minutes=2)))
    found, outbox = await patient.store.case_in(bucket_of(patient.key), patient.case)
    assert found == after
    assert found is not None
    assert set(timers(found)) == {f"unread/{patient.upload}"}
    assert len(outbox) == 1


async def test_an_upload_whose_case_is_out_of_mind_counts_as_heard(patient: Patient, stack: Stack):
    await patient.hear(assessed(Priority.GREEN, patient.upload, lane=Lane.ROUTINE))
    redis = connect(stack.redis)
    await redis.delete(f"{prefix(patient.key)}:case:{patient.case}", f"{prefix(patient.key)}:handled:{patient.case}")  # as after eight days
    await redis.aclose()
    assert (await patient.store.load(EventId(uuid4()), patient.route(patient.red()))).handled


async def test_a_timer_of_a_clock_that_runs_ahead_is_due_within_a_minute(patient: Patient, stack: Stack):
    await patient.hear(patient.received(datetime.now(UTC) + timedelta(days=1)))
    redis = connect(stack.redis)
    [(_, due_ms)] = await redis.zrange(f"{prefix(patient.key)}:due", 0, -1, withscores=True)
    await redis.aclose()
    assert due_ms / 1000 <= datetime.now(UTC).timestamp() + 61


async def test_a_beginning_is_counted_once_by_its_name_until_the_message_is_handled(patient: Patient):
    message, route = EventId(uuid4()), patient.route(patient.red())
    assert [(await patient.store.load(message, route, beginnings=[name])).begun for name in ("a", "a", "b")] == [1, 1, 2]
    await patient.hear(patient.red(), message)
    assert (await patient.store.load(message, route, beginnings=["c"])).begun == 0
