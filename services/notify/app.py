"""Wiring of notify: pages in two groups that share no thread, dead letters in a third, providers' words, and what became of each notice.

Nothing here decides."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from structlog import get_logger

from contracts import topics
from contracts.directory import Contacts
from contracts.envelope import Record
from services.notify import callbacks, dead_letters
from services.notify.addresses import unusable
from services.notify.apprise_carrier import THREADS_OF_A_PROVIDER
from services.notify.carriers import Carriers
from services.notify.groups import DEAD_GROUP, RED_GROUP, REST_GROUP, Headers, is_alarming_letter, is_of_red_group, is_of_rest_group
from services.notify.handing_over import Pages
from services.notify.refolding import Refolding
from services.notify.standing_alarms import Alarms
from services.runtime.inbox import Inbox
from services.runtime.reader import Reader
from services.runtime.service import Links, Plan, Service

READS = (topics.CASES, *dead_letters.TOPICS)
FOLLOWS = (topics.DIRECTORY,)
WRITES = (topics.DELIVERIES,)
RUNG = "notify-rung"  # beside the letters that were handled: the messages for which a standing number has rung
AT_ONCE = {RED_GROUP: 4 * THREADS_OF_A_PROVIDER, REST_GROUP: 64}  # a red waits for no other red either: one provider that hangs takes a quarter
LOOKS_EVERY_S = 1.0

log = get_logger()


def build(links: Links) -> Service:
    settings, refolding = links.settings, Refolding(links.settings.kafka, links.redis, _now)
    directory, contacts = links.directory.current, links.contacts.current
    carriers = {group: Carriers(group, settings.pager, _now) for group in (RED_GROUP, REST_GROUP, DEAD_GROUP)}

    async def publish(record: Record) -> None:
        await links.producer.publish(topics.DELIVERIES, [record])

    def pages(group: str, wants: Callable[[Headers], bool]) -> Reader:
        hear = Pages(carriers[group], publish, refolding.notices, directory, contacts, settings.link, _now).hear
        inbox, at_once = refolding.inboxes[group], AT_ONCE[group]
        return Reader(topics.CASES, group, hear, inbox=inbox, dead_letters=links.producer, wants=wants, at_once=at_once, in_order=False)

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
    return Service(
        readers=[pages(RED_GROUP, is_of_red_group), pages(REST_GROUP, is_of_rest_group), *letters],
        background=[refolding.run, _checking(contacts, settings.pager)],
        router=callbacks.router(settings.callback_secrets, refolding.notices, publish, _now),
        on_stop=[each.close for each in carriers.values()],
    )


PLAN = Plan(name="notify", writes=WRITES, build=build, dead_letters_of=(topics.CASES,))


def _checking(contacts: Callable[[], Contacts], pager: Path | None) -> Callable[[], Awaitable[None]]:
    """Return what looks at all contacts whenever new ones are heard, and names each address that cannot be used: nobody else need wait for it."""

    async def check() -> None:
        checked: Contacts | None = None
        while True:
            heard = contacts()
            if heard is not checked:
                for where, wrong in await asyncio.to_thread(unusable, heard, pager):
                    log.error("an address cannot be used: correct it and load the directory", where=where, wrong=wrong)
                checked = heard
            await asyncio.sleep(LOOKS_EVERY_S)

    return check


def _now() -> datetime:
    return datetime.now(UTC)
