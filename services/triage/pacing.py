"""Which beats a pacemaker has set off: those with a spike, shorter than any part of a QRS, just before them."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

_BEFORE_S, _AFTER_S = 0.14, 0.03  # of R, where the spike of a ventricle lies: the search for peaks may take the spike itself for R
_WIDTH_S = 0.006  # half of a spike, with what filters make of it
_SPIKE_MV = 0.2
_FLAT_SHARE = 0.5  # of the spike's height: what the line does just before and after it; beside an R it does as much as within
_LONELY = 4.0  # times the next highest in the same stretch: where all is spiky, it is noise


def paced(filled_mv: Floats, peaks: Ints, fs_hz: float) -> Flags:
    """Return which beats have a pacemaker's spike, (beats,); `filled_mv` is (leads, samples) without gaps, `peaks` are R, samples.

    Leads that are sums of others tell nothing more, and cost time."""
    before, after, width = round(_BEFORE_S * fs_hz), round(_AFTER_S * fs_hz), max(2, round(_WIDTH_S * fs_hz))
    found = np.zeros(peaks.size, dtype=np.bool_)
    whole = np.flatnonzero((peaks >= before + 2 * width) & (peaks + after + 2 * width < filled_mv.shape[1]))
    if not whole.size:
        return found
    stretch = filled_mv[:, peaks[whole][:, None] + np.arange(-before - 2 * width, after + 2 * width)].astype(np.float32)
    length = stretch.shape[2]
    far_left, left, top, right, far_right = (stretch[:, :, at : length - 4 * width + at] for at in range(0, 5 * width, width))
    climbs, falls = top - left, top - right
    height = np.where(climbs * falls > 0, np.minimum(np.abs(climbs), np.abs(falls)), 0.0)
    beside = np.maximum(np.abs(left - far_left), np.abs(right - far_right))
    spike = np.where(beside <= _FLAT_SHARE * height, height, 0.0)
    nth = -min(2, len(spike))
    second = np.partition(spike, nth, axis=0)[nth]
    at = second.argmax(axis=1)
    elsewhere = np.abs(np.arange(second.shape[1]) - at[:, None]) > 2 * width
    highest = second.max(axis=1)
    found[whole] = (highest >= _SPIKE_MV) & (highest >= _LONELY * np.where(elsewhere, second, 0.0).max(axis=1))
    return found
