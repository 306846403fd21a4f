"""What a cardiologist measures on the median beat: intervals, the frontal axis, and each lead's waves and ST with a confidence."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from services.triage.beats import MIN_BEATS, MedianBeat
from services.triage.delineate import Waves
from services.triage.st import QrsBounds, level_at_onset, st_elevation, without_spikes

Floats = NDArray[np.float64]

ST_AFTER_J_MS = (20, 40, 60, 80)
_LEAST_WAVE_MV = 0.025  # a quarter of a small square of the paper: less is no wave
_CLOSE_MV = 0.03
_DIGITS = 3  # of mV: what is shown is what is judged
_T_FROM_S = 0.04  # after J
_LEAST_VECTOR_MV = 0.02  # mean over the QRS: a smaller one points nowhere


@dataclass(frozen=True)
class Intervals:
    """In ms; None where one of its bounds was not found. `rr_ms` is the median between neighbouring beats of the median's shape."""

    rr_ms: float | None
    p_ms: float | None
    pr_ms: float | None
    qt_ms: float | None
    qtcb_ms: float | None
    qtcf_ms: float | None


@dataclass(frozen=True)
class LeadWaves:
    """Each lead's waves against the level at QRS onset, (leads,) in mV, zero where a lead has no such wave, NaN where it was not measured."""

    q_mv: Floats
    r_mv: Floats
    s_mv: Floats
    t_mv: Floats

    @property
    def nadir_mv(self) -> Floats:
        """The lowest point of the QRS, be it a Q or an S."""
        return np.minimum(self.q_mv, self.s_mv)


def intervals(beat: MedianBeat, bounds: QrsBounds, waves: Waves) -> Intervals:
    """Return the intervals of the median beat; QTc by Bazett, QT/sqrt(RR), and by Fridericia, QT/cbrt(RR), RR in s."""
    ms = 1000 / beat.fs_hz
    rr_s = float(np.median(beat.normal_rr_s)) if beat.normal_rr_s.size else None
    qt_ms = (waves.t.end - bounds.onset) * ms if waves.t else None
    return Intervals(
        rr_ms=None if rr_s is None else rr_s * 1000,
        p_ms=(waves.p.end - waves.p.onset) * ms if waves.p else None,
        pr_ms=(bounds.onset - waves.p.onset) * ms if waves.p else None,
        qt_ms=qt_ms,
        qtcb_ms=None if qt_ms is None or rr_s is None else qt_ms / rr_s ** (1 / 2),
        qtcf_ms=None if qt_ms is None or rr_s is None else qt_ms / rr_s ** (1 / 3),
    )


def lead_waves(beat_mv: Floats, bounds: QrsBounds, *, t_end: int | None, fs_hz: float) -> LeadWaves:
    """Return the waves of each lead of one beat, (leads, samples) in mV.

    Q is what goes down before the first upward wave, R the highest point (of an rSR' the R'), S what goes down after the first upward
    wave. A QS complex has no R, and its depth is both its Q and its S: what rises after it to an elevated ST is no R. T is the point furthest
    from the level between ST segment and T end."""
    level = level_at_onset(beat_mv, bounds, fs_hz=fs_hz)[:, None]
    qrs = without_spikes(beat_mv[:, bounds.onset : bounds.j] - level, fs_hz)
    st_mv = np.maximum(st_elevation(beat_mv, fs_hz=fs_hz, onset=bounds.onset, j=bounds.j), 0.0)[:, None]
    lowest = np.nan_to_num(qrs).argmin(axis=1)[:, None]
    into_st = (np.arange(qrs.shape[1]) > lowest) & (qrs.min(axis=1, keepdims=True) <= -np.maximum(st_mv, _LEAST_WAVE_MV))
    up = qrs >= _LEAST_WAVE_MV + np.where(into_st, st_mv, 0.0)
    later = np.maximum.accumulate(up, axis=1)
    has_r = later[:, -1:]
    q_mv = np.where(later, 0.0, qrs).min(axis=1)
    s_mv = np.where(later | ~has_r, qrs, 0.0).min(axis=1)
    r_mv = np.where(up, qrs, 0.0).max(axis=1)
    gap = ~np.isfinite(qrs).all(axis=1)
    q_mv, r_mv, s_mv = (np.where(gap, np.nan, np.where(np.abs(wave) < _LEAST_WAVE_MV, 0.0, wave)) for wave in (q_mv, r_mv, s_mv))
    return LeadWaves(q_mv, r_mv, s_mv, t_mv=_t_mv(beat_mv - level, bounds, t_end=t_end, fs_hz=fs_hz))


def st_after_j(beat_mv: Floats, bounds: QrsBounds, *, fs_hz: float) -> Mapping[int, Floats]:
    """Return ST at J and after it, by the ms after J: (leads,) in mV against the level before the QRS, NaN where that lead has no value there."""
    return {
        after_j_ms: np.round(st_elevation(beat_mv, fs_hz=fs_hz, onset=bounds.onset, j=bounds.j, after_j_ms=after_j_ms), _DIGITS)
        for after_j_ms in (0, *ST_AFTER_J_MS)
    }


def _t_mv(above_mv: Floats, bounds: QrsBounds, *, t_end: int | None, fs_hz: float) -> Floats:
    first = bounds.j + round(_T_FROM_S * fs_hz)
    if t_end is None or t_end <= first:
        return np.full(len(above_mv), np.nan)
    t_wave = above_mv[:, first:t_end]
    return np.where(np.isfinite(t_wave).all(axis=1), t_wave[np.arange(len(t_wave)), np.abs(t_wave).argmax(axis=1)], np.nan)


def frontal_axis_deg(leads: tuple[str, ...], beat_mv: Floats, bounds: QrsBounds, *, fs_hz: float) -> float | None:
    """Return the direction of the net QRS area in the frontal plane, -180 to 180 degrees: 0 is lead I, 90 is aVF.

    It needs I and II, of which the other four are made; None without them, and where the areas up and down cancel out."""
    if not {"I", "II"} <= set(leads):
        return None
    mean_mv = (beat_mv[:, bounds.onset : bounds.j] - level_at_onset(beat_mv, bounds, fs_hz=fs_hz)[:, None]).mean(axis=1)
    one, two = float(mean_mv[leads.index("I")]), float(mean_mv[leads.index("II")])
    down = (2 * two - one) / np.sqrt(3)  # aVF, which is II - I/2, at the scale of I
    if not np.hypot(one, down) >= _LEAST_VECTOR_MV:  # not a number is not enough either
        return None
    return float(np.degrees(np.arctan2(down, one)))


def st_confidence(beat: MedianBeat, bounds: QrsBounds) -> Floats:
    """Return, (leads,), how likely ST at J lies within 0.03 mV of what endless beats like these would give: from its spread over the beats.

    NaN where fewer than two beats have a value. A steady fault, such as a wrong J point, does not show in it."""
    count, leads, samples = beat.beats_mv.shape
    st_mv = st_elevation(beat.beats_mv.reshape(-1, samples), fs_hz=beat.fs_hz, onset=bounds.onset, j=bounds.j).reshape(count, leads)
    measured = np.isfinite(st_mv)
    beats = measured.sum(axis=0)
    st_mv = np.where(measured, st_mv, 0.0)
    mean_mv = st_mv.sum(axis=0) / np.maximum(beats, 1)
    variance = (np.where(measured, st_mv - mean_mv, 0.0) ** 2).sum(axis=0) / np.maximum(beats - 1, 1)
    error_mv = np.sqrt(np.pi / 2 * variance / np.maximum(beats, 1))  # of a median: the root of pi/2 times that of a mean
    return np.where(beats >= MIN_BEATS, erf(_CLOSE_MV / np.sqrt(2) / np.maximum(error_mv, 1e-6)), np.nan)
