"""Nothing that names a person leaves the decoder."""

import io
import pickle
import re
from datetime import date

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from contracts.assessments import MAX_STATEMENT_CHARACTERS
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
        ("LI NA 窦性心律", ["NA", "LI"], False),  # a file keeps family and given name apart
        ("LI NA窦性心律", ["LI NA"], False),  # with no space before the Chinese
        ("Na, Li: sinus rhythm", ["LI NA"], False),
        ("ECG of LiNa", ["LI", "NA"], False),
        ("liyina sinus rhythm", ["LI", "YI NA"], False),
        ("ＬＩ　ＮＡ sinus rhythm", ["LI NA"], False),
        ("L\u200bi Na sinus rhythm", ["LI NA"], False),
        ("Wang Xiaoming: sinus rhythm", ["Wang", "Xiaoming"], False),
        ("wangxiaoming sinus rhythm", ["Wang", "Xiaoming"], False),
        ("Clark窦性心律", ["Clark"], False),
        ("窦性心律Dr. Wu", [], False),
        ("J. Li, sinus rhythm", ["Li", "J"], False),
        ("李娜 窦性心律", ["李", "娜"], False),
        ("李娜 窦性心律", ["李 娜"], False),
        ("tel 138-1234-5678", [], False),
        ("LV hypertrophy, ST elevation in V1", ["LV", "NA"], True),  # a family name alone is no name: carts write Lv for 吕
        ("Lateral ST-T change, li 3", ["Li"], True),
        ("V1 ST 0.2 mV, LV strain", ["V", "Li"], True),
        ("A-V block", ["A", "V"], True),
        ("Linear trend", ["Li", "Na"], True),
        ("高度房室传导阻滞", ["高"], True),
        ("Sinus " + "." * (MAX_STATEMENT_CHARACTERS - 10) + " Wang", ["Wang"], False),  # the cut would halve the name
    ],
)
def test_what_names_somebody_is_told_from_what_does_not(statement, identity, kept):
    assert (without_identity([statement], identity) == (statement,)) is kept


def test_a_name_of_two_short_words_in_a_cart_s_statement_does_not_leave(uploaded):
    (file,) = uploaded("vendor/muse/guangxi_teaching_sinus_rhythm.xml")
    text = file.content.decode("utf-8").replace("窦性心律", "LI NA 窦性心律")
    named = re.sub(r"<PatientLastName>.*?<", "<PatientFirstName>NA</PatientFirstName><PatientLastName>LI<", text)
    assert ">NA</PatientFirstName><PatientLastName>LI<" in named
    recording = decode([UploadedFile("a.xml", named.encode("utf-8"))])
    assert not any("NA" in statement for statement in recording.vendor_statements)
    assert "ST段抬高（提示心室早期复极）" in recording.vendor_statements


def test_who_reported_is_a_person_whatever_the_tag_around_the_name_is_called(uploaded):
    (file,) = uploaded("vendor/muse/guangxi_teaching_sinus_rhythm.xml")
    text = file.content.decode("utf-8").replace("窦性心律", "Hofmann 窦性心律")
    named = text.replace("<PatientDemographics>", "<ReportingPhysicianName>Hofmann</ReportingPhysicianName><PatientDemographics>", 1)
    assert any("Hofmann" in statement for statement in decode([UploadedFile("a.xml", text.encode())]).vendor_statements)
    assert not any("Hofmann" in statement for statement in decode([UploadedFile("a.xml", named.encode())]).vendor_statements)


def annotated(content: bytes, *texts: str) -> pydicom.Dataset:
    """Return the DICOM file with these statements of the cart."""
    file = pydicom.dcmread(io.BytesIO(content))
    file.WaveformAnnotationSequence = [pydicom.Dataset() for _ in texts]
    for item, text in zip(file.WaveformAnnotationSequence, texts, strict=True):
        item.UnformattedTextValue = text
    return file


def statements(file: pydicom.Dataset) -> tuple[str, ...]:
    out = io.BytesIO()
    file.save_as(out)
    return decode([UploadedFile("a.dcm", out.getvalue())]).vendor_statements


def test_a_person_named_deep_in_a_dicom_file_is_known_in_its_annotations(uploaded):
    (original,) = uploaded("vendor/one-recording/Example.dcm")
    file = annotated(original.content, "Sinus rhythm", "Seen with Hofmann", "Old number 7788-99", "Hofmann: normal")
    assert len(statements(file)) == 4
    step, code, other = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    code.PersonName = "Hofmann^Ada"
    step.PerformingPhysicianName = "Hofmann^Ada"
    step.PerformingPhysicianIdentificationSequence = [code]
    other.PatientID = "7788-99"
    file.ReferencedPerformedProcedureStepSequence = [step]
    file.OtherPatientIDsSequence = [other]
    assert statements(file) == ("Sinus rhythm",)


def test_where_the_names_of_a_dicom_file_cannot_be_known_no_statement_leaves_and_the_leads_stay(uploaded):
    (original,) = uploaded("vendor/one-recording/Example.dcm")
    sound = decode([original])
    broken = annotated(original.content, "Sinus rhythm")
    tag = Tag(0x0040, 0x0275)
    broken._dict[tag] = RawDataElement(tag, "SQ", 6, b"123123", 0, False, True)
    deep = annotated(original.content, "Sinus rhythm")
    innermost = deep
    for _ in range(20):
        innermost.ContentSequence = [pydicom.Dataset()]
        innermost = innermost.ContentSequence[0]
    for file in (broken, deep):
        out = io.BytesIO()
        file.save_as(out)
        recording = decode([UploadedFile("a.dcm", out.getvalue())])
        assert recording.vendor_statements == ()
        assert (recording.samples_mv == sound.samples_mv)[~(sound.samples_mv != sound.samples_mv)].all()


def test_a_file_with_more_names_than_can_be_compared_gives_no_statement():
    assert without_identity(["Sinus rhythm"], ["Clark"] * 5000) == ("Sinus rhythm",)
    assert without_identity(["Sinus rhythm"], [f"Name{number}" for number in range(5000)]) == ()


def test_a_name_among_the_lines_of_a_wfdb_diagnosis_is_known_as_one(uploaded):
    *signals, header = sorted(uploaded("ludb/56.hea"), key=lambda file: file.name)
    named = b"<diagnoses>:\n#Patient name: Li Na\n#Sinus rhythm of Li Na\n#Referring physician: Hofmann\n#Hofmann agrees"
    content = header.content.replace(b"<diagnoses>:", named)
    assert content != header.content
    recording = decode([UploadedFile(header.name, content), *signals])
    assert recording.vendor_statements == decode([header, *signals]).vendor_statements


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
