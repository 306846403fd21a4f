"""Beats and ST against signals whose truth is known; the bounds that people marked by hand are in test_delineate.py."""

from pathlib import Path

import numpy as np
import pytest
import wfdb

from services.triage.beats import median_beat
from services.triage.decode import decode
from services.triage.quality import lead_quality
from services.triage.reading import read_recording
from services.triage.recording import STANDARD, Recording
from services.triage.st import st_elevation

FS_HZ = 500.0


def made_up(*, st_mv: float = 0.0, fs_hz: float = FS_HZ, beats: int = 12, drift_mv: float = 0.0, noise_mv: float = 0.0) -> Recording:
    """Twelve leads at 75/min: a QRS of about 90 ms, then ST at a known level for 120 ms, then a T wave."""
    seconds = np.arange(round(beats * 0.8 * fs_hz)) / fs_hz
    phase = seconds % 0.8 - 0.3
    qrs = np.exp(-((phase / 0.014) ** 2)) - 0.4 * np.exp(-(((phase - 0.03) / 0.010) ** 2))
    st = np.clip((phase - 0.035) / 0.015, 0, 1) * np.clip((0.22 - phase) / 0.04, 0, 1)
    t_wave = 0.3 * np.exp(-(((phase - 0.26) / 0.04) ** 2))
    scale = np.linspace(0.7, 1.4, 12)[:, None]
    chance = np.random.default_rng(1)
    samples = scale * (qrs + t_wave) + st_mv * st + drift_mv * np.sin(2 * np.pi * 0.25 * seconds)
    samples = samples + noise_mv * chance.standard_normal(samples.shape)
    return Recording(STANDARD, samples.astype(np.float32), fs_hz, 60, None, (), "made up")


def st_of(recording: Recording) -> np.ndarray:
    reading = read_recording(recording, age_y=None, sex=None)
    return np.array([lead.st_j_mv for lead in reading.measurements.leads], dtype=float)


@pytest.mark.parametrize("st_mv", [-0.2, 0.0, 0.15, 0.4])
@pytest.mark.parametrize("fs_hz", [250.0, 500.0, 1000.0])
def test_a_known_st_level_is_measured_at_any_rate(st_mv, fs_hz):
    np.testing.assert_allclose(st_of(made_up(st_mv=st_mv, fs_hz=fs_hz)), st_mv, atol=0.035)


def test_a_wandering_baseline_does_not_move_st():
    np.testing.assert_allclose(st_of(made_up(st_mv=0.2, drift_mv=0.8)), st_of(made_up(st_mv=0.2)), atol=0.03)


def test_st_goes_with_the_scale_and_does_not_care_for_an_offset():
    one = made_up(st_mv=0.2)
    offset = Recording(one.leads, one.samples_mv + 7, one.fs_hz, one.age_y, one.sex, (), one.format)
    np.testing.assert_allclose(st_of(offset), st_of(one), atol=0.002)
    double = Recording(one.leads, one.samples_mv * 2, one.fs_hz, one.age_y, one.sex, (), one.format)
    np.testing.assert_allclose(st_of(double), 2 * st_of(one), atol=0.004)


def test_a_gap_in_one_lead_is_not_measured_there_and_zero_is_not_put_in():
    recording = made_up(st_mv=0.2)
    samples = recording.samples_mv.copy()
    samples[8, 1500:] = np.nan
    samples[9] = np.where(np.arange(samples.shape[1]) % 400 > 160, np.nan, samples[9])  # no beat has its ST segment
    reading = read_recording(Recording(recording.leads, samples, FS_HZ, 60, None, (), "made up"), age_y=None, sex=None)
    by_lead = {lead.lead: lead.st_j_mv for lead in reading.measurements.leads}
    assert by_lead["V3"] == pytest.approx(0.2, abs=0.035)
    assert by_lead["V4"] is None


def test_beats_of_another_shape_are_left_out():
    recording = made_up(st_mv=0.1)
    samples = recording.samples_mv.copy()
    wide = np.outer(np.linspace(2, -2, 12), np.exp(-(((np.arange(300) - 150) / 30) ** 2)))
    for start in (1000, 2600, 3800):
        samples[:, start : start + 300] = wide
    beat = median_beat(samples, FS_HZ)
    assert beat is not None
    assert len(beat.at) < beat.found
    np.testing.assert_allclose(st_of(Recording(STANDARD, samples, FS_HZ, 60, None, (), "made up")), st_of(recording), atol=0.03)


def test_a_lead_that_stands_still_for_a_while_hides_no_beat():
    recording = made_up(st_mv=0.2, noise_mv=0.01)
    samples = recording.samples_mv.copy()
    samples[10, 400:3000] = 0
    beat = median_beat(samples, FS_HZ)
    assert beat is not None
    assert beat.found == 12


def test_st_outside_the_beat_is_refused():
    with pytest.raises(ValueError, match="outside a beat"):
        st_elevation(np.zeros((12, 400)), fs_hz=FS_HZ, onset=150, j=399)


def test_noise_has_no_beats():
    chance = np.random.default_rng(5)
    assert median_beat(chance.standard_normal((12, 5000)).astype(np.float32), FS_HZ) is None


def test_each_fault_of_a_lead_is_told_apart():
    samples = made_up(noise_mv=0.01).samples_mv.copy()
    samples[0] = 0.001
    samples[1] = np.nan
    samples[6] = np.where(np.sin(np.arange(samples.shape[1]) / 20) > 0, 5, -5)
    samples[7] *= 20
    samples[8, 600:] = np.nan
    quality = lead_quality(Recording(STANDARD, samples, FS_HZ, None, None, (), "made up"))
    assert quality.flat == ("I",)
    assert quality.missing == ("II",)
    assert quality.saturated == ("V1",)
    assert quality.implausible == ("V2",)
    assert quality.short == ("V3",)
    assert not quality.enough


def decode_path(path: Path) -> Recording:
    from services.runtime.archive import UploadedFile

    return decode([UploadedFile(part.name, part.read_bytes()) for part in (path, path.with_suffix(".dat"))])


def test_the_cart_and_the_reading_agree_on_rate_and_qrs(recordings: Path):
    record = decode_path(recordings / "ludb" / "56.hea")
    reading = read_recording(record, age_y=None, sex=None)
    marks = wfdb.rdann(str(recordings / "ludb" / "56"), "ii")
    peaks = np.array([sample for sample, symbol in zip(marks.sample, marks.symbol, strict=True) if symbol == "N"])
    assert reading.measurements.heart_rate_bpm == pytest.approx(60 * 500 / np.diff(peaks).mean(), abs=2)
