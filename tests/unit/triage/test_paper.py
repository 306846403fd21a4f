"""The drawn paper is true to scale, shows what was judged and what was not, and names nobody."""

import re
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import pytest
from defusedxml.ElementTree import fromstring
from typer.testing import CliRunner

from contracts.assessments import Finding, Value
from contracts.vocabulary import Priority, Sex
from services.ops.cardiac_dipole import J_POINT_S, QRS_ONSET_S
from services.ops.synthetic_patient import Pattern, synthesize
from services.program.cli import app
from services.triage.decode import decode
from services.triage.paper import draw
from services.triage.reading import measured_beats, read_recording
from services.triage.recording import STANDARD, Recording

SVG = "{http://www.w3.org/2000/svg}"
TRACE_X_MM = 26.0
LAYOUTS = ("3x4", "12x1")


def recording_of(samples_mv: np.ndarray, *, fs_hz: float = 500.0, leads: tuple[str, ...] = STANDARD, said: tuple[str, ...] = ()) -> Recording:
    return Recording(leads, samples_mv.astype(np.float32), fs_hz, 60, Sex.MALE, said, "made up")


def patient(pattern: Pattern) -> Recording:
    return recording_of(synthesize(pattern, st_mv=None, seed=7).samples_mv)


def drawn(recording: Recording, layout: str = "3x4") -> Element:
    return fromstring(text_of(recording, layout))


def text_of(recording: Recording, layout: str = "3x4") -> str:
    reading = read_recording(recording, age_y=60, sex=Sex.MALE)
    return draw(recording, reading, measured_beats(recording), layout=layout)


def texts(page: Element, kind: str = "") -> list[str]:
    return [element.text or "" for element in page.iter(f"{SVG}text") if kind in ("", element.get("class"))]


def notes(page: Element, lead: str) -> list[str]:
    return [element.text or "" for element in page.iterfind(f".//{SVG}text[@class='note'][@data-lead='{lead}']")]


def traces(page: Element, lead: str) -> list[list[np.ndarray]]:
    """The strips of a lead, each as its unbroken runs, (points, 2) in mm."""
    found = page.iterfind(f".//{SVG}path[@class='trace'][@data-lead='{lead}']")
    return [[_points(run) for run in path.attrib["d"].split("M")[1:]] for path in found]


def _points(run: str) -> np.ndarray:
    numbers = np.array(re.findall(r"-?\d+", run), dtype=float).reshape(-1, 2)
    return numbers.cumsum(axis=0) / 100


def j_points(page: Element, lead: str) -> np.ndarray:
    """The circles of a lead, (beats, 2) in mm."""
    circles = page.iterfind(f".//{SVG}g[@class='marks'][@data-lead='{lead}']/{SVG}circle[@class='j']")
    return np.array([[float(circle.attrib[axis]) for axis in ("cx", "cy")] for circle in circles]).reshape(-1, 2)


def square(*, fs_hz: float = 500.0) -> np.ndarray:
    """1 mV from the first to the second second, and nothing else."""
    at_s = np.arange(round(10 * fs_hz)) / fs_hz
    return np.tile(((at_s >= 1) & (at_s < 2)).astype(float), (12, 1))


@pytest.mark.parametrize("fs_hz", [257.0, 500.0, 1000.0])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_second_is_25_mm_and_one_millivolt_10_mm(layout, fs_hz):
    page = drawn(recording_of(square(fs_hz=fs_hz), fs_hz=fs_hz), layout)
    (points,) = traces(page, "II")[-1]
    top, line = points[:, 1].min(), points[0, 1]
    high = points[points[:, 1] == top]
    assert line - top == pytest.approx(10.0, abs=0.01)
    assert high[0, 0] == pytest.approx(TRACE_X_MM + 25.0, abs=25 / fs_hz + 0.01)
    assert high[-1, 0] - high[0, 0] == pytest.approx(25.0, abs=25 / fs_hz + 0.01)
    assert points[-1, 0] - points[0, 0] == pytest.approx(250.0, abs=25 / fs_hz + 0.01)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_sizes_are_millimetres_and_a_calibration_pulse_stands_before_each_row(layout):
    page = drawn(recording_of(square()), layout)
    width, height = page.attrib["viewBox"].split()[2:]
    assert (page.attrib["width"], page.attrib["height"]) == (f"{width}mm", f"{height}mm")
    assert (width, height) == {"3x4": ("297", "210"), "12x1": ("297", "410")}[layout]
    pulses = [path.attrib["d"] for path in page.iterfind(f".//{SVG}path[@class='calibration']")]
    assert len(pulses) == {"3x4": 4, "12x1": 12}[layout]
    assert all("v-10h5v10" in pulse for pulse in pulses)


def test_a_small_square_of_the_grid_is_1_mm_and_a_large_one_5_mm_and_a_trace_begins_on_a_large_one():
    page = drawn(recording_of(square()))
    (pattern,) = page.iter(f"{SVG}pattern")
    thin, thick = (path.attrib["d"] for path in pattern)
    across = [float(at) for at in re.findall(r"M([\d.]+) 0v5", thin + thick)]
    assert (pattern.get("width"), pattern.get("height")) == ("5", "5")
    assert np.diff(sorted(across)) == pytest.approx(1.0)
    large_mm = float(pattern.attrib["x"]) + 2.5
    assert (TRACE_X_MM - large_mm) % 5 == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_layouts_hold_all_twelve_leads(layout):
    page = drawn(patient(Pattern.ANTERIOR), layout)
    assert set(texts(page, "lead")) == set(STANDARD)
    for lead in STANDARD:
        assert all(len(runs) == 1 for runs in traces(page, lead))
        assert len(traces(page, lead)) == (2 if (lead, layout) == ("II", "3x4") else 1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_lead_beyond_the_twelve_is_drawn_too(layout):
    samples = np.vstack([square(), -square()[:1]])
    page = drawn(recording_of(samples, leads=(*STANDARD, "V7")), layout)
    ((points,),) = traces(page, "V7")
    assert points[:, 1].max() - points[0, 1] == pytest.approx(10.0, abs=0.01)
    assert points[:, 1].max() < float(page.attrib["viewBox"].split()[3])


def test_the_columns_of_3x4_follow_each_other_in_time_and_stand_over_the_rhythm_strip():
    samples = np.tile(np.arange(5000) / 1000.0, (12, 1))
    page = drawn(recording_of(samples))
    starts = [traces(page, lead)[0][0][0, 0] for lead in ("I", "aVR", "V1", "V4")]
    assert starts == pytest.approx([TRACE_X_MM + 62.5 * column for column in range(4)])
    from_s = [path.attrib["data-from-s"] for path in page.iterfind(f".//{SVG}path[@class='trace']") if path.get("data-lead") in ("I", "V4")]
    assert from_s == ["0", "7.5"]


def test_a_gap_is_a_gap():
    samples = square()
    samples[STANDARD.index("I"), 1200:1500] = np.nan
    first, second = traces(drawn(recording_of(samples), "12x1"), "I")[0]
    assert first[-1, 0] == pytest.approx(TRACE_X_MM + 1199 / 500 * 25, abs=0.01)
    assert second[0, 0] == pytest.approx(TRACE_X_MM + 1500 / 500 * 25, abs=0.01)


def test_a_gap_in_a_dense_recording_keeps_its_ends():
    samples = square(fs_hz=2000)
    samples[0, 5001:5003] = np.nan
    first, second = traces(drawn(recording_of(samples, fs_hz=2000.0), "12x1"), "I")[0]
    assert (first[-1, 0], second[0, 0]) == pytest.approx((TRACE_X_MM + 62.5, TRACE_X_MM + 62.5), abs=0.1)


def test_a_spike_of_one_sample_in_a_dense_recording_keeps_its_height():
    samples = np.zeros((12, 20_000))
    samples[0, 3333] = 1.5
    ((points,),) = traces(drawn(recording_of(samples, fs_hz=2000.0), "12x1"), "I")
    assert points[0, 1] - points[:, 1].min() == pytest.approx(15.0, abs=0.01)
    assert len(points) <= 5100


def test_a_lead_that_was_recorded_at_another_time_is_drawn_from_there_and_says_so():
    samples = square()
    samples[STANDARD.index("V1"), 2500:] = np.nan  # its column stands at 5 s
    page = drawn(recording_of(samples))
    ((points,),) = traces(page, "V1")
    assert points[0, 0] == pytest.approx(TRACE_X_MM + 125.0)
    assert points[0, 1] - points[:, 1].min() == pytest.approx(10.0, abs=0.01)
    assert "from 0.0 s" in notes(page, "V1")
    assert "from 0.0 s" not in notes(page, "V2")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_j_point_of_a_finding_lies_on_the_trace_where_the_reading_measured_it(uploaded, layout):
    recording = decode(uploaded("vendor/philips-1.03/129DYNRG.XML"))
    reading, beats = read_recording(recording, age_y=None, sex=None), measured_beats(recording)
    assert beats is not None
    page = fromstring(draw(recording, reading, beats, layout=layout))
    leads = {lead for finding in reading.findings for lead in finding.leads}
    assert leads
    for lead in leads:
        marked = j_points(page, lead)
        from_s = 0.0 if layout == "12x1" else {"V1": 5.0, "V2": 5.0, "V3": 5.0}.get(lead, 7.5 if lead.startswith("V") else 0.0)
        ((points,),) = traces(page, lead)
        strip_s = 10.0 if layout == "12x1" else 2.5
        expected = beats.j_s[(beats.j_s >= from_s) & (beats.j_s < from_s + strip_s)]
        assert marked[:, 0] == pytest.approx(points[0, 0] + (expected - from_s) * 25, abs=0.02)
        assert marked[:, 1] == pytest.approx(np.interp(marked[:, 0], points[:, 0], points[:, 1]), abs=0.02)
        assert len(marked) >= 2


def test_only_leads_of_findings_are_marked_and_the_bar_is_as_high_as_what_was_measured():
    recording = patient(Pattern.ANTERIOR)
    reading = read_recording(recording, age_y=60, sex=Sex.MALE)
    page = drawn(recording)
    leads = {lead for finding in reading.findings for lead in finding.leads}
    assert leads
    assert {group.attrib["data-lead"] for group in page.iterfind(f".//{SVG}g[@class='marks']")} == leads
    st_mv = {each.lead: each.st_j_mv for each in reading.measurements.leads}
    for lead in leads:
        (bar,) = page.iterfind(f".//{SVG}g[@class='marks'][@data-lead='{lead}']/{SVG}path[@class='st']")
        bottom, top = map(float, re.fullmatch(r"M\S+ (\S+)V(\S+)", bar.attrib["d"]).groups())
        assert bottom - top == pytest.approx(10 * st_mv[lead], abs=0.02)
        assert any(f"{st_mv[lead]:+.2f} mV" in note for note in notes(page, lead))


def test_the_measured_beats_are_where_the_heart_beat():
    true = synthesize(Pattern.ANTERIOR, st_mv=None, seed=7)
    recording = recording_of(true.samples_mv)
    beats, told = measured_beats(recording), read_recording(recording, age_y=60, sex=Sex.MALE).measurements
    assert beats is not None
    assert len(beats.j_s) == told.beats >= 8
    assert np.abs(beats.j_s[:, None] - np.array(true.r_peaks_s) - J_POINT_S).min(axis=1).max() < 0.012
    assert np.abs(beats.onset_s[:, None] - np.array(true.r_peaks_s) - QRS_ONSET_S).min(axis=1).max() < 0.012
    assert (beats.j_s - beats.onset_s) * 1000 == pytest.approx(told.qrs_ms, abs=0.06)


def test_a_lead_that_could_not_be_judged_is_marked_so_and_no_other():
    page = drawn(patient(Pattern.LEAD_OFF))
    for lead in STANDARD:
        assert any("NOT JUDGED" in note for note in notes(page, lead)) == lead.startswith("V"), lead
    assert any("flat" in note for note in notes(page, "V1"))
    assert "CANNOT BE JUDGED" in texts(page)


def test_a_lead_that_is_not_there_has_its_place_and_says_so():
    page = drawn(recording_of(square()[:8], leads=STANDARD[:8]))
    assert traces(page, "V6") == []
    assert "NOT JUDGED: not in the recording" in notes(page, "V6")


def test_the_header_says_how_urgent_it_is_why_and_what_was_measured():
    recording = patient(Pattern.ANTERIOR)
    reading = read_recording(recording, age_y=60, sex=Sex.MALE)
    told = " ".join(texts(drawn(recording)))
    assert "RED" in texts(drawn(recording))
    for sentence in (*(finding.title for finding in reading.findings), f"Heart rate {reading.measurements.heart_rate_bpm:.0f}/min"):
        assert sentence in told
    assert f"QRS {reading.measurements.qrs_ms:.0f} ms" in told
    assert "25 mm/s · 10 mm/mV · 500 samples/s" in told


@pytest.mark.parametrize(
    ("path", "secrets"),
    [
        ("vendor/one-recording/Example.xml", ("Clark", "SBJ-123")),
        ("vendor/philips-1.04/3191723_ZZDEMOPTONLY_1-04_orig.xml", ("ZZDEMOPTONLY", "3191723")),
    ],
)
def test_nothing_of_a_name_is_in_the_picture(recordings, tmp_path, path, secrets):
    out = tmp_path / "out.svg"
    assert CliRunner().invoke(app, ["ecg", "plot", str(recordings / path), "-o", str(out)]).exit_code == 0
    assert [secret for secret in (*secrets, Path(path).stem) if secret.lower() in out.read_text(encoding="utf-8").lower()] == []


def test_what_the_cart_said_is_not_in_the_picture():
    assert "Li Na" not in text_of(recording_of(square(), said=("Li Na: sinus rhythm",)))


def test_a_text_is_no_markup_and_the_file_stays_xml():
    recording = patient(Pattern.ANTERIOR)
    reading = read_recording(recording, age_y=60, sex=Sex.MALE)
    title = "<script>alert(1)</script> & \x07 \ud800 前壁"
    value = Value(name="st_j_mv", lead="V2", measured=0.3, threshold=0.2)
    finding = Finding.model_construct(rule="r", version="1", source="s", title=title, priority=Priority.RED, leads=("V2",), values=(value,))
    page = fromstring(draw(recording, reading.model_copy(update={"findings": (finding,)}), measured_beats(recording), layout="3x4"))
    assert "<script>alert(1)</script> & 前壁" in [" ".join(text.split()) for text in texts(page)]
    shapes = {"svg", "title", "rect", "defs", "pattern", "path", "clipPath", "g", "text", "circle"}
    assert {element.tag.removeprefix(SVG) for element in page.iter()} <= shapes


@pytest.mark.parametrize("filling", [np.nan, np.inf, 1e6, 0.0])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_recording_can_be_drawn(layout, filling):
    page = drawn(recording_of(np.full((12, 50), filling)), layout)
    assert len(set(texts(page, "lead"))) == 12
    assert "CANNOT BE JUDGED" in texts(page)


@pytest.mark.parametrize("path", ["ptb/s0015lre.hea", "vendor/philips-1.03/129DYNRG.XML", "ludb/17.hea"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_real_recording_is_a_small_file(recordings, tmp_path, path, layout):
    out = tmp_path / "out.svg"
    done = CliRunner().invoke(app, ["ecg", "plot", str(recordings / path), "-o", str(out), "--layout", layout])
    assert done.exit_code == 0, done.stderr
    assert out.stat().st_size < 400_000
    assert len(set(texts(fromstring(out.read_bytes()), "lead"))) == 12


def test_a_file_that_cannot_be_read_is_refused_with_a_sentence_and_nothing_is_written(tmp_path):
    wrong, out = tmp_path / "letter.xml", tmp_path / "out.svg"
    wrong.write_text("Dear colleague", encoding="utf-8")
    for file in (wrong, tmp_path / "nowhere.hea"):
        done = CliRunner().invoke(app, ["ecg", "plot", str(file), "-o", str(out)])
        assert done.exit_code == 1
        assert file.name in done.stderr
        assert "Traceback" not in done.stderr
        assert not out.exists()


def test_a_layout_that_does_not_exist_is_a_usage_error(tmp_path):
    assert CliRunner().invoke(app, ["ecg", "plot", "a.dcm", "-o", str(tmp_path / "out.svg"), "--layout", "6x2"]).exit_code == 2


def test_an_output_that_cannot_be_written_is_refused_with_a_sentence(recordings, tmp_path):
    done = CliRunner().invoke(app, ["ecg", "plot", str(recordings / "ludb/17.hea"), "-o", str(tmp_path / "nowhere" / "out.svg")])
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr
