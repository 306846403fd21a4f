"""The traps that real files set (reference ecg.md, Decoding): each sprung once, and nothing wrong is read."""

import io
import re
import struct
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from contracts.vocabulary import Priority
from services.runtime.archive import UploadedFile
from services.triage.decode import decode
from services.triage.reading import read
from services.triage.recording import STANDARD, Recording, Undecodable
from tests.unit.triage.cart_files import mfer, mortara, without_checksums

NORMAL = "ludb/56.hea"
MUSE = "vendor/muse/guangxi_teaching_sinus_rhythm.xml"
SCP = "vendor/one-recording/Example.scp"
DICOM = "vendor/one-recording/Example.dcm"


def wfdb_files(fs_hz: str, gain: str = "1000") -> list[UploadedFile]:
    """A WFDB record of twelve leads: 5,000 samples in steps of a thousandth of a `gain`."""
    values = np.rint(1000 * np.outer(np.linspace(0.5, 1.5, 12), np.sin(np.arange(5000) / 40))).astype("<i2")
    lines = [f"r 12 {fs_hz} 5000", *(f"r.dat 16 {gain}/mV 16 0 0 0 0 {lead}" for lead in STANDARD)]
    return [UploadedFile("r.hea", "\n".join(lines).encode()), UploadedFile("r.dat", values.T.tobytes())]


def test_a_wfdb_header_that_has_the_date_where_the_time_should_be_is_read(uploaded):
    header, signal = uploaded("challenge/A0001.hea")
    assert re.search(rb"^A0001 12 500 7500 \d\d-\w{3}-\d{4} \d\d:\d\d:\d\d", header.content)
    assert decode([header, signal]).samples_mv.shape == (12, 7500)


@pytest.mark.parametrize("path", ["vendor/philips-1.03/129DYPRG.XML", "vendor/philips-1.04/3191723_ZZDEMOPTONLY_1-04_orig.xml"])
def test_no_calibration_pulse_is_left_in_a_philips_recording(uploaded, path):
    (file,) = uploaded(path)
    quiet_mv = np.ptp(decode([file]).samples_mv[:, -150:], axis=1)
    assert quiet_mv.min() < 0.5  # the pulse is a step of 1 mV in every lead, in the eleventh second


def test_each_lead_of_a_muse_file_is_that_of_its_twin_in_dicom(uploaded):
    muse, dicom = decode(uploaded(MUSE)), decode(uploaded("vendor/dicom/guangxi_teaching_sinus_rhythm.dcm"))
    assert muse.leads == dicom.leads == STANDARD
    apart_mv = np.abs(dicom.samples_mv[:, None] - muse.samples_mv).max(axis=2)
    assert apart_mv.argmin(axis=1).tolist() == list(range(12))  # V5 is V5, and no neighbour's
    np.testing.assert_allclose(muse.samples_mv, dicom.samples_mv, atol=3e-3)  # each rounds its three augmented leads


@pytest.mark.parametrize("fs_hz", ["100", "128", "250", "257.5", "360", "400", "500", "977.5", "1000"])
def test_the_rate_of_a_wfdb_record_is_kept_as_it_is(fs_hz):
    assert decode(wfdb_files(fs_hz)).fs_hz == float(fs_hz)


def test_the_rate_of_the_other_formats_is_kept_where_it_is_no_whole_number(uploaded):
    recording = decode(uploaded(NORMAL))
    assert decode([UploadedFile("a", mortara(recording, rate="512.82"))]).fs_hz == 512.82
    assert decode([UploadedFile("a", mfer(replace(recording, fs_hz=1e6 / 1953)))]).fs_hz == pytest.approx(512.0328, abs=1e-4)
    file = pydicom.dcmread(io.BytesIO(uploaded(DICOM)[0].content))
    file.WaveformSequence[0].SamplingFrequency = "499.6"
    out = io.BytesIO()
    file.save_as(out)
    assert decode([UploadedFile("a", out.getvalue())]).fs_hz == 499.6
    content = bytearray(without_checksums(uploaded(SCP)[0].content))
    struct.pack_into("<H", content, section_at(bytes(content), 6) + 2, 1953)
    assert decode([UploadedFile("a", bytes(content))]).fs_hz == pytest.approx(512.0328, abs=1e-4)


def section_at(scp: bytes, section: int) -> int:
    """Return where the data of a section begin: of the rhythm (6) the step in nV and the sample interval in us, of the leads (3) number and flags."""
    pointers = (struct.unpack_from("<HII", scp, at) for at in range(22, 22 + 12 * 10, 10))
    return next(index - 1 + 16 for number, _, index in pointers if number == section)


def test_a_gain_is_read_with_all_the_decimals_that_a_writer_gives_it():
    written, rounded = (decode(wfdb_files("500", gain)) for gain in ("987.654320987654", "987.65432"))
    assert written.samples_mv == pytest.approx(rounded.samples_mv, rel=1e-6)


@pytest.mark.parametrize("gain", ["1000000", "10", "1"])
def test_amplitudes_that_are_off_by_powers_of_ten_are_no_quiet_ecg(uploaded, gain):
    header, signal = uploaded("challenge/A0001.hea")
    content = header.content.replace(b"1000/mV", f"{gain}/mV".encode())
    assert content != header.content
    reading, recording = read([UploadedFile(header.name, content), signal], age_y=None, sex=None)
    assert recording is not None
    assert reading.priority is Priority.NOT_EVALUABLE
    assert {problem.code for problem in reading.quality.problems} & {"implausible", "flat", "saturated"}


def test_an_scp_recording_of_hundreds_of_millivolts_is_implausible(uploaded):
    (file,) = uploaded(SCP)
    content = bytearray(without_checksums(file.content))
    struct.pack_into("<H", content, section_at(file.content, 6), 65_535)
    reading, recording = read([UploadedFile("a", bytes(content))], age_y=None, sex=None)
    assert recording is not None
    assert np.ptp(recording.samples_mv, axis=1).min() > 15
    assert reading.priority is Priority.NOT_EVALUABLE
    assert "implausible" in {problem.code for problem in reading.quality.problems}


def test_an_scp_file_whose_beat_is_said_to_be_subtracted_but_cannot_be_added_is_refused(uploaded):
    (file,) = uploaded(SCP)
    leads_at = section_at(file.content, 3)
    assert file.content[leads_at] == 12
    content = bytearray(without_checksums(file.content))
    content[leads_at + 1] |= 1
    with pytest.raises(Undecodable) as refused:
        decode([UploadedFile("a", bytes(content))])
    assert refused.value.code == "undecodable"


@pytest.mark.parametrize("encoding", ["GB2312", "gbk", "GB18030"])
def test_a_file_in_a_chinese_encoding_reads_as_the_same_in_utf_8(uploaded, encoding):
    (file,) = uploaded(MUSE)
    text = file.content.decode("utf-8")
    chinese = re.sub(r'encoding="[^"]*"', f'encoding="{encoding}"', text, count=1).encode("gb18030")
    expected = decode([file])
    recording = decode([UploadedFile("a", chinese)])
    assert "窦性心律" in recording.vendor_statements
    assert recording.vendor_statements == expected.vendor_statements
    np.testing.assert_array_equal(recording.samples_mv, expected.samples_mv)


@pytest.mark.parametrize("spoilt", ['VENT_RATE="NaN"', 'VENT_RATE="1e999"'])
def test_a_mortara_measurement_that_is_no_number_does_not_cost_the_leads(uploaded, spoilt):
    expected = decode(uploaded(NORMAL))
    content = mortara(expected).replace(b'VENT_RATE="61"', spoilt.encode())
    np.testing.assert_allclose(decode([UploadedFile("a", content)]).samples_mv, expected.samples_mv, atol=1e-3)


def test_a_broken_averaged_beat_of_a_mortara_file_does_not_cost_the_leads(uploaded):
    expected = decode(uploaded(NORMAL))
    beat = '<TYPICAL_CYCLE BITS="16" ENCODING="BASE64"><TYPICAL_CYCLE_CHANNEL NAME="I" DATA="###"/></TYPICAL_CYCLE>'
    np.testing.assert_allclose(decode([UploadedFile("a", mortara(expected, beat=beat))]).samples_mv, expected.samples_mv, atol=1e-3)


def test_an_xml_file_that_only_calls_its_root_ecg_is_of_no_known_kind(uploaded):
    with pytest.raises(Undecodable) as refused:
        decode([UploadedFile("a", b"<ECG><SIGNAL/></ECG>")])
    assert refused.value.code == "unknown_format"


def test_eight_leads_make_twelve_in_every_written_format(uploaded):
    whole = decode(uploaded(NORMAL))
    rows = [whole.leads.index(lead) for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")]
    eight = Recording(tuple(whole.leads[row] for row in rows), whole.samples_mv[rows], whole.fs_hz, None, None, (), "")
    for content in (mfer(eight), mortara(eight)):
        recording = decode([UploadedFile("a", content)])
        assert recording.leads == STANDARD
        np.testing.assert_allclose(recording.samples_mv, whole.samples_mv, atol=2e-3)
