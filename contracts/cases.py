"""What happened to a case: past tense, frozen, in the words of those who work with it. The truth of the whole.

A field with a default may be added, nothing is taken away. A case's stream begins with its first upload; it is for people from CaseOpened on."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from contracts.ids import CaseId, CentreId, ClinicId, EventId, NoticeId, PatientKey, PersonId, UploadId
from contracts.vocabulary import Age, Arrival, Diagnosis, Event, Instant, Lane, Outcome, Priority, Sex, Strategy, Treatment


class CaseEvent(Event):
    case_id: CaseId
    patient_key: PatientKey


class UploadReceived(CaseEvent):
    """An emergency upload was accepted: unless it is assessed already, a timer runs from here on."""

    schema_version = 2
    upload_id: UploadId
    clinic_id: ClinicId
    received_at: Instant
    due_at: Instant = Field(description="when people are paged if it has not been assessed by then")
    age_y: Age | None = None
    sex: Sex | None = None
    first_contact_at: Instant | None = Field(default=None, description="first medical contact, where the clinic gave it")


class AssessmentMissed(CaseEvent):
    """The upload was not assessed by its time: people are to look at it. A late assessment joins the case."""

    upload_id: UploadId


class UploadAssessed(CaseEvent):
    """An assessment of one of the case's uploads came in."""

    schema_version = 2
    upload_id: UploadId
    clinic_id: ClinicId
    lane: Lane
    received_at: Instant
    priority: Priority
    headline: str = Field(description="the finding, or the reason why there is none, in one line", max_length=300)
    assessed_event: EventId
    age_y: Age | None = None
    sex: Sex | None = None
    first_contact_at: Instant | None = Field(default=None, description="first medical contact, where the clinic gave it")


class CaseOpened(CaseEvent):
    """The green channel is open, at the centre that the directory of this version gave."""

    schema_version = 2
    upload_id: UploadId
    clinic_id: ClinicId
    priority: Priority
    headline: str = Field(max_length=300)
    received_at: Instant
    centre_id: CentreId
    centre_number: str = Field(description="the centre's standing telephone number", max_length=30)
    route_reason: str = Field(default="", description="why this centre", max_length=300)
    travel_min: int | None = Field(default=None, ge=0, description="from the clinic to the centre")
    directory_version: str = Field(default="", max_length=40)


class CaseRaised(CaseEvent):
    """What came in is more urgent than what the case was opened for, or new since somebody acknowledged: people are paged anew."""

    schema_version = 3
    upload_id: UploadId
    priority: Priority
    headline: str = Field(max_length=300)
    received_at: Instant | None = Field(default=None, description="of the first upload that this call is about: since then the patient waits")
    kept_by: PersonId | None = Field(default=None, description="who decided it, keeps it, and is paged first, alone; none: people are paged anew")


class PageReason(StrEnum):
    STEP = "step"  # of the escalation policy
    NEXT_METHOD = "next_method"  # nothing is known of the method before, or it failed
    NOBODY_ON_CALL = "nobody_on_call"  # to the standing number
    OWNER_SILENT = "owner_silent"
    REPEAT_ECG = "repeat_ecg"  # to the owner: there is another recording
    HAND_OVER = "hand_over"


class PageRequested(CaseEvent):
    """One person is to be paged by one method: one notice."""

    schema_version = 2
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
    centre_id: CentreId | None = None
    reason: PageReason = PageReason.STEP
    step: int | None = Field(default=None, ge=0, description="of the escalation policy, counted on through its repeats; none beside the policy")
    again_at: Instant | None = Field(default=None, description="when the next step is paged if nobody has it in hand; none: a minute after `at`")
    answer_by: Instant | None = Field(default=None, description="when the next method is tried if nothing is known of this notice; none: not tried")
    directory_version: str = Field(default="", max_length=40)


class NobodyOnCall(CaseEvent):
    """A step of the policy reached nobody by its rosters: ops hears an alarm, and the standing number is paged."""

    centre_id: CentreId
    rosters: tuple[Annotated[str, StringConstraints(max_length=80)], ...]
    step: int = Field(ge=0)
    directory_version: str = Field(default="", max_length=40)


class NoteRequested(CaseEvent):
    """One person is to be told something that asks for no answer."""

    notice_id: NoticeId
    person_id: PersonId
    method: str = Field(max_length=40)
    round: int = Field(ge=1)
    text: str = Field(max_length=300)
    centre_id: CentreId


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


class Reached(StrEnum):
    DELIVERED = "delivered"
    OPENED = "opened"  # which is no acknowledgement


class NoticeReached(CaseEvent):
    """The provider's signed word that a notice reached its telephone, or was opened on it."""

    notice_id: NoticeId
    person_id: PersonId
    method: str = Field(max_length=40)
    round: int = Field(ge=1)
    reached: Reached


class Acknowledged(CaseEvent):
    """A person has it in hand. By the owner once more: still at it."""

    by: PersonId
    round: int = Field(ge=0)


class OwnerReleased(CaseEvent):
    """Who had it in hand did nothing, and did not answer: the policy goes on."""

    owner: PersonId


class TakenOver(CaseEvent):
    by: PersonId
    from_person: PersonId
    reason: str = Field(max_length=300)


class HandOverOffered(CaseEvent):
    by: PersonId
    to_person: PersonId | None = None
    to_centre: CentreId | None = None
    accept_by: Instant


class HandOverAccepted(CaseEvent):
    by: PersonId
    from_person: PersonId
    centre_id: CentreId
    centre_number: str = Field(max_length=30)
    directory_version: str = Field(default="", max_length=40)


class HandOverDeclined(CaseEvent):
    schema_version = 2
    by: PersonId
    reason: str = Field(max_length=300)
    is_final: bool = Field(default=True, description="false: others of the centre are still asked")


class HandOverExpired(CaseEvent):
    """Nobody accepted in time; it is still the owner's, whose time counts anew."""

    owner: PersonId


class Confirmed(CaseEvent):
    by: PersonId
    diagnosis: Diagnosis


class StoodDown(CaseEvent):
    by: PersonId
    reason: str = Field(max_length=300)


class StrategyProposed(CaseEvent):
    """What the clock says: primary PCI where first contact to wire is feasible within its limit, else lysis. A physician chooses."""

    strategy: Strategy
    first_contact_at: Instant
    contact_to_wire_min: int | None = Field(default=None, ge=0, description="expected; none where the travel time is not known")
    contact_to_bolus_min: int | None = Field(default=None, ge=0, description="expected; none where the clinic gives no lysis")
    limit_min: int = Field(ge=1)
    reason: str = Field(max_length=300)
    directory_version: str = Field(default="", max_length=40)


class StrategyChosen(CaseEvent):
    by: PersonId
    strategy: Strategy
    reason: str | None = Field(default=None, max_length=300)


class ReferralAccepted(CaseEvent):
    """The centre takes the patient."""

    by: PersonId
    centre_id: CentreId


class LabActivated(CaseEvent):
    by: PersonId
    centre_id: CentreId


class ActivationCancelled(CaseEvent):
    by: PersonId
    reason: str = Field(max_length=300)


class PatientDeparted(CaseEvent):
    by: PersonId
    happened_at: Instant = Field(description="as it was told; `at` is when it was entered")


class PatientArrived(CaseEvent):
    by: PersonId
    place: Arrival
    happened_at: Instant


class Treated(CaseEvent):
    by: PersonId
    treatment: Treatment
    happened_at: Instant


class CaseClosed(CaseEvent):
    """by is None where nothing followed after it was stood down."""

    by: PersonId | None = None
    outcome: Outcome


class CaseLinked(CaseEvent):
    """This case and another are one patient's; both go on paging until a person closes one."""

    by: PersonId
    other_case_id: CaseId


class Said(CaseEvent):
    """A message between the centre and the clinic: of a person, or of the clinic."""

    upload_id: UploadId
    clinic_id: ClinicId
    by: PersonId | None = Field(default=None, description="a person of the centre; none: the clinic said it")
    text: str = Field(max_length=400)


class ClinicToldToCall(CaseEvent):
    """Nobody has it in hand yet: the clinic is told in large whom to call."""

    upload_id: UploadId
    clinic_id: ClinicId
    number: str = Field(max_length=30)
    text: str = Field(max_length=400)


class ReadingListed(CaseEvent):
    """A physician is to read it by then."""

    upload_id: UploadId
    clinic_id: ClinicId
    centre_id: CentreId
    headline: str = Field(max_length=300)
    received_at: Instant
    read_by: Instant
    directory_version: str = Field(default="", max_length=40)


class ReadingDone(CaseEvent):
    upload_id: UploadId
    by: PersonId


class ReadingOverdue(CaseEvent):
    upload_id: UploadId


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
    | NobodyOnCall
    | NoteRequested
    | NoticeReported
    | NoticeReached
    | Acknowledged
    | OwnerReleased
    | TakenOver
    | HandOverOffered
    | HandOverAccepted
    | HandOverDeclined
    | HandOverExpired
    | Confirmed
    | StoodDown
    | StrategyProposed
    | StrategyChosen
    | ReferralAccepted
    | LabActivated
    | ActivationCancelled
    | PatientDeparted
    | PatientArrived
    | Treated
    | CaseClosed
    | CaseLinked
    | Said
    | RepeatAsked
    | ClinicAnswered
    | ClinicToldToCall
    | ReadingListed
    | ReadingDone
    | ReadingOverdue
    | CaseSettled
    | CommandRefused
)
