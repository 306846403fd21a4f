"""The workers of triage, as the service sees them: a task in, a verdict out, whatever becomes of the worker."""

import asyncio
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from structlog import get_logger

from services.runtime.errors import Away, GreenchannelError
from services.triage.nursery import LENGTHS, Answer, Limits, hire, start_nursery

GRACE_S = 1.0  # beyond the worker's own alarm, for one that cannot run at all
MAX_ANSWER_BYTES = 64 * 1024 * 1024

log = get_logger()


class WorkerLost(GreenchannelError):
    """The worker ended with the task undone. args: why (timed_out, died, memory, failed), and what is known of it."""

    def __init__(self, why: str, cause: str = "") -> None:
        super().__init__(why, cause)
        self.why, self.cause = why, cause


@dataclass
class _Line:
    read: asyncio.StreamReader
    write: asyncio.StreamWriter

    @classmethod
    async def open(cls, line: socket.socket) -> Self:
        line.setblocking(False)
        return cls(*await asyncio.open_connection(sock=line))


class Workers:
    """A fixed number of worker processes; a task waits for a free one. One that is lost is replaced."""

    def __init__(self, answer: Answer, *, count: int, limits: Limits) -> None:
        """Fork the nursery: call it while the process has no threads and no connections."""
        self._limits = limits
        self._nursery = start_nursery(answer, limits)
        self._nursery.setblocking(False)
        self._free: asyncio.Queue[_Line | None] = asyncio.Queue()
        for _ in range(count):
            self._free.put_nowait(None)  # hired when it is first needed

    async def do(self, task: Mapping[str, object], body: bytes) -> tuple[dict[str, object], bytes]:
        """Return the worker's answer; WorkerLost where there is none, Away where no worker can be had.

        A worker that dies may have been killed for another's sake: only the task that kills two is lost."""
        try:
            return await self._do_once(task, body)
        except WorkerLost as lost:
            if lost.why != "died":
                raise
            log.warning("worker died; the task is given to another")
        return await self._do_once(task, body)

    async def _do_once(self, task: Mapping[str, object], body: bytes) -> tuple[dict[str, object], bytes]:
        line = await self._free.get()
        kept: _Line | None = None
        try:
            line = line or await self._hire()
            answer = await self._ask(line, task, body)
            kept = line
            return answer
        finally:
            if kept is None and line is not None:
                line.write.close()
            self._free.put_nowait(kept)

    async def watch(self) -> None:
        """Return never; raise where the nursery has died. The service ends by that, and is started anew."""
        await asyncio.get_running_loop().sock_recv(self._nursery, 1)
        raise ConnectionResetError("the nursery died")

    async def stop(self) -> None:
        while not self._free.empty():
            line = self._free.get_nowait()
            if line is not None:
                line.write.close()
        self._nursery.close()

    async def _hire(self) -> _Line:
        try:
            return await _Line.open(hire(self._nursery))
        except OSError as error:
            raise Away("triage workers", type(error).__name__) from error

    async def _ask(self, line: _Line, task: Mapping[str, object], body: bytes) -> tuple[dict[str, object], bytes]:
        head = json.dumps(task).encode()
        begun_at = time.monotonic()
        try:
            async with asyncio.timeout(self._limits.seconds + GRACE_S):
                line.write.write(LENGTHS.pack(len(head), len(body)) + head + body)
                await line.write.drain()
                head_length, body_length = LENGTHS.unpack(await line.read.readexactly(LENGTHS.size))
                if head_length + body_length > MAX_ANSWER_BYTES:
                    raise WorkerLost("failed", "its answer is too large")
                told = json.loads(await line.read.readexactly(head_length))
                content = await line.read.readexactly(body_length)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError) as error:
            late = time.monotonic() - begun_at >= self._limits.seconds
            raise WorkerLost("timed_out" if late else "died") from error
        if "failed" in told:
            raise WorkerLost("memory" if told["failed"] == "memory" else "failed", str(told["failed"])[:60])
        return told, content
