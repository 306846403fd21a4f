"""From a message to a notice handed over, and what is known of it published. Knows neither Kafka nor how a carrier works."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import SecretStr
from structlog import get_logger

from contracts.cases import NobodyOnCall, NoteRequested, PageRequested
from contracts.deliveries import Failure, NoticeEvent, NoticeSent
from contracts.directory import Contacts, Directory
from contracts.envelope import Record
from contracts.ids import NoticeId
from services.notify.addresses import address_of, clinic_name
from services.notify.metrics import NOBODY_ON_CALL, NOTICES, SUPERSEDED, UPLOAD_TO_HANDED_OVER_SECONDS
from services.notify.notice import Asked, Failed, Notice, Origin, Outcome, delivery, origin_of, sealed, spoken_for_by
from services.notify.once import Once
from services.notify.rings import LATER_WAITS, Rings, bundled, is_superseded, merged
from services.notify.text import NOTE_TITLE, note_text, page_text, page_title
from services.runtime.errors import Away
from services.runtime.messages import Message

TOO_OLD_AFTER = timedelta(days=1)
TOO_OLD = Failed(Failure.PERMANENT, "not sent: more than a day old when its turn came")

log = get_logger()

Clock = Callable[[], datetime]
Publish = Callable[[Record], Awaitable[None]]


class Hands(Protocol):
    async def hand_over(self, notice: Notice, address: SecretStr) -> Outcome:
        """Return what is known of the notice, soon. Raises Away where it must be tried again."""
        ...


class Notices(Protocol):
    """What a provider's later word is told by. Raises Away."""

    async def keep(self, origin: Origin) -> None: ...

    async def speaks_for(self, notice_id: NoticeId, other: Origin) -> bool:
        """Note that another notice is not sent because this one says the same; False where this one is known to have failed since."""
        ...


class Pages:
    """Hands over the pages and notes of one group."""

    def __init__(
        self,
        hands: Hands,
        publish: Publish,
        notices: Notices,
        directory: Callable[[], Directory],
        contacts: Callable[[], Contacts],
        link: str,
        now: Clock,
    ) -> None:
        """directory and contacts raise Away while nothing is loaded."""
        self._hands, self._publish, self._notices, self._directory, self._contacts = hands, publish, notices, directory, contacts
        self._link, self._now = link, now
        # A message comes again while Kafka or Redis is away, and twice at once where it lies twice: its notice must not go out each time.
        self._once: Once[NoticeEvent] = Once()
        self._rings = Rings()

    async def hear(self, message: Message) -> None:
        """Hand a page or a note over and publish what is known of it; tell ops where nobody is on call. Raises Away."""
        match message.event:
            case PageRequested() | NoteRequested() as asked:
                origin = origin_of(asked, message.envelope)
                told = await self._once.get(asked.notice_id, lambda: self._tell(asked, origin))
                await self._publish(sealed(told, origin, self._now()))
                if spoken_for_by(told) is None:
                    # Redis may have been lost and folded while the notice was on its way; one that is away now is folded with what was just told.
                    with suppress(Away):
                        await self._notices.keep(origin)
            case NobodyOnCall() as nobody:
                _tell_ops(nobody)
            case other:
                raise TypeError(f"{type(other).__name__} is no page")

    async def _tell(self, asked: Asked, origin: Origin) -> NoticeEvent:
        if self._now() - asked.at > TOO_OLD_AFTER:
            outcome: Outcome = TOO_OLD
            if isinstance(asked, PageRequested):
                SUPERSEDED.labels(asked.priority.value).inc()
        elif isinstance(asked, PageRequested):
            outcome = await self._ring(asked, origin)
        else:
            outcome = await self._hand_over(asked, origin)
        told = delivery(origin, outcome, self._now())
        _measure(asked, told)
        return told

    async def _ring(self, page: PageRequested, origin: Origin) -> Outcome:
        ring = self._rings.of(page)
        ring.wanted(page)
        async with ring.turn:
            if is_superseded(page, ring):
                SUPERSEDED.labels(page.priority.value).inc()
                return LATER_WAITS
            said = merged(page, ring, self._now())
            if said is not None and await self._notices.speaks_for(said.by, origin):
                SUPERSEDED.labels(page.priority.value).inc()
                return said.outcome
            try:
                outcome = await self._hand_over(page, origin)
            except Away:
                ring.was_away = True
                raise
            ring.rang(page, outcome, self._now())
        return outcome

    async def _hand_over(self, asked: Asked, origin: Origin) -> Outcome:
        directory = self._directory()
        address = address_of(asked, self._contacts(), directory)
        if isinstance(address, Failed):
            return address
        await self._notices.keep(origin)  # before: a provider's word may come sooner than its answer
        return await self._hands.hand_over(self._notice(asked, directory), address)

    def _notice(self, asked: Asked, directory: Directory) -> Notice:
        if isinstance(asked, NoteRequested):
            title, text = NOTE_TITLE, note_text(asked, self._link)
        else:
            clinic = clinic_name(asked.clinic_id, directory)
            title, text = page_title(asked.priority), page_text(asked, clinic, self._link, self._now(), speaks_for_more=bundled(asked))
        return Notice(asked.notice_id, asked.case_id, asked.person_id, asked.method, asked.round, title, text)


def _tell_ops(nobody: NobodyOnCall) -> None:
    NOBODY_ON_CALL.labels(nobody.centre_id).inc()
    log.error(
        "nobody is on call: the standing number is paged; mend the rosters and load the directory",
        centre=nobody.centre_id,
        rosters=nobody.rosters,
        case_id=str(nobody.case_id),
        directory_version=nobody.directory_version,
    )


def _measure(asked: Asked, told: NoticeEvent) -> None:
    kind = type(told).__name__
    NOTICES.labels(kind.removeprefix("Notice").lower(), asked.priority.value if isinstance(asked, PageRequested) else "note").inc()
    if not isinstance(told, NoticeSent):
        reason = getattr(told, "reason", "")
        log.warning("notice not known to be sent", outcome=kind, notice_id=str(told.notice_id), person=told.person_id, reason=reason)
    elif isinstance(asked, PageRequested) and asked.round == 1 and told.said_by is None:
        UPLOAD_TO_HANDED_OVER_SECONDS.labels(asked.priority.value).observe((told.at - asked.received_at).total_seconds())
