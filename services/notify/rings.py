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
from contracts.ids import NoticeId
from contracts.vocabulary import Priority
from services.notify.notice import Failed, Outcome, Sent, Unknown

RUNG_JUST_NOW = timedelta(seconds=20)  # shorter than the shortest step of a policy: two steps of one case are never one
BUNDLED_WITHIN = timedelta(minutes=10)
REMEMBERS = 10_000
_CAN_WAIT = {Priority.YELLOW, Priority.GREEN}
_ASKS_ONE_PERSON = {PageReason.OWNER_SILENT, PageReason.HAND_OVER, PageReason.REPEAT_ECG}  # for something about this case: never bundled


@dataclass
class Ring:
    """A person is rung by one method for one and the same: one at a time. What rang last, when, and what is known of it."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    last: tuple[NoticeId, datetime, Outcome] | None = None

    def rang(self, page: PageRequested, outcome: Outcome, at: datetime) -> None:
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


def merged(page: PageRequested, ring: Ring, now: datetime) -> Outcome | None:
    """Return what is known of a page that another has said just before; None where it is to ring."""
    if ring.last is None:
        return None
    notice_id, at, outcome = ring.last
    if isinstance(outcome, Unknown):  # it is not said to be sent, and soon enough somebody tries again
        return Unknown("not sent: one that says the same may just have been") if abs(now - at) < RUNG_JUST_NOW else None
    return Sent(said_by=notice_id) if abs(now - at) < (BUNDLED_WITHIN if bundled(page) else RUNG_JUST_NOW) else None


def _what_it_says(page: PageRequested) -> Hashable:
    whom = (page.person_id, page.method, page.centre_id)  # a standing number is another in each centre
    if bundled(page):
        return whom
    return (*whom, page.case_id, page.upload_id, page.reason, page.priority, page.headline)
