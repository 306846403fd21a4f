"""How surely a shift of known size is found: real normals, every territory, several shapes, heart rates and noise levels.

What is controlled is where ST ends: the lead's own ST before, as measured, and the shift together stand so far above or below its threshold."""

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from contracts.vocabulary import Priority
from services.triage.reading import read_recording
from services.triage.recording import KNOWN_LEADS, STANDARD, Recording
from tests.eval import neurokit
from tests.eval.criteria import elevated_neighbours, threshold_mv
from tests.eval.figures import Aim, Figure, Number, Share
from tests.eval.injection import SHAPES, TERRITORIES, Landmarks, NoiseKind, Shape, at_rate, landmarks, sizes_mv, with_extra_leads, with_noise, with_st
from tests.eval.listed import Listed, half_of, read_file
from tests.eval.verdicts import Mistake, Verdict, read_made, verdict_of

PART = "sensitivity"
OFFSETS_MV = (-0.10, -0.05, -0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.10, 0.15)
RATES_BPM = (None, 50.0, 75.0, 110.0)  # None: as it was recorded
NOISES_MV = (0.0, 0.02, 0.04)
KINDS: tuple[NoiseKind, ...] = ("white", "muscle")
SURE_MV, SURE_SHARE = 0.05, 0.98
_NEAR_MV = 0.03
_DRAWS, _QUICK_DRAWS = 48, 6  # of a recording, for each territory, shape and offset; the rates and noise levels take turns
_THEIR_OFFSETS_MV, _THEIR_SHAPE, _THEIR_EVERY = (-0.05, 0.0, 0.05, 0.10), "plateau", {False: 4, True: 6}
_SEED = 4


@dataclass(frozen=True)
class Injected:
    """One shift in one recording; `draw` chooses the noise."""

    file: str
    territory: str
    shape: Shape
    offset_mv: float
    bpm: float | None
    noise_mv: float
    noise_kind: NoiseKind
    draw: int
    by_theirs: bool

    @property
    def name(self) -> str:
        rate = "its own rate" if self.bpm is None else f"{self.bpm:g}/min"
        noise = f"{self.noise_kind} noise {self.noise_mv:g} mV" if self.noise_mv else "no noise added"
        return f"{self.file}: {self.territory}, {self.shape}, {self.offset_mv:+.2f} mV about the threshold, {rate}, {noise}, draw {self.draw}"

    def recording(self) -> Recording:
        return _injected(self)[0]


@dataclass(frozen=True)
class Base:
    """A normal recording as a shift is put into it, and its own ST at J by lead, mV."""

    recording: Recording
    marks: Landmarks
    own_mv: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """What was said; `by_st` is whether our ST alone meets the plain criterion, whatever the rules make of it; `off_mv` is how far ST of the
    territory's leads was measured from where it was put, the mean."""

    case: Injected
    ours: Verdict
    theirs: Verdict | None
    by_st: bool
    off_mv: float | None


def plan(normals: Sequence[Listed], *, quick: bool) -> list[list[Injected]]:
    """Return what to put into which recording, the cases of one recording and rate together; recordings take turns."""
    draws = _QUICK_DRAWS if quick else _DRAWS
    grid = list(product(RATES_BPM, NOISES_MV, KINDS))
    together: dict[tuple[str, float | None], list[Injected]] = {}
    turn = 0
    for territory, shape, offset_mv in product(TERRITORIES, SHAPES, OFFSETS_MV):
        for draw in range(draws):
            turn += 1
            bpm, noise_mv, kind = grid[(draw * 7 + turn // draws) % len(grid)]
            file = normals[turn % len(normals)].file
            theirs = offset_mv in _THEIR_OFFSETS_MV and shape == _THEIR_SHAPE and draw % _THEIR_EVERY[quick] == 0
            case = Injected(file, territory.name, shape, offset_mv, bpm, noise_mv, kind, draw, theirs)
            together.setdefault((file, bpm), []).append(case)
    return list(together.values())


def is_suitable(listed: Listed) -> bool:
    """Return whether a normal is green with all twelve leads measured: only then is it known what was put into it."""
    reading, recording = read_made(listed)
    measured = {each.lead for each in reading.measurements.leads if each.st_j_mv is not None}
    return recording is not None and reading.priority is Priority.GREEN and set(STANDARD) <= measured


def outcomes(cases: list[Injected]) -> list[Outcome]:
    """Put each shift in, and ask the pipelines."""
    return [_outcome(case) for case in cases]


@lru_cache(maxsize=8)
def _base(file: str, bpm: float | None, made_leads: tuple[str, ...]) -> Base:
    recording = with_extra_leads(read_file(file), made_leads)
    marks = landmarks(recording)
    if marks is not None and bpm is not None:
        recording = at_rate(recording, marks, bpm)
        marks = landmarks(recording)
    if marks is None:
        raise ValueError(f"{file} at {bpm} has no beats to put a shift into")
    measured = read_recording(recording, age_y=None, sex=None).measurements.leads
    return Base(recording, marks, {each.lead: each.st_j_mv for each in measured if each.st_j_mv is not None})


def _injected(case: Injected) -> tuple[Recording, dict[str, float]]:
    """Return the recording with its shift, and where ST of each exact lead was put, mV."""
    territory = next(each for each in TERRITORIES if each.name == case.territory)
    base = _base(case.file, case.bpm, territory.made_leads)
    age_y, sex = base.recording.age_y, base.recording.sex
    wanted = {lead: threshold_mv(lead, age_y=age_y, sex=sex) + case.offset_mv for lead in KNOWN_LEADS}
    recording = with_st(base.recording, base.marks, sizes_mv(territory, base.own_mv, wanted), case.shape)
    if case.noise_mv:
        chance = np.random.default_rng([_SEED, zlib.crc32(case.name.encode())])
        recording = with_noise(recording, kind=case.noise_kind, sd_mv=case.noise_mv, chance=chance)
    return recording, {lead: wanted[lead] for lead in territory.exact}


def _outcome(case: Injected) -> Outcome:
    recording, put = _injected(case)
    reading = read_recording(recording, age_y=None, sex=None)
    measured = {each.lead: each.st_j_mv for each in reading.measurements.leads if each.st_j_mv is not None}
    off = [measured[lead] - mv for lead, mv in put.items() if lead in measured]
    theirs = neurokit.verdict(recording) if case.by_theirs else None
    by_st = bool(elevated_neighbours(measured, age_y=reading.age_y, sex=reading.sex))
    return Outcome(case, verdict_of(reading), theirs, by_st, sum(off) / len(off) if off else None)


def figures(found: Sequence[Outcome]) -> Iterator[Figure]:
    """Yield how often a sure shift was found by territory and condition, the curve about the threshold, and how well the size arrives."""
    half = half_of(found[0].case.file)
    sure = [each for each in found if each.case.offset_mv >= SURE_MV]
    for territory in TERRITORIES:
        yield _share(f"{territory.name}, {SURE_MV:+g} mV or more", [each for each in sure if each.case.territory == territory.name], Aim(SURE_SHARE))
    asked = [each for each in sure if each.theirs is not None]
    by_st, by_theirs = Share(sum(each.by_st for each in sure), len(sure)), Share(sum(each.theirs.red for each in asked if each.theirs), len(asked))
    yield Figure(PART, f"all, {SURE_MV:+g} mV or more, ST by the plain criterion", half, by_st, by_theirs)
    for shape in SHAPES:
        yield _share(f"{shape}, {SURE_MV:+g} mV or more", [each for each in sure if each.case.shape == shape])
    for bpm in RATES_BPM:
        rate = "as recorded" if bpm is None else f"{bpm:g}/min"
        yield _share(f"heart rate {rate}, {SURE_MV:+g} mV or more", [each for each in sure if each.case.bpm == bpm])
    for noise_mv in NOISES_MV:
        yield _share(f"noise {noise_mv:g} mV, {SURE_MV:+g} mV or more", [each for each in sure if each.case.noise_mv == noise_mv])
    for offset_mv in OFFSETS_MV:
        yield _share(f"curve: {offset_mv:+.2f} mV about the threshold", [each for each in found if each.case.offset_mv == offset_mv])
    for near, name in ((True, f"within {_NEAR_MV:g} mV"), (False, f"{SURE_MV:+g} mV or more")):
        off = np.array([o.off_mv for o in found if o.off_mv is not None and (abs(o.case.offset_mv) <= _NEAR_MV if near else o in sure)])
        yield Figure(PART, f"ST measured minus put in, mean, {name}", half, Number(float(off.mean()), "mV", off.size))
        yield Figure(PART, f"ST measured minus put in, SD, {name}", half, Number(float(off.std()), "mV", off.size, is_sd=True))


def _share(what: str, those: Sequence[Outcome], aim: Aim | None = None) -> Figure:
    def of(verdicts: Sequence[Verdict]) -> Share:
        instead = Counter(each.why.split(" (")[0] or str(each.priority) for each in verdicts if not each.red)
        return Share(sum(each.red for each in verdicts), len(verdicts), instead)

    theirs = [each.theirs for each in those if each.theirs is not None]
    return Figure(PART, what, half_of(those[0].case.file), of([each.ours for each in those]), of(theirs) if theirs else None, aim)


def curve(found: Sequence[Outcome]) -> dict[str, list[tuple[float, Share]]]:
    """Return for each territory, and for all, how often a shift was red by where it stands about the threshold, mV."""
    names = [*(territory.name for territory in TERRITORIES), "all"]
    return {
        name: [
            (offset_mv, Share(sum(each.ours.red for each in those), len(those)))
            for offset_mv in OFFSETS_MV
            if (those := [each for each in found if each.case.offset_mv == offset_mv and name in {each.case.territory, "all"}])
        ]
        for name in names
    }


def mistakes(found: Sequence[Outcome]) -> list[Mistake]:
    """Return the sure shifts that were not red, and the shifts well below the threshold that were."""
    missed = [each for each in found if each.case.offset_mv >= SURE_MV and not each.ours.red]
    early = [each for each in found if each.case.offset_mv <= -SURE_MV and each.ours.red]
    return [
        Mistake(PART, wanted, f"{each.ours.priority}: {each.ours.why}", each.case)
        for wanted, those in (("red", missed), ("not red", early))
        for each in those
    ]
