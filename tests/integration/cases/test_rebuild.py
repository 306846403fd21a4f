"""`greenchannel ops rebuild`: --check finds what differs from the log and changes nothing; without it, the log mends it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from services.program import rebuilding
from services.program.ops_commands import app
from services.program.rebuilding import Stores, check, rebuild, stores_of
from services.program.server import Refused
from services.runtime.buckets import prefix
from services.runtime.fence import Lease
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
    assert (await check(stores, no_progress, print)).differing == ()
    changed, untimed = await damaged(world)
    found = await check(stores, no_progress, print)
    assert set(found.differing) == {str(changed.case), str(untimed.case)}
    assert json.loads(found.store[str(changed.case)])["state"]["round"] == 7
    assert json.loads(found.store[str(untimed.case)])["due_ms"] == {}
    assert len(json.loads(found.log[str(untimed.case)])["due_ms"]) == 1
    keeping = asyncio.create_task(keeps(world))
    seen = list[tuple[int, int]]()
    assert await rebuild(stores, lambda done, of: seen.append((done, of)), print) > 10
    assert seen[-1] == (256, 256)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    compared = await check(stores, no_progress, print)
    assert (compared.differing, compared.unknown_to_the_log) == ((), ())
    assert compared.cases >= 6


async def test_where_nobody_lives_who_folds_nothing_is_cleared(world: FoldedWorld, stores: Stores, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rebuilding, "LIVES_WITHIN_S", 0.5)
    await world.a_few_patients()
    before = await held_in(world)
    for held in (False, True):
        await world.redis.delete("gc:lease:cases")
        if held:
            await Lease(world.redis, "cases").take_over()  # and never kept
        with pytest.raises(Refused, match=r"Nobody folds: .* Nothing was cleared"):
            await rebuild(stores, no_progress, print)
    await world.redis.delete("gc:lease:cases")
    assert await held_in(world) == before
    assert all(each.is_folded for each in await world.folding.survey())


async def held_in(world: FoldedWorld) -> set[bytes]:
    return {key async for key in world.redis.scan_iter(match="gc:{b*}:case:*")}


async def test_where_kafka_is_away_nothing_is_cleared(world: FoldedWorld, stores: Stores):
    await world.a_few_patients()
    before = await held_in(world)
    with pytest.raises(Refused, match="Nothing was cleared"):
        await rebuild(Stores("127.0.0.1:1", stores.redis), no_progress, print)
    assert await held_in(world) == before


async def test_where_who_folded_is_gone_after_all_it_is_said_what_was_cleared(world: FoldedWorld, stores: Stores, monkeypatch: pytest.MonkeyPatch):
    await world.a_few_patients()
    monkeypatch.setattr(rebuilding, "TAKEN_WITHIN_S", 0.0)

    async def lives(_: Lease) -> None: ...

    monkeypatch.setattr(rebuilding, "_somebody_lives", lives)
    with pytest.raises(Refused, match=r"Nobody folds: .* [1-9]\d* keys of cases were cleared from Redis; they come back"):
        await rebuild(stores, no_progress, print)


async def test_a_case_that_the_log_does_not_know_is_named(world: FoldedWorld, stores: Stores):
    patient = Patient(world)
    await patient.hear(patient.received())
    for decision in (await patient.found()).outbox:
        await world.store.sent(patient.key, decision)  # and it never was
    assert (await check(stores, no_progress, print)).unknown_to_the_log == (str(patient.case),)


async def test_the_command_prints_the_difference_and_fails(world: FoldedWorld, stores: Stores, tmp_path: Path):
    await damaged(world)
    ports = {"Kafka": int(stores.kafka.rpartition(":")[2]), "Redis": int(stores.redis.rpartition(":")[2].partition("/")[0])}
    (tmp_path / "ports.json").write_text(json.dumps(ports))
    told = await asyncio.to_thread(CliRunner().invoke, app, ["rebuild", "--check", "--data", str(tmp_path)])
    assert told.exit_code == 1, told.output
    assert "different: 2" in told.stdout
    assert '"round":7' in told.stdout
    as_json = await asyncio.to_thread(CliRunner().invoke, app, ["rebuild", "--check", "--json", "--data", str(tmp_path)])
    assert (as_json.exit_code, len(json.loads(as_json.stdout)["different"])) == (1, 2)


def test_without_a_folder_it_is_the_environments_or_the_one_that_every_command_looks_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("KAFKA", "REDIS"):
        monkeypatch.delenv(f"GREENCHANNEL_{name}", raising=False)
    (tmp_path / "greenchannel-data").mkdir()
    (tmp_path / "greenchannel-data/ports.json").write_text('{"Kafka": 1, "Redis": 2}')
    assert stores_of(None) == Stores("127.0.0.1:1", "redis://127.0.0.1:2/0")
    monkeypatch.setenv("GREENCHANNEL_KAFKA", "kafka:9092")
    with pytest.raises(Refused, match="set both"):
        stores_of(None)
    monkeypatch.setenv("GREENCHANNEL_REDIS", "redis://redis:6379/0")
    assert stores_of(None) == Stores("kafka:9092", "redis://redis:6379/0")
    assert stores_of(tmp_path / "greenchannel-data") == Stores("127.0.0.1:1", "redis://127.0.0.1:2/0")


def test_a_folder_without_a_centre_is_refused(tmp_path: Path):
    with pytest.raises(Refused, match="greenchannel up"):
        stores_of(tmp_path)
