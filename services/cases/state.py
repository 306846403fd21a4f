"""A case, as its events leave it. Canonical: the same events make the same JSON, byte for byte."""

from enum import StrEnum

from contracts.ids import CaseId, CentreId, ClinicId, PatientKey, PersonId, UploadId
from contracts.vocabulary import Age, Frozen, Instant, Lane, Priority, Sex

NOT_READ_YET = "the ECG was not read in time: look at it, or have it recorded again"


class Phase(StrEnum):
    NEW = "new"  # nothing happened yet
    WAITING = "waiting"  # for an assessment, before there is a case for people
    ANSWERED = "answered"  # the clinic was told, and no case came of it
    OPENED = "opened"  # people are paged
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class Upload(Frozen):
    upload_id: UploadId
    clinic_id: ClinicId
    received_at: Instant
    due_at: Instant | None = None  # None: assessed, or missed
    lane: Lane
    age_y: Age | None = None
    sex: Sex | None = None
    priority: Priority | None = None  # None: not assessed
    headline: str = ""  # of its assessment

    @property
    def is_for_people(self) -> bool:
        """It is urgent by its assessment, or is an emergency that nobody could judge: not assessed, or not evaluable."""
        return self.priority is Priority.RED or (self.lane is Lane.EMERGENCY and self.priority in {None, Priority.NOT_EVALUABLE})

    @property
    def reason(self) -> str:
        """Why people look at it."""
        return self.headline if self.priority in {Priority.RED, Priority.NOT_EVALUABLE} else NOT_READ_YET


class Case(Frozen):
    case_id: CaseId
    patient_key: PatientKey
    phase: Phase = Phase.NEW
    sequence: int = 0
    last_at: Instant | None = None
    uploads: tuple[Upload, ...] = ()
    priority: Priority | None = None  # what it is open for
    upload_id: UploadId | None = None  # the upload that it is open for
    raised_sequence: int = 0  # of the event by which people are paged now: who takes it in hand must have seen that one
    raised_at: Instant | None = None
    centre_id: CentreId | None = None
    round: int = 0
    paged_at: Instant | None = None
    owner: PersonId | None = None

    @property
    def is_open(self) -> bool:
        return self.phase in {Phase.OPENED, Phase.ACKNOWLEDGED}

    @property
    def is_live(self) -> bool:
        """Something is still expected of it: the patient's next upload joins it. Else it begins another case."""
        return self.is_open or any(upload.due_at for upload in self.uploads)

    def upload(self, upload_id: UploadId) -> Upload | None:
        return next((upload for upload in self.uploads if upload.upload_id == upload_id), None)
