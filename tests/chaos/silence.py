"""How long a case that nobody had in hand was silent: from one ring to the next, and how much of that all services were ready."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from contracts.cases import Acknowledged, CaseClosed, CaseOpened, CaseRaised, CaseSettled, OwnerReleased, PageRequested, StoodDown
from contracts.vocabulary import Priority
from tests.chaos.evidence import Rung, Written
from tests.chaos.journal import Entry, Readiness

DUE_WITHIN = timedelta(seconds=60)  # where no page says when the next one is due
LATE_AT_MOST = timedelta(seconds=60)  # beyond that, with every service ready: two next methods, a session that runs out, the road itself

URGENT = {Priority.RED, Priority.NOT_EVALUABLE}

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Silence:
    case_id: str
    begins_at: datetime
    whole_s: float
    while_ready_s: float
    may_last_s: float
    why: str

    @property
    def is_too_long(self) -> bool:
        return self.while_ready_s > self.may_last_s


def silences(of_cases: Iterable[Written], rung: Sequence[Rung], journal: Sequence[Entry]) -> list[Silence]:
    """Return the silences of all cases: while one was open and nobody had it in hand, up to its acknowledgement or the journal's end."""
    unready = _unready(journal)
    taken = defaultdict[str, list[datetime]](list)
    for line in rung:
        if line.taken:
            taken[line.notice_id].append(line.at)
    of_case = defaultdict[str, list[Written]](list)
    for each in of_cases:
        of_case[each.envelope.subject].append(each)
    end = journal[-1].at if journal else None
    found = list[Silence]()
    for case_id, events in of_case.items():
        events.sort(key=lambda each: each.envelope.sequence or 0)
        pages = [each.event for each in events if isinstance(each.event, PageRequested)]
        rings = sorted(at for page in pages for at in taken[str(page.notice_id)])
        found += [each for span in _open_spans(events, end) for each in _within(case_id, span, rings, pages, unready)]
    return found


def _open_spans(events: Sequence[Written], end: datetime | None) -> list[Span]:
    """Return when nobody had an urgent case in hand: from its being opened, raised or let go, to its acknowledgement or end."""
    spans, since, is_urgent = list[Span](), None, False
    for each in events:
        match each.event:
            case CaseRaised(kept_by=str()):
                pass  # whoever has it in hand keeps it
            case (CaseOpened() | CaseRaised()) as called:
                is_urgent = called.priority in URGENT
                since = since or called.at if is_urgent else None
            case OwnerReleased() if is_urgent:
                since = since or each.event.at
            case (Acknowledged() | CaseSettled() | CaseClosed() | StoodDown()) as over:
                if since is not None:
                    spans.append((since, max(since, over.at)))
                since = None
            case _:
                pass  # nothing changes in whose hand it is
    if since is not None and end is not None and end > since:
        spans.append((since, end))
    return spans


def _within(case_id: str, span: Span, rings: Sequence[datetime], pages: Sequence[PageRequested], unready: Sequence[Span]) -> Iterable[Silence]:
    begins, ends = span
    moments = [begins, *(at for at in rings if begins < at < ends), ends]
    for index, (before, after) in enumerate(pairwise(moments)):
        asked = [page.again_at - page.at for page in pages if page.at <= before and page.again_at is not None]
        due = LATE_AT_MOST if index == 0 else (asked[-1] if asked else DUE_WITHIN) + LATE_AT_MOST
        whole = after - before
        away = sum((max(timedelta(), min(after, to) - max(before, since)) for since, to in unready), timedelta())
        why = "before the first page" if index == 0 else "to its end" if after == ends else "between two pages"
        yield Silence(case_id, before, whole.total_seconds(), (whole - away).total_seconds(), due.total_seconds(), why)


def _unready(journal: Sequence[Entry]) -> list[Span]:
    spans, since = list[Span](), None
    for entry in journal:
        if isinstance(entry, Readiness):
            if entry.ready and since is not None:
                spans.append((since, entry.at))
            since = None if entry.ready else since or entry.at
    if since is not None:
        spans.append((since, journal[-1].at))
    return spans
