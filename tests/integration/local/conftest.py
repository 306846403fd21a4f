"""A real Kafka and a real Valkey, on data folders that each test has for itself; the jars come from the cache of whoever runs the tests."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from services.local.data_folder import DataFolder
from services.local.jars import cache_folder
from services.local.stack import StackAddresses, prepare_kafka, start_stack
from services.local.supervisor import Supervisor


@dataclass
class Centre:
    data: DataFolder
    supervisor: Supervisor
    said: list[str] = field(default_factory=list)

    def pid(self, name: str) -> int:
        pid = self.supervisor.status()[name].pid
        assert pid is not None
        return pid

    def until(self, reached: Callable[[], bool]) -> None:
        assert self.supervisor.run(reached, 0.05)

    def start_stack(self, cache: Path) -> StackAddresses:
        return start_stack(self.data, self.supervisor, no_progress, cache=cache)


def no_progress(step: str, done: int, total: int) -> None: ...


@pytest.fixture(scope="session")
def cache() -> Path:
    folder = cache_folder(os.environ)
    prepare_kafka(folder, no_progress)
    return folder


@contextmanager
def open_centre(folder: Path) -> Iterator[Centre]:
    said: list[str] = []
    with DataFolder(folder) as data, Supervisor(data.logs, said.append, data.remember_children, [data.lock_fd]) as supervisor:
        yield Centre(data, supervisor, said)


OpenCentre = Callable[[Path], AbstractContextManager[Centre]]


@pytest.fixture
def centre_at() -> OpenCentre:
    return open_centre


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    with open_centre(tmp_path / "centre") as opened:
        yield opened
