"""Shapes that mean ischaemia, pericarditis or potassium, laid over real recordings: each is found there, and not in the recording as it was."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb

from contracts.assessments import Reading
from contracts.vocabulary import Priority
from services.runtime.archive import UploadedFile
from services.triage.decode import decode
from services.triage.reading import measured_beats, read_recording
from services.triage.recording import STANDARD, Recording, other_limb_leads
from tests.unit.triage.test_delineate import hump

Shape = Callable[[np.ndarray], np.ndarray]  # of seconds after J to mV

NORMAL = [f"ptbxl/{name}_hr.hea" for name in ("00021", "00025", "00027", "00031", "00051")]
BLOCK = "ptbxl/02433_hr.hea"


def with_shapes(recording: Recording, after_j: Mapping[str, Shape], *, of_onset: bool = False) -> Recording:
    """Lay a shape over every beat of some leads, mV by seconds after J (or after QRS onset); III, aVR, aVL and aVF follow from I and II."""
    beats = measured_beats(recording)
    assert beats is not None
    samples = recording.samples_mv.astype(np.float64)
    seconds = np.arange(samples.shape[1]) / recording.fs_hz
    for at_s in beats.onset_s if of_onset else beats.j_s:
        for lead, shape in after_j.items():
            samples[recording.leads.index(lead)] += shape(seconds - at_s)
    rows = {lead: recording.leads.index(lead) for lead in STANDARD}
    for lead, values in other_limb_leads(samples[rows["I"]], samples[rows["II"]]).items():
        samples[rows[lead]] = values
    return replace(recording, samples_mv=samples.astype(np.float32))


def read_of(recording: Recording) -> Reading:
    return read_recording(recording, age_y=60, sex=None)


def rules_of(recording: Recording) -> dict[str, Priority]:
    return {finding.rule: finding.priority for finding in read_of(recording).findings}


def depressed(mv: float) -> Shape:
    """From the end of the QRS on, and climbing back within 120 ms."""
    return lambda s: -mv * np.clip((s + 0.03) / 0.03, 0, 1) * np.clip(1 - s / 0.12, 0, 1)


def tall_t(mv: float, *, first_s: float = 0.06, last_s: float = 0.34) -> Shape:
    return lambda s: mv * hump(s, first_s, last_s)


def raised(mv: float) -> Shape:
    """From the end of the QRS on, as long as ST and T last."""
    return lambda s: mv * np.clip((s + 0.02) / 0.02, 0, 1) * np.clip(3 - s / 0.1, 0, 1)


def both(one: Shape, other: Shape) -> Shape:
    return lambda s: one(s) + other(s)


DE_WINTER = both(depressed(0.3), tall_t(0.8))


@pytest.mark.parametrize("path", NORMAL)
def test_a_normal_recording_has_none_of_these_patterns(uploaded, path):
    assert rules_of(decode(uploaded(path))) == {}


@pytest.mark.parametrize("path", NORMAL)
def test_a_rising_depression_under_a_tall_t_with_elevation_in_avr_is_red(uploaded, path):
    recording = decode(uploaded(path))
    limb = {"I": depressed(0.12), "II": depressed(0.12)}
    changed = with_shapes(recording, limb | dict.fromkeys(("V2", "V3", "V4", "V5"), DE_WINTER))
    assert rules_of(changed).get("de_winter") is Priority.RED
    without_avr = with_shapes(recording, dict.fromkeys(("V2", "V3", "V4", "V5"), DE_WINTER))
    assert rules_of(without_avr).get("de_winter_incomplete") is Priority.YELLOW
    assert "de_winter" not in rules_of(without_avr)


@pytest.mark.parametrize("path", NORMAL)
@pytest.mark.parametrize(
    ("name", "t_wave"),
    [("t_down_mv", tall_t(-1.2)), ("t_biphasic_mv", both(tall_t(-0.9, first_s=0.18, last_s=0.38), tall_t(0.3, first_s=0.04, last_s=0.18)))],
)
def test_a_deep_or_biphasic_t_in_v2_and_v3_is_yellow(uploaded, path, name, t_wave):
    changed = with_shapes(decode(uploaded(path)), dict.fromkeys(("V2", "V3"), t_wave))
    (finding,) = [each for each in read_of(changed).findings if each.rule == "wellens"]
    assert finding.priority is Priority.YELLOW
    assert {value.lead for value in finding.values if value.name == name} == {"V2", "V3"}
    assert all(value.measured <= value.threshold for value in finding.values)


def test_a_wellens_pattern_is_worded_for_a_patient_whose_pain_has_gone(uploaded):
    changed = with_shapes(decode(uploaded(NORMAL[0])), dict.fromkeys(("V2", "V3"), tall_t(-1.2)))
    (finding,) = [each for each in read_of(changed).findings if each.rule == "wellens"]
    assert "If the pain has gone" in finding.title


@pytest.mark.parametrize("path", NORMAL)
def test_a_large_symmetric_t_over_a_small_qrs_asks_for_a_repeat(uploaded, path):
    recording = decode(uploaded(path))
    small = recording.samples_mv.copy()
    small[[recording.leads.index(lead) for lead in ("V3", "V4")]] *= 0.4
    changed = with_shapes(replace(recording, samples_mv=small), dict.fromkeys(("V3", "V4"), tall_t(0.8)))
    (finding,) = [each for each in read_of(changed).findings if each.rule == "hyperacute_t"]
    assert finding.priority is Priority.YELLOW
    assert {"V3", "V4"} <= set(finding.leads)
    assert "15 minutes" in finding.title


@pytest.mark.parametrize("path", NORMAL)
def test_a_slight_elevation_over_small_r_waves_is_yellow_by_the_smith_formula_and_a_depression_below_takes_it_away(uploaded, path):
    recording = decode(uploaded(path))
    small = recording.samples_mv.copy()
    small[[recording.leads.index(lead) for lead in ("V2", "V4")]] *= 0.35
    slight = both(raised(0.12), tall_t(0.4, first_s=0.04, last_s=0.36))
    changed = with_shapes(replace(recording, samples_mv=small), dict.fromkeys(("V2", "V3"), slight))
    (finding,) = [each for each in read_of(changed).findings if each.rule == "smith_four"]
    by_lead = {each.lead: each for each in read_of(changed).measurements.leads}
    times = read_of(changed).measurements
    qrs_v2_mm, r_v4_mm, st_v3_mm = 10 * (by_lead["V2"].r_mv - by_lead["V2"].s_mv), 10 * by_lead["V4"].r_mv, 10 * by_lead["V3"].st_j60_mv
    score = 0.052 * max(times.qt_ms, times.qtcb_ms) - 0.151 * qrs_v2_mm - 0.268 * r_v4_mm + 1.062 * st_v3_mm
    assert finding.values[0].measured == pytest.approx(score, abs=0.02)
    assert "smith_four" not in rules_of(with_shapes(changed, {"II": raised(-0.2)}))


@pytest.mark.parametrize("path", NORMAL)
def test_a_depressed_pr_under_slight_elevation_everywhere_is_one_yellow_finding(uploaded, path):
    def pr_down(seconds: np.ndarray) -> np.ndarray:
        return -0.14 * np.clip((seconds + 0.06) / 0.02, 0, 1) * np.clip(1 - (seconds - 0.004) / 0.02, 0, 1)

    leads = ("I", "II", "V2", "V3", "V4", "V5", "V6")
    found = read_of(with_shapes(decode(uploaded(path)), dict.fromkeys(leads, pr_down), of_onset=True))
    assert [(finding.rule, finding.priority) for finding in found.findings if finding.rule != "smith_four"] == [("pericarditis", Priority.YELLOW)]


PEAKED = dict.fromkeys(("V3", "V4"), tall_t(1.5, first_s=0.15, last_s=0.29))


@pytest.mark.parametrize("path", NORMAL)
def test_peaked_t_waves_are_yellow(uploaded, path):
    assert rules_of(with_shapes(decode(uploaded(path)), PEAKED)).get("peaked_t") is Priority.YELLOW


def test_peaked_t_waves_after_a_wide_qrs_are_red(uploaded):
    recording = decode(uploaded(BLOCK))
    assert rules_of(recording) == {"stemi_wide_qrs": Priority.YELLOW}
    assert rules_of(with_shapes(recording, PEAKED)) == {"hyperkalaemia": Priority.RED}


def written_and_decoded(recording: Recording, folder: Path) -> Recording:
    names, count = [lead.lower() for lead in recording.leads], len(recording.leads)
    scale = {"fmt": ["16"] * count, "adc_gain": [1000.0] * count, "baseline": [0] * count}
    wfdb.wrsamp("more", recording.fs_hz, ["mV"] * count, names, recording.samples_mv.T.astype(np.float64), **scale, write_dir=str(folder))
    return decode([UploadedFile(part.name, part.read_bytes()) for part in (folder / "more.hea", folder / "more.dat")])


@pytest.mark.parametrize("leads", [("V7", "V8", "V9"), ("V3R", "V4R")])
def test_an_elevation_that_only_the_extra_leads_of_a_file_show_is_red(uploaded, tmp_path, leads):
    twelve = decode(uploaded(NORMAL[0]))
    copies = twelve.samples_mv[[twelve.leads.index("V6")] * len(leads)]
    more = replace(twelve, leads=(*twelve.leads, *leads), samples_mv=np.vstack([twelve.samples_mv, copies]))
    assert rules_of(written_and_decoded(more, tmp_path)) == {}
    recording = written_and_decoded(with_shapes(more, dict.fromkeys(leads, raised(0.12))), tmp_path)
    assert set(leads) <= set(recording.leads)
    (finding,) = read_of(recording).findings
    assert (finding.rule, finding.priority) == ("stemi", Priority.RED)
    assert set(leads) <= set(finding.leads)


def test_a_posterior_suspicion_ends_where_v7_to_v9_were_recorded(uploaded, tmp_path):
    depressed_front = with_shapes(decode(uploaded(NORMAL[0])), dict.fromkeys(("V1", "V2", "V3"), depressed(0.2)))
    assert "posterior_suspicion" in rules_of(depressed_front)
    copies = depressed_front.samples_mv[[depressed_front.leads.index("V6")] * 3]
    back = replace(depressed_front, leads=(*STANDARD, "V7", "V8", "V9"), samples_mv=np.vstack([depressed_front.samples_mv, copies]))
    assert "posterior_suspicion" not in rules_of(written_and_decoded(back, tmp_path))


@pytest.mark.parametrize("path", NORMAL)
def test_an_inferior_infarction_is_red_though_the_chest_leads_are_raised_as_a_healthy_heart_raises_them(uploaded, path):
    changed = with_shapes(decode(uploaded(path)), {"I": raised(0.02), "II": raised(0.17)} | dict.fromkeys(("V2", "V3", "V4"), raised(0.08)))
    assert rules_of(changed).get("stemi") is Priority.RED
