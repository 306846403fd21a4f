"""What another version wrote of cases, as after a rollback, stops nobody: the log has what it was made of."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from contracts import topics
from contracts.envelope import Record
from contracts.topics import Topic
from services.cases import keeper, snapshots
from services.cases.desk import Desk
from services.cases.fold import LogRecord
from services.cases.folding import Log, Part
from services.runtime import fence
from services.runtime.buckets import prefix
from services.runtime.errors import Away
from services.runtime.kafka_log import KafkaLog
from services.runtime.messages import ATTEMPTS, Message
from services.runtime.settling import Settler, read_message
from tests.conftest import Stack
from tests.integration.cases.folded_world import FoldedWorld, folded_world
from tests.integration.cases.store_suite import Patient
from tests.integration.cases.test_fold import TURN, Stalling, equals_the_log, is_folded, keeps
from tests.integration.cases.valkeys import Valkey
from tests.integration.notify.running import until
from tests.unit.cases.case_world import DIRECTORY
from tests.unit.runtime.test_settling import Counting, Letters, copies


@pytest_asyncio.fixture(loop_scope="session")
async def world(own_valkey: Valkey, stack: Stack, tmp_path: Path) -> AsyncIterator[FoldedWorld]:
    async with folded_world(own_valkey.url, stack.kafka, stack, tmp_path) as each:
        yield each


def of_another_version(state: bytes | str) -> str:
    return json.dumps(json.loads(state) | {"phase": "of_tomorrow"})


async def make_unreadable(world: FoldedWorld, patient: Patient) -> None:
    of_case = f"{prefix(patient.key)}:case:{patient.case}"
    await world.redis.hset(of_case, "state", of_another_version(await world.redis.hget(of_case, "state")))
    assert not await can_be_read(patient)


async def can_be_read(patient: Patient) -> bool:
    try:
        await patient.found()
    except Away:
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


class Long:
    """A log that is long: read from its beginning, as for a case that is folded whole, it takes longer than a turn lasts."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def ends(self) -> dict[int, int]:
        return await self._log.ends()

    async def read(self, starts: Mapping[int, int], ends: Mapping[int, int]) -> AsyncIterator[Sequence[LogRecord]]:
        left = 0 if starts else 8
        async for chunk in self._log.read(starts, ends):
            for _, of_case in itertools.groupby(chunk, key=lambda record: dict(record.headers)["ce_subject"]):
                if left:
                    await asyncio.sleep(fence.LEASE_MS / 1000 / 3)
                    left -= 1
                yield list(of_case)


async def test_of_two_that_fold_one_comes_to_an_end_however_long_a_torn_case_takes(world: FoldedWorld, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fence, "LEASE_MS", 1500)
    monkeypatch.setattr(keeper, "HOLD_EVERY_S", 0.1)
    monkeypatch.setattr(keeper, "LOOK_EVERY_S", 0.1)
    patients = [Patient(world) for _ in range(8)]
    for patient in patients:
        await world.hear(patient, patient.received(), patient.refused())
        await make_unreadable(world, patient)
        await world.redis.delete(f"{prefix(patient.key)}:folded:cases")
    await world.redis.delete(TURN)
    logs = [KafkaLog(world.kafka, topics.CASES, f"test-{name}") for name in ("one", "other")]
    keeping = [asyncio.create_task(world.another_keeper(Long(each)).keep()) for each in logs]
    await until(lambda: is_folded(world))
    for task, log in zip(keeping, logs, strict=True):
        task.cancel()
        await log.close()
    await equals_the_log(world, patients)


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


async def test_a_message_for_a_case_that_cannot_be_read_waits_for_it_and_is_no_dead_letter(world: FoldedWorld):
    patient = Patient(world)
    before = await world.hear(patient, patient.received())
    of_case = f"{prefix(patient.key)}:case:{patient.case}"
    await world.redis.hset(of_case, "state", "{")  # not even the patient's key can be told of it
    attempts = list[Away]()

    async def handle(message: Message) -> None:
        try:
            with world.in_hand.one():
                await patient.hear(patient.refused(), message.envelope.id)
                await world.relay(patient)
        except Away as away:
            attempts.append(away)
            raise

    letters = Letters()
    settler = Settler(topics.COMMANDS, "test", handle, Counting(), letters, read_message, begins_early=True)
    settling = asyncio.create_task(settler.settle(copies()[0], is_new=False))
    await until(lambda: _is(len(attempts) > ATTEMPTS))
    keeping = asyncio.create_task(keeps(world))
    await settling
    keeping.cancel()
    assert (letters.found, (await patient.found()).case.sequence) == ([], before.sequence + 1)
    await equals_the_log(world, [patient])


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
