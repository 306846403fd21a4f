"""The local pager's file, shown on `up`'s terminal as it grows. It is shown for company only: whatever lies in it ends nothing."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from services.notify.text import FIRST_WORDS
from services.program.show import STYLES, plain
from services.program.typed import typed

READ_AT_ONCE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class _Page:
    person: str
    round: int
    text: str
    case_id: str | None


class Pages:
    def __init__(self, path: Path, data: Path, talk: Console) -> None:
        self._path, self._data, self._talk = path, data, talk
        self._warned = set[str]()
        self._file: tuple[int, int] | None = None  # device and inode of the file that is read
        self._at = self._line_at = 0
        self._guarded(self._skip_to_end)

    def show_new(self) -> bool:
        """Show what was appended since the last look; return False: there may always be more."""
        self._guarded(self._look)
        return False

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the children of this process must go on being looked after
            why = error.strerror if isinstance(error, OSError) else None
            self._warn(f"{self._path} cannot be shown ({why or type(error).__name__}); pages go out all the same.")

    def _skip_to_end(self) -> None:
        if self._path.exists():
            found = self._path.stat()
            self._file, self._at, self._line_at = (found.st_dev, found.st_ino), found.st_size, found.st_size

    def _look(self) -> None:
        if not self._path.exists() or not self._find_place(self._path.stat()):
            return
        with self._path.open("rb") as file:
            file.seek(self._at)
            read = file.read(READ_AT_ONCE_BYTES)
        whole, end, rest = read.rpartition(b"\n")
        if not end and len(rest) == READ_AT_ONCE_BYTES:
            self._at += len(rest)
            self._pass_over()
            return
        for line in whole.split(b"\n") if end else ():
            self._line_at, self._at = self._at, self._at + len(line) + 1  # before it is shown: what cannot be shown is not tried again
            self._show(line)

    def _find_place(self, found: os.stat_result) -> bool:
        """Return whether there is more to read. A file that was moved away or emptied is read from its beginning."""
        this = (found.st_dev, found.st_ino)
        if found.st_size == self._line_at and this == self._file:
            self._at = self._line_at  # nothing new, or the pager took back the last line, which it could not keep
        elif found.st_size < self._at or this != self._file:
            self._at = self._line_at = 0
        self._file = this
        return found.st_size > self._at

    def _show(self, line: bytes) -> None:
        page = _page(line)
        if page is None:
            self._pass_over()
            return
        asks_for_an_answer = page.text.startswith(tuple(FIRST_WORDS.values()))
        kind = f"[{STYLES['red']}] PAGE [/]" if asks_for_an_answer else "[dim] note [/]"
        self._talk.print(f"{kind} {plain(page.person)}, round {page.round}: {plain(page.text)}", highlight=False)
        if page.case_id and asks_for_an_answer:
            self._talk.print(f"       {plain(typed('case', 'ack', page.case_id, data=self._data))}", style="dim", highlight=False, soft_wrap=True)

    def _pass_over(self) -> None:
        """A line may be torn by a crash, and its page is sent again, whole; or somebody else wrote it."""
        self._warn(f"A line of {self._path} is no page, and is passed over here; so are others like it.")

    def _warn(self, sentence: str) -> None:
        if sentence not in self._warned:
            self._warned.add(sentence)
            self._talk.print(plain(sentence), style="yellow", highlight=False, soft_wrap=True)


def _page(line: bytes) -> _Page | None:
    """Return the page that a line is; None for a line that is none."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match told:
        case {"person": str() as person, "round": int() as number, "text": str() as text, "case_id": (str() | None) as case_id}:
            return _Page(person, number, text, case_id)
        case _:
            return None
