"""`greenchannel upload`: what it says while the line is bad."""

import io
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from services.edge.recordings import Recording
from services.edge.uploader import Waiting
from services.program.sending import _say_waiting


def test_a_wait_is_told_as_long_as_it_is():
    talk = Console(file=io.StringIO())
    bar = Progress(disable=True)
    _say_waiting(Waiting(Recording(Path("x"), (Path("x"),)), "No answer.", 0.5), bar, bar.add_task(""), talk)
    assert "Trying again in 0.5 s." in talk.file.getvalue()
