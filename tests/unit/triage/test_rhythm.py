"""Rhythms that kill are red, whatever else can be measured; a beating heart under noise is none of them; a loose cable is no dead patient."""

from dataclasses import replace

import numpy as np
import pytest

from contracts.vocabulary import Priority
from services.triage.decode import decode
from services.triage.quality import lead_quality
from services.triage.reading import read_recording
from services.triage.recording import CHEST, STANDARD, Recording, other_limb_leads
from services.triage.rhythm import heard, rhythm
from services.triage.rulebook import SHIPPED, load
from services.triage.rulebook.engine import apply
from tests.unit.triage import made_rhythms as made
from tests.unit.triage.rule_patient import measured

CRITICAL = {
    "ventricular_fibrillation", "polymorphic_tachycardia", "asystole", "pause", "ventricular_tachycardia", "complete_av_block",
    "preexcited_atrial_fibrillation", "wide_tachycardia", "ventricular_run", "bradycardia", "supraventricular_tachycardia",
    "fast_atrial_fibrillation", "long_qt_r_on_t",
}  # fmt: skip
WIDE = ("ludb/51.hea", "ludb/23.hea", "ptbxl/21085_hr.hea")
NARROW = ("ptbxl/10356_hr.hea", "ptbxl/00176_hr.hea", "ptbxl/19231_hr.hea")


def reading(recording: Recording):
    return read_recording(recording, age_y=60, sex=None)


def rhythms(recording: Recording) -> dict[str, Priority]:
    return {finding.rule: finding.priority for finding in reading(recording).findings if finding.rule in CRITICAL}


def assert_red(recording: Recording, rule: str) -> None:
    read = reading(recording)
    assert read.priority is Priority.RED
    assert rule in {finding.rule for finding in read.findings if finding.priority is Priority.RED}


@pytest.fixture(scope="session")
def real(uploaded):
    """Return a function from a path in the manifest to its recording."""
    kept = {}

    def recording(path: str) -> Recording:
        if path not in kept:
            kept[path] = decode(uploaded(path))
        return kept[path]

    return recording


@pytest.mark.parametrize("bpm", [170, 200])
@pytest.mark.parametrize("path", WIDE)
def test_ten_seconds_of_wide_beats_are_a_ventricular_tachycardia_and_red(real, path, bpm):
    assert_red(made.ventricular_tachycardia(real(path), bpm=bpm), "ventricular_tachycardia")


def test_a_recorded_ventricular_tachycardia_is_red_though_its_st_cannot_be_judged(real):
    read = reading(real("challenge/JS45545.hea"))
    assert [(finding.rule, finding.priority) for finding in read.findings] == [("ventricular_tachycardia", Priority.RED)]
    assert "no_j_point" in {problem.code for problem in read.quality.problems}
    assert "stemi" in {each.rule for each in read.not_judged}
    assert read.measurements.leads == ()


def test_slower_wide_beats_and_short_runs_are_yellow(real):
    slow = made.ventricular_tachycardia(real(WIDE[0]), bpm=130)
    assert rhythms(slow) == {"wide_tachycardia": Priority.YELLOW}
    assert rhythms(real("challenge/JS45543.hea")) == {"ventricular_run": Priority.YELLOW}


@pytest.mark.parametrize("path", WIDE)
def test_wide_beats_whose_axis_turns_are_torsades_and_red(real, path):
    assert_red(made.torsades(real(path)), "polymorphic_tachycardia")


@pytest.mark.parametrize("seed", range(6))
def test_fibrillation_is_red_coarse_or_fine(real, seed):
    for peak_mv in (0.5, 0.15):
        assert_red(made.fibrillation(real(NARROW[seed % 3]), seed=seed, peak_mv=peak_mv), "ventricular_fibrillation")


@pytest.mark.parametrize("path", NARROW)
def test_a_line_without_qrs_is_an_asystole_and_says_to_look_at_the_patient_first(real, path):
    for still in (made.standstill(real(path)), made.p_waves_alone(real(path))):
        read = reading(still)
        assert [(finding.rule, finding.priority) for finding in read.findings] == [("asystole", Priority.RED)]
        assert "Look at the patient first" in read.findings[0].title
        assert "check the electrodes" in read.findings[0].title
        assert "stemi" in {each.rule for each in read.not_judged}


@pytest.mark.parametrize("silent", [True, False])
@pytest.mark.parametrize("path", NARROW)
def test_beats_and_then_nothing_are_red(real, path, silent):
    assert_red(made.beats_then_nothing(real(path), silent=silent), "pause")


@pytest.mark.parametrize("path", NARROW)
def test_a_pause_of_3_2_s_is_red_and_one_of_2_8_s_is_not(real, path):
    assert_red(made.pause(real(path), rr_s=3.2), "pause")
    assert rhythms(made.pause(real(path), rr_s=2.8)) == {}


@pytest.mark.parametrize("at_end", [True, False])
def test_a_pause_counts_from_the_recording_s_start_and_to_its_end(real, at_end):
    stopping = made.beats_then_nothing(real(NARROW[1]), beats=6, seconds=10)
    turned = stopping if at_end else replace(stopping, samples_mv=stopping.samples_mv[:, ::-1].copy())
    assert_red(turned, "pause")


def with_spikes(recording: Recording, from_s: float, to_s: float) -> Recording:
    """Return the recording with a pacemaker's spikes of 4 ms every 0.8 s, which no heart answers."""
    samples_mv = recording.samples_mv.copy()
    one, two = samples_mv[recording.leads.index("I")], samples_mv[recording.leads.index("II")]
    for at_s in np.arange(from_s, to_s, 0.8):
        at = slice(round(at_s * recording.fs_hz), round((at_s + 0.004) * recording.fs_hz))
        for lead in CHEST:
            samples_mv[recording.leads.index(lead), at] += 1.2
        one[at] += 1.0
        two[at] += 1.5
        for lead, made_mv in other_limb_leads(one, two).items():
            samples_mv[recording.leads.index(lead), at] = made_mv[at]
    return replace(recording, samples_mv=samples_mv)


@pytest.mark.parametrize("path", NARROW)
def test_spikes_that_the_heart_does_not_answer_are_no_beats(real, path):
    recording = real(path)
    assert_red(with_spikes(made.standstill(recording), 0.5, 9.5), "asystole")
    stopped = made.beats_then_nothing(recording)
    last_s = float(np.flatnonzero(np.diff(stopped.samples_mv[0]))[-1]) / stopped.fs_hz
    assert_red(with_spikes(stopped, 4.5, last_s - 0.5), "pause")


def test_a_gap_that_could_hide_a_pause_leaves_nothing_green(real):
    recording = real(NARROW[0])
    samples_mv = recording.samples_mv.copy()
    samples_mv[:, round(3 * recording.fs_hz) : round(7 * recording.fs_hz)] = np.nan
    read = reading(replace(recording, samples_mv=samples_mv))
    assert read.priority is Priority.NOT_EVALUABLE
    assert "pause" in {each.rule for each in read.not_judged}
    assert any("pause" in problem.text for problem in read.quality.problems if problem.code == "not_ruled_out")
    assert read.measurements.heart_rate_bpm == pytest.approx(reading(recording).measurements.heart_rate_bpm, rel=0.1)


def test_a_recording_too_short_to_show_a_pause_is_not_green(real):
    recording = real(NARROW[0])
    read = reading(replace(recording, samples_mv=recording.samples_mv[:, : round(2.8 * recording.fs_hz)]))
    assert read.priority is Priority.NOT_EVALUABLE
    assert "pause" in {each.rule for each in read.not_judged}


def test_asystole_in_columns_of_leads_is_not_green_and_breaks_nothing(real):
    still = made.standstill(real(NARROW[0]))
    samples_mv = np.full_like(still.samples_mv, np.nan)
    for row in range(len(still.leads)):
        column = slice(*(round((row // 3 + at) * 2.5 * still.fs_hz) for at in (0, 1)))
        samples_mv[row, column] = still.samples_mv[row, column]
    assert reading(replace(still, samples_mv=samples_mv)).priority in (Priority.RED, Priority.NOT_EVALUABLE)


def test_beats_written_too_small_are_no_standstill(real):
    small = replace(real("ludb/56.hea"), samples_mv=0.2 * real("ludb/56.hea").samples_mv)
    assert reading(small).priority is Priority.NOT_EVALUABLE
    assert "feeble" in {problem.code for problem in reading(small).quality.problems}


def test_a_gap_in_the_recording_is_no_pause(real):
    recording = real(NARROW[1])
    samples = recording.samples_mv.copy()
    samples[:, 1000:2800] = np.nan
    assert "pause" not in rhythms(replace(recording, samples_mv=samples))


def test_beats_that_the_search_overlooked_make_no_pause_and_the_pause_is_not_judged(real):
    recording = real(NARROW[1])
    quality = lead_quality(recording)
    beats = heard(recording, quality)
    peaks = beats.found.peaks
    overlooked = replace(beats, found=replace(beats.found, peaks=peaks[(peaks < 1500) | (peaks > 3500)]))
    assert rhythm(recording, quality, beats, None).pause_s < 2.5
    told = rhythm(recording, quality, overlooked, None)
    assert (told.pause_s, told.hidden_s > 3) == (None, True)


@pytest.mark.parametrize("path", NARROW)
def test_p_waves_and_a_slow_qrs_each_at_its_own_rate_are_a_complete_block_and_red(real, path):
    read = reading(made.complete_block(real(path)))
    assert {"complete_av_block", "bradycardia"} <= {finding.rule for finding in read.findings}
    assert read.priority is Priority.RED
    assert read.measurements.rhythm.dissociated_atrial_bpm == pytest.approx(75, abs=2)


@pytest.mark.parametrize("conducted", [2, 3])
@pytest.mark.parametrize("path", NARROW)
def test_a_block_that_lets_every_second_or_third_p_wave_through_is_not_called_complete(real, path, conducted):
    assert "complete_av_block" not in rhythms(made.complete_block(real(path), atrial_bpm=32 * conducted, ventricular_bpm=32))


@pytest.mark.parametrize("path", ["ptbxl/00201_hr.hea", "ptbxl/00474_hr.hea", "challenge/A0002.hea", "challenge/JS00006.hea"])
def test_every_beat_of_a_slow_heart_is_found_and_no_t_wave_is_one(real, path):
    assert reading(made.complete_block(real(path))).measurements.rhythm.beats == 5


@pytest.mark.parametrize("path", WIDE)
def test_fast_irregular_wide_beats_are_red(real, path):
    read = reading(made.atrial_fibrillation(real(path), bpm=215))
    assert read.priority is Priority.RED
    assert {"preexcited_atrial_fibrillation", "ventricular_tachycardia", "polymorphic_tachycardia"} & {finding.rule for finding in read.findings}


def test_preexcited_atrial_fibrillation_is_named(real):
    assert_red(made.atrial_fibrillation(real(WIDE[1]), bpm=215), "preexcited_atrial_fibrillation")


@pytest.mark.parametrize("path", NARROW)
def test_fast_atrial_fibrillation_is_yellow_and_flutter_at_150_is_no_critical_value(real, path):
    assert rhythms(made.atrial_fibrillation(real(path), bpm=210)) == {"fast_atrial_fibrillation": Priority.YELLOW}
    assert rhythms(made.flutter(real(path))) == {}


CHANGES = {
    "louder": lambda recording: replace(recording, samples_mv=recording.samples_mv * np.float32(1.05)),
    "softer": lambda recording: replace(recording, samples_mv=recording.samples_mv * np.float32(0.95)),
    "250 Hz": lambda recording: made.resampled(recording, 250.0),
    "1000 Hz": lambda recording: made.resampled(recording, 1000.0),
    "noise": lambda recording: made.disturbed(recording, white_mv=0.02),
    "hum": lambda recording: made.disturbed(recording, hum_mv=0.02),
    "drift": lambda recording: made.disturbed(recording, drift_mv=0.3),
}


@pytest.mark.parametrize("change", CHANGES)
def test_gain_rate_and_noise_do_not_change_a_red_rhythm(real, change):
    wide, narrow = real(WIDE[0]), real(NARROW[1])
    for rule, recording in (
        ("ventricular_tachycardia", made.ventricular_tachycardia(wide, bpm=180)),
        ("polymorphic_tachycardia", made.torsades(wide)),
        ("ventricular_fibrillation", made.fibrillation(narrow, seed=2)),
        ("asystole", made.standstill(narrow)),
        ("pause", made.pause(narrow, rr_s=3.2)),
        ("complete_av_block", made.complete_block(narrow)),
    ):
        assert_red(CHANGES[change](recording), rule)


def test_no_normal_recording_has_a_critical_rhythm(uploaded, manifest):
    normal = [row["file"] for row in manifest if row["category"] == "NORMAL"]
    assert len(normal) > 200
    assert {path: found for path in normal if (found := rhythms(decode(uploaded(path))))} == {}


NOISES = {
    "white": {"white_mv": 0.05},
    "muscle": {"white_mv": 0.2},
    "hum": {"hum_mv": 0.2},
    "drift": {"drift_mv": 1.0},
    "trembling hands": {"tremor_mv": 0.2},
    "shaking": {"tremor_mv": 0.4},
}


@pytest.mark.parametrize("noise", NOISES)
def test_noise_over_a_beating_heart_is_no_critical_rhythm(uploaded, manifest, noise):
    normal = [row["file"] for row in manifest if row["category"] == "NORMAL"][::9]
    found = {path: rhythms(made.disturbed(decode(uploaded(path)), **NOISES[noise])) for path in normal}
    assert len(found) > 20
    worst = Priority.RED if noise == "shaking" else Priority.YELLOW  # hands that shake may look like a few wide beats
    assert {path: rules for path, rules in found.items() if {worst, Priority.RED} & set(rules.values())} == {}


@pytest.mark.parametrize("level_mv", [0.0, 1.0])
def test_leads_of_one_exact_value_are_a_loose_cable_and_not_evaluable(level_mv):
    line = Recording(STANDARD, np.full((12, 5000), level_mv, dtype=np.float32), 500.0, 60, None, (), "made up")
    read = reading(line)
    assert (read.priority, read.findings) == (Priority.NOT_EVALUABLE, ())


@pytest.mark.parametrize("path", ["ludb/34.hea", "ludb/74.hea", "ptbxl/00385_hr.hea"])
def test_a_paced_rhythm_is_said_and_is_no_tachycardia(real, path):
    read = reading(real(path))
    assert read.measurements.rhythm.paced
    assert not CRITICAL & {finding.rule for finding in read.findings}


def test_a_recording_without_pacemaker_is_not_called_paced(uploaded, manifest):
    normal = [row["file"] for row in manifest if row["category"] == "NORMAL"][::5]
    assert [path for path in normal if reading(decode(uploaded(path))).measurements.rhythm.paced] == []


def test_ventricular_ectopics_are_counted_and_stay_out_of_the_median_beat(real):
    read = reading(real("ludb/45.hea"))
    assert read.measurements.beats < read.measurements.rhythm.beats
    assert reading(real("ptbxl/10131_hr.hea")).measurements.rhythm.ventricular_ectopics >= 3


def test_most_recordings_labelled_with_atrial_fibrillation_are_measured_so_and_hardly_a_normal_one(uploaded, manifest):
    def share(rows):
        found = [reading(decode(uploaded(row["file"]))).measurements.rhythm.atrial_fibrillation for row in rows]
        return sum(each is True for each in found) / len(found)

    assert share([row for row in manifest if row["category"] == "RHYTHM" and "AFIB" in row["labels"]]) >= 0.75
    assert share([row for row in manifest if row["category"] == "NORMAL"][::4]) <= 0.02


def judged(profile, **changed):
    book = load(SHIPPED, SHIPPED.with_name(f"{profile}.yaml")) if profile else load(SHIPPED)
    return {finding.rule for finding in apply(book, replace(measured(), **changed)).findings}


@pytest.mark.parametrize(
    ("changed", "rule", "fires"),
    [
        ({"heart_rate_bpm": 35.0}, "bradycardia", {"": True, "zhejiang": False, "shanxi": True}),
        ({"heart_rate_bpm": 34.9}, "bradycardia", {"": True, "zhejiang": True, "shanxi": True}),
        ({"heart_rate_bpm": 200.0}, "supraventricular_tachycardia", {"": True, "zhejiang": False, "shanxi": True}),
        ({"heart_rate_bpm": 230.0}, "supraventricular_tachycardia", {"": True, "zhejiang": True, "shanxi": True}),
        ({"heart_rate_bpm": 180.0}, "supraventricular_tachycardia", {"": False, "zhejiang": False, "shanxi": True}),
        ({"heart_rate_bpm": 180.0, "atrial_fibrillation": True}, "fast_atrial_fibrillation", {"": False, "zhejiang": True, "shanxi": True}),
        ({"qtcb_ms": 480.0, "r_on_t": True}, "long_qt_r_on_t", {"": False, "zhejiang": True, "shanxi": True}),
        ({"pause_s": 3.0}, "pause", {"": True, "zhejiang": True, "shanxi": True}),
    ],
)
def test_a_region_s_list_moves_its_thresholds_and_no_others(changed, rule, fires):
    assert {profile: rule in judged(profile, **changed) for profile in fires} == fires
