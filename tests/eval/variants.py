"""A real recording as another day and another cart would have had it: another window, noise, drift, gain and sampling rate.

Each variant follows from the file's name and its number, so that it can be made again."""

import zlib
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from services.triage.recording import Recording, other_limb_leads
from tests.eval.injection import NoiseKind, added, with_noise
from tests.eval.listed import read_file

Floats = NDArray[np.float64]

RATES_HZ = (250, 360, 500, 1000)
_SHORTEST_S, _LONGEST_S = 6.0, 10.0
_NOISE_MV, _HUM_MV, _DRIFT_MV, _DRIFT_HZ, _GAIN = 0.04, 0.05, 0.3, (0.1, 0.4), 0.05
_SEED = 5


@dataclass(frozen=True)
class Change:
    """What a variant does to a recording; `gains` is a factor for each lead, `drift_mv` the height of a slow wave."""

    from_s: float
    length_s: float
    noise_mv: float
    noise_kind: NoiseKind
    hum_mv: float
    drift_mv: float
    drift_hz: float
    gains: tuple[float, ...]
    rate_hz: int


@dataclass(frozen=True)
class Variant:
    """The variant of that number of one recording."""

    file: str
    number: int

    @property
    def name(self) -> str:
        change = change_of(self, _read(self.file))
        window = f"{change.from_s:.2f} s + {change.length_s:.2f} s"
        dirt = f"{change.noise_kind} {change.noise_mv:.3f} mV, hum {change.hum_mv:.3f} mV, drift {change.drift_mv:.2f} mV at {change.drift_hz:.2f} Hz"
        return f"{self.file}, variant {self.number}: {window}, {dirt}, {change.rate_hz} samples/s"

    def recording(self) -> Recording:
        recording = _read(self.file)
        return changed(recording, change_of(self, recording), _chance(self, 1))


def change_of(variant: Variant, recording: Recording) -> Change:
    """Return what a variant does: each of these is drawn anew, a third has no noise, two thirds have no hum, half have no drift."""
    chance = _chance(variant, 0)
    length_s = min(recording.seconds, chance.uniform(_SHORTEST_S, _LONGEST_S))
    return Change(
        from_s=chance.uniform(0, recording.seconds - length_s),
        length_s=length_s,
        noise_mv=chance.uniform(0, _NOISE_MV) * (chance.random() < 2 / 3),
        noise_kind="white" if chance.random() < 0.5 else "muscle",
        hum_mv=chance.uniform(0, _HUM_MV) * (chance.random() < 1 / 3),
        drift_mv=chance.uniform(0, _DRIFT_MV) * (chance.random() < 1 / 2),
        drift_hz=chance.uniform(*_DRIFT_HZ),
        gains=tuple(chance.uniform(1 - _GAIN, 1 + _GAIN, len(recording.leads))),
        rate_hz=int(chance.choice(RATES_HZ)),
    )


def changed(recording: Recording, change: Change, chance: np.random.Generator) -> Recording:
    """Return the recording so changed. Each electrode has its own noise, hum and drift; the limb leads stay those of one body."""
    first = round(change.from_s * recording.fs_hz)
    window = recording.samples_mv[:, first : first + round(change.length_s * recording.fs_hz)]
    recording = replace(recording, samples_mv=_limb_from_two(recording.leads, window * np.array(change.gains)[:, None]))
    recording = _at(recording, change.rate_hz)
    seconds = np.arange(recording.samples_mv.shape[1]) / recording.fs_hz
    several = (len(recording.leads), 1)
    slow = np.sin(2 * np.pi * (change.drift_hz * seconds + chance.random(several))) * chance.uniform(-1, 1, several)
    hum = np.sin(2 * np.pi * (50 * seconds + chance.random(several))) * chance.uniform(0, 1, several)
    recording = added(recording, change.drift_mv * slow + change.hum_mv * hum)
    return with_noise(recording, kind=change.noise_kind, sd_mv=change.noise_mv, chance=chance) if change.noise_mv else recording


def _limb_from_two(leads: tuple[str, ...], samples_mv: Floats) -> NDArray[np.float32]:
    one, two = (samples_mv[leads.index(lead)] for lead in ("I", "II"))
    for lead, made_mv in other_limb_leads(one, two).items():
        if lead in leads:
            samples_mv[leads.index(lead)] = made_mv
    return samples_mv.astype(np.float32)


def _at(recording: Recording, rate_hz: int) -> Recording:
    ratio = Fraction(rate_hz, round(recording.fs_hz))
    if ratio == 1:
        return recording
    level = recording.samples_mv[:, :1]  # the filter takes what lies beyond the ends for zero
    resampled = resample_poly((recording.samples_mv - level).astype(np.float64), ratio.numerator, ratio.denominator, axis=1)
    return replace(recording, samples_mv=(resampled + level).astype(np.float32), fs_hz=float(rate_hz))


def _chance(variant: Variant, what: int) -> np.random.Generator:
    return np.random.default_rng([_SEED, zlib.crc32(variant.file.encode()), variant.number, what])


@lru_cache(maxsize=4)
def _read(file: str) -> Recording:
    return read_file(file)
