"""One data folder: one user, one format, the same ports again."""

import json
import os
import pickle
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.local import errors
from services.local.data_folder import FORMAT, DataFolder
from services.local.ports import HOST


def test_a_folder_of_another_version_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "GREENCHANNEL_DATA").write_text("7 4711\n")
    with pytest.raises(errors.OtherVersion) as refused:
        DataFolder(tmp_path)
    assert "format 7" in str(refused.value)
    assert f"format {FORMAT}" in str(refused.value)
    assert (tmp_path / "GREENCHANNEL_DATA").read_text() == "7 4711\n"


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(errors.NotADataFolder, match=r"not a Greenchannel data folder.*--data"):
        DataFolder(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["letter.txt"]


def test_a_folder_whose_first_run_was_killed_at_once_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "GREENCHANNEL_DATA").touch()
    with DataFolder(tmp_path) as data:
        assert data.port("Kafka")


def test_a_second_run_on_the_same_folder_is_told_who_has_it(tmp_path: Path) -> None:
    with DataFolder(tmp_path), pytest.raises(errors.FolderInUse, match=f"process {os.getpid()}"):
        DataFolder(tmp_path)
    DataFolder(tmp_path).close()


def test_only_the_owner_can_look_into_the_folder(tmp_path: Path) -> None:
    with DataFolder(tmp_path / "new" / "centre") as data:
        assert data.path.stat().st_mode & 0o777 == 0o700


def test_a_file_where_the_folder_should_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(errors.FolderUnusable, match="--data"):
        DataFolder(tmp_path / "taken")


def test_a_restart_has_the_ports_of_the_run_before(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as data:
        first = [data.port("Kafka"), data.port("Redis")]
        assert [data.port("Kafka"), data.port("Redis")] == first
    with DataFolder(tmp_path) as data:
        assert [data.port("Kafka"), data.port("Redis")] == first


def test_a_port_of_ours_that_somebody_took_meanwhile_is_chosen_anew(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as data:
        before = data.port("Kafka")
    with socket.create_server((HOST, before)), DataFolder(tmp_path) as data:
        assert data.port("Kafka") != before


def test_a_given_port_that_is_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as other, DataFolder(tmp_path) as data:
        port = other.getsockname()[1]
        with pytest.raises(errors.PortInUse, match=f"Port {port}, asked for Kafka"):
            data.port("Kafka", port)


def test_no_two_servers_get_one_port_when_one_is_given_the_port_of_another(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as data:
        kafka = data.port("Kafka")
    with DataFolder(tmp_path) as data:
        assert data.port("HTTP", kafka) == kafka
        assert data.port("Kafka") != kafka


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process
        process.kill()


def test_the_next_run_ends_what_an_earlier_one_left(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    with DataFolder(tmp_path) as data:
        data.remember_children({"kafka": sleeper.pid})
    assert sleeper.poll() is None
    DataFolder(tmp_path).close()
    assert sleeper.wait(0) == -signal.SIGKILL


def test_a_pid_that_is_somebody_elses_by_now_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    with DataFolder(tmp_path) as data:
        data.remember_children({"kafka": sleeper.pid})
    record = tmp_path / "children.json"
    left = json.loads(record.read_text())
    left["children"]["kafka"][1] -= 1  # the process that had this pid started a tick earlier
    record.write_text(json.dumps(left))
    DataFolder(tmp_path).close()
    assert sleeper.poll() is None


@pytest.mark.parametrize(
    "error",
    [
        errors.NoNetwork(3, Path("c"), "ConnectTimeout"),
        errors.JarDamaged("a.jar", "0" * 64),
        errors.FolderUnusable(Path("d"), "why", "what to do"),
        errors.NotADataFolder(Path("d")),
        errors.OtherVersion(Path("d"), "1", "2"),
        errors.FolderInUse(Path("d"), "12"),
        errors.DiskFull(Path("d"), 1, 2),
        errors.PortInUse(1, "Kafka"),
        errors.KafkaNotFormatted(Path("d"), "words"),
        errors.StopAsked(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_says_the_same_after_it_crossed_a_process_border(error: errors.LocalError) -> None:
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
