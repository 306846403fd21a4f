"""The driver's own journal: what it was answered and what it did, a JSON line each, on the disk before anything follows from it."""

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts.vocabulary import Frozen, Instant


class Entry(Frozen):
    """A line of it. What is not of its kind is None."""

    kind: str
    at: Instant


class Accepted(Entry):
    """A 202. serial: which recording it was; the same one sent again has the same."""

    serial: int
    upload_id: str
    lane: str


class Answered(Entry):
    """A command that was answered with 200 or 202."""

    case_id: str
    command: str
    by: str
    command_id: str
    status: int


class Fault(Entry):
    """What was done to the centre. kills: processes that were killed with -9 by it."""

    name: str
    target: str
    kills: int = 0
    lasted_s: float | None = None


class Readiness(Entry):
    """All services said that they are ready, or one of them did not. It holds until the next such line."""

    ready: bool


KINDS: dict[str, type[Entry]] = {"accepted": Accepted, "answered": Answered, "fault": Fault, "readiness": Readiness}


class Journal:
    """Written by any number of threads."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self._turn = threading.Lock()

    def write(self, kind: str, **told: Any) -> None:
        """Return when the line is on the disk."""
        line = json.dumps({"kind": kind, "at": datetime.now(UTC).isoformat(), **told}, ensure_ascii=False).encode() + b"\n"
        with self._turn:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def read_journal(path: Path) -> list[Entry]:
    """Return its lines in their order; ValueError for one that cannot be read."""
    return [KINDS[json.loads(line)["kind"]].model_validate_json(line) for line in path.read_bytes().splitlines()]
