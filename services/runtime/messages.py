"""A message as a handler is given it. Knows nothing of how it came."""

from collections.abc import Awaitable, Generator
from dataclasses import dataclass

from contracts.envelope import Envelope
from contracts.topics import Topic
from contracts.vocabulary import Frozen
from services.runtime.errors import GreenchannelError

ATTEMPTS = 3


class _Counted:
    def __await__(self) -> Generator[None, None, None]:
        yield from ()


_COUNTED = _Counted()


@dataclass(frozen=True)
class Message:
    """A message that can be read: its envelope, its event, and where it lies."""

    envelope: Envelope
    event: Frozen
    topic: Topic
    partition: int
    offset: int
    beginnings: tuple[str, ...] = ()  # the names of the attempts since it was taken, this one last: each is counted once, however often Redis is told
    counted: Awaitable[None] = _COUNTED  # what a handler that begins early awaits before it does what others see
    is_new: bool = False  # nobody can have begun it before this one took it


class TriedTooOften(GreenchannelError):
    """Raised by a handler that counts the beginnings with its own state, in one trip: this one is to be given up. args: the beginnings before it."""

    def __init__(self, attempts: int) -> None:
        super().__init__(attempts)
        self.attempts = attempts
