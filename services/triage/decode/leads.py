"""From a library's leads to ours: canonical names, millivolts, one rate, and the limb leads that follow from the others."""

from collections.abc import Sequence

import numpy as np
from ecgdatakit.models import Lead
from numpy.typing import NDArray

from services.triage.recording import KNOWN_LEADS, Samples, Undecodable, other_limb_leads

Floats = NDArray[np.float64]

_CANONICAL = {name.lower(): name for name in KNOWN_LEADS}
_PREFIXES = ("ecg lead ", "ecg ", "lead ")
_MOST_MV = 1e6  # no recorder reaches it; beyond it a value is neither kept in 32 bits nor counted in microvolts
_MV_PER = {"nv": 1e-6, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "mv": 1.0, "v": 1e3}


def canonical(label: str) -> str | None:
    """Return our name of a lead; None for a channel that no rule knows (vx, CC5, a calibration channel)."""
    text = label.strip().lower()
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    return _CANONICAL.get(text)


def assemble(leads: Sequence[Lead], *, fs_hz: float | None = None) -> tuple[tuple[str, ...], Samples, float]:
    """Return names, samples (leads, samples) in mV, and the rate; `fs_hz` is the exact rate where the library rounds it.

    Raises Undecodable where nothing is left, where no amplitude scale is given, or where the leads differ in rate."""
    named = [(name, lead) for lead in leads if (name := canonical(lead.label)) is not None]
    if not named:
        raise Undecodable("no_leads", "The file holds none of the leads of an ECG. Send the resting 12-lead recording.")
    rates = {lead.sampling_rate for _, lead in named}
    if len(rates) > 1:
        raise Undecodable("mixed_rates", "The leads were recorded at different rates. Send the resting 12-lead recording.")
    rate_hz = float(rates.pop()) if fs_hz is None else float(fs_hz)
    if not 50 <= rate_hz <= 20_000:
        raise Undecodable("bad_rate", "The sampling rate is missing or impossible. Export the recording from the cart again.")
    in_mv: dict[str, Floats] = {}
    for name, lead in named:
        if (samples_mv := _to_mv(lead)) is not None:
            in_mv.setdefault(name, samples_mv)  # a rhythm strip repeats a lead; the first is the resting one
    if not in_mv:
        raise Undecodable("no_scale", "The file does not say how many millivolts a step is. Export it in another format.")
    length = max(samples_mv.size for samples_mv in in_mv.values())
    if not length:
        raise Undecodable("no_samples", "The file holds no samples. Record the ECG again.")
    _add_derived_limb_leads(in_mv)
    order = tuple(name for name in KNOWN_LEADS if name in in_mv)
    samples = np.full((len(order), length), np.nan, dtype=np.float32)
    for row, name in enumerate(order):
        samples[row, : in_mv[name].size] = in_mv[name]
    return order, samples, rate_hz


def _to_mv(lead: Lead) -> Floats | None:
    unit = (lead.resolution_unit if lead.is_raw else lead.units).strip().lower()
    if unit not in _MV_PER or (lead.is_raw and not lead.resolution):
        return None
    values = np.array(lead.samples, dtype=np.float64)
    if lead.is_raw:
        values *= lead.resolution
        values += lead.offset
    values[~np.isfinite(values)] = np.nan
    if _MV_PER[unit] != 1.0:
        values *= _MV_PER[unit]
    return np.clip(values, -_MOST_MV, _MOST_MV, out=values)


def _add_derived_limb_leads(in_mv: dict[str, Floats]) -> None:
    """Add what Einthoven and Goldberger give: some carts store eight leads, and any two of I, II, III give the third."""

    def both(first: str, second: str) -> tuple[Floats, Floats]:
        length = min(in_mv[first].size, in_mv[second].size)
        return in_mv[first][:length], in_mv[second][:length]

    if "III" in in_mv and "I" in in_mv and "II" not in in_mv:
        i, iii = both("I", "III")
        in_mv["II"] = i + iii
    elif "III" in in_mv and "II" in in_mv and "I" not in in_mv:
        ii, iii = both("II", "III")
        in_mv["I"] = ii - iii
    if "I" in in_mv and "II" in in_mv:
        for name, samples_mv in other_limb_leads(*both("I", "II")).items():
            in_mv.setdefault(name, samples_mv)
