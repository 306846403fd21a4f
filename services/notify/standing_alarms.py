"""Dead letters ring the standing numbers. Knows neither Kafka nor how a carrier works."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

from pydantic import SecretStr
from structlog import get_logger

from contracts.deliveries import Failure
from contracts.directory import Contacts, Directory
from services.notify.dead_letters import Letter, alarms
from services.notify.handing_over import Hands
from services.notify.letters_in_hand import InHand, LettersInHand
from services.notify.metrics import ALARMS_REFUSED, NOTICES
from services.notify.notice import Failed, Notice, Outcome, Sent, Unknown
from services.notify.once import Once
from services.runtime.errors import Away, GreenchannelError
from services.runtime.inbox import HANDLED
from services.runtime.messages import Message
from services.runtime.settling import InboxPort

MAY_RING = 3  # for one message at one standing number, where no provider says whether it rang

log = get_logger()


class StandingAlarmRefused(GreenchannelError):
    """A standing number could not be told of a dead letter."""

    def __init__(self, centre_ids: str, reason: str) -> None:
        super().__init__(centre_ids, reason)
        self.centre_ids, self.reason = centre_ids, reason

    def __str__(self) -> str:
        return f"the standing number of {self.centre_ids} was not told: {self.reason}. Call it by hand, then mend its address in the contacts"


class Alarms:
    """Tells the standing numbers of dead letters that should have led to a page."""

    def __init__(self, hands: Hands, rung: InboxPort, directory: Callable[[], Directory], contacts: Callable[[], Contacts]) -> None:
        """rung knows, beyond a restart, the alarms that were taken: by the id of the notice, which a message's further letters share."""
        self._hands, self._rung, self._directory, self._contacts = hands, rung, directory, contacts
        self._once: Once[Outcome] = Once(settles=lambda outcome: isinstance(outcome, Sent))
        self._in_hand = LettersInHand()

    async def hear(self, message: Message) -> None:
        """Return when each centre that the letter concerns was told. Away where a centre's carrier says no for now; StandingAlarmRefused.

        Returns at once for a further letter of an alarm that is under way, and rings another centre where many wait for this one's carrier."""
        letter = message.event
        if not isinstance(letter, Letter):
            raise TypeError(f"{type(letter).__name__} is no dead letter")
        in_hand = self._in_hand.take(message, letter.alarm_id)
        if in_hand is None:
            return
        ended = True
        try:
            await self._tell(letter, in_hand)
        except Away:
            ended = False  # its task tries again
            raise
        finally:
            if ended:
                self._in_hand.put_down(in_hand)

    async def _tell(self, letter: Letter, in_hand: InHand) -> None:
        wanted = alarms(letter, self._directory(), _passing_over(self._in_hand.crowded(in_hand), self._contacts()))
        if not wanted:
            ALARMS_REFUSED.inc()
            raise StandingAlarmRefused("every centre", "the contacts hold no standing alarm")
        in_hand.waits_for &= {address for _, address, _ in wanted}  # what is passed over is waited for no more: the next one is to know
        outcomes = await asyncio.gather(*(self._ring(letter, *each) for each in wanted), return_exceptions=True)
        refused, away, waits_for = list[tuple[str, str]](), list[BaseException](), set[SecretStr]()
        for (centre, address, _), outcome in zip(wanted, outcomes, strict=True):
            match outcome:
                case Sent():
                    pass
                case Failed(failure=Failure.TEMPORARY):
                    away.append(Away("standing alarm", f"{centre}: {outcome.reason}"))
                    waits_for.add(address)
                case Failed() | Unknown():
                    refused.append((centre, outcome.reason))
                case BaseException():
                    away.append(outcome)
        in_hand.waits_for = frozenset(waits_for)
        if refused:
            ALARMS_REFUSED.inc(len(refused))
            error = StandingAlarmRefused(", ".join(name for name, _ in refused), refused[0][1])
            if not away:
                raise error
            log.critical("a standing number was not told", cause=str(error), letter_id=str(letter.letter_id))  # the others are waited for
        if away:
            raise away[0]

    async def _ring(self, letter: Letter, centre: str, address: SecretStr, notice: Notice) -> Outcome:
        """Ring once for a message, whatever becomes of it later: a timer whose command cannot be handled makes another letter every few seconds."""
        outcome = await self._once.get(notice.notice_id, lambda: self._hand_over(letter, centre, address, notice))
        if isinstance(outcome, Sent):
            await self._rung.handled(notice.notice_id, str(notice.notice_id))
        return outcome

    async def _hand_over(self, letter: Letter, centre: str, address: SecretStr, notice: Notice) -> Outcome:
        notice_id, key = notice.notice_id, str(notice.notice_id)
        begun = await self._rung.begin(notice_id, key, uuid4().hex)
        if begun == HANDLED:
            return Sent()
        if begun > MAY_RING:
            return Unknown(f"it may have rung {MAY_RING} times, and the provider confirmed none")
        try:
            outcome = await self._hands.hand_over(notice, address)
        except Away as away:
            outcome = Failed(Failure.TEMPORARY, str(away))
        match outcome:
            case Sent():
                NOTICES.labels("sent", "dead_letter").inc()
                log.error("a dead letter was told to a standing number", centre=centre, letter_id=str(letter.letter_id), case_id=str(letter.case_id))
            case Failed():
                await self._rung.pardon(notice_id, key)  # it is known not to have rung
            case Unknown():
                pass
        return outcome


def _passing_over(crowded: frozenset[SecretStr], contacts: Contacts) -> Contacts:
    """Return the contacts without the standing alarms at these addresses; with all, where there is no other: nobody else is held up then."""
    others = {centre_id: address for centre_id, address in contacts.standing_alarms.items() if address not in crowded}
    if not crowded or not others:
        return contacts
    log.warning("letters wait for a standing number: another centre's is rung for what is new", rung=sorted(others), waited_for=len(crowded))
    return contacts.model_copy(update={"standing_alarms": others})
