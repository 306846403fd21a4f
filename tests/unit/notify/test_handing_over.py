"""What happens to a notice when the parts of the stack come and go."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from aiokafka import ConsumerRecord

from contracts import topics
from contracts.deliveries import Failure
from contracts.envelope import Record, open_envelope
from services.notify.dead_letters import TOPICS, read_letter
from services.notify.handing_over import Alarms, Pages, StandingAlarmRefused
from services.notify.notice import Failed, Notice, Outcome, Sent, Unknown
from services.runtime.errors import Away
from services.runtime.settling import Message
from tests.unit.notify.pages import T0, directory, page, sealed


class Carrier:
    """Answers as it was told, the last answer for ever, and keeps what it was handed."""

    def __init__(self, *answers: Outcome | Away) -> None:
        self.answers, self.handed = list(answers), list[Notice]()

    async def hand_over(self, notice: Notice, address: Any) -> Outcome:
        self.handed.append(notice)
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


def message() -> Message:
    return Message(open_envelope(sealed(page()).headers), page(), topics.CASES, 0, 0)


def letter() -> Message:
    headers = (("dlq_origin", b"cases.v1/0/1"), ("dlq_group", b"notify-red"))
    return read_letter(TOPICS[-1], ConsumerRecord(TOPICS[-1].name, 0, 1, 1, 0, b"", b"", None, 0, 0, headers))


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
    assert await hear(Pages(carrier, kafka.publish, directory(), "https://x", lambda: T0), 5) == [False, False, False, True, True]
    assert len(carrier.handed) == 1
    assert len({open_envelope(record.headers).id for record in kafka.published}) == 1


async def test_a_pager_that_is_away_is_tried_until_it_takes_the_page_and_nothing_is_told_before():
    carrier, kafka = Carrier(Away("pager", "No space left on device"), Sent()), Kafka()
    assert await hear(Pages(carrier, kafka.publish, directory(), "https://x", lambda: T0), 2) == [False, True]
    assert [open_envelope(record.headers).type for record in kafka.published] == ["NoticeSent"]


async def test_an_alarm_rings_again_only_where_it_was_not_taken():
    carrier = Carrier(Sent(), Failed(Failure.TEMPORARY, "busy"), Sent())
    alarms = Alarms(carrier, directory())
    with pytest.raises(Away, match="busy"):
        await alarms.hear(letter())
    await alarms.hear(letter())
    ids = [notice.notice_id for notice in carrier.handed]
    assert len(ids) == 3
    assert ids[2] == ids[1] != ids[0]


@pytest.mark.parametrize("answer", [Failed(Failure.PERMANENT, "403"), Unknown("no answer")])
async def test_an_alarm_that_may_not_have_rung_is_not_taken_for_one_that_did(answer):
    with pytest.raises(StandingAlarmRefused, match="Call it by hand"):
        await Alarms(Carrier(answer), directory()).hear(letter())


async def test_the_delivery_of_a_page_has_an_id_that_is_made_of_the_notice():
    first, second = Kafka(), Kafka()
    for kafka in (first, second):
        await hear(Pages(Carrier(Sent()), kafka.publish, directory(), "https://x", lambda: T0), 1)
    ids: list[UUID] = [open_envelope(kafka.published[0].headers).id for kafka in (first, second)]
    assert ids[0] == ids[1]
