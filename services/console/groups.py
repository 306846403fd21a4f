"""How the events of cases are parted by their headers alone: a campaign of check-ups never stands before what people are called for."""

from collections.abc import Sequence

from contracts.cases import CaseSettled
from contracts.envelope import can_wait, header
from contracts.topics import CASES

Headers = Sequence[tuple[str, bytes]]
URGENT_GROUP = f"console.{CASES.name}"  # the name by which both were read once: its offsets go on
REST_GROUP = f"{URGENT_GROUP}.rest"
_SETTLED = CaseSettled.__name__.encode()  # it bears the priority of what settled it, and ends what people are paged for


def is_urgent(headers: Headers) -> bool:
    return not can_wait(headers) or header(headers, "ce_type") == _SETTLED


def is_rest(headers: Headers) -> bool:
    return not is_urgent(headers)
