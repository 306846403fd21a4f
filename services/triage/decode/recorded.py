"""From the library's record to our `Recording`: what is kept of a file, the same for every format."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from ecgdatakit.models import ECGRecord

from services.triage.anonymise import age_of, sex_of
from services.triage.decode.leads import assemble
from services.triage.decode.printed import measurements_of
from services.triage.recording import Recording


def recording_of(record: ECGRecord, form: str, *, fs_hz: float | None = None, statements: Sequence[str] = ()) -> Recording:
    """Return the recording; `fs_hz` is the exact rate where the library rounds it, `statements` name nobody. Raises Undecodable."""
    leads, samples_mv, fs_hz = assemble(record.leads, fs_hz=fs_hz)
    patient = record.patient
    birth = patient.birth_date.date() if patient.birth_date else None
    return Recording(
        leads=leads,
        samples_mv=samples_mv,
        fs_hz=fs_hz,
        age_y=age_of(birth=birth, acquired=_acquired_on(record), printed_y=patient.age),
        sex=sex_of(patient.sex),
        vendor_statements=tuple(statements),
        format=form,
        vendor_measurements=measurements_of(record),
    )


def _acquired_on(record: ECGRecord) -> date | None:
    """Return the day of the recording, also where the file gives no time of day."""
    if record.recording.date is not None:
        return record.recording.date.date()
    text: Any = record.raw_metadata.get("acquisition_date", "")
    for form in ("%Y-%m-%d", "%m-%d-%Y"):
        try:
            return datetime.strptime(str(text)[:10], form).date()  # noqa: DTZ007  a day has no zone
        except ValueError:
            continue
    return None
