"""The services of one run: the real desk, readers and pages, on simulated ports."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from faststream.exceptions import StopConsume

from contracts import topics
from contracts.envelope import Record
from contracts.ids import NoticeId
from services.cases import desk, keeper
from services.cases.app import READS, _CountedByLoad
from services.cases.desk import Desk
from services.cases.keeper import Keeper
from services.notify.groups import RED_GROUP, REST_GROUP, is_of_red_group, is_of_rest_group
from services.notify.handing_over import Pages
from services.notify.notice import Origin
from services.runtime import reader, settling
from services.runtime.reader import Reader, _RevokeWaits
from services.runtime.service import _keep
from tests.sim.broker import SimulatedBroker, SimulatedConsumer, SimulatedProducer
from tests.sim.folding import NoSnapshots, SimulatedFolding, SimulatedLog, SimulatedTurn
from tests.sim.people_and_places import CONTACTS, DIRECTORY
from tests.sim.providers import Providers
from tests.sim.store import Memory, SimulatedInbox, SimulatedStore
from tests.sim.world import Process, World

# Who looks for work by itself looks more seldom than it does in a service: most of a run would be looks at nothing.
CLOCKED, LOOKS_EVERY_S = (reader, settling, keeper), {desk: 2.0, keeper: 5.0}

LINK = "https://cases.example"


class _InHand:
    """What FastStream holds while a message is handled."""

    def __init__(self) -> None:
        self._free = asyncio.Event()
        self._free.set()

    def __enter__(self) -> None:
        self._free.clear()

    def __exit__(self, *_: object) -> None:
        self._free.set()

    async def wait_release(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._free.wait(), timeout_s)


class _Subscriber:
    """What FastStream's subscriber does with its consumer under NACK_ON_ERROR."""

    def __init__(self, consumer: Any) -> None:
        self.consumer, self.lock = consumer, _InHand()

    async def run(self, reads: Reader) -> None:
        while True:
            record = await self.consumer.getone()
            with self.lock:
                try:
                    await reads.on_message(_Taken(self.consumer, record))  # type: ignore[arg-type]
                except StopConsume:
                    return
                except Exception:  # noqa: BLE001 - as FastStream does: the message is given back, whatever it was
                    with suppress(IllegalStateError):
                        self.consumer.seek(TopicPartition(record.topic, record.partition), record.offset)
                else:
                    with suppress(KafkaError, IllegalStateError):  # logged there, and no more
                        await self.consumer.commit()


class _Taken:
    def __init__(self, consumer: SimulatedConsumer, record: object) -> None:
        self.consumer, self.raw_message = consumer, record


async def read(world: World, broker: SimulatedBroker, reads: Reader, instance: str) -> None:
    """Read for ever, as a subscriber of runtime/reader.py does."""
    listener = _RevokeWaits(reads)
    consumer = SimulatedConsumer(world, broker, reads.group, reads.topic.name, f"{reads.name}-{instance}", listener)
    listener.subscriber = subscriber = _Subscriber(consumer)
    await consumer.start()
    await subscriber.run(reads)


def cases(world: World, broker: SimulatedBroker, memory: Memory, instance: str) -> Callable[[Process], Any]:
    """Return the main function of a replica of cases, wired as services/cases/app.py wires it."""

    async def main(process: Process) -> None:
        store, producer = SimulatedStore(world, memory), SimulatedProducer(world, broker)
        hears = Desk(store, producer, lambda: DIRECTORY, lambda: world.now(process))
        async with asyncio.TaskGroup() as group:
            for topic in READS:
                reads = Reader(topic, f"cases.{topic.name}", hears.hear, inbox=_CountedByLoad(store), dead_letters=producer, at_once=16)  # type: ignore[arg-type]
                group.create_task(read(world, broker, reads, instance))
            group.create_task(_keep(hears.watch))
            group.create_task(_keep(_keeper(world, broker, memory, process, store, hears).keep))

    return main


def _keeper(world: World, broker: SimulatedBroker, memory: Memory, process: Process, store: SimulatedStore, hears: Desk) -> Any:
    return Keeper(
        SimulatedFolding(world, memory),
        SimulatedLog(world, broker),
        NoSnapshots(),
        SimulatedTurn(world, memory),
        store.refused,
        {},
        hears.in_hand.ended,
        lambda: world.now(process),
    )


class _Notices:
    """What Redis would know of notices: here no provider calls back."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def keep(self, origin: Origin) -> None:
        await self._world.call("notices.keep", "redis", lambda: None, origin.notice_id)

    async def speaks_for(self, notice_id: NoticeId, other: Origin) -> bool:
        return await self._world.call("notices.speaks_for", "redis", lambda: True, notice_id)


def notify(world: World, broker: SimulatedBroker, memory: Memory, providers: Providers) -> Callable[[Process], Any]:
    """Return the main function of notify, wired as services/notify/app.py wires it."""

    async def main(process: Process) -> None:
        producer = SimulatedProducer(world, broker)

        async def publish(record: Record) -> None:
            await producer.publish(topics.DELIVERIES, [record])

        now = partial(world.now, process)
        async with asyncio.TaskGroup() as group:
            for name, wants in ((RED_GROUP, is_of_red_group), (REST_GROUP, is_of_rest_group)):
                pages = Pages(providers.hands(world), publish, _Notices(world), lambda: DIRECTORY, lambda: CONTACTS, LINK, now)
                inbox = SimulatedInbox(world, memory, name)
                reads = Reader(topics.CASES, name, pages.hear, inbox=inbox, dead_letters=producer, wants=wants, at_once=64, in_order=False)
                group.create_task(read(world, broker, reads, "0"))

    return main
