"""Every format gives one `Recording`: right leads, right millivolts, right rate, as an independent reader sees them."""

from pathlib import Path

import numpy as np
import pytest
import wfdb

from services.runtime.archive import UploadedFile
from services.triage.decode import decode
from services.triage.recording import STANDARD, Undecodable

TWINS = ("vendor/one-recording/Example.scp", "vendor/one-recording/Example.dcm", "vendor/one-recording/Example.xml")


def test_every_recording_of_the_manifest_has_its_twelve_leads_rate_and_length(uploaded, manifest):
    wrong = []
    for row in manifest:
        if row["category"] == "BAD INPUT":
            continue
        recording = decode(uploaded(row["file"]))
        seconds = 10.0 if row["format"].startswith("Philips") else float(row["seconds"])  # the eleventh second is a calibration pulse
        if recording.leads != STANDARD or recording.fs_hz != float(row["fs"]) or abs(recording.seconds - seconds) > 0.1:
            wrong.append((row["file"], recording.leads, recording.fs_hz, recording.seconds))
    assert len(manifest) > 600
    assert wrong == []


def test_wfdb_samples_are_those_that_the_reference_reader_gives(uploaded, manifest, recordings: Path):
    paths = [row["file"] for row in manifest if row["format"].startswith("WFDB")]
    for path in [*paths[:: max(1, len(paths) // 120)], "ptb/s0010_re.hea", "challenge/S0008.hea"]:
        recording = decode(uploaded(path))
        reference = wfdb.rdrecord(str(recordings / path).removesuffix(".hea"))
        columns = [[name.lower() for name in reference.sig_name].index(lead.lower()) for lead in recording.leads]
        np.testing.assert_allclose(recording.samples_mv, reference.p_signal[:, columns].T, atol=1e-5, equal_nan=True, err_msg=path)


def test_one_recording_in_three_formats_is_the_same_to_the_microvolt(uploaded):
    scp, dicom, aecg = (decode(uploaded(path)) for path in TWINS)
    assert scp.leads == dicom.leads == aecg.leads == STANDARD  # the files themselves differ in order
    np.testing.assert_allclose(dicom.samples_mv, scp.samples_mv, atol=1e-3)
    np.testing.assert_allclose(aecg.samples_mv, scp.samples_mv, atol=1e-3)
    assert scp.age_y == dicom.age_y == aecg.age_y == 49  # born 1953-05-08; the aECG prints 46


def test_a_lone_sample_of_the_dicom_padding_value_is_data_and_a_run_is_a_gap(uploaded):
    pydicom = pytest.importorskip("pydicom")
    assert np.isfinite(decode(uploaded("vendor/one-recording/Example.dcm")).samples_mv).all()
    import io

    file = pydicom.dcmread(io.BytesIO(uploaded("vendor/one-recording/Example.dcm")[0].content))
    group = file.WaveformSequence[0]
    codes = np.frombuffer(group.WaveformData, dtype="<i2").reshape(5000, 12).copy()
    codes[1000:1200, 3] = 0  # 400 ms of padding in the fourth channel, aVR
    group.WaveformData = codes.tobytes()
    out = io.BytesIO()
    file.save_as(out)
    recording = decode([UploadedFile("gap.dcm", out.getvalue())])
    gap = np.isnan(recording.samples_mv)
    assert gap[STANDARD.index("aVR"), 1000:1200].all()
    assert gap.sum() - 200 < 25  # real zeros touching its ends belong to the run


def test_the_calibration_pulse_of_philips_is_cut_off(uploaded):
    recording = decode(uploaded("vendor/philips-1.03/129DYNRG.XML"))
    assert recording.samples_mv.shape == (12, 5000)


def test_the_limb_leads_that_muse_leaves_out_are_derived(uploaded):
    recording = decode(uploaded("vendor/muse/synthetic_muse.xml"))
    lead = dict(zip(recording.leads, recording.samples_mv, strict=True))
    np.testing.assert_allclose(lead["III"], lead["II"] - lead["I"], atol=1e-5)
    np.testing.assert_allclose(lead["aVR"], -(lead["I"] + lead["II"]) / 2, atol=1e-5)
    np.testing.assert_allclose(lead["aVL"] + lead["aVR"] + lead["aVF"], 0, atol=1e-5)


def test_an_empty_scp_section_that_no_lead_needs_does_not_cost_the_recording(uploaded):
    recording = decode(uploaded("vendor/scp/test.scp"))
    assert recording.leads == STANDARD
    assert "Long QTc interval" in recording.vendor_statements


def test_the_names_of_files_do_not_say_what_they_hold(uploaded):
    (file,) = uploaded("vendor/one-recording/Example.scp")
    assert decode([UploadedFile("holiday.jpg", file.content)]).format == "SCP-ECG"


def test_the_parts_of_a_wfdb_record_come_in_any_order_and_with_strangers(uploaded):
    files = uploaded("ptb/s0010_re.hea")
    expected = decode(files)
    again = decode([UploadedFile("notes.txt", b"hello"), *reversed(files)])
    np.testing.assert_array_equal(again.samples_mv, expected.samples_mv)


def test_a_wfdb_record_name_with_an_ending_is_taken(uploaded):
    header, signal = uploaded("challenge/A0001.hea")
    odd = UploadedFile(header.name, header.content.replace(b"A0001 12", b"A0001.mat 12", 1))
    np.testing.assert_array_equal(decode([odd, signal]).samples_mv, decode([header, signal]).samples_mv)


@pytest.mark.parametrize("name", ["../../../../etc/passwd", "/etc/passwd", "A0001.mat"])
def test_a_header_reads_no_file_but_those_sent_with_it(uploaded, name):
    header, _ = uploaded("challenge/A0001.hea")
    with pytest.raises(Undecodable) as refused:
        decode([UploadedFile("a.hea", header.content.replace(b"A0001.mat", name.encode()))])
    assert refused.value.code == "signal_file_missing"
    assert name not in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"16+24 1000/mV", b"16+24", "no_scale"),  # no gain
        (b" 500 7500", b"", "bad_header"),  # no rate
        (b" 500 7500", b" 500 99999999999", "bad_header"),
        (b"A0001 12", b"A0001/3 12", "several_segments"),
        (b"16+24", b"0+24", "bad_header"),  # signals stored nowhere
    ],
)
def test_a_header_that_leaves_something_open_is_refused_and_nothing_is_guessed(uploaded, old, new, code):
    header, signal = uploaded("challenge/A0001.hea")
    lines = [line[: line.index(b"/mV")].rsplit(b" ", 1)[0] if code == "no_scale" and b"/mV" in line else line for line in header.content.splitlines()]
    content = b"\n".join(lines) if code == "no_scale" else header.content.replace(old, new)
    with pytest.raises(Undecodable) as refused:
        decode([UploadedFile(header.name, content), signal])
    assert refused.value.code == code


def test_two_recordings_at_once_are_refused(uploaded):
    with pytest.raises(Undecodable, match="one recording at a time"):
        decode([*uploaded(TWINS[0]), *uploaded(TWINS[1])])
