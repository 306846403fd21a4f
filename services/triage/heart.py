"""What one recording shows of the heart: which leads can be judged, the median beat with all that was measured on it, and the rhythm."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from contracts.assessments import QualityProblem
from services.triage import words
from services.triage.beats import MedianBeat, median_beat
from services.triage.delineate import Waves, waves
from services.triage.electrodes import exchanged
from services.triage.measure import Intervals, LeadWaves, intervals, lead_waves, st_after_j, st_confidence
from services.triage.quality import LeadQuality, lead_quality, restored, without_exchanged, without_silent
from services.triage.recording import STANDARD, Recording
from services.triage.rhythm import Heard, Rhythm, heard, rhythm
from services.triage.st import QrsBounds, qrs_bounds

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MeasuredBeat:
    """One median beat and what was measured on it, once, for the rules and for what is shown; arrays are (leads,) in the order of `leads`.

    `st_mv` is ST by the ms after J; `st_sure` how sure it is at J, NaN where it was not measured."""

    leads: tuple[str, ...]
    beat: MedianBeat
    bounds: QrsBounds
    waves: Waves
    intervals: Intervals
    of_leads: LeadWaves
    st_mv: Mapping[int, Floats]
    st_sure: Floats

    @property
    def qrs_ms(self) -> float:
        return round((self.bounds.j - self.bounds.onset) / self.beat.fs_hz * 1000, 1)

    @property
    def all_st(self) -> bool:
        """True where each of the twelve leads that are there has an ST value."""
        return all(np.isfinite(self.st_mv[0][self.leads.index(lead)]) for lead in STANDARD if lead in self.leads)


@dataclass(frozen=True)
class Heart:
    """`beat` is the median beat, or why there is none that ST can be judged on; `rhythm` None where no lead shows it."""

    quality: LeadQuality
    beat: MeasuredBeat | QualityProblem
    rhythm: Rhythm | None


def heart(recording: Recording) -> Heart:
    """Return what a recording shows. The rhythm is seen in leads too restless for ST as well."""
    recording, first = restored(recording, lead_quality(recording))
    beats = heard(recording, first)
    quality, beat = _measured(recording, first, beats)
    if quality.feeble:
        return Heart(quality, beat, None)  # beats that repeat themselves are too small to be judged; they are no standstill
    if isinstance(beat, QualityProblem):
        return Heart(quality, beat, rhythm(recording, first, beats, None))
    told = rhythm(recording, first, beats, (beat.beat, beat.bounds, beat.waves))
    if told is not None and (told.fibrillation or told.twisting or told.standstill):
        return Heart(quality, words.NO_BEATS, told)  # a beat may be put together of anything; ST of it says nothing
    return Heart(quality, beat, told)


def _measured(recording: Recording, quality: LeadQuality, beats: Heard | None) -> tuple[LeadQuality, MeasuredBeat | QualityProblem]:
    """Measure, leaving out the leads that show no heart or not the place that they name: only the beats tell which."""
    usable = _usable_beat(recording, quality, beats)
    if isinstance(usable, QualityProblem):
        return quality, usable
    leads, beat, bounds = usable
    quality = without_silent(quality, leads, beat.beats_mv[:, :, bounds.onset : bounds.j])
    quality = without_exchanged(quality, exchanged(leads, beat.beat_mv, onset=bounds.onset, j=bounds.j, fs_hz=beat.fs_hz))
    rows = [row for row, lead in enumerate(leads) if lead in quality.usable]
    if not rows:
        return quality, words.TOO_FEW_LEADS
    if len(rows) < len(leads):
        leads, beat = tuple(leads[row] for row in rows), replace(beat, beat_mv=beat.beat_mv[rows], beats_mv=beat.beats_mv[:, rows])
    found = waves(beat, bounds)
    of_leads = lead_waves(beat.beat_mv, bounds, t_end=found.t.end if found.t else None, fs_hz=beat.fs_hz)
    st_mv = st_after_j(beat.beat_mv, bounds, fs_hz=beat.fs_hz)
    sure = np.where(np.isfinite(st_mv[0]), st_confidence(beat, bounds), np.nan)
    return quality, MeasuredBeat(leads, beat, bounds, found, intervals(beat, bounds, found), of_leads, st_mv, sure)


def _usable_beat(recording: Recording, quality: LeadQuality, beats: Heard | None) -> tuple[tuple[str, ...], MedianBeat, QrsBounds] | QualityProblem:
    rows = [row for row, lead in enumerate(recording.leads) if lead in quality.usable]
    if not rows:
        return words.TOO_FEW_LEADS
    beat = median_beat(recording.samples_mv[rows], recording.fs_hz, beats.found if beats is not None and beats.rows == rows else None)
    if beat is None:
        return words.NO_BEATS
    bounds = qrs_bounds(beat.beat_mv, r=beat.r, fs_hz=beat.fs_hz)
    if bounds is None:
        return words.NO_J_POINT
    return tuple(recording.leads[row] for row in rows), beat, bounds
