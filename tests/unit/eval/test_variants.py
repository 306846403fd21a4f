"""Variants and truths of real recordings: made the same each time, and what they claim to be."""

from dataclasses import replace

import numpy as np
import pytest

from contracts.vocabulary import Priority
from services.triage.reading import read_recording
from services.triage.recording import other_limb_leads
from tests.eval.false_reds import plan_of_variants
from tests.eval.figures import Share
from tests.eval.injection import landmarks, with_st
from tests.eval.listed import HELD, NORMAL, normals, read_file
from tests.eval.neurokit import verdict
from tests.eval.sensitivity import OFFSETS_MV, plan
from tests.eval.truths import ArmsSwapped, AsFiled, arms_swapped, comes_out
from tests.eval.variants import RATES_HZ, Variant, change_of, changed
from tests.eval.verdicts import plot, read_made

NORMAL_FILE = "ludb/56.hea"
pytestmark = pytest.mark.usefixtures("recordings")


def test_a_variant_is_the_same_each_time_and_another_number_is_another():
    one, again, other = (Variant(NORMAL_FILE, number).recording() for number in (3, 3, 4))
    np.testing.assert_array_equal(one.samples_mv, again.samples_mv)
    assert one.samples_mv.shape != other.samples_mv.shape or not np.array_equal(one.samples_mv, other.samples_mv)


def test_variants_differ_in_window_noise_drift_gain_and_rate_and_stay_within_what_is_said():
    recording = read_file(NORMAL_FILE)
    changes = [change_of(Variant(NORMAL_FILE, number), recording) for number in range(60)]
    assert {change.rate_hz for change in changes} == set(RATES_HZ)
    assert {change.noise_kind for change in changes} == {"white", "muscle"}
    assert all(0.95 <= gain <= 1.05 for change in changes for gain in change.gains)
    assert all(0 <= change.from_s <= recording.seconds - change.length_s for change in changes)
    assert len({change.from_s for change in changes}) == 60
    assert 0 < sum(change.drift_mv > 0 for change in changes) < 60


def test_a_variant_at_another_rate_shows_the_same_heart():
    recording = read_file(NORMAL_FILE)
    plain = replace(change_of(Variant(NORMAL_FILE, 0), recording), from_s=0, length_s=10, noise_mv=0, hum_mv=0, drift_mv=0, gains=(1.0,) * 12)
    before = read_recording(recording, age_y=None, sex=None).measurements
    for rate_hz in RATES_HZ:
        varied = changed(recording, replace(plain, rate_hz=rate_hz), np.random.default_rng(0))
        after = read_recording(varied, age_y=None, sex=None).measurements
        assert (varied.fs_hz, varied.seconds) == (rate_hz, pytest.approx(10, abs=0.01))
        assert after.heart_rate_bpm == pytest.approx(before.heart_rate_bpm, rel=0.01)
        assert [each.st_j_mv for each in after.leads] == pytest.approx([each.st_j_mv for each in before.leads], abs=0.03)


def test_another_rate_makes_no_steps_at_the_ends_of_a_lead_that_stands_high():
    recording = read_file(NORMAL_FILE)
    high = replace(recording, samples_mv=recording.samples_mv + np.float32(2))
    plain = replace(change_of(Variant(NORMAL_FILE, 0), high), from_s=0, length_s=10, noise_mv=0, hum_mv=0, drift_mv=0, gains=(1.0,) * 12)
    varied = changed(high, replace(plain, rate_hz=1000), np.random.default_rng(0))
    chest = varied.samples_mv[varied.leads.index("V1")]
    assert chest[:20] == pytest.approx(np.full(20, chest[40]), abs=0.1)
    assert chest.mean() == pytest.approx(high.samples_mv[high.leads.index("V1")].mean(), abs=0.01)


def test_the_limb_leads_of_a_variant_are_still_those_of_one_body():
    recording = Variant(NORMAL_FILE, 1).recording()
    by_lead = dict(zip(recording.leads, recording.samples_mv, strict=True))
    for lead, made in other_limb_leads(by_lead["I"], by_lead["II"]).items():
        np.testing.assert_allclose(by_lead[lead], made, atol=1e-4)


def test_a_whole_evaluation_has_two_thousand_variants_of_held_normals_and_of_no_other_recording():
    bundles = plan_of_variants(normals(HELD), quick=False)
    variants = [variant for bundle in bundles for variant, _ in bundle]
    assert len(set(variants)) == len(variants) >= 2000
    assert {each.half for each in normals(HELD)} == {HELD}
    assert {each.group for each in normals(HELD)} == {NORMAL}
    assert {variant.file for variant in variants} == {each.file for each in normals(HELD)}


def test_every_territory_and_place_about_the_threshold_meets_every_rate_and_noise():
    cases = [case for bundle in plan(normals(HELD), quick=False) for case in bundle]
    for territory in {case.territory for case in cases}:
        mine = [case for case in cases if case.territory == territory and case.offset_mv == OFFSETS_MV[0]]
        assert len({(case.bpm, case.noise_mv, case.noise_kind, case.shape) for case in mine}) == 4 * 3 * 2 * 3
    assert {case.offset_mv for case in cases} == set(OFFSETS_MV)


def test_exchanged_arms_are_told_from_the_recording_as_it_is():
    swapped, as_it_is = (read_made(made)[0] for made in (ArmsSwapped(NORMAL_FILE), AsFiled(NORMAL_FILE)))
    assert comes_out(swapped, "reversed and not red")
    assert not comes_out(as_it_is, "reversed and not red")
    assert comes_out(as_it_is, "not red")
    twice = arms_swapped(arms_swapped(read_file(NORMAL_FILE)))
    np.testing.assert_array_equal(twice.samples_mv, read_file(NORMAL_FILE).samples_mv)


def test_a_red_of_another_wall_is_not_the_red_that_was_wanted():
    reading, _ = read_made(AsFiled("vendor/philips-1.03/129DYPRG.XML"))
    assert comes_out(reading, "red inferior")
    assert not comes_out(reading, "red anterior")
    assert not comes_out(reading, "not evaluable")


def test_a_mistake_is_drawn_and_what_cannot_be_decoded_is_not():
    picture = plot(Variant(NORMAL_FILE, 2))
    assert picture is not None
    assert picture.startswith("<svg")
    assert plot(AsFiled("vendor/bad/empty.xml")) is None


def test_the_pipeline_beside_ours_sees_a_great_infarction_and_none_in_a_normal():
    recording = read_file(NORMAL_FILE)
    marks = landmarks(recording)
    assert marks is not None
    raised = with_st(recording, marks, {"V2": 0.8, "V3": 0.8, "V4": 0.8}, "plateau")
    assert verdict(recording).priority is Priority.GREEN
    assert verdict(raised).red


def test_shares_of_one_are_told_as_all():
    assert str(Share(3, 3)).startswith("3/3 = 100.0 %")
