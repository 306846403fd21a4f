"""The embedded stack as real processes: it starts, keeps what it was told, and says clearly why it cannot start."""

import asyncio
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis import Redis

from services.local import errors, jars
from services.local.kafka import kafka_answers
from services.local.stack import StackAddresses, prepare_kafka, start_stack
from services.local.valkey import valkey_answers
from tests.integration.local.conftest import Centre, OpenCentre, no_progress

ROOT = Path(__file__).parents[3]
NOBODY = "http://127.0.0.1:9"  # a proxy that does not answer: no network
RECORDS = [b"one", b"two", b"three"]


async def write(kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic("cases.v1", 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True) as producer:
        for record in RECORDS:
            await producer.send_and_wait("cases.v1", record, key=b"patient")


async def read(kafka: str) -> list[bytes | None]:
    async with AIOKafkaConsumer("cases.v1", bootstrap_servers=kafka, auto_offset_reset="earliest") as consumer:
        return [(await consumer.getone()).value for _ in RECORDS]


def redis_of(addresses: StackAddresses) -> Redis:
    return Redis.from_url(addresses.redis, protocol=2)


def both_answer(addresses: StackAddresses) -> bool:
    return kafka_answers(int(addresses.kafka.rpartition(":")[2])) and valkey_answers(urlsplit(addresses.redis).port or 0)


def kill_both(centre: Centre) -> None:
    for name in ("kafka", "valkey"):
        os.kill(centre.pid(name), signal.SIGKILL)


def test_what_was_acknowledged_is_there_after_both_were_killed(tmp_path: Path, cache: Path, centre_at: OpenCentre) -> None:
    folder = tmp_path / "县医院 centre"  # a name with a space and in another script
    with centre_at(folder) as centre:
        before = centre.start_stack(cache)
        asyncio.run(write(before.kafka))
        redis_of(before).set("case", "open")
        kill_both(centre)
    tail = next((folder / "valkey" / "appendonlydir").glob("*.incr.aof"))
    with tail.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nca")  # what a kill amid a write leaves
    with centre_at(folder) as centre:
        after = centre.start_stack(cache)
        assert after == before
        assert asyncio.run(read(after.kafka)) == RECORDS
        assert redis_of(after).get("case") == b"open"


def test_kafka_and_valkey_come_back_by_themselves(centre: Centre, cache: Path) -> None:
    addresses = centre.start_stack(cache)
    asyncio.run(write(addresses.kafka))
    redis_of(addresses).set("case", "open")
    kill_both(centre)
    centre.until(lambda: all(child.restarts == 1 for child in centre.supervisor.status().values()))
    centre.until(lambda: both_answer(addresses))
    assert asyncio.run(read(addresses.kafka)) == RECORDS
    assert redis_of(addresses).get("case") == b"open"


def test_the_environment_lines_name_what_serves(centre: Centre, cache: Path) -> None:
    lines = centre.start_stack(cache).as_environment()
    assert kafka_answers(int(lines["GREENCHANNEL_KAFKA"].rpartition(":")[2]))
    assert Redis.from_url(lines["GREENCHANNEL_REDIS"], protocol=2).config_get("appendfsync") == {"appendfsync": "always"}
    assert lines["GREENCHANNEL_BLOBS"] == (centre.data.path / "blobs").as_uri()


PARENT = """
import os, signal, sys
from pathlib import Path
from tests.integration.local.conftest import open_centre
with open_centre(Path(sys.argv[1])) as centre:
    centre.start_stack(Path(sys.argv[2]))
    centre.supervisor.add_service("cases", signal.pause)
    print(*(child.pid for child in centre.supervisor.status().values()), flush=True)
    centre.supervisor.run(lambda: False)
"""


def test_nothing_outlives_a_killed_parent_and_the_folder_can_be_used_at_once(tmp_path: Path, cache: Path, centre_at: OpenCentre) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path), str(cache)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [os.pidfd_open(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(children) == 3
        parent.kill()
        parent.wait()
    for child in children:
        assert select.select([child], [], [], 10)[0], "a child outlives its parent"
        os.close(child)
    with centre_at(tmp_path) as centre:
        assert centre.start_stack(cache)


def test_a_given_port_that_is_taken_is_a_sentence_and_nothing_is_started(centre: Centre, cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(errors.PortInUse, match=f"Port {port}, asked for Redis"):
            start_stack(centre.data, centre.supervisor, no_progress, cache=cache, redis_port=port)
    assert centre.supervisor.status() == {}


def test_no_network_on_the_first_start_is_a_sentence_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", NOBODY)
    monkeypatch.setenv("https_proxy", NOBODY)
    with pytest.raises(errors.NoNetwork, match=r"46 of Kafka's jars .* HTTPS_PROXY") as failed:
        prepare_kafka(tmp_path, no_progress)
    assert str(tmp_path) in str(failed.value)


def test_once_the_jars_are_there_no_network_is_needed(cache: Path, centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", NOBODY)
    monkeypatch.setenv("https_proxy", NOBODY)
    assert centre.start_stack(cache)


@pytest.fixture
def half_fetched(tmp_path: Path, cache: Path) -> Path:
    """A cache whose download was cut off: most jars, half of one, none of another, and what lay half done beside them."""
    whole, folder = jars.kafka_folder(cache), jars.kafka_folder(tmp_path)
    folder.mkdir()
    half, none, *others = sorted(jars.locked_jars(), key=lambda jar: jar.size_bytes)
    for jar in others:
        (folder / jar.name).symlink_to(whole / jar.name)
    (folder / half.name).write_bytes((whole / half.name).read_bytes()[:100])
    (folder / "staging" / none.artifact).mkdir(parents=True)
    (folder / "staging" / none.artifact / none.name).write_bytes(b"PK")
    return tmp_path


FETCH = """
import sys
from pathlib import Path
from services.local.jars import cache_lock, fetch_jars, kafka_folder
from tests.integration.local.conftest import no_progress
with cache_lock(Path(sys.argv[1]), no_progress):
    fetch_jars(kafka_folder(Path(sys.argv[1])), no_progress)
"""


def test_a_download_that_was_cut_off_heals_even_when_two_start_at_once(half_fetched: Path, cache: Path) -> None:
    starts = [subprocess.Popen([sys.executable, "-c", FETCH, str(half_fetched)], cwd=ROOT) for _ in range(2)]
    assert [start.wait() for start in starts] == [0, 0]
    folder = jars.kafka_folder(half_fetched)
    assert jars.missing_jars(folder) == []
    assert {jar.read_bytes() == (jars.kafka_folder(cache) / jar.name).read_bytes() for jar in jars.class_path(folder)} == {True}
    assert not (folder / "staging").exists()


def test_a_jar_that_is_not_the_one_in_the_lock_is_not_kept(half_fetched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = half_fetched / "kafka.lock"
    smallest = min(jars.locked_jars(), key=lambda jar: jar.size_bytes)
    folder = jars.kafka_folder(half_fetched)
    lock.write_text(jars.LOCK.read_text().replace(smallest.sha256, "0" * 64))
    monkeypatch.setattr(jars, "LOCK", lock)
    with pytest.raises(errors.JarDamaged, match=smallest.name):
        jars.fetch_jars(folder, no_progress)
    assert smallest.name in {jar.name for jar in jars.missing_jars(folder)}


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system with room for nothing much; only root may mount one."""
    folder = Path(tempfile.mkdtemp())
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run([mount, "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(folder)], capture_output=True, check=False).returncode != 0
    ):
        folder.rmdir()
        pytest.skip("a small file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


def fill(folder: Path, leave_mib: int) -> Path:
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - leave_mib * 2**20)
    return ballast


def test_a_full_disk_is_a_sentence(small_disk: Path, centre_at: OpenCentre) -> None:
    fill(small_disk, leave_mib=20)
    with pytest.raises(errors.DiskFull, match=r"20 MiB free, 256 MiB are needed"), centre_at(small_disk / "centre"):
        pass
    with pytest.raises(errors.DiskFull, match=r"20 MiB free, 200 MiB are needed"):
        prepare_kafka(small_disk / "cache", no_progress)


def test_a_disk_that_fills_up_loses_nothing_and_heals_when_there_is_room(small_disk: Path, cache: Path, centre_at: OpenCentre) -> None:
    with centre_at(small_disk / "centre") as centre:
        addresses = centre.start_stack(cache)
        asyncio.run(write(addresses.kafka))
        redis_of(addresses).set("case", "open")
        ballast = fill(small_disk, leave_mib=0)
        kill_both(centre)
        centre.until(lambda: any("No space left" in said for said in centre.said))
        ballast.unlink()
        centre.until(lambda: both_answer(addresses))
        assert asyncio.run(read(addresses.kafka)) == RECORDS
        assert redis_of(addresses).get("case") == b"open"
