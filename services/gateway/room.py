"""How much may be in hand at once, so that bodies in memory are bounded, and who is refused first.

The promise: whenever an emergency is refused for load, or only has to wait, every routine upload is refused. It holds because the room
for routine uploads ends a whole largest upload before that for emergencies does, and before that of one clinic does.

No clinic takes more than its share, so that many uploads which one clinic sends slowly, or never ends, keep no other clinic waiting."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from contracts.ids import ClinicId
from contracts.vocabulary import Lane
from services.runtime.archive import MAX_TOTAL_BYTES
from services.runtime.errors import GreenchannelError

MIB = 1024 * 1024
EMERGENCY_BYTES = 256 * MIB
CLINIC_BYTES = 96 * MIB
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


@dataclass(frozen=True, eq=False)
class _Waiting:
    clinic_id: ClinicId
    size_bytes: int
    turn: asyncio.Future[None]


class Room:
    """Room for uploads in hand, in bytes. A routine upload that finds none is refused at once; an emergency queues, `wait_s` at most."""

    def __init__(
        self,
        emergency_bytes: int = EMERGENCY_BYTES,
        clinic_bytes: int = CLINIC_BYTES,
        routine_bytes: int = ROUTINE_BYTES,
        wait_s: float = WAIT_S,
    ) -> None:
        if clinic_bytes < routine_bytes + MAX_TOTAL_BYTES:
            raise ValueError("a clinic's room must exceed the routine uploads' by a largest upload, or the promise does not hold")
        if emergency_bytes < clinic_bytes + MAX_TOTAL_BYTES:
            raise ValueError("the emergencies' room must exceed a clinic's by a largest upload, or one clinic could shut out the others")
        self._emergency_bytes, self._clinic_bytes, self._routine_bytes, self._wait_s = emergency_bytes, clinic_bytes, routine_bytes, wait_s
        self._taken_bytes = 0
        self._of_clinic_bytes = Counter[ClinicId]()
        self._waiting: list[_Waiting] = []

    @asynccontextmanager
    async def place(self, lane: Lane, size_bytes: int, clinic_id: ClinicId) -> AsyncIterator[None]:
        """Hold room for an upload of this size, at most 32 MiB. Raises Full."""
        size_bytes = max(size_bytes, SMALLEST_BYTES)
        if lane is Lane.ROUTINE:
            self._enter_as_routine(clinic_id, size_bytes)
        else:
            await self._queue(clinic_id, size_bytes)
        try:
            yield
        finally:
            self._leave(clinic_id, size_bytes)

    def stay_as_routine(self) -> None:
        """Ask, for an upload that came in as an emergency and turned out to be routine, whether it may stay. Raises Full."""
        if self._waiting or self._taken_bytes > self._routine_bytes:
            raise Full(Lane.ROUTINE)

    def _enter_as_routine(self, clinic_id: ClinicId, size_bytes: int) -> None:
        if self._waiting or self._taken_bytes + size_bytes > self._routine_bytes:
            raise Full(Lane.ROUTINE)
        self._enter(clinic_id, size_bytes)

    async def _queue(self, clinic_id: ClinicId, size_bytes: int) -> None:
        mine = _Waiting(clinic_id, size_bytes, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        self._admit()
        try:
            async with asyncio.timeout(self._wait_s):
                await mine.turn
        except BaseException as error:
            if mine.turn.done() and not mine.turn.cancelled():
                self._leave(clinic_id, size_bytes)  # it was let in at the moment when it gave up
            else:
                with suppress(ValueError):
                    self._waiting.remove(mine)
                self._admit()  # it may have stood before a smaller one
            if isinstance(error, TimeoutError):
                raise Full(Lane.EMERGENCY) from None
            raise

    def _enter(self, clinic_id: ClinicId, size_bytes: int) -> None:
        self._taken_bytes += size_bytes
        self._of_clinic_bytes[clinic_id] += size_bytes

    def _leave(self, clinic_id: ClinicId, size_bytes: int) -> None:
        self._taken_bytes -= size_bytes
        self._of_clinic_bytes[clinic_id] -= size_bytes
        if not self._of_clinic_bytes[clinic_id]:
            del self._of_clinic_bytes[clinic_id]
        self._admit()

    def _admit(self) -> None:
        """Let in those who wait, in their order. Who waits only for their own clinic's share stands in nobody's way."""
        still: list[_Waiting] = []
        for place, each in enumerate(self._waiting):
            if each.turn.done():
                continue
            if self._of_clinic_bytes[each.clinic_id] + each.size_bytes > self._clinic_bytes:
                still.append(each)
            elif self._taken_bytes + each.size_bytes > self._emergency_bytes:
                still += self._waiting[place:]
                break
            else:
                self._enter(each.clinic_id, each.size_bytes)
                each.turn.set_result(None)
        self._waiting = still
