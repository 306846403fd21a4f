"""What is asked of a case, by people and by its own timers: in the imperative, since a case may refuse."""

from pydantic import Field

from contracts.ids import CaseId, PersonId, UploadId
from contracts.vocabulary import Frozen, Instant


class Command(Frozen):
    case_id: CaseId
    at: Instant = Field(description="when it was asked: a person's press, or the time that a timer was due")


class Acknowledge(Command):
    """A person has the case in hand: nobody is paged further for what they were paged for."""

    schema_version = 2

    by: PersonId
    seen_sequence: int | None = Field(
        default=None, ge=1, description="ce_sequence of the case's event up to which the person could see it; what was raised after it goes on paging"
    )


class OpenUnread(Command):
    """An emergency upload was not assessed in time: it is to be looked at by people."""

    upload_id: UploadId


class PageAgain(Command):
    """Nobody has acknowledged since this round was paged."""

    round: int = Field(ge=1)
