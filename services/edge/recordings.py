"""Which files make a recording: one, or those that a WFDB header names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.runtime.archive import MAX_FILES, MAX_TOTAL_BYTES
from services.runtime.errors import GreenchannelError

MAX_HEADER_BYTES = 64 * 1024
NO_SIGNAL_FILE = "~"


class NotARecording(GreenchannelError):
    """A file that cannot be sent. `wrong` says why, and what to do; `parts` are the signal files that it names, where it is a header."""

    def __init__(self, named: Path, wrong: str, parts: tuple[Path, ...] = ()) -> None:
        super().__init__(named, wrong, parts)
        self.named, self.wrong, self.parts = named, wrong, parts

    def __str__(self) -> str:
        return f"{self.named}: {self.wrong}"


@dataclass(frozen=True)
class Recording:
    """`named` is the file by which it was named; `files` are all of it, that one first."""

    named: Path
    files: tuple[Path, ...]


def recordings_of(paths: Sequence[Path]) -> list[Recording | NotARecording]:
    """Return the recordings that files name, in their order, each once; a header brings its signal files from its own folder.

    What is no recording stands in its place: it keeps nothing else from being sent, but for its own signal files, which mean nothing alone."""
    found = [_found(path) for path in dict.fromkeys(paths)]
    brought = {part.resolve() for each in found for part in (each.files[1:] if isinstance(each, Recording) else each.parts)}
    return [each for each in found if each.named.resolve() not in brought]


def _found(path: Path) -> Recording | NotARecording:
    try:
        return recording_of(path)
    except NotARecording as error:
        return error


def recording_of(path: Path) -> Recording:
    """Return the recording that a file names. Raises NotARecording where it is missing, too large, or a header that cannot be followed."""
    return Recording(path, files_of(path))


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files of one recording. Raises NotARecording."""
    if wrong := _not_a_file(path):
        raise NotARecording(path, wrong)
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
    if outside := [name for name in names if Path(name).name != name]:
        raise NotARecording(header, f"names the signal file {outside[0]}, which is not in its own folder")
    parts = tuple(header.with_name(name) for name in names)
    for part in parts:
        if wrong := _not_a_file(part):
            raise NotARecording(header, f"names the signal file {part.name}, which {wrong}; put it beside the header", parts)
    return parts


def _not_a_file(path: Path) -> str | None:
    """Return why a path cannot be read as a file; None where it can."""
    try:
        with path.open("rb"):
            return None
    except FileNotFoundError:
        return "is not there"
    except IsADirectoryError:
        return "is a folder; name the files in it"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
