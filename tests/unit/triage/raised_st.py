"""A real recording cut in two, as two of one patient; and ST raised in it, as an artery that closes would raise it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from services.triage.reading import measured_beats
from services.triage.recording import Recording

_STANDS_S, _FALLS_S = 0.10, 0.16


def halves(recording: Recording) -> tuple[Recording, Recording]:
    """Return the first five seconds and the five after them."""
    cut = round(5 * recording.fs_hz)
    return tuple(replace(recording, samples_mv=recording.samples_mv[:, start : start + cut]) for start in (0, cut))  # type: ignore[return-value]


def with_st_raised(recording: Recording, leads: Sequence[str], st_mv: float) -> Recording:
    """Return the recording with an injury current in some leads: it rises within the QRS, stands after J and goes down with the T wave."""
    beats = measured_beats(recording)
    assert beats is not None
    seconds = np.arange(recording.samples_mv.shape[1]) / recording.fs_hz
    current = np.zeros(seconds.size)
    for onset_s, j_s in zip(beats.onset_s, beats.j_s, strict=True):
        current += np.interp(seconds, (onset_s, j_s - 0.01, j_s + _STANDS_S, j_s + _STANDS_S + _FALLS_S), (0.0, st_mv, st_mv, 0.0))
    raised = recording.samples_mv.copy()
    raised[[recording.leads.index(lead) for lead in leads]] += current.astype(np.float32)
    return replace(recording, samples_mv=raised)
