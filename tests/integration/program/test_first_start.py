"""What a data folder's Kafka begins with, and what a later start leaves alone."""

import asyncio
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts import topics
from contracts.access import AccountAdded, ClinicTokenAdded, Role, TokenRevoked, digest_of
from services.program.directory_file import checked_directory_file
from services.program.example_data import DIRECTORY, Files, write_example_data
from services.program.first_start import begin
from services.program.loading import load, publish_access, read_accounts, read_loaded
from services.runtime.errors import ConfigurationError
from tests.conftest import ROOT, Stack
from tests.integration.directories import T0, own_topics

URL, OTHER_URL = "http://127.0.0.1:1", "http://127.0.0.1:2"


@pytest.fixture(autouse=True)
def _own_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    own_topics(monkeypatch)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return write_example_data(tmp_path)


def client(files: Files) -> dict[str, str]:
    return tomllib.loads(files.client.read_text())


async def holder(stack: Stack, token: str) -> str | None:
    """Return whose token it is."""
    access = await read_accounts(stack.kafka)
    found = access.holder(token) if access else None
    return found.clinic_id if isinstance(found, ClinicTokenAdded) else found.person_id if found else None


async def written(stack: Stack) -> list[int]:
    """Return how many records each of the two topics holds."""
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic.name, 0) for topic in (topics.DIRECTORY, topics.ACCESS)]
        ends = await consumer.end_offsets(partitions)
        return [ends[partition] for partition in partitions]
    finally:
        await consumer.stop()


async def test_at_first_the_example_is_loaded_and_its_tokens_hold(stack: Stack, files: Files):
    assert await begin(stack.kafka, files, URL, T0) == ()
    assert await read_loaded(stack.kafka) == checked_directory_file(files.directory, T0)
    told = client(files)
    assert told["url"] == URL
    assert await holder(stack, told["clinic_token"]) == told["clinic"] == "demo-clinic"
    assert await holder(stack, told["person_token"]) == told["person"] == "demo-cardiologist"


async def test_a_later_start_writes_nothing_but_the_address(stack: Stack, files: Files):
    await begin(stack.kafka, files, URL, T0)
    known, before = client(files), await written(stack)
    assert await begin(stack.kafka, files, OTHER_URL, T0) == ()
    assert client(files) == known | {"url": OTHER_URL}
    assert await written(stack) == before


@pytest.mark.parametrize("new", [DIRECTORY.replace("example-1", "ours"), DIRECTORY.replace("555-0100", "555-0199")])
async def test_a_file_that_says_something_else_is_not_loaded_by_itself_but_said(stack: Stack, files: Files, new: str):
    await begin(stack.kafka, files, URL, T0)
    was = await read_loaded(stack.kafka)
    files.directory.write_text(new)
    (said,) = await begin(stack.kafka, files, URL, T0)
    assert "directory load" in said
    assert await read_loaded(stack.kafka) == was
    assert await load(stack.kafka, *checked_directory_file(files.directory, T0), T0)
    assert await begin(stack.kafka, files, URL, T0) == ()


async def test_where_a_file_from_elsewhere_is_loaded_nobody_is_invited_to_load_the_example_back(stack: Stack, files: Files, tmp_path: Path):
    await begin(stack.kafka, files, URL, T0)
    elsewhere = tmp_path / "ours.yaml"
    elsewhere.write_text(DIRECTORY.replace("example-1", "ours"))
    await load(stack.kafka, *checked_directory_file(elsewhere, T0), T0)
    assert await begin(stack.kafka, files, URL, T0) == ()
    files.directory.write_text(DIRECTORY.replace("example-1", "ours-2"))
    (said,) = await begin(stack.kafka, files, URL, T0)
    assert "(version ours-2) differs from what is loaded (ours)" in said
    assert str(files.directory) not in said.partition("To load a file:")[2]


@pytest.mark.parametrize("text", ["version: [", "version: !!timestamp foo"])
async def test_a_file_that_cannot_be_read_stops_the_first_start_and_no_later_one(stack: Stack, files: Files, text: str):
    files.directory.write_text(text)
    with pytest.raises(ConfigurationError, match=r"directory\.yaml"):
        await begin(stack.kafka, files, URL, T0)
    assert await read_loaded(stack.kafka) == (None, None)
    files.directory.write_text(DIRECTORY)
    await begin(stack.kafka, files, URL, T0)
    files.directory.write_text(text)
    (said,) = await begin(stack.kafka, files, URL, T0)
    assert "the loaded directory (example-1) goes on" in said
    assert "directory check" in said


async def test_where_client_toml_was_deleted_there_are_new_tokens_and_the_old_ones_hold(stack: Stack, files: Files):
    await begin(stack.kafka, files, URL, T0)
    old = client(files)
    files.client.unlink()
    await begin(stack.kafka, files, URL, T0)
    new = client(files)
    assert new["person_token"] != old["person_token"]
    assert {await holder(stack, each["person_token"]) for each in (old, new)} == {"demo-cardiologist"}


async def test_where_the_directory_has_no_example_clinic_no_token_of_it_is_made(stack: Stack, files: Files):
    files.directory.write_text(DIRECTORY.replace("demo-clinic", "dongshan"))
    await begin(stack.kafka, files, URL, T0)
    assert "clinic_token" not in client(files)
    assert await holder(stack, client(files)["person_token"]) == "demo-cardiologist"


async def test_tokens_that_lay_in_a_file_before_are_taken_over_once(stack: Stack, files: Files):
    files.earlier_access.write_text(
        f"clinics:\n- {{token_sha256: {digest_of('c')}, clinic: dongshan}}\npeople:\n- {{token_sha256: {digest_of('p')}, person: li}}\n"
    )
    files.client.write_text('url = "http://old"\nclinic_token = "c"\n')
    (said,) = await begin(stack.kafka, files, URL, T0)
    assert "taken over" in said
    assert (await holder(stack, "c"), await holder(stack, "p")) == ("dongshan", "li")
    access = await read_accounts(stack.kafka)
    assert access is not None
    assert [each.roles for each in access.holders() if isinstance(each, AccountAdded)] == [(Role.CLINICIAN,)]
    assert client(files) == {"url": URL, "clinic_token": "c"}
    await publish_access(stack.kafka, [TokenRevoked(at=T0, token_sha256=digest_of("p"))])
    assert await begin(stack.kafka, files, URL, T0) == ()
    assert await holder(stack, "p") is None


@pytest.mark.parametrize("text", ["clinics: [{clinic: dongshan}]", "clinics: !!int foo", "clinics: !!timestamp foo"])
async def test_a_damaged_file_of_tokens_is_said_and_its_clinics_are_not_locked_out_silently(stack: Stack, files: Files, text: str):
    files.earlier_access.write_text(text)
    with pytest.raises(ConfigurationError, match="its tokens would be lost"):
        await begin(stack.kafka, files, URL, T0)


async def test_no_thread_is_left_in_a_process_that_is_going_to_fork(stack: Stack, tmp_path: Path):
    code = f"""
import asyncio, pathlib, threading
from datetime import UTC, datetime
from services.program.example_data import write_example_data
from services.program.first_start import begin
asyncio.run(begin({stack.kafka!r}, write_example_data(pathlib.Path({str(tmp_path)!r})), "http://x", datetime.now(UTC)))
print(threading.active_count(), len(list(pathlib.Path("/proc/self/task").iterdir())))
"""
    program = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=ROOT, stdout=subprocess.PIPE)
    told, _ = await program.communicate()
    assert told.decode().splitlines()[-1] == "1 1"
