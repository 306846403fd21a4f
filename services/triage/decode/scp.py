"""SCP-ECG (EN 1064): decoded although a section that no lead needs is broken, refused where its counts would cost seconds or gigabytes."""

import binascii
import struct
from collections.abc import Collection, Iterator

from ecgdatakit.models import ECGRecord
from ecgdatakit.parsing.parsers.scp_ecg import SCPECGParser

from services.triage.anonymise import without_identity
from services.triage.decode.library import DAMAGED, TOO_LARGE, kept_in, parse, people_in, refuse_too_large, statements_of
from services.triage.decode.recorded import recording_of
from services.triage.recording import Recording, Undecodable

_POINTED_FROM, _POINTERS_AT, _POINTER, _HEADER_BYTES = 6, 22, struct.Struct("<HII"), 16  # section 0 begins at byte 6
_HUFFMAN, _PATIENT, _LEADS, _QRS, _BEAT, _RHYTHM = 2, 1, 3, 4, 5, 6
# Measurements and statements (7 to 11) carry no sample. Fewest first, so that what can be kept of the cart's words is kept.
_DISPENSABLE = ((11,), (8, 11))
_ALL_DISPENSABLE = (7, 8, 9, 10, 11)
_NEEDED = frozenset(range(7))  # the leads, how they are packed, and whose they are: age and sex choose thresholds
_LAST_WITH_CRC = 11
_NO_CRC = (0, 0xFFFF)  # what stands there where the writer makes none
_MOST_HUFFMAN_BYTES = 200_000  # five times a 12-lead recording of 10 s; the library takes each bit alone
_MOST_PATIENT_BYTES = 65_536
_MOST_LEADS, _MOST_SAMPLES, _MOST_BEATS = 64, 1_000_000, 1_000


def is_scp(content: bytes) -> bool:
    return SCPECGParser.can_parse(None, content[:4096])  # type: ignore[arg-type]  # it looks at the bytes alone


def decode_scp(content: bytes) -> Recording:
    """Raises Undecodable where the leads cannot be had."""
    refuse_too_large(len(content))
    with kept_in():
        _refuse_absurd(content)
        damaged = _damaged(content)
    if not damaged.isdisjoint(_NEEDED):
        raise Undecodable("undecodable", DAMAGED, "checksum")
    record = _parse(_without(content, damaged) if damaged else content)
    statements = without_identity(statements_of(record), people_in(record))
    return recording_of(record, "SCP-ECG", fs_hz=1e6 / record.raw_metadata["rhythm_sample_interval_us"], statements=statements)


def _parse(content: bytes) -> ECGRecord:
    try:
        return parse(SCPECGParser, content)
    except Undecodable as failure:
        try:
            bare = parse(SCPECGParser, _without(content, _ALL_DISPENSABLE))
        except Undecodable:
            raise failure from None  # what is broken is needed: trying the rest would cost its time again
    for sections in _DISPENSABLE:
        try:
            return parse(SCPECGParser, _without(content, sections))
        except Undecodable:
            continue
    return bare


def _pointers(content: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield each section with its length, its offset, and where its pointer stands. Raises struct.error."""
    end = min(_POINTED_FROM + struct.unpack_from("<I", content, 10)[0], len(content))
    for at in range(_POINTERS_AT, end - _POINTER.size + 1, _POINTER.size):
        section, length, index = _POINTER.unpack_from(content, at)
        if section and length:
            yield section, length, index - 1, at


def _refuse_absurd(content: bytes) -> None:
    """Raise Undecodable where a length or a count is beyond any recording's; struct.error where the counts themselves are missing."""
    sections = {section: (length, offset) for section, length, offset, _ in _pointers(content)}

    def length_of(section: int) -> int:
        return sections[section][0] if section in sections else 0

    leads = beats = samples = 0
    if _LEADS in sections:
        at = sections[_LEADS][1] + _HEADER_BYTES
        leads = content[at]
        ranges = (struct.unpack_from("<II", content, at + 2 + 9 * lead) for lead in range(min(leads, _MOST_LEADS)))
        samples = max((last - first for first, last in ranges), default=0)
    if _QRS in sections:
        (beats,) = struct.unpack_from("<H", content, sections[_QRS][1] + _HEADER_BYTES + 4)
    if (
        (_HUFFMAN in sections and length_of(_BEAT) + length_of(_RHYTHM) > _MOST_HUFFMAN_BYTES)
        or length_of(_PATIENT) > _MOST_PATIENT_BYTES
        or leads > _MOST_LEADS
        or samples > _MOST_SAMPLES
        or beats > _MOST_BEATS
    ):
        raise Undecodable("too_large", TOO_LARGE)


def _damaged(content: bytes) -> frozenset[int]:
    """Return the sections that are not as they were written: EN 1064 has each bear a CRC, and the whole. None where the file states no CRC."""
    whole = content[: int.from_bytes(content[2:6], "little")]
    if _crc(whole) == _stated(whole):
        return frozenset()
    places = {section: (max(offset, 0), length) for section, length, offset, _ in _pointers(content) if section <= _LAST_WITH_CRC}
    places[0] = (_POINTED_FROM, int.from_bytes(content[10:14], "little"))
    parts = {section: content[offset : offset + length] for section, (offset, length) in places.items()}  # after: many may point at one place
    if all(_stated(part) in _NO_CRC for part in (whole, *parts.values())):
        return frozenset()
    return frozenset(section for section, part in parts.items() if _crc(part) != _stated(part))


def _crc(part: bytes) -> int:
    return binascii.crc_hqx(part[2:], 0xFFFF)


def _stated(part: bytes) -> int:
    return int.from_bytes(part[:2], "little")


def _without(content: bytes, sections: Collection[int]) -> bytes:
    """Return the record with the pointers to these sections emptied; readers then take them as absent."""
    out = bytearray(content)
    for section, _, _, at in _pointers(content):
        if section in sections:
            struct.pack_into("<I", out, at + 2, 0)
    return bytes(out)
