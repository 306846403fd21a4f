"""Wiring of notify: pages in two groups that share no thread, dead letters in a third, and what became of each notice. Nothing here decides."""

from collections.abc import Callable
from datetime import UTC, datetime

from structlog import get_logger

from contracts import topics
from contracts.directory import Directory
from contracts.envelope import Record
from services.notify import dead_letters
from services.notify.apprise_carrier import understands
from services.notify.carriers import LOCAL, Carriers
from services.notify.groups import DEAD_GROUP, RED_GROUP, REST_GROUP, Headers, is_alarming_letter, is_other_page, is_red_page
from services.notify.handing_over import Alarms, Pages
from services.runtime.errors import ConfigurationError
from services.runtime.inbox import Inbox
from services.runtime.reader import Reader
from services.runtime.service import Links, Plan, Service
from services.runtime.settings import Settings
from services.runtime.yaml_files import read_directory

READS = (topics.CASES, *dead_letters.TOPICS)
WRITES = (topics.DELIVERIES,)
RUNG = "notify-rung"  # beside the letters that were handled: the messages for which a standing number has rung
AT_ONCE = {RED_GROUP: 256, REST_GROUP: 64}  # a red waits for no other red either

log = get_logger()


def build(links: Links) -> Service:
    settings, directory = links.settings, read_directory(links.settings.directory)
    check_addresses(directory, settings)
    carriers = {group: Carriers(group, settings.pager, _now) for group in (RED_GROUP, REST_GROUP, DEAD_GROUP)}

    async def publish(record: Record) -> None:
        await links.producer.publish(topics.DELIVERIES, [record])

    def pages(group: str, wants: Callable[[Headers], bool]) -> Reader:
        hear = Pages(carriers[group], publish, directory, settings.link, _now).hear
        inbox = Inbox(links.redis, group)
        return Reader(topics.CASES, group, hear, inbox=inbox, dead_letters=links.producer, wants=wants, at_once=AT_ONCE[group], in_order=False)

    alarms = Alarms(carriers[DEAD_GROUP], Inbox(links.redis, RUNG), directory)
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


def check_addresses(directory: Directory, settings: Settings) -> None:
    """Name each address that cannot be used, never the address itself; ConfigurationError where the local pager is meant and has no file.

    One bad address is logged and does not keep the service from paging everybody else."""
    methods = [
        (f"people.{person_id}.methods.{name}", each) for person_id, person in directory.people.items() for name, each in person.methods.items()
    ]
    alarms = [(f"centres.{centre_id}.standing_alarm", centre.standing_alarm) for centre_id, centre in directory.centres.items()]
    for where, address in (*methods, *alarms):
        if address.get_secret_value() == LOCAL:
            if settings.pager is None:
                raise ConfigurationError(settings.directory, f"{where} is the local pager: set GREENCHANNEL_PAGER to its file")
        elif not understands(address.get_secret_value()):
            log.error("an address cannot be used: correct it in the directory", where=where)


def _now() -> datetime:
    return datetime.now(UTC)
