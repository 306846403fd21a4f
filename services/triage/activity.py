"""Whether there are heart beats at all: a line without QRS complexes, and waves that never come to rest, as in ventricular fibrillation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.triage.quality import LeadQuality
from services.triage.recording import INDEPENDENT, Recording

Floats = NDArray[np.float64]

_BLOCK_S = 0.008  # means of so much: nothing of a QRS is lost, and a mean of three of them has next to no hum left
_RISE_S = 0.024
QRS_RISE_MV = 0.2  # within it, in two leads; the flattest QRS of 650 recordings rises 0.6, the tallest P about 0.1
_CONNECTED_MV = 0.005  # peak to peak: an electrode on a skin gives more, an input that nothing is plugged into need not
_LEAST_LEADS, _CONNECTED_SHARE = 2, 0.5  # of the independent leads, connected: fewer cannot tell a heart that stands still
_WINDOW_S, _STEP_S = 3.0, 0.5
_BEND_S = 0.016
_QUIETER, _SHARPEST = 40, 99  # percentiles of the bend: a slow heart's QRS take up 2 % of the time; in fibrillation the first is near the second
_RESTLESS = 0.36  # the one over the other; at most 0.13 where hearts beat, 0.25 with hands that tremble, 0.45 and more in made fibrillation
_BAND_HZ, _OF_HZ = (2.0, 9.0), (1.0, 40.0)
_BAND_SHARE = 0.75  # of the power, in waves without rest
_LEAST_WAVE_MV = 0.15  # peak to peak in the middle lead
_LEAST_CYCLE_S, _MOST_CYCLE_S = 0.11, 0.4
_REGULAR, _TURNING, _TURNED, _TURN_CYCLES = 0.85, 0.6, 0.3, (3, 4, 5)
_FASTEST_TURNING_BPM = 280.0


@dataclass(frozen=True)
class Coarse:
    """The leads in steps of about 8 ms: `mv` is (leads, steps), `fs_hz` of the steps; `main` are the rows of the independent leads."""

    leads: tuple[str, ...]
    mv: Floats
    fs_hz: float
    main: NDArray[np.intp]


@dataclass(frozen=True)
class Restless:
    """Waves without rest, in place of beats: `bpm` is their rate; `share` of the recording shows them. Neither regular nor turning: chaos."""

    bpm: float
    share: float
    regular: bool
    turning: bool


def coarse(leads: tuple[str, ...], filled_mv: Floats, fs_hz: float) -> Coarse:
    """Return the leads, (leads, samples) in mV without gaps, in coarse steps."""
    block = max(1, round(_BLOCK_S * fs_hz))
    count = filled_mv.shape[1] // block
    means = np.add.reduce([filled_mv[:, at : count * block : block] for at in range(block)]) / block
    smooth = np.empty_like(means)
    smooth[:, 1:-1] = (means[:, :-2] + 2 * means[:, 1:-1] + means[:, 2:]) / 4
    smooth[:, [0, -1]] = means[:, [0, -1]]
    main = np.flatnonzero([lead in INDEPENDENT for lead in leads])
    return Coarse(leads, smooth, fs_hz / block, main if main.size else np.arange(len(leads)))


def rises_mv(seen: Coarse) -> Floats:
    """Return by how much the second steepest lead rises or falls within 24 ms round each step, (steps,)."""
    step = max(1, round(_RISE_S * seen.fs_hz))
    before, after = step // 2, step - step // 2
    risen = np.abs(seen.mv[:, step:] - seen.mv[:, :-step])
    second = np.partition(risen, -min(2, len(risen)), axis=0)[-min(2, len(risen))]
    return np.pad(second, (before, after), mode="edge")


def stands_still(recording: Recording, quality: LeadQuality, seen: Coarse | None) -> bool:
    """True where no QRS is in the recording although it is connected: the leads show an electrode's noise, a drift, or P waves alone.

    Leads that are one exact value from start to end show that nothing is connected, and tell nothing of the heart. `seen` are
    the leads that show anything, without a pacemaker's spikes; None where fewer than two do."""
    untold = {*quality.missing, *quality.saturated, *quality.implausible, *quality.short}
    rows = [row for row, lead in enumerate(recording.leads) if lead in INDEPENDENT]
    told = [row for row in rows if recording.leads[row] not in untold and _span(recording.samples_mv[row]) >= _CONNECTED_MV]
    if len(told) < max(_LEAST_LEADS, _CONNECTED_SHARE * len(rows)):
        return False
    if seen is None or seen.main.size < len(told):
        known = np.isfinite(recording.samples_mv[told]).all(axis=0)
        if known.sum() < _WINDOW_S * recording.fs_hz:
            return False
        seen = coarse(tuple(recording.leads[row] for row in told), recording.samples_mv[told][:, known].astype(np.float64), recording.fs_hz)
    return seen.mv.shape[1] >= _WINDOW_S * seen.fs_hz and bool(rises_mv(seen).max() < QRS_RISE_MV)


def restless(seen: Coarse) -> Restless | None:
    """Return the waves of the most restless three seconds where they are waves of the ventricles; None where beats come to rest between them."""
    leads, window, step, bend = seen.mv[seen.main], round(_WINDOW_S * seen.fs_hz), round(_STEP_S * seen.fs_hz), round(_BEND_S * seen.fs_hz)
    if leads.shape[1] < window + 2 * bend:
        return None
    bends = leads[:, 2 * bend :] - 2 * leads[:, bend:-bend] + leads[:, : -2 * bend]
    windows = np.lib.stride_tricks.sliding_window_view(np.sqrt((bends**2).sum(axis=0)), window)[::step]
    ordered = np.sort(windows, axis=1)
    quieter, sharpest = (ordered[:, int(percentile / 100 * window)] for percentile in (_QUIETER, _SHARPEST))
    unrest = quieter / np.maximum(sharpest, 1e-9)
    waving = [at for at in np.flatnonzero(unrest >= _RESTLESS) if slow_share(leads[:, at * step : at * step + window], seen.fs_hz) >= _BAND_SHARE]
    if not waving:
        return None
    at = max(waving, key=lambda each: float(unrest[each])) * step
    cycle_s, alike, later = _cycle(leads[:, at : at + window], seen.fs_hz)
    regular = alike >= _REGULAR and later >= _TURNING
    turning = not regular and alike >= _TURNING and later < _TURNED and 60 / cycle_s <= _FASTEST_TURNING_BPM
    return Restless(60 / cycle_s, len(waving) / len(windows), regular, turning)


def slow_share(leads: Floats, fs_hz: float) -> float:
    """Return how much of what moves in (leads, steps) moves as slowly as the waves of a fast ventricle, 0 to 1; 0 where it is too low for them."""
    leads = leads - leads.mean(axis=1, keepdims=True)
    if np.median(np.ptp(leads, axis=1)) < _LEAST_WAVE_MV:
        return 0.0
    power = (np.abs(np.fft.rfft(leads * np.hanning(leads.shape[1]), axis=1)) ** 2).sum(axis=0)
    hz = np.fft.rfftfreq(leads.shape[1], 1 / fs_hz)
    within, of = (float(power[(hz >= low) & (hz <= high)].sum()) for low, high in (_BAND_HZ, _OF_HZ))
    return within / max(of, 1e-12)


def _span(lead_mv: NDArray[np.float32]) -> float:
    known = lead_mv[np.isfinite(lead_mv)]
    return float(np.ptp(known)) if known.size else 0.0


def _cycle(leads: Floats, fs_hz: float) -> tuple[float, float, float]:
    """Return the time from wave to wave in s, how alike neighbours are, and at worst those some cycles apart: 1 is the same, -1 upside down."""
    leads = leads - leads.mean(axis=1, keepdims=True)

    def alike(lag: int) -> float:
        one, other = leads[:, lag:], leads[:, :-lag]
        return float((one * other).sum() / max(np.sqrt((one**2).sum() * (other**2).sum()), 1e-12))

    lags = range(round(_LEAST_CYCLE_S * fs_hz), round(_MOST_CYCLE_S * fs_hz) + 1)
    at_lags = [alike(lag) for lag in lags]
    best = int(np.argmax(at_lags))
    lag = lags[best]
    return lag / fs_hz, at_lags[best], min(alike(lag * cycles) for cycles in _TURN_CYCLES)
