"""Where P begins and ends and where T ends, over all leads at once: by the spatial velocity of the median beat, as the bounds of the QRS."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from services.triage.beats import MedianBeat
from services.triage.st import QrsBounds

Floats = NDArray[np.float64]

_P_SMOOTH_S, _T_SMOOTH_S = 0.024, 0.030
_T_TANGENT = 1.25  # of the length that the tangent gives: the foot of T is round, and people mark where it has flattened
_T_FROM_S = 0.09  # after J: before that the end of the QRS is steeper than any T
_T_USUAL, _T_LATEST, _T_LATEST_BEFORE_P = 0.45, 0.62, 0.8  # of the root of RR, both in s, after QRS onset: QTc by Bazett
_NEXT_QRS_S, _NEXT_P_S = 0.10, 0.03  # what T must have ended before
_T_SHARE = 0.55  # of the greatest velocity of the T wave: its last slope is no flatter than this
_T_END_S = 0.16  # after the last slope of T
_P_FROM_S, _P_TO_S = 0.32, 0.03  # before QRS onset: where the top of P lies
_P_HALF_S = 0.05  # half of a P wave
_P_SLOPE_S = 0.08  # from its top, to its steepest point
_P_STEEP = 0.7  # of the greatest velocity on its side of the top: the outermost slope of a P with two tops
_P_ONSET_SHARE, _P_END_SHARE = 0.3, 0.45  # of the velocity on that slope
_STEP_S = 0.008  # slower than anything in a P or T wave
_P_AGREEMENT, _T_AGREEMENT = 0.45, 0.25  # less is what beats agree on by chance, or the atrium trembles


@dataclass(frozen=True)
class PWave:
    """Samples of the median beat: `onset` is the first of the wave, `end` the first after it. `confidence` is 0 to 1: how far the beats agree."""

    onset: int
    end: int
    confidence: float


@dataclass(frozen=True)
class TWave:
    """`end` is the first sample of the median beat after the wave. `confidence` is 0 to 1: how far the beats agree on the wave."""

    end: int
    confidence: float


@dataclass(frozen=True)
class Waves:
    """What stands beside the QRS; None where it was not found."""

    p: PWave | None
    t: TWave | None


def waves(beat: MedianBeat, bounds: QrsBounds) -> Waves:
    """Return P and T of a median beat whose QRS is known."""
    p = _p_wave(beat, bounds)
    return Waves(p=p, t=_t_wave(beat, bounds, p))


def _t_wave(beat: MedianBeat, bounds: QrsBounds, p: PWave | None) -> TWave | None:
    """Return where the tangent at the last steep slope of T meets the level that T comes down to."""
    fs_hz, rr_s = beat.fs_hz, float(np.median(beat.rr_s))
    first = bounds.j + round(_T_FROM_S * fs_hz)
    before_next = rr_s - _NEXT_QRS_S if p is None else rr_s - (bounds.onset - p.onset) / fs_hz - _NEXT_P_S
    latest_s = min((_T_LATEST if p is None else _T_LATEST_BEFORE_P) * rr_s**0.5, before_next)
    last = min(beat.beat_mv.shape[1], bounds.onset + round(latest_s * fs_hz))
    leads = _whole(beat.beat_mv[:, first:last])
    if last - first < _T_FROM_S * fs_hz or not len(leads):
        return None
    smooth, slopes, velocity = _slopes(leads, fs_hz, smooth_s=_T_SMOOTH_S)
    steepest = _last_peak(velocity, _T_SHARE)
    confidence = _agreement(beat, first, last)
    if confidence < _T_AGREEMENT or not velocity[steepest]:
        return None
    along = slopes[:, steepest] @ smooth / velocity[steepest]  # the leads as one, in the direction in which T goes back
    after = along[steepest : steepest + round(_T_END_S * fs_hz)]
    end = first + steepest + round(_T_TANGENT * float(after.max() - after[0]) / float(velocity[steepest]))
    return TWave(end=end, confidence=confidence)


def _p_wave(beat: MedianBeat, bounds: QrsBounds) -> PWave | None:
    """Return the wave before the QRS that the beats agree on: from where the velocity rises before its top to where it falls after it."""
    fs_hz, rr_s = beat.fs_hz, float(np.median(beat.rr_s))
    first, last = max(0, bounds.onset - round(min(_P_FROM_S, rr_s - _T_USUAL * rr_s**0.5) * fs_hz)), bounds.onset
    half, slope = round(_P_HALF_S * fs_hz), round(_P_SLOPE_S * fs_hz)
    leads = _whole(beat.beat_mv[:, first:last])
    if last - first < 2 * half or not len(leads):
        return None
    smooth, _, velocity = _slopes(leads, fs_hz, smooth_s=_P_SMOOTH_S)
    at = np.arange(last - first - round(_P_TO_S * fs_hz))
    bend = smooth[:, at] - (smooth[:, np.maximum(at - half, 0)] + smooth[:, np.minimum(at + half, last - first - 1)]) / 2
    top = int(np.argmax((bend**2).sum(axis=0)))
    if not bend[:, top].any():
        return None
    confidence = _agreement(beat, max(first, first + top - slope), min(last, first + top + slope))
    if confidence < _P_AGREEMENT:
        return None
    before, after = velocity[max(0, top - slope) : top + 1][::-1], velocity[top : top + slope]
    rise, fall = top - _last_peak(before, _P_STEEP), top + _last_peak(after, _P_STEEP)
    onset, end = rise - _to_quiet(velocity[: rise + 1][::-1], _P_ONSET_SHARE), fall + _to_quiet(velocity[fall:], _P_END_SHARE)
    return PWave(onset=first + onset, end=first + end, confidence=confidence)


def _whole(leads: Floats) -> Floats:
    return leads[np.isfinite(leads).all(axis=1)]


def _slopes(leads: Floats, fs_hz: float, *, smooth_s: float) -> tuple[Floats, Floats, Floats]:
    """Return the smoothed leads, their slopes, (leads, samples) in mV a sample, and the root of the sum of the slopes' squares, (samples,)."""
    smooth = uniform_filter1d(leads, max(1, round(smooth_s * fs_hz)), axis=1, mode="nearest")
    slopes = np.gradient(smooth, axis=1)
    return smooth, slopes, np.sqrt((slopes**2).sum(axis=0))


def _last_peak(velocity: Floats, share: float) -> int:
    """Return the last peak that reaches a share of the highest."""
    middle = velocity[1:-1]
    peaks = np.flatnonzero((middle >= velocity[:-2]) & (middle > velocity[2:]) & (middle >= share * velocity.max())) + 1
    return int(peaks[-1]) if peaks.size else int(np.argmax(velocity))


def _to_quiet(velocity: Floats, share: float) -> int:
    """Return the first sample that is below a share of the velocity's first; its quietest where none is."""
    below = velocity < share * velocity[0]
    return int(np.argmax(below)) if below.any() else int(np.argmin(velocity))


def _agreement(beat: MedianBeat, first: int, last: int) -> float:
    """Return how like the median each beat is between two samples, over all leads, less its slope: 0 is what chance gives, 1 is the same."""
    step = max(1, round(_STEP_S * beat.fs_hz))
    single, median = beat.beats_mv[:, :, first:last:step], beat.beat_mv[:, first:last:step]
    complete = np.isfinite(single).all(axis=(0, 2))
    if not complete.any():
        return 0.0
    shapes, shape = _without_slope(single[:, complete]), _without_slope(median[complete])
    norms = np.sqrt((shapes**2).sum(axis=(1, 2)) * (shape**2).sum())
    alike = float(((shapes * shape).sum(axis=(1, 2)) / np.maximum(norms, 1e-12)).mean())
    chance = len(shapes) ** -0.5
    return float(np.clip((alike - chance) / (1 - chance), 0.0, 1.0))


def _without_slope(leads: Floats) -> Floats:
    level: Floats = leads - leads.mean(axis=-1, keepdims=True)
    line = np.linspace(-1, 1, leads.shape[-1])
    return np.asarray(level - (level @ line)[..., None] * (line / (line @ line)))
