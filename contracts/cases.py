"""What happened to a case: past tense, frozen, in the words of those who work with it. The truth of the whole.

A field with a default may be added later; nothing is taken away. A case's stream begins with the first upload that cases hears of (UploadReceived
or UploadAssessed); it is a case for people from CaseOpened on."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from contracts.ids import CaseId, CentreId, ClinicId, EventId, NoticeId, PatientKey, PersonId, UploadId
from contracts.vocabulary import Age, Event, Instant, Lane, Priority, Sex


class CaseEvent(Event):
    case_id: CaseId
    patient_key: PatientKey


class UploadReceived(CaseEvent):
    """An emergency upload was accepted: unless it is assessed already, a timer runs from here on."""

    upload_id: UploadId
    clinic_id: ClinicId
    received_at: Instant
    due_at: Instant = Field(description="when people are paged if it has not been assessed by then")
    age_y: Age | None = None
    sex: Sex | None = None


class AssessmentMissed(CaseEvent):
    """The upload was not assessed by its time: people are to look at it. A late assessment joins the case."""

    upload_id: UploadId


class UploadAssessed(CaseEvent):
    """An assessment of one of the case's uploads came in."""

    upload_id: UploadId
    clinic_id: ClinicId
    lane: Lane
    received_at: Instant
    priority: Priority
    headline: str = Field(description="the finding, or the reason why there is none, in one line", max_length=300)
    assessed_event: EventId
    age_y: Age | None = None
    sex: Sex | None = None


class CaseOpened(CaseEvent):
    """The green channel is open."""

    upload_id: UploadId
    clinic_id: ClinicId
    priority: Priority
    headline: str = Field(max_length=300)
    received_at: Instant
    centre_id: CentreId
    centre_number: str = Field(description="the centre's standing telephone number", max_length=30)


class CaseRaised(CaseEvent):
    """What came in is more urgent than what the case was opened for, or new since somebody acknowledged: people are paged anew."""

    upload_id: UploadId
    priority: Priority
    headline: str = Field(max_length=300)


class PageRequested(CaseEvent):
    """One person is to be paged by one method: one notice."""

    notice_id: NoticeId
    person_id: PersonId
    method: str = Field(max_length=40)
    round: int = Field(ge=1)
    priority: Priority
    headline: str = Field(max_length=300)
    clinic_id: ClinicId
    upload_id: UploadId
    received_at: Instant
    age_y: Age | None = None
    sex: Sex | None = None


class NoticeOutcome(StrEnum):
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"


class NoticeReported(CaseEvent):
    """What is known of a notice by now."""

    notice_id: NoticeId
    person_id: PersonId
    method: str = Field(max_length=40)
    round: int = Field(ge=1)
    outcome: NoticeOutcome
    reason: str = Field(default="", max_length=300)


class Acknowledged(CaseEvent):
    by: PersonId
    round: int = Field(ge=0)


class RepeatAsked(CaseEvent):
    """The clinic is asked to record again, and told why."""

    upload_id: UploadId
    clinic_id: ClinicId
    reasons: tuple[Annotated[str, StringConstraints(max_length=400)], ...] = Field(min_length=1)


class ClinicAnswered(CaseEvent):
    """The clinic is told what came of an upload."""

    upload_id: UploadId
    clinic_id: ClinicId
    priority: Priority
    text: str = Field(max_length=400)


class CaseSettled(CaseEvent):
    """What the case was opened for has been answered by an evaluable repeat: it is closed, and nobody is paged."""

    upload_id: UploadId
    priority: Priority


class CommandRefused(CaseEvent):
    """What was asked cannot be done now; nothing else changed."""

    command: str = Field(max_length=40)
    command_id: EventId
    by: PersonId | None = None
    reason: str = Field(max_length=300)


# All of them, once: topics carry them, decisions make them, timelines word them. A kind that somebody forgot fails the type check.
CaseEvents = (
    UploadReceived
    | UploadAssessed
    | AssessmentMissed
    | CaseOpened
    | CaseRaised
    | PageRequested
    | NoticeReported
    | Acknowledged
    | RepeatAsked
    | ClinicAnswered
    | CaseSettled
    | CommandRefused
)
