"""What services log is listened to while a test of the simulation runs, and as before after it."""

import gc
from collections.abc import Iterator

import pytest
import structlog

from tests.sim.schedule import listen_to_logs


@pytest.fixture(autouse=True)
def _logs_are_listened_to() -> Iterator[None]:
    before = structlog.get_config()
    listen_to_logs()
    yield
    structlog.configure(**before)
    gc.unfreeze()
