"""Electrodes that sit in each other's place, and limb leads that contradict each other: what is written over a lead is then not what it shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.triage.recording import CHEST, Samples, other_limb_leads

Floats = NDArray[np.float64]

_EINTHOVEN_MV, _EINTHOVEN_SHARE = 0.10, 0.15  # of the greater of I and II: carts that filter each lead by itself stay far below
_EINTHOVEN_QUANTILE = 0.98
_EINTHOVEN_STEP_S = 0.008

_LEVEL_S = 0.012  # before QRS onset
_P_S, _P_HALF_S = (0.24, 0.03), 0.02  # before QRS onset, and each side of the top of P
_T_S = (0.08, 0.36)  # after J

_INVERTED_P_MV, _INVERTED_T_MV = -0.015, -0.05
_AGAINST_QRS, _AGAINST_T = -0.3, -0.6  # the likeness of I to V6; in a normal recording QRS 0.45 and T 0.93 at least in 98 of 100
_UPRIGHT_QRS_MV = 0.1

_NOTHING_MV, _NOTHING_SHARE = 0.15, 0.15  # peak to peak of P, QRS and T of II, and of the greater of I and III

_R_FALLS, _R_BELOW, _R_ABOVE = 0.10, 0.05, 0.15  # of R/(R+S): its fall between the two, and how far each may stand off its new neighbour
_SMOOTHER_WAVE, _SMOOTHER = 1.1, 1.2  # how much shorter the way from V1 to V6 becomes, for QRS and T each, and for both


@dataclass(frozen=True)
class Exchanged:
    """`limb`: arms, the left and the right; or right_leg, the right arm and the right leg. `chest`: two neighbouring leads, or
    none, and none with right_leg: that moves the reference of the chest leads, and their progression says nothing."""

    limb: Literal["arms", "right_leg"] | None
    chest: tuple[str, ...]


@dataclass(frozen=True)
class _Waves:
    """The parts of one lead's median beat in mV against the level before the QRS: `p_mv` at the top of P, the others (samples,)."""

    p_mv: float
    before_mv: Floats
    qrs_mv: Floats
    t_mv: Floats


def einthoven_broken(leads: Sequence[str], samples_mv: Samples, fs_hz: float, *, usable: Sequence[str]) -> bool:
    """Return whether III differs from II - I by more than a recorder's filters can do; False where one of them is not usable."""
    return "III" in off_i_and_ii(leads, samples_mv, fs_hz, usable=usable)


def off_i_and_ii(leads: Sequence[str], samples_mv: Samples, fs_hz: float, *, usable: Sequence[str]) -> tuple[str, ...]:
    """Return those of III, aVR, aVL and aVF that differ from what I and II make them by more than a recorder's filters can do.

    `samples_mv` is (leads, samples) in mV, NaN where there is a gap. A lead that was derived from I and II agrees by itself. What is not
    `usable` is not asked, and nothing is where I or II is not. Sources: Einthoven's law, Goldberger's leads."""
    asked = tuple(lead for lead in ("III", "aVR", "aVL", "aVF") if lead in usable)
    if not asked or not {"I", "II"} <= set(usable):
        return ()
    step = max(1, round(_EINTHOVEN_STEP_S * fs_hz))
    limb = np.stack([samples_mv[leads.index(lead), ::step] for lead in ("I", "II", *asked)]).astype(np.float64)
    limb = limb[:, np.isfinite(limb).all(axis=0)]
    if not limb.size:
        return ()
    made_mv = other_limb_leads(limb[0], limb[1])
    compared = np.vstack([limb, limb[2:] - np.stack([made_mv[lead] for lead in asked])])
    rank = int(_EINTHOVEN_QUANTILE * compared.shape[1])
    away_mv = np.abs(compared - np.median(compared, axis=1, keepdims=True))
    away_mv = np.partition(away_mv, rank, axis=1)[:, rank]
    most_mv = max(_EINTHOVEN_MV, _EINTHOVEN_SHARE * float(away_mv[:2].max()))
    return tuple(lead for lead, off_mv in zip(asked, away_mv[len(limb) :], strict=True) if off_mv > most_mv)


def exchanged(leads: Sequence[str], beat_mv: Floats, *, onset: int, j: int, fs_hz: float) -> Exchanged:
    """Return which electrodes are certainly in each other's place.

    `beat_mv` is one median beat, (leads, samples) in mV, and onset < j are the samples of its QRS. A lead that has a gap there, or that is
    not given, is not looked at: what rests on it is not found. Sources: the signs of reversed arms and of a right arm on the right leg
    as every textbook has them; the chest by R and T progression."""
    waves = _waves(leads, beat_mv, onset=onset, j=j, fs_hz=fs_hz)
    if _right_leg_exchanged(waves):
        return Exchanged(limb="right_leg", chest=())
    return Exchanged(limb="arms" if _arms_exchanged(waves) else None, chest=_chest_exchanged(waves))


def _waves(leads: Sequence[str], beat_mv: Floats, *, onset: int, j: int, fs_hz: float) -> dict[str, _Waves]:
    first, last = (max(0, onset - round(s * fs_hz)) for s in _P_S)
    t_first, t_last = (j + round(s * fs_hz) for s in _T_S)
    level, half = max(1, round(_LEVEL_S * fs_hz)), round(_P_HALF_S * fs_hz)
    seen = np.flatnonzero(np.isfinite(beat_mv[:, first:t_last]).all(axis=1))
    if not seen.size or last <= first or t_first >= beat_mv.shape[1]:
        return {}
    above_mv = beat_mv[seen] - beat_mv[seen, onset - level : onset].mean(axis=1, keepdims=True)
    top = first + int(np.argmax((above_mv[:, first:last] ** 2).sum(axis=0)))
    return {
        leads[int(row)]: _Waves(
            p_mv=float(lead_mv[max(first, top - half) : top + half + 1].mean()),
            before_mv=lead_mv[first:last],
            qrs_mv=lead_mv[onset:j],
            t_mv=lead_mv[t_first:t_last],
        )
        for row, lead_mv in zip(seen, above_mv, strict=True)
    }


def _arms_exchanged(waves: dict[str, _Waves]) -> bool:
    """True where P, QRS and T of I are upside down and V6 is normal: were V6 not, it could be a heart on the right side."""
    if not {"I", "V6"} <= waves.keys():
        return False
    one, v6 = waves["I"], waves["V6"]
    upside_down = (
        one.p_mv <= _INVERTED_P_MV
        and _furthest(one.t_mv) <= _INVERTED_T_MV
        and _likeness(one.qrs_mv, v6.qrs_mv) <= _AGAINST_QRS
        and _likeness(one.t_mv, v6.t_mv) <= _AGAINST_T
    )
    return upside_down and float(v6.qrs_mv.max() + v6.qrs_mv.min()) >= _UPRIGHT_QRS_MV


def _right_leg_exchanged(waves: dict[str, _Waves]) -> bool:
    """True where II shows next to nothing of P, QRS and T alike: it lies between the two legs. An axis across II keeps P and T."""
    if not {"I", "II", "III"} <= waves.keys():
        return False
    parts = ([waves[lead].before_mv, waves[lead].qrs_mv, waves[lead].t_mv] for lead in ("I", "II", "III"))
    one, two, three = (float(np.ptp(np.concatenate(of_lead))) for of_lead in parts)
    return two <= min(_NOTHING_MV, _NOTHING_SHARE * max(one, three))


def _chest_exchanged(waves: dict[str, _Waves]) -> tuple[str, ...]:
    """Return the two neighbours where R falls that should grow, and where QRS and T go from V1 to V6 in smaller steps with the two exchanged."""
    if not set(CHEST) <= waves.keys():
        return ()
    qrs_mv, t_mv = np.stack([waves[lead].qrs_mv for lead in CHEST]), np.stack([waves[lead].t_mv for lead in CHEST])
    r_mv, s_mv = qrs_mv.max(axis=1).clip(min=0), -qrs_mv.min(axis=1).clip(max=0)
    growth = r_mv / (r_mv + s_mv + 1e-6)
    qrs_gain, t_gain = _smoother_by_exchange(qrs_mv), _smoother_by_exchange(t_mv)
    both = np.sqrt(qrs_gain * t_gain)
    below, above = np.concatenate([[-np.inf], growth[:-2]]), np.concatenate([growth[2:], [np.inf]])
    certain = (growth[:-1] - growth[1:] >= _R_FALLS) & (below <= growth[1:] + _R_BELOW) & (growth[:-1] <= above + _R_ABOVE)
    certain &= (qrs_gain >= _SMOOTHER_WAVE) & (t_gain >= _SMOOTHER_WAVE) & (both >= _SMOOTHER)
    if not certain.any():
        return ()
    first = int(np.argmax(np.where(certain, both, 0.0)))
    return CHEST[first : first + 2]


def _smoother_by_exchange(wave_mv: Floats) -> Floats:
    """Return, (5,), how many times the squared steps from V1 to V6 are those that remain when each pair of neighbours is exchanged."""
    apart = ((wave_mv[:, None] - wave_mv[None, :]) ** 2).sum(axis=2) + 1e-9

    def way(order: Sequence[int]) -> float:
        return float(sum(apart[one, two] for one, two in pairwise(order)))

    as_it_is = list(range(len(CHEST)))
    exchanges = [[*as_it_is[:first], first + 1, first, *as_it_is[first + 2 :]] for first in as_it_is[:-1]]
    return way(as_it_is) / np.array([way(order) for order in exchanges])


def _furthest(wave_mv: Floats) -> float:
    return float(wave_mv[np.argmax(np.abs(wave_mv))])


def _likeness(one_mv: Floats, two_mv: Floats) -> float:
    """Return the cosine between two waves, -1 to 1."""
    return float(one_mv @ two_mv / max(float(np.linalg.norm(one_mv) * np.linalg.norm(two_mv)), 1e-9))
