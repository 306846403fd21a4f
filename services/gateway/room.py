"""How much may be in hand at once, so that bodies in memory are bounded, and who is refused first.

The promise: whenever an emergency is refused for load, or only has to wait, every routine upload is refused. It holds because the room
for routine uploads ends a whole largest upload before that for emergencies does."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from contracts.vocabulary import Lane
from services.runtime.archive import MAX_TOTAL_BYTES
from services.runtime.errors import GreenchannelError

MIB = 1024 * 1024
EMERGENCY_BYTES = 256 * MIB
ROUTINE_BYTES = 64 * MIB
SMALLEST_BYTES = MIB  # even an empty upload takes some room: so their number is bounded too
WAIT_S = 2.0


class Full(GreenchannelError):
    """There is no room for an upload of this lane now."""

    def __init__(self, lane: Lane) -> None:
        super().__init__(lane)
        self.lane = lane

    def __str__(self) -> str:
        return f"no room for another {self.lane} upload now"


class Room:
    """Room for uploads in hand, in bytes. A routine upload that finds none is refused at once; an emergency queues, `wait_s` at most."""

    def __init__(self, emergency_bytes: int = EMERGENCY_BYTES, routine_bytes: int = ROUTINE_BYTES, wait_s: float = WAIT_S) -> None:
        if emergency_bytes < routine_bytes + MAX_TOTAL_BYTES:
            raise ValueError("the emergencies' room must exceed the routine uploads' by a largest upload, or the promise does not hold")
        self._emergency_bytes, self._routine_bytes, self._wait_s = emergency_bytes, routine_bytes, wait_s
        self._taken_bytes = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def place(self, lane: Lane, size_bytes: int) -> AsyncIterator[None]:
        """Hold room for an upload of this size, at most 32 MiB. Raises Full."""
        size_bytes = max(size_bytes, SMALLEST_BYTES)
        if lane is Lane.ROUTINE:
            self._enter_as_routine(size_bytes)
        else:
            await self._queue(size_bytes)
        try:
            yield
        finally:
            self._leave(size_bytes)

    def stay_as_routine(self) -> None:
        """Ask, for an upload that came in as an emergency and turned out to be routine, whether it may stay. Raises Full."""
        if self._waiting or self._taken_bytes > self._routine_bytes:
            raise Full(Lane.ROUTINE)

    def _enter_as_routine(self, size_bytes: int) -> None:
        if self._waiting or self._taken_bytes + size_bytes > self._routine_bytes:
            raise Full(Lane.ROUTINE)
        self._taken_bytes += size_bytes

    async def _queue(self, size_bytes: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        mine = (size_bytes, turn)
        self._waiting.append(mine)
        self._admit()
        try:
            async with asyncio.timeout(self._wait_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._leave(size_bytes)  # it was let in at the moment when it gave up
            else:
                with suppress(ValueError):
                    self._waiting.remove(mine)
                self._admit()  # it may have stood before a smaller one
            if isinstance(error, TimeoutError):
                raise Full(Lane.EMERGENCY) from None
            raise

    def _leave(self, size_bytes: int) -> None:
        self._taken_bytes -= size_bytes
        self._admit()

    def _admit(self) -> None:
        """Let in those who wait, in their order."""
        while self._waiting and self._taken_bytes + self._waiting[0][0] <= self._emergency_bytes:
            size_bytes, turn = self._waiting.popleft()
            if not turn.done():
                self._taken_bytes += size_bytes
                turn.set_result(None)
