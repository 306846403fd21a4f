"""Letters that wait for a provider hold up no others, and none of them is lost."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from aiokafka import ConsumerRecord
from pydantic import SecretStr

from contracts.deliveries import Failure
from services.notify.dead_letters import TOPICS, read_letter
from services.notify.letters_in_hand import WAIT_FOR_ONE_ADDRESS
from services.notify.notice import Failed, Notice, Outcome, Sent
from services.notify.standing_alarms import Alarms
from services.runtime.errors import Away
from services.runtime.messages import Message
from services.runtime.settling import Settler
from tests.unit.notify.pages import contacts, directory
from tests.unit.notify.world import Carrier, Rung

TOPIC, PLACES = TOPICS[-1], 64
BUSY = Failed(Failure.TEMPORARY, "busy")
NORTH, SOUTH = "json://north.test", "json://south.test"


class Providers:
    """Take what they are given, but for those that are away. `told` is which letters each has taken, by their words."""

    def __init__(self, *away: str) -> None:
        self.away, self.told = set(away), {NORTH: Counter[str](), SOUTH: Counter[str]()}
        self.refused = asyncio.Semaphore(0)

    async def hand_over(self, notice: Notice, address: SecretStr) -> Outcome:
        await asyncio.sleep(0)
        if address.get_secret_value() in self.away:
            self.refused.release()
            return BUSY
        self.told[address.get_secret_value()][notice.text] += 1
        return Sent()


def record(offset: int, message_id: UUID, centre_id: str | None = None, partition: int = 0) -> ConsumerRecord:
    headers = [("dlq_origin", f"cases.v1/{partition}/{offset}".encode()), ("dlq_group", b"notify-red"), ("ce_id", str(message_id).encode())]
    value = json.dumps({"centre_id": centre_id}).encode() if centre_id else b""
    return ConsumerRecord(TOPIC.name, partition, offset, 1, 0, b"", value, None, 0, 0, headers)


def letter(*of_record: int | UUID) -> Message:
    return read_letter(TOPIC, record(*of_record))


def settling(alarms: Alarms) -> Callable[[ConsumerRecord], asyncio.Task[None]]:
    """Return what begins to settle a letter as the reader does: in a task of its own, until it is told of."""
    settler = Settler(TOPIC, "test", alarms.hear, Rung(), None, read_letter, begins_early=False)
    return lambda letter: asyncio.create_task(settler.settle(letter, is_new=True))


async def left_in_hand(tasks: set[asyncio.Task[None]], at_most: int) -> set[asyncio.Task[None]]:
    """Wait until so many are not settled, and return them."""
    while len(tasks) > at_most:
        _, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    return tasks


async def test_the_further_letters_of_an_alarm_that_waits_take_no_place_and_it_rings_once():
    carrier, timer = Carrier(BUSY), uuid4()
    settle = settling(Alarms(carrier, Rung(), directory, contacts))
    [waiting] = await left_in_hand({settle(record(offset, timer)) for offset in range(PLACES)}, 1)
    await settle(record(PLACES, timer))
    assert not waiting.done()
    carrier.answers, carrier.handed = [Sent()], []
    await waiting
    assert len({notice.notice_id for notice in carrier.handed}) == len(carrier.handed) == 2  # one for each centre


@pytest.mark.parametrize("waits", [pytest.param(True, id="waiting"), pytest.param(False, id="being handed over")])
async def test_a_letter_that_was_put_down_leaves_its_alarm_to_the_next(waits):
    carrier, timer = Carrier(BUSY), uuid4()
    alarms = Alarms(carrier, Rung(), directory, contacts)
    settler = Settler(TOPIC, "test", alarms.hear, Rung(), None, read_letter, begins_early=False)
    first = asyncio.create_task(settler.settle(record(1, timer), is_new=True))
    await carrier.asked.wait()
    while waits and settler.away is None:
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    carrier.answers, carrier.handed = [Sent()], []
    await alarms.hear(letter(2, timer))
    assert len(carrier.handed) == 2


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda timer: record(0, timer), id="before it"),
        pytest.param(lambda timer: record(2, timer, None, 1), id="in another partition"),
        pytest.param(lambda timer: record(2, uuid4()), id="of another message"),
    ],
)
async def test_a_letter_that_the_one_in_hand_does_not_keep_from_being_lost_is_told_of_by_itself(other):
    carrier, timer = Carrier(BUSY), uuid4()
    alarms = Alarms(carrier, Rung(), directory, contacts)
    first = settling(alarms)(record(1, timer))
    await carrier.asked.wait()
    with pytest.raises(Away, match="busy"):
        await alarms.hear(read_letter(TOPIC, other(timer)))
    carrier.answers = [Sent()]
    await first


async def test_one_centre_whose_provider_is_away_holds_up_no_other_and_no_letter_is_lost():
    providers = Providers(NORTH)
    settle = settling(Alarms(providers, Rung(), directory, lambda: contacts({"north": NORTH, "south": SOUTH})))
    letters = {settle(record(offset, uuid4(), "north")) for offset in range(PLACES)}
    waiting = await left_in_hand(letters, WAIT_FOR_ONE_ADDRESS)
    await settle(record(PLACES, uuid4(), "south"))
    assert providers.told[NORTH] == {}
    assert len(waiting) == WAIT_FOR_ONE_ADDRESS
    assert len(providers.told[SOUTH]) == PLACES - len(waiting) + 1  # another centre was rung
    assert not any(each.done() for each in waiting)
    providers.away.clear()
    await asyncio.gather(*waiting)
    rung = providers.told[NORTH] + providers.told[SOUTH]
    assert len(rung) == PLACES + 1
    assert set(rung.values()) == {1}


async def test_where_no_other_centre_can_be_rung_all_letters_wait():
    providers = Providers(NORTH)
    settle = settling(Alarms(providers, Rung(), directory, lambda: contacts({"north": NORTH})))
    letters = [settle(record(offset, uuid4(), "north")) for offset in range(2 * WAIT_FOR_ONE_ADDRESS)]
    for _ in range(3 * len(letters)):
        await providers.refused.acquire()
    assert not any(each.done() for each in letters)
    providers.away.clear()
    await asyncio.gather(*letters)
    assert len(providers.told[NORTH]) == len(letters)
