"""What every broker must do, real or simulated: one promise a function. A test runs each of SUITE on a new topic of its own broker."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import pytest
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError

from contracts.envelope import Record

PARTITIONS = 2
KEYS = ("ann", "bob", "cem", "dan", "eve", "fay")  # of both partitions
PATIENCE_S = 25.0


class World(Protocol):
    """A new topic with PARTITIONS partitions and a consumer group that reads it, whose sessions last no longer than 10 s."""

    @property
    def topic(self) -> str: ...
    async def publish(self, records: Sequence[Record]) -> None: ...
    def consumer(self, instance: str, listener: Any) -> Any:
        """A static member of the group, not yet started; it has the methods of aiokafka's consumer."""
        ...


class Heard(ConsumerRebalanceListener):  # type: ignore[misc]
    """A listener that notes what it hears."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self.told.append(("revoked", len(revoked)))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.told.append(("assigned", len(assigned)))


def records(key: str, *values: str) -> list[Record]:
    return [Record(key, (("name", value.encode()),), value.encode()) for value in values]


async def write(world: World, *values: str) -> None:
    """Write each value under every key."""
    for key in KEYS:
        for value in values:
            await world.publish(records(key, f"{key}{value}"))


async def started(world: World, instance: str = "0", listener: Heard | None = None) -> Any:
    consumer = world.consumer(instance, listener or Heard())
    await consumer.start()
    return consumer


async def take(consumer: Any, count: int) -> list[Any]:
    """Return so many records, as they come."""
    found: list[Any] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            for of_partition in (await consumer.getmany(timeout_ms=200, max_records=count - len(found))).values():
                found += of_partition
    return found


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.05)


def values(found: Sequence[Any]) -> list[str]:
    return sorted(record.value.decode() for record in found)


def everything(*numbers: str) -> list[str]:
    return sorted(f"{key}{number}" for key in KEYS for number in numbers)


async def what_is_written_is_read_once_each_key_in_its_order(world: World) -> None:
    await write(world, "1", "2", "3")
    consumer = await started(world)
    found = await take(consumer, 3 * len(KEYS))
    assert values(found) == everything("1", "2", "3")
    for key in KEYS:
        assert [record.value.decode() for record in found if record.key == key.encode()] == [f"{key}1", f"{key}2", f"{key}3"]
    assert {record.partition for record in found} == set(range(PARTITIONS))
    assert all(record.headers == (("name", record.value),) for record in found)
    assert await consumer.getmany(timeout_ms=300, max_records=10) == {}
    await consumer.stop()


async def a_batch_lies_together_and_in_its_order(world: World) -> None:
    await asyncio.gather(*(world.publish(records("ann", *(f"{name}{place}" for place in range(5)))) for name in "abc"))
    consumer = await started(world)
    found = await take(consumer, 15)
    assert len({record.partition for record in found}) == 1
    assert [record.offset for record in found] == list(range(15))
    for first in (0, 5, 10):
        name = found[first].value.decode()[0]
        assert [record.value.decode() for record in found[first : first + 5]] == [f"{name}{place}" for place in range(5)]
    await consumer.stop()


async def what_was_not_committed_comes_again(world: World) -> None:
    await write(world, "1")
    for _ in range(2):
        consumer = await started(world)
        assert values(await take(consumer, len(KEYS))) == everything("1")
        await consumer.stop()


async def what_was_committed_does_not_come_again(world: World) -> None:
    await write(world, "1")
    consumer = await started(world)
    await take(consumer, len(KEYS))
    await consumer.commit()
    await consumer.stop()
    await write(world, "2")
    consumer = await started(world)
    assert values(await take(consumer, len(KEYS))) == everything("2")
    assert await consumer.getmany(timeout_ms=300, max_records=10) == {}
    await consumer.stop()


async def a_commit_of_an_offset_is_of_that_offset(world: World) -> None:
    await world.publish(records("ann", "1", "2", "3"))
    consumer = await started(world)
    [first, _, _] = await take(consumer, 3)
    partition = TopicPartition(world.topic, first.partition)
    await consumer.commit({partition: first.offset + 1})
    assert await consumer.position(partition) == first.offset + 3
    await consumer.stop()
    consumer = await started(world)
    assert values(await take(consumer, 2)) == ["2", "3"]
    await consumer.stop()


async def what_lies_behind_a_seek_comes_again(world: World) -> None:
    await world.publish(records("ann", "1", "2", "3"))
    consumer = await started(world)
    found = await take(consumer, 3)
    consumer.seek(TopicPartition(world.topic, found[0].partition), found[1].offset)
    assert values(await take(consumer, 2)) == ["2", "3"]
    await consumer.commit()
    await consumer.stop()
    consumer = await started(world)
    assert await consumer.getmany(timeout_ms=1000, max_records=10) == {}
    await consumer.stop()


async def one_record_is_taken_after_another(world: World) -> None:
    await world.publish(records("ann", "1", "2"))
    consumer = await started(world)
    first = await asyncio.wait_for(consumer.getone(), PATIENCE_S)
    assert await consumer.position(TopicPartition(world.topic, first.partition)) == 1
    waiting = asyncio.ensure_future(consumer.getone())
    assert (await asyncio.wait_for(waiting, PATIENCE_S)).value == b"2"
    waiting = asyncio.ensure_future(consumer.getone())
    await world.publish(records("ann", "3"))
    assert (await asyncio.wait_for(waiting, PATIENCE_S)).value == b"3"
    await consumer.stop()


async def a_paused_partition_gives_nothing_until_it_goes_on(world: World) -> None:
    consumer = await started(world)
    await until(lambda: len(consumer.assignment()) == PARTITIONS)
    consumer.pause(*consumer.assignment())
    await write(world, "1")
    assert await consumer.getmany(timeout_ms=500, max_records=100) == {}
    consumer.resume(*consumer.assignment())
    assert values(await take(consumer, len(KEYS))) == everything("1")
    await consumer.stop()


async def nobody_commits_or_seeks_in_a_partition_that_is_not_theirs(world: World) -> None:
    consumer = await started(world)
    await until(lambda: len(consumer.assignment()) == PARTITIONS)
    anothers = TopicPartition(world.topic, PARTITIONS)
    with pytest.raises(IllegalStateError):
        await consumer.commit({anothers: 1})
    with pytest.raises(IllegalStateError):
        consumer.seek(anothers, 0)
    await consumer.stop()


async def two_members_share_and_each_hears_what_it_loses_before_it_hears_what_it_has(world: World) -> None:
    hears_one, hears_other = Heard(), Heard()
    one = await started(world, "0", hears_one)
    await until(lambda: len(one.assignment()) == PARTITIONS)
    waiting = asyncio.ensure_future(take(one, 3))
    other = await started(world, "1", hears_other)
    await until(
        lambda: hears_one.told == [("revoked", 0), ("assigned", 2), ("revoked", 2), ("assigned", 1)] and hears_other.told[-1:] == [("assigned", 1)]
    )
    assert one.assignment() | other.assignment() == {TopicPartition(world.topic, number) for number in range(PARTITIONS)}
    await write(world, "1")
    found = await waiting
    found += await take(other, 1)
    await other.stop()
    await one.stop()
    assert len({record.partition for record in found}) == PARTITIONS


async def what_a_member_leaves_uncommitted_comes_to_the_other_after_its_session(world: World) -> None:
    await write(world, "1")
    one = await started(world, "0")
    found = await take(one, len(KEYS))
    partition = TopicPartition(world.topic, found[0].partition)
    await one.commit({partition: 1 + max(record.offset for record in found if record.partition == partition.partition)})
    await one.stop()
    other = await started(world, "1")
    left = [record for record in found if record.partition != partition.partition]
    assert values(await take(other, len(left))) == values(left)
    await other.stop()


async def a_static_member_that_comes_back_takes_its_own_up_and_the_other_hears_nothing(world: World) -> None:
    hears = Heard()
    one = await started(world, "0", hears)
    await until(lambda: len(one.assignment()) == PARTITIONS)
    reading = asyncio.ensure_future(take(one, len(KEYS)))
    other = await started(world, "1")
    await until(lambda: len(one.assignment()) == len(other.assignment()) == 1 and hears.told[-1:] == [("assigned", 1)])
    told, owned = list(hears.told), other.assignment()
    await other.stop()
    again = await started(world, "1")
    await until(lambda: again.assignment() == owned)
    assert hears.told == told
    reading.cancel()
    await again.stop()
    await one.stop()


Promise = Callable[[World], Awaitable[None]]

SUITE: tuple[Promise, ...] = (
    what_is_written_is_read_once_each_key_in_its_order,
    a_batch_lies_together_and_in_its_order,
    what_was_not_committed_comes_again,
    what_was_committed_does_not_come_again,
    a_commit_of_an_offset_is_of_that_offset,
    what_lies_behind_a_seek_comes_again,
    one_record_is_taken_after_another,
    a_paused_partition_gives_nothing_until_it_goes_on,
    nobody_commits_or_seeks_in_a_partition_that_is_not_theirs,
    two_members_share_and_each_hears_what_it_loses_before_it_hears_what_it_has,
    what_a_member_leaves_uncommitted_comes_to_the_other_after_its_session,
    a_static_member_that_comes_back_takes_its_own_up_and_the_other_hears_nothing,
)
