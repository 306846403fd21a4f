"""P waves that keep a time of their own while the ventricles beat slowly in theirs: the atria and ventricles have come apart."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from services.triage.activity import Coarse

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SMOOTH_S, _HALF_S = 0.04, 0.05  # and half of a P wave
_HIDDEN_S = (0.10, 0.50)  # before and after R: where QRS and T cover P
_APART_S = 0.28  # two P waves are no nearer
_LEAST_P_MV = 0.02  # the height of its bend over the leads
_SHARE = 0.6  # of the height of most P waves
_PERIODS_S, _PERIOD_STEP_S = (0.40, 1.30), 0.01  # 46 to 150 a minute
_NEAR_S = 0.06  # of where the train expects it
_LEAST_P, _KEPT, _EXPLAINED = 5, 0.8, 0.7  # P waves seen; the shares of those expected that are there, and of those there that were expected
_STEADY = 0.08  # SD of the RR intervals over their mean: an escape rhythm is regular
_LEAST_BEATS = 3  # two intervals are the fewest that can be regular
_FASTER = 1.2  # atria over ventricles
_APART_SHARE = 0.25  # of the P interval, by which the QRS must wander among the P waves: a conducted QRS keeps its place


@dataclass(frozen=True)
class Dissociation:
    """P waves at `atrial_bpm`, and a QRS that does not follow them."""

    atrial_bpm: float


def dissociated(seen: Coarse, peaks: Ints) -> Dissociation | None:
    """Return the train of P waves that the beats, R at coarse steps `peaks`, do not follow; None where they do, or where no such train is seen."""
    if peaks.size < _LEAST_BEATS:
        return None
    rr_s = np.diff(peaks) / seen.fs_hz
    if rr_s.std() > _STEADY * rr_s.mean():
        return None
    visible = _visible(seen.mv.shape[1], peaks, seen.fs_hz)
    found = _p_waves(seen, visible)
    if found.size < _LEAST_P or _lead_each_to_a_qrs(found, peaks, seen.fs_hz):
        return None
    period, phase = _train(found, visible, seen.fs_hz)
    if period is None or rr_s.mean() * seen.fs_hz < _FASTER * period:
        return None
    turn = np.exp(2j * np.pi * (peaks - phase) / period)
    along = np.angle(turn / turn[0]) / (2 * np.pi)
    if np.ptp(along) < _APART_SHARE:
        return None
    return Dissociation(60 * seen.fs_hz / period)


def _visible(steps: int, peaks: Ints, fs_hz: float) -> NDArray[np.bool_]:
    before, after = (round(s * fs_hz) for s in _HIDDEN_S)
    change = np.zeros(steps + 1, dtype=np.int64)
    np.add.at(change, np.maximum(peaks - before, 0), 1)
    np.add.at(change, np.minimum(peaks + after, steps), -1)
    return np.asarray(np.cumsum(change)[:-1] == 0)


def _p_waves(seen: Coarse, visible: NDArray[np.bool_]) -> Ints:
    """Return the tops of P waves between T and the next QRS, coarse steps: bends that all point the same way through the leads."""
    leads, half = seen.mv[seen.main], round(_HALF_S * seen.fs_hz)
    smooth = uniform_filter1d(leads, max(1, round(_SMOOTH_S * seen.fs_hz)), axis=1)
    bend = np.zeros_like(smooth)
    bend[:, half:-half] = smooth[:, half:-half] - (smooth[:, : -2 * half] + smooth[:, 2 * half :]) / 2
    if not visible.any():
        return np.empty(0, dtype=np.int64)
    _, directions = np.linalg.eigh(bend[:, visible] @ bend[:, visible].T)
    along = directions[:, -1] @ bend
    along = np.where(visible, along if np.percentile(along[visible], 98) > -np.percentile(along[visible], 2) else -along, 0.0)
    tops, _ = find_peaks(along, height=_LEAST_P_MV, distance=max(1, round(_APART_S * seen.fs_hz)))
    if not tops.size:
        return np.empty(0, dtype=np.int64)
    return np.asarray(tops[along[tops] >= _SHARE * np.percentile(along[tops], 75)], dtype=np.int64)


def _lead_each_to_a_qrs(found: Ints, peaks: Ints, fs_hz: float) -> bool:
    """True where nearly all P waves stand at the same distance before a QRS."""
    following = np.searchsorted(peaks, found)
    within = following < peaks.size
    distance = peaks[following[within]] - found[within]
    return bool(distance.size and (np.abs(distance - np.median(distance)) <= _NEAR_S * fs_hz).mean() >= _EXPLAINED)


def _train(found: Ints, visible: NDArray[np.bool_], fs_hz: float) -> tuple[float | None, float]:
    """Return period and phase, in steps, of the regular train that expects the P waves found, and no others where they would be seen."""
    near = _NEAR_S * fs_hz
    best: tuple[float, float | None, float] = (0.0, None, 0.0)
    for period in np.arange(_PERIODS_S[0] * fs_hz, _PERIODS_S[1] * fs_hz, _PERIOD_STEP_S * fs_hz):
        turn = np.exp(2j * np.pi * found / period).mean()
        phase = float(np.angle(turn)) / (2 * np.pi) * period % period
        expected = np.round(np.arange(phase, visible.size - near, period)).astype(np.int64)
        expected = expected[visible[expected]]
        if expected.size < _LEAST_P:
            continue
        off = np.abs(found[:, None] - expected)
        kept, explained = float((off.min(axis=0) <= near).mean()), float((off.min(axis=1) <= near).mean())
        if kept >= _KEPT and explained >= _EXPLAINED and kept * explained * abs(turn) > best[0]:
            best = (kept * explained * abs(turn), float(period), phase)
    return best[1], best[2]
