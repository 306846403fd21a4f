"""How the events of cases are parted by their headers alone: a campaign of check-ups never stands before what people are called for."""

from collections.abc import Sequence

from contracts.cases import ClinicAnswered, ReadingListed, RepeatAsked, UploadAssessed, UploadReceived
from contracts.envelope import can_wait, header
from contracts.topics import CASES

Headers = Sequence[tuple[str, bytes]]
URGENT_GROUP = f"console.{CASES.name}"  # the name by which both were read once: its offsets go on
REST_GROUP = f"{URGENT_GROUP}.rest"
# What each upload of a campaign makes. What people do, and what ends a case, is little, and somebody waits for it, whatever its priority.
_OF_EACH_UPLOAD = {each.__name__.encode() for each in (UploadReceived, UploadAssessed, RepeatAsked, ClinicAnswered, ReadingListed)}


def is_urgent(headers: Headers) -> bool:
    return not can_wait(headers) or header(headers, "ce_type") not in _OF_EACH_UPLOAD


def is_rest(headers: Headers) -> bool:
    return not is_urgent(headers)
