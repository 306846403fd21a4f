"""Wiring of the console: topics into the projection, the projection to people, their commands to Kafka. Nothing here decides.

Two parts, each of which may run by itself: the HTTP side, and the projector."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from contracts import topics
from contracts.envelope import Envelope, Record
from contracts.topics import Topic
from services.console import case_page
from services.console.api import Api
from services.console.groups import REST_GROUP, URGENT_GROUP, Headers, is_rest, is_urgent
from services.console.projection import fact_of, places_of
from services.console.redis_projection import RedisProjection
from services.console.refolding import Heard, refolding
from services.console.words import Told
from services.runtime.inbox import Inbox
from services.runtime.messages import Message
from services.runtime.reader import Reader
from services.runtime.service import Links, Plan, Service

READS = (topics.CASES, topics.INTAKE_EMERGENCY, topics.ASSESSMENTS_EMERGENCY, topics.INTAKE_ROUTINE, topics.ASSESSMENTS_ROUTINE)
FOLLOWS = (topics.ACCESS, topics.DIRECTORY)
WRITES = (topics.COMMANDS,)
AT_ONCE = 32


def build_http(links: Links) -> Service:
    async def publish(command: Record) -> None:
        await links.producer.publish(topics.COMMANDS, [command])

    return Service(router=case_page.beside(Api(RedisProjection(links.redis), publish, links.directory.current, links.access.current, _now).router()))


def build_projector(links: Links) -> Service:
    projection = RedisProjection(links.redis)

    async def project(message: Message) -> None:
        await fold([(message.topic, message.envelope, message.event)])

    async def fold(heard: Sequence[Heard]) -> None:
        known: list[tuple[Topic, Envelope, Told]] = list(heard)  # type: ignore[arg-type] # the topics of READS carry nothing else
        await projection.add([(fact_of(topic, envelope, event), places_of(event)) for topic, envelope, event in known], _now())

    inbox = Inbox(links.redis, "console")

    def reader(topic: Topic, group: str, wants: Callable[[Headers], bool] = lambda _: True) -> Reader:
        return Reader(topic, group, project, inbox=inbox, dead_letters=links.producer, wants=wants, at_once=AT_ONCE, in_order=False)

    of_cases = [reader(topics.CASES, URGENT_GROUP, is_urgent), reader(topics.CASES, REST_GROUP, is_rest)]
    readers = [*of_cases, *(reader(topic, f"console.{topic.name}") for topic in READS if topic is not topics.CASES)]
    groups = {topic: [each.group for each in readers if each.topic is topic] for topic in READS}
    return Service(readers=readers, background=[refolding(links.redis, links.settings.kafka, groups, fold, _now).keep])


HTTP_PLAN = Plan(name="console", writes=WRITES, build=build_http)
PROJECTOR_PLAN = Plan(name="projector", writes=(), build=build_projector, dead_letters_of=READS)
PLANS = (HTTP_PLAN, PROJECTOR_PLAN)


def _now() -> datetime:
    return datetime.now(UTC)
