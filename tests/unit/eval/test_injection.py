"""A shift of known size, put into a real recording: it arrives in the lead that it was put into, and the limb leads stay those of one body."""

from pathlib import Path

import numpy as np
import pytest

from contracts.vocabulary import Sex
from services.triage.reading import read_recording
from services.triage.recording import KNOWN_LEADS, Recording, other_limb_leads
from tests.conftest import RECORDINGS
from tests.eval.criteria import elevated_neighbours, threshold_mv
from tests.eval.injection import SHAPES, TERRITORIES, Territory, at_rate, landmarks, shape_of, sizes_mv, with_extra_leads, with_noise, with_st
from tests.eval.listed import read_file

INFERIOR = next(each for each in TERRITORIES if each.name == "inferior")
of_every_territory = pytest.mark.parametrize("territory", TERRITORIES, ids=lambda each: each.name)
OFFSET_MV = 0.12


@pytest.fixture(scope="module")
def normal(recordings: Path) -> Recording:
    assert recordings == RECORDINGS
    return read_file("ludb/56.hea")


def st_mv(recording: Recording) -> dict[str, float]:
    return {each.lead: each.st_j_mv for each in read_recording(recording, age_y=None, sex=None).measurements.leads}


def wanted_mv(recording: Recording) -> dict[str, float]:
    return {lead: threshold_mv(lead, age_y=recording.age_y, sex=recording.sex) + OFFSET_MV for lead in KNOWN_LEADS}


def injected(recording: Recording, territory: Territory, shape) -> tuple[Recording, dict[str, float]]:
    marks = landmarks(recording)
    sizes = sizes_mv(territory, st_mv(recording), wanted_mv(recording))
    return with_st(recording, marks, sizes, shape), sizes


def apart_from_one_body(recording: Recording) -> float:
    by_lead = dict(zip(recording.leads, recording.samples_mv.astype(np.float64), strict=True))
    return max(float(np.abs(by_lead[lead] - made).max()) for lead, made in other_limb_leads(by_lead["I"], by_lead["II"]).items())


@of_every_territory
@pytest.mark.parametrize("shape", SHAPES)
def test_st_is_measured_where_it_was_put_against_the_threshold(normal, territory, shape):
    recording = with_extra_leads(normal, territory.made_leads)
    raised, _ = injected(recording, territory, shape)
    measured = st_mv(raised)
    for lead in territory.exact:
        assert measured[lead] == pytest.approx(wanted_mv(recording)[lead], abs=0.025), lead


@of_every_territory
def test_a_lead_that_nothing_is_put_into_keeps_its_st(normal, territory):
    recording = with_extra_leads(normal, territory.made_leads)
    raised, sizes = injected(recording, territory, "plateau")
    untouched = [row for row, lead in enumerate(recording.leads) if lead not in sizes]
    assert untouched
    np.testing.assert_array_equal(raised.samples_mv[untouched], recording.samples_mv[untouched])


@of_every_territory
def test_einthoven_and_goldberger_hold_after_a_shift_and_noise(normal, territory):
    recording = with_extra_leads(normal, territory.made_leads)
    raised, _ = injected(recording, territory, "upsloping")
    noisy = with_noise(raised, kind="muscle", sd_mv=0.04, chance=np.random.default_rng(1))
    before = apart_from_one_body(recording)  # the file is rounded to 1 uV a lead
    assert apart_from_one_body(raised) <= before + 1e-5
    assert apart_from_one_body(noisy) <= before + 1e-5
    assert not np.array_equal(noisy.samples_mv, raised.samples_mv)


def test_an_inferior_shift_is_answered_in_avl(normal):
    before, after = st_mv(normal), st_mv(injected(normal, INFERIOR, "plateau")[0])
    assert after["aVL"] < before["aVL"] - 0.05
    assert after["aVL"] == pytest.approx(after["I"] - after["II"] / 2, abs=0.02)  # a median of each lead by itself


def test_a_share_never_lifts_a_neighbour_past_where_the_exact_leads_stand():
    territory = Territory("made up", ("V2", "V3"), {"V1": 0.9, "V4": -0.5})
    own = {"V1": 0.08, "V2": -0.2, "V3": -0.2, "V4": 0.0}
    sizes = sizes_mv(territory, own, dict.fromkeys(own, 0.1))
    assert sizes == pytest.approx({"V2": 0.3, "V3": 0.3, "V1": 0.02, "V4": -0.15})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fs_hz", [250.0, 500.0, 1000.0])
def test_a_shape_is_one_at_j_begins_and_ends_at_nothing_and_has_no_steps(shape, fs_hz):
    before, course = shape_of(shape, jt_s=0.3, fs_hz=fs_hz)
    assert course[before] == pytest.approx(1)
    assert (course[0], course[-1]) == pytest.approx((0, 0), abs=0.02)
    assert np.abs(np.diff(course)).max() < 0.1 * 1000 / fs_hz
    at_60_ms = course[before + round(0.06 * fs_hz)]
    assert {"plateau": at_60_ms == pytest.approx(1), "upsloping": at_60_ms > 1.2, "downsloping": at_60_ms < 0.85}[shape]


@pytest.mark.parametrize("bpm", [50.0, 75.0, 110.0])
def test_the_same_beats_at_another_rate_keep_their_qrs_and_st(normal, bpm):
    changed = at_rate(normal, landmarks(normal), bpm)
    before, after = (read_recording(each, age_y=None, sex=None).measurements for each in (normal, changed))
    assert after.heart_rate_bpm == pytest.approx(bpm, rel=0.03)
    assert after.qrs_ms == pytest.approx(before.qrs_ms, abs=8)
    assert {each.lead: each.st_j_mv for each in after.leads} == pytest.approx({each.lead: each.st_j_mv for each in before.leads}, abs=0.03)
    assert after.qt_ms == pytest.approx(before.qt_ms * np.sqrt(after.rr_ms / before.rr_ms), abs=25)
    assert changed.seconds == 10


@pytest.mark.parametrize("kind", ["white", "muscle"])
def test_noise_has_the_size_that_is_asked_for(normal, kind):
    noisy = with_noise(normal, kind=kind, sd_mv=0.04, chance=np.random.default_rng(3))
    change = noisy.samples_mv.astype(np.float64) - normal.samples_mv
    of_chest = change[[normal.leads.index(lead) for lead in ("I", "II", "V1", "V6")]]
    assert of_chest.std(axis=1) == pytest.approx(np.full(4, 0.04), rel=0.05)


@pytest.mark.parametrize(
    ("lead", "age_y", "sex", "mv"),
    [
        ("V2", 60, Sex.MALE, 0.20),
        ("V3", 39, Sex.MALE, 0.25),
        ("V3", 40, Sex.MALE, 0.20),
        ("V2", None, Sex.MALE, 0.20),
        ("V2", 60, Sex.FEMALE, 0.15),
        ("V2", 60, None, 0.15),
        ("V4", 30, Sex.MALE, 0.10),
        ("V8", 39, Sex.MALE, 0.10),
        ("V8", 40, Sex.MALE, 0.05),
        ("V4R", 29, Sex.MALE, 0.10),
        ("V4R", 30, Sex.MALE, 0.05),
        ("V4R", 20, Sex.FEMALE, 0.05),
    ],
)
def test_the_second_writing_of_the_thresholds_is_the_guidelines(lead, age_y, sex, mv):
    assert threshold_mv(lead, age_y=age_y, sex=sex) == mv


def test_only_neighbours_count_together():
    assert elevated_neighbours({"II": 0.1, "III": 0.1, "aVF": 0.09}, age_y=None, sex=None) == ()
    assert elevated_neighbours({"II": 0.1, "III": 0.1, "aVF": 0.1}, age_y=None, sex=None) == ("II", "aVF", "III")
    assert elevated_neighbours({"aVL": 0.1, "V1": 0.1, "V2": 0.14}, age_y=None, sex=None) == ()
