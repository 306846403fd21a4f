"""What the cart measured by itself is kept as numbers, beside its statements: nothing impossible, no text, and never judged by."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from contracts.assessments import VendorMeasurements
from contracts.vocabulary import Priority
from services.runtime.archive import UploadedFile
from services.triage.decode import decode
from services.triage.reading import read, read_recording
from services.triage.stored import BadStoredRecording, decode_stored, encode
from tests.unit.triage.cart_files import mortara

MUSE = "vendor/muse/guangxi_teaching_sinus_rhythm.xml"
AECG = "vendor/one-recording/Example.xml"
SAME = {"pr_ms": 148, "qrs_ms": 120, "qt_ms": 420, "qtc_ms": 443}
AXES = {"p_axis_deg": 44, "qrs_axis_deg": -61, "t_axis_deg": 86}
STATED = {  # as a person reads them in the files
    "vendor/one-recording/Example.scp": SAME | AXES,
    "vendor/one-recording/Example.dcm": SAME,  # its axes are said to be milliseconds: not taken
    AECG: SAME | AXES,
    MUSE: {
        "heart_rate_bpm": 97,
        "rr_ms": 616,
        "pr_ms": 122,
        "qrs_ms": 74,
        "qt_ms": 328,
        "qtc_ms": 417,
        "qtcf_ms": 384,
        "p_axis_deg": 31,
        "qrs_axis_deg": 63,
        "t_axis_deg": 49,
    },
    "vendor/dicom/guangxi_teaching_sinus_rhythm.dcm": {
        "heart_rate_bpm": 97,
        "pr_ms": 122,
        "qrs_ms": 74,
        "qt_ms": 328,
        "qtc_ms": 417,
        "p_axis_deg": 31,
        "qrs_axis_deg": 63,
        "t_axis_deg": 49,
    },
    "vendor/philips-1.03/129DYPRG.XML": {
        "heart_rate_bpm": 41,
        "pr_ms": 151,
        "qrs_ms": 135,
        "qt_ms": 476,
        "qtc_ms": 393,
        "p_axis_deg": 66,
        "qrs_axis_deg": -21,
        "t_axis_deg": 59,
    },
    "vendor/philips-1.03/129ECORG.XML": {},  # it counted no beat, and gives every axis as -1
    "ludb/56.hea": {},
}


def stated(recording_measurements: VendorMeasurements) -> dict[str, float]:
    return recording_measurements.model_dump(exclude_none=True)


@pytest.mark.parametrize("path", STATED)
def test_the_carts_measurements_reach_the_reading_and_the_stored_recording(uploaded, path):
    reading, recording = read(uploaded(path), age_y=None, sex=None)
    assert recording is not None
    assert stated(reading.vendor_measurements) == STATED[path]
    assert stated(decode_stored(encode(recording)).vendor_measurements) == STATED[path]


def test_the_measurements_of_a_mortara_file_are_kept(uploaded):
    content = mortara(decode(uploaded("ludb/56.hea")), beat='<TYPICAL_CYCLE PR_DURATION="160" QRS_DURATION="92" QT="380" QTC="401" QTB="410"/>')
    assert stated(decode([UploadedFile("a", content)]).vendor_measurements) == {
        "heart_rate_bpm": 61, "pr_ms": 160, "qrs_ms": 92, "qt_ms": 380, "qtc_ms": 401, "qtcb_ms": 410,
    }  # fmt: skip


@pytest.mark.parametrize("value", ["-5", "1201", "99999999", "0", "1e3000", "nan", "about 400", "4" * 400])
def test_an_impossible_measurement_is_not_kept_and_the_others_are(uploaded, value):
    (file,) = uploaded(MUSE)
    changed = re.sub(rb"<QTInterval>[^<]*<", b"<QTInterval>" + value.encode() + b"<", file.content)
    assert changed != file.content
    told = stated(decode([UploadedFile("a", changed)]).vendor_measurements)
    assert told == {name: number for name, number in STATED[MUSE].items() if name != "qt_ms"}


def test_no_text_of_a_measurement_is_kept(uploaded):
    (file,) = uploaded(AECG)
    named = file.content.replace(b"MDC_ECG_TIME_PD_QTc", b"MDC_ECG_Hofmann_Ada_7788")
    assert named != file.content
    reading, _ = read([UploadedFile("a", named)], age_y=None, sex=None)
    assert reading.vendor_measurements.qtc_ms is None
    assert "Hofmann" not in reading.model_dump_json()


def test_a_turned_axis_is_told_from_minus_180_to_180_degrees(uploaded):
    file = pydicom.dcmread(io.BytesIO(uploaded("vendor/dicom/guangxi_teaching_sinus_rhythm.dcm")[0].content))
    for item in file.WaveformAnnotationSequence:
        if "ConceptNameCodeSequence" in item and "QRS" in item.ConceptNameCodeSequence[0].CodeMeaning and "xis" in str(item):
            item.NumericValue = "299"
    out = io.BytesIO()
    file.save_as(out)
    assert decode([UploadedFile("a", out.getvalue())]).vendor_measurements.qrs_axis_deg == -61


def test_no_rule_sees_the_carts_measurements(uploaded):
    (file,) = uploaded("vendor/philips-1.03/129DYNRG.XML")
    changed = re.sub(rb"<(meanqrsdur|heartrate|meanqtint)>[^<]*<", rb"<\1>170<", file.content)
    assert changed != file.content
    sound, _ = read([file], age_y=None, sex=None)
    reading, _ = read([UploadedFile("a", changed)], age_y=None, sex=None)
    assert reading.vendor_measurements.qrs_ms == 170
    unsaid = {"vendor_measurements": VendorMeasurements()}
    assert reading.model_copy(update=unsaid) == sound.model_copy(update=unsaid)


def test_a_qtc_in_another_unit_is_not_taken(uploaded):
    (file,) = uploaded(AECG)
    changed = re.sub(rb'(MDC_ECG_TIME_PD_QTc".*?unit=")ms"', rb'\1cm"', file.content, flags=re.DOTALL)
    assert changed != file.content
    assert stated(decode([UploadedFile("a", changed)]).vendor_measurements) == {
        name: number for name, number in STATED[AECG].items() if name != "qtc_ms"
    }


def test_what_a_recording_that_cannot_be_judged_says_of_itself_is_kept_too(uploaded):
    recording = decode(uploaded(MUSE))
    flat = replace(recording, samples_mv=np.zeros_like(recording.samples_mv))
    reading = read_recording(flat, age_y=None, sex=None)
    assert reading.priority is Priority.NOT_EVALUABLE
    assert stated(reading.vendor_measurements) == STATED[MUSE]
    assert reading.vendor_statements == recording.vendor_statements


def with_facts(blob: bytes, change: Callable[[dict[str, object]], object]) -> bytes:
    """Return the stored recording with its facts changed."""
    with np.load(io.BytesIO(blob)) as stored_members:
        members = dict(stored_members)
    facts = json.loads(str(members["facts"]))
    change(facts)
    out = io.BytesIO()
    np.savez(out, **members | {"facts": np.array(json.dumps(facts))})
    return out.getvalue()


def test_a_stored_recording_from_before_they_were_kept_is_read_and_an_impossible_one_is_not(uploaded):
    blob = encode(decode(uploaded(MUSE)))
    before = with_facts(blob, lambda facts: facts.pop("vendor_measurements"))
    assert stated(decode_stored(before).vendor_measurements) == {}
    with pytest.raises(BadStoredRecording):
        decode_stored(with_facts(blob, lambda facts: facts.update(vendor_measurements={"qrs_ms": 1e9})))
