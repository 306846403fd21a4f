"""From samples to one median beat: R peaks, beats laid over each other, those of another shape left out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from scipy.signal import find_peaks
from sleepecg.heartbeats import detect_heartbeats

from services.triage.recording import Samples

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BEFORE_R_S, AFTER_R_S = 0.30, 0.50  # what a beat must have to take part: QRS and ST
_WIDE_S = (0.42, 0.72)  # before and after R: a P of a long PR and the end of a T of a long QT
_WIDE_BEATS = 4  # fewer beats with all of that, and the QRS and ST of all of them are worth more
_QRS_S = 0.09  # each side of R: what beats are compared by
_LEVEL_S = (0.11, 0.07)  # before R: the stretch whose mean anchors the baseline of each beat
_SHIFT_S = 0.04
_ALIKE = 0.88  # correlation over the leads; an ectopic beat of the ventricle lies far below
MIN_BEATS = 2
MIN_SHARE = 0.3  # of the beats, in the group that the median is made of: fewer is noise, not a rhythm
_STILLEST = 0.5  # times the noise of most leads: one that stands still for a while must not choose the direction either
_STEEPEST = 40.0  # times a lead's noise: a pacing spike or a loose wire must not choose the direction
_T_WAVE_SHARE = 0.25  # of the steepness of most beats: a peak that is flatter is a T wave
_SAFE_FS_HZ = 100.0
_NEAR_S, _BESIDE_S, _BESIDE_SHARE = 0.05, 0.11, 0.4  # from a peak; and of the greatest slope within the second
_CLOSEST_S = 0.16  # of two beats; nearer peaks are of one QRS
_FAR_S, _FAR_RR = 1.2, 1.6  # between neighbours: in s, and in usual RR intervals
_STEEP_S = 0.02  # a stretch within which a QRS climbs; mains hum comes back to where it was
_LEAST_QRS_MV, _LEAST_QRS_SHARE = 0.2, 0.15  # climbed within it in two leads, at least; and of what the steepest beats climb


@dataclass(frozen=True)
class Heartbeats:
    """Where the heart beats. `filled_mv` is (leads, samples) with straight lines across gaps, `fused` (samples,) the leads as one; `peaks` are R."""

    filled_mv: Floats
    fused: Floats
    peaks: Ints


@dataclass(frozen=True)
class MedianBeat:
    """`beat_mv` is (leads, samples) with R at sample `r`; `beats_mv`, (beats, leads, samples), are the beats that it is made of and `at`
    their R, samples of the recording; `found` counts all beats, `peaks` are their R, `rr_s` all their intervals; `normal_rr_s` are those
    between neighbours that both have the median's shape."""

    beat_mv: Floats
    r: int
    fs_hz: float
    at: Ints
    found: int
    rr_s: Floats
    peaks: Ints
    normal_rr_s: Floats
    beats_mv: Floats


def heartbeats(samples_mv: Samples, fs_hz: float) -> Heartbeats:
    """Return the beats that the leads show together; `samples_mv` is (leads, samples) in mV, NaN for gaps."""
    filled = _without_gaps(samples_mv.astype(np.float64))
    fused = _fused(filled, fs_hz)
    return Heartbeats(filled, fused, _with_missed(_without_wavelets(_r_peaks(fused, fs_hz), filled, fs_hz), fused, fs_hz))


def median_beat(samples_mv: Samples, fs_hz: float, found: Heartbeats | None = None) -> MedianBeat | None:
    """Return the median beat of the usable leads, (leads, samples) in mV, NaN for gaps; None where no beat repeats itself.

    `found` are the beats of these very leads, where they are known already."""
    found = heartbeats(samples_mv, fs_hz) if found is None else found
    signal, filled, fused, peaks = samples_mv.astype(np.float64), found.filled_mv, found.fused, found.peaks
    before, after = round(BEFORE_R_S * fs_hz), round(AFTER_R_S * fs_hz)
    margin = round(_SHIFT_S * fs_hz)
    whole = np.flatnonzero((peaks >= before + margin) & (peaks + after + margin < fused.size))
    if whole.size < MIN_BEATS:
        return None
    aligned = _aligned(fused, peaks[whole], fs_hz)
    level = signal - _baseline(filled, aligned, fs_hz)
    half = round(_QRS_S * fs_hz)
    chosen = _largest_group(_cut(level, aligned, before=half, after=half))
    if chosen.size < max(MIN_BEATS, MIN_SHARE * whole.size):
        return None
    at = aligned[chosen]
    early, late = (round(s * fs_hz) for s in _WIDE_S)
    wide = at[(at >= early) & (at + late <= fused.size)]
    if wide.size >= _WIDE_BEATS:
        at, before, after = wide, early, late
    beats = _cut(level, at, before=before, after=after)
    rr_s = np.diff(peaks) / fs_hz
    normal_rr_s = rr_s[whole[chosen][:-1]][np.diff(whole[chosen]) == 1]
    return MedianBeat(_median(beats), before, fs_hz, at, int(peaks.size), rr_s, peaks, normal_rr_s, beats)


def _cut(level: Floats, at: Ints, *, before: int, after: int) -> Floats:
    """Return (beats, leads, samples) round the R of each beat."""
    return level[:, at[:, None] + np.arange(-before, after)].transpose(1, 0, 2)


def _without_gaps(signal: Floats) -> Floats:
    """Return the leads with a straight line across each gap: only where to look for beats rests on it, never a measured value."""
    missing = ~np.isfinite(signal)
    if not missing.any():
        return signal
    filled, at = signal.copy(), np.arange(signal.shape[1])
    for row in np.flatnonzero(missing.any(axis=1)):
        known = ~missing[row]
        filled[row] = np.interp(at, at[known], signal[row][known])
    return filled


def _fused(filled: Floats, fs_hz: float) -> Floats:
    """Return the one combination of the leads whose slopes stand out of their noise most: their first principal direction."""
    lag, step = max(1, round(0.008 * fs_hz)), max(1, round(0.004 * fs_hz))  # slopes that overlap tell nothing more
    slopes = filled[:, lag::step] - filled[:, :-lag:step]
    noise = np.median(np.abs(slopes), axis=1, keepdims=True)
    noise = np.maximum(noise, _STILLEST * np.median(noise)) + 1e-4
    slopes = np.clip(slopes / noise, -_STEEPEST, _STEEPEST)
    _, directions = np.linalg.eigh(slopes @ slopes.T)
    fused: Floats = (directions[:, -1] / noise[:, 0]) @ filled
    return fused


def _r_peaks(fused: Floats, fs_hz: float) -> Ints:
    if np.ptp(fused) == 0 or fs_hz < _SAFE_FS_HZ:
        return np.empty(0, dtype=np.int64)
    peaks = np.asarray(detect_heartbeats(fused, fs_hz), dtype=np.int64)
    if not peaks.size:
        return peaks
    slopes = np.abs(_slope(fused, fs_hz))
    peaks = _on_the_qrs(peaks, slopes, fs_hz)
    steepness = maximum_filter1d(slopes, 2 * round(_NEAR_S * fs_hz) + 1)[peaks]
    return np.asarray(peaks[steepness >= _T_WAVE_SHARE * np.percentile(steepness, 75)], dtype=np.int64)


def _on_the_qrs(peaks: Ints, slopes: Floats, fs_hz: float) -> Ints:
    """Return the peaks, those beside their QRS moved onto it: the search looks through a window of 150 ms, and may take its edge."""
    reach, near = round(_BESIDE_S * fs_hz), round(_NEAR_S * fs_hz)
    around = slopes[np.clip(peaks[:, None] + np.arange(-reach, reach + 1), 0, slopes.size - 1)]
    beside = around[:, reach - near : reach + near + 1].max(axis=1) < _BESIDE_SHARE * around.max(axis=1)
    moved = np.unique(np.where(beside, peaks + around.argmax(axis=1) - reach, peaks))
    return moved[np.diff(moved, prepend=moved[0] - slopes.size) >= _CLOSEST_S * fs_hz]


def _with_missed(peaks: Ints, fused: Floats, fs_hz: float) -> Ints:
    """Return the peaks with those between far neighbours that have the shape and half the height of the others: the search had lost its way."""
    half = round(_QRS_S * fs_hz)
    whole = peaks[(peaks >= half) & (peaks < fused.size - half)]
    if whole.size < MIN_BEATS:
        return peaks
    far = np.flatnonzero(np.diff(peaks) > max(_FAR_S * fs_hz, _FAR_RR * float(np.median(np.diff(peaks)))))
    if not far.size:
        return peaks
    slope = _slope(fused, fs_hz)
    template = np.median(slope[whole[:, None] + np.arange(-half, half)], axis=0)
    missed: list[int] = []
    for first, last in zip(peaks[far] + 2 * half, peaks[far + 1] - 2 * half, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(slope[first - half : last + half], 2 * half)
        fits, sizes = windows @ template, np.linalg.norm(windows, axis=1)
        alike = (fits >= _ALIKE * sizes * np.linalg.norm(template)) & (fits >= (template @ template) / 2)
        tops, _ = find_peaks(np.where(alike, fits, 0.0), distance=2 * half)
        missed += (first + tops).tolist()
    return np.sort(np.concatenate([peaks, np.array(missed, dtype=np.int64)]))


def _without_wavelets(peaks: Ints, filled: Floats, fs_hz: float) -> Ints:
    """Return the peaks at which two leads climb as steeply as in a QRS: where the heart stands still, the search for peaks finds noise."""
    if not peaks.size:
        return peaks
    step, climb = max(1, round(0.004 * fs_hz)), round(_STEEP_S * fs_hz)
    at = np.clip(peaks[:, None] + np.arange(-round(0.08 * fs_hz), round(0.08 * fs_hz) - climb, step), 0, filled.shape[1] - 1 - climb)
    climbed = np.abs(filled[:, at + climb] - filled[:, at]).max(axis=2)
    second = np.sort(climbed, axis=0)[-min(2, len(climbed))]
    steep: Ints = peaks[second >= max(_LEAST_QRS_MV, _LEAST_QRS_SHARE * float(np.percentile(second, 90)))]
    return steep


def _slope(fused: Floats, fs_hz: float) -> Floats:
    return np.asarray(np.gradient(uniform_filter1d(fused, max(1, round(0.008 * fs_hz)))))


def _aligned(fused: Floats, peaks: Ints, fs_hz: float) -> Ints:
    """Return the peaks, each shifted by up to 40 ms to where its beat fits the median of all best."""
    half, shift = round(_QRS_S * fs_hz), round(_SHIFT_S * fs_hz)
    slope = _slope(fused, fs_hz)
    template = np.median(slope[peaks[:, None] + np.arange(-half, half)], axis=0)
    windows = np.lib.stride_tricks.sliding_window_view(slope, 2 * half)
    starts = peaks[:, None] - half + np.arange(-shift, shift + 1)
    return np.asarray(peaks + np.argmax(windows[starts] @ template, axis=1) - shift, dtype=np.int64)


def _baseline(filled: Floats, peaks: Ints, fs_hz: float) -> Floats:
    """Return the slow drift: straight lines between the levels just before the beats. Within a beat it takes away only what lies below 1 Hz."""
    first, last = (round(s * fs_hz) for s in _LEVEL_S)
    levels = filled[:, peaks[:, None] + np.arange(-first, -last)].mean(axis=2)
    at, knots = np.arange(filled.shape[1]), peaks - (first + last) / 2
    return np.stack([np.interp(at, knots, level) for level in levels])


def _largest_group(complexes: Floats) -> Ints:
    """Return which beats have the commonest shape, of (beats, leads, samples) round R: those alike to the beat that has the most beats alike."""
    shapes = np.nan_to_num(complexes).reshape(len(complexes), -1)
    shapes = shapes - shapes.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(shapes, axis=1)
    alike = (shapes @ shapes.T) / np.maximum(np.outer(norms, norms), 1e-12)
    return np.flatnonzero(alike[np.argmax((alike >= _ALIKE).sum(axis=1))] >= _ALIKE)


def _median(beats: Floats) -> Floats:
    """Return the median over the beats, NaN where fewer than two have a value. Sorting takes a third of the time of numpy's median."""
    ordered = np.sort(beats, axis=0)  # NaN last
    if len(beats) >= MIN_BEATS and np.isfinite(ordered[[0, -1]]).all():
        return np.asarray((ordered[(len(beats) - 1) // 2] + ordered[len(beats) // 2]) / 2)
    known = np.isfinite(ordered).sum(axis=0, keepdims=True)
    lower, upper = (np.take_along_axis(ordered, np.maximum(middle, 0), axis=0) for middle in ((known - 1) // 2, known // 2))
    return np.asarray(np.where(known >= MIN_BEATS, (lower + upper) / 2, np.nan)[0])
