"""From a message to a notice handed over, and what is known of it published. Knows neither Kafka nor how a carrier works."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol
from uuid import UUID

from pydantic import SecretStr
from structlog import get_logger

from contracts.cases import PageRequested
from contracts.deliveries import Failure, NoticeEvent, NoticeSent
from contracts.directory import Directory
from contracts.envelope import Record, seal
from contracts.ids import NoticeId, event_id
from services.notify.dead_letters import Letter, alarms
from services.notify.metrics import ALARMS_REFUSED, NOTICES, UPLOAD_TO_HANDED_OVER_SECONDS
from services.notify.notice import Failed, Notice, Outcome, Sent, Unknown, delivery
from services.notify.text import page_text, page_title
from services.runtime.errors import Away, GreenchannelError
from services.runtime.settling import Message

REMEMBERS = 10_000

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


class Pages:
    """Hands over the pages of one group."""

    def __init__(self, hands: Hands, publish: Publish, directory: Directory, link: str, now: Clock) -> None:
        self._hands, self._publish, self._directory, self._link, self._now = hands, publish, directory, link, now
        # While Kafka or Redis is away a message is handled again and again: its notice must not go out each time.
        self._told: OrderedDict[NoticeId, NoticeEvent] = OrderedDict()

    async def hear(self, message: Message) -> None:
        """Hand one page over and publish what is known of it. Raises Away."""
        page = message.event
        if not isinstance(page, PageRequested):
            raise TypeError(f"{type(page).__name__} is no page")
        told = self._told.get(page.notice_id)
        if told is None:
            told = delivery(page, await self._hand_over(page), self._now())
            self._told[page.notice_id] = told
            if len(self._told) > REMEMBERS:
                self._told.popitem(last=False)
            self._measure(page, told)
        kind = type(told).__name__
        await self._publish(
            seal(
                told,
                event_id=event_id(page.notice_id, kind),
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

    async def _hand_over(self, page: PageRequested) -> Outcome:
        person = self._directory.people.get(page.person_id)
        if person is None:
            return Failed(Failure.PERMANENT, f"{page.person_id} is not in the directory")
        address = person.methods.get(page.method)
        if address is None:
            return Failed(Failure.PERMANENT, f"{page.person_id} has no {page.method} in the directory")
        clinic = self._directory.clinics.get(page.clinic_id)
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

    def __init__(self, hands: Hands, directory: Directory) -> None:
        self._hands, self._directory = hands, directory
        self._sent: OrderedDict[UUID, None] = OrderedDict()

    async def hear(self, message: Message) -> None:
        """Return when each centre that the letter concerns was told. Away where a centre's carrier says no for now; StandingAlarmRefused."""
        letter = message.event
        if not isinstance(letter, Letter):
            raise TypeError(f"{type(letter).__name__} is no dead letter")
        wanted = [(centre, notice) for centre, notice in alarms(letter, self._directory) if notice.notice_id not in self._sent]
        outcomes = await asyncio.gather(*(self._hands.hand_over(notice, centre.standing_alarm) for centre, notice in wanted), return_exceptions=True)
        refused, away = list[tuple[str, str]](), list[BaseException]()
        for (centre, notice), outcome in zip(wanted, outcomes, strict=True):
            match outcome:
                case Sent():
                    self._remember(notice.notice_id)
                    NOTICES.labels("sent", "dead_letter").inc()
                case Failed(failure=Failure.TEMPORARY):
                    away.append(Away("standing alarm", f"{centre.name}: {outcome.reason}"))
                case Failed() | Unknown():
                    refused.append((centre.name, outcome.reason))
                case BaseException():
                    away.append(outcome)
        if away:
            raise away[0]
        if refused:
            ALARMS_REFUSED.inc(len(refused))
            raise StandingAlarmRefused(", ".join(name for name, _ in refused), refused[0][1])
        log.error("a dead letter was told to the standing number", letter_id=str(letter.letter_id), case_id=str(letter.case_id))

    def _remember(self, notice_id: UUID) -> None:
        self._sent[notice_id] = None
        if len(self._sent) > REMEMBERS:
            self._sent.popitem(last=False)
