"""What a program shows on its terminal ends and holds up nothing, whatever becomes of the terminal."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from services.program.own_terminal import unfailing
from tests.conftest import ROOT

MORE_THAN_A_PIPE_HOLDS = "x" * 1000


def console_on(descriptor: int) -> Console:
    return unfailing(os.fdopen(descriptor, "w"))


@pytest.fixture(params=["full disk", "reader gone", "reader stopped", "terminal stopped"])
def unwilling(request: pytest.FixtureRequest) -> Iterator[Console]:
    """A console on what takes nothing more, in each way in which that happens."""
    read, write = pty.openpty() if request.param == "terminal stopped" else os.pipe()
    if request.param == "full disk":
        write = os.open("/dev/full", os.O_WRONLY)
    if request.param == "reader gone":
        os.close(read)
    stream = os.fdopen(write, "w")
    yield unfailing(stream)
    stream.close()
    if request.param != "reader gone":
        os.close(read)


def test_a_terminal_that_takes_nothing_ends_and_holds_up_nothing(unwilling: Console):
    for _ in range(200):
        unwilling.print(MORE_THAN_A_PIPE_HOLDS)


def test_what_can_be_shown_is_shown_whole(tmp_path: Path):
    with (tmp_path / "shown").open("w", encoding="gbk") as stream:
        unfailing(stream).print("心电图 \ud800", MORE_THAN_A_PIPE_HOLDS, soft_wrap=True)
    assert (tmp_path / "shown").read_bytes() == f"心电图 \\ud800 {MORE_THAN_A_PIPE_HOLDS}\n".encode("gbk")


def test_where_standard_error_was_closed_nothing_is_shown_and_no_file_is_taken_for_it(tmp_path: Path):
    code = f"""
from services.program.own_terminal import keep_standard_streams, talk
keep_standard_streams()
with open({str(tmp_path / "file")!r}, "w") as file:
    talk.print("to nobody")
    print(file.fileno() > 2)
"""
    done = subprocess.run(["sh", "-c", f"exec '{sys.executable}' - 2>&-"], input=code, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n")
    assert (tmp_path / "file").read_text() == ""
