"""What is asked of a case, by people and by its own timers: in the imperative, since a case may refuse."""

from typing import Annotated

from pydantic import Field, StringConstraints

from contracts.ids import CaseId, CentreId, ClinicId, NoticeId, PersonId, UploadId
from contracts.vocabulary import Arrival, Diagnosis, Frozen, Instant, Outcome, Strategy, Treatment

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]


class Command(Frozen):
    case_id: CaseId
    at: Instant = Field(description="when it was asked: a person's press, or the time that a timer was due")


class PersonsCommand(Command):
    by: PersonId


class _ToOwn(PersonsCommand):
    seen_sequence: int | None = Field(
        default=None, ge=1, description="ce_sequence of the case's event up to which the person could see it; what was raised after it goes on paging"
    )


class _Happened(PersonsCommand):
    happened_at: Instant | None = Field(default=None, description="when it happened, where that was before it was entered")


class Acknowledge(_ToOwn):
    """A person has the case in hand: nobody is paged further for what they were paged for."""

    schema_version = 2


class Confirm(_ToOwn):
    """It is what it looks like. Of a case that nobody has in hand, it acknowledges too."""

    diagnosis: Diagnosis


class StandDown(_ToOwn):
    """It is not what it looks like. Of a case that nobody has in hand, it acknowledges too."""

    reason: Reason


class TakeOver(PersonsCommand):
    """Take a case from who has it in hand, without being offered it."""

    reason: Reason


class OfferHandOver(PersonsCommand):
    """Ask a person, or another centre, to take the case; it is the owner's until somebody accepts."""

    to_person: PersonId | None = None
    to_centre: CentreId | None = None


class AcceptHandOver(PersonsCommand):
    pass


class DeclineHandOver(PersonsCommand):
    reason: Reason


class ChooseStrategy(PersonsCommand):
    strategy: Strategy
    reason: Reason | None = None


class AcceptReferral(PersonsCommand):
    """The centre takes the patient."""


class ActivateLab(PersonsCommand):
    """The catheter lab makes itself ready for this patient."""


class CancelActivation(PersonsCommand):
    """The lab is not needed after all: the ECG is repeated, and the case looked at again."""

    reason: Reason


class RecordDeparture(_Happened):
    """The patient left the clinic."""


class RecordArrival(_Happened):
    place: Arrival


class RecordTreatment(_Happened):
    """The wire crossed the lesion, the bolus was given."""

    treatment: Treatment


class CloseCase(PersonsCommand):
    outcome: Outcome


class LinkCase(PersonsCommand):
    """Two open cases are one patient."""

    other_case_id: CaseId


class Say(Command):
    """A message between centre and clinic: `by` is a person of the centre, `clinic_id` the clinic; one of them."""

    by: PersonId | None = None
    clinic_id: ClinicId | None = None
    text: Words


class FinishReading(PersonsCommand):
    """A physician has read what stood on the reading list."""

    upload_id: UploadId


class OpenUnread(Command):
    """An emergency upload was not assessed in time: it is to be looked at by people."""

    upload_id: UploadId


class PageAgain(Command):
    """Nobody has acknowledged since this round was paged."""

    round: int = Field(ge=1)


class TryNextMethod(Command):
    """Of a notice nothing is known after its time."""

    notice_id: NoticeId


class RemindOwner(Command):
    """Who has it in hand has neither confirmed nor stood down nor handed over."""

    since_sequence: int = Field(ge=1, description="of the event from which the owner's time counts")


class ReleaseOwner(Command):
    """The owner was paged again, and still does nothing."""

    since_sequence: int = Field(ge=1)


class ExpireHandOver(Command):
    """Nobody accepted the hand-over in its time."""

    since_sequence: int = Field(ge=1)


class TellClinicToCall(Command):
    """Nobody has it in hand since then: the clinic is told to call."""

    since_sequence: int = Field(ge=1)


class PageForReading(Command):
    """A yellow was not read by its deadline."""

    upload_id: UploadId


class CloseStoodDown(Command):
    """Nothing followed since the case was stood down."""


TimersCommand = (
    OpenUnread | PageAgain | TryNextMethod | RemindOwner | ReleaseOwner | ExpireHandOver | TellClinicToCall | PageForReading | CloseStoodDown
)
PeoplesCommand = (
    Acknowledge
    | Confirm
    | StandDown
    | TakeOver
    | OfferHandOver
    | AcceptHandOver
    | DeclineHandOver
    | ChooseStrategy
    | AcceptReferral
    | ActivateLab
    | CancelActivation
    | RecordDeparture
    | RecordArrival
    | RecordTreatment
    | CloseCase
    | LinkCase
    | Say
    | FinishReading
)
Commands = TimersCommand | PeoplesCommand
