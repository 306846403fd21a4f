"""A notice: what is handed to a carrier, and what is known of it then."""

from dataclasses import dataclass
from datetime import datetime

from contracts.cases import PageRequested
from contracts.deliveries import Failure, NoticeFailed, NoticeSent, NoticeUnknown
from contracts.ids import CaseId, NoticeId


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
    """The carrier took it."""


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


def delivery(page: PageRequested, outcome: Outcome, at: datetime) -> NoticeSent | NoticeFailed | NoticeUnknown:
    """Return the event that tells what is known of a page's notice."""
    of_notice = {
        "notice_id": page.notice_id,
        "case_id": page.case_id,
        "patient_key": page.patient_key,
        "person_id": page.person_id,
        "method": page.method,
        "round": page.round,
        "at": at,
    }
    match outcome:
        case Sent():
            return NoticeSent(**of_notice)
        case Failed():
            return NoticeFailed(**of_notice, failure=outcome.failure, reason=outcome.reason[:300])
        case Unknown():
            return NoticeUnknown(**of_notice, reason=outcome.reason[:300])
