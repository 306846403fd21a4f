"""The verdict on real recordings whose truth is known, and on recordings with leads taken away."""

from dataclasses import replace

import numpy as np
import pytest

from contracts.assessments import Reading
from contracts.vocabulary import Priority
from services.triage.decode import decode
from services.triage.reading import read, read_recording
from services.triage.recording import CHEST, INDEPENDENT, STANDARD, Recording


def verdict(uploaded, path) -> Reading:
    return read(uploaded(path), age_y=None, sex=None)[0]


def test_the_anterior_infarction_is_red_with_its_leads_and_millivolts(uploaded):
    reading = verdict(uploaded, "vendor/philips-1.03/129DYNRG.XML")
    assert reading.priority is Priority.RED
    (finding,) = reading.findings
    v3 = next(value for value in finding.values if value.lead == "V3")
    assert {"V2", "V3", "V4"} <= set(finding.leads) <= set(CHEST)
    assert v3.measured == pytest.approx(0.58, abs=0.08)
    assert (v3.threshold, v3.why) == (0.20, "V2-V3, man of 40 or older")


def test_the_inferior_infarction_is_red(uploaded):
    reading = verdict(uploaded, "vendor/philips-1.03/129DYPRG.XML")
    assert reading.priority is Priority.RED
    (finding,) = reading.findings
    assert finding.leads == ("II", "aVF", "III")
    assert max(value.measured for value in finding.values) == pytest.approx(0.27, abs=0.06)


def test_a_two_minute_anterior_infarction_is_red(uploaded):
    reading = verdict(uploaded, "challenge/S0008.hea")
    assert reading.priority is Priority.RED
    assert {"V1", "V2"} <= set(reading.findings[0].leads)


def test_a_recording_without_leads_is_not_evaluable_and_says_which(uploaded):
    reading = verdict(uploaded, "vendor/philips-1.03/129ECORG.XML")
    assert reading.priority is Priority.NOT_EVALUABLE
    named = {lead for problem in reading.quality.problems for lead in problem.leads}
    assert set(INDEPENDENT) <= named
    assert all(problem.text for problem in reading.quality.problems)


@pytest.mark.parametrize(
    "path",
    [
        "vendor/philips-1.04/3191723_ZZDEMOPTONLY_1-04_orig.xml",
        "vendor/muse/guangxi_teaching_sinus_rhythm.xml",
        "vendor/dicom/guangxi_teaching_sinus_rhythm.dcm",
    ],
)
def test_a_mimic_is_not_red(uploaded, path):
    assert verdict(uploaded, path).priority in (Priority.GREEN, Priority.YELLOW)


def test_one_recording_is_judged_alike_in_every_format(uploaded):
    for names in (
        [f"vendor/one-recording/Example.{ending}" for ending in ("scp", "dcm", "xml")],
        ["vendor/muse/guangxi_teaching_sinus_rhythm.xml", "vendor/dicom/guangxi_teaching_sinus_rhythm.dcm"],
    ):
        first, *others = (verdict(uploaded, name) for name in names)
        for other in others:
            assert other.priority is first.priority
            assert other.findings == first.findings
            assert (other.measurements.qrs_ms, other.measurements.heart_rate_bpm) == (first.measurements.qrs_ms, first.measurements.heart_rate_bpm)
            for one, two in zip(first.measurements.leads, other.measurements.leads, strict=True):
                assert (one.lead, one.st_j_mv) == (two.lead, pytest.approx(two.st_j_mv, abs=0.003))  # one file rounds its augmented leads


def test_no_normal_recording_is_red_and_few_are_anything_but_green(uploaded, manifest):
    normal = [row["file"] for row in manifest if row["category"] == "NORMAL"]
    found = {path: verdict(uploaded, path).priority for path in normal}
    red = [path for path, priority in found.items() if priority is Priority.RED]
    other = [path for path, priority in found.items() if priority not in (Priority.RED, Priority.GREEN)]
    print(f"{len(normal)} normal recordings: {len(red)} red, {len(other)} yellow or not evaluable")
    assert len(normal) > 200
    assert red == []
    assert len(other) <= 12


def without(recording: Recording, *leads: str) -> Recording:
    rows = [row for row, lead in enumerate(recording.leads) if lead not in leads]
    kept = tuple(recording.leads[row] for row in rows)
    return Recording(kept, recording.samples_mv[rows], recording.fs_hz, recording.age_y, recording.sex, (), recording.format)


@pytest.mark.parametrize("lead", INDEPENDENT)
def test_a_quiet_recording_with_a_lead_away_is_not_called_green(uploaded, lead):
    recording = decode(uploaded("ludb/56.hea"))
    assert read_recording(recording, age_y=None, sex=None).priority is Priority.GREEN
    reading = read_recording(without(recording, lead), age_y=None, sex=None)
    assert reading.priority is Priority.NOT_EVALUABLE
    assert any(problem.code == "leads_missing" and lead in problem.leads for problem in reading.quality.problems)


def with_a_flat(recording: Recording, lead: str) -> Recording:
    samples = recording.samples_mv.copy()
    samples[recording.leads.index(lead)] = 0
    return replace(recording, samples_mv=samples)


def test_a_flat_lead_is_named_and_not_judged(uploaded):
    reading = read_recording(with_a_flat(decode(uploaded("ludb/56.hea")), "V2"), age_y=None, sex=None)
    assert reading.priority is Priority.NOT_EVALUABLE
    assert [problem.leads for problem in reading.quality.problems if problem.code == "flat"] == [("V2",)]
    assert "V2" not in {lead.lead for lead in reading.measurements.leads}


@pytest.mark.parametrize("lead", ["III", "aVR", "aVL", "aVF"])
def test_a_flat_limb_lead_is_named_and_judged_all_the_same_as_i_and_ii_tell_it(uploaded, lead):
    recording = decode(uploaded("ludb/56.hea"))
    whole, reading = (read_recording(each, age_y=None, sex=None) for each in (recording, with_a_flat(recording, lead)))
    assert [problem.leads for problem in reading.quality.problems if problem.code == "flat"] == [(lead,)]
    assert (reading.priority, reading.not_judged) == (Priority.GREEN, ())
    assert [each.st_j_mv for each in reading.measurements.leads] == pytest.approx([each.st_j_mv for each in whole.measurements.leads], abs=0.003)


@pytest.mark.parametrize("lead", ["III", "aVF"])
def test_an_inferior_infarction_is_red_though_an_inferior_lead_is_flat(uploaded, lead):
    reading = read_recording(with_a_flat(decode(uploaded("vendor/philips-1.03/129DYPRG.XML")), lead), age_y=None, sex=None)
    assert reading.priority is Priority.RED
    assert reading.findings[0].leads == ("II", "aVF", "III")


def test_where_a_rule_that_finds_infarctions_could_not_be_judged_nothing_is_green(uploaded):
    reading = read_recording(without(decode(uploaded("ludb/56.hea")), "aVF"), age_y=None, sex=None)
    assert "stemi" in {each.rule for each in reading.not_judged}
    assert reading.priority is Priority.NOT_EVALUABLE


@pytest.mark.parametrize("lead", CHEST)
def test_a_chest_lead_that_trembles_and_shows_no_heart_is_no_quiet_lead(uploaded, lead):
    recording = decode(uploaded("ludb/56.hea"))
    reading = read_recording(trembling_alone(recording, lead), age_y=None, sex=None)
    assert reading.priority is Priority.NOT_EVALUABLE
    assert [problem.leads for problem in reading.quality.problems if problem.code == "silent"] == [(lead,)]


@pytest.mark.parametrize("lead", ["aVR", "aVL", "aVF"])
def test_an_inferior_infarction_is_red_though_a_lead_is_not_what_i_and_ii_make_it(uploaded, lead):
    reading = read_recording(trembling_alone(decode(uploaded("vendor/philips-1.03/129DYPRG.XML")), lead), age_y=None, sex=None)
    assert reading.priority is Priority.RED
    assert [problem.leads for problem in reading.quality.problems if problem.code == "goldberger"] == [(lead,)]


@pytest.mark.parametrize("gain", [0.05, 0.1, 0.25, 0.35])
def test_an_infarction_written_far_too_small_is_not_called_green(uploaded, gain):
    recording = decode(uploaded("vendor/philips-1.03/129DYNRG.XML"))
    reading = read_recording(replace(recording, samples_mv=gain * recording.samples_mv), age_y=None, sex=None)
    assert reading.priority in (Priority.RED, Priority.NOT_EVALUABLE)  # the smallest look like a heart that stands still


def test_a_recording_written_too_small_says_what_to_check(uploaded):
    recording = decode(uploaded("ludb/56.hea"))
    reading = read_recording(replace(recording, samples_mv=0.3 * recording.samples_mv), age_y=None, sex=None)
    assert reading.priority is Priority.NOT_EVALUABLE
    assert [problem.text for problem in reading.quality.problems if problem.code == "feeble" and "10 mm/mV" in problem.text]


def test_no_recording_is_said_to_show_no_heart_or_to_contradict_itself(uploaded, manifest):
    codes = {"silent", "feeble", "goldberger"}
    found = {row["file"]: {problem.code for problem in verdict(uploaded, row["file"]).quality.problems} & codes for row in manifest}
    assert {path: said for path, said in found.items() if said} == {}


def trembling_alone(recording: Recording, lead: str) -> Recording:
    samples = recording.samples_mv.copy()
    samples[recording.leads.index(lead)] = 0.05 * np.random.default_rng(7).standard_normal(samples.shape[1])
    return replace(recording, samples_mv=samples)


def test_a_red_found_in_the_good_leads_stands_and_the_missing_ones_are_said(uploaded):
    recording = without(decode(uploaded("vendor/philips-1.03/129DYNRG.XML")), "V6")
    reading = read_recording(recording, age_y=None, sex=None)
    assert reading.priority is Priority.RED
    assert reading.quality.evaluable
    assert {problem.code for problem in reading.quality.problems} == {"leads_missing", "partly_judged"}


@pytest.mark.parametrize("seconds", [0.02, 1.0, 2.4])
def test_too_short_a_recording_is_not_evaluable(uploaded, seconds):
    recording = decode(uploaded("ludb/56.hea"))
    cut = Recording(STANDARD, recording.samples_mv[:, : round(seconds * 500)], 500.0, None, None, (), "WFDB")
    reading = read_recording(cut, age_y=None, sex=None)
    assert reading.priority is Priority.NOT_EVALUABLE
    assert "too_short" in {problem.code for problem in reading.quality.problems}


def test_a_line_that_shows_electrodes_and_no_heart_is_red_and_its_st_not_judged():
    chance = np.random.default_rng(2)
    line = Recording(STANDARD, (0.02 * chance.standard_normal((12, 5000))).astype(np.float32), 500.0, 60, None, (), "made up")
    reading = read_recording(line, age_y=None, sex=None)
    assert (reading.priority, [finding.rule for finding in reading.findings]) == (Priority.RED, ["asystole"])
    assert {"no_beats", "partly_judged"} <= {problem.code for problem in reading.quality.problems}


def test_noise_that_hides_whether_a_heart_beats_is_not_evaluable():
    chance = np.random.default_rng(2)
    line = Recording(STANDARD, (0.4 * chance.standard_normal((12, 5000))).astype(np.float32), 500.0, 60, None, (), "made up")
    reading = read_recording(line, age_y=None, sex=None)
    assert reading.priority is Priority.NOT_EVALUABLE
