"""Where a format states checksums, a recording that is not as it was written is refused; one that states none, or whose leads are sound, is read."""

import re
import struct

import numpy as np
import pytest

from contracts.vocabulary import Priority
from services.runtime.archive import UploadedFile
from services.triage.decode import decode
from services.triage.reading import read
from services.triage.recording import STANDARD, Undecodable
from tests.unit.triage.cart_files import without_checksums

SCP = "vendor/one-recording/Example.scp"
MUSE = "vendor/muse/guangxi_teaching_sinus_rhythm.xml"
WFDB = "ludb/56.hea"


def section(scp: bytes, number: int) -> int:
    """Return where a section of an SCP file begins."""
    pointers = (struct.unpack_from("<HII", scp, at) for at in range(22, 22 + 12 * 10, 10))
    return next(index - 1 for found, _, index in pointers if found == number)


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes((content[at] ^ 1,)) + content[at + 1 :]


def refusal(*files: UploadedFile) -> tuple[str, str]:
    with pytest.raises(Undecodable) as refused:
        decode(files)
    return refused.value.code, refused.value.cause


@pytest.mark.parametrize("number", [1, 2, 3, 6], ids=["patient", "packing", "leads", "samples"])
def test_an_scp_file_with_one_bit_changed_where_it_matters_is_refused(uploaded, number):
    (file,) = uploaded(SCP)
    changed = flipped(file.content, section(file.content, number) + 16 + 1)
    assert refusal(UploadedFile("a", changed)) == ("undecodable", "checksum")
    reading, recording = read([UploadedFile("a", changed)], age_y=None, sex=None)
    assert (reading.priority, recording) == (Priority.NOT_EVALUABLE, None)


def test_damage_to_what_no_lead_of_an_scp_file_needs_costs_the_carts_measurements_alone(uploaded):
    (file,) = uploaded(SCP)
    sound = decode([file])
    damaged = decode([UploadedFile("a", flipped(file.content, section(file.content, 7) + 16 + 6))])
    np.testing.assert_array_equal(damaged.samples_mv, sound.samples_mv)
    assert sound.vendor_measurements.qrs_ms == 120
    assert damaged.vendor_measurements.qrs_ms is None


@pytest.mark.parametrize("path", [SCP, MUSE, WFDB])
def test_a_file_that_states_no_checksum_is_read(uploaded, path):
    files = uploaded(path)
    bare = [UploadedFile(file.name, without_checksums(file.content)) for file in files]
    assert bare != files
    np.testing.assert_array_equal(decode(bare).samples_mv, decode(files).samples_mv)


def test_an_scp_file_that_is_whole_is_read_whatever_the_checksum_of_a_section_says(uploaded):
    content = bytearray(uploaded(SCP)[0].content)
    at = section(bytes(content), 6)
    content[at] ^= 1
    assert refusal(UploadedFile("a", bytes(content))) == ("undecodable", "checksum")
    struct.pack_into("<H", content, 0, crc_of(bytes(content[2:])))
    assert decode([UploadedFile("a", bytes(content))]).leads == STANDARD


def crc_of(content: bytes) -> int:
    """CRC-CCITT as EN 1064 writes it down, bit by bit."""
    crc = 0xFFFF
    for byte in content:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def test_a_muse_lead_that_is_not_as_its_checksum_says_is_refused_and_a_median_beat_is_not_asked(uploaded):
    (file,) = uploaded(MUSE)
    kinds = [(found.start(), found[1]) for found in re.finditer(rb"<WaveformType>(\w+)<", file.content)]
    assert [kind for _, kind in kinds] == [b"Median", b"Rhythm"]
    for start, kind in kinds:
        at = file.content.index(b"<LeadDataCRC32>", start) + len(b"<LeadDataCRC32>")
        digit = b"1" if file.content[at : at + 1] != b"1" else b"2"
        changed = UploadedFile("a", file.content[:at] + digit + file.content[at + 1 :])
        if kind == b"Rhythm":
            assert refusal(changed) == ("undecodable", "checksum")
        else:
            assert decode([changed]).leads == STANDARD


def test_wfdb_signals_of_another_recording_are_refused(uploaded):
    signal, header = uploaded(WFDB)
    other, _ = uploaded("ludb/58.hea")
    assert len(other.content) == len(signal.content)
    assert refusal(header, UploadedFile(signal.name, other.content)) == ("undecodable", "checksum")
