"""The log rebuilds the store: emptied, older than it should be, or put back under way, it comes back equal, and nothing is told twice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from contracts import topics
from contracts.ids import EventId
from services.cases.fold import LogRecord
from services.cases.folding import FoldBroken
from services.cases.keeper import TurnLost
from services.runtime.errors import Away
from services.runtime.fence import LEASE_MS
from services.runtime.kafka_log import KafkaLog
from tests.conftest import Stack
from tests.integration.cases.folded_world import FoldedWorld, folded_world, until_heard
from tests.integration.cases.store_suite import Patient
from tests.integration.cases.valkeys import Valkey
from tests.integration.notify.running import until

TURN = "gc:lease:cases"  # is forgotten once who has it was silent for LEASE_MS


@pytest_asyncio.fixture(loop_scope="session")
async def world(own_valkey: Valkey, stack: Stack, tmp_path: Path) -> AsyncIterator[FoldedWorld]:
    async with folded_world(own_valkey.url, stack.kafka, stack, tmp_path) as each:
        yield each


async def equals_the_log(world: FoldedWorld, patients: Sequence[Patient]) -> None:
    compared = await world.compared()
    assert (compared.differing, compared.unknown_to_the_log) == ((), ()), (compared.log, compared.store)
    assert compared.cases >= len(patients)


async def test_an_emptied_store_comes_back_equal(world: FoldedWorld):
    patients = await world.a_few_patients()
    before = [(await patient.found(), await world.store.load(EventId(uuid4()), patient.by_upload())) for patient in patients]
    timers = [await world.folding.due(bucket) for bucket in range(256)]
    await world.lose_everything()
    with pytest.raises(Away):
        await patients[0].found()
    await world.fold()
    assert [(await patient.found(), await world.store.load(EventId(uuid4()), patient.by_upload())) for patient in patients] == before
    assert [await world.folding.due(bucket) for bucket in range(256)] == timers
    await equals_the_log(world, patients)


async def test_what_was_heard_before_the_loss_is_known_after_it(world: FoldedWorld):
    patient, message = Patient(world), EventId(uuid4())
    after = await patient.hear(patient.received(), message)
    await world.relay(patient)
    await world.lose_everything()
    await world.fold()
    loaded = await patient.found(message)
    assert (loaded.handled, loaded.case, loaded.outbox) == (True, after, ())


async def test_an_older_copy_comes_back_equal(world: FoldedWorld, own_valkey: Valkey, tmp_path: Path):
    patients = await world.a_few_patients()
    await world.fold()
    own_valkey.copy_to(tmp_path / "copy")
    await world.hear(patients[0], patients[0].refused(2), patients[0].assessed_green())
    newer = await world.a_few_patients()
    after = [await patient.found() for patient in [*patients, *newer]]
    own_valkey.stop()
    own_valkey.put_back(tmp_path / "copy")
    await own_valkey.start()
    for patient in [*patients, *newer]:
        with pytest.raises(Away):
            await patient.found()
    await world.fold()
    assert [await patient.found() for patient in [*patients, *newer]] == after
    await equals_the_log(world, [*patients, *newer])


async def test_of_an_outbox_what_the_log_holds_is_not_sent_again_and_the_rest_is(world: FoldedWorld, own_valkey: Valkey):
    known, unknown = Patient(world), Patient(world)
    for patient in (known, unknown):
        await patient.hear(patient.received())
    [decision] = (await known.found()).outbox
    await world.producer.publish(topics.CASES, decision.records)  # and its process fell before it took it out of the outbox
    own_valkey.stop()
    await own_valkey.start()
    await world.fold()
    assert (await known.found()).outbox == ()
    assert len((await unknown.found()).outbox) == 1
    await world.relay(unknown)
    logged = await world.logged([known, unknown])
    assert [len(logged[patient.key]) for patient in (known, unknown)] == [1, 1]
    await equals_the_log(world, [known, unknown])


async def test_a_store_that_is_emptied_under_load_tells_everything_once(world: FoldedWorld):
    patients = [Patient(world) for _ in range(12)]
    keeping = asyncio.create_task(keeps(world))
    messages = {patient.key: [EventId(uuid4()) for _ in range(8)] for patient in patients}

    async def one(patient: Patient) -> None:
        for place, message in enumerate(messages[patient.key]):
            await until_heard(world, patient, patient.refused(2) if place else patient.received(), message)

    async def losing(times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(0.15)
            await world.lose_everything()

    await asyncio.gather(losing(4), *(one(patient) for patient in patients))
    await until(lambda: is_folded(world))
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await equals_the_log(world, patients)
    for key, logged in (await world.logged(patients)).items():
        by_cause = {cause: (sequence, values) for cause, sequence, values in logged}
        assert set(by_cause) == {str(message) for message in messages[key]}
        assert all(by_cause[cause] == (sequence, values) for cause, sequence, values in logged), "one message led to two decisions"
        assert sorted(sequence for sequence, _ in by_cause.values()) == [1, *range(2, 16, 2)]


async def keeps(world: FoldedWorld) -> None:
    while True:
        with contextlib.suppress(Away):
            await world.keeper.keep()
        await asyncio.sleep(0.02)


async def is_folded(world: FoldedWorld) -> bool:
    return all(each.is_folded for each in await world.folding.survey())


class Stalling:
    """A log at whose first chunk its reader stands still, as one that was stopped does."""

    def __init__(self, log: KafkaLog) -> None:
        self._log, self.reached, self.go_on = log, asyncio.Event(), asyncio.Event()

    async def ends(self) -> dict[int, int]:
        return await self._log.ends()

    async def read(self, starts: Mapping[int, int], ends: Mapping[int, int]) -> AsyncIterator[Sequence[LogRecord]]:
        async for chunk in self._log.read(starts, ends):
            yield chunk
            self.reached.set()
            await self.go_on.wait()


async def test_a_fold_that_stands_still_is_taken_over_and_does_no_harm_when_it_goes_on(world: FoldedWorld, stack: Stack):
    patients = await world.a_few_patients()
    after = [await patient.found() for patient in patients]
    await world.lose_everything()
    slow_log = Stalling(KafkaLog(stack.kafka, topics.CASES, "test-slow"))
    slow = world.another_keeper(slow_log)
    stalled = asyncio.create_task(slow.look())
    await asyncio.wait_for(slow_log.reached.wait(), 10)
    await world.redis.delete(TURN)
    await world.fold()
    changed = [await world.hear(patient, patient.refused()) for patient in patients]
    slow_log.go_on.set()
    with pytest.raises((FoldBroken, TurnLost)):
        await stalled
    assert [(await patient.found()).case for patient in patients] == changed
    assert [case.sequence for case in changed] == [each.case.sequence + 1 for each in after]
    await equals_the_log(world, patients)
    await slow_log._log.close()


async def test_a_server_that_restarts_while_it_is_folded_is_folded_again(world: FoldedWorld, stack: Stack, own_valkey: Valkey):
    patients = await world.a_few_patients()
    after = [await patient.found() for patient in patients]
    await world.lose_everything()
    slow_log = Stalling(KafkaLog(stack.kafka, topics.CASES, "test-slow"))
    stalled = asyncio.create_task(world.another_keeper(slow_log).look())
    await asyncio.wait_for(slow_log.reached.wait(), 10)
    own_valkey.stop()
    await own_valkey.start()
    slow_log.go_on.set()
    with pytest.raises(FoldBroken):
        await stalled
    with pytest.raises(Away):
        await patients[0].found()
    await world.redis.delete(TURN)
    await world.fold()
    assert [await patient.found() for patient in patients] == after
    await slow_log._log.close()


async def test_of_two_keepers_one_works_and_the_other_follows_when_it_falls(world: FoldedWorld):
    first = asyncio.create_task(world.keeper.keep())
    await asyncio.sleep(0.2)
    second = asyncio.create_task(world.another_keeper(world.log).keep())
    first.cancel()
    await world.redis.delete("gc:{b000}:folded:cases")
    async with asyncio.timeout(LEASE_MS / 1000 + 5):
        await until(lambda: is_folded(world))
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)


async def test_what_reaches_the_log_after_the_fold_is_brought_in(world: FoldedWorld):
    patient = Patient(world)
    before = await world.hear(patient, patient.received())
    await world.fold()
    message = EventId(uuid4())
    after, late = patient.decided(before, message, patient.refused(2))
    await world.producer.publish(topics.CASES, late.records)
    await world.fold()
    loaded = await patient.found(message)
    assert (loaded.case, loaded.handled) == (after, True)
    await equals_the_log(world, [patient])


async def test_a_case_that_was_decided_on_twice_from_one_state_becomes_what_the_log_says(world: FoldedWorld):
    patient = Patient(world)
    before = await world.hear(patient, patient.received())
    await world.fold()
    lost = EventId(uuid4())
    _, late = patient.decided(before, lost, patient.assessed_green())
    await world.hear(patient, patient.refused(2))  # with the sequence that the other has too
    await world.producer.publish(topics.CASES, late.records)
    await world.fold()
    loaded = await patient.found(lost)
    assert (loaded.handled, loaded.case.sequence, loaded.case.is_live) == (True, 4, False)
    await equals_the_log(world, [patient])
    await world.hear(patient, patient.refused())
    await world.lose_everything()
    await world.fold()
    assert (await patient.found()).case.sequence == 5
    await equals_the_log(world, [patient])


async def test_a_store_put_back_under_a_running_server_is_noticed(world: FoldedWorld):
    patient = Patient(world)
    await world.hear(patient, patient.received())
    await world.fold()
    await world.keeper.say()
    copy = {key: await world.redis.dump(key) async for key in world.redis.scan_iter(match="gc:*")}
    after = await world.hear(patient, patient.refused(2))
    await world.fold()
    await world.keeper.say()
    await world.redis.flushall()
    for key, held in copy.items():
        await world.redis.restore(key, 0, held)
    await world.fold()
    assert (await patient.found()).case == after
    await equals_the_log(world, [patient])


async def test_a_snapshot_spares_the_log_before_it_and_a_damaged_one_does_not(world: FoldedWorld, tmp_path: Path):
    patients = await world.a_few_patients()
    waiting = Patient(world)
    await waiting.hear(waiting.received())  # in its outbox, and not in the log
    await world.fold()
    await world.keeper.take_snapshot()
    await world.hear(patients[0], patients[0].refused())
    after = [await patient.found() for patient in [*patients, waiting]]
    await world.lose_everything()
    await world.fold()
    assert [await patient.found() for patient in [*patients, waiting]] == after
    await world.relay(waiting)
    [snapshot] = await world.snapshots.newest_first()
    assert snapshot.listed.cases >= 5
    for blob in snapshot.listed.blobs:
        (tmp_path / "blobs" / blob.dataref).write_bytes(b"damaged")
    await world.lose_everything()
    await world.fold()
    assert [(await patient.found()).case for patient in [*patients, waiting]] == [each.case for each in after]
    await equals_the_log(world, [*patients, waiting])


async def test_only_the_newest_snapshots_are_kept(world: FoldedWorld, tmp_path: Path):
    await world.a_few_patients()
    for _ in range(5):
        await world.fold()
        await world.keeper.take_snapshot()
        await world.hear(Patient(world), Patient(world).received())
    listed = await world.snapshots.newest_first()
    assert len(listed) == 3
    assert [each.listed.taken_at for each in listed] == sorted((each.listed.taken_at for each in listed), reverse=True)
    stored = {str(path.relative_to(tmp_path / "blobs")) for path in (tmp_path / "blobs/snapshots").rglob("*") if path.is_file()}
    assert stored == {"snapshots/00/cases", *(blob.dataref for each in listed for blob in each.listed.blobs)}


async def test_an_upload_whose_case_is_forgotten_stays_known(world: FoldedWorld):
    patient = Patient(world)
    await world.hear(patient, patient.received(), patient.assessed_green())
    await world.fold()
    await world.redis.delete(*[key async for key in world.redis.scan_iter(match=f"gc:*:*:{patient.case}")])  # as after eight days
    await world.keeper.take_snapshot()
    await world.lose_everything()
    await world.fold()
    assert (await world.store.load(EventId(uuid4()), patient.by_upload())).handled


async def test_who_says_late_how_far_the_log_is_reflected_takes_nothing_back(world: FoldedWorld):
    far = 1_000_000  # no log of a test goes there
    await world.folding.advance({0: far + 7, 1: far + 3})
    await world.folding.advance({0: far + 5, 1: far + 4})
    assert {(each.reflects[0], each.reflects[1]) for each in await world.folding.survey()} == {(far + 7, far + 4)}
