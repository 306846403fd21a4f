"""Ways to break the logic, each by itself: what the simulation must find, or it proves nothing when it finds nothing."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any
from uuid import uuid4

from contracts import topics
from contracts.cases import CaseEvents, CaseRaised
from contracts.ids import CaseId, PatientKey, timer_id
from contracts.vocabulary import Priority
from services.cases import care, escalation, uploads
from services.cases import desk as desks
from services.cases import evolve as evolving
from services.cases import timers as waiting
from services.cases.decision import Decision
from services.cases.desk import Desk
from services.cases.outbox import Entry
from services.cases.state import Case, Phase
from services.notify import handing_over
from services.notify.notice import Outcome, Sent, Unknown
from services.runtime.errors import Away
from services.runtime.reader import Reader
from services.runtime.settling import Settler
from tests.sim.replacing import replaced
from tests.sim.store import Memory

Mutation = Callable[[], AbstractContextManager[None]]


def inbox_check_left_out() -> AbstractContextManager[None]:
    return replaced(Memory, "is_handled", lambda *_: False)


def version_check_left_out() -> AbstractContextManager[None]:
    return replaced(Memory, "is_overtaken", lambda *_: False)


def offset_committed_before_settled() -> AbstractContextManager[None]:
    settle = Reader._settle_in_turn

    async def commit_first(self: Reader, consumer: Any, records: Any) -> None:
        await self._commit_settled(consumer, list(records), ())
        await settle(self, consumer, records)

    return replaced(Reader, "_settle_in_turn", commit_first)


def away_taken_for_handled() -> AbstractContextManager[None]:
    attempt = Settler._attempt

    async def forgive(self: Settler, record: Any, message: Any, course: Any) -> None:
        try:
            await attempt(self, record, message, course)
        except Away:
            course.handled = True

    return replaced(Settler, "_attempt", forgive)


def timer_removed_before_its_command_is_in_kafka() -> AbstractContextManager[None]:
    fire = Desk._fire

    async def drop_first(self: Desk, bucket: int, case: CaseId, timer: str) -> None:
        await self._store.drop(bucket, case, timer)
        await fire(self, bucket, case, timer)

    return replaced(Desk, "_fire", drop_first)


def timer_command_with_an_id_of_its_own_each_time() -> AbstractContextManager[None]:
    return replaced(desks, "timer_id", lambda case, _: timer_id(case, uuid4().hex))


def timers_that_never_fire() -> AbstractContextManager[None]:
    async def sleep_on(*_: object) -> None: ...

    return replaced(Desk, "_fire", sleep_on)


def outbox_half_sent() -> AbstractContextManager[None]:
    async def one_by_one(self: Desk, key: PatientKey, outbox: Sequence[Entry]) -> None:
        for decision in outbox:
            for record in decision.records:
                await self._log.publish(topics.CASES, [record])
            await self._store.sent(key, decision)

    return replaced(Desk, "_relay", one_by_one)


def outbox_cleared_before_it_is_in_kafka() -> AbstractContextManager[None]:
    async def clear_first(self: Desk, key: PatientKey, outbox: Sequence[Entry]) -> None:
        for decision in outbox:
            await self._store.sent(key, decision)
            await self._log.publish(topics.CASES, decision.records)

    return replaced(Desk, "_relay", clear_first)


def outbox_left_behind_by_who_loads_it() -> AbstractContextManager[None]:
    """Of one who fell between the step and Kafka nothing is relayed: neither when its case is loaded, nor by who looks for it."""
    relay = Desk._relay

    async def only_its_own(self: Desk, key: PatientKey, outbox: Sequence[Entry]) -> None:
        if isinstance(outbox, list):  # what it has just decided; what it found is a tuple
            await relay(self, key, outbox)

    return replaced(Desk, "_relay", only_its_own)


def evolve_loses_the_raise() -> AbstractContextManager[None]:
    changed = evolving._changed

    def without(state: Case, event: CaseEvents) -> Case:
        return state if isinstance(event, CaseRaised) else changed(state, event)

    return replaced(evolving, "_changed", without)


def notice_id_by_chance() -> AbstractContextManager[None]:
    return replaced(escalation, "notice_id", lambda *_: uuid4())


def acknowledged_case_silences_a_later_red() -> AbstractContextManager[None]:
    call = uploads.call

    def silent(decision: Decision, upload_id: Any, priority: Priority) -> None:
        if decision.state.phase is not Phase.ACKNOWLEDGED:
            call(decision, upload_id, priority)

    return replaced(uploads, "call", silent)


def new_red_of_a_confirmed_case_waits_for_nobody() -> AbstractContextManager[None]:
    with_news = evolving._with_news
    return replaced(evolving, "_with_news", lambda state, event: with_news(state, event).model_copy(update={"has_news": False}))


def acknowledgement_of_what_nobody_saw() -> AbstractContextManager[None]:
    return replaced(care, "has_seen_all", lambda *_: True)


def no_timer_once_somebody_has_it_in_hand() -> AbstractContextManager[None]:
    return replaced(waiting, "_of_owner", lambda _: iter(()))


def unknown_told_as_sent() -> AbstractContextManager[None]:
    delivery = handing_over.delivery

    def sure(origin: Any, outcome: Outcome, at: Any) -> Any:
        return delivery(origin, outcome if isinstance(outcome, Sent | Unknown) else Sent(), at)

    return replaced(handing_over, "delivery", sure)


def fence_left_out() -> AbstractContextManager[None]:
    """A Redis that was emptied or put back is read and stepped on before the log is folded."""
    return replaced(Memory, "folded", Memory.bucket)


def fold_loses_the_newest() -> AbstractContextManager[None]:
    from services.cases import keeper

    decisions = keeper.decisions
    return replaced(keeper, "decisions", lambda records: list(decisions(records))[:-1])


MUTATIONS: tuple[Mutation, ...] = (
    fence_left_out,
    fold_loses_the_newest,
    inbox_check_left_out,
    version_check_left_out,
    offset_committed_before_settled,
    away_taken_for_handled,
    timer_removed_before_its_command_is_in_kafka,
    timer_command_with_an_id_of_its_own_each_time,
    timers_that_never_fire,
    outbox_half_sent,
    outbox_cleared_before_it_is_in_kafka,
    outbox_left_behind_by_who_loads_it,
    evolve_loses_the_raise,
    notice_id_by_chance,
    acknowledged_case_silences_a_later_red,
    new_red_of_a_confirmed_case_waits_for_nobody,
    acknowledgement_of_what_nobody_saw,
    no_timer_once_somebody_has_it_in_hand,
    unknown_told_as_sent,
)
