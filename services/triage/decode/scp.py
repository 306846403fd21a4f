"""SCP-ECG (EN 1064): decoded although a section that no lead needs is empty or broken."""

import struct

from ecgdatakit.models import ECGRecord
from ecgdatakit.parsing.parsers.scp_ecg import SCPECGParser

from services.triage.anonymise import age_of, sex_of, without_identity
from services.triage.decode.leads import assemble
from services.triage.decode.library import acquired_on, parse, people_in, statements_of
from services.triage.recording import Recording, Undecodable

_POINTERS_AT, _POINTER_BYTES = 22, 10
# Measurements and statements (7 to 11) carry no sample. Fewest first, so that what can be kept of the cart's words is kept.
_DISPENSABLE = ((), (11,), (8, 11), (7, 8, 9, 10, 11))


def is_scp(content: bytes) -> bool:
    return SCPECGParser.can_parse(None, content[:4096])  # type: ignore[arg-type]  # it looks at the bytes alone


def decode_scp(content: bytes) -> Recording:
    """Raises Undecodable where the leads cannot be had."""
    record = _parse(content)
    leads, samples_mv, fs_hz = assemble(record.leads)
    patient = record.patient
    return Recording(
        leads=leads,
        samples_mv=samples_mv,
        fs_hz=fs_hz,
        age_y=age_of(birth=patient.birth_date.date() if patient.birth_date else None, acquired=acquired_on(record), printed_y=patient.age),
        sex=sex_of(patient.sex),
        vendor_statements=without_identity(statements_of(record), people_in(record)),
        format="SCP-ECG",
    )


def _parse(content: bytes) -> ECGRecord:
    failure: Undecodable | None = None
    for sections in _DISPENSABLE:
        try:
            return parse(SCPECGParser, _without(content, sections))
        except Undecodable as error:
            failure = failure or error
    assert failure is not None  # noqa: S101  the loop is never empty
    raise failure


def _without(content: bytes, sections: tuple[int, ...]) -> bytes:
    """Return the record with the pointers to these sections emptied; readers then take them as absent."""
    if not sections:
        return content
    out = bytearray(content)
    end = 6 + struct.unpack_from("<I", out, 10)[0]
    for at in range(_POINTERS_AT, min(end, len(out)) - _POINTER_BYTES + 1, _POINTER_BYTES):
        if struct.unpack_from("<H", out, at)[0] in sections:
            struct.pack_into("<I", out, at + 2, 0)
    return bytes(out)
