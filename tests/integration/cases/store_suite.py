"""What every store of cases must do, real or simulated: one promise a function. A test runs each of SUITE on a new world of its own store.

    @pytest.mark.parametrize("promise", SUITE, ids=lambda promise: promise.__name__)
    async def test_the_store_keeps_its_promises(promise, world): await promise(world)

Nothing here knows what a store is made of: it is asked through the desk's port alone, and time passes where the world says so."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid4

import pytest

from contracts import topics
from contracts.cases import CaseEvents, CommandRefused, UploadAssessed, UploadReceived
from contracts.envelope import Record, open_envelope, seal
from contracts.ids import CaseId, EventId, UploadId, case_id, event_id
from contracts.topics import Topic
from contracts.vocabulary import Lane, Priority
from services.cases.desk import Desk, Store
from services.cases.evolve import evolve
from services.cases.outbox import Claimed, Entry, Loaded, Route, entry
from services.cases.state import Case
from services.cases.timers import timers
from services.runtime.buckets import COUNT, bucket_of
from services.runtime.errors import Away
from services.runtime.messages import Message
from tests.unit.cases.case_world import CASE, DIRECTORY, FIRST, KEY, assessed, page_again

MINUTE = timedelta(minutes=1)
EVERY_BUCKET = range(COUNT)


class StoreOfCases(Store, Protocol):
    async def pardon(self, message_id: UUID | str, key: str) -> None: ...


class World(Protocol):
    """A new, empty store whose every bucket is folded, and the time by which it goes."""

    @property
    def store(self) -> StoreOfCases: ...
    def now(self) -> datetime:
        """The store's own time."""
        ...

    async def wait(self, span: timedelta) -> None:
        """Let so much of the store's time pass."""
        ...

    async def lose_everything(self) -> None:
        """The store is empty from now on, as after FLUSHALL: no bucket is folded."""
        ...

    async def come_back_elsewhere(self) -> None:
        """The store holds the same, and is another server: no bucket is folded."""
        ...


class Patient:
    """A new patient with one upload, and what a desk does with a message about it."""

    def __init__(self, world: World) -> None:
        self.world, self.store = world, world.store
        self.key = str(uuid4())
        self.upload = UploadId(uuid4())
        self.case = case_id(self.upload)

    @property
    def by_case(self) -> Route:
        return Route(patient_key=self.key, case_id=self.case)

    def by_upload(self, upload: UploadId | None = None) -> Route:
        upload = upload or self.upload
        return Route(patient_key=self.key, upload_id=upload, fresh=case_id(upload))

    def received(self, upload: UploadId | None = None, due_in: timedelta = MINUTE) -> Callable[[Case], list[CaseEvents]]:
        """An emergency upload: the case is live, and has a timer until the upload is assessed."""
        upload, now = upload or self.upload, self.world.now()
        return lambda case: [
            UploadReceived(
                at=now, case_id=case.case_id, patient_key=self.key, upload_id=upload, clinic_id="clinic", received_at=now, due_at=now + due_in
            )
        ]

    def assessed_green(self, upload: UploadId | None = None) -> Callable[[Case], list[CaseEvents]]:
        """Nothing is wanted of the upload any more."""
        upload, now = upload or self.upload, self.world.now()
        of_upload = {"upload_id": upload, "clinic_id": "clinic", "lane": Lane.EMERGENCY, "received_at": now, "priority": Priority.GREEN}
        return lambda case: [
            UploadAssessed(at=now, case_id=case.case_id, patient_key=self.key, headline="none", assessed_event=EventId(uuid4()), **of_upload)
        ]

    def refused(self, times: int = 1) -> Callable[[Case], list[CaseEvents]]:
        """Something that changes no more than the sequence."""
        now = self.world.now()
        return lambda case: [
            CommandRefused(at=now, case_id=case.case_id, patient_key=self.key, command="Say", command_id=EventId(uuid4()), reason="test")
            for _ in range(times)
        ]

    def decided(self, before: Case, message: EventId, make: Callable[[Case], list[CaseEvents]]) -> tuple[Case, Entry]:
        after, records = before, []
        for place, event in enumerate(make(before)):
            after = evolve(after, event)
            records.append(
                seal(
                    event,
                    event_id=event_id(message, type(event).__name__, place),
                    source="cases",
                    subject=after.case_id,
                    key=self.key,
                    time=event.at,
                    recorded=self.world.now(),
                    correlation=self.upload,
                    causation=message,
                    sequence=after.sequence,
                )
            )
        return after, entry(after.case_id, records)

    async def hear(self, make: Callable[[Case], list[CaseEvents]], message: EventId | None = None, route: Route | None = None) -> Case:
        """Load, decide and step until it is done, as a desk does; the outbox is left as it is."""
        message, route = message or EventId(uuid4()), route or self.by_upload()
        while True:
            loaded = await self.store.load(message, route)
            if loaded.handled:
                return loaded.case
            after, decision = self.decided(loaded.case, message, make)
            if await self.store.step(message, loaded.case, after, decision):
                return after

    async def found(self, message: EventId | None = None) -> Loaded:
        return await self.store.load(message or EventId(uuid4()), self.by_case)

    async def claimed(self) -> tuple[tuple[tuple[CaseId, str], ...], tuple[CaseId, ...]]:
        """Return what the patient's bucket gives: due timers, and cases whose outbox was left behind."""
        found = {each.bucket: each for each in await self.store.claim(EVERY_BUCKET)}
        of_bucket = found.get(bucket_of(self.key), Claimed(0, (), ()))
        return of_bucket.due, of_bucket.left_behind


async def what_was_stepped_is_what_is_loaded(world: World) -> None:
    patient = Patient(world)
    after = await patient.hear(patient.received())
    loaded = await patient.found()
    assert (loaded.case, loaded.handled, loaded.begun) == (after, False, 0)
    assert after.sequence == 1
    [decision] = loaded.outbox
    assert decision.case_id == patient.case
    assert [record.key for record in decision.records] == [patient.key]
    assert await patient.store.case_in(bucket_of(patient.key), patient.case) == after
    assert await patient.store.outbox_in(bucket_of(patient.key), patient.case) == loaded.outbox


async def an_unknown_case_is_a_new_one_and_nothing_is_written_by_looking(world: World) -> None:
    patient = Patient(world)
    for route in (patient.by_upload(), patient.by_case):
        loaded = await patient.store.load(EventId(uuid4()), route)
        assert loaded == Loaded(Case(case_id=patient.case, patient_key=patient.key), handled=False, outbox=(), begun=0)
    assert await patient.store.case_in(bucket_of(patient.key), patient.case) is None


async def a_message_that_was_heard_is_known_and_changes_nothing(world: World) -> None:
    patient, message = Patient(world), EventId(uuid4())
    after = await patient.hear(patient.received(), message)
    again, decision = patient.decided(after, message, patient.refused())
    assert not await patient.store.step(message, after, again, decision)
    loaded = await patient.found(message)
    assert (loaded.handled, loaded.case, len(loaded.outbox)) == (True, after, 1)


async def a_decision_on_an_overtaken_state_is_not_made(world: World) -> None:
    patient, slow = Patient(world), EventId(uuid4())
    before = await patient.hear(patient.received())
    late, decision = patient.decided(before, slow, patient.refused())
    after = await patient.hear(patient.assessed_green())
    assert not await patient.store.step(slow, before, late, decision)
    loaded = await patient.found(slow)
    assert (loaded.case, loaded.handled, len(loaded.outbox)) == (after, False, 2)


async def two_that_decide_at_once_are_both_kept(world: World) -> None:
    patient, other = Patient(world), UploadId(uuid4())
    await patient.hear(patient.received())
    await asyncio.gather(patient.hear(patient.received(other), route=patient.by_upload(other)), patient.hear(patient.refused(2)))
    loaded = await patient.found()
    assert (loaded.case.sequence, len(loaded.outbox)) == (4, 3)
    assert {upload.upload_id for upload in loaded.case.uploads} == {patient.upload, other}


async def two_uploads_of_one_new_patient_heard_at_once_make_one_case(world: World) -> None:
    patient, other = Patient(world), UploadId(uuid4())
    await asyncio.gather(patient.hear(patient.received()), patient.hear(patient.received(other), route=patient.by_upload(other)))
    found = [(await patient.store.load(EventId(uuid4()), patient.by_upload(upload))).case for upload in (patient.upload, other)]
    assert found[0] == found[1]
    assert {upload.upload_id for upload in found[0].uploads} == {patient.upload, other}


async def a_repeat_joins_the_live_case_and_what_comes_after_its_end_begins_another(world: World) -> None:
    patient, repeat, later = Patient(world), UploadId(uuid4()), UploadId(uuid4())
    await patient.hear(patient.received())
    joined = await patient.hear(patient.assessed_green(repeat), route=patient.by_upload(repeat))
    assert (joined.case_id, joined.is_live) == (patient.case, True)
    ended = await patient.hear(patient.assessed_green())
    assert (ended.case_id, ended.is_live) == (patient.case, False)
    assert (await patient.hear(patient.received(later), route=patient.by_upload(later))).case_id == case_id(later)
    assert (await patient.store.load(EventId(uuid4()), patient.by_upload(repeat))).case == ended


async def the_outbox_keeps_decisions_in_order_until_each_was_sent(world: World) -> None:
    patient = Patient(world)
    await patient.hear(patient.received())
    await patient.hear(patient.refused())
    first, second = (await patient.found()).outbox
    await patient.store.sent(patient.key, first)
    await patient.store.sent(patient.key, first)  # two relays may send the same
    assert (await patient.found()).outbox == (second,)
    await patient.store.sent(patient.key, second)
    assert (await patient.found()).outbox == ()
    await world.wait(MINUTE / 2)
    assert await patient.claimed() == ((), ())


async def an_outbox_that_its_writer_left_is_found_after_a_while_and_until_it_is_sent(world: World) -> None:
    patient = Patient(world)
    await patient.hear(patient.received())
    assert await patient.claimed() == ((), ())
    for _ in range(2):
        await world.wait(timedelta(seconds=3))
        assert await patient.claimed() == ((), (patient.case,))
    for decision in (await patient.found()).outbox:
        await patient.store.sent(patient.key, decision)
    assert await patient.claimed() == ((), ())


async def a_timer_is_claimed_when_it_is_due_by_one_and_not_before(world: World) -> None:
    patient = Patient(world)
    after = await patient.hear(patient.received())
    [name] = timers(after)
    assert (await patient.claimed())[0] == ()
    await world.wait(MINUTE + timedelta(seconds=1))
    claims = await asyncio.gather(patient.claimed(), patient.claimed(), patient.claimed())
    assert [timer for due, _ in claims for timer in due] == [(patient.case, name)]


async def a_claimed_timer_comes_again_after_its_lease_for_as_long_as_its_case_has_it(world: World) -> None:
    patient = Patient(world)
    await patient.hear(patient.received())
    await world.wait(MINUTE + timedelta(seconds=1))
    for _ in range(3):
        assert len((await patient.claimed())[0]) == 1
        assert (await patient.claimed())[0] == ()
        await world.wait(timedelta(seconds=16))
    await patient.hear(patient.assessed_green())
    assert (await patient.claimed())[0] == ()


async def a_timer_that_a_step_drops_is_gone_claimed_or_not(world: World) -> None:
    for claims in (False, True):
        patient = Patient(world)
        await patient.hear(patient.received())
        if claims:
            await world.wait(MINUTE + timedelta(seconds=1))
            assert len((await patient.claimed())[0]) == 1
        await patient.hear(patient.assessed_green())
        await world.wait(2 * MINUTE)
        assert (await patient.claimed())[0] == ()


async def a_timer_that_is_dropped_by_hand_is_gone_claimed_or_not(world: World) -> None:
    for claims in (False, True):
        patient = Patient(world)
        [name] = timers(await patient.hear(patient.received()))
        if claims:
            await world.wait(MINUTE + timedelta(seconds=1))
            assert len((await patient.claimed())[0]) == 1
        await patient.store.drop(bucket_of(patient.key), patient.case, name)
        await world.wait(2 * MINUTE)
        assert (await patient.claimed())[0] == ()


class Nowhere:
    async def publish(self, topic: Topic | str, records: Sequence[Record]) -> None: ...


async def a_clock_that_runs_ahead_delays_no_timer_of_who_decides_by_it_or_next(world: World) -> None:
    ahead, right = (Desk(world.store, Nowhere(), lambda: DIRECTORY, lambda by=by: world.now() + by) for by in (60 * MINUTE, 0 * MINUTE))
    for desk, told, waits_for in ((ahead, assessed(Priority.RED, at=world.now()), "again/1"), (right, page_again(1, world.now()), "again/2")):
        ids = {"event_id": EventId(uuid4()), "subject": CASE, "correlation": FIRST, "causation": FIRST}
        sealed = seal(told, source="test", key=KEY, time=world.now(), recorded=world.now(), **ids)
        await desk.hear(Message(open_envelope(sealed.headers), told, topics.COMMANDS, partition=0, offset=0, beginnings=("first",)))
        assert (CASE, waits_for) not in await _due(world)
        await world.wait(MINUTE + timedelta(seconds=1))
        assert (CASE, waits_for) in await _due(world)


async def a_clock_that_is_behind_hurries_no_timer(world: World) -> None:
    patient, late = Patient(world), world.now() - 60 * MINUTE
    await patient.hear(lambda case: [patient.received()(case)[0].model_copy(update={"at": late, "due_at": late + MINUTE})])
    assert (await patient.claimed())[0] == ()
    await world.wait(MINUTE + timedelta(seconds=1))
    assert [case for case, _ in (await patient.claimed())[0]] == [patient.case]


async def _due(world: World) -> list[tuple[CaseId, str]]:
    return [timer for claimed in await world.store.claim([bucket_of(KEY)]) for timer in claimed.due]


async def a_beginning_is_counted_once_by_its_name_until_the_message_is_handled(world: World) -> None:
    patient, message = Patient(world), EventId(uuid4())
    counts = [(await patient.store.load(message, patient.by_upload(), beginnings=[name])).begun for name in ("a", "a", "b")]
    assert counts == [1, 1, 2]
    assert (await patient.store.load(message, patient.by_upload(), beginnings=["b", "c"])).begun == 3
    await patient.hear(patient.received(), message)
    assert (await patient.store.load(message, patient.by_upload(), beginnings=["d"])).begun == 0


async def a_pardoned_message_is_counted_anew(world: World) -> None:
    patient, message = Patient(world), EventId(uuid4())
    await patient.store.load(message, patient.by_upload(), beginnings=["a", "b"])
    await patient.store.pardon(message, patient.key)
    assert (await patient.store.load(message, patient.by_upload(), beginnings=["c"])).begun == 1


async def an_upload_whose_case_is_long_over_counts_as_heard(world: World) -> None:
    patient = Patient(world)
    await patient.hear(patient.assessed_green())
    for decision in (await patient.found()).outbox:
        await patient.store.sent(patient.key, decision)
    await world.wait(timedelta(days=9))
    loaded = await patient.store.load(EventId(uuid4()), patient.by_upload())
    assert (loaded.handled, loaded.case.sequence) == (True, 0)
    assert await patient.store.case_in(bucket_of(patient.key), patient.case) is None


async def a_live_case_is_never_forgotten(world: World) -> None:
    patient, message, repeat = Patient(world), EventId(uuid4()), UploadId(uuid4())
    await patient.hear(patient.assessed_green(), message)
    after = await patient.hear(patient.received(repeat), route=patient.by_case)
    await world.wait(timedelta(days=9))
    loaded = await patient.found(message)
    assert (loaded.case, loaded.handled) == (after, True)


async def nothing_is_read_or_decided_in_a_store_that_lost_everything(world: World) -> None:
    await _refuses(world, world.lose_everything)


async def nothing_is_read_or_decided_in_a_store_that_is_another_server(world: World) -> None:
    await _refuses(world, world.come_back_elsewhere)


async def _refuses(world: World, happens: Callable[[], Awaitable[None]]) -> None:
    patient, message = Patient(world), EventId(uuid4())
    before = await patient.hear(patient.received())
    [name] = timers(before)
    await world.wait(MINUTE + timedelta(seconds=1))
    await happens()
    after, decision = patient.decided(before, message, patient.refused())
    for asked in (
        patient.found(),
        patient.store.load(message, patient.by_upload(), beginnings=["a"]),
        patient.store.step(message, before, after, decision),
        patient.store.case_in(bucket_of(patient.key), patient.case),
        patient.store.outbox_in(bucket_of(patient.key), patient.case),
        patient.store.drop(bucket_of(patient.key), patient.case, name),
    ):
        with pytest.raises(Away):
            await asked
    assert await patient.claimed() == ((), ())  # other buckets' timers go on


Promise = Callable[[World], Awaitable[None]]

SUITE: tuple[Promise, ...] = (
    what_was_stepped_is_what_is_loaded,
    an_unknown_case_is_a_new_one_and_nothing_is_written_by_looking,
    a_message_that_was_heard_is_known_and_changes_nothing,
    a_decision_on_an_overtaken_state_is_not_made,
    two_that_decide_at_once_are_both_kept,
    two_uploads_of_one_new_patient_heard_at_once_make_one_case,
    a_repeat_joins_the_live_case_and_what_comes_after_its_end_begins_another,
    the_outbox_keeps_decisions_in_order_until_each_was_sent,
    an_outbox_that_its_writer_left_is_found_after_a_while_and_until_it_is_sent,
    a_timer_is_claimed_when_it_is_due_by_one_and_not_before,
    a_claimed_timer_comes_again_after_its_lease_for_as_long_as_its_case_has_it,
    a_timer_that_a_step_drops_is_gone_claimed_or_not,
    a_timer_that_is_dropped_by_hand_is_gone_claimed_or_not,
    a_clock_that_runs_ahead_delays_no_timer_of_who_decides_by_it_or_next,
    a_clock_that_is_behind_hurries_no_timer,
    a_beginning_is_counted_once_by_its_name_until_the_message_is_handled,
    a_pardoned_message_is_counted_anew,
    an_upload_whose_case_is_long_over_counts_as_heard,
    a_live_case_is_never_forgotten,
    nothing_is_read_or_decided_in_a_store_that_lost_everything,
    nothing_is_read_or_decided_in_a_store_that_is_another_server,
)
