"""P and T: bounds of made-up waves that are known, and of real ones that people marked by hand."""

from pathlib import Path

import numpy as np
import pytest

from services.triage.beats import median_beat
from services.triage.delineate import Waves, waves
from services.triage.reading import read_recording
from services.triage.recording import STANDARD, Recording
from services.triage.st import qrs_bounds
from tests.eval.boundaries import bound_figures, count_figures, judged

SCALES = np.array([0.7, 1.0, 0.3, -0.85, 0.2, 0.65, -0.4, 0.5, 0.9, 1.2, 1.1, 0.9])[:, None]


def hump(seconds: np.ndarray, first_s: float, last_s: float) -> np.ndarray:
    """A wave of height 1 that begins and ends at known times."""
    share = np.clip((seconds - first_s) / (last_s - first_s), 0, 1)
    return (1 - np.cos(2 * np.pi * share)) / 2


def made_up(
    *,
    pr_s: float = 0.16,
    qt_s: float = 0.38,
    rr_s: float = 0.9,
    p_mv: float = 0.15,
    t_mv: float = 0.35,
    fs_hz: float = 500.0,
    noise_mv: float = 0.004,
) -> Recording:
    """Ten seconds of twelve leads: P of 100 ms, a QRS of 90 ms, T from 140 ms after its onset or later."""
    seconds = np.arange(round(10 * fs_hz)) / fs_hz
    after_onset = seconds % rr_s - pr_s - 0.05
    qrs = hump(after_onset, 0.0, 0.06) - 0.3 * hump(after_onset, 0.045, 0.09)
    beat = qrs + p_mv * hump(after_onset, -pr_s, 0.1 - pr_s) + t_mv * hump(after_onset, max(0.14, qt_s - 0.2), qt_s)
    samples = SCALES * beat + noise_mv * np.random.default_rng(1).standard_normal((12, seconds.size))
    return Recording(STANDARD, samples.astype(np.float32), fs_hz, 60, None, (), "made up")


def found(recording: Recording) -> Waves:
    beat = median_beat(recording.samples_mv, recording.fs_hz)
    assert beat is not None
    bounds = qrs_bounds(beat.beat_mv, r=beat.r, fs_hz=beat.fs_hz)
    assert bounds is not None
    return waves(beat, bounds)


def changed(recording: Recording, samples_mv: np.ndarray) -> Recording:
    return Recording(recording.leads, samples_mv.astype(np.float32), recording.fs_hz, recording.age_y, recording.sex, (), recording.format)


@pytest.mark.parametrize("fs_hz", [250.0, 500.0, 1000.0])
@pytest.mark.parametrize(
    ("pr_s", "qt_s", "rr_s"), [(0.16, 0.38, 0.9), (0.12, 0.30, 0.55), (0.24, 0.44, 1.2), (0.16, 0.52, 1.0), (0.14, 0.64, 1.2), (0.30, 0.40, 1.1)]
)
def test_known_intervals_are_measured_at_any_rate(fs_hz, pr_s, qt_s, rr_s):
    measured = read_recording(made_up(fs_hz=fs_hz, pr_s=pr_s, qt_s=qt_s, rr_s=rr_s), age_y=None, sex=None).measurements
    assert measured.rr_ms == pytest.approx(rr_s * 1000, abs=2)
    assert measured.pr_ms == pytest.approx(pr_s * 1000, abs=15)
    assert measured.p_ms == pytest.approx(100, abs=20)
    assert measured.qt_ms == pytest.approx(qt_s * 1000, abs=20)
    assert measured.p_confidence > 0.7
    assert measured.qt_confidence > 0.7


def test_where_there_is_no_p_wave_none_is_measured():
    measured = read_recording(made_up(p_mv=0.0), age_y=None, sex=None).measurements
    assert (measured.p_ms, measured.pr_ms, measured.p_confidence) == (None, None, None)
    assert measured.qt_ms is not None


def test_a_trembling_atrium_has_no_p_wave():
    recording = made_up(p_mv=0.0)
    flutter = 0.05 * SCALES * np.sin(2 * np.pi * 6.37 * np.arange(5000) / 500)
    assert found(changed(recording, recording.samples_mv + flutter)).p is None


def test_where_there_is_no_t_wave_no_end_of_it_is_measured():
    measured = read_recording(made_up(t_mv=0.0), age_y=None, sex=None).measurements
    assert (measured.qt_ms, measured.qtcb_ms, measured.qtcf_ms, measured.qt_confidence) == (None, None, None, None)
    assert {lead.t_mv for lead in measured.leads} == {None}


def test_a_t_wave_that_points_down_ends_where_it_would_upright():
    up, down = found(made_up(t_mv=0.35)).t, found(made_up(t_mv=-0.35)).t
    assert up is not None
    assert down is not None
    assert abs(up.end - down.end) <= 3


def test_bounds_do_not_care_for_scale_or_offset():
    recording = made_up()
    one = found(recording)
    assert one.p is not None
    assert one.t is not None
    for other in (found(changed(recording, recording.samples_mv * 2)), found(changed(recording, recording.samples_mv + 3))):
        assert other.p is not None
        assert other.t is not None
        np.testing.assert_allclose((other.p.onset, other.p.end, other.t.end), (one.p.onset, one.p.end, one.t.end), atol=1)


def test_a_lead_with_gaps_takes_no_part():
    recording = made_up()
    samples = recording.samples_mv.copy()
    samples[8] = np.where(np.arange(5000) % 450 > 245, np.nan, 3 * samples[8])
    whole, gaps = (read_recording(each, age_y=None, sex=None).measurements for each in (recording, changed(recording, samples)))
    assert (gaps.p_ms, gaps.pr_ms, gaps.qt_ms) == pytest.approx((whole.p_ms, whole.pr_ms, whole.qt_ms), abs=6)


def test_noise_lowers_the_confidence():
    quiet, noisy = found(made_up()), found(made_up(noise_mv=0.06))
    assert quiet.t is not None
    assert noisy.t is not None
    assert 0 <= noisy.t.confidence < quiet.t.confidence <= 1


def test_the_held_half_of_the_marked_records_lies_within_bounds(recordings: Path):
    records = judged(recordings / "ludb")
    held = {figure.bound: figure for figure in bound_figures(records) if figure.half == "held"}
    assert held["QRS onset"].records >= 48  # of 50
    for bound, mean_ms, sd_ms in (("QRS onset", 5, 10), ("J", 4, 8), ("T end", 12, 25), ("P onset", 10, 15), ("P end", 15, 15)):
        assert abs(held[bound].mean_ms) < mean_ms, held[bound]
        assert held[bound].sd_ms < sd_ms, held[bound]
    counts = {figure.what: figure for figure in count_figures(records) if figure.half == "held"}
    assert counts["R peaks"].sensitivity >= 0.99
    assert counts["R peaks"].ppv >= 0.99
    assert counts["records with P"].sensitivity >= 0.9
    assert counts["records with P"].ppv >= 0.9
