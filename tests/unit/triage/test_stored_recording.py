"""The second blob gives back what was decoded, and nothing about a person."""

import numpy as np
import pytest

from services.triage.decode import decode
from services.triage.reading import read_recording
from services.triage.stored import BadStoredRecording, decode_stored, encode


@pytest.mark.parametrize("path", ["vendor/one-recording/Example.dcm", "vendor/muse/guangxi_teaching_sinus_rhythm.xml", "ptb/s0010_re.hea"])
def test_a_recording_comes_back_to_the_microvolt_with_its_verdict(uploaded, path):
    recording = decode(uploaded(path))
    again = decode_stored(encode(recording))
    np.testing.assert_allclose(again.samples_mv, recording.samples_mv, atol=6e-4)
    assert (again.leads, again.fs_hz, again.age_y, again.sex, again.vendor_statements, again.format) == (
        recording.leads, recording.fs_hz, recording.age_y, recording.sex, recording.vendor_statements, recording.format,
    )  # fmt: skip
    assert read_recording(again, age_y=None, sex=None).priority is read_recording(recording, age_y=None, sex=None).priority


def test_a_gap_stays_a_gap(uploaded):
    recording = decode(uploaded("ludb/56.hea"))
    recording.samples_mv[3, 100:200] = np.nan
    again = decode_stored(encode(recording))
    np.testing.assert_array_equal(np.isnan(again.samples_mv), np.isnan(recording.samples_mv))


def test_the_same_recording_gives_the_same_bytes(uploaded):
    assert encode(decode(uploaded("ludb/56.hea"))) == encode(decode(uploaded("ludb/56.hea")))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY"])
def test_bytes_that_are_no_stored_recording_are_refused(content):
    with pytest.raises(BadStoredRecording):
        decode_stored(content)
