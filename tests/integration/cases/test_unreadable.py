"""What another version wrote of cases, as after a rollback, stops nobody: the log has what it was made of."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from contracts.envelope import Record
from contracts.topics import Topic
from services.cases import keeper, snapshots
from services.cases.desk import Desk
from services.cases.folding import Part
from services.cases.unreadable import StateUnreadable
from services.runtime.buckets import prefix
from tests.conftest import Stack
from tests.integration.cases.folded_world import FoldedWorld, folded_world
from tests.integration.cases.store_suite import Patient
from tests.integration.cases.test_fold import TURN, Stalling, equals_the_log, keeps
from tests.integration.cases.valkeys import Valkey
from tests.integration.notify.running import until
from tests.unit.cases.case_world import DIRECTORY


@pytest_asyncio.fixture(loop_scope="session")
async def world(own_valkey: Valkey, stack: Stack, tmp_path: Path) -> AsyncIterator[FoldedWorld]:
    async with folded_world(own_valkey.url, stack.kafka, stack, tmp_path) as each:
        yield each


def of_another_version(state: bytes | str) -> str:
    return json.dumps(json.loads(state) | {"phase": "of_tomorrow"})


async def make_unreadable(world: FoldedWorld, patient: Patient) -> None:
    of_case = f"{prefix(patient.key)}:case:{patient.case}"
    await world.redis.hset(of_case, "state", of_another_version(await world.redis.hget(of_case, "state")))
    with pytest.raises(StateUnreadable):
        await patient.found()


async def can_be_read(patient: Patient) -> bool:
    try:
        await patient.found()
    except StateUnreadable:
        return False
    return True


async def test_a_case_that_cannot_be_read_is_folded_by_who_met_it_whosever_turn_it_is(world: FoldedWorld):
    patients = await world.a_few_patients()
    before = [await patient.found() for patient in patients]
    for patient in patients:
        await make_unreadable(world, patient)
    await world.redis.set(TURN, "another")
    keeping = asyncio.create_task(keeps(world))
    for patient in patients:
        await until(lambda patient=patient: can_be_read(patient))
    keeping.cancel()
    assert [await patient.found() for patient in patients] == before
    await equals_the_log(world, patients)


async def test_a_case_that_cannot_be_read_waits_for_its_outbox_to_be_in_the_log(world: FoldedWorld):
    patient = Patient(world)
    await world.hear(patient, patient.received())
    after = await patient.hear(patient.refused(2))
    await make_unreadable(world, patient)
    await world.keeper.mend_unreadable()
    assert not await can_be_read(patient)
    await world.relay(patient)
    await world.keeper.mend_unreadable()
    loaded = await patient.found()
    assert (loaded.case, loaded.outbox) == (after, ())
    await equals_the_log(world, [patient])


async def test_what_is_decided_while_a_case_is_folded_whole_is_not_lost(world: FoldedWorld):
    patient, slow_log = Patient(world), Stalling(world.log)
    await world.hear(patient, patient.received())
    of_case = f"{prefix(patient.key)}:case:{patient.case}"
    readable = await world.redis.hget(of_case, "state")
    await make_unreadable(world, patient)
    mending = asyncio.create_task(world.another_keeper(slow_log).mend_unreadable())
    await asyncio.wait_for(slow_log.reached.wait(), 10)
    await world.redis.hset(of_case, "state", readable)  # a process of the other version reads it
    after = await world.hear(patient, patient.refused())
    slow_log.go_on.set()
    await mending
    assert (await patient.found()).case == after
    await equals_the_log(world, [patient])


async def test_a_fold_that_meets_a_case_that_cannot_be_read_folds_it_whole(world: FoldedWorld):
    patients = await world.a_few_patients()
    for patient in patients:
        await make_unreadable(world, patient)
        await world.redis.delete(f"{prefix(patient.key)}:folded:cases")
    await world.fold()
    await equals_the_log(world, patients)


async def test_timers_of_a_case_that_cannot_be_read_hold_up_no_other_and_fire_once_it_is_folded(world: FoldedWorld):
    patients, fired = [Patient(world), Patient(world)], set[str]()

    class Fired:
        async def publish(self, topic: Topic | str, records: Sequence[Record]) -> None:
            fired.update(record.key for record in records)

    for patient in patients:
        await world.hear(patient, patient.received(due_in=timedelta(0)))
    await make_unreadable(world, patients[0])
    watching = asyncio.create_task(Desk(world.store, Fired(), lambda: DIRECTORY, world.now).watch())
    await until(lambda: _is(fired >= {patients[1].key}))
    assert not fired >= {patients[0].key}
    keeping = asyncio.create_task(keeps(world))
    await until(lambda: _is(fired >= {patients[0].key}))
    for task in (watching, keeping):
        task.cancel()
    await equals_the_log(world, patients)


async def _is(done: bool) -> bool:
    return done


def _with_another_state(part: Part) -> list[object]:
    return [[of_another_version(each.state.model_dump_json()), dict(each.inbox), []] for each in part.cases]


def _in_another_form(part: Part) -> list[object]:
    return [[each.state.model_dump_json(), dict(each.inbox), [], "more"] for each in part.cases]


@pytest.mark.parametrize("written", [_with_another_state, _in_another_form])
async def test_a_snapshot_of_another_version_is_passed_over(world: FoldedWorld, monkeypatch: pytest.MonkeyPatch, written):
    patients = await world.a_few_patients()
    await world.fold()
    with monkeypatch.context() as other_version:
        other_version.setattr(
            snapshots, "_packed", lambda part: snapshots.gzip.compress("\n".join(json.dumps(each) for each in written(part)).encode())
        )
        await world.keeper.take_snapshot()
    await world.lose_everything()
    await world.fold()
    await equals_the_log(world, patients)


async def test_no_snapshot_is_taken_that_would_lack_a_case(world: FoldedWorld, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keeper, "SNAPSHOT_EVERY_S", 0)
    patient = Patient(world)
    await world.hear(patient, patient.received())
    await make_unreadable(world, patient)
    world.store.unreadable.clear()
    await world.fold()
    assert await world.snapshots.newest_first() == []
    await world.keeper.mend_unreadable()
    await world.fold()
    assert len(await world.snapshots.newest_first()) == 1
