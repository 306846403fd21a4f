"""Nothing that names a person leaves the decoder."""

import pickle
from datetime import date

import pytest

from contracts.vocabulary import Sex
from services.runtime.archive import UploadedFile
from services.triage.anonymise import age_of, without_identity
from services.triage.decode import decode
from services.triage.reading import read
from services.triage.recording import Undecodable

NAMED = {
    "vendor/one-recording/Example.scp": ("Clark", "SBJ-123"),
    "vendor/one-recording/Example.dcm": ("Clark", "SBJ-123"),
    "vendor/one-recording/Example.xml": ("Clark", "SBJ-123"),
    "vendor/philips-1.04/3191723_ZZDEMOPTONLY_1-04_orig.xml": ("ZZDEMOPTONLY", "9999"),
    "vendor/philips-1.04/ad4d3d80-d165_1-04_orig.xml": ("Masoudi", "Frederick"),
    "vendor/dicom/anonymous_ecg.dcm": ("642341",),
}


@pytest.mark.parametrize("path", NAMED)
def test_no_name_or_number_of_the_file_is_in_what_comes_out(uploaded, path):
    reading, recording = read(uploaded(path), age_y=None, sex=None)
    assert recording is not None
    told = reading.model_dump_json() + repr((recording.leads, recording.age_y, recording.sex, recording.vendor_statements, recording.format))
    for secret in NAMED[path]:
        assert secret.lower() not in told.lower()


def test_a_statement_that_names_the_patient_is_dropped_and_the_others_stay(uploaded):
    (file,) = uploaded("vendor/muse/guangxi_teaching_sinus_rhythm.xml")
    text = file.content.decode("utf-8")
    assert "窦性心律" in text
    named = text.replace("<PatientLastName>Anonymous<", "<PatientLastName>欧阳娜娜<").replace("窦性心律", "娜娜 窦性心律")
    recording = decode([UploadedFile("a.xml", named.encode("utf-8"))])
    assert not any("娜娜" in statement for statement in recording.vendor_statements)
    assert "ST段抬高（提示心室早期复极）" in recording.vendor_statements


@pytest.mark.parametrize(
    ("statement", "identity", "kept"),
    [
        ("Sinus rhythm", ["Nor Us"], True),  # a name's short words do not hit
        ("Normal ECG", ["Nor"], True),  # nor do they within another word
        ("Compared with ECG of Clark", ["clark"], False),
        ("张三丰：窦性心律", ["张三丰"], False),
        ("三丰：窦性心律", ["张三丰"], False),
        ("三度房室传导阻滞", ["张三"], True),
        ("No. 44321 reviewed", ["44321"], False),
        ("Confirmed by SMITH", [], False),
        ("Referred by: X", [], False),
        ("tel 13812345678", [], False),
        ("426783006", [], True),
    ],
)
def test_what_names_somebody_is_told_from_what_does_not(statement, identity, kept):
    assert (without_identity([statement], identity) == (statement,)) is kept


@pytest.mark.parametrize(
    ("birth", "acquired", "printed_y", "age_y"),
    [
        (date(1953, 5, 8), date(2002, 11, 22), 46, 49),  # the birth date wins
        (date(1953, 11, 23), date(2002, 11, 22), None, 48),  # the day before the birthday
        (date(1900, 1, 1), date(2024, 1, 1), 11, None),  # a placeholder: neither is believed
        (date(1960, 1, 1), date(2024, 1, 1), 11, None),
        (date(2025, 1, 1), date(2024, 1, 1), None, None),
        (date(1953, 5, 8), None, 46, 46),
        (None, date(2024, 1, 1), 300, None),
        (None, None, None, None),
    ],
)
def test_an_age_that_cannot_be_is_unknown(birth, acquired, printed_y, age_y):
    assert age_of(birth=birth, acquired=acquired, printed_y=printed_y) == age_y


def test_the_uploads_facts_win_over_the_files(uploaded):
    reading, _ = read(uploaded("vendor/philips-1.03/129DYNRG.XML"), age_y=33, sex=Sex.FEMALE)
    assert (reading.age_y, reading.sex) == (33, Sex.FEMALE)
    reading, _ = read(uploaded("vendor/philips-1.03/129DYNRG.XML"), age_y=None, sex=None)
    assert (reading.age_y, reading.sex) == (50, Sex.MALE)


def test_an_error_crosses_a_process_border_and_quotes_nothing_of_the_file(uploaded):
    (file,) = uploaded("vendor/one-recording/Example.dcm")
    with pytest.raises(Undecodable) as refused:
        decode([UploadedFile("Clark.dcm", file.content[:9000])])
    again = pickle.loads(pickle.dumps(refused.value))
    assert (again.code, again.reason, again.cause) == (refused.value.code, refused.value.reason, refused.value.cause)
    assert "clark" not in str(again).lower()
    assert refused.value.__cause__ is None  # the library's own words may quote the file
    assert refused.value.__suppress_context__
