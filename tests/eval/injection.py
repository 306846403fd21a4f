"""ST shifts of known size put into real recordings: where, how large in which lead, in what shape, at what heart rate, under how much noise.

The limb leads stay what they are in a body: a shift is put into I and II, and the other four follow by Einthoven and Goldberger."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from services.triage.beats import median_beat
from services.triage.delineate import waves
from services.triage.recording import POSTERIOR, RIGHT_SIDED, Recording, other_limb_leads
from services.triage.st import qrs_bounds

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Shape = Literal["plateau", "upsloping", "downsloping"]
NoiseKind = Literal["white", "muscle"]

SHAPES: tuple[Shape, ...] = ("plateau", "upsloping", "downsloping")
_RISE_S = (0.024, 0.004)  # before J: over this stretch of the QRS the shift grows, as the end of a real QRS runs into a raised ST segment
_FADE_SHARE = 0.35  # of the way from J to the end of T: over it a plateau fades out
_PEAK_AT, _PEAK_TIMES = 0.55, 1.8  # an upsloping shift is so many times its size at J there, as under a hyperacute T
_SAME_BEAT_S = 0.06
_USUAL_PR_S, _USUAL_QT_S = 0.20, 0.40
_SHORTEST_PAUSE_S = 0.02  # between T and the next P
_LENGTH_S = 10.0
_COPIES = dict(zip(POSTERIOR, (("V6", 0.8), ("V6", 0.65), ("V6", 0.5)), strict=True)) | dict(
    zip(RIGHT_SIDED, (("V1", 0.8), ("V1", 0.65)), strict=True)
)


@dataclass(frozen=True)
class Landmarks:
    """`r` are the R peaks, samples of the recording; the others are samples from R, the same for every beat."""

    r: Ints
    p_onset: int
    j: int
    t_end: int


@dataclass(frozen=True)
class Territory:
    """`exact` leads are brought to a stated place against their threshold; `shares` of their mean shift go into others.

    Of the limb leads two are exact, and every other one follows from these two."""

    name: str
    exact: tuple[str, ...]
    shares: Mapping[str, float]

    @property
    def made_leads(self) -> tuple[str, ...]:
        """The leads beyond the twelve that a recording must have for it."""
        return POSTERIOR if "V7" in self.exact else RIGHT_SIDED if "V3R" in self.exact else ()


TERRITORIES = (
    Territory("anterior", ("V2", "V3", "V4"), {"V1": 0.5, "V5": 0.5}),
    Territory("septal", ("V1", "V2"), {"V3": 0.5}),
    Territory("lateral", ("V5", "V6"), {"V4": 0.5, "I": 0.5, "II": 0.25}),  # what points to the left does so in the limb leads too
    Territory("high lateral", ("I", "aVL"), {}),
    Territory("inferior", ("aVF", "III"), {}),
    Territory("posterior", ("V7", "V8", "V9"), {"V1": -0.7, "V2": -1.0, "V3": -0.7}),
    Territory("right ventricle", ("V3R", "V4R"), {"V1": 0.5}),
)


def landmarks(recording: Recording) -> Landmarks | None:
    """Return where the beats are; None where nothing can be measured."""
    beat = median_beat(recording.samples_mv, recording.fs_hz)
    bounds = None if beat is None else qrs_bounds(beat.beat_mv, r=beat.r, fs_hz=beat.fs_hz)
    if beat is None or bounds is None:
        return None
    found, fs_hz = waves(beat, bounds), recording.fs_hz
    off = np.abs(beat.peaks[:, None] - beat.at)
    r = np.where(off.min(axis=1) <= _SAME_BEAT_S * fs_hz, beat.at[off.argmin(axis=1)], beat.peaks)
    p_onset = found.p.onset if found.p else bounds.onset - round(_USUAL_PR_S * fs_hz)
    t_end = found.t.end if found.t else bounds.onset + round(_USUAL_QT_S * np.sqrt(min(1.0, float(np.median(beat.rr_s)))) * fs_hz)
    return Landmarks(np.unique(r), p_onset - beat.r, bounds.j - beat.r, t_end - beat.r)


def with_extra_leads(recording: Recording, leads: tuple[str, ...]) -> Recording:
    """Return the recording with posterior or right-sided leads that it lacks: smaller copies of V6 or V1, the nearest leads that it has."""
    lacking = [lead for lead in leads if lead not in recording.leads]
    if not lacking:
        return recording
    copies = [recording.samples_mv[recording.leads.index(_COPIES[lead][0])] * np.float32(_COPIES[lead][1]) for lead in lacking]
    return replace(recording, leads=(*recording.leads, *lacking), samples_mv=np.vstack([recording.samples_mv, *copies]))


def at_rate(recording: Recording, marks: Landmarks, bpm: float) -> Recording:
    """Return 10 s of the same beats at another heart rate: from P onset to J they keep their time, J to the end of T goes with the root of
    RR, the pause takes the rest. Slow drift is taken out, so that beats join, and beats come again where there are too few."""
    fs_hz, signal = recording.fs_hz, recording.samples_mv.astype(np.float64)
    starts = marks.r + marks.p_onset - round(0.02 * fs_hz)
    width = round(0.01 * fs_hz)
    usable = np.flatnonzero((starts[:-1] >= width) & (starts[1:] + width < signal.shape[1]))
    slower = 60 / bpm / (float(np.median(np.diff(marks.r))) / fs_hz)
    beats = []
    for beat in usable:
        first, last = int(starts[beat]), int(starts[beat + 1])
        j = int(marks.r[beat]) + marks.j
        t_end = min(int(marks.r[beat]) + marks.t_end, last - 1)
        steps = [0.0, j - first, (t_end - j) * np.sqrt(slower)]
        steps.append(max((last - first) * slower - sum(steps), _SHORTEST_PAUSE_S * fs_hz))
        new = np.cumsum(steps)
        at = np.interp(np.arange(round(new[-1])), new, [first, j, t_end, last])
        levels = [signal[:, edge - width : edge + width].mean(axis=1) for edge in (first, last)]
        share = (at - first) / (last - first)
        whole = np.arange(signal.shape[1])
        cut = np.stack([np.interp(at, whole, lead) for lead in signal])
        beats.append(cut - levels[0][:, None] * (1 - share) - levels[1][:, None] * share)
    if not beats:
        raise ValueError("no beat lies whole in the recording")
    wanted = round(_LENGTH_S * fs_hz)
    joined = np.concatenate(beats * (1 + wanted // sum(beat.shape[1] for beat in beats)), axis=1)
    return replace(recording, samples_mv=joined[:, :wanted].astype(np.float32))


def shape_of(shape: Shape, *, jt_s: float, fs_hz: float) -> tuple[int, Floats]:
    """Return a shift that is 1 at J, and how many samples before J it begins; it has faded out `jt_s` after J."""
    before = round(_RISE_S[0] * fs_hz)
    from_j_s = np.arange(-before, round(jt_s * fs_hz)) / fs_hz
    rise = _eased((from_j_s + _RISE_S[0]) / (_RISE_S[0] - _RISE_S[1]))
    share = np.clip(from_j_s / jt_s, 0, 1)
    if shape == "plateau":
        course = 1 - _eased((share - (1 - _FADE_SHARE)) / _FADE_SHARE)
    elif shape == "upsloping":
        top = 1 + (_PEAK_TIMES - 1) * np.minimum(share / _PEAK_AT, 1)
        course = top * (1 - _eased((share - _PEAK_AT) / (1 - _PEAK_AT)))
    else:
        course = (1 - share) * (1 - _eased((share - (1 - _FADE_SHARE)) / _FADE_SHARE))
    return before, rise * course


def _eased(share: Floats) -> Floats:
    """Return a way from 0 to 1 without a corner at either end."""
    return np.asarray((1 - np.cos(np.pi * np.clip(share, 0, 1))) / 2)


def sizes_mv(territory: Territory, own_mv: Mapping[str, float], wanted_mv: Mapping[str, float]) -> dict[str, float]:
    """Return the shift of each lead, mV, that brings the exact leads from their own ST to the wanted one, and of all that follow from it.

    `wanted_mv` is, for every lead, where it would stand as far from its threshold as the exact ones: a share never lifts another past it."""
    exact = {lead: wanted_mv[lead] - own_mv[lead] for lead in territory.exact}
    mean = sum(exact.values()) / len(exact)
    shared = {}
    for lead, share in territory.shares.items():
        room = max(0.0, wanted_mv[lead] - own_mv[lead])
        shared[lead] = min(share * mean, room) if share > 0 else share * max(0.0, mean)
    sizes = exact | shared
    if set(territory.exact) == {"I", "aVL"}:
        sizes["II"] = 2 * (sizes["I"] - sizes["aVL"])
    elif set(territory.exact) == {"aVF", "III"}:
        sizes["II"] = 2 * sizes["aVF"] - sizes["III"]
        sizes["I"] = sizes["II"] - sizes["III"]
    if "I" in sizes:
        limb = other_limb_leads(np.array(sizes["I"]), np.array(sizes["II"]))
        sizes |= {lead: float(mv) for lead, mv in limb.items()}
    return sizes


def with_st(recording: Recording, marks: Landmarks, sizes: Mapping[str, float], shape: Shape) -> Recording:
    """Return the recording with the shift of each lead, mV at J, put into every beat."""
    before, course = shape_of(shape, jt_s=(marks.t_end - marks.j) / recording.fs_hz, fs_hz=recording.fs_hz)
    shift = np.zeros(recording.samples_mv.shape[1])
    for first in marks.r + marks.j - before:
        begin, end = max(0, int(first)), min(shift.size, int(first) + course.size)
        if begin < end:
            shift[begin:end] += course[begin - int(first) : end - int(first)]
    by_lead = np.array([sizes.get(lead, 0.0) for lead in recording.leads])
    return replace(recording, samples_mv=(recording.samples_mv + by_lead[:, None] * shift).astype(np.float32))


def with_noise(recording: Recording, *, kind: NoiseKind, sd_mv: float, chance: np.random.Generator) -> Recording:
    """Return the recording with noise of that SD in I, II and every chest lead, each its own; the other limb leads get what follows from it."""
    fs_hz, samples = recording.fs_hz, recording.samples_mv.shape[1]
    noise = chance.standard_normal((len(recording.leads), samples))
    if kind == "muscle":
        band = butter(2, (20, min(150, 0.45 * fs_hz)), "bandpass", fs=fs_hz, output="sos")
        noise = sosfiltfilt(band, noise, axis=1)
        noise /= noise.std(axis=1, keepdims=True)
    return added(recording, sd_mv * noise)


def added(recording: Recording, change_mv: Floats) -> Recording:
    """Return the recording with a change, (leads, samples) in mV, of which that of III, aVR, aVL and aVF is made of that of I and II."""
    change_mv = change_mv.copy()
    if {"I", "II"} <= set(recording.leads):
        one, two = (change_mv[recording.leads.index(lead)] for lead in ("I", "II"))
        for lead, made_mv in other_limb_leads(one, two).items():
            if lead in recording.leads:
                change_mv[recording.leads.index(lead)] = made_mv
    return replace(recording, samples_mv=(recording.samples_mv + change_mv).astype(np.float32))
