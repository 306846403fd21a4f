"""Ids: a type for each kind, and how each is made.

An id is uuid5 of its cause's id, the kind, and its place among that cause's events of that kind: the same cause, handled again by anybody, makes
the same ids, so a reader's inbox knows a repeat when it sees one.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Annotated, NewType
from uuid import UUID, uuid5

from pydantic import StringConstraints

EventId = NewType("EventId", UUID)
UploadId = NewType("UploadId", UUID)
CaseId = NewType("CaseId", UUID)
NoticeId = NewType("NoticeId", UUID)

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
ClinicId = Slug
CentreId = Slug
PersonId = Slug
PatientKey = Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{36,64}$")]
Sha256Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

NAMESPACE = UUID("5f4a9f0e-8a70-5b51-9c1e-6d2f3b7c1a44")


def _named(*parts: str) -> UUID:
    """Return uuid5 of the parts; JSON keeps ("a", "bc") and ("ab", "c") apart."""
    return uuid5(NAMESPACE, json.dumps(parts, ensure_ascii=False, separators=(",", ":")))


def upload_id_of_content(clinic: ClinicId, files_sha256: Sha256Hex, facts: Mapping[str, str | int | None]) -> UploadId:
    """Return the id of what was uploaded: the same files with other facts, or in another lane, are another upload.

    facts are the canonical ones (lane and patient included); the times of transport are not among them, so that a retry is the same upload."""
    return UploadId(_named("upload", clinic, files_sha256, json.dumps(facts, sort_keys=True, ensure_ascii=False)))


def upload_id_of_key(clinic: ClinicId, idempotency_key: str) -> UploadId:
    """Return the id of an upload for which the clinic made a key of its own."""
    return UploadId(_named("upload-by-key", clinic, idempotency_key))


def patient_key(secret: bytes, clinic: ClinicId, number: str) -> PatientKey:
    """Return HMAC-SHA-256 of the number by which this clinic knows the patient.

    The clinic is part of what is hashed: two clinics that each count from 1 must not make one patient of two."""
    return hmac.new(secret, json.dumps([clinic, number]).encode(), hashlib.sha256).hexdigest()


def unnamed_patient_key(clinic: ClinicId, files_sha256: Sha256Hex) -> PatientKey:
    """Return the key of a patient of whom the clinic gave no number: the same recording is the same patient."""
    return str(_named("unnamed", clinic, files_sha256))


def event_id(cause: UUID, kind: str, place: int = 0) -> EventId:
    """Return the id of the place-th event of a kind that follows from a cause."""
    return EventId(_named(str(cause), kind, str(place)))


def case_id(upload: UploadId) -> CaseId:
    """Return the id of the case that an upload begins, whoever hears of the upload first: its timer or its assessment."""
    return CaseId(_named(str(upload), "case"))


def timer_id(case: CaseId, purpose: str) -> EventId:
    """Return the id of the command that a timer sends; the purpose names what it is for and its round."""
    return EventId(_named(str(case), "timer", purpose))


def notice_id(case: CaseId, person: PersonId, method: str, round_: int) -> NoticeId:
    """Return the id of one notice to one person by one method in one round: a page sent twice carries the same."""
    return NoticeId(_named(str(case), "notice", person, method, str(round_)))
