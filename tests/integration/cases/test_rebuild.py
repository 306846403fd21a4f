"""`greenchannel ops rebuild`: --check finds what differs from the log and changes nothing; without it, the log mends it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from services.program.ops_commands import app
from services.program.rebuilding import Stores, check, rebuild, stores_of
from services.program.server import Refused
from services.runtime.buckets import prefix
from tests.conftest import Stack
from tests.integration.cases.folded_world import FoldedWorld, folded_world
from tests.integration.cases.store_suite import Patient
from tests.integration.cases.test_fold import keeps
from tests.integration.cases.valkeys import Valkey


@pytest_asyncio.fixture(loop_scope="session")
async def world(own_valkey: Valkey, stack: Stack, tmp_path: Path) -> AsyncIterator[FoldedWorld]:
    async with folded_world(own_valkey.url, stack.kafka, stack, tmp_path) as each:
        yield each


@pytest.fixture
def stores(own_valkey: Valkey, stack: Stack) -> Stores:
    return Stores(stack.kafka, own_valkey.url)


def no_progress(done: int, of: int) -> None: ...


async def damaged(world: FoldedWorld) -> tuple[Patient, Patient]:
    """Two patients: the state of one's case was changed by nobody that the log knows, the other has lost a timer."""
    changed, untimed = Patient(world), Patient(world)
    for patient in (changed, untimed):
        await world.hear(patient, patient.received(), patient.refused())
    state = (await changed.found()).case.model_copy(update={"round": 7})
    await world.redis.hset(f"{prefix(changed.key)}:case:{changed.case}", "state", state.model_dump_json())
    due = f"{prefix(untimed.key)}:due"  # others share the bucket
    await world.redis.zrem(due, *[timer for timer in await world.redis.zrange(due, 0, -1) if timer.startswith(str(untimed.case).encode())])
    return changed, untimed


async def test_a_check_names_what_differs_and_a_rebuild_mends_it(world: FoldedWorld, stores: Stores):
    await world.a_few_patients()
    assert (await check(stores, no_progress)).differing == ()
    changed, untimed = await damaged(world)
    found = await check(stores, no_progress)
    assert set(found.differing) == {str(changed.case), str(untimed.case)}
    assert json.loads(found.store[str(changed.case)])["state"]["round"] == 7
    assert json.loads(found.store[str(untimed.case)])["due_ms"] == {}
    assert len(json.loads(found.log[str(untimed.case)])["due_ms"]) == 1
    keeping = asyncio.create_task(keeps(world))
    seen = list[tuple[int, int]]()
    assert await rebuild(stores, lambda done, of: seen.append((done, of))) > 10
    assert seen[-1] == (256, 256)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    compared = await check(stores, no_progress)
    assert (compared.differing, compared.unknown_to_the_log) == ((), ())
    assert compared.cases >= 6


async def test_a_case_that_the_log_does_not_know_is_named(world: FoldedWorld, stores: Stores):
    patient = Patient(world)
    await patient.hear(patient.received())
    for decision in (await patient.found()).outbox:
        await world.store.sent(patient.key, decision)  # and it never was
    assert (await check(stores, no_progress)).unknown_to_the_log == (str(patient.case),)


async def test_the_command_prints_the_difference_and_fails(world: FoldedWorld, stores: Stores, tmp_path: Path):
    await damaged(world)
    ports = {"Kafka": int(stores.kafka.rpartition(":")[2]), "Redis": int(stores.redis.rpartition(":")[2].partition("/")[0])}
    (tmp_path / "ports.json").write_text(json.dumps(ports))
    told = await asyncio.to_thread(CliRunner().invoke, app, ["rebuild", "--check", "--data", str(tmp_path)])
    assert told.exit_code == 1, told.output
    assert "different: 2" in told.stdout
    assert '"round":7' in told.stdout


def test_a_folder_without_a_centre_is_refused(tmp_path: Path):
    with pytest.raises(Refused, match="greenchannel up"):
        stores_of(tmp_path)
