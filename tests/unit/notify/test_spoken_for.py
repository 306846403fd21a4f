"""A page that another has said, where a provider says later that the other did not reach its telephone; and pages that wait for what is away."""

import asyncio
from datetime import timedelta

import pytest

from contracts import topics
from contracts.cases import PageReason, PageRequested
from contracts.deliveries import Failure
from contracts.envelope import open_envelope
from contracts.vocabulary import Priority
from services.notify.handing_over import Pages
from services.notify.notice import Failed, Origin, Sent, Unknown
from services.runtime.errors import Away
from services.runtime.messages import Message
from tests.unit.notify.pages import T0, contacts, directory, page, sealed
from tests.unit.notify.world import Carrier, Kafka, Kept


def message(asked: PageRequested) -> Message:
    return Message(open_envelope(sealed(asked).headers), asked, topics.CASES, 0, 0)


class Centre:
    """Pages with all that they stand on; the clock stands still."""

    def __init__(self, carrier: Carrier, kept: Kept | None = None) -> None:
        self.carrier, self.kafka, self.kept = carrier, Kafka(), kept or Kept()
        reached_by = {"phone": "local", "sms": "local"}
        self._pages = Pages(self.carrier, self.kafka.publish, self.kept, directory, lambda: contacts(**reached_by), "https://x", lambda: T0)

    async def hear(self, *asked: PageRequested) -> None:
        for each in asked:
            await self._pages.hear(message(each))

    @property
    def rung(self):
        return [(notice.method, notice.round) for notice in self.carrier.handed]


@pytest.mark.parametrize("outcome", [Sent(), Unknown("no answer")])
async def test_the_round_after_one_that_failed_by_its_providers_word_rings_at_once(outcome):
    centre, first, second, third = Centre(Carrier(outcome, Sent())), page(), page(round=2), page(round=3)
    await centre.hear(first)
    centre.kept.failed.add(first.notice_id)
    await centre.hear(second, third)
    assert centre.rung == [("phone", 1), ("phone", 2)]
    assert centre.kept.said == [(second.notice_id, third.notice_id)]


async def test_a_round_is_not_said_by_one_that_failed_before_where_the_next_try_failed_too():
    centre, first = Centre(Carrier(Sent(), Failed(Failure.TEMPORARY, "busy"), Sent())), page()
    await centre.hear(first)
    centre.kept.failed.add(first.notice_id)
    await centre.hear(page(round=2), page(round=3))
    assert centre.rung == [("phone", 1), ("phone", 2), ("phone", 3)]


async def test_the_next_method_of_one_that_failed_by_its_providers_word_rings_at_once():
    centre, first = Centre(Carrier(Sent())), page(method="phone")
    await centre.hear(first)
    centre.kept.failed.add(first.notice_id)
    await centre.hear(page(method="sms", reason=PageReason.NEXT_METHOD))
    assert centre.rung == [("phone", 1), ("sms", 1)]


async def test_a_yellow_rings_where_the_one_that_spoke_for_all_failed_by_its_providers_word():
    centre = Centre(Carrier(Sent()))
    first, second, third, fourth = (page(name, Priority.YELLOW) for name in ("one", "two", "three", "four"))
    await centre.hear(first, second)
    centre.kept.failed.add(first.notice_id)
    await centre.hear(third, fourth)
    assert [notice.notice_id for notice in centre.carrier.handed] == [first.notice_id, third.notice_id]
    assert centre.kept.said == [(first.notice_id, second.notice_id), (third.notice_id, fourth.notice_id)]


async def test_whose_notice_it_was_is_kept_once_more_when_it_was_told():
    kept = Kept()

    class EmptiedOnTheWay(Carrier):
        async def hand_over(self, notice, address):
            kept.origins.clear()
            return await super().hand_over(notice, address)

    await Centre(EmptiedOnTheWay(Sent()), kept).hear(page())
    assert [origin.notice_id for origin in kept.origins] == [page().notice_id]


async def test_nobody_is_told_twice_of_a_page_because_redis_is_away_then():
    class AwayOnceTold(Kept):
        async def keep(self, origin: Origin) -> None:
            if centre.kafka.published:
                raise Away("redis", "test")

    centre = Centre(Carrier(Sent()), AwayOnceTold())
    await centre.hear(page())
    assert len(centre.kafka.published) == 1


async def test_of_the_rounds_that_wait_for_a_full_disk_the_latest_goes_on_waiting_and_the_others_make_room():
    full = Away("pager", "No space left on device")
    centre = Centre(Carrier(full, full, Sent()))
    rounds = [page(round=number, at=T0 + timedelta(minutes=number)) for number in range(1, 6)]
    centre.carrier.answering.clear()
    hearing = [asyncio.create_task(centre.hear(each)) for each in rounds]
    await centre.carrier.asked.wait()
    await asyncio.sleep(0)
    centre.carrier.answering.set()
    found = await asyncio.gather(*hearing, return_exceptions=True)
    assert [isinstance(each, Away) for each in found] == [True, False, False, False, True]
    assert centre.rung == [("phone", 1), ("phone", 5)]  # who knows that it cannot ring does not ask the disk
    await centre.hear(rounds[0], rounds[4])
    assert centre.rung[2:] == [("phone", 5)]
    assert [open_envelope(each.headers).type for each in centre.kafka.published] == ["NoticeFailed"] * 4 + ["NoticeSent"]
