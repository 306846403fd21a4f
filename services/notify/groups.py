"""How messages are parted before anything is parsed: by their headers alone, into what waits for nobody, and the rest."""

from collections.abc import Sequence

from contracts.cases import NobodyOnCall, NoteRequested, PageRequested
from contracts.envelope import can_wait, header

Headers = Sequence[tuple[str, bytes]]
RED_GROUP, REST_GROUP, DEAD_GROUP = "notify-red", "notify-rest", "notify-dead"
_PAGE, _NOTE, _NOBODY = (each.__name__.encode() for each in (PageRequested, NoteRequested, NobodyOnCall))
_NOBODY_ELSE_PAGES = {RED_GROUP.encode(), b"triage.routine"}


def is_of_red_group(headers: Headers) -> bool:
    """Tell a page that waits for nobody: red, not evaluable, and what does not say that it can wait. A message of no type may be one.

    That nobody is on call is heard here too: ops has an alarm of it."""
    kind = header(headers, "ce_type")
    return kind is None or kind == _NOBODY or (kind == _PAGE and not can_wait(headers))


def is_of_rest_group(headers: Headers) -> bool:
    """Tell a page that can wait, and a note, which never stands before a red."""
    kind = header(headers, "ce_type")
    return kind == _NOTE or (kind == _PAGE and can_wait(headers))


def is_alarming_letter(headers: Headers) -> bool:
    """Tell a dead letter that may have led to a page, and that nothing else pages for.

    Given up by cases, by the red pages' own group, or by triage in the routine lane: an emergency that it gives up has its timer."""
    group = header(headers, "dlq_group") or b""
    return group.startswith(b"cases.") or group in _NOBODY_ELSE_PAGES


def group_told_of(headers: Headers) -> str:
    """Return the group in whose inbox the message lies that a delivery names. A page's delivery has the page's priority, a note's has none."""
    return REST_GROUP if can_wait(headers) or header(headers, "ce_priority") is None else RED_GROUP
