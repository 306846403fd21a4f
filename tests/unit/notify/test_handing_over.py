"""What happens to a notice when the parts of the stack come and go."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from contracts import topics
from contracts.cases import NobodyOnCall, NoteRequested, PageRequested
from contracts.deliveries import Failure, NoticeSent
from contracts.directory import Contacts
from contracts.envelope import open_envelope
from contracts.vocabulary import Priority
from services.notify.handing_over import TOO_OLD_AFTER, Pages
from services.notify.notice import Failed, Sent, Unknown
from services.runtime.errors import Away
from services.runtime.messages import Message
from tests.unit.notify.pages import T0, contacts, directory, nobody_on_call, note, page, sealed
from tests.unit.notify.world import Carrier, Kafka, Kept


def message(asked: PageRequested | NoteRequested | NobodyOnCall | None = None, priority: Priority | None = None) -> Message:
    asked = asked or page()
    return Message(open_envelope(sealed(asked, priority).headers), asked, topics.CASES, 0, 0)


def pages_of(carrier: Carrier, kafka: Kafka, minutes: float = 0) -> Pages:
    return Pages(carrier, kafka.publish, Kept(), directory, contacts, "https://x", lambda: T0 + timedelta(minutes=minutes))


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


async def test_of_the_rounds_that_an_outage_left_behind_one_rings_and_the_others_name_it():
    carrier, kafka, before = Carrier(Sent()), Kafka(), superseded()
    pages = pages_of(carrier, kafka, minutes=121)
    await asyncio.gather(*(pages.hear(message(page(round=number))) for number in range(1, 121)))
    [rang] = carrier.handed
    told = [NoticeSent.model_validate_json(each.value) for each in kafka.published]
    assert [each.said_by for each in told if each.notice_id == rang.notice_id] == [None]
    assert [each.said_by for each in told if each.notice_id != rang.notice_id] == [rang.notice_id] * 119
    assert superseded() - before == 119


async def test_a_round_is_not_said_to_be_sent_by_one_of_which_that_is_not_known():
    carrier, kafka = Carrier(Unknown("no answer")), Kafka()
    pages = pages_of(carrier, kafka)
    for number in (1, 2):
        await pages.hear(message(page(round=number)))
    assert len(carrier.handed) == 1
    assert [open_envelope(each.headers).type for each in kafka.published] == ["NoticeUnknown"] * 2


async def test_what_says_something_else_rings_at_once():
    carrier = Carrier(Sent())
    pages = pages_of(carrier, Kafka())
    raised = page(round=2, headline="Inferior STEMI")
    for each in (page(), raised, page("another case")):
        await pages.hear(message(each))
    assert len(carrier.handed) == 3


async def test_the_next_round_rings_a_minute_later_whatever_the_clock_of_cases_says():
    carrier, minutes = Carrier(Sent()), [7 * 60.0]
    pages = Pages(carrier, Kafka().publish, Kept(), directory, contacts, "https://x", lambda: T0 + timedelta(minutes=minutes[0]))
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


async def test_a_campaigns_yellow_pages_ring_a_person_once_in_ten_minutes_and_red_each_time():
    carrier, kafka, minutes = Carrier(Sent()), Kafka(), [0.0]
    pages = Pages(carrier, kafka.publish, Kept(), directory, contacts, "https://x", lambda: T0 + timedelta(minutes=minutes[0]))
    for number in range(300):
        await pages.hear(message(page(f"patient {number}", Priority.YELLOW)))
    assert len(carrier.handed) == 1
    assert "More may wait" in carrier.handed[0].text
    for round_, priority in ((2, Priority.RED), (3, Priority.NOT_EVALUABLE)):
        for number in range(3):
            await pages.hear(message(page(f"patient {number}", priority, round=round_)))
    assert len(carrier.handed) == 7
    minutes[0] = 11
    await pages.hear(message(page("late", Priority.YELLOW)))
    assert len(carrier.handed) == 8


async def test_a_note_is_told_plainly_and_its_delivery_says_what_asked_for_it():
    carrier, kafka = Carrier(Sent()), Kafka()
    asked = message(note(), Priority.RED)
    await pages_of(carrier, kafka).hear(asked)
    [notice] = carrier.handed
    assert (notice.title, notice.text) == ("Greenchannel", f"Test Bob has it in hand. https://x/cases/{note().case_id}")
    [record] = kafka.published
    envelope = open_envelope(record.headers)
    assert (envelope.type, envelope.causationid) == ("NoticeSent", asked.envelope.id)


async def test_that_nobody_is_on_call_is_an_alarm_for_ops_and_no_page():
    carrier, kafka = Carrier(Sent()), Kafka()
    counter = ("greenchannel_nobody_on_call_total", {"centre": "south"})
    before = REGISTRY.get_sample_value(*counter) or 0
    with capture_logs() as logs:
        await pages_of(carrier, kafka).hear(message(nobody_on_call()))
    assert (carrier.handed, kafka.published) == ([], [])
    assert (REGISTRY.get_sample_value(*counter) or 0) == before + 1
    assert [entry["centre"] for entry in logs if entry["log_level"] == "error"] == ["south"]


async def test_while_nothing_is_loaded_a_page_waits():
    def nothing_loaded() -> Contacts:
        raise Away("contacts", "test")

    kafka = Kafka()
    pages = Pages(Carrier(Sent()), kafka.publish, Kept(), directory, nothing_loaded, "https://x", lambda: T0)
    assert await hear(pages, 1) == [False]
    assert kafka.published == []


async def test_whose_notice_it_was_is_kept_before_it_goes_out():
    carrier, kept = Carrier(Sent()), Kept()
    carrier.answering.clear()
    hearing = asyncio.create_task(Pages(carrier, Kafka().publish, kept, directory, contacts, "https://x", lambda: T0).hear(message()))
    await carrier.asked.wait()
    [origin] = kept.origins
    assert (origin.notice_id, origin.asked_by) == (page().notice_id, message().envelope.id)
    carrier.answering.set()
    await hearing
