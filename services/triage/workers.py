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

    @property
    def is_dead(self) -> bool:
        """True where the worker is known to have ended, whatever ended it."""
        return self.read.at_eof() or self.write.is_closing()

    def close(self) -> None:
        self.write.close()


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

        A worker that dies may have been killed for another's sake, or before it had the task: only the task that kills two is lost, the second
        hired for it alone."""
        line = await self._free.get()
        try:
            if line is None or line.is_dead:
                line = await self._hired_for(line)
            try:
                return await self._ask(line, task, body)
            except WorkerLost as lost:
                if lost.why != "died":
                    raise
            log.warning("worker died; the task is given to another")
            line = await self._hired_for(line)
            return await self._ask(line, task, body)
        finally:
            self._free.put_nowait(line)

    async def watch(self) -> None:
        """Return never; raise where the nursery has died. The service ends by that, and is started anew."""
        await asyncio.get_running_loop().sock_recv(self._nursery, 1)
        raise ConnectionResetError("the nursery died")

    async def stop(self) -> None:
        while not self._free.empty():
            line = self._free.get_nowait()
            if line is not None:
                line.close()
        self._nursery.close()

    async def _hired_for(self, dead: _Line | None) -> _Line:
        """Return the line to a new worker, in the place of one that is dead."""
        if dead is not None:
            dead.close()
        try:
            return await _Line.open(hire(self._nursery))
        except OSError as error:
            raise Away("triage workers", type(error).__name__) from error

    async def _ask(self, line: _Line, task: Mapping[str, object], body: bytes) -> tuple[dict[str, object], bytes]:
        """Return the answer; the line is closed where there is none."""
        begun_at = time.monotonic()
        answered = asyncio.ensure_future(self._exchange(line, task, body))
        kept = False
        try:
            await asyncio.wait({answered}, timeout=self._limits.seconds + GRACE_S / 2)
            await asyncio.wait({answered}, timeout=GRACE_S / 2)  # this process may have stood still itself: what came meanwhile is heard first
            if not answered.done():
                raise WorkerLost("timed_out")
            answer = answered.result()
            kept = True
            return answer
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            if self._nursery_is_gone():
                raise Away("triage workers", "the nursery died") from error
            raise WorkerLost("timed_out" if time.monotonic() - begun_at >= self._limits.seconds else "died") from error
        finally:
            answered.cancel()
            if not kept:
                line.close()

    async def _exchange(self, line: _Line, task: Mapping[str, object], body: bytes) -> tuple[dict[str, object], bytes]:
        head = json.dumps(task).encode()
        line.write.write(LENGTHS.pack(len(head), len(body)) + head + body)
        await line.write.drain()
        head_length, body_length = LENGTHS.unpack(await line.read.readexactly(LENGTHS.size))
        if head_length + body_length > MAX_ANSWER_BYTES:
            raise WorkerLost("failed", "its answer is too large")
        told = json.loads(await line.read.readexactly(head_length))
        content = await line.read.readexactly(body_length)
        if "failed" in told:
            raise WorkerLost("memory" if told["failed"] == "memory" else "failed", str(told["failed"])[:60])
        return told, content

    def _nursery_is_gone(self) -> bool:
        """True where the nursery has ended; its workers end with it. The kernel closes its line before it ends them: what is asked later is true."""
        try:
            return self._nursery.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
