"""A notice: what is handed to a carrier, and what is known of it then."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from contracts.cases import NoteRequested, PageRequested
from contracts.deliveries import Failure, NoticeDelivered, NoticeEvent, NoticeFailed, NoticeOpened, NoticeSent, NoticeUnknown
from contracts.envelope import Envelope, Record, seal
from contracts.ids import CaseId, NoticeId, PatientKey, PersonId, UploadId, event_id
from contracts.vocabulary import Frozen, Priority

Asked = PageRequested | NoteRequested
_NAMES = {"notice_id", "case_id", "patient_key", "person_id", "method", "round"}


@dataclass(frozen=True)
class Notice:
    """What goes to one person by one method. case_id is None where the notice is about a message of which no case is known."""

    notice_id: NoticeId
    case_id: CaseId | None
    person: str
    method: str
    round: int
    title: str
    text: str


@dataclass(frozen=True)
class Sent:
    """The carrier took it; with said_by it was given none, for that other notice had just said the same."""

    said_by: NoticeId | None = None


@dataclass(frozen=True)
class Failed:
    """It is known that it was not sent."""

    failure: Failure
    reason: str


@dataclass(frozen=True)
class Unknown:
    """It may have been sent."""

    reason: str


Outcome = Sent | Failed | Unknown


class Origin(Frozen):
    """Whose notice it is and which message asked for it: what every word about it must name, also one that comes days later."""

    notice_id: NoticeId
    case_id: CaseId
    patient_key: PatientKey
    person_id: PersonId
    method: str
    round: int
    upload_id: UploadId
    asked_by: UUID  # the id of the message
    priority: Priority | None  # of a page; a note has none, which is how its deliveries are known
    traceparent: str | None

    def names(self) -> dict[str, Any]:
        """Return the fields that every event about the notice has."""
        return self.model_dump(include=_NAMES)


def origin_of(asked: Asked, envelope: Envelope) -> Origin:
    """Return what is to be known of a notice later; the envelope is that of the message that asked for it."""
    return Origin(
        notice_id=asked.notice_id,
        case_id=asked.case_id,
        patient_key=asked.patient_key,
        person_id=asked.person_id,
        method=asked.method,
        round=asked.round,
        upload_id=envelope.correlationid,
        asked_by=envelope.id,
        priority=asked.priority if isinstance(asked, PageRequested) else None,
        traceparent=envelope.traceparent,
    )


def origin_told(told: NoticeEvent, envelope: Envelope) -> Origin:
    """Return the same from what was told of a notice; the envelope is that of what was told."""
    return Origin(
        **told.model_dump(include=_NAMES),
        upload_id=envelope.correlationid,
        asked_by=envelope.causationid,
        priority=envelope.priority,
        traceparent=envelope.traceparent,
    )


def spoken_for_by(told: NoticeEvent) -> NoticeId | None:
    """Return the notice because of which this one was not sent; None where there is none."""
    return told.said_by if isinstance(told, NoticeSent) else None


def delivery(origin: Origin, outcome: Outcome, at: datetime) -> NoticeSent | NoticeFailed | NoticeUnknown:
    """Return the event that tells what is known of a notice once it was handed over."""
    match outcome:
        case Sent():
            return NoticeSent(**origin.names(), at=at, said_by=outcome.said_by)
        case Failed():
            return NoticeFailed(**origin.names(), at=at, failure=outcome.failure, reason=outcome.reason[:300])
        case Unknown():
            return NoticeUnknown(**origin.names(), at=at, reason=outcome.reason[:300])


def reported(origin: Origin, status: str, at: datetime) -> NoticeDelivered | NoticeOpened | NoticeFailed:
    """Return the event of a provider's signed word: delivered, opened or failed. Its own reasons may quote a telephone number: none is kept."""
    match status:
        case "delivered":
            return NoticeDelivered(**origin.names(), at=at)
        case "opened":
            return NoticeOpened(**origin.names(), at=at)
        case "failed":
            reason = "the provider says that it did not reach the telephone"
            return NoticeFailed(**origin.names(), at=at, failure=Failure.PERMANENT, reason=reason)
    raise ValueError(f"{status} is no status of a notice")


def sealed(told: NoticeEvent, origin: Origin, recorded: datetime) -> Record:
    """Return a delivery in its envelope. Its id is the notice's and the kind's: told twice, it is one."""
    return seal(
        told,
        event_id=event_id(origin.notice_id, type(told).__name__),
        source="notify",
        subject=origin.case_id,
        key=origin.patient_key,
        time=told.at,
        recorded=recorded,
        correlation=origin.upload_id,
        causation=origin.asked_by,
        priority=origin.priority,
        traceparent=origin.traceparent,
    )
