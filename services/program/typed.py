"""Commands as they can be typed here: what is shown on a terminal is copied from it."""

import shlex
import shutil
import sys
from pathlib import Path

from services.program.server import DEFAULT_DATA

NAME = "greenchannel"


def typed(*words: str, data: Path | None = None) -> str:
    """Return a command of this program as it works in this terminal's folder, whether or not its environment was activated.

    data is the server's folder, named where it is not the one that commands look in by themselves."""
    folder = [] if data is None or data.absolute() == DEFAULT_DATA.absolute() else ["--data", str(data)]
    return shlex.join([_program(), *words, *folder])


def _program() -> str:
    ours = Path(sys.executable).with_name(NAME)
    found = shutil.which(NAME)
    if found is not None and (not ours.exists() or Path(found).samefile(ours)):
        return NAME
    return str(ours.relative_to(Path.cwd())) if ours.is_relative_to(Path.cwd()) else str(ours)
