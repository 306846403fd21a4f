"""Reading, judging and drawing recordings here, and making synthetic ones: what needs no server."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from contracts.vocabulary import Sex
from services.edge.recordings import NotARecording, files_of
from services.ops.synthetic_dicom import to_dicom
from services.ops.synthetic_patient import Pattern, synthesize
from services.program.server import Refused
from services.runtime.archive import MAX_TOTAL_BYTES, UploadedFile
from services.triage.paper import Layout, draw
from services.triage.reading import measured_beats, read
from services.triage.rulebook import RulebookInvalid, UnknownProfile, shipped_for


def judge(files: Sequence[Path], *, age_y: int | None, sex: str | None, profile: str | None) -> Iterator[dict[str, Any]]:
    """Yield a reading for each file, in their order, as JSON's dict with `file`; for one that cannot be read at all, `error` says why."""
    checked = None if sex is None else sex_of(sex)
    try:
        rulebook = shipped_for(profile)
    except (UnknownProfile, RulebookInvalid) as error:
        raise Refused(str(error)) from None
    for path in files:
        try:
            parts = _parts(path)
        except Refused as error:
            yield {"file": str(path), "error": str(error)}
            continue
        reading, _ = read(parts, age_y=age_y, sex=checked, rulebook=rulebook)
        yield {"file": str(path), **reading.model_dump(mode="json")}


def paper(path: Path, *, layout: Layout, age_y: int | None, sex: str | None) -> str:
    """Return a recording and its reading on the standard paper, as SVG; Refused where there is nothing to draw."""
    reading, recording = read(_parts(path), age_y=age_y, sex=None if sex is None else sex_of(sex))
    if recording is None:
        raise Refused(f"{path}: {' '.join(problem.text for problem in reading.quality.problems)}")
    return draw(recording, reading, measured_beats(recording), layout=layout)


def _parts(path: Path) -> list[UploadedFile]:
    """Return the files of a recording; a header whose signal files cannot be followed stands alone, and the reading says what it lacks."""
    try:
        files: tuple[Path, ...] = files_of(path)
    except NotARecording as error:
        if not path.is_file() or path.stat().st_size > MAX_TOTAL_BYTES:
            raise Refused(str(error)) from None
        files = (path,)
    try:
        return [UploadedFile(part.name, part.read_bytes()) for part in files]
    except OSError as error:
        raise Refused(f"{path}: cannot be read: {error.strerror}") from None


def sex_of(word: str) -> Sex:
    try:
        return Sex(word.upper())
    except ValueError:
        raise Refused("--sex is M or F") from None


def synthetic(pattern: str, *, st_mv: float | None, seed: int, age_y: int, sex: str, made_at: datetime) -> bytes:
    """Return a synthetic recording as a DICOM file's bytes; Refused where it cannot be made."""
    patterns = {str(each): each for each in Pattern}
    if pattern not in patterns:
        raise Refused(f"there is no pattern {pattern}: {', '.join(patterns)}")
    try:
        recording = synthesize(patterns[pattern], st_mv=st_mv, seed=seed)
    except ValueError as error:
        raise Refused(str(error)) from None
    return to_dicom(recording, age_y=age_y, sex=sex_of(sex), made_at=made_at)
