"""What must come out of recordings whose truth is known: carts' own examples, one recording in three formats, exchanged arms, made rhythms.

Each truth is a `Truth`; a further kind of them is a function that returns a list, named in `truths`."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Literal

from contracts.assessments import Reading
from contracts.vocabulary import Priority
from services.triage.reading import read_recording
from services.triage.recording import Recording
from tests.eval import neurokit
from tests.eval.figures import Aim, Figure, Share
from tests.eval.listed import BBB, HELD, Listed, half_of, manifest, normals, read_file
from tests.eval.verdicts import Made, Mistake, Verdict, read_made, verdict_of
from tests.unit.triage import made_rhythms

PART = "known truths"
Wanted = Literal["red anterior", "red inferior", "red", "not red", "not evaluable", "reversed and not red"]

_ANTERIOR, _INFERIOR = {"V1", "V2", "V3", "V4"}, {"II", "III", "aVF"}
_CARTS: dict[str, Wanted] = {
    "vendor/philips-1.03/129DYNRG.XML": "red anterior",
    "vendor/philips-1.03/129DYPRG.XML": "red inferior",
    "vendor/philips-1.04/3191723_ZZDEMOPTONLY_1-04_orig.xml": "not red",
    "vendor/muse/guangxi_teaching_sinus_rhythm.xml": "not red",
    "vendor/dicom/guangxi_teaching_sinus_rhythm.dcm": "not red",
    "challenge/S0008.hea": "red anterior",
    "vendor/philips-1.03/129ECORG.XML": "not evaluable",
}
_SAME = tuple(f"vendor/one-recording/Example.{ending}" for ending in ("scp", "dcm", "xml"))
_ARMS = {"II": "III", "III": "II", "aVR": "aVL", "aVL": "aVR"}
_QUICK_ALTERED = 30
_WIDE_MS = 130.0  # of a recording whose beats make a ventricular tachycardia


@dataclass(frozen=True)
class AsFiled:
    """A recording as its file gives it."""

    file: str

    @property
    def name(self) -> str:
        return self.file

    def recording(self) -> Recording:
        return read_file(self.file)


@dataclass(frozen=True)
class ArmsSwapped:
    """A recording as it would be with the electrodes of the two arms exchanged."""

    file: str

    @property
    def name(self) -> str:
        return f"{self.file}, arms exchanged"

    def recording(self) -> Recording:
        return arms_swapped(read_file(self.file))


@dataclass(frozen=True)
class MadeRhythm:
    """A rhythm made of the beats of a recording."""

    file: str
    made: str

    @property
    def name(self) -> str:
        return f"{self.file}, {self.made}"

    def recording(self) -> Recording:
        return _MADE[self.made](read_file(self.file))


_VT, _NOTHING, _STOPS, _PAUSE, _SHORT = (
    "ten seconds of VT at 180/min",
    "asystole",
    "three beats, then nothing",
    "a pause of 3.2 s",
    "a pause of 2.8 s",
)
_MADE: dict[str, Callable[[Recording], Recording]] = {
    _VT: partial(made_rhythms.ventricular_tachycardia, bpm=180),
    _NOTHING: made_rhythms.standstill,
    _STOPS: made_rhythms.beats_then_nothing,
    _PAUSE: partial(made_rhythms.pause, rr_s=3.2),
    _SHORT: partial(made_rhythms.pause, rr_s=2.8),
}


@dataclass(frozen=True)
class Truth:
    """`kind` is the line of the table that it counts in."""

    kind: str
    half: str
    made: Made
    wanted: Wanted


@dataclass(frozen=True)
class Held:
    """A truth beside what was said; `alike` are the findings as text, which the formats of one recording must share."""

    truth: Truth
    holds: bool
    ours: Verdict
    theirs: Verdict | None
    alike: str


def truths(*, quick: bool, half: str) -> list[Truth]:
    healthy = normals(half)[: _QUICK_ALTERED if quick else None]
    return [*_cart_truths(), *_format_truths(), *_swapped_truths(healthy, half), *_rhythm_truths(healthy, half)]


def _cart_truths() -> list[Truth]:
    return [Truth(f"{file.rsplit('/', 1)[-1]}: {wanted}", half_of(file), AsFiled(file), wanted) for file, wanted in _CARTS.items()]


def _format_truths() -> list[Truth]:
    return [Truth("one recording in three formats: identical findings", HELD, AsFiled(file), "not red") for file in _SAME]


def _swapped_truths(healthy: Sequence[Listed], half: str) -> list[Truth]:
    return [Truth("normals, arms exchanged: said so, and not red", half, ArmsSwapped(each.file), "reversed and not red") for each in healthy]


def _rhythm_truths(healthy: Sequence[Listed], half: str) -> list[Truth]:
    wide = [each for each in manifest() if each.half == half and each.group == BBB and _qrs_ms(each.file) >= _WIDE_MS]
    wanted: dict[str, Wanted] = {_VT: "red", _NOTHING: "red", _STOPS: "red", _PAUSE: "red", _SHORT: "not red"}
    return [
        Truth(f"{'wide beats' if made == _VT else 'normals'}, {made}: {what}", half, MadeRhythm(each.file, made), what)
        for made, what in wanted.items()
        for each in (wide if made == _VT else healthy)
    ]


def _qrs_ms(file: str) -> float:
    return read_recording(read_file(file), age_y=None, sex=None).measurements.qrs_ms or 0.0


def arms_swapped(recording: Recording) -> Recording:
    """Return the twelve leads with LA and RA exchanged: I upside down, II and III exchanged, aVR and aVL too; the chest leads stay."""
    rows = [recording.leads.index(_ARMS.get(lead, lead)) for lead in recording.leads]
    samples_mv = recording.samples_mv[rows].copy()
    samples_mv[recording.leads.index("I")] *= -1
    return replace(recording, samples_mv=samples_mv)


def held_up(asked: list[Truth]) -> list[Held]:
    """Judge each; of the carts' own recordings the other pipeline is asked too."""
    return [_held_up(truth) for truth in asked]


def _held_up(truth: Truth) -> Held:
    reading, _ = read_made(truth.made)
    theirs = neurokit.theirs(truth.made) if isinstance(truth.made, AsFiled) else None
    findings = repr((reading.priority, reading.findings, reading.measurements.qrs_ms, reading.measurements.heart_rate_bpm))
    return Held(truth, comes_out(reading, truth.wanted), verdict_of(reading), theirs, findings)


def comes_out(reading: Reading, wanted: Wanted) -> bool:
    """Return whether a reading is what it should be; where red is wanted of a wall, a red finding must name two of its leads."""
    red = reading.priority is Priority.RED
    if wanted == "not evaluable":
        return reading.priority is Priority.NOT_EVALUABLE
    if wanted == "reversed and not red":
        return not red and any(problem.code == "arms_exchanged" for problem in reading.quality.problems)
    if wanted in {"red", "not red"}:
        return red is (wanted == "red")
    wall = _ANTERIOR if wanted == "red anterior" else _INFERIOR
    return red and any(each.priority is Priority.RED and len(wall & set(each.leads)) >= 2 for each in reading.findings)


def figures(found: Sequence[Held]) -> Iterator[Figure]:
    """Yield how many of each kind hold; all should."""
    for kind, grouped in groupby(found, key=lambda each: each.truth.kind):
        those = list(grouped)
        right = sum(_holds(each, those) for each in those)
        theirs = [each for each in those if each.theirs is not None]
        beside = Counter(str(each.ours.priority).replace("_", " ") for each in those)
        right_there = sum(_plainly(each.theirs, each.truth.wanted) for each in theirs if each.theirs is not None)
        told = Share(right_there, len(theirs)) if theirs else None
        yield Figure(PART, kind, those[0].truth.half, Share(right, len(those), beside), told, Aim(at_least=1))


def _holds(each: Held, those: Sequence[Held]) -> bool:
    return each.holds and ("identical" not in each.truth.kind or each.alike == those[0].alike)


def _plainly(verdict: Verdict, wanted: Wanted) -> bool:
    """Return whether a verdict without findings is right in its colour."""
    if wanted == "not evaluable":
        return verdict.priority is Priority.NOT_EVALUABLE
    return verdict.red is wanted.startswith("red")


def mistakes(found: Sequence[Held]) -> list[Mistake]:
    by_kind = {kind: list(those) for kind, those in groupby(found, key=lambda each: each.truth.kind)}
    wrong = [each for each in found if not _holds(each, by_kind[each.truth.kind])]
    return [Mistake(PART, each.truth.wanted, f"{each.ours.priority}: {each.ours.why}", each.truth.made) for each in wrong]
