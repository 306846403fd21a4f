"""The second blob: the decoded recording, without identity, as a plain .npz that any reader of numpy files opens.

Members: `samples_uv` (leads, samples) in microvolts, its least value where the recorder had a gap; `leads`; `fs_hz`; `facts`, JSON with
`age_y`, `sex`, `vendor_statements`, `format` and, since a later version, `vendor_measurements` (those that the file states)."""

import io
import json
import zipfile

import numpy as np

from contracts.assessments import VendorMeasurements
from contracts.vocabulary import Sex
from services.runtime.errors import GreenchannelError
from services.triage.recording import Recording

MEDIA_TYPE = "application/vnd.greenchannel.recording+npz"
_GAP = np.iinfo(np.int32).min
_MAX_MEMBER_BYTES = 256 * 1024 * 1024


class BadStoredRecording(GreenchannelError):
    """Bytes that `encode` did not make."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause

    def __str__(self) -> str:
        return f"the stored recording cannot be read ({self.cause}); decode the raw file again"


def encode(recording: Recording) -> bytes:
    """Return the recording's bytes; the same recording gives the same bytes. Values are kept to one microvolt."""
    known = np.isfinite(recording.samples_mv)
    samples_uv = np.where(known, np.round(np.where(known, recording.samples_mv, 0.0).astype(np.float64) * 1000), _GAP).astype(np.int32)
    facts = {
        "age_y": recording.age_y,
        "sex": recording.sex,
        "vendor_statements": recording.vendor_statements,
        "format": recording.format,
        "vendor_measurements": recording.vendor_measurements.model_dump(exclude_none=True),
    }
    members = {
        "samples_uv": samples_uv,
        "leads": np.array(recording.leads, dtype=np.str_),
        "fs_hz": np.array(recording.fs_hz, dtype=np.float64),
        "facts": np.array(json.dumps(facts, ensure_ascii=False, sort_keys=True), dtype=np.str_),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as container:  # numpy's own level takes four times as long
        for name, array in members.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            container.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=1)
    return out.getvalue()


def decode_stored(content: bytes) -> Recording:
    """Return the recording that `encode` was given, to one microvolt. Raises BadStoredRecording."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as container:
            if any(member.file_size > _MAX_MEMBER_BYTES for member in container.infolist()):
                raise BadStoredRecording("too large")
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            samples_uv, facts = stored["samples_uv"], json.loads(str(stored["facts"]))
            return Recording(
                leads=tuple(str(lead) for lead in stored["leads"]),
                samples_mv=np.where(samples_uv == _GAP, np.nan, samples_uv / 1000).astype(np.float32),
                fs_hz=float(stored["fs_hz"]),
                age_y=facts["age_y"],
                sex=None if facts["sex"] is None else Sex(facts["sex"]),
                vendor_statements=tuple(facts["vendor_statements"]),
                format=facts["format"],
                vendor_measurements=VendorMeasurements(**facts.get("vendor_measurements", {})),
            )
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, OSError, EOFError) as error:
        raise BadStoredRecording(type(error).__name__) from error
