"""A synthetic patient: ten seconds of twelve leads from a published model of the heart, for demonstrations and for the canary.

The beat is `services.ops.cardiac_dipole`. An infarction is the same heart with an injury current: a step in the leads of its territory that
rises at the end of the QRS, stands through the ST segment and goes down with the T wave.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from services.ops.cardiac_dipole import J_POINT_S, MEASURED_LEADS, Floats, dipole_of_beat, measured_leads

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
DEFAULT_ST_MV = 0.30
HIGHEST_ST_MV = 2.0

# What makes two beats differ, as in a patient who lies still.
_RESPIRATION_HZ = 0.25
_RR_WITH_RESPIRATION, _RR_JITTER = 0.03, 0.005
_AMPLITUDE_WITH_RESPIRATION = 0.03
_WANDER_MV, _NOISE_SD_MV = 0.03, 0.004

# The injury current: where it rises and falls, and over how long (a logistic curve's scale).
_RISES_AT_S, _RISE_S = J_POINT_S - 0.024, 0.005
_FALLS_AT_S, _FALL_S = 0.300, 0.018


class Pattern(StrEnum):
    """What the synthetic patient has; `help` says it in a line."""

    help: str

    NORMAL = "normal", "a normal sinus rhythm, no ST elevation"
    ANTERIOR = "anterior", "ST elevation in V1-V5, strongest in V3"
    INFERIOR = "inferior", "ST elevation in II, III and aVF, strongest in III, with depression in I and aVL"
    LATERAL = "lateral", "ST elevation in I, aVL, V5 and V6, strongest in V6"
    LEAD_OFF = "lead-off", "a normal sinus rhythm with V1-V6 not connected: cannot be judged"

    def __new__(cls, value: str, help_: str) -> "Pattern":
        member = str.__new__(cls, value)
        member._value_ = value
        member.help = help_
        return member


# ST of each measured lead as a share of the strongest of the twelve; the limb leads follow from I and II (III = II - I, aVL = I - II/2 ...).
_TERRITORIES: dict[Pattern, dict[str, float]] = {
    Pattern.ANTERIOR: {"I": 0.15, "II": 0.0, "V1": 0.5, "V2": 0.95, "V3": 1.0, "V4": 0.9, "V5": 0.5, "V6": 0.15},
    Pattern.INFERIOR: {"I": -0.2, "II": 0.8, "V1": 0.0, "V2": -0.2, "V3": -0.15, "V4": 0.0, "V5": 0.1, "V6": 0.15},
    Pattern.LATERAL: {"I": 0.8, "II": 0.1, "V1": -0.25, "V2": -0.2, "V3": 0.0, "V4": 0.45, "V5": 0.9, "V6": 1.0},
}


@dataclass(frozen=True)
class SyntheticRecording:
    """Twelve leads of nobody. samples_mv is (leads, samples) in mV; r_peaks_s are the model's own R peaks that lie within it."""

    leads: tuple[str, ...]
    samples_mv: Floats
    fs_hz: int
    pattern: Pattern
    st_mv: float | None
    seed: int
    r_peaks_s: tuple[float, ...]


def synthesize(
    pattern: Pattern, *, st_mv: float | None, seed: int, heart_rate_bpm: float = 72.0, seconds: float = 10.0, fs_hz: int = 500
) -> SyntheticRecording:
    """Return a recording of a patient who does not exist; the same arguments give the same samples.

    st_mv is the ST elevation at J, against QRS onset, in the territory's strongest lead; None is DEFAULT_ST_MV. A pattern without a territory
    takes None only. Raises ValueError for what no such recording can have."""
    _check(pattern, st_mv=st_mv, heart_rate_bpm=heart_rate_bpm, seconds=seconds, fs_hz=fs_hz)
    elevation_mv = (DEFAULT_ST_MV if st_mv is None else st_mv) if pattern in _TERRITORIES else None
    random = np.random.Generator(np.random.PCG64(seed))
    at_s = np.arange(round(seconds * fs_hz)) / fs_hz
    breath = float(random.uniform(0, 2 * np.pi))
    beats = _beats(random, heart_rate_bpm=heart_rate_bpm, seconds=seconds, breath=breath)
    measured = np.zeros((len(MEASURED_LEADS), at_s.size))
    territory = np.array([_TERRITORIES[pattern][lead] for lead in MEASURED_LEADS]) if pattern in _TERRITORIES else None
    for r_s, rr_s in beats:
        beat = measured_leads(dipole_of_beat(at_s - r_s, rr_s=rr_s))
        if territory is not None and elevation_mv is not None:
            beat += elevation_mv * np.outer(territory, _injury(at_s - r_s, rr_s=rr_s))
        measured += beat
    measured *= 1 + _AMPLITUDE_WITH_RESPIRATION * np.sin(2 * np.pi * _RESPIRATION_HZ * at_s + breath)
    measured += _disturbance(random, at_s)
    if pattern is Pattern.LEAD_OFF:
        measured[MEASURED_LEADS.index("V1") :] = 0.0
    r_peaks_s = tuple(r_s for r_s, _ in beats if 0 <= r_s < seconds)
    return SyntheticRecording(LEADS, _twelve(measured), fs_hz, pattern, elevation_mv, seed, r_peaks_s)


def _check(pattern: Pattern, *, st_mv: float | None, heart_rate_bpm: float, seconds: float, fs_hz: int) -> None:
    if st_mv is not None and pattern not in _TERRITORIES:
        raise ValueError(f"the pattern {pattern} has no ST elevation: leave it out, or choose one of {', '.join(_TERRITORIES)}")
    if st_mv is not None and not 0 <= st_mv <= HIGHEST_ST_MV:
        raise ValueError(f"an ST elevation of {st_mv} mV: choose 0 to {HIGHEST_ST_MV} mV")
    if not 40 <= heart_rate_bpm <= 150:
        raise ValueError(f"a heart rate of {heart_rate_bpm} /min: the model holds from 40 to 150 /min")
    if not 200 <= fs_hz <= 1000:
        raise ValueError(f"{fs_hz} samples a second: a 12-lead DICOM recording has 200 to 1000")
    if not 1 <= seconds * fs_hz <= 16384:
        raise ValueError(f"{seconds} s at {fs_hz} Hz: a 12-lead DICOM recording has 1 to 16384 samples a lead")


def _beats(random: np.random.Generator, *, heart_rate_bpm: float, seconds: float, breath: float) -> list[tuple[float, float]]:
    """Return (R peak, RR interval before it) in s, from before the recording begins until after it ends: its edges are in mid-beat."""
    mean_rr_s = 60.0 / heart_rate_bpm
    beats: list[tuple[float, float]] = []
    r_s = -mean_rr_s * float(random.uniform(0, 1))
    while r_s < seconds + mean_rr_s:
        with_breath = _RR_WITH_RESPIRATION * np.sin(2 * np.pi * _RESPIRATION_HZ * r_s + breath)
        rr_s = mean_rr_s * float(1 + with_breath + _RR_JITTER * random.standard_normal())
        beats.append((r_s, rr_s))
        r_s += rr_s
    return beats


def _injury(from_r_s: Floats, *, rr_s: float) -> Floats:
    """Return the shape of the injury current, 0 to 1: up before J, so that it stands at J, and down with the T wave."""
    falls_at_s = _FALLS_AT_S * float(np.sqrt(rr_s))
    shape: Floats = 0.25 * (1 + np.tanh((from_r_s - _RISES_AT_S) / (2 * _RISE_S))) * (1 - np.tanh((from_r_s - falls_at_s) / (2 * _FALL_S)))
    return shape


def _disturbance(random: np.random.Generator, at_s: Floats) -> Floats:
    """Return baseline wander with the breath and a little muscle, (measured leads, samples) in mV."""
    count = len(MEASURED_LEADS)
    depth_mv = _WANDER_MV * random.uniform(0.3, 1.0, size=(count, 1))
    phase = random.uniform(0, 2 * np.pi, size=(count, 1))
    wander: Floats = depth_mv * np.sin(2 * np.pi * _RESPIRATION_HZ * at_s + phase)
    return wander + _NOISE_SD_MV * random.standard_normal((count, at_s.size))


def _twelve(measured: Floats) -> Floats:
    """Return LEADS from the eight measured ones: the limb leads by Einthoven and Goldberger."""
    i, ii = measured[0], measured[1]
    return np.vstack([i, ii, ii - i, -(i + ii) / 2, i - ii / 2, ii - i / 2, measured[2:]])
