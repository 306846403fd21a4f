"""The shapes of the T wave, the end of the QRS and the PR segment, lead by lead: what the rules for subtle ischaemia are made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.triage.beats import MedianBeat
from services.triage.delineate import Waves
from services.triage.measure import LeadWaves
from services.triage.st import QrsBounds, level_at_onset

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_T_FROM_S, _T_TO_S = 0.06, 0.34  # after J; where the end of T was found it is taken instead
_BEFORE_NEXT_S = 0.10  # the next QRS
_BEFORE_NEXT_P_S = 0.03
_LEAST_T_S = 0.08
_BIPHASIC_S = 0.04  # from the top of the first part to the bottom of the second: closer together they are noise
_LEAST_R_MV = 0.1
_J_WAVE_AFTER_J_S = 0.02  # so late may a notch of the last QRS have its top
_J_WAVE_MV = 0.02
_TP_FROM_S, _TP_TO_S = 0.040, 0.008  # before P
_LEAST_PR_SEGMENT_S = 0.016


@dataclass(frozen=True)
class TShape:
    """Each lead's T wave, (leads,); NaN where it was not measured.

    `up_mv` is its highest and `down_mv` its lowest point against the level before the QRS, zero or beyond; `area_mv_ms` is what lies above
    that level. Of the larger of the two points, `half_ms` is the width at half its height, and `symmetry` the time from half its height up to
    it over the time back down to half: a healthy T rises slowly and falls fast. `biphasic_mv` is the smaller part of a wave that goes up
    and then down, zero or negative."""

    up_mv: Floats
    down_mv: Floats
    area_mv_ms: Floats
    half_ms: Floats
    symmetry: Floats
    biphasic_mv: Floats


def t_shape(beat: MedianBeat, bounds: QrsBounds, waves: Waves) -> TShape:
    """Return the shape of T in each lead of a median beat; all NaN where the next beat leaves no room for one."""
    fs_hz, rr_s = beat.fs_hz, float(np.median(beat.rr_s))
    first = bounds.j + round(_T_FROM_S * fs_hz)
    room_s = rr_s - _BEFORE_NEXT_S if waves.p is None else rr_s - (bounds.onset - waves.p.onset) / fs_hz - _BEFORE_NEXT_P_S
    usual = min(bounds.j + round(_T_TO_S * fs_hz), bounds.onset + round(room_s * fs_hz))
    last = min(waves.t.end if waves.t else usual, beat.beat_mv.shape[1])
    if last - first < _LEAST_T_S * fs_hz:
        return TShape(*(np.full(len(beat.beat_mv), np.nan) for _ in range(6)))
    t_wave = beat.beat_mv[:, first:last] - level_at_onset(beat.beat_mv, bounds, fs_hz=fs_hz)[:, None]
    gap: Bools = np.asarray(~np.isfinite(t_wave).all(axis=1))
    t_wave = np.where(gap[:, None], 0.0, t_wave)
    up, down = np.maximum(t_wave.max(axis=1), 0.0), np.minimum(t_wave.min(axis=1), 0.0)
    main = t_wave * np.where(up >= -down, 1.0, -1.0)[:, None]
    at, top = np.arange(last - first), main.argmax(axis=1)[:, None]
    low = main < main.max(axis=1, keepdims=True) / 2
    left, right = np.where(low & (at < top), at, -1).max(axis=1), np.where(low & (at > top), at, last - first).min(axis=1)
    shape = (
        up,
        down,
        np.maximum(t_wave, 0.0).sum(axis=1) / fs_hz * 1000,
        (right - left - 1) / fs_hz * 1000,
        (top[:, 0] - left) / (right - top[:, 0]),
        -_biphasic_mv(t_wave, round(_BIPHASIC_S * fs_hz)),
    )
    return TShape(*(np.where(gap, np.nan, each) for each in shape))


def _biphasic_mv(t_wave: Floats, apart: int) -> Floats:
    """Return, of how far a wave goes up and how far it later goes down, the lesser."""
    highest = np.maximum.accumulate(t_wave, axis=1)[:, :-apart]
    return np.asarray(np.maximum(np.minimum(highest, -t_wave[:, apart:]).max(axis=1), 0.0))


def terminal_distortion(beat_mv: Floats, bounds: QrsBounds, of_leads: LeadWaves, *, fs_hz: float) -> Bools:
    """Return, (leads,), where an R is followed by neither an S nor a notch at J; False where there is a gap."""
    qrs = beat_mv[:, bounds.onset : bounds.j + round(_J_WAVE_AFTER_J_S * fs_hz)] - level_at_onset(beat_mv, bounds, fs_hz=fs_hz)[:, None]
    at, r_at = np.arange(qrs.shape[1]), qrs.argmax(axis=1)[:, None]
    falling = np.where(at >= r_at, qrs, np.inf)
    before = np.minimum.accumulate(falling, axis=1)
    after = np.minimum.accumulate(qrs[:, ::-1], axis=1)[:, ::-1]
    notched = np.where(at > r_at, qrs - np.maximum(before, after), 0.0).max(axis=1) >= _J_WAVE_MV
    return np.asarray((of_leads.r_mv >= _LEAST_R_MV) & (of_leads.s_mv == 0) & ~notched)


def pr_segment(beat: MedianBeat, bounds: QrsBounds, waves: Waves) -> Floats:
    """Return how far the PR segment stands above the level between T and P, (leads,) in mV; NaN without a P or without such a level."""
    fs_hz, unknown = beat.fs_hz, np.full(len(beat.beat_mv), np.nan)
    if waves.p is None:
        return unknown
    first, last = (waves.p.onset - round(s * fs_hz) for s in (_TP_FROM_S, _TP_TO_S))
    t_ends = waves.t.end - round(float(np.median(beat.rr_s)) * fs_hz) if waves.t else 0
    if first < max(0, t_ends):
        return unknown
    begins = min(waves.p.end, bounds.onset - round(_LEAST_PR_SEGMENT_S * fs_hz))
    return np.asarray(beat.beat_mv[:, begins : bounds.onset].mean(axis=1) - beat.beat_mv[:, first:last].mean(axis=1))
