"""The pager's file on the terminal of `up`: pages are shown as they come, and nothing that lies in the file ends anything."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from services.program.pages_shown import READ_AT_ONCE_BYTES, Pages

CASE = "3cdccb8e-cbca-5668-bd53-1dae47c0cae7"
PAGE = {"notice_id": CASE, "case_id": CASE, "person": "ann", "method": "local", "round": 1, "at": "2026-03-01T03:00:00+00:00"}
WARNING = "is no page, and is passed over"


def line(text: str, **other: object) -> bytes:
    return json.dumps(PAGE | {"text": text} | other).encode() + b"\n"


class Shown:
    """A pager's file and what is shown of it."""

    def __init__(self, folder: Path) -> None:
        self.file, self._screen = folder / "pager.jsonl", io.StringIO()
        self.file.write_bytes(line("RED: before"))
        self._pages = Pages(self.file, folder, Console(file=self._screen, width=500))

    def add(self, content: bytes) -> str:
        with self.file.open("ab") as file:
            file.write(content)
        return self.look()

    def look(self) -> str:
        """Return what is shown at the next look."""
        self._screen.seek(0)
        self._screen.truncate()
        assert self._pages.show_new() is False
        return self._screen.getvalue()


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    return Shown(tmp_path)


def test_a_page_is_shown_once_with_how_to_answer_and_what_lay_there_before_is_not(shown: Shown):
    assert shown.look() == ""
    said = shown.add(line("RED: STEMI"))
    assert "PAGE  ann, round 1: RED: STEMI" in said
    assert f"case ack {CASE}" in said
    assert shown.look() == ""
    note = shown.add(line("ann has it in hand."))
    assert "note  ann" in note
    assert "case ack" not in note


NO_PAGES = [
    b"{}\n", b"[]\n", b"7\n", b"null\n", b"\n", b"\xff\xfe\n", b"RED\n", b"[" * 100_000 + b"\n",
    line("RED: x", person=None), line("RED: x", round="one"), line("RED: x", case_id=7), line("RED: x").replace(b'"case_id"', b'"case"'),
    b"x" * (2 * READ_AT_ONCE_BYTES) + b"\n",
]  # fmt: skip


@pytest.mark.parametrize("content", NO_PAGES, ids=range(len(NO_PAGES)))
def test_a_line_that_is_no_page_is_passed_over_with_one_warning_and_the_next_is_shown(shown: Shown, content: bytes):
    told = shown.add(content + content + line("RED: after"))
    told += "".join(shown.look() for _ in range(5))  # a very long line takes several looks
    assert (told.count(WARNING), told.count("PAGE  ann, round 1: RED: after")) == (1, 1)


def test_a_line_that_is_not_whole_yet_is_shown_when_it_is(shown: Shown):
    whole = line("RED: STEMI")
    assert shown.add(whole[:20]) == ""
    assert "RED: STEMI" in shown.add(whole[20:])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def moved_away(file: Path) -> None:
    file.rename(file.with_suffix(".1"))


def moved_away_and_begun_anew(file: Path) -> None:
    moved_away(file)
    file.write_bytes(line("RED: first"))


@pytest.mark.parametrize("rotate", [emptied, moved_away, moved_away_and_begun_anew])
def test_a_file_that_was_rotated_is_shown_from_its_beginning(shown: Shown, rotate: Callable[[Path], None]):
    shown.add(line("RED: one") + line("RED: two"))
    rotate(shown.file)
    told = shown.look()
    told += shown.add(line("RED: STEMI"))
    assert "RED: STEMI" in told
    assert "RED: two" not in told
    assert "RED: first" in told or rotate is not moved_away_and_begun_anew


def test_a_line_that_the_pager_took_back_and_wrote_again_is_all_that_is_shown_again(shown: Shown):
    shown.add(line("RED: one"))
    size = shown.file.stat().st_size
    shown.add(line("RED: two"))
    with shown.file.open("r+b") as file:
        file.truncate(size)
    assert shown.look() == ""
    told = shown.add(line("RED: two"))
    assert ("RED: two" in told, "RED: one" in told) == (True, False)


def test_a_file_that_cannot_be_read_is_said_once_and_ends_nothing(shown: Shown):
    shown.file.unlink()
    shown.file.mkdir()
    (shown.file / "x").touch()
    assert "pages go out all the same" in shown.look()
    assert shown.look() == ""


def test_a_folder_that_is_gone_ends_nothing(shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here").rmdir()
    assert "RED: STEMI" in shown.add(line("RED: STEMI"))
    assert "RED: again" in shown.add(line("RED: again"))
