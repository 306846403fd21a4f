"""Which leads can be judged, and what is wrong with those that cannot: a lead that was not seen must never pass for a quiet one."""

from dataclasses import dataclass

import numpy as np

from services.triage.recording import INDEPENDENT, LIMB, STANDARD, Recording, Samples

SHORTEST_S = 2.5  # what one column of a 3 x 4 paper ECG shows
FLAT_MV = 0.03  # peak to peak; the recorder's own noise is 0.01 to 0.02 mV
IMPLAUSIBLE_MV = 15.0  # peak to peak of 99 % of the samples; the tallest QRS complexes known reach about 8 mV
RAILS_MV = 25.0  # peak to peak of all samples: both ends of a 16 bit recorder of 0.5 uV a step
RAIL_SHARE = 0.03  # of the samples, at the lead's own extreme; a clipped R peak stays far below
RAIL_MV = 2.0  # a lead with a smaller span has not reached an amplifier's end
LEADS_NEEDED = len(INDEPENDENT)


@dataclass(frozen=True)
class LeadQuality:
    """The leads by what was found; `usable` are the ones that may be measured."""

    usable: tuple[str, ...]
    missing: tuple[str, ...]
    flat: tuple[str, ...]
    saturated: tuple[str, ...]
    implausible: tuple[str, ...]
    short: tuple[str, ...]

    @property
    def enough(self) -> bool:
        """True where no wall of the heart is unseen: I, II and V1 to V6 can be judged; the other limb leads follow from I and II."""
        return sum(lead in self.usable for lead in INDEPENDENT) >= LEADS_NEEDED


def lead_quality(recording: Recording) -> LeadQuality:
    """Sort the leads of a recording by whether they can be judged. A limb lead that hangs on a bad one is bad itself."""
    found = {kind: list[str]() for kind in ("usable", "missing", "flat", "saturated", "implausible", "short")}
    for lead, samples_mv in zip(recording.leads, recording.samples_mv, strict=True):
        found[_kind(samples_mv, recording.fs_hz)].append(lead)
    found["missing"] += [lead for lead in STANDARD if lead not in recording.leads]
    return LeadQuality(**{kind: tuple(leads) for kind, leads in found.items()})


def _kind(samples_mv: Samples, fs_hz: float) -> str:
    values = samples_mv[np.isfinite(samples_mv)]
    if not values.size:
        return "missing"
    if values.size < SHORTEST_S * fs_hz:
        return "short"
    lowest, low, high, highest = np.percentile(values, [0, 0.5, 99.5, 100])
    if highest - lowest < FLAT_MV:
        return "flat"
    at_rails = np.count_nonzero((values == lowest) | (values == highest)) / values.size
    if highest - lowest > RAIL_MV and at_rails > RAIL_SHARE:
        return "saturated"
    return "implausible" if high - low > IMPLAUSIBLE_MV or highest - lowest > RAILS_MV else "usable"


def limb_electrode_lost(quality: LeadQuality) -> bool:
    """True where two limb leads or more are flat: one electrode is off, and the cart draws a line."""
    return sum(lead in quality.flat for lead in LIMB) >= 2
