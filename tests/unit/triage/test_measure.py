"""Amplitudes, axis, QTc and the confidence of ST, on beats whose truth is known."""

import numpy as np
import pytest

from services.triage.beats import MedianBeat
from services.triage.delineate import TWave, Waves
from services.triage.measure import frontal_axis_deg, intervals, lead_waves, st_confidence
from services.triage.reading import read_recording
from services.triage.recording import STANDARD, Recording
from services.triage.st import QrsBounds
from tests.unit.triage.test_delineate import SCALES, changed, hump, made_up

FS_HZ = 500.0
BOUNDS = QrsBounds(onset=150, j=200)
SECONDS = (np.arange(500) - BOUNDS.onset) / FS_HZ


def one_lead(*, q_mv: float, r_mv: float, s_mv: float, t_mv: float = 0.0) -> np.ndarray:
    """A lead whose waves have the given height, 1.5 mV above zero as an amplifier may leave it."""
    qrs = q_mv * hump(SECONDS, 0.0, 0.03) + r_mv * hump(SECONDS, 0.03, 0.07) + s_mv * hump(SECONDS, 0.07, 0.1)
    return 1.5 + qrs + t_mv * hump(SECONDS, 0.2, 0.4)


def beat_of(beats_mv: np.ndarray, *, rr_s: float = 0.81) -> MedianBeat:
    count = len(beats_mv)
    at = np.arange(count) * 400 + 200
    intervals_s = np.full(count - 1, rr_s)
    return MedianBeat(np.median(beats_mv, axis=0), 175, FS_HZ, at, count, intervals_s, at, intervals_s, beats_mv)


@pytest.mark.parametrize(
    ("q_mv", "r_mv", "s_mv", "t_mv"),
    [(-0.1, 1.0, -0.3, 0.3), (0.0, 0.2, -1.2, -0.2), (-0.4, 0.6, 0.0, 0.1), (0.0, 0.9, 0.0, -0.4)],
)
def test_each_wave_of_a_lead_has_its_height(q_mv, r_mv, s_mv, t_mv):
    lead = one_lead(q_mv=q_mv, r_mv=r_mv, s_mv=s_mv, t_mv=t_mv)[None]
    measured = lead_waves(lead, BOUNDS, t_end=350, fs_hz=FS_HZ)
    np.testing.assert_allclose(np.concatenate([measured.q_mv, measured.r_mv, measured.s_mv, measured.t_mv]), (q_mv, r_mv, s_mv, t_mv), atol=0.02)


def test_a_qs_complex_has_no_r_and_its_depth_is_q_and_s():
    measured = lead_waves(one_lead(q_mv=-0.2, r_mv=-0.9, s_mv=-0.3)[None], BOUNDS, t_end=None, fs_hz=FS_HZ)
    assert measured.r_mv == 0
    assert measured.q_mv == measured.s_mv == pytest.approx(-0.9, abs=0.01)


def test_the_second_r_of_a_bundle_branch_block_is_no_reason_to_call_its_s_a_q():
    measured = lead_waves(one_lead(q_mv=0.2, r_mv=-0.6, s_mv=0.9)[None], BOUNDS, t_end=None, fs_hz=FS_HZ)
    assert measured.q_mv == 0
    assert measured.r_mv == pytest.approx(0.9, abs=0.01)
    assert measured.s_mv == pytest.approx(-0.6, abs=0.01)


def test_a_lead_with_a_gap_in_a_wave_has_no_height_there():
    leads = np.stack([one_lead(q_mv=-0.1, r_mv=1.0, s_mv=-0.3, t_mv=0.3)] * 3)
    leads[1, 170] = np.nan
    leads[2, 300] = np.nan
    measured = lead_waves(leads, BOUNDS, t_end=350, fs_hz=FS_HZ)
    np.testing.assert_array_equal(np.isnan(measured.r_mv), (False, True, False))
    np.testing.assert_array_equal(np.isnan(measured.q_mv), (False, True, False))
    np.testing.assert_array_equal(np.isnan(measured.t_mv), (False, False, True))


@pytest.mark.parametrize("angle_deg", [-150, -60, -30, 0, 45, 60, 90, 120, 179])
def test_the_axis_is_the_direction_of_the_heart_in_the_frontal_plane(angle_deg):
    beat = one_lead(q_mv=-0.1, r_mv=1.0, s_mv=-0.3)
    leads = np.stack([np.cos(np.radians(angle_deg - toward)) * beat for toward in (0, 60, 120)])
    assert frontal_axis_deg(("I", "II", "III"), leads, BOUNDS, fs_hz=FS_HZ) == pytest.approx(angle_deg, abs=1)


def test_without_i_or_ii_or_without_a_direction_there_is_no_axis():
    leads = np.stack([one_lead(q_mv=-0.1, r_mv=1.0, s_mv=-0.3)] * 2)
    assert frontal_axis_deg(("I", "III"), leads, BOUNDS, fs_hz=FS_HZ) is None
    assert frontal_axis_deg(("I", "II"), np.zeros((2, 500)), BOUNDS, fs_hz=FS_HZ) is None
    leads[1, 170] = np.nan
    assert frontal_axis_deg(("I", "II"), leads, BOUNDS, fs_hz=FS_HZ) is None


def test_qt_is_corrected_by_bazett_and_fridericia():
    beat = beat_of(np.zeros((5, 1, 500)), rr_s=0.729)
    measured = intervals(beat, BOUNDS, Waves(p=None, t=TWave(end=330, confidence=1.0)))
    assert measured.qt_ms == pytest.approx(360)
    assert measured.qtcb_ms == pytest.approx(360 / 0.729**0.5)
    assert measured.qtcf_ms == pytest.approx(400)


def test_the_interval_to_an_ectopic_beat_is_not_what_qt_is_corrected_by():
    recording = made_up(rr_s=0.9)
    samples = recording.samples_mv.copy()
    wide = -2 * SCALES * hump(np.arange(60) / 500, 0.0, 0.12)
    for beat in (2, 4, 6, 8):
        samples[:, 450 * beat + 350 : 450 * beat + 410] += wide  # between T and P
    measured = read_recording(changed(recording, samples), age_y=None, sex=None).measurements
    assert measured.rr_ms == pytest.approx(900, abs=4)
    assert measured.heart_rate_bpm > 80


def test_st_is_measured_on_its_way_from_j():
    recording = made_up(t_mv=0.0)
    seconds = np.arange(5000) / 500 % 0.9 - 0.21
    slope = np.clip((seconds - 0.09) / 0.08, 0, 1) * (seconds < 0.3)
    measured = read_recording(changed(recording, recording.samples_mv + 0.2 * slope), age_y=None, sex=None).measurements
    st_mv = np.array([[lead.st_j_mv, lead.st_j20_mv, lead.st_j40_mv, lead.st_j60_mv, lead.st_j80_mv] for lead in measured.leads])
    np.testing.assert_allclose(np.diff(st_mv, axis=1)[:, :3], 0.05, atol=0.02)


def test_the_confidence_of_st_is_the_chance_that_it_is_close():
    chance = np.random.default_rng(3)
    trials = [chance.normal(0.0, 0.06, (9, 1, 1)) * (np.arange(500) >= BOUNDS.j) for _ in range(400)]
    close = np.mean([abs(float(np.median(beats[:, 0, -1]))) < 0.03 for beats in trials])
    told = np.mean([st_confidence(beat_of(beats), BOUNDS)[0] for beats in trials])
    assert told == pytest.approx(close, abs=0.06)


def test_a_lead_whose_st_jumps_from_beat_to_beat_is_told_apart():
    recording = made_up()
    samples = recording.samples_mv.copy()
    seconds = np.arange(5000) / 500
    samples[7] += np.where((seconds % 0.9 - 0.21 > 0.09) & (seconds // 0.9 % 2 == 0), 0.4, 0.0) * (seconds % 0.9 < 0.6)
    by_lead = {lead.lead: lead for lead in read_recording(changed(recording, samples), age_y=None, sex=None).measurements.leads}
    assert by_lead["V2"].st_confidence < 0.5
    assert by_lead["V3"].st_confidence > 0.95


def test_every_measure_goes_with_the_scale_and_no_interval_does():
    recording = made_up()
    one, double = (read_recording(each, age_y=None, sex=None).measurements for each in (recording, changed(recording, recording.samples_mv * 2)))
    assert (double.pr_ms, double.qt_ms, double.qrs_ms) == (one.pr_ms, one.qt_ms, one.qrs_ms)
    assert double.axis_deg == one.axis_deg
    for name in ("q_mv", "r_mv", "s_mv", "t_mv", "st_j_mv", "st_j60_mv"):
        of_one, of_double = (np.array([getattr(lead, name) for lead in each.leads]) for each in (one, double))
        np.testing.assert_allclose(of_double, 2 * of_one, atol=0.03)


def test_beats_too_near_the_ends_for_all_of_p_and_t_still_have_an_st():
    recording = made_up()
    short = Recording(STANDARD, recording.samples_mv[:, :1300], FS_HZ, None, None, (), "made up")
    measured = read_recording(short, age_y=None, sex=None).measurements
    assert measured.beats == 2
    np.testing.assert_allclose([lead.st_j80_mv for lead in measured.leads], np.zeros(12), atol=0.03)


def test_what_rises_from_a_qs_complex_to_an_elevated_st_is_no_r():
    lead = one_lead(q_mv=0.0, r_mv=-1.2, s_mv=0.0) + 0.3 * np.clip((SECONDS - 0.06) / 0.02, 0, 1)
    measured = lead_waves(lead[None], BOUNDS, t_end=None, fs_hz=FS_HZ)
    assert measured.r_mv == 0
    assert measured.s_mv == measured.q_mv == measured.nadir_mv == pytest.approx(-1.2, abs=0.05)


def test_a_small_r_before_a_deep_s_stays_one_though_st_rises_higher():
    lead = one_lead(q_mv=0.1, r_mv=-1.2, s_mv=0.0) + 0.3 * np.clip((SECONDS - 0.06) / 0.02, 0, 1)
    measured = lead_waves(lead[None], BOUNDS, t_end=None, fs_hz=FS_HZ)
    assert measured.r_mv == pytest.approx(0.1, abs=0.02)
    assert measured.q_mv == 0
    assert measured.s_mv == pytest.approx(-1.2, abs=0.05)


def test_a_pacing_spike_is_no_wave_of_the_qrs_and_a_steep_r_is_not_cut():
    paced = one_lead(q_mv=0.0, r_mv=0.0, s_mv=-0.8)
    paced[BOUNDS.onset + 5 : BOUNDS.onset + 7] += 4.0
    steep = one_lead(q_mv=-0.1, r_mv=3.0, s_mv=-0.5)
    measured = lead_waves(np.stack([paced, steep]), BOUNDS, t_end=None, fs_hz=FS_HZ)
    np.testing.assert_allclose(measured.r_mv, (0.0, 3.0), atol=0.03)
    np.testing.assert_allclose(measured.nadir_mv, (-0.8, -0.5), atol=0.03)
