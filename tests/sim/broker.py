"""A simulated Kafka: partitioned logs, batches whole or not at all, consumer groups with committed offsets, static members and rebalances.

It passes the suite of `broker_suite.py`, as the real one does."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.partitioner import murmur2

from contracts.envelope import Record
from contracts.topics import Topic
from services.runtime.errors import Away
from tests.sim.faults import Chance
from tests.sim.world import Process, World

SESSION_S = 10.0
REBALANCE_WITHIN_S = 30.0
HEARTBEAT_S = 3.0

Kept = ConsumerRecord[bytes, bytes]
OnAppend = Callable[[str, int, Sequence[Kept]], None]
OnCommit = Callable[[str, TopicPartition, int, int], None]


class Listener(Protocol):
    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None: ...
    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None: ...


class SimulatedBroker:
    """The logs and groups of one run. on_append and on_commit hear of each change as it is made: group, partition, offset before and after."""

    def __init__(self, world: World, partitions: int = 2) -> None:
        self._world, self._partitions = world, partitions
        self.logs: dict[str, list[list[Kept]]] = {}
        self.groups: dict[tuple[str, str], Group] = {}
        self.on_append: list[OnAppend] = []
        self.on_commit: list[OnCommit] = []
        self._partition_of: dict[str, int] = {}
        world.on_stopped.append(self._watch_sessions)
        world.on_back.append(self._back)

    def log(self, topic: str) -> list[list[Kept]]:
        if topic not in self.logs:
            self.logs[topic] = [[] for _ in range(1 if topic.endswith(".dlq") else self._partitions)]
        return self.logs[topic]

    def append(self, topic: str, records: Sequence[Record]) -> None:
        """Append a batch, whole."""
        key = records[0].key
        if key not in self._partition_of:
            self._partition_of[key] = murmur2(key.encode()) & 0x7FFFFFFF
        logs = self.log(topic)
        partition = self._partition_of[key] % len(logs)
        log, at_ms = logs[partition], self._world.now_ms()
        first = len(log)
        log += [
            ConsumerRecord(topic, partition, first + place, at_ms, 0, key.encode(), each.value, None, len(key), len(each.value), each.headers)
            for place, each in enumerate(records)
        ]
        for hear in self.on_append:
            hear(topic, partition, log[first:])
        for (_, of), group in self.groups.items():
            if of == topic:
                group.wake()

    def group(self, name: str, topic: str) -> "Group":
        if (name, topic) not in self.groups:
            self.groups[name, topic] = Group(self._world, self, name, topic)
        return self.groups[name, topic]

    def _watch_sessions(self, process: Process) -> None:
        for group in self.groups.values():
            for member in [each for each in group.members.values() if each.process is process]:
                self._world.later(SESSION_S, partial(group.expire, member))

    def _back(self, process: Process) -> None:
        late = Chance(self._world.seed, f"back {process.name} {self._world.loop.time()}")
        for group in self.groups.values():
            for consumer in [each for each in group.expelled if each.process is process]:
                group.expelled.remove(consumer)
                self._world.later(late.between(0, HEARTBEAT_S), partial(group.take_back, consumer))


class SimulatedProducer:
    """The Log of cases, and what every other writer has in its place."""

    def __init__(self, world: World, broker: SimulatedBroker) -> None:
        self._world, self._broker = world, broker

    async def publish(self, topic: Topic | str, records: Sequence[Record]) -> None:
        name = topic if isinstance(topic, str) else topic.name
        if any(record.key != records[0].key for record in records):
            raise ValueError("one batch, one key")
        point = "publish." + ("deliveries" if name.endswith(".dlq") else name.split(".", 1)[0])
        await self._world.call(point, "kafka", lambda: self._broker.append(name, records), name)


class Group:
    """A consumer group of one topic: who reads which partition, and how far each was committed."""

    def __init__(self, world: World, broker: SimulatedBroker, name: str, topic: str) -> None:
        self._world, self._broker, self.name, self.topic = world, broker, name, topic
        self.members: dict[str, SimulatedConsumer] = {}
        self.committed: dict[int, int] = {}
        self.expelled: list[SimulatedConsumer] = []
        self._generation, self._joined, self._complete = 0, set[str](), True

    def join(self, consumer: "SimulatedConsumer") -> None:
        """A static member that comes back takes its partitions up where they were committed; anybody else makes the group share anew."""
        before = self.members.get(consumer.instance)
        self.members[consumer.instance] = consumer
        if before is not None and before is not consumer and self._complete:
            self._world.loop.spawn(consumer.process, consumer.assign(self._generation, before.owned))
            return
        self.share_anew()

    def leave(self, consumer: "SimulatedConsumer") -> None:
        """A static member that stops is a member until its session is over: one of its name may come back."""
        self._world.later(SESSION_S, lambda: self.drop(consumer))

    def drop(self, consumer: "SimulatedConsumer") -> None:
        if self.members.get(consumer.instance) is consumer:
            del self.members[consumer.instance]
            self.share_anew()

    def expire(self, consumer: "SimulatedConsumer") -> None:
        """Go on without a member that was not heard of for a session; one that only stood still goes on with what it has in hand."""
        process = consumer.process
        gone = not process.alive or process.stalled_until_s > self._world.loop.time()
        if gone and self.is_member(consumer):
            if process.alive:
                self.expelled.append(consumer)
            self.drop(consumer)

    def take_back(self, consumer: "SimulatedConsumer") -> None:
        if consumer.process.alive and consumer.instance not in self.members:
            self.join(consumer)

    def is_member(self, consumer: "SimulatedConsumer") -> bool:
        return self.members.get(consumer.instance) is consumer

    def wake(self) -> None:
        for member in self.members.values():
            member.changed.set()
        for consumer in self.expelled:
            consumer.changed.set()

    def share_anew(self) -> None:
        self._generation += 1
        self._complete, self._joined = False, set()
        generation = self._generation
        self._world.note(self.name, "rebalance", generation)
        for member in list(self.members.values()):
            if member.process.alive:
                self._world.loop.spawn(member.process, member.prepare(generation))
        self._world.later(REBALANCE_WITHIN_S, lambda: self._go_on_without(generation))

    def joined(self, consumer: "SimulatedConsumer", generation: int) -> None:
        if generation == self._generation and not self._complete and self.is_member(consumer):
            self._joined.add(consumer.instance)
            if self._joined >= self.members.keys():
                self._share()

    def _go_on_without(self, generation: int) -> None:
        if generation == self._generation and not self._complete:
            for name in self.members.keys() - self._joined:
                del self.members[name]  # it joins again when what it has in hand has ended
            self._share()

    def _share(self) -> None:
        self._complete = True
        names, count = sorted(self.members), len(self._broker.log(self.topic))
        for place, name in enumerate(names):
            member = self.members[name]
            member.owned = {TopicPartition(self.topic, partition) for partition in range(count) if partition % len(names) == place}
            self._world.loop.spawn(member.process, member.assign(self._generation, member.owned))


class SimulatedConsumer:
    """What a reader sees of aiokafka's consumer; `start` joins the group, the first time and after it was expelled."""

    def __init__(self, world: World, broker: SimulatedBroker, group: str, topic: str, instance: str, listener: Listener) -> None:
        self._world, self._broker, self._listener = world, broker, listener
        self.group, self.topic, self.instance = broker.group(group, topic), topic, instance
        self.process = world.process()
        self.owned: set[TopicPartition] = set()
        self.changed = asyncio.Event()
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._sharing, self._stopped = True, False

    async def start(self) -> None:
        self.group.join(self)

    async def stop(self) -> None:
        self.group.leave(self)
        self._positions, self._stopped = {}, True

    async def prepare(self, generation: int) -> None:
        """Hand on what it reads, and say so."""
        if self._stopped:
            return
        self._sharing = True
        await self._listener.on_partitions_revoked(set(self._positions))
        if self.group.is_member(self):
            self.group.joined(self, generation)
        else:
            self.group.take_back(self)

    async def assign(self, generation: int, owned: set[TopicPartition]) -> None:
        self.owned = owned
        self._positions = {each: self.group.committed.get(each.partition, 0) for each in sorted(owned)}
        self._paused.clear()
        self._sharing = False
        await self._listener.on_partitions_assigned(set(owned))
        self.changed.set()

    def assignment(self) -> set[TopicPartition]:
        return set(self._positions)

    def pause(self, *partitions: TopicPartition) -> None:
        self._paused |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self._paused -= set(partitions)
        self.changed.set()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._owns([partition])
        self._positions[partition] = offset
        self.changed.set()

    async def position(self, partition: TopicPartition) -> int:
        self._owns([partition])
        return self._positions[partition]

    def highwater(self, partition: TopicPartition) -> int:
        self._owns([partition])
        return len(self._broker.log(self.topic)[partition.partition])

    async def getone(self) -> Kept:
        """Return the next record, when there is one."""
        while True:
            await self._until_ready()
            found = await self._world.fetch("consumer.getone", lambda: self._taken(1), self._back_to, self.group.share_anew)
            if found:
                return found[0]

    async def getmany(self, *, timeout_ms: int = 0, max_records: int = 100) -> dict[TopicPartition, list[Kept]]:
        """Return what lies ready within a time; while the group shares anew, nobody is answered."""
        while self._sharing:
            await self._change()
        if not self._is_ready():
            try:
                await asyncio.wait_for(self._until_ready(), timeout_ms / 1000)
            except TimeoutError:
                return {}
        found = await self._world.fetch("consumer.getmany", lambda: self._taken(max_records), self._back_to, self.group.share_anew)
        by_partition: dict[TopicPartition, list[Kept]] = {}
        for record in found:
            by_partition.setdefault(TopicPartition(record.topic, record.partition), []).append(record)
        return by_partition

    async def commit(self, offsets: dict[TopicPartition, int] | None = None) -> None:
        """Commit the offsets, or every position. Raises KafkaError; IllegalStateError for a partition that is another's."""
        asked = dict(self._positions) if offsets is None else offsets
        self._owns(asked)
        try:
            await self._world.call("consumer.commit", "kafka", lambda: self._commit(asked), self.group.name)
        except Away as away:
            raise KafkaError(away.cause) from away

    def _commit(self, offsets: dict[TopicPartition, int]) -> None:
        if not self.group.is_member(self) or not offsets.keys() <= self._positions.keys() or not offsets.keys() <= self.owned:
            raise CommitFailedError("not a member")
        for partition, offset in offsets.items():
            before = self.group.committed.get(partition.partition, 0)
            self.group.committed[partition.partition] = offset
            for hear in self._broker.on_commit:
                hear(self.group.name, partition, before, offset)

    def _owns(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            if partition not in self._positions:
                raise IllegalStateError(f"partition {partition} is not assigned")

    def _is_ready(self) -> bool:
        log = self._broker.log(self.topic)
        return any(offset < len(log[each.partition]) and each not in self._paused for each, offset in self._positions.items())

    async def _until_ready(self) -> None:
        while self._sharing or not self._is_ready():
            await self._change()

    async def _change(self) -> None:
        self.changed.clear()
        await self.changed.wait()

    def _taken(self, at_most: int) -> list[Kept]:
        """Take what is ready of each partition in turn, and move on past it."""
        if self._sharing:
            return []
        found: list[Kept] = []
        for partition, offset in self._positions.items():
            if partition not in self._paused and len(found) < at_most:
                records = self._broker.log(self.topic)[partition.partition][offset : offset + at_most - len(found)]
                found += records
                self._positions[partition] = offset + len(records)
        return found

    def _back_to(self, found: Sequence[Any]) -> None:
        for record in reversed(found):
            partition = TopicPartition(record.topic, record.partition)
            if partition in self._positions:
                self._positions[partition] = record.offset
