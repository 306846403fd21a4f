"""Whom a page would ring once more for what was just said: the rounds of a backlog, and yellow pages of a campaign.

A case that is open asks for pages again and again. After an outage of notify they come all at once, and a telephone that rings a hundred times for
what is long in hand is not answered the next time: of red pages that say the same, of one upload, by one method, for one reason, the first one
rings. Two uploads ring twice. What can wait rings a person once in ten minutes, whatever it is about.

Only this clock is asked; what another machine's says decides only when they differ by more than any two clocks do."""

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contracts.cases import PageReason, PageRequested
from contracts.deliveries import Failure
from contracts.ids import NoticeId
from contracts.vocabulary import Priority
from services.notify.notice import Failed, Outcome, Sent, Unknown

RUNG_JUST_NOW = timedelta(seconds=20)  # shorter than the shortest step of a policy: two steps of one case are never one
BUNDLED_WITHIN = timedelta(minutes=10)
REMEMBERS = 10_000
LATER_WAITS = Failed(Failure.TEMPORARY, "not sent: it could not be handed over, and a later one that says the same waits for it")
_CAN_WAIT = {Priority.YELLOW, Priority.GREEN}
_ASKS_ONE_PERSON = {PageReason.OWNER_SILENT, PageReason.HAND_OVER, PageReason.REPEAT_ECG}  # for something about this case: never bundled


@dataclass
class Ring:
    """A person is rung by one method for one and the same: one at a time. What rang last, when, and what is known of it."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    last: tuple[NoticeId, datetime, Outcome] | None = None
    latest_asked: datetime | None = None
    was_away: bool = False  # what it takes to ring could not be reached

    def wanted(self, page: PageRequested) -> None:
        self.latest_asked = max(page.at, self.latest_asked or page.at)

    def rang(self, page: PageRequested, outcome: Outcome, at: datetime) -> None:
        self.was_away = False
        if not isinstance(outcome, Failed):
            self.last = page.notice_id, at, outcome


class Rings:
    """The rings of one group of pages, the latest 10,000."""

    def __init__(self) -> None:
        self._rings: OrderedDict[Hashable, Ring] = OrderedDict()

    def of(self, page: PageRequested) -> Ring:
        """Return the ring that a page is of."""
        said = _what_it_says(page)
        ring = self._rings.setdefault(said, Ring())
        self._rings.move_to_end(said)
        if len(self._rings) > REMEMBERS:
            self._rings.popitem(last=False)
        return ring


def bundled(page: PageRequested) -> bool:
    """Tell a page that rings a person once for all of its kind."""
    return page.priority in _CAN_WAIT and page.reason not in _ASKS_ONE_PERSON


@dataclass(frozen=True)
class Merged:
    """A page that another has said just before, and what is known of it; so long as that other is not known to have failed since."""

    by: NoticeId
    outcome: Outcome


def merged(page: PageRequested, ring: Ring, now: datetime) -> Merged | None:
    """Return by what a page was said just before; None where it is to ring."""
    if ring.last is None:
        return None
    by, at, outcome = ring.last
    if isinstance(outcome, Unknown):  # it is not said to be sent, and soon enough somebody tries again
        unknown = Unknown("not sent: one that says the same may just have been")
        return Merged(by, unknown) if abs(now - at) < RUNG_JUST_NOW else None
    return Merged(by, Sent(said_by=by)) if abs(now - at) < (BUNDLED_WITHIN if bundled(page) else RUNG_JUST_NOW) else None


def is_superseded(page: PageRequested, ring: Ring) -> bool:
    """Tell a page that could not ring while a later one that says the same waits too: they must not gather, and fill what is taken at once."""
    return ring.was_away and not bundled(page) and ring.latest_asked is not None and page.at < ring.latest_asked


def _what_it_says(page: PageRequested) -> Hashable:
    whom = (page.person_id, page.method, page.centre_id)  # a standing number is another in each centre
    if bundled(page):
        return whom
    return (*whom, page.case_id, page.upload_id, page.reason, page.priority, page.headline)
