"""Where the QRS begins and ends, over all leads at once, and how far ST stands above the level before it, lead by lead."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter, uniform_filter1d

Floats = NDArray[np.float64]

BASELINE = "mean of 8 ms before QRS onset"
_LEVEL_S = 0.008  # one sample is noise
_SPIKE_S = 0.006  # a pacemaker's spike is shorter, every part of a QRS longer
_SPIKE_SHARE, _SPIKE_MV = 0.5, 0.2
_SMOOTH_S = 0.014
_QUIET_S = 0.032  # the velocity must stay low this long: a notch within the QRS is shorter
_SEEN_S = (0.30, 0.50)  # before and after R: further off lie other waves
_SEARCH_BEFORE_S, _SEARCH_AFTER_S = 0.16, 0.18
_PEAK_WITHIN_S = 0.08
_ONSET_SHARE, _J_SHARE = 0.04, 0.06  # of the greatest velocity
_RELAXED = (1.0, 1.5, 2.25)  # a steep ST segment or T wave never falls as quiet as a flat one
_NOISE_FACTOR = 3.5
_NOISIEST_SHARE = 0.35  # more, and there is no quiet stretch before the QRS: a fast ventricular rhythm or a trembling patient
_ST_WITHIN_S = (0.06, 0.18)  # after the steepest point of the QRS
_ST_PERCENTILE, _ST_FACTOR, _ST_MOST = 30, 1.8, 0.12


@dataclass(frozen=True)
class QrsBounds:
    """Samples of the median beat: `onset` is the first of the QRS, `j` the first after it."""

    onset: int
    j: int


def spatial_velocity(beat_mv: Floats, fs_hz: float) -> Floats:
    """Return the root-sum-square of the leads' slopes, (samples,) in mV/s; leads with gaps do not take part."""
    whole = beat_mv[np.isfinite(beat_mv).all(axis=1)]
    if not len(whole):
        return np.zeros(beat_mv.shape[1])
    width = max(1, round(_SMOOTH_S * fs_hz))
    despiked = median_filter(whole, size=(1, 2 * round(_SPIKE_S * fs_hz) + 1), mode="nearest")
    slopes = np.gradient(uniform_filter1d(despiked, width, axis=1, mode="nearest"), axis=1) * fs_hz
    return np.asarray(np.sqrt((slopes**2).sum(axis=0)))


def without_spikes(beat_mv: Floats, fs_hz: float) -> Floats:
    """Return the beat with a pacemaker's spikes cut off: they would be taken for the highest or lowest point of a QRS.

    A sample counts as a spike's where a median over 12 ms takes away more than half of it: it takes a tenth of a steep R."""
    median = median_filter(beat_mv, size=(1, 2 * round(_SPIKE_S * fs_hz) + 1), mode="nearest")
    cut = np.abs(beat_mv - median)
    return np.where((cut > _SPIKE_SHARE * np.abs(beat_mv)) & (cut > _SPIKE_MV), median, beat_mv)


def qrs_bounds(beat_mv: Floats, *, r: int, fs_hz: float) -> QrsBounds | None:
    """Return onset and J point of one median beat with R at sample `r`; None where the velocity never falls quiet on a side."""
    first = max(0, r - round(_SEEN_S[0] * fs_hz))
    velocity = spatial_velocity(beat_mv[:, first : r + round(_SEEN_S[1] * fs_hz)], fs_hz)
    near = round(_PEAK_WITHIN_S * fs_hz)
    peak = r - first - near + int(np.argmax(velocity[r - first - near : r - first + near]))
    quiet = round(_QUIET_S * fs_hz)
    before = velocity[max(0, peak - round(_SEARCH_BEFORE_S * fs_hz)) : peak][::-1]
    after = velocity[peak : peak + round(_SEARCH_AFTER_S * fs_hz)]
    noise = _noise(velocity, peak=peak, fs_hz=fs_hz)
    if noise > _NOISIEST_SHARE * velocity[peak]:
        return None
    to_onset = _first_quiet(before, max(_ONSET_SHARE * velocity[peak], noise), quiet)
    to_j = _first_quiet(after, max(_J_SHARE * velocity[peak], noise, _st_slope(velocity, peak=peak, fs_hz=fs_hz)), quiet)
    if to_onset is None or to_j is None:
        return None
    return QrsBounds(onset=first + peak - to_onset, j=first + peak + to_j)


def _noise(velocity: Floats, *, peak: int, fs_hz: float) -> float:
    """Return a level that the velocity of a quiet stretch does not pass."""
    stretch = velocity[: max(1, peak - round(0.08 * fs_hz))]
    return float(_NOISE_FACTOR * np.percentile(stretch, 25))


def _st_slope(velocity: Floats, *, peak: int, fs_hz: float) -> float:
    """Return a level just above that of the ST segment itself, which is steep in a great infarction."""
    first, last = (peak + round(s * fs_hz) for s in _ST_WITHIN_S)
    return min(float(_ST_FACTOR * np.percentile(velocity[first:last], _ST_PERCENTILE)), _ST_MOST * float(velocity[peak]))


def _first_quiet(velocity: Floats, threshold: float, quiet: int) -> int | None:
    """Return the first sample from which the velocity stays below the threshold, or else a little above it, for `quiet` samples."""
    if velocity.size < quiet:
        return None
    for relaxed in _RELAXED:
        below = np.lib.stride_tricks.sliding_window_view(velocity < relaxed * threshold, quiet).all(axis=1)
        if below.any():
            return int(np.argmax(below))
    return None


def st_elevation(beat_mv: Floats, *, fs_hz: float, onset: int, j: int, after_j_ms: float = 0.0) -> Floats:
    """Measure ST against the level just before QRS onset, lead by lead.

    `beat_mv` is one median beat, (leads, samples) in mV; onset < j are samples. Returns (leads,) in mV, up is positive; NaN where that
    lead has no value there: not measured, which is not zero."""
    width = max(1, round(_LEVEL_S * fs_hz))
    at = j + round(after_j_ms * fs_hz / 1000)
    if not width <= onset < j <= at <= beat_mv.shape[1] - width:
        raise ValueError(f"onset {onset}, J {j}, measured at {at}: outside a beat of {beat_mv.shape[1]} samples")
    return np.asarray(beat_mv[:, at : at + width].mean(axis=1) - beat_mv[:, onset - width : onset].mean(axis=1))


def level_at_onset(beat_mv: Floats, bounds: QrsBounds, *, fs_hz: float) -> Floats:
    """Return each lead's level just before the QRS, (leads,) in mV: what its waves are measured against."""
    return np.asarray(beat_mv[:, bounds.onset - max(1, round(_LEVEL_S * fs_hz)) : bounds.onset].mean(axis=1))


_T_FROM_S, _T_TO_S = 0.06, 0.34  # after J: where the T wave has its extreme


def concave_leads(beat_mv: Floats, bounds: QrsBounds, *, fs_hz: float) -> NDArray[np.bool_]:
    """Return, (leads,), where the ST segment sags below the straight line from J to an upright T; False where there is a gap."""
    peak = _t_window(beat_mv, bounds, fs_hz).argmax(axis=1) + round(_T_FROM_S * fs_hz)
    rows = np.arange(len(beat_mv))
    middle = (beat_mv[:, bounds.j] + beat_mv[rows, bounds.j + peak]) / 2
    rises = beat_mv[rows, bounds.j + peak] > beat_mv[:, bounds.j]
    return np.asarray(rises & (beat_mv[rows, bounds.j + peak // 2] < middle))


def inverted_t_leads(beat_mv: Floats, bounds: QrsBounds, *, fs_hz: float) -> NDArray[np.bool_]:
    """Return, (leads,), where T goes further down than up from the level before the QRS, by 0.1 mV at least; False where there is a gap."""
    level = level_at_onset(beat_mv, bounds, fs_hz=fs_hz)[:, None]
    t_wave = _t_window(beat_mv, bounds, fs_hz) - level
    return np.asarray((t_wave.min(axis=1) <= -0.1) & (-t_wave.min(axis=1) > t_wave.max(axis=1)))


def _t_window(beat_mv: Floats, bounds: QrsBounds, fs_hz: float) -> Floats:
    return beat_mv[:, bounds.j + round(_T_FROM_S * fs_hz) : bounds.j + round(_T_TO_S * fs_hz)]
