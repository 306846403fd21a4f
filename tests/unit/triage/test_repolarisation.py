"""The shape of T, the end of the QRS and the PR segment, on beats whose truth is known; on real recordings in test_ischaemia.py."""

import numpy as np
import pytest

from services.triage.delineate import PWave, TWave, Waves
from services.triage.measure import lead_waves
from services.triage.repolarisation import TShape, pr_segment, t_shape, terminal_distortion
from tests.unit.triage.test_delineate import hump
from tests.unit.triage.test_measure import BOUNDS, FS_HZ, SECONDS, beat_of, one_lead

AFTER_J_S = SECONDS - (BOUNDS.j - BOUNDS.onset) / FS_HZ
T = Waves(p=None, t=TWave(end=380, confidence=1.0))
P_AND_T = Waves(p=PWave(onset=90, end=130, confidence=1.0), t=TWave(end=380, confidence=1.0))


def shape_of(*leads: np.ndarray, waves: Waves = T, rr_s: float = 0.9) -> TShape:
    return t_shape(beat_of(np.stack([np.stack(leads)] * 3), rr_s=rr_s), BOUNDS, waves)


def lopsided(top_s: float) -> np.ndarray:
    """A triangle of 1 mV from 80 to 280 ms after J."""
    return np.interp(AFTER_J_S, (0.08, top_s, 0.28), (0.0, 1.0, 0.0))


def test_the_height_area_and_width_of_a_t_wave_are_measured_whichever_way_it_points():
    found = shape_of(0.5 + 0.8 * lopsided(0.18), -0.2 - 0.8 * lopsided(0.18))
    np.testing.assert_allclose(found.up_mv, (0.8, 0.0), atol=0.01)
    np.testing.assert_allclose(found.down_mv, (0.0, -0.8), atol=0.01)
    np.testing.assert_allclose(found.area_mv_ms, (80.0, 0.0), atol=0.5)
    np.testing.assert_allclose(found.half_ms, (100.0, 100.0), atol=3)
    np.testing.assert_allclose(found.biphasic_mv, (0.0, 0.0), atol=0.001)


@pytest.mark.parametrize(("top_s", "symmetry"), [(0.13, 1 / 3), (0.18, 1.0), (0.23, 3.0)])
def test_symmetry_tells_how_much_slower_t_rises_than_it_falls(top_s, symmetry):
    assert shape_of(lopsided(top_s)).symmetry[0] == pytest.approx(symmetry, rel=0.12)


def test_a_t_that_goes_up_and_then_down_is_biphasic_by_its_smaller_part_and_one_that_goes_down_first_is_not():
    up_down = 0.3 * hump(AFTER_J_S, 0.07, 0.17) - 0.2 * hump(AFTER_J_S, 0.17, 0.28)
    down_up = -0.3 * hump(AFTER_J_S, 0.07, 0.17) + 0.2 * hump(AFTER_J_S, 0.17, 0.28)
    np.testing.assert_allclose(shape_of(up_down, down_up).biphasic_mv, (-0.2, 0.0), atol=0.01)


def test_a_gap_in_t_is_not_measured_and_without_room_before_the_next_beat_nothing_is():
    gap = lopsided(0.18).copy()
    gap[300] = np.nan
    np.testing.assert_array_equal(np.isnan(shape_of(gap, lopsided(0.18)).up_mv), (True, False))
    fast = shape_of(lopsided(0.18), waves=Waves(p=None, t=None), rr_s=0.3)
    assert np.isnan([fast.up_mv, fast.down_mv, fast.area_mv_ms, fast.half_ms, fast.symmetry, fast.biphasic_mv]).all()


def test_the_qrs_is_distorted_where_neither_an_s_nor_a_notch_follows_r():
    raised = 0.15 * np.clip((SECONDS - 0.06) / 0.01, 0, 1)
    plain = one_lead(q_mv=0.0, r_mv=1.0, s_mv=0.0) + raised
    with_s = one_lead(q_mv=0.0, r_mv=1.0, s_mv=-0.4) + raised
    notched = plain + 0.1 * hump(SECONDS, 0.078, 0.098)
    leads = np.stack([plain, with_s, notched, np.zeros(SECONDS.size)])
    waves = lead_waves(leads, BOUNDS, t_end=None, fs_hz=FS_HZ)
    np.testing.assert_array_equal(terminal_distortion(leads, BOUNDS, waves, fs_hz=FS_HZ), (True, False, False, False))


def test_the_pr_segment_is_measured_against_the_level_before_p():
    p_wave = 0.15 * hump(np.arange(500.0), 90, 130)
    down = -0.1 * ((np.arange(500) >= 128) & (np.arange(500) < 160))
    beat = beat_of(np.stack([np.stack([p_wave + down + 0.4, p_wave - 0.3])] * 3), rr_s=0.9)
    np.testing.assert_allclose(pr_segment(beat, BOUNDS, P_AND_T), (-0.1, 0.0), atol=0.01)


def test_without_p_or_where_t_runs_into_p_the_pr_segment_has_no_level_to_be_measured_against():
    beat = beat_of(np.zeros((3, 1, 500)), rr_s=0.9)
    assert np.isnan(pr_segment(beat, BOUNDS, T)).all()
    fast = beat_of(np.zeros((3, 1, 500)), rr_s=0.6)
    assert np.isnan(pr_segment(fast, BOUNDS, P_AND_T)).all()
    assert np.isfinite(pr_segment(beat, BOUNDS, P_AND_T)).all()
