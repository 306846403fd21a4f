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

    schema_version = 2

    said_by: NoticeId | None = Field(default=None, description="another notice, sent just before, that said the same: this one was not sent")


class NoticeDelivered(NoticeEvent):
    """The provider says, signed, that it reached the telephone."""


class NoticeOpened(NoticeEvent):
    """The provider says, signed, that a person opened it. That is not an acknowledgement."""


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


Deliveries = NoticeSent | NoticeDelivered | NoticeOpened | NoticeFailed | NoticeUnknown
