"""Wiring of notify: pages in two groups that share no thread, dead letters in a third, and what became of each notice. Nothing here decides."""

from collections.abc import Callable
from datetime import UTC, datetime

from contracts import topics
from contracts.envelope import Record
from services.notify import dead_letters
from services.notify.carriers import Carriers
from services.notify.groups import DEAD_GROUP, RED_GROUP, REST_GROUP, Headers, is_alarming_letter, is_other_page, is_red_page
from services.notify.handing_over import Alarms, Pages
from services.runtime.inbox import Inbox
from services.runtime.reader import Reader
from services.runtime.service import Links, Plan, Service

READS = (topics.CASES, *dead_letters.TOPICS)
FOLLOWS = (topics.DIRECTORY,)
WRITES = (topics.DELIVERIES,)
RUNG = "notify-rung"  # beside the letters that were handled: the messages for which a standing number has rung
AT_ONCE = {RED_GROUP: 256, REST_GROUP: 64}  # a red waits for no other red either


def build(links: Links) -> Service:
    settings, directory, contacts = links.settings, links.directory.current, links.contacts.current
    carriers = {group: Carriers(group, settings.pager, _now) for group in (RED_GROUP, REST_GROUP, DEAD_GROUP)}

    async def publish(record: Record) -> None:
        await links.producer.publish(topics.DELIVERIES, [record])

    def pages(group: str, wants: Callable[[Headers], bool]) -> Reader:
        hear = Pages(carriers[group], publish, directory, contacts, settings.link, _now).hear
        inbox = Inbox(links.redis, group)
        return Reader(topics.CASES, group, hear, inbox=inbox, dead_letters=links.producer, wants=wants, at_once=AT_ONCE[group], in_order=False)

    alarms = Alarms(carriers[DEAD_GROUP], Inbox(links.redis, RUNG), directory, contacts)
    letters = [
        Reader(
            topic,
            f"{DEAD_GROUP}.{topic.name}",
            alarms.hear,
            inbox=Inbox(links.redis, DEAD_GROUP),
            dead_letters=None,
            wants=is_alarming_letter,
            read=dead_letters.read_letter,
            at_once=64,
            in_order=False,
        )
        for topic in dead_letters.TOPICS
    ]
    readers = [pages(RED_GROUP, is_red_page), pages(REST_GROUP, is_other_page), *letters]
    return Service(readers=readers, on_stop=[each.close for each in carriers.values()])


PLAN = Plan(name="notify", writes=WRITES, build=build, dead_letters_of=(topics.CASES,))


def _now() -> datetime:
    return datetime.now(UTC)
