"""The same questions put to a pipeline of neurokit2's functions, as anybody would put it together, beside ours.

Each lead is cleaned; beats are those of II; each lead is delineated by wavelets, and a bound of a beat is the median over the leads; ST is
measured at J against the level before the QRS, the median over the beats; the criterion is the plain one."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.vocabulary import Priority
from services.triage.recording import STANDARD, Recording, Undecodable
from tests.eval.criteria import elevated_neighbours
from tests.eval.verdicts import Made, Verdict

Floats = NDArray[np.float64]

_LEVEL_S = 0.008
_BOUNDS = {"P onset": "ECG_P_Onsets", "P end": "ECG_P_Offsets", "QRS onset": "ECG_R_Onsets", "J": "ECG_R_Offsets", "T end": "ECG_T_Offsets"}
_FAILURES = (ValueError, IndexError, KeyError, TypeError, ZeroDivisionError, AttributeError)  # what it raises for a signal that it cannot take


@dataclass(frozen=True)
class Delineated:
    """`peaks` are R, samples; `bounds` by name are samples of the recording, (beats,), NaN where not found; `cleaned_mv` is (leads, samples)."""

    peaks: NDArray[np.int64]
    bounds: Mapping[str, Floats]
    leads: tuple[str, ...]
    cleaned_mv: Floats


def delineated(recording: Recording) -> Delineated | None:
    """Return beats and bounds; None where it finds none or fails."""
    import neurokit2 as nk  # type: ignore[import-untyped]  # it takes seconds to import

    leads = tuple(lead for lead in recording.leads if np.isfinite(recording.samples_mv[recording.leads.index(lead)]).all())
    if "II" not in leads:
        return None
    fs_hz = round(recording.fs_hz)
    signal = recording.samples_mv[[recording.leads.index(lead) for lead in leads]].astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            cleaned = np.stack([nk.ecg_clean(lead, sampling_rate=fs_hz) for lead in signal])
            _, found = nk.ecg_peaks(cleaned[leads.index("II")], sampling_rate=fs_hz)
            peaks = np.asarray(found["ECG_R_Peaks"], dtype=np.int64)
            per_lead = [_bounds_of(nk.ecg_delineate(cleaned[leads.index(lead)], peaks, sampling_rate=fs_hz, method="dwt")[1]) for lead in leads]
            bounds = {name: np.nanmedian([each[name] for each in per_lead], axis=0) for name in _BOUNDS}
        except _FAILURES:
            return None
    return Delineated(peaks, bounds, leads, cleaned) if peaks.size else None


def _bounds_of(found: Mapping[str, object]) -> dict[str, Floats]:
    return {name: np.asarray(found[theirs], dtype=np.float64) for name, theirs in _BOUNDS.items()}


def st_j_mv(found: Delineated, fs_hz: float) -> dict[str, float]:
    """Return ST at J against the level before the QRS by lead, mV; nothing where no beat has both bounds."""
    width = max(1, round(_LEVEL_S * fs_hz))
    onset, j = found.bounds["QRS onset"], found.bounds["J"]
    samples = found.cleaned_mv.shape[1]
    whole = np.isfinite(onset) & np.isfinite(j)
    whole[whole] &= (onset[whole] >= width) & (j[whole] + width < samples)
    if not whole.any():
        return {}
    onsets, js = onset[whole].astype(np.int64), j[whole].astype(np.int64)
    before = found.cleaned_mv[:, onsets[:, None] + np.arange(-width, 0)].mean(axis=2)
    after = found.cleaned_mv[:, js[:, None] + np.arange(width)].mean(axis=2)
    return dict(zip(found.leads, map(float, np.median(after - before, axis=1)), strict=True))


def verdict(recording: Recording) -> Verdict:
    """Return red by the plain criterion, not evaluable where one of the twelve leads has no ST."""
    found = delineated(recording)
    st_mv = {} if found is None else st_j_mv(found, recording.fs_hz)
    leads = elevated_neighbours(st_mv, age_y=recording.age_y, sex=recording.sex)
    if leads:
        return Verdict(Priority.RED, f"ST elevation ({', '.join(leads)})")
    if not set(STANDARD) <= st_mv.keys():
        return Verdict(Priority.NOT_EVALUABLE, "ST not measured in all twelve leads")
    return Verdict(Priority.GREEN, "")


def theirs(made: Made) -> Verdict:
    """Return the verdict on a recording that we decode for it; one that cannot be decoded is not evaluable."""
    try:
        recording = made.recording()
    except Undecodable as error:
        return Verdict(Priority.NOT_EVALUABLE, error.code)
    return verdict(recording)
