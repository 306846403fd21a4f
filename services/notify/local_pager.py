"""The local pager: a file of JSON lines, one a notice, on the disk before anybody is told that it was sent."""

import fcntl
import json
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from services.notify.notice import Notice
from services.runtime.errors import Away

REMEMBERS = 100_000
READS_BACK_BYTES = 16 * 1024 * 1024


class LocalPager:
    """Appends a notice at most once, whoever else writes to the file or moves it away. Blocks: call it in a thread, one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: OrderedDict[str, None] = OrderedDict()
        self._read_of: tuple[int, int] | None = None  # device and inode of the file that was read
        self._read_to = 0

    def append(self, notice: Notice, at: datetime) -> bool:
        """Write one line and return when it is on the disk; False where its id stands there already. Raises Away: try again."""
        try:
            with self._locked() as descriptor:
                self._read_new(descriptor)
                if str(notice.notice_id) in self._known:
                    os.fsync(descriptor)  # its writer may have died before
                    return False
                self._write(descriptor, _line(notice, at))
                self._remember(str(notice.notice_id))
                return True
        except OSError as error:
            raise Away("pager", error.strerror or type(error).__name__) from error

    @contextmanager
    def _locked(self) -> Iterator[int]:
        new = not self._path.exists()
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if new:
                _fsync_folder(self._path.parent)
            yield descriptor
        finally:
            os.close(descriptor)

    def _read_new(self, descriptor: int) -> None:
        """Learn the ids of lines that others wrote, or an earlier self; a file that is new or shorter is read from its start."""
        found = os.fstat(descriptor)
        this = (found.st_dev, found.st_ino)
        if this != self._read_of or found.st_size < self._read_to:
            self._read_of, self._read_to = this, max(0, found.st_size - READS_BACK_BYTES)
        unread = os.pread(descriptor, found.st_size - self._read_to, self._read_to)
        for line in unread.splitlines():
            with suppress(ValueError, KeyError, TypeError):  # torn, or not ours: it names no notice
                self._remember(str(json.loads(line)["notice_id"]))
        self._read_to = found.st_size

    def _write(self, descriptor: int, line: bytes) -> None:
        """Write in one piece, to the disk; what was written of it is taken back where that fails."""
        size = self._read_to
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        whole = b"\n" + line if torn else line
        try:
            if os.write(descriptor, whole) != len(whole):
                raise OSError(28, "No space left on device")
            os.fsync(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
        self._read_to = size + len(whole)

    def _remember(self, notice_id: str) -> None:
        self._known[notice_id] = None
        if len(self._known) > REMEMBERS:
            self._known.popitem(last=False)


def _line(notice: Notice, at: datetime) -> bytes:
    told = {
        "notice_id": str(notice.notice_id),
        "case_id": str(notice.case_id) if notice.case_id else None,
        "person": notice.person,
        "method": notice.method,
        "round": notice.round,
        "at": at.isoformat(),
        "text": notice.text,
    }
    return json.dumps(told, ensure_ascii=False).encode() + b"\n"


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
