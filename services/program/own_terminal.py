"""The terminal of a program that others stand on: whatever becomes of it (gone, full, stopped), what is shown there ends and holds up nothing."""

import io
import os
import select
import sys
from contextlib import suppress
from typing import TextIO

from rich.console import Console

PIECE_BYTES = 512  # what a pipe takes whole once it takes anything; a terminal may have room for less
WAITS_S = 0.2


class _Patient(io.RawIOBase):
    """A descriptor to which everything can be written: what it does not take within a moment is dropped."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._waits_s = descriptor, WAITS_S
        self._piece_bytes = 1 if os.isatty(descriptor) else PIECE_BYTES

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def write(self, told: bytes, /) -> int:  # type: ignore[override]
        left = memoryview(told)
        with suppress(OSError, ValueError):  # there is nobody left to tell; the logs have what matters
            while left and self._takes_more():
                left = left[os.write(self._descriptor, left[: self._piece_bytes]) :]
        return len(told)

    def _takes_more(self) -> bool:
        """Return whether a piece can be written at once: a reader that has stopped is waited for once, not at each piece."""
        _, ready, _ = select.select([], [self._descriptor], [], self._waits_s)
        self._waits_s = WAITS_S if ready else 0.0
        return bool(ready)


def unfailing(stream: TextIO | None) -> Console:
    """Return a console that shows what it can on a stream, and never raises or blocks for it."""
    try:
        if stream is None:
            raise OSError("it was closed before we began")
        descriptor, encoding = stream.fileno(), stream.encoding
    except (OSError, ValueError):
        return Console(file=io.StringIO(), quiet=True)
    shown = io.TextIOWrapper(_Patient(descriptor), encoding=encoding, errors="backslashreplace", write_through=True)  # type: ignore[type-var]
    return Console(file=shown)


def keep_standard_streams() -> None:
    """Have something under 0, 1 and 2, where a program was started without: else the next file that is opened is written to as a terminal."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it takes the lowest that is free: this one


talk = unfailing(sys.__stderr__)
