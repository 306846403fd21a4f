"""Dangerous rhythms, which no shared recording holds, made of the beats of real recordings."""

from dataclasses import replace

import numpy as np

from services.triage.beats import heartbeats, median_beat
from services.triage.recording import CHEST, INDEPENDENT, Recording, other_limb_leads

SECONDS = 10.0
_QUIET_S = 0.12
_QRS_FROM_S, _QRS_TO_S = -0.07, 0.40  # round R
_P_FROM_S, _P_TO_S = -0.24, -0.07


def ventricular_tachycardia(of: Recording, *, bpm: float, seconds: float = SECONDS) -> Recording:
    """Return the wide beats of a recording end to end, without a level between them."""
    rr_s = 60 / bpm
    starts_s = np.arange(0, seconds, rr_s)
    return _laid(of, _one_beat(of, -0.4 * rr_s, 0.6 * rr_s), starts_s + 0.4 * rr_s, seconds=seconds)


def torsades(of: Recording, *, bpm: float = 220.0, seconds: float = SECONDS, turn_s: float = 4.0) -> Recording:
    """Return a ventricular tachycardia whose axis turns round the heart."""
    straight = ventricular_tachycardia(of, bpm=bpm, seconds=seconds)
    x_mv, y_mv = _lead(straight, "I"), (2 * _lead(straight, "II") - _lead(straight, "I")) / np.sqrt(3)
    angle = 2 * np.pi * np.arange(x_mv.size) / of.fs_hz / turn_s
    i_mv, along = np.cos(angle) * x_mv - np.sin(angle) * y_mv, np.sin(angle) * x_mv + np.cos(angle) * y_mv
    chest = [_lead(straight, lead) for lead in CHEST]
    turned = [np.cos(angle) * one + np.sin(angle) * other for one, other in zip(chest, (*chest[3:], *(-lead for lead in chest[:3])), strict=True)]
    return _of_eight(of, np.array([i_mv, (i_mv + np.sqrt(3) * along) / 2, *turned]))


def fibrillation(of: Recording, *, seed: int = 1, peak_mv: float = 0.5, seconds: float = SECONDS) -> Recording:
    """Return waves of 4 to 7 Hz that wander in rate, height and direction, over the quiet line of a recording."""
    chance = np.random.default_rng(seed)
    count = round(seconds * of.fs_hz)
    waves = np.zeros((len(INDEPENDENT), count))
    for _ in range(3):
        hz = np.interp(np.arange(count), np.linspace(0, count, 12), chance.uniform(4, 7, 12))
        height = np.interp(np.arange(count), np.linspace(0, count, 14), chance.uniform(0.3, 1, 14))
        waves += np.outer(chance.uniform(-1, 1, len(INDEPENDENT)), height * np.sin(2 * np.pi * np.cumsum(hz) / of.fs_hz + chance.uniform(0, 6)))
    return _of_eight(of, quiet_mv(of, seconds) + peak_mv * waves)


def standstill(of: Recording, *, seconds: float = SECONDS) -> Recording:
    """Return a recording's quiet line without its beats."""
    return _of_eight(of, quiet_mv(of, seconds))


def p_waves_alone(of: Recording, *, bpm: float = 75.0, seconds: float = SECONDS) -> Recording:
    return _laid(of, _one_beat(of, _P_FROM_S, _P_TO_S), np.arange(0.5, seconds, 60 / bpm), seconds=seconds)


def beats_then_nothing(of: Recording, *, beats: int = 3, seconds: float = SECONDS, silent: bool = False) -> Recording:
    """Return the first beats of a recording and then its quiet line, or where `silent` one value in all leads, as when nothing is connected."""
    peaks_s = heartbeats(of.samples_mv, of.fs_hz).peaks / of.fs_hz
    last = round((peaks_s[beats - 1] + _QRS_TO_S) * of.fs_hz)
    real = _eight(of)[:, :last].astype(np.float64)
    rest = np.zeros((len(real), round(seconds * of.fs_hz) - last)) if silent else quiet_mv(of, seconds)[:, : round(seconds * of.fs_hz) - last]
    return _of_eight(of, np.concatenate([real, real[:, -1:] + rest], axis=1))


def pause(of: Recording, *, rr_s: float) -> Recording:
    """Return the recording with one RR interval drawn out to `rr_s`, the quiet line in between; 4 s before it and 3 s after it."""
    eight, peaks = _eight(of).astype(np.float64), heartbeats(of.samples_mv, of.fs_hz).peaks
    at = int(np.searchsorted(peaks, 3.5 * of.fs_hz))
    cut = peaks[at] + round(_QRS_TO_S * of.fs_hz)
    more = round(rr_s * of.fs_hz) - int(peaks[at + 1] - peaks[at])
    rest = eight[:, cut : peaks[at + 1] + round(3 * of.fs_hz)]
    filled = eight[:, cut : cut + 1] + quiet_mv(of, rr_s)[:, :more]
    return _of_eight(of, np.concatenate([eight[:, :cut], filled, filled[:, -1:] + rest - rest[:, :1]], axis=1))


def complete_block(of: Recording, *, atrial_bpm: float = 75.0, ventricular_bpm: float = 32.0, seconds: float = SECONDS) -> Recording:
    """Return P waves and QRS-T of a recording, each at a rate of its own."""
    atria = _laid(of, _one_beat(of, _P_FROM_S, _P_TO_S), np.arange(0.4, seconds, 60 / atrial_bpm), seconds=seconds)
    ventricles = _laid(of, _one_beat(of, _QRS_FROM_S, _QRS_TO_S), np.arange(0.9, seconds, 60 / ventricular_bpm), seconds=seconds)
    return _of_eight(of, _eight(atria) + _eight(ventricles) - quiet_mv(of, seconds))


def atrial_fibrillation(of: Recording, *, bpm: float, spread: float = 0.2, seconds: float = SECONDS, seed: int = 3) -> Recording:
    """Return QRS-T without P at irregular intervals; of wide beats it is what pre-excitation makes of it."""
    chance = np.random.default_rng(seed)
    rr_s = 60 / bpm * np.clip(1 + spread * chance.standard_normal(round(2 * seconds * bpm / 60)), 0.65, 1.6)
    at_s = 0.2 + np.cumsum(rr_s)
    line = _laid(of, _one_beat(of, _QRS_FROM_S, 0.65 * 60 / bpm), at_s, seconds=seconds)
    trembling = 0.03 * np.sin(2 * np.pi * 6.5 * np.arange(round(seconds * of.fs_hz)) / of.fs_hz)
    return _of_eight(of, _eight(line) + trembling)


def flutter(of: Recording, *, atrial_bpm: float = 300.0, conducted: int = 2, seconds: float = SECONDS) -> Recording:
    """Return QRS-T at a part of the rate of saw teeth."""
    rr_s = 60 * conducted / atrial_bpm
    line = _laid(of, _one_beat(of, _QRS_FROM_S, rr_s + _QRS_FROM_S), np.arange(0.2, seconds, rr_s), seconds=seconds)
    teeth = 0.15 * (1 - 2 * (np.arange(round(seconds * of.fs_hz)) / of.fs_hz * atrial_bpm / 60 % 1))
    return _of_eight(of, _eight(line) + np.outer([0.2, 1.0, 0.6, 0.3, 0.2, 0.1, 0.1, 0.1], teeth))


def quiet_mv(of: Recording, seconds: float) -> np.ndarray:
    """Return the quietest stretch of I, II and V1 to V6, to and fro: (8, samples) in mV round zero, with the electrodes' own noise."""
    eight, width = _eight(of).astype(np.float64), round(_QUIET_S * of.fs_hz)
    starts = np.arange(0, eight.shape[1] - width, round(0.02 * of.fs_hz))
    unrest = [np.ptp(eight[:, at : at + width], axis=1).max() for at in starts]
    piece = _level(eight[:, starts[int(np.argmin(unrest))] :][:, :width])
    return np.tile(np.concatenate([piece, piece[:, ::-1]], axis=1), round(seconds / _QUIET_S) + 1)[:, : round(seconds * of.fs_hz)]


def resampled(of: Recording, fs_hz: float) -> Recording:
    count = round(of.seconds * fs_hz)
    at, known = np.arange(count) / fs_hz, np.arange(of.samples_mv.shape[1]) / of.fs_hz
    return replace(of, samples_mv=np.array([np.interp(at, known, lead) for lead in of.samples_mv], dtype=np.float32), fs_hz=fs_hz)


def disturbed(of: Recording, *, white_mv: float = 0.0, hum_mv: float = 0.0, drift_mv: float = 0.0, tremor_mv: float = 0.0) -> Recording:
    """Return the recording with noise put on each lead: white, 50 Hz, a slow drift, and a trembling of 5 to 8 Hz as hands make it."""
    chance, leads = np.random.default_rng(5), len(of.leads)
    at_s = np.arange(of.samples_mv.shape[1]) / of.fs_hz
    wandering_hz = 6.5 + np.cumsum(chance.standard_normal(of.samples_mv.shape), axis=1) / of.fs_hz
    turns = np.stack([np.cumsum(wandering_hz, axis=1) / of.fs_hz, np.tile(50 * at_s, (leads, 1)), np.tile(0.25 * at_s, (leads, 1))])
    waves = np.sin(2 * np.pi * (turns + chance.uniform(0, 1, (3, leads, 1))))
    noise = white_mv * chance.standard_normal(of.samples_mv.shape) + tremor_mv * waves[0] + hum_mv * waves[1] + drift_mv * waves[2]
    return replace(of, samples_mv=(of.samples_mv + noise).astype(np.float32))


def _one_beat(of: Recording, from_s: float, to_s: float) -> np.ndarray:
    """Return one real beat of the commonest shape, (8, samples) from and to the times from its R, which is at no slope from end to end."""
    beat = median_beat(of.samples_mv, of.fs_hz)
    assert beat is not None, "a recording without beats was taken to make a rhythm of"
    at = int(beat.at[len(beat.at) // 2])
    return _level(_eight(of)[:, at + round(from_s * of.fs_hz) : at + round(to_s * of.fs_hz)].astype(np.float64))


def _laid(of: Recording, piece: np.ndarray, starts_s: np.ndarray, *, seconds: float) -> Recording:
    line = quiet_mv(of, seconds)
    for start in np.round(starts_s * of.fs_hz).astype(int):
        there = line[:, start : start + piece.shape[1]]
        there += piece[:, : there.shape[1]]
    return _of_eight(of, line)


def _level(piece: np.ndarray) -> np.ndarray:
    return piece - np.linspace(piece[:, 0], piece[:, -1], piece.shape[1], axis=1)


def _lead(of: Recording, lead: str) -> np.ndarray:
    return of.samples_mv[of.leads.index(lead)].astype(np.float64)


def _eight(of: Recording) -> np.ndarray:
    return of.samples_mv[[of.leads.index(lead) for lead in INDEPENDENT]]


def _of_eight(of: Recording, eight_mv: np.ndarray) -> Recording:
    """Return a recording of twelve leads, of which four are made as Einthoven and Goldberger have it."""
    limb = {"I": eight_mv[0], "II": eight_mv[1]} | other_limb_leads(eight_mv[0], eight_mv[1])
    leads = limb | dict(zip(CHEST, eight_mv[2:], strict=True))
    return replace(of, leads=tuple(leads), samples_mv=np.array(list(leads.values()), dtype=np.float32))
