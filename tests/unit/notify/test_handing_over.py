"""What happens to a notice when the parts of the stack come and go."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import ConsumerRecord
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from contracts import topics
from contracts.cases import PageRequested
from contracts.deliveries import Failure, NoticeFailed
from contracts.envelope import Record, open_envelope
from services.notify.dead_letters import TOPICS, read_letter
from services.notify.handing_over import MAY_RING, TOO_OLD_AFTER, Alarms, Pages, StandingAlarmRefused
from services.notify.notice import Failed, Notice, Outcome, Sent, Unknown
from services.runtime.errors import Away
from services.runtime.inbox import HANDLED
from services.runtime.messages import Message
from tests.unit.notify.pages import T0, directory, page, sealed


class Carrier:
    """Answers as it was told, the last answer for ever, and keeps what it was handed."""

    def __init__(self, *answers: Outcome | Away) -> None:
        self.answers, self.handed = list(answers), list[Notice]()
        self.asked, self.answering = asyncio.Event(), asyncio.Event()
        self.answering.set()

    async def hand_over(self, notice: Notice, address: Any) -> Outcome:
        self.handed.append(notice)
        self.asked.set()
        await self.answering.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Away):
            raise answer
        return answer


class Kafka:
    """Is away for the first times."""

    def __init__(self, away: int = 0) -> None:
        self.away, self.published = away, list[Record]()

    async def publish(self, record: Record) -> None:
        if self.away:
            self.away -= 1
            raise Away("kafka", "test")
        self.published.append(record)


class Rung:
    """What Redis keeps of the alarms, beyond a restart of notify."""

    def __init__(self) -> None:
        self.begun, self.done = dict[UUID | str, set[str]](), set[UUID | str]()

    async def begin(self, message_id: UUID | str, key: str, beginning: str) -> int:
        if message_id in self.done:
            return HANDLED
        self.begun.setdefault(message_id, set()).add(beginning)
        return len(self.begun[message_id])

    async def pardon(self, message_id: UUID | str, key: str) -> None:
        self.begun.pop(message_id, None)

    async def handled(self, message_id: UUID | str, key: str) -> None:
        self.done.add(message_id)


def message(asked: PageRequested | None = None) -> Message:
    asked = asked or page()
    return Message(open_envelope(sealed(asked).headers), asked, topics.CASES, 0, 0)


def letter(offset: int = 1, message_id: UUID | None = None) -> Message:
    headers = [("dlq_origin", f"cases.v1/0/{offset}".encode()), ("dlq_group", b"notify-red")]
    if message_id:
        headers.append(("ce_id", str(message_id).encode()))
    return read_letter(TOPICS[-1], ConsumerRecord(TOPICS[-1].name, 0, offset, 1, 0, b"", b"", None, 0, 0, headers))


def pages_of(carrier: Carrier, kafka: Kafka, minutes: float = 0) -> Pages:
    return Pages(carrier, kafka.publish, directory(), "https://x", lambda: T0 + timedelta(minutes=minutes))


async def hear(pages: Pages, times: int) -> Sequence[bool]:
    done = []
    for _ in range(times):
        try:
            await pages.hear(message())
            done.append(True)
        except Away:
            done.append(False)
    return done


async def test_while_kafka_is_away_a_page_does_not_go_out_each_time_it_is_tried():
    carrier, kafka = Carrier(Sent()), Kafka(away=3)
    assert await hear(pages_of(carrier, kafka), 5) == [False, False, False, True, True]
    assert len(carrier.handed) == 1
    assert len({open_envelope(record.headers).id for record in kafka.published}) == 1


async def test_a_pager_that_is_away_is_tried_until_it_takes_the_page_and_nothing_is_told_before():
    carrier, kafka = Carrier(Away("pager", "No space left on device"), Sent()), Kafka()
    assert await hear(pages_of(carrier, kafka), 2) == [False, True]
    assert [open_envelope(record.headers).type for record in kafka.published] == ["NoticeSent"]


async def test_an_alarm_rings_again_only_where_it_was_not_taken():
    carrier = Carrier(Sent(), Failed(Failure.TEMPORARY, "busy"), Sent())
    alarms = Alarms(carrier, Rung(), directory())
    with pytest.raises(Away, match="busy"):
        await alarms.hear(letter())
    await alarms.hear(letter())
    ids = [notice.notice_id for notice in carrier.handed]
    assert len(ids) == 3
    assert ids[2] == ids[1] != ids[0]


@pytest.mark.parametrize("answer", [Failed(Failure.PERMANENT, "403"), Unknown("no answer")])
async def test_an_alarm_that_may_not_have_rung_is_not_taken_for_one_that_did(answer):
    with pytest.raises(StandingAlarmRefused, match="Call it by hand"):
        await Alarms(Carrier(answer), Rung(), directory()).hear(letter())


async def test_the_delivery_of_a_page_has_an_id_that_is_made_of_the_notice():
    first, second = Kafka(), Kafka()
    for kafka in (first, second):
        await hear(pages_of(Carrier(Sent()), kafka), 1)
    ids: list[UUID] = [open_envelope(kafka.published[0].headers).id for kafka in (first, second)]
    assert ids[0] == ids[1]


async def test_two_copies_of_a_page_side_by_side_are_handed_over_once_and_told_alike():
    carrier, kafka = Carrier(Sent()), Kafka()
    carrier.answering.clear()
    pages = pages_of(carrier, kafka)
    both = [asyncio.create_task(pages.hear(message())) for _ in range(2)]
    await carrier.asked.wait()
    await asyncio.sleep(0)
    carrier.answering.set()
    await asyncio.gather(*both)
    assert len(carrier.handed) == 1
    assert [open_envelope(record.headers).type for record in kafka.published] == ["NoticeSent"] * 2
    assert len({open_envelope(record.headers).id for record in kafka.published}) == 1


async def test_a_copy_whose_first_is_cancelled_hears_what_became_of_the_page():
    carrier, kafka = Carrier(Sent()), Kafka()
    carrier.answering.clear()
    pages = pages_of(carrier, kafka)
    first, second = (asyncio.create_task(pages.hear(message())) for _ in range(2))
    await carrier.asked.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    carrier.answering.set()
    await second
    assert len(carrier.handed) == 1
    assert len(kafka.published) == 1


async def test_copies_of_a_page_that_the_pager_could_not_take_are_tried_again_and_once():
    carrier, kafka = Carrier(Away("pager", "No space left on device"), Sent()), Kafka()
    pages = pages_of(carrier, kafka)
    assert [type(each) for each in await asyncio.gather(*(pages.hear(message()) for _ in range(2)), return_exceptions=True)] == [Away, Away]
    await asyncio.gather(*(pages.hear(message()) for _ in range(2)))
    assert len(carrier.handed) == 2


def superseded() -> float:
    return REGISTRY.get_sample_value("greenchannel_notices_superseded_total", {"priority": "red"}) or 0


async def test_of_the_rounds_that_an_outage_left_behind_one_rings_and_of_the_others_it_is_said_why():
    carrier, kafka, before = Carrier(Sent()), Kafka(), superseded()
    pages = pages_of(carrier, kafka, minutes=121)
    await asyncio.gather(*(pages.hear(message(page(round=number))) for number in range(1, 121)))
    assert len(carrier.handed) == 1
    told = [NoticeFailed.model_validate_json(each.value) for each in kafka.published if open_envelope(each.headers).type == "NoticeFailed"]
    assert len(told) == superseded() - before == 119
    assert {each.failure for each in told} == {Failure.PERMANENT}
    assert "just been sent" in told[0].reason


async def test_what_says_something_else_rings_at_once():
    carrier = Carrier(Sent())
    pages = pages_of(carrier, Kafka())
    raised = page(round=2, headline="Inferior STEMI")
    for each in (page(), raised, page("another case")):
        await pages.hear(message(each))
    assert len(carrier.handed) == 3


async def test_the_next_round_rings_a_minute_later_whatever_the_clock_of_cases_says():
    carrier, minutes = Carrier(Sent()), [7 * 60.0]
    pages = Pages(carrier, Kafka().publish, directory(), "https://x", lambda: T0 + timedelta(minutes=minutes[0]))
    for number in range(1, 4):
        await pages.hear(message(page(round=number)))
        minutes[0] += 1
    assert len(carrier.handed) == 3


async def test_a_round_rings_where_the_one_before_it_is_known_not_to_have_been_sent():
    carrier = Carrier(Failed(Failure.TEMPORARY, "busy"), Sent())
    pages = pages_of(carrier, Kafka())
    await asyncio.gather(*(pages.hear(message(page(round=number))) for number in (1, 2)))
    assert len(carrier.handed) == 2


async def test_a_page_that_is_more_than_a_day_old_rings_nobody():
    carrier = Carrier(Sent())
    await pages_of(carrier, Kafka(), minutes=TOO_OLD_AFTER / timedelta(minutes=1) + 1).hear(message())
    assert carrier.handed == []


async def test_the_further_letters_of_a_message_ring_no_more_not_even_after_a_restart():
    carrier, rung, timer = Carrier(Sent()), Rung(), uuid4()
    before = Alarms(carrier, rung, directory())
    carrier.answering.clear()
    both = [asyncio.create_task(before.hear(letter(offset, timer))) for offset in (1, 2)]
    await carrier.asked.wait()
    await asyncio.sleep(0)
    carrier.answering.set()
    await asyncio.gather(*both)
    assert len(carrier.handed) == 2  # one for each centre: nothing is known of the clinic
    await Alarms(carrier, rung, directory()).hear(letter(3, timer))
    assert len(carrier.handed) == 2
    await Alarms(carrier, rung, directory()).hear(letter(4, uuid4()))
    assert len(carrier.handed) == 4


async def test_an_alarm_of_which_no_provider_says_whether_it_rang_does_not_ring_for_ever():
    carrier, rung, timer = Carrier(Unknown("no answer")), Rung(), uuid4()
    for offset in range(2 * MAY_RING):
        with pytest.raises(StandingAlarmRefused, match="Call it by hand"):
            await Alarms(carrier, rung, directory()).hear(letter(offset, timer))
    assert len(carrier.handed) == 2 * MAY_RING  # two centres


async def test_an_alarm_that_was_refused_rings_for_the_next_letter_when_the_address_is_mended():
    rung, timer = Rung(), uuid4()
    for offset in range(2 * MAY_RING):
        with pytest.raises(StandingAlarmRefused):
            await Alarms(Carrier(Failed(Failure.PERMANENT, "403")), rung, directory()).hear(letter(offset, timer))
    mended = Carrier(Sent())
    await Alarms(mended, rung, directory()).hear(letter(100, timer))
    assert len(mended.handed) == 2


async def test_a_refused_alarm_is_said_though_another_centre_is_waited_for():
    carrier = Carrier(Failed(Failure.PERMANENT, "403"), Failed(Failure.TEMPORARY, "busy"))
    with capture_logs() as logs, pytest.raises(Away, match="busy"):
        await Alarms(carrier, Rung(), directory()).hear(letter())
    [said] = [entry for entry in logs if entry["log_level"] == "critical"]
    assert "Call it by hand" in said["cause"]
