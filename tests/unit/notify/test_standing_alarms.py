"""Dead letters ring the standing numbers: each message once, and none in vain."""

import asyncio
from uuid import UUID, uuid4

import pytest
from aiokafka import ConsumerRecord
from structlog.testing import capture_logs

from contracts.deliveries import Failure
from services.notify.dead_letters import TOPICS, read_letter
from services.notify.notice import Failed, Sent, Unknown
from services.notify.standing_alarms import MAY_RING, Alarms, StandingAlarmRefused
from services.runtime.errors import Away
from services.runtime.messages import Message
from tests.unit.notify.pages import contacts, directory
from tests.unit.notify.world import Carrier, Rung


def letter(offset: int = 1, message_id: UUID | None = None) -> Message:
    headers = [("dlq_origin", f"cases.v1/0/{offset}".encode()), ("dlq_group", b"notify-red")]
    if message_id:
        headers.append(("ce_id", str(message_id).encode()))
    return read_letter(TOPICS[-1], ConsumerRecord(TOPICS[-1].name, 0, offset, 1, 0, b"", b"", None, 0, 0, headers))


async def test_an_alarm_rings_again_only_where_it_was_not_taken():
    carrier = Carrier(Sent(), Failed(Failure.TEMPORARY, "busy"), Sent())
    alarms = Alarms(carrier, Rung(), directory, contacts)
    with pytest.raises(Away, match="busy"):
        await alarms.hear(letter())
    await alarms.hear(letter())
    ids = [notice.notice_id for notice in carrier.handed]
    assert len(ids) == 3
    assert ids[2] == ids[1] != ids[0]


@pytest.mark.parametrize("answer", [Failed(Failure.PERMANENT, "403"), Unknown("no answer")])
async def test_an_alarm_that_may_not_have_rung_is_not_taken_for_one_that_did(answer):
    with pytest.raises(StandingAlarmRefused, match="Call it by hand"):
        await Alarms(Carrier(answer), Rung(), directory, contacts).hear(letter())


async def test_the_further_letters_of_a_message_ring_no_more_not_even_after_a_restart():
    carrier, rung, timer = Carrier(Sent()), Rung(), uuid4()
    before = Alarms(carrier, rung, directory, contacts)
    carrier.answering.clear()
    both = [asyncio.create_task(before.hear(letter(offset, timer))) for offset in (1, 2)]
    await carrier.asked.wait()
    await asyncio.sleep(0)
    carrier.answering.set()
    await asyncio.gather(*both)
    assert len(carrier.handed) == 2  # one for each centre: nothing is known of the clinic
    await Alarms(carrier, rung, directory, contacts).hear(letter(3, timer))
    assert len(carrier.handed) == 2
    await Alarms(carrier, rung, directory, contacts).hear(letter(4, uuid4()))
    assert len(carrier.handed) == 4


async def test_an_alarm_of_which_no_provider_says_whether_it_rang_does_not_ring_for_ever():
    carrier, rung, timer = Carrier(Unknown("no answer")), Rung(), uuid4()
    for offset in range(2 * MAY_RING):
        with pytest.raises(StandingAlarmRefused, match="Call it by hand"):
            await Alarms(carrier, rung, directory, contacts).hear(letter(offset, timer))
    assert len(carrier.handed) == 2 * MAY_RING  # two centres


async def test_an_alarm_that_was_refused_rings_for_the_next_letter_when_the_address_is_mended():
    rung, timer = Rung(), uuid4()
    for offset in range(2 * MAY_RING):
        with pytest.raises(StandingAlarmRefused):
            await Alarms(Carrier(Failed(Failure.PERMANENT, "403")), rung, directory, contacts).hear(letter(offset, timer))
    mended = Carrier(Sent())
    await Alarms(mended, rung, directory, contacts).hear(letter(100, timer))
    assert len(mended.handed) == 2


async def test_a_refused_alarm_is_said_though_another_centre_is_waited_for():
    carrier = Carrier(Failed(Failure.PERMANENT, "403"), Failed(Failure.TEMPORARY, "busy"))
    with capture_logs() as logs, pytest.raises(Away, match="busy"):
        await Alarms(carrier, Rung(), directory, contacts).hear(letter())
    [said] = [entry for entry in logs if entry["log_level"] == "critical"]
    assert "Call it by hand" in said["cause"]


async def test_where_no_machine_can_ring_a_standing_number_it_is_said_so():
    with pytest.raises(StandingAlarmRefused, match="the contacts hold no standing alarm"):
        await Alarms(Carrier(Sent()), Rung(), directory, lambda: contacts(alarms={})).hear(letter())
