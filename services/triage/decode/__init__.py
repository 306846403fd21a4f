"""From the files of one upload to one `Recording`. What a file is, its bytes say; its name only pairs the parts of a WFDB record."""

from collections.abc import Sequence

from services.runtime.archive import UploadedFile
from services.triage.decode.dicom import decode_dicom, is_dicom
from services.triage.decode.edf import decode_edf, is_edf
from services.triage.decode.ishne import decode_ishne, is_ishne
from services.triage.decode.library import PICTURE
from services.triage.decode.mfer import decode_mfer, is_mfer
from services.triage.decode.scp import decode_scp, is_scp
from services.triage.decode.wfdb import decode_wfdb, is_wfdb_header
from services.triage.decode.xml import decode_xml, is_xml
from services.triage.recording import Recording, Undecodable

_READERS = (
    (is_dicom, decode_dicom),
    (is_scp, decode_scp),
    (is_ishne, decode_ishne),
    (is_edf, decode_edf),
    (is_xml, decode_xml),
    (is_mfer, decode_mfer),  # last: it has no mark of its own that it must begin with
)
_NOT_RECORDINGS = {
    b"PK\x03\x04": "compressed",
    b"PK\x05\x06": "compressed",
    b"\x1f\x8b": "compressed",
    b"BZh": "compressed",
    b"\xfd7zXZ\x00": "compressed",
    b"7z\xbc\xaf\x27\x1c": "compressed",
    b"Rar!": "compressed",
    b"\x28\xb5\x2f\xfd": "compressed",
    b"%PDF": "picture",
    b"\x89PNG": "picture",
    b"GIF8": "picture",
    b"II*\x00": "picture",
    b"MM\x00*": "picture",
    b"\xff\xd8\xff": "picture",
}
_MARKS_WITHIN = ((8, b"WEBP"), (4, b"ftyp"))  # what telephones send: a photograph, or a film
_WHAT_TO_DO = {
    "compressed": "This is a compressed archive, which is not opened. Send the recording's own file.",
    "picture": PICTURE,
}


def decode(files: Sequence[UploadedFile]) -> Recording:
    """Return the recording that the files hold. Raises Undecodable, with what to do next, and nothing else."""
    headers = [file for file in files if is_wfdb_header(file.content) and not is_edf(file.content)]
    if len(headers) == 1:
        return decode_wfdb(headers[0], files)
    if len(files) > 1:
        raise Undecodable("several_recordings", "The files are not the parts of one recording. Send one recording at a time.")
    if not files or not files[0].content:
        raise Undecodable("empty", "The file is empty. Export the recording from the cart again.")
    content = files[0].content
    for magic, kind in _NOT_RECORDINGS.items():
        if content.startswith(magic):
            raise Undecodable(kind, _WHAT_TO_DO[kind])
    if any(content.startswith(mark, at) for at, mark in _MARKS_WITHIN):
        raise Undecodable("picture", PICTURE)
    for is_one, decode_one in _READERS:
        if is_one(content):
            return decode_one(content)
    raise Undecodable(
        "unknown_format",
        "This is not an ECG file of a known kind. Send the cart's XML, DICOM, SCP, MFER or EDF file, or WFDB's .hea and its signals.",
    )
