"""From a message to a notice handed over, and what is known of it published. Knows neither Kafka nor how a carrier works."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import uuid4

from pydantic import SecretStr
from structlog import get_logger

from contracts.cases import PageRequested
from contracts.deliveries import Failure, NoticeEvent, NoticeSent
from contracts.directory import Contacts, Directory
from contracts.envelope import Record, seal
from contracts.ids import CentreId, event_id
from services.notify.dead_letters import Letter, alarms
from services.notify.metrics import ALARMS_REFUSED, NOTICES, SUPERSEDED, UPLOAD_TO_HANDED_OVER_SECONDS
from services.notify.notice import Failed, Notice, Outcome, Sent, Unknown, delivery
from services.notify.once import REMEMBERS, Once
from services.notify.text import page_text, page_title
from services.runtime.errors import Away, GreenchannelError
from services.runtime.inbox import HANDLED
from services.runtime.messages import Message
from services.runtime.settling import InboxPort

# A case that is open asks for a page every minute. After an outage of notify its rounds come all at once, and a telephone that rings a hundred
# times for what is long in hand is not answered the next time: of rounds that say the same the first one rings. Only this clock is asked for that;
# what another machine's says decides only when they differ by more than any two clocks do.
RUNG_JUST_NOW = timedelta(seconds=30)
TOO_OLD_AFTER = timedelta(days=1)

MAY_RING = 3  # for one message at one standing number, where no provider says whether it rang

log = get_logger()

Clock = Callable[[], datetime]
Publish = Callable[[Record], Awaitable[None]]


class Hands(Protocol):
    async def hand_over(self, notice: Notice, address: SecretStr) -> Outcome:
        """Return what is known of the notice, soon. Raises Away where it must be tried again."""
        ...


class StandingAlarmRefused(GreenchannelError):
    """A standing number could not be told of a dead letter."""

    def __init__(self, centre_ids: str, reason: str) -> None:
        super().__init__(centre_ids, reason)
        self.centre_ids, self.reason = centre_ids, reason

    def __str__(self) -> str:
        return f"the standing number of {self.centre_ids} was not told: {self.reason}. Call it by hand, then mend its standing_alarm in the directory"


@dataclass
class _Ring:
    """A person is rung by one method for one and the same: one at a time, and when it was last."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    rung_at: datetime | None = None


class Pages:
    """Hands over the pages of one group."""

    def __init__(
        self, hands: Hands, publish: Publish, directory: Callable[[], Directory], contacts: Callable[[], Contacts], link: str, now: Clock
    ) -> None:
        self._hands, self._publish, self._link, self._now = hands, publish, link, now
        self._directory, self._contacts = directory, contacts
        # A message comes again while Kafka or Redis is away, and twice at once where it lies twice: its notice must not go out each time.
        self._once: Once[NoticeEvent] = Once()
        self._rings: OrderedDict[Hashable, _Ring] = OrderedDict()

    async def hear(self, message: Message) -> None:
        """Hand one page over and publish what is known of it. Raises Away."""
        page = message.event
        if not isinstance(page, PageRequested):
            raise TypeError(f"{type(page).__name__} is no page")
        told = await self._once.get(page.notice_id, lambda: self._tell(page))
        await self._publish(
            seal(
                told,
                event_id=event_id(page.notice_id, type(told).__name__),
                source="notify",
                subject=page.case_id,
                key=page.patient_key,
                time=told.at,
                recorded=self._now(),
                correlation=message.envelope.correlationid,
                causation=message.envelope.id,
                priority=page.priority,
                traceparent=message.envelope.traceparent,
            )
        )

    async def _tell(self, page: PageRequested) -> NoticeEvent:
        ring = self._ring_of(page)
        async with ring.turn:
            superseded = self._superseded(page, ring)
            if superseded is not None:
                SUPERSEDED.labels(page.priority.value).inc()
                outcome: Outcome = Failed(Failure.PERMANENT, f"not sent: {superseded}")
            else:
                outcome = await self._hand_over(page)
                ring.rung_at = ring.rung_at if isinstance(outcome, Failed) else self._now()
        told = delivery(page, outcome, self._now())
        self._measure(page, told)
        return told

    def _ring_of(self, page: PageRequested) -> _Ring:
        said = (page.case_id, page.person_id, page.method, page.priority, page.headline)
        ring = self._rings.setdefault(said, _Ring())
        self._rings.move_to_end(said)
        if len(self._rings) > REMEMBERS:
            self._rings.popitem(last=False)
        return ring

    def _superseded(self, page: PageRequested, ring: _Ring) -> str | None:
        now = self._now()
        if now - page.at > TOO_OLD_AFTER:
            return "more than a day old when its turn came"
        if ring.rung_at is not None and abs(now - ring.rung_at) < RUNG_JUST_NOW:
            return "another round that says the same had just been sent when its turn came"
        return None

    async def _hand_over(self, page: PageRequested) -> Outcome:
        methods = self._contacts().people.get(page.person_id)
        if methods is None:
            return Failed(Failure.PERMANENT, f"{page.person_id} is not in the directory")
        address = methods.get(page.method)
        if address is None:
            return Failed(Failure.PERMANENT, f"{page.person_id} has no {page.method} in the directory")
        clinic = self._directory().clinics.get(page.clinic_id)
        notice = Notice(
            notice_id=page.notice_id,
            case_id=page.case_id,
            person=page.person_id,
            method=page.method,
            round=page.round,
            title=page_title(page.priority),
            text=page_text(page, clinic.name if clinic else page.clinic_id, self._link, self._now()),
        )
        return await self._hands.hand_over(notice, address)

    def _measure(self, page: PageRequested, told: NoticeEvent) -> None:
        kind = type(told).__name__
        NOTICES.labels(kind.removeprefix("Notice").lower(), page.priority.value).inc()
        if isinstance(told, NoticeSent):
            if page.round == 1:
                UPLOAD_TO_HANDED_OVER_SECONDS.labels(page.priority.value).observe((told.at - page.received_at).total_seconds())
        else:
            reason = getattr(told, "reason", "")
            log.warning("notice not known to be sent", outcome=kind, notice_id=str(page.notice_id), person=page.person_id, reason=reason)


class Alarms:
    """Tells the standing numbers of dead letters that should have led to a page."""

    def __init__(self, hands: Hands, rung: InboxPort, directory: Callable[[], Directory], contacts: Callable[[], Contacts]) -> None:
        """rung knows, beyond a restart, the alarms that were taken: by the id of the notice, which a message's further letters share."""
        self._hands, self._rung, self._directory, self._contacts = hands, rung, directory, contacts
        self._once: Once[Outcome] = Once(settles=lambda outcome: isinstance(outcome, Sent))

    async def hear(self, message: Message) -> None:
        """Return when each centre that the letter concerns was told. Away where a centre's carrier says no for now; StandingAlarmRefused."""
        letter = message.event
        if not isinstance(letter, Letter):
            raise TypeError(f"{type(letter).__name__} is no dead letter")
        wanted = alarms(letter, self._directory())
        outcomes = await asyncio.gather(*(self._ring(letter, centre_id, notice) for centre_id, notice in wanted), return_exceptions=True)
        refused, away = list[tuple[str, str]](), list[BaseException]()
        for (centre_id, _), outcome in zip(wanted, outcomes, strict=True):
            match outcome:
                case Sent():
                    pass
                case Failed(failure=Failure.TEMPORARY):
                    away.append(Away("standing alarm", f"{centre_id}: {outcome.reason}"))
                case Failed() | Unknown():
                    refused.append((centre_id, outcome.reason))
                case BaseException():
                    away.append(outcome)
        if refused:
            ALARMS_REFUSED.inc(len(refused))
            error = StandingAlarmRefused(", ".join(name for name, _ in refused), refused[0][1])
            if not away:
                raise error
            log.critical("a standing number was not told", cause=str(error), letter_id=str(letter.letter_id))  # the others are waited for
        if away:
            raise away[0]

    async def _ring(self, letter: Letter, centre_id: CentreId, notice: Notice) -> Outcome:
        """Ring once for a message, whatever becomes of it later: a timer whose command cannot be handled makes another letter every few seconds."""
        outcome = await self._once.get(notice.notice_id, lambda: self._hand_over(letter, centre_id, notice))
        if isinstance(outcome, Sent):
            await self._rung.handled(notice.notice_id, str(notice.notice_id))
        return outcome

    async def _hand_over(self, letter: Letter, centre_id: CentreId, notice: Notice) -> Outcome:
        notice_id, key = notice.notice_id, str(notice.notice_id)
        address = self._contacts().standing_alarms.get(centre_id)
        if address is None:
            return Failed(Failure.PERMANENT, "the directory has no standing alarm for it")
        begun = await self._rung.begin(notice_id, key, uuid4().hex)
        if begun == HANDLED:
            return Sent()
        if begun > MAY_RING:
            return Unknown(f"it may have rung {MAY_RING} times, and the provider confirmed none")
        try:
            outcome = await self._hands.hand_over(notice, address)
        except Away:
            await self._rung.pardon(notice_id, key)
            raise
        match outcome:
            case Sent():
                NOTICES.labels("sent", "dead_letter").inc()
                log.error(
                    "a dead letter was told to a standing number", centre=centre_id, letter_id=str(letter.letter_id), case_id=str(letter.case_id)
                )
            case Failed():
                await self._rung.pardon(notice_id, key)  # it is known not to have rung
            case Unknown():
                pass
        return outcome
