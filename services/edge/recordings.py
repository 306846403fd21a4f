"""Which files make a recording: one, or those that a WFDB header names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.runtime.archive import MAX_FILES, MAX_TOTAL_BYTES
from services.runtime.errors import GreenchannelError

MAX_HEADER_BYTES = 64 * 1024
NO_SIGNAL_FILE = "~"


class NotARecording(GreenchannelError):
    """A file that cannot be sent. `wrong` says why, and what to do."""

    def __init__(self, path: Path, wrong: str) -> None:
        super().__init__(path, wrong)
        self.path, self.wrong = path, wrong

    def __str__(self) -> str:
        return f"{self.path}: {self.wrong}"


@dataclass(frozen=True)
class Recording:
    """`named` is the file by which it was named; `files` are all of it, that one first."""

    named: Path
    files: tuple[Path, ...]


def recordings_of(paths: Sequence[Path]) -> list[Recording]:
    """Return the recordings that files name, in their order, each once; a header brings its signal files from its own folder.

    Raises NotARecording for a file that is missing, too large, or a header that cannot be followed."""
    found = [Recording(path, files_of(path)) for path in dict.fromkeys(paths)]
    brought = {file.resolve() for recording in found for file in recording.files[1:]}
    return [recording for recording in found if recording.named.resolve() not in brought]


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files of one recording."""
    _must_be_file(path, "is not there")
    files = (path, *_signal_files(path)) if path.suffix.lower() == ".hea" else (path,)
    if len(files) > MAX_FILES:
        raise NotARecording(path, f"names {len(files) - 1} signal files; an upload has at most {MAX_FILES} files")
    if sum(file.stat().st_size for file in files) > MAX_TOTAL_BYTES:
        raise NotARecording(path, "is larger than 32 MiB; send one 12-lead recording of 10 s")
    return files


def _signal_files(header: Path) -> tuple[Path, ...]:
    if header.stat().st_size > MAX_HEADER_BYTES:
        raise NotARecording(header, "is too large for a WFDB header")
    text = header.read_text(encoding="utf-8", errors="replace")
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines or len(lines[0]) < 2 or not lines[0][1].isdecimal():
        raise NotARecording(header, "is not a WFDB header: its first line does not give a name and a number of signals")
    if "/" in lines[0][0]:
        raise NotARecording(header, "is a record of several segments; send the header of one segment")
    signals = lines[1 : 1 + int(lines[0][1])]
    names = [name for name in dict.fromkeys(line[0] for line in signals) if name != NO_SIGNAL_FILE]
    for name in names:
        if Path(name).name != name:
            raise NotARecording(header, f"names the signal file {name}, which is not in its own folder")
        _must_be_file(header.with_name(name), f"is not there, and {header.name} names it; put it beside the header")
    return tuple(header.with_name(name) for name in names)


def _must_be_file(path: Path, missing: str) -> None:
    try:
        with path.open("rb"):
            return
    except FileNotFoundError:
        raise NotARecording(path, missing) from None
    except IsADirectoryError:
        raise NotARecording(path, "is a folder; name the files in it") from None
    except OSError as error:
        raise NotARecording(path, f"cannot be read: {error.strerror}") from None
