"""What kind of beat each one is: by its shape, its width and when it comes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.triage.activity import Coarse

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

_QRS_S, _SHIFT_S = 0.09, 0.024  # each side of R; and how far a beat may be moved to fit
_WIDTH_S, _TOP_S = 0.12, 0.064  # each side of R: where a QRS may lie, and its steepest point
_WIDTH_SHARE = 0.15  # of the greatest velocity: what is slower is no QRS
_ALIKE, _UNLIKE = 0.85, 0.5
_FAR_SHIFT_S = 0.056
_SLOPE_S = 0.016
_WIDE_MS = 112.0  # of this width, which is about that of the QRS less its slow ends; nine in ten of the beats under 110 ms stay below 100
_WIDER_MS = 24.0  # than the commonest beat
_WIDEST_MS = 232.0  # nearly all that is looked at: what never comes to rest there is a disturbance
_EARLY = 0.8  # of the usual RR interval


@dataclass(frozen=True)
class Beats:
    """The beats that lie whole in the recording: `at` steps of R; the others are arrays over them.

    `main` have the commonest shape, `alike` says how far (1 is the same), `width_ms` how long the ventricles are on their way; `ventricular`
    are wide and of another shape, `supraventricular` early and of the commonest shape."""

    at: Ints
    alike: Floats
    main: Flags
    width_ms: Floats
    ventricular: Flags
    supraventricular: Flags

    @property
    def main_width_ms(self) -> float:
        return float(np.median(self.width_ms[self.main]))


def classified(seen: Coarse, peaks: Ints) -> Beats | None:
    """Return the beats with R at `peaks`, coarse steps, sorted; None where none lies whole in the recording."""
    half, shift, around = (round(s * seen.fs_hz) for s in (_QRS_S, _SHIFT_S, _WIDTH_S))
    edge = max(half + shift, around + round(_SLOPE_S * seen.fs_hz))
    at = peaks[(peaks >= edge) & (peaks < seen.mv.shape[1] - edge)]
    if not at.size:
        return None
    leads = seen.mv[seen.main]
    windows = leads[:, at[:, None] + np.arange(-half - shift, half + shift + 1)].transpose(1, 0, 2)
    alike = _alike(windows, shift)
    main, width_ms = alike >= _ALIKE, _widths_ms(leads, at, around, seen.fs_hz)
    before = np.diff(at, prepend=at[0] - np.iinfo(np.int32).max) / seen.fs_hz
    usual = float(np.median(np.diff(peaks))) / seen.fs_hz if peaks.size > 1 else np.inf
    early = before < _EARLY * usual
    wide = ((width_ms >= _WIDE_MS) | (width_ms >= np.median(width_ms[main]) + _WIDER_MS)) & (width_ms < _WIDEST_MS)
    return Beats(at, alike, main, width_ms, wide & ~main, early & main)


def unlike_share(seen: Coarse, at: Ints) -> float:
    """Return how many of all pairs of the beats with R at `at`, coarse steps, are unlike each other however they are laid over each other: 0 to 1."""
    half, shift = round(_QRS_S * seen.fs_hz), round(_FAR_SHIFT_S * seen.fs_hz)
    windows = seen.mv[seen.main][:, np.clip(at[:, None] + np.arange(-half - shift, half + shift + 1), 0, seen.mv.shape[1] - 1)].transpose(1, 0, 2)
    shapes = _moved(windows, shift)
    best = np.max([shapes[shift] @ moved.T for moved in shapes], axis=0)
    return float((np.maximum(best, best.T) <= _UNLIKE).mean())


def wide(beats: Beats, main_qrs_ms: float | None, *, wide_ms: float) -> Flags:
    """Return which beats are wide: of the commonest shape by the median beat's QRS, where it was measured, or by their own width."""
    main_is_wide = beats.main_width_ms >= _WIDE_MS or (main_qrs_ms is not None and main_qrs_ms >= wide_ms)
    return np.where(beats.main, main_is_wide, beats.ventricular)


def _alike(windows: Floats, shift: int) -> Floats:
    """Return how like the commonest shape each beat is, of (beats, leads, steps), laid over it where it fits best."""
    moved = _moved(windows, shift)
    still = moved[shift]
    commonest = int(np.argmax((still @ still.T >= _ALIKE).sum(axis=1)))
    shapes = moved[(moved @ still[commonest]).argmax(axis=0), np.arange(len(windows))]
    template = shapes[shapes @ still[commonest] >= _ALIKE].mean(axis=0)
    return np.asarray(shapes @ (template / np.linalg.norm(template)))


def _moved(windows: Floats, shift: int) -> Floats:
    """Return the beats, (beats, leads, steps), cut out at every shift: (shifts, beats, values), each of length 1 and without its level."""
    steps = windows.shape[2] - 2 * shift
    moved = np.stack([windows[:, :, at : at + steps] for at in range(2 * shift + 1)])
    moved -= moved.mean(axis=3, keepdims=True)
    flat = moved.reshape(*moved.shape[:2], -1)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=2, keepdims=True), 1e-12))


def _widths_ms(leads: Floats, at: Ints, around: int, fs_hz: float) -> Floats:
    lag, top = max(1, round(_SLOPE_S * fs_hz / 2)), round(_TOP_S * fs_hz)
    velocity = np.sqrt(((leads[:, 2 * lag :] - leads[:, : -2 * lag]) ** 2).sum(axis=0))
    windows = velocity[at[:, None] - lag + np.arange(-around, around + 1)]
    greatest = windows[:, around - top : around + top + 1].max(axis=1, keepdims=True)
    return np.asarray((windows >= _WIDTH_SHARE * greatest).sum(axis=1) * 1000 / fs_hz)
