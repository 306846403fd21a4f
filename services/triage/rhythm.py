"""What the heart's rhythm is: rate, pauses, order, wide runs, and the rhythms that kill. Judged even where ST cannot be."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.triage.activity import QRS_RISE_MV, Coarse, Restless, coarse, restless, rises_mv, slow_share, stands_still
from services.triage.atria import dissociated
from services.triage.beat_classes import Beats, classified, unlike_share, wide
from services.triage.beats import Heartbeats, MedianBeat, heartbeats
from services.triage.delineate import Waves
from services.triage.pacing import paced
from services.triage.quality import LeadQuality
from services.triage.recording import Recording
from services.triage.st import QrsBounds, spatial_velocity, without_spikes

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

_IRREGULAR = 0.08  # of 105 recordings labelled with atrial fibrillation or flutter 84 reach it and show no P; of 548 others 6
_FLUTTER_BPM = 250.0  # waves of the ventricles that are regular and faster are flutter
_LEAST_LEADS = 2  # one lead alone may be a cable's own rhythm
_TOO_MANY = 0.5  # of the leads disturbed
_PACED_SHARE = 0.5
_SURE_T = 0.5
_RUN_BEATS = 3
_WIDE_QRS_MS = 120.0
_SLOWEST_RUN_BPM = 100.0
_TWISTING_BEATS, _TWISTING_BPM, _TWISTING_MS, _UNLIKE_SHARE = 5, 150.0, (100.0, 200.0), 0.25
_TWISTING_SLOW = 0.5  # of the power: noise that was taken for beats is quicker
_TWISTING_GAP_S = 0.62  # between two beats of it: one that is low because the axis turns is easily overlooked
_ESCAPE_BPM = 60.0  # faster, and the ventricles are not left to themselves
_QUIET_FROM_S, _QUIET_TO_S = 0.45, 0.12  # after R and before the next: what lies between is at rest unless a beat was overlooked
_NEAR_R_S = 0.08
_LEAST_RISE_MV, _LEAST_RISE_SHARE = 0.15, 0.25  # at a beat; and of what the steepest beats rise
_PAUSE_S = 3.0  # what the rule asks for: a shorter recording, or what is left of one beside its gaps, cannot show it
_LONG_S = 2.5  # a shorter stretch is no pause, whatever it hides
_OVERLOOKED_SHARE = 0.3  # of the rise of the beats
_DELTA_S, _DELTA_SHARE = 0.032, (0.04, 0.3)  # the first stretch of the QRS, and its velocity over the greatest: a delta wave is slow, but moves
_SHORT_PR_MS, _DELTA_QRS_MS = 127.0, 110.0  # PR under 120 ms by hand is up to 7 ms longer here


@dataclass(frozen=True)
class Run:
    """The longest row of wide beats: `share` of all beats are in it."""

    beats: int
    bpm: float
    share: float


@dataclass(frozen=True)
class Rhythm:
    """None is not measured. `pause_s` is the longest time without a beat, before the first and after the last too;
    where a disturbance could hide a beat in it that is not known, and `hidden_s` says how long; `irregularity` the median
    change from one RR interval to the next over the median interval; `p_waves` whether the beats agree on a P wave before them;
    `atrial_fibrillation` (or flutter conducted in turns): irregular, no P. `twisting`: fast broad beats of many shapes. `wide`: most are."""

    beats: int
    bpm: float | None = None
    shortest_rr_ms: float | None = None
    pause_s: float | None = None
    hidden_s: float | None = None
    irregularity: float | None = None
    p_waves: bool | None = None
    atrial_fibrillation: bool | None = None
    paced: bool = False
    ventricular_ectopics: int = 0
    supraventricular_ectopics: int = 0
    r_on_t: bool | None = None
    run: Run | None = None
    twisting: bool = False
    fibrillation: bool = False
    standstill: bool = False
    dissociated_atrial_bpm: float | None = None
    preexcited: bool = False
    wide: bool | None = None


@dataclass(frozen=True)
class Heard:
    """The leads that show beats, and the beats in them: what rhythm is judged by. Leads too restless for ST take part.

    `rows` are those of the recording; `seen` is without a pacemaker's spikes; `rises` (steps,) in mV; `paced` (beats,)."""

    rows: list[int]
    seen: Coarse
    rises: Floats
    found: Heartbeats
    paced: Flags


def heard(recording: Recording, quality: LeadQuality) -> Heard | None:
    """Return the beats of all leads in which a heart can show; None where fewer than two can."""
    rows = [row for row, lead in enumerate(recording.leads) if lead in quality.usable or lead in quality.unmeasurable]
    if len(rows) < _LEAST_LEADS:
        return None
    found = heartbeats(recording.samples_mv[rows], recording.fs_hz)
    leads = tuple(recording.leads[row] for row in rows)
    seen = coarse(leads, found.filled_mv, recording.fs_hz)
    spikes = paced(found.filled_mv[seen.main], found.peaks, recording.fs_hz)
    if spikes.any():  # a spike that the heart does not answer is no beat
        seen = coarse(leads, without_spikes(found.filled_mv, recording.fs_hz), recording.fs_hz)
    rises = rises_mv(seen)
    steep = _steep(found.peaks, rises, seen.fs_hz / recording.fs_hz, seen.fs_hz)
    return Heard(rows, seen, rises, replace(found, peaks=found.peaks[steep]), spikes[steep])


def _steep(peaks: Ints, rises: Floats, steps_a_sample: float, fs_hz: float) -> Flags:
    """Return at which peaks, (beats,), the leads rise as in a QRS after hum and trembling were smoothed away."""
    if not peaks.size:
        return np.zeros(0, dtype=np.bool_)
    risen = _around(rises, np.round(peaks * steps_a_sample).astype(np.int64), fs_hz)
    return np.asarray(risen >= max(_LEAST_RISE_MV, _LEAST_RISE_SHARE * float(np.percentile(risen, 90))))


def _around(rises: Floats, steps: Ints, fs_hz: float) -> Floats:
    near = round(_NEAR_R_S * fs_hz)
    return np.asarray(rises[np.clip(steps[:, None] + np.arange(-near, near), 0, rises.size - 1)].max(axis=1))


def rhythm(recording: Recording, quality: LeadQuality, beats: Heard | None, median: tuple[MedianBeat, QrsBounds, Waves] | None) -> Rhythm | None:
    """Return the rhythm of a recording; None where too few leads show anything. `median` is the median beat and what lies in it, if known."""
    if (beats is None or beats.rises.max() < QRS_RISE_MV) and stands_still(recording, quality, beats.seen if beats is not None else None):
        return _without_beats(recording, beats)
    if beats is None:
        return None
    seen, peaks = beats.seen, beats.found.peaks
    waving = restless(seen)
    steps = np.round(peaks / recording.fs_hz * seen.fs_hz).astype(np.int64)
    classes = classified(seen, steps)
    if classes is not None and len(quality.unmeasurable) > _TOO_MANY * len(beats.rows):
        classes = replace(classes, ventricular=np.zeros_like(classes.ventricular))  # noise makes single beats wide
    is_paced = bool(beats.paced.size and beats.paced.mean() >= _PACED_SHARE)
    rr_s = _rr_s(beats, recording)
    bpm = float(60 / rr_s.mean()) if rr_s.size else None
    qrs_ms = None if median is None else (median[1].j - median[1].onset) / recording.fs_hz * 1000
    are_wide = None if classes is None else wide(classes, qrs_ms, wide_ms=_WIDE_QRS_MS)
    run = None if classes is None or are_wide is None else _longest_run(classes, are_wide, seen.fs_hz)
    apart = dissociated(seen, steps) if bpm is not None and bpm <= _ESCAPE_BPM and not is_paced and waving is None else None
    pause_s, hidden = _pause(beats, recording)
    irregularity, p_waves = _irregularity(classes, rr_s, seen.fs_hz), None if median is None else median[2].p is not None
    told = Rhythm(
        beats=peaks.size,
        bpm=bpm,
        shortest_rr_ms=float(rr_s.min() * 1000) if rr_s.size else None,
        pause_s=None if hidden else pause_s,
        hidden_s=pause_s if hidden else None,
        irregularity=irregularity,
        p_waves=p_waves,
        atrial_fibrillation=_atrial_fibrillation(irregularity, p_waves),
        paced=is_paced,
        ventricular_ectopics=0 if classes is None or is_paced else int(classes.ventricular.sum()),
        supraventricular_ectopics=0 if classes is None else int(classes.supraventricular.sum()),
        r_on_t=None if classes is None or median is None else _r_on_t(classes, median[0], median[2], seen.fs_hz),
        run=run,
        twisting=classes is not None and _twisting(classes, seen),
        dissociated_atrial_bpm=None if apart is None else apart.atrial_bpm,
        preexcited=median is not None and not is_paced and _preexcited(*median),
        wide=None if are_wide is None else bool(are_wide.mean() > 0.5),
    )
    return told if waving is None else _waving(told, waving)


def _without_beats(recording: Recording, beats: Heard | None) -> Rhythm:
    fibrillates = beats is not None and restless(beats.seen) is not None  # waves too low to rise like a QRS
    return Rhythm(beats=0, pause_s=recording.seconds, r_on_t=False, fibrillation=fibrillates, standstill=True)


def _waving(told: Rhythm, waving: Restless) -> Rhythm:
    """Return the rhythm where waves without rest take the place of beats: what was counted as beats is none."""
    if waving.turning:
        return replace(told, twisting=True, pause_s=None, hidden_s=None, irregularity=None)
    if waving.regular and waving.bpm < _FLUTTER_BPM:
        return replace(told, run=Run(told.beats, waving.bpm, waving.share))
    return replace(told, fibrillation=True, twisting=False, pause_s=None, hidden_s=None, irregularity=None)


def _rr_s(beats: Heard, recording: Recording) -> Floats:
    """Return the RR intervals that were seen whole, in s."""
    unknown = np.cumsum(~np.isfinite(recording.samples_mv[beats.rows]).any(axis=0))
    peaks = beats.found.peaks
    return np.asarray(np.diff(peaks)[np.diff(unknown[peaks]) == 0] / recording.fs_hz)


def _pause(beats: Heard, recording: Recording) -> tuple[float | None, bool]:
    """Return the longest stretch without a beat that was seen whole, in s, and whether a gap or a disturbance could hide a longer one."""
    known = np.isfinite(recording.samples_mv[beats.rows]).any(axis=0)
    fs_hz = recording.fs_hz
    if known.size < _PAUSE_S * fs_hz:
        return recording.seconds, True
    between = np.concatenate([[0], beats.found.peaks, [known.size]])
    partly = np.flatnonzero(np.diff(np.concatenate([[0], np.cumsum(~known)])[between]) > 0)
    if partly.size and (unseen_s := float(np.diff(between)[partly].max() / fs_hz)) >= _PAUSE_S:
        return unseen_s, True
    ends = np.unique(np.concatenate([[0], beats.found.peaks, np.flatnonzero(~known), [known.size]]))
    longest = int(np.argmax(np.diff(ends)))
    first, last = int(ends[longest]), int(ends[longest + 1])
    pause_s = (last - first) / fs_hz
    peaks, rises = beats.found.peaks, beats.rises
    if not peaks.size or pause_s < _LONG_S:
        return pause_s if peaks.size else None, False
    steps = np.round(peaks / fs_hz * beats.seen.fs_hz).astype(np.int64)
    of_beats = float(np.median(_around(rises, steps, beats.seen.fs_hz)))
    quiet = rises[round((first / fs_hz + _QUIET_FROM_S) * beats.seen.fs_hz) : max(0, round((last / fs_hz - _QUIET_TO_S) * beats.seen.fs_hz))]
    return pause_s, quiet.size > 0 and float(quiet.max()) >= max(QRS_RISE_MV, _OVERLOOKED_SHARE * of_beats)


def _irregularity(classes: Beats | None, rr_s: Floats, fs_hz: float) -> float | None:
    """Return how much the RR interval changes from beat to beat, those at a ventricular ectopic left out."""
    if classes is None:
        return None
    beside = classes.ventricular[1:] | classes.ventricular[:-1]
    own_s = np.diff(classes.at)[~beside] / fs_hz
    intervals_s = own_s if own_s.size > _RUN_BEATS else rr_s
    if intervals_s.size < _RUN_BEATS:
        return None
    return float(np.median(np.abs(np.diff(intervals_s))) / np.median(intervals_s))


def _atrial_fibrillation(irregularity: float | None, p_waves: bool | None) -> bool | None:
    if p_waves or (irregularity is not None and irregularity < _IRREGULAR):
        return False
    return None if irregularity is None or p_waves is None else True


def _longest_run(classes: Beats, are_wide: Flags, fs_hz: float) -> Run | None:
    """Return the longest row of wide beats that follow each other faster than 100 a minute; the fastest of equally long ones.

    One narrow beat between two wide ones does not end it: the atria now and then capture the ventricles."""
    fast = np.diff(classes.at) <= 60 / _SLOWEST_RUN_BPM * fs_hz
    captured = np.zeros_like(are_wide)
    captured[1:-1] = are_wide[:-2] & are_wide[2:] & fast[:-1] & fast[1:]
    in_run = are_wide | captured
    follows = in_run[1:] & in_run[:-1] & fast
    runs = [(first, last) for first, last in _rows(follows) if last - first + 1 >= _RUN_BEATS]
    if not runs:
        return None
    first, last = max(runs, key=lambda run: (run[1] - run[0], -(classes.at[run[1]] - classes.at[run[0]])))
    between_s = (classes.at[last] - classes.at[first]) / fs_hz / (last - first)
    return Run(last - first + 1, float(60 / between_s), (last - first + 1) / classes.at.size)


def _twisting(classes: Beats, seen: Coarse) -> bool:
    """True where fast broad beats are of many shapes within one run: a polymorphic ventricular tachycardia, as torsades de pointes."""
    rr_s = np.diff(classes.at) / seen.fs_hz
    runs = [slice(first, last + 1) for first, last in _rows(rr_s <= _TWISTING_GAP_S) if last - first + 1 >= _TWISTING_BEATS]
    return any(
        np.median(rr_s[run][: run.stop - run.start - 1]) <= 60 / _TWISTING_BPM
        and _TWISTING_MS[0] <= np.median(classes.width_ms[run]) <= _TWISTING_MS[1]
        and unlike_share(seen, classes.at[run]) >= _UNLIKE_SHARE
        and slow_share(seen.mv[seen.main, classes.at[run][0] : classes.at[run][-1]], seen.fs_hz) >= _TWISTING_SLOW
        for run in runs
    )


def _rows(together: Flags) -> list[list[int]]:
    """Return the first and the last beat of each row of beats that belong together, of flags between neighbours."""
    rows: list[list[int]] = np.flatnonzero(np.diff(np.concatenate([[False], together, [False]]).astype(np.int8))).reshape(-1, 2).tolist()
    return rows


def _r_on_t(classes: Beats, beat: MedianBeat, waves: Waves, fs_hz: float) -> bool | None:
    """Return whether a ventricular ectopic begins before T of the beat before it has ended; None where the end of T is not sure."""
    after_normal = classes.ventricular[1:] & classes.main[:-1]
    if not after_normal.any():
        return False
    if waves.t is None or waves.t.confidence < _SURE_T:
        return None
    t_end_s = (waves.t.end - beat.r) / beat.fs_hz
    begins_s = np.diff(classes.at) / fs_hz - classes.width_ms[1:] / 2000
    return bool((after_normal & (begins_s < t_end_s)).any())


def _preexcited(beat: MedianBeat, bounds: QrsBounds, waves: Waves) -> bool:
    """True where PR is short and the QRS wide with a slow beginning: the delta wave of a second way to the ventricles."""
    ms = 1000 / beat.fs_hz
    if waves.p is None or (bounds.onset - waves.p.onset) * ms >= _SHORT_PR_MS or (bounds.j - bounds.onset) * ms < _DELTA_QRS_MS:
        return False
    velocity = spatial_velocity(beat.beat_mv[:, bounds.onset : bounds.j], beat.fs_hz)
    share = float(velocity[: round(_DELTA_S * beat.fs_hz)].mean() / velocity.max())
    return _DELTA_SHARE[0] <= share <= _DELTA_SHARE[1]
