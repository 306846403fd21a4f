"""MFER, ISHNE, EDF and Mortara: what a cart would write from a real recording reads as that recording, and what no cart would write is refused."""

import struct
from dataclasses import replace

import numpy as np
import pytest

from contracts.vocabulary import Priority, Sex
from services.runtime.archive import UploadedFile
from services.triage.decode import decode
from services.triage.reading import read, read_recording
from services.triage.recording import Recording, Undecodable
from tests.unit.triage.cart_files import (
    AGE_Y,
    FAMILY,
    GIVEN,
    NUMBER,
    edf,
    ishne,
    mfer,
    mfer_head,
    mfer_waves,
    mortara,
    steps,
    tlv,
)

RED = "challenge/S0008.hea"  # a real anterior infarction
WRITERS = {"ISHNE": ishne, "MFER": mfer, "Mortara": mortara, "EDF": edf}


@pytest.fixture(scope="module")
def original(uploaded) -> Recording:
    """The first ten seconds: the record has two minutes."""
    whole = decode(uploaded(RED))
    return replace(whole, samples_mv=whole.samples_mv[:, : round(10 * whole.fs_hz)])


def as_file(content: bytes) -> list[UploadedFile]:
    return [UploadedFile("recording", content)]


def refusal(content: bytes) -> str:
    with pytest.raises(Undecodable) as refused:
        decode(as_file(content))
    assert refused.value.reason.endswith(".")
    assert refused.value.cause != "MemoryError"  # refused by its numbers, not by running out
    return refused.value.code


@pytest.mark.parametrize("step_uv", [1.0, 2.5])
@pytest.mark.parametrize("form", WRITERS)
def test_samples_leads_rate_age_and_sex_come_back(original, form, step_uv):
    recording = decode(as_file(WRITERS[form](original, step_uv=step_uv)))
    assert recording.format == form
    assert recording.leads == original.leads
    assert recording.fs_hz == original.fs_hz
    np.testing.assert_allclose(recording.samples_mv, original.samples_mv, atol=step_uv / 2000 + 1e-6)
    assert (recording.age_y, str(recording.sex)) == (AGE_Y, "F")


@pytest.mark.parametrize("form", WRITERS)
def test_the_findings_are_those_of_the_wfdb_original(original, form):
    expected = read_recording(original, age_y=60, sex=Sex.MALE)
    reading, _ = read(as_file(WRITERS[form](original)), age_y=60, sex=Sex.MALE)
    assert expected.priority is Priority.RED
    assert (reading.priority, reading.findings, reading.measurements) == (expected.priority, expected.findings, expected.measurements)


@pytest.mark.parametrize("form", WRITERS)
def test_nobody_who_is_named_in_the_file_is_in_what_comes_out(original, form):
    content = WRITERS[form](original)
    assert all(name.encode() in content for name in (FAMILY, GIVEN, NUMBER))
    recording = decode(as_file(content))
    told = repr((recording.leads, recording.age_y, recording.sex, recording.vendor_statements, recording.format))
    assert not any(name in told for name in (FAMILY, GIVEN, NUMBER))


def test_a_mortara_statement_that_names_somebody_is_dropped_and_the_others_stay(original):
    said = ["Sinus rhythm", f"Known to {FAMILY}", f"No {NUMBER}", "Acquired with Castor", "Pollux agrees", "ST elevation in V2"]
    assert decode(as_file(mortara(original, statements=said))).vendor_statements == ("Sinus rhythm", "ST elevation in V2")


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
def test_a_file_cut_short_is_refused(original, form, share):
    content = WRITERS[form](original)
    assert refusal(content[: int(share * len(content))])


def test_an_ishne_header_without_its_checksum_s_bytes_is_refused_and_either_byte_order_is_taken(original):
    content = bytearray(ishne(original, comment=b"Resting"))
    assert decode(as_file(ishne(original, crc_swapped=True))).leads == original.leads
    content[207] ^= 1  # the amplitude of a step of the first lead
    assert refusal(bytes(content)) == "undecodable"


def test_a_fault_in_an_ishne_lead_is_a_gap_and_no_voltage(original):
    values = original.samples_mv.copy()
    values[6, 1000:1100] = -32.768
    faulty = replace(original, samples_mv=values)
    gap = np.isnan(decode(as_file(ishne(faulty))).samples_mv)
    assert gap[6, 1000:1100].all()
    assert gap.sum() == 100


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("block", [1, 100, 2500])
def test_mfer_samples_come_back_whatever_the_order_of_their_bytes_and_the_length_of_a_block(original, order, block):
    np.testing.assert_allclose(decode(as_file(mfer(original, order=order, block=block))).samples_mv, original.samples_mv, atol=5e-4)


def test_the_null_value_of_an_mfer_file_is_a_gap(original):
    values = original.samples_mv.copy()
    values[2, 50:90] = -32.768
    gap = np.isnan(decode(as_file(mfer(replace(original, samples_mv=values), extra=tlv(0x12, b"\x80\x00")))).samples_mv)
    assert gap[2, 50:90].all()
    assert gap.sum() == 40


def in_frames(original: Recording, pointers: tuple[int, ...]) -> bytes:
    values = steps(original, 1.0)
    length = values.shape[1] // len(pointers)
    out = mfer_head(original)
    for frame, pointer in enumerate(pointers):
        out += tlv(0x07, struct.pack(">i", pointer))
        out += b"".join(mfer_waves(values[:, frame * length : (frame + 1) * length], block=length, order=">"))
    return out


def test_mfer_frames_are_joined_and_a_gap_between_them_is_refused(original):
    half = original.samples_mv.shape[1] // 2
    np.testing.assert_allclose(decode(as_file(in_frames(original, (0, half)))).samples_mv, original.samples_mv, atol=5e-4)
    assert refusal(in_frames(original, (0, half + 500))) == "several_segments"


def test_an_mfer_file_that_leaves_its_rate_or_its_scale_open_is_refused_and_nothing_is_guessed(original):
    content = mfer(original)
    interval = tlv(0x0B, struct.pack(">bbI", 1, -6, round(1e6 / original.fs_hz)))
    sensitivity = tlv(0x0C, struct.pack(">bbH", 0, -8, 100))
    assert refusal(content.replace(interval, b"")) == "bad_rate"
    assert refusal(content.replace(sensitivity, b"")) == "no_scale"


ABSURD = {
    "a sample part of 4 GB": b"\x1e\x84\xff\xff\xff\xff",
    "four billion channels": tlv(0x05, b"\xff\xff\xff\xff") + tlv(0x1E, bytes(4000)),
    "as many channels as bytes": tlv(0x05, struct.pack(">I", 3_000_000)) + tlv(0x1E, bytes(3_000_000)),
    "four billion samples a block": tlv(0x04, b"\xff\xff\xff\xff") + tlv(0x1E, bytes(4000)),
    "four billion sequences": tlv(0x06, b"\xff\xff\xff\xff") + tlv(0x1E, bytes(4000)),
    "a megabyte a frame, of which nothing is there": tlv(0x04, struct.pack(">I", 40_000)) + tlv(0x1E, bytes(24)) * 2000,
    "a channel beyond all leads": tlv(0x3F, tlv(0x09, b"\x01"), 64),
    "a channel number without end": b"\x3f" + b"\xff" * 3_000_000,
    "definitions without end": tlv(0x16, b"a") * 1_000_000,
    "groups within groups": b"".join(b"\x67\x84" + struct.pack(">I", 6 * (50_000 - depth)) for depth in range(50_000)),
    "groups of no length": b"\x67\x80" * 1_000_000,
}


@pytest.mark.parametrize("what", ABSURD)
@pytest.mark.timeout(20)  # some of these took hours, or gigabytes, before they were bounded
def test_an_mfer_file_that_promises_the_absurd_is_refused(original, what):
    assert refusal(mfer(original, extra=ABSURD[what])) in ("undecodable", "too_large")


def test_a_holter_recording_is_refused_for_its_length(original):
    assert refusal(ishne(original) + bytes(40_000_000)) == "too_large"
    assert refusal(mfer(original) + bytes(40_000_000)) == "too_large"


@pytest.mark.parametrize("field", [10, 14, 18, 22, 156, 206, 272])
@pytest.mark.parametrize("value", [b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", bytes(4)])
def test_an_ishne_header_of_extremes_gives_no_other_recording(original, field, value):
    content = bytearray(ishne(original))
    content[8:10] = bytes(2)  # a checksum of zero is none
    content[field : field + 4] = value
    try:
        recording = decode(as_file(bytes(content)))
    except Undecodable:
        assert refusal(bytes(content))
        return
    rows = [original.leads.index(lead) for lead in recording.leads if lead not in ("I", "II")]  # two leads may have lost their scale
    kept = [recording.leads.index(original.leads[row]) for row in rows]
    np.testing.assert_allclose(recording.samples_mv[kept], original.samples_mv[rows], atol=2e-3)


def test_edf_samples_come_back_whatever_the_length_of_a_record(original):
    for record_s in (0.1, 0.5, 2.5):
        recording = decode(as_file(edf(original, record_s=record_s)))
        assert (recording.leads, recording.fs_hz) == (original.leads, original.fs_hz)
        np.testing.assert_allclose(recording.samples_mv, original.samples_mv, atol=6e-4)
    assert decode(as_file(edf(replace(original, fs_hz=977.5), record_s=2, kind=""))).fs_hz == 977.5


def test_edf_records_with_a_gap_between_them_are_refused_whatever_the_header_says(original):
    assert refusal(edf(original, kind="EDF+D")) == "several_segments"
    assert refusal(edf(original, gap_s=0.2)) == "several_segments"


def test_an_annotation_of_an_edf_file_is_not_kept(original):
    content = edf(original, said="Seen by Ada Hofmann")
    assert b"Seen by Ada" in content
    assert decode(as_file(content)).vendor_statements == ()


def test_an_edf_file_whose_patient_looks_like_a_wfdb_header_is_edf(original):
    content = edf(original).replace(f"{NUMBER} F 09".encode(), b"12 50 0 F 09"[: len(NUMBER) + 5])
    assert decode(as_file(content)).format == "EDF"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"uV      ", b"        ", "no_scale"),
        (b"10      1       13  ", b"11      1       13  ", "undecodable"),  # a record more than the file has
        (b"10      1       13  ", b"-1      1       13  ", "undecodable"),  # a recorder that was never stopped
        (b"10      1       13  ", b"10      0       13  ", "undecodable"),
        (b"10      1       13  ", b"10      1       999 ", "too_large"),
        (b"10      1       13  ", b"9999999 1       13  ", "too_large"),
        (b"0       ", b"\xffBIOSEMI", "undecodable"),
    ],
)
def test_an_edf_header_that_leaves_something_open_or_promises_the_absurd_is_refused(original, old, new, code):
    content = edf(original)
    assert old in content
    count = -1 if code == "no_scale" else 1
    assert refusal(content.replace(old, new, count)) == code
