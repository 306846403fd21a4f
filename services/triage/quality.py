"""Which leads can be judged, and what is wrong with those that cannot: a lead that was not seen must never pass for a quiet one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from services.triage.electrodes import Exchanged, einthoven_broken, off_i_and_ii
from services.triage.recording import CHEST, INDEPENDENT, LIMB, STANDARD, Recording, Samples, other_limb_leads

Floats = NDArray[np.float64]

SHORTEST_S = 2.5  # what one column of a 3 x 4 paper ECG shows
FLAT_MV = 0.03  # peak to peak; the recorder's own noise is 0.01 to 0.02 mV
IMPLAUSIBLE_MV = 15.0  # peak to peak of 99 % of the samples; the tallest QRS complexes known reach about 8 mV
RAILS_MV = 25.0  # peak to peak of all samples: both ends of a 16 bit recorder of 0.5 uV a step
LOST_MV, LOST_SHARE = 0.01, 0.2  # peak to peak of a second, and the share of such seconds, while another lead shows the heart beating
BEATING_MV = 0.2
RAIL_SHARE = 0.03  # of the samples, at the lead's own extreme; a clipped R peak stays far below
RAIL_MV = 2.0  # a lead with a smaller span has not reached an amplifier's end
NOISY_MV = 0.02  # worth a word: ST can still be measured
UNMEASURABLE_NOISE_MV = 0.08  # ST at J was off by 0.05 mV in one of ten normal recordings with so much noise in one lead, in most with it in all
DRIFTING_MV_S = 0.3
UNMEASURABLE_DRIFT_MV_S = 1.5  # likewise
SILENT_MV = 0.02  # root mean square of what repeats in a chest lead's QRS; a heart shows 0.04 at least in any
FEEBLE_MV = 0.5  # peak to peak of the QRS in the tallest lead; hearts with low voltages show 0.8 at least
LEADS_NEEDED = len(INDEPENDENT)

_LAG_S = 0.010  # half a period of 50 Hz: the fourth difference is greatest there, and next to nothing for P and T waves
_STEP_S = 0.008  # every fourth sample at 500 Hz tells as much of the noise as all of them
_QUIET_SHARE = 1 / 3  # of the samples: less than what lies between the QRS complexes even at 200/min
_OF_WHITE_NOISE = 0.4307 * 70**0.5  # that quantile of |fourth difference| of white noise with an SD of 1
_LOUDEST = 3.0  # times the noise: what is cut off of the QRS before the noise's frequencies are looked at
_MAINS_HZ, _MAINS_WIDTH_HZ, _MAINS_SHARE = (50, 60), 1, 0.5  # of the noise's power
_BLOCK_S, _BLOCKS = 0.1, 10  # the baseline is the median of ten block means: one beat does not move it
_DRIFT_PERCENTILE = 90  # one jump of a lead spoils one beat
_SHARED_ELECTRODE = {
    frozenset(("I", "II")): "the right arm",
    frozenset(("I", "III")): "the left arm",
    frozenset(("II", "III")): "the left leg",
}
_MOST_LOOSE = 2  # more chest leads at once tremble with the patient


@dataclass(frozen=True)
class LeadQuality:
    """The leads by what was found; `usable` are the ones that may be measured.

    `muscle`, `mains` and `drifting` say what disturbs a lead, which may be usable all the same; of the other kinds none is."""

    usable: tuple[str, ...]
    missing: tuple[str, ...]
    flat: tuple[str, ...]
    saturated: tuple[str, ...]
    implausible: tuple[str, ...]
    short: tuple[str, ...]
    muscle: tuple[str, ...] = ()
    mains: tuple[str, ...] = ()
    drifting: tuple[str, ...] = ()
    unmeasurable: tuple[str, ...] = ()
    contradictory: tuple[str, ...] = ()
    miswritten: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    feeble: tuple[str, ...] = ()
    arms_exchanged: tuple[str, ...] = ()
    right_leg_exchanged: tuple[str, ...] = ()
    chest_exchanged: tuple[str, ...] = ()

    @property
    def enough(self) -> bool:
        """True where no wall of the heart is unseen: I, II and V1 to V6 can be judged; the other limb leads follow from I and II."""
        return sum(lead in self.usable for lead in INDEPENDENT) >= LEADS_NEEDED


def lead_quality(recording: Recording) -> LeadQuality:
    """Sort the leads of a recording by whether they can be judged, and say what disturbs them.

    What only the median beat can tell, exchanged electrodes, is added by `without_exchanged`."""
    found = {kind.name: set[str]() for kind in fields(LeadQuality)}
    for leads, values_mv in _without_gaps(recording):
        _sort(leads, values_mv, recording.fs_hz, found)
    found["missing"] |= set(STANDARD) - set(recording.leads)
    order = (*recording.leads, *(lead for lead in STANDARD if lead not in recording.leads))
    quality = LeadQuality(**{kind: tuple(lead for lead in order if lead in leads) for kind, leads in found.items()})
    off = off_i_and_ii(recording.leads, recording.samples_mv, recording.fs_hz, usable=quality.usable)
    if "III" in off:
        return _without_limb_leads(quality, "contradictory")
    if _between_the_legs(recording, quality):
        return _without_limb_leads(quality, "right_leg_exchanged")
    return _without(quality, "miswritten", off)


def restored(recording: Recording, quality: LeadQuality) -> tuple[Recording, LeadQuality]:
    """Return both with the limb leads that cannot be measured made of I and II, where these can: the heart's wall is not unseen for that.

    What was wrong with them stays named."""
    if not {"I", "II"} <= set(quality.usable):
        return recording, quality
    samples_mv, usable = recording.samples_mv.copy(), set(quality.usable)
    one, two = (samples_mv[recording.leads.index(lead)] for lead in ("I", "II"))
    for lead, made_mv in other_limb_leads(one, two).items():
        if lead in recording.leads and lead not in usable:
            samples_mv[recording.leads.index(lead)] = made_mv
            usable.add(lead)
    if len(usable) == len(quality.usable):
        return recording, quality
    return replace(recording, samples_mv=samples_mv), replace(quality, usable=tuple(lead for lead in recording.leads if lead in usable))


def without_silent(quality: LeadQuality, leads: Sequence[str], qrs_mv: Floats) -> LeadQuality:
    """Return the quality with those leads named and no longer usable that show no heart, though they are not flat.

    `qrs_mv` is (beats, leads, samples), the QRS of two beats or more. A chest lead is silent where no shape in it comes back from beat to
    beat: an electrode that hangs in the air trembles. All leads are feeble where not even the tallest is as tall as a heart makes it."""
    beats = len(qrs_mv)
    shapes_mv = qrs_mv - qrs_mv.mean(axis=2, keepdims=True)
    in_common = (shapes_mv.sum(axis=0) ** 2 - (shapes_mv**2).sum(axis=0)).mean(axis=1) / (beats * (beats - 1))  # noise cancels out
    tallest_mv = float(np.nanmax(np.ptp(np.median(qrs_mv, axis=0), axis=1), initial=0.0))
    if tallest_mv < FEEBLE_MV:
        return _without(quality, "feeble", quality.usable)
    return _without(quality, "silent", tuple(lead for lead, power in zip(leads, in_common, strict=True) if lead in CHEST and power < SILENT_MV**2))


def without_exchanged(quality: LeadQuality, exchanged: Exchanged) -> LeadQuality:
    """Return the quality with those leads named and no longer usable that show another place of the body than their name says."""
    if exchanged.limb:
        quality = _without_limb_leads(quality, f"{exchanged.limb}_exchanged")
    if quality.right_leg_exchanged:
        return quality  # the reference of the chest leads has moved: their progression says nothing
    return _without(quality, "chest_exchanged", exchanged.chest)


def limb_electrode_lost(quality: LeadQuality) -> bool:
    """True where two limb leads or more are flat: one electrode is off, and the cart draws a line."""
    return sum(lead in quality.flat for lead in LIMB) >= 2


def loose_electrodes(leads: Sequence[str]) -> tuple[str, ...]:
    """Return the electrodes that alone explain why these leads are disturbed and no others; () where it is the patient or the room.

    Two of I, II and III share one electrode; on the chest each lead has its own."""
    chest = tuple(lead for lead in leads if lead not in LIMB)
    shared = _SHARED_ELECTRODE.get(frozenset(leads) & {"I", "II", "III"})
    if len(chest) > _MOST_LOOSE or (shared is None and len(chest) < len(leads)):
        return ()
    return chest if shared is None else (shared, *chest)


def noise_mv(values_mv: Samples, fs_hz: float) -> Floats:
    """Return each lead's noise above 20 Hz, (leads,), as the SD in mV of the white noise that would look the same between the QRS complexes.

    `values_mv` is (leads, samples) without gaps, 0.1 s at least. A hum of 50 Hz and amplitude A counts as 2.2 A."""
    sampled = _fourth_difference(values_mv, fs_hz)[:, :: max(1, round(_STEP_S * fs_hz))]
    return _quiet_level(sampled) / _OF_WHITE_NOISE


def drift_mv_s(values_mv: Samples, fs_hz: float) -> Floats:
    """Return how far each lead's baseline moves within a second, nine tenths of the time, (leads,) in mV/s.

    `values_mv` is (leads, samples) without gaps, 2.5 s at least."""
    block = round(_BLOCK_S * fs_hz)
    blocks = values_mv.shape[1] // block
    means = values_mv[:, : blocks * block].reshape(len(values_mv), blocks, block).mean(axis=2)
    ordered = np.sort(np.lib.stride_tricks.sliding_window_view(means, _BLOCKS, axis=1), axis=2)  # a third of the time of numpy's median
    baseline = (ordered[:, :, (_BLOCKS - 1) // 2] + ordered[:, :, _BLOCKS // 2]) / 2
    moved = np.abs(baseline[:, _BLOCKS:] - baseline[:, :-_BLOCKS])
    return np.asarray(np.percentile(moved, _DRIFT_PERCENTILE, axis=1), dtype=np.float64)


def _without_gaps(recording: Recording) -> Iterator[tuple[tuple[str, ...], Samples]]:
    """Yield the leads that have the same gaps together, and without the gaps."""
    finite = np.isfinite(recording.samples_mv)
    alike: dict[bytes, list[int]] = {}
    for row, known in enumerate(finite):
        alike.setdefault(known.tobytes(), []).append(row)
    for rows in alike.values():
        values_mv, known = recording.samples_mv[rows], finite[rows[0]]
        yield tuple(recording.leads[row] for row in rows), values_mv if known.all() else values_mv[:, known]


def _sort(leads: tuple[str, ...], values_mv: Samples, fs_hz: float, found: dict[str, set[str]]) -> None:
    if not values_mv.size:
        found["missing"].update(leads)
        return
    if values_mv.shape[1] < SHORTEST_S * fs_hz:
        found["short"].update(leads)
        return
    kinds = _kinds(values_mv, fs_hz)
    for lead, kind in zip(leads, kinds, strict=True):
        found[str(kind)].add(lead)
    rows = np.flatnonzero(kinds == "usable")
    if not rows.size:
        return
    measured = [leads[row] for row in rows]
    values_mv = values_mv if rows.size == len(leads) else values_mv[rows]
    noises_mv, drifts_mv_s = noise_mv(values_mv, fs_hz), drift_mv_s(values_mv, fs_hz)
    noisy = np.flatnonzero(noises_mv >= NOISY_MV)
    for row, is_hum in zip(noisy, _hums(values_mv[noisy], fs_hz), strict=True):
        found["mains" if is_hum else "muscle"].add(measured[row])
    found["drifting"].update(measured[row] for row in np.flatnonzero(drifts_mv_s >= DRIFTING_MV_S))
    beyond = (noises_mv >= UNMEASURABLE_NOISE_MV) | (drifts_mv_s >= UNMEASURABLE_DRIFT_MV_S)
    found["unmeasurable"].update(measured[row] for row in np.flatnonzero(beyond))
    found["usable"] -= found["unmeasurable"]


def _kinds(values_mv: Samples, fs_hz: float) -> NDArray[np.str_]:
    """Return for each lead, (leads,), whether its values are those of an ECG: usable, flat, saturated or implausible."""
    lowest, highest = values_mv.min(axis=1, keepdims=True), values_mv.max(axis=1, keepdims=True)
    span = (highest.astype(np.float64) - lowest)[:, 0]
    at_rails = ((values_mv == lowest) | (values_mv == highest)).mean(axis=1)
    lost = _lost_share(values_mv, fs_hz) >= LOST_SHARE
    kinds = np.select(
        [(span < FLAT_MV) | lost, (span > RAIL_MV) & (at_rails > RAIL_SHARE), span > RAILS_MV], ["flat", "saturated", "implausible"], "usable"
    )
    for row in np.flatnonzero((span > IMPLAUSIBLE_MV) & (kinds == "usable")):
        low, high = np.percentile(values_mv[row], [0.5, 99.5])
        kinds[row] = "implausible" if high - low > IMPLAUSIBLE_MV else "usable"
    return kinds


def _lost_share(values_mv: Samples, fs_hz: float) -> Floats:
    """Return, (leads,), the share of the seconds in which a lead holds still although another lead shows that the heart does not."""
    second = round(fs_hz)
    seconds = values_mv[:, : values_mv.shape[1] // second * second].reshape(len(values_mv), -1, second)
    spans_mv = seconds.max(axis=2) - seconds.min(axis=2)
    return np.asarray(((spans_mv < LOST_MV) & (spans_mv.max(axis=0) > BEATING_MV)).mean(axis=1))


def _fourth_difference(values_mv: Samples, fs_hz: float) -> Samples:
    lag = max(1, round(_LAG_S * fs_hz))
    ends = values_mv[:, : -4 * lag] + values_mv[:, 4 * lag :]
    return ends - 4 * (values_mv[:, lag : -3 * lag] + values_mv[:, 3 * lag : -lag]) + 6 * values_mv[:, 2 * lag : -2 * lag]


def _quiet_level(difference_mv: Samples) -> Floats:
    rank = int(_QUIET_SHARE * difference_mv.shape[1])
    return np.partition(np.abs(difference_mv), rank, axis=1)[:, rank].astype(np.float64)


def _hums(values_mv: Samples, fs_hz: float) -> NDArray[np.bool_]:
    """Return, (leads,), where the noise is the mains' more than anything else's. `values_mv` is (leads, samples) without gaps."""
    difference = _fourth_difference(values_mv, fs_hz)
    most = (_LOUDEST * _quiet_level(difference)).astype(np.float32)[:, None]
    second = round(fs_hz)
    seconds = difference.shape[1] // second
    cut = np.clip(difference, -most, most)[:, : seconds * second].reshape(len(values_mv), seconds, second)
    power = (np.abs(np.fft.rfft(cut * np.hanning(second).astype(np.float32), axis=2)) ** 2).sum(axis=1)
    hum = np.max([power[:, hz - _MAINS_WIDTH_HZ : hz + _MAINS_WIDTH_HZ + 1].sum(axis=1) for hz in _MAINS_HZ], axis=0)
    return np.asarray(hum > _MAINS_SHARE * power.sum(axis=1))


def _between_the_legs(recording: Recording, quality: LeadQuality) -> bool:
    """True where II alone of the limb leads is flat and I and III bear it out: the electrode of the right arm is on a leg."""
    if "II" not in quality.flat or not {"I", "III"} <= set(quality.usable):
        return False
    return not einthoven_broken(recording.leads, recording.samples_mv, recording.fs_hz, usable=("I", "II", "III"))


def _without_limb_leads(quality: LeadQuality, kind: str) -> LeadQuality:
    return _without(quality, kind, tuple(lead for lead in LIMB if lead in quality.usable))


def _without(quality: LeadQuality, kind: str, leads: tuple[str, ...]) -> LeadQuality:
    usable = tuple(lead for lead in quality.usable if lead not in leads)
    return replace(quality, usable=usable, **{kind: leads})
