"""Copies of one message in hand at once are one message; one that cannot be handled is given up, whatever its inbox counts."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from aiokafka import ConsumerRecord

from contracts import topics
from contracts.commands import Acknowledge
from contracts.envelope import Record, seal
from contracts.ids import CaseId, EventId, UploadId
from services.runtime import settling
from services.runtime.errors import Away
from services.runtime.inbox import HANDLED
from services.runtime.messages import ATTEMPTS
from services.runtime.settling import Settler, read_message
from tests.unit.cases.case_world import CASE, KEY, T0

COPIES = 6


class Counting:
    """An inbox in memory, as Redis keeps it."""

    def __init__(self) -> None:
        self.begun: dict[str, set[str]] = {}

    async def begin(self, message_id: UUID | str, key: str, beginning: str) -> int:
        await asyncio.sleep(0)
        names = self.begun.setdefault(str(message_id), set())
        if "handled" in names:
            return HANDLED
        names.add(beginning)
        return len(names)

    async def pardon(self, message_id: UUID | str, key: str) -> None:
        await asyncio.sleep(0)
        self.begun.pop(str(message_id), None)

    async def handled(self, message_id: UUID | str, key: str) -> None:
        await asyncio.sleep(0)
        self.begun[str(message_id)] = {"handled"}


class Letters:
    def __init__(self) -> None:
        self.found: list[Record] = []

    async def publish(self, topic: str, records: Sequence[Record]) -> None:
        self.found += records


def copies() -> list[ConsumerRecord[bytes, bytes]]:
    told = Acknowledge(case_id=CASE, at=T0, by="ann")
    ids = {"event_id": EventId(uuid4()), "subject": CaseId(CASE), "correlation": UploadId(CASE), "causation": CASE}
    sealed = seal(told, source="test", key=KEY, time=T0, recorded=T0, **ids)
    topic, key = topics.COMMANDS.name, KEY.encode()
    return [ConsumerRecord(topic, 0, offset, 0, 0, key, sealed.value, None, 0, 0, sealed.headers) for offset in range(COPIES)]


async def test_a_message_that_lies_there_many_times_is_handled_once_and_none_of_it_given_up() -> None:
    handled, letters = list[int](), Letters()

    async def handle(message: object) -> None:
        await asyncio.sleep(0)
        if not handled:
            handled.append(0)
            raise Away("kafka", "for a moment")
        handled.append(1)

    settler = Settler(topics.COMMANDS, "test", handle, Counting(), letters, read_message, begins_early=False)
    await asyncio.gather(*(settler.settle(record, is_new=False) for record in copies()))
    assert (handled, letters.found) == ([0, 1], [])


class CountedLater(Counting):
    """As where the handler is to count: here each beginning is the first."""

    async def begin(self, message_id: UUID | str, key: str, beginning: str) -> int:
        return 1


async def test_a_message_whose_handler_fails_before_it_counts_is_given_up_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "BETWEEN_ATTEMPTS_S", (0, 0))
    attempts, letters, away = list[object](), Letters(), iter([Away("redis", "for a moment")])

    async def handle(message: object) -> None:
        for each in away:
            raise each
        attempts.append(message)
        raise ValueError

    settler = Settler(topics.COMMANDS, "test", handle, CountedLater(), letters, read_message, begins_early=False)
    await asyncio.wait_for(settler.settle(copies()[0], is_new=True), 5)
    [letter] = letters.found
    assert len(attempts) == ATTEMPTS
    assert (dict(letter.headers)["dlq_cause"], dict(letter.headers)["dlq_attempts"]) == (b"ValueError", b"3")
