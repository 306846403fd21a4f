"""Beats and bounds against what people marked by hand in LUDB, lead by lead: `python -m tests.eval.boundaries` prints the table.

The marks run from about 1 s to 8 or 9 s: only what lies between the first and the last marked beat is scored."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from wfdb.io.annotation import rdann

from services.runtime.archive import UploadedFile
from services.triage.beats import MedianBeat, median_beat
from services.triage.decode import decode
from services.triage.delineate import waves
from services.triage.recording import STANDARD
from services.triage.st import qrs_bounds
from tests.conftest import RECORDINGS

Floats = NDArray[np.float64]

HALVES = ("odd", "held")  # constants may be tuned on the records whose number is odd, and on no other
BOUNDS = ("P onset", "P end", "QRS onset", "J", "T end")
_AIMS = {"QRS onset": "mean 4, SD 9", "J": "mean 3, SD 7", "T end": "SD 25"}
_SAME_BEAT_S, _P_S, _T_S = (-0.10, 0.10), (-0.40, -0.04), (0.08, 0.65)  # from R, where the peak of the mark lies
_R_WITHIN_S = 0.15  # as the AAMI's EC57 counts a beat as found
_LEADS_NEEDED = {"p": 6, "N": 8, "t": 6}  # that must have a mark, for their median to stand for the whole heart
_APART_S = 0.10  # marks of one wave in different leads lie closer


@dataclass(frozen=True)
class Marked:
    """The waves of one kind, each the median over the leads of what was marked, samples; sorted."""

    onset: Floats
    peak: Floats
    end: Floats


@dataclass(frozen=True)
class Judged:
    """One record: R peaks found, missed and too many; how far each bound lies from the marks, ms, later is positive; P as marked and as found."""

    name: str
    found: int
    missed: int
    too_many: int
    errors_ms: dict[str, float]
    p_marked: bool | None
    p_found: bool

    @property
    def half(self) -> str:
        return HALVES[0] if self.name[-1] in "13579" else HALVES[1]


@dataclass(frozen=True)
class BoundFigure:
    """How far one bound lies from the marks over the records of one half."""

    bound: str
    half: str
    records: int
    mean_ms: float
    sd_ms: float
    median_abs_ms: float


@dataclass(frozen=True)
class CountFigure:
    """Of what was marked, how much was found; of what was found, how much was marked."""

    what: str
    half: str
    marked: int
    sensitivity: float
    ppv: float


def judged(folder: Path) -> list[Judged]:
    """Hold every record of the folder against its marks."""
    return [_judged(path) for path in sorted(folder.glob("*.hea"), key=lambda path: int(path.stem))]


def bound_figures(records: list[Judged]) -> list[BoundFigure]:
    rows = []
    for bound in BOUNDS:
        for half in HALVES:
            errors = np.array([each.errors_ms[bound] for each in records if each.half == half and bound in each.errors_ms])
            rows.append(BoundFigure(bound, half, errors.size, float(errors.mean()), float(errors.std()), float(np.median(np.abs(errors)))))
    return rows


def count_figures(records: list[Judged]) -> list[CountFigure]:
    rows = []
    for half in HALVES:
        mine = [each for each in records if each.half == half]
        rows.append(_counted("R peaks", half, *(sum(getattr(each, of) for each in mine) for of in ("found", "missed", "too_many"))))
        p = [(each.p_marked, each.p_found) for each in mine if each.p_marked is not None]
        rows.append(_counted("records with P", half, p.count((True, True)), p.count((True, False)), p.count((False, True))))
    return rows


def _counted(what: str, half: str, found: int, missed: int, too_many: int) -> CountFigure:
    return CountFigure(what, half, found + missed, found / (found + missed), found / (found + too_many))


def _judged(path: Path) -> Judged:
    recording = decode([UploadedFile(part.name, part.read_bytes()) for part in (path, path.with_suffix(".dat"))])
    fs_hz = recording.fs_hz
    p, qrs, t = _marked(path, fs_hz)
    beat = median_beat(recording.samples_mv, fs_hz)
    if beat is None:
        return Judged(path.stem, 0, qrs.peak.size, 0, {}, p_marked=None, p_found=False)
    within = _R_WITHIN_S * fs_hz
    peaks = beat.peaks[(beat.peaks >= qrs.peak[0] - within) & (beat.peaks <= qrs.peak[-1] + within)]
    same = np.abs(qrs.peak[:, None] - peaks) <= within
    found = int(min(same.any(axis=1).sum(), same.any(axis=0).sum()))  # two peaks on one beat are one found and one too many
    scored = beat.at[np.isfinite(_beside(qrs, beat.at, *_SAME_BEAT_S, fs_hz).peak)]
    p, qrs, t = _beside(p, scored, *_P_S, fs_hz), _beside(qrs, scored, *_SAME_BEAT_S, fs_hz), _beside(t, scored, *_T_S, fs_hz)
    ours = _bounds(beat)
    marks = dict(zip(BOUNDS, (p.onset, p.end, qrs.onset, qrs.end, t.end), strict=True))
    errors = {bound: scored - beat.r + ours[bound] - marks[bound] for bound in ours}
    return Judged(
        path.stem,
        found,
        same.shape[0] - found,
        peaks.size - found,
        {bound: float(np.nanmedian(each)) * 1000 / fs_hz for bound, each in errors.items() if np.isfinite(each).any()},
        p_marked=bool(np.isfinite(p.peak).mean() > 0.5) if scored.size else None,
        p_found="P onset" in ours,
    )


def _bounds(beat: MedianBeat) -> dict[str, int]:
    """Return what was found on the median beat, samples of it."""
    qrs = qrs_bounds(beat.beat_mv, r=beat.r, fs_hz=beat.fs_hz)
    if qrs is None:
        return {}
    found = waves(beat, qrs)
    p = {} if found.p is None else {"P onset": found.p.onset, "P end": found.p.end}
    return p | {"QRS onset": qrs.onset, "J": qrs.j} | ({} if found.t is None else {"T end": found.t.end})


def _marked(path: Path, fs_hz: float) -> tuple[Marked, Marked, Marked]:
    """Return P, QRS and T of the heart: marks of several leads that lie together."""
    per_lead = [_lead_marks(path, lead) for lead in STANDARD]
    kinds, marks = np.concatenate([kind for kind, _ in per_lead]), np.concatenate([mark for _, mark in per_lead])
    p, qrs, t = (_of_the_heart(marks[kinds == kind], least=least, fs_hz=fs_hz) for kind, least in _LEADS_NEEDED.items())
    return p, qrs, t


def _lead_marks(path: Path, lead: str) -> tuple[NDArray[np.str_], Floats]:
    """Return one lead's complete marks: the kind of each, and (marks, 3) of onset, peak and end."""
    read = rdann(str(path.with_suffix("")), lead.lower())  # type: ignore[no-untyped-call]
    symbols, at = np.array(read.symbol), np.asarray(read.sample, dtype=np.float64)
    complete = np.flatnonzero((symbols[:-2] == "(") & (symbols[2:] == ")")) + 1
    return symbols[complete], at[complete[:, None] + (-1, 0, 1)]


def _of_the_heart(marks: Floats, *, least: int, fs_hz: float) -> Marked:
    marks = marks[np.argsort(marks[:, 1], kind="stable")]
    groups = np.split(marks, np.flatnonzero(np.diff(marks[:, 1]) > _APART_S * fs_hz) + 1)
    middle = np.array([np.median(group, axis=0) for group in groups if len(group) >= least]).reshape(-1, 3)
    return Marked(*middle.T)


def _beside(marked: Marked, at: NDArray[np.int64], from_s: float, to_s: float, fs_hz: float) -> Marked:
    """Return for each beat with R at `at` the mark nearest to it within the time given, NaN where there is none."""
    if not marked.peak.size:
        return Marked(*(np.full(at.size, np.nan) for _ in range(3)))
    off = marked.peak - at[:, None]
    off = np.where((off >= from_s * fs_hz) & (off <= to_s * fs_hz), np.abs(off), np.inf)
    nearest, none = off.argmin(axis=1), np.isinf(off.min(axis=1))
    return Marked(*(np.where(none, np.nan, each[nearest]) for each in (marked.onset, marked.peak, marked.end)))


def tables(records: list[Judged]) -> Iterator[Table]:
    """Yield the figures as tables to print."""
    bounds = Table("bound", "half", "records", "mean, ms", "SD, ms", "median off, ms", "aim", title="LUDB: bounds of the median beat")
    for row in bound_figures(records):
        numbers = (f"{row.mean_ms:+.1f}", f"{row.sd_ms:.1f}", f"{row.median_abs_ms:.1f}")
        bounds.add_row(row.bound, row.half, str(row.records), *numbers, _AIMS.get(row.bound, ""))
    yield bounds
    counts = Table("what", "half", "marked", "sensitivity", "PPV", title="LUDB: found of what is marked")
    for count in count_figures(records):
        counts.add_row(count.what, count.half, str(count.marked), f"{count.sensitivity:.4f}", f"{count.ppv:.4f}")
    yield counts


def main() -> None:
    console = Console()
    for table in tables(judged(RECORDINGS / "ludb")):
        console.print(table)


if __name__ == "__main__":
    main()
