"""Beats and bounds against what people marked by hand in LUDB, lead by lead.

The marks run from about 1 s to 8 or 9 s: only what lies between the first and the last marked beat is scored."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from wfdb.io.annotation import rdann

from services.runtime.archive import UploadedFile
from services.triage.beats import MedianBeat, median_beat
from services.triage.decode import decode
from services.triage.delineate import waves
from services.triage.recording import STANDARD, Recording
from services.triage.st import qrs_bounds
from tests.conftest import RECORDINGS
from tests.eval import neurokit
from tests.eval.figures import Aim, Figure, Number, Share
from tests.eval.listed import Listed
from tests.eval.verdicts import Mistake

Floats = NDArray[np.float64]

HALVES = ("odd", "held")  # constants may be tuned on the records whose number is odd, and on no other
BOUNDS = ("P onset", "P end", "QRS onset", "J", "T end")
PART = "bounds and beats, LUDB"
_MEAN_AIMS_MS, _SD_AIMS_MS = {"QRS onset": 4.0, "J": 3.0}, {"QRS onset": 9.0, "J": 7.0, "T end": 25.0}
_FOUND_AIM = 0.995
_FAR_OFF_MS = {"QRS onset": 27.0, "J": 21.0, "T end": 75.0}  # three times the SD that is aimed at: worth a look
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
class Found:
    """What a pipeline found in a recording, samples of it: `peaks` are all R, `at` those of the beats with bounds; each bound is (beats,)."""

    peaks: NDArray[np.int64]
    at: NDArray[np.int64]
    bounds: Mapping[str, Floats]


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
    found: int
    marked: int
    told: int

    @property
    def sensitivity(self) -> float:
        return self.found / self.marked

    @property
    def ppv(self) -> float:
        return self.found / self.told


def judged(folder: Path) -> list[Judged]:
    """Hold what we find in every record of the folder against its marks."""
    return [judged_record(path, ours) for path in records(folder)]


def records(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.hea"), key=lambda path: int(path.stem))


def bound_figures(records: Sequence[Judged]) -> list[BoundFigure]:
    rows = []
    for bound in BOUNDS:
        for half in HALVES:
            errors = np.array([each.errors_ms[bound] for each in records if each.half == half and bound in each.errors_ms])
            if errors.size:
                rows.append(BoundFigure(bound, half, errors.size, float(errors.mean()), float(errors.std()), float(np.median(np.abs(errors)))))
    return rows


def count_figures(records: Sequence[Judged]) -> list[CountFigure]:
    rows = []
    for half in HALVES:
        mine = [each for each in records if each.half == half]
        if not mine:
            continue
        rows.append(_counted("R peaks", half, *(sum(getattr(each, of) for each in mine) for of in ("found", "missed", "too_many"))))
        p = [(each.p_marked, each.p_found) for each in mine if each.p_marked is not None]
        rows.append(_counted("records with P", half, p.count((True, True)), p.count((True, False)), p.count((False, True))))
    return rows


def _counted(what: str, half: str, found: int, missed: int, too_many: int) -> CountFigure:
    return CountFigure(what, half, found, found + missed, found + too_many)


def judged_record(path: Path, pipeline: Callable[[Recording], Found | None]) -> Judged:
    """Hold what a pipeline finds in one record against its marks."""
    recording = decode([UploadedFile(part.name, part.read_bytes()) for part in (path, path.with_suffix(".dat"))])
    fs_hz = recording.fs_hz
    p, qrs, t = _marked(path, fs_hz)
    ours = pipeline(recording)
    if ours is None:
        return Judged(path.stem, 0, qrs.peak.size, 0, {}, p_marked=None, p_found=False)
    within = _R_WITHIN_S * fs_hz
    peaks = ours.peaks[(ours.peaks >= qrs.peak[0] - within) & (ours.peaks <= qrs.peak[-1] + within)]
    same = np.abs(qrs.peak[:, None] - peaks) <= within
    found = int(min(same.any(axis=1).sum(), same.any(axis=0).sum()))  # two peaks on one beat are one found and one too many
    is_scored = np.isfinite(_beside(qrs, ours.at, *_SAME_BEAT_S, fs_hz).peak)
    scored = ours.at[is_scored]
    p, qrs, t = _beside(p, scored, *_P_S, fs_hz), _beside(qrs, scored, *_SAME_BEAT_S, fs_hz), _beside(t, scored, *_T_S, fs_hz)
    marks = dict(zip(BOUNDS, (p.onset, p.end, qrs.onset, qrs.end, t.end), strict=True))
    errors = {bound: at[is_scored] - marks[bound] for bound, at in ours.bounds.items()}
    return Judged(
        path.stem,
        found,
        same.shape[0] - found,
        peaks.size - found,
        {bound: float(np.nanmedian(each)) * 1000 / fs_hz for bound, each in errors.items() if np.isfinite(each).any()},
        p_marked=bool(np.isfinite(p.peak).mean() > 0.5) if scored.size else None,
        p_found="P onset" in ours.bounds,
    )


def ours(recording: Recording) -> Found | None:
    """Return what we find: the bounds of the median beat, laid back on its beats."""
    beat = median_beat(recording.samples_mv, recording.fs_hz)
    if beat is None:
        return None
    return Found(beat.peaks, beat.at, {bound: (beat.at - beat.r + at).astype(np.float64) for bound, at in _bounds(beat).items()})


def theirs(recording: Recording) -> Found | None:
    """Return what the pipeline beside ours finds, beat by beat."""
    found = neurokit.delineated(recording)
    if found is None:
        return None
    return Found(found.peaks, found.peaks, {bound: at for bound, at in found.bounds.items() if np.isfinite(at).mean() > 0.5})


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


@dataclass(frozen=True)
class Compared:
    """One record as we and as the other pipeline read it; None where it was not asked."""

    file: str
    ours: Judged
    theirs: Judged | None


def compared(asked: list[tuple[str, bool]]) -> list[Compared]:
    """Judge records, each the path of its header below the recordings; the flag says whether the other pipeline is asked too."""
    return [_compared(file, by_theirs=by_theirs) for file, by_theirs in asked]


def _compared(file: str, *, by_theirs: bool) -> Compared:
    path = RECORDINGS / file
    return Compared(file, judged_record(path, ours), judged_record(path, theirs) if by_theirs else None)


def plan(*, quick: bool) -> list[list[tuple[str, bool]]]:
    every = 9 if quick else 1  # odd: both halves
    return [[(f"ludb/{path.name}", place % every == 0)] for place, path in enumerate(records(RECORDINGS / "ludb"))]


def figures(found: Sequence[Compared]) -> Iterator[Figure]:
    """Yield beats, then the mean and SD of each bound's error, of the held half first."""
    mine, others = [each.ours for each in found], [each.theirs for each in found if each.theirs is not None]
    shares_beside = {(each.what, each.half, name): share for each in count_figures(others) for name, share in _shares(each).items()}
    for counted in sorted(count_figures(mine), key=lambda each: each.half != HALVES[1]):
        for name, share in _shares(counted).items():
            beside = shares_beside.get((counted.what, counted.half, name))
            yield Figure(PART, f"{counted.what}: {name}", counted.half, share, beside, Aim(_FOUND_AIM) if counted.what == "R peaks" else None)
    numbers_beside = {(each.bound, each.half, of): _number(each, of) for each in bound_figures(others) for of in ("mean_ms", "sd_ms")}
    for bound in sorted(bound_figures(mine), key=lambda each: each.half != HALVES[1]):
        mean, sd = _MEAN_AIMS_MS.get(bound.bound), _SD_AIMS_MS.get(bound.bound)
        aims = {"mean_ms": None if mean is None else Aim(-mean, mean), "sd_ms": None if sd is None else Aim(at_most=sd)}
        for of, aim in aims.items():
            what = f"{bound.bound}: {'mean' if of == 'mean_ms' else 'SD'} of the error"
            yield Figure(PART, what, bound.half, _number(bound, of), numbers_beside.get((bound.bound, bound.half, of)), aim)


def _number(bound: BoundFigure, of: str) -> Number:
    return Number(getattr(bound, of), "ms", bound.records, is_sd=of == "sd_ms")


def _shares(counted: CountFigure) -> dict[str, Share]:
    """Return what there is to take a share of."""
    return {name: Share(counted.found, of) for name, of in (("sensitivity", counted.marked), ("PPV", counted.told)) if of}


def mistakes(found: Sequence[Compared]) -> list[Mistake]:
    """Return the records with beats missed or too many, and those with a bound far off."""
    told = []
    for each in found:
        far = {bound: each.ours.errors_ms[bound] for bound, most in _FAR_OFF_MS.items() if abs(each.ours.errors_ms.get(bound, 0.0)) > most}
        said = [f"{each.ours.missed} beats missed"] * bool(each.ours.missed) + [f"{each.ours.too_many} too many"] * bool(each.ours.too_many)
        said += [f"{bound} {off_ms:+.0f} ms" for bound, off_ms in far.items()]
        if said:
            told.append(Mistake(PART, f"{each.ours.half}: as marked", ", ".join(said), Listed(each.file, "", "")))
    return told
