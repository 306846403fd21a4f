"""The dead letters that are being told of, each by the task that settles it: so that none takes a place from another that it has no need of.

A reader has bounded places, and a letter keeps its own for as long as a provider is away."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from services.runtime.messages import Message

WAIT_FOR_ONE_ADDRESS = 16  # of the 64 places of a reader


@dataclass
class InHand:
    """A letter, where it lies, who settles it, and the addresses that were away when it was last tried."""

    letter_id: UUID
    alarm_id: UUID
    partition: tuple[str, int]
    offset: int
    task: asyncio.Task[Any] | None
    waits_for: frozenset[SecretStr] = frozenset()


class LettersInHand:
    """Those whose task is not done: one that was put down, because the service stops or another reads its partition, is in hand no more."""

    def __init__(self) -> None:
        self._letters: dict[UUID, InHand] = {}

    def take(self, message: Message, alarm_id: UUID) -> InHand | None:
        """Return a letter, in hand from now on; None where one of the same alarm before it in its partition is.

        Then nothing is lost: the partition is not committed past that one, so that it comes again after a crash, and rings for both."""
        self._letters = {key: each for key, each in self._letters.items() if each.task is None or not each.task.done()}
        letter_id, partition, task = message.envelope.id, (message.topic.name, message.partition), asyncio.current_task()
        for each in self._letters.values():
            of_one_alarm = each.alarm_id == alarm_id and each.partition == partition
            if of_one_alarm and each.offset < message.offset and each.task is not task:
                return None
        return self._letters.setdefault(letter_id, InHand(letter_id, alarm_id, partition, message.offset, task))

    def put_down(self, in_hand: InHand) -> None:
        self._letters.pop(in_hand.letter_id, None)

    def crowded(self, in_hand: InHand) -> frozenset[SecretStr]:
        """Return the addresses that as many others wait for as may."""
        waiting = Counter(_addresses(each for each in self._letters.values() if each is not in_hand))
        return frozenset(address for address, letters in waiting.items() if letters >= WAIT_FOR_ONE_ADDRESS)


def _addresses(letters: Iterable[InHand]) -> Iterable[SecretStr]:
    return (address for each in letters for address in each.waits_for)
