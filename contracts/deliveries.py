"""What became of a notice. Nobody is told that it arrived when that is not known."""

from enum import StrEnum

from pydantic import Field

from contracts.ids import CaseId, NoticeId, PatientKey, PersonId
from contracts.vocabulary import Event


class NoticeEvent(Event):
    notice_id: NoticeId
    case_id: CaseId
    patient_key: PatientKey
    person_id: PersonId
    method: str = Field(max_length=40)
    round: int = Field(ge=1)


class NoticeSent(NoticeEvent):
    """The provider took it. Whether it reached a telephone is not known by this."""


class Failure(StrEnum):
    TEMPORARY = "temporary"
    PERMANENT = "permanent"


class NoticeFailed(NoticeEvent):
    """The provider said no."""

    failure: Failure
    reason: str = Field(max_length=300)


class NoticeUnknown(NoticeEvent):
    """The provider did not answer in time: it may have been sent."""

    reason: str = Field(max_length=300)
