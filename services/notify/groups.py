"""How messages are parted before anything is parsed: by their headers alone, into pages that wait for nobody, and the rest."""

from collections.abc import Sequence

from contracts.cases import PageRequested
from contracts.envelope import can_wait, header

Headers = Sequence[tuple[str, bytes]]
RED_GROUP, REST_GROUP, DEAD_GROUP = "notify-red", "notify-rest", "notify-dead"
_PAGE = PageRequested.__name__.encode()
_NOBODY_ELSE_PAGES = {RED_GROUP.encode(), b"triage.routine"}


def is_red_page(headers: Headers) -> bool:
    """Tell a page that waits for nobody: red, not evaluable, and what does not say that it can wait. A message of no type may be one."""
    kind = header(headers, "ce_type")
    return kind is None or (kind == _PAGE and not can_wait(headers))


def is_other_page(headers: Headers) -> bool:
    return header(headers, "ce_type") == _PAGE and can_wait(headers)


def is_alarming_letter(headers: Headers) -> bool:
    """Tell a dead letter that may have led to a page, and that nothing else pages for.

    Given up by cases, by the red pages' own group, or by triage in the routine lane: an emergency that it gives up has its timer."""
    group = header(headers, "dlq_group") or b""
    return group.startswith(b"cases.") or group in _NOBODY_ELSE_PAGES
