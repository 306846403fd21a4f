"""Keep child processes alive: start them, start again what dies, stop them in order. One thread, no event loop: it must be able to fork.

Children of stage 0 (Kafka, Valkey) are started first and stopped last; those of one stage are stopped together."""

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from services.local.last_words import last_words
from services.local.spawn import spawn_program, spawn_service

FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0
STEADY_AFTER_S = 10.0  # a child that lived this long had started well
TOLD_AT_DEATH = 3  # quick deaths in a row before its last words are shown; after that every tenth
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class ChildStatus:
    pid: int | None  # None: it is waiting to be started again
    restarts: int
    since_s: float  # seconds since its last start


@dataclass
class _Child:
    name: str
    start: Callable[[], int]
    log: Path
    stage: int
    stop_timeout_s: float
    pid: int | None = None
    started_at: float = 0.0
    starts: int = 0
    quick_deaths: int = 0
    wait_s: float = 0.0
    due_at: float = 0.0


def wait_before_restart_s(last_wait_s: float, alive_s: float) -> float:
    """Return how long to wait before a child is started again: 0.1 s after a good run, else twice the last wait, 5 s at most."""
    if alive_s >= STEADY_AFTER_S or last_wait_s == 0:
        return FIRST_WAIT_S
    return min(2 * last_wait_s, LONGEST_WAIT_S)


class Supervisor:
    """Use it as a context: leaving it stops every child. While it lives, SIGINT, SIGTERM and SIGHUP only ask it to stop; a second one kills."""

    def __init__(
        self, logs: Path, say: Callable[[str], None], remember: Callable[[Mapping[str, int]], None], private_fds: Sequence[int] = ()
    ) -> None:
        """`say` takes a sentence for the terminal; `remember` the pids whenever they change; `private_fds` are closed in forked children."""
        self._logs, self._terminal, self._remember = logs, say, remember
        self._children: dict[str, _Child] = {}
        self._asked = 0
        self._ears, self._mouth = socket.socketpair()
        self._private_fds = (*private_fds, self._ears.fileno(), self._mouth.fileno())
        for end in (self._ears, self._mouth):
            end.setblocking(False)

    def __enter__(self) -> Self:
        self._old_wakeup = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        self._old_handlers = {number: signal.signal(number, self._ask_to_stop) for number in STOP_SIGNALS}
        self._old_handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda number, frame: None)  # only a handled signal wakes us
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.stop()
        finally:
            signal.set_wakeup_fd(self._old_wakeup)
            for number, handler in self._old_handlers.items():
                signal.signal(number, handler)
            self._ears.close()
            self._mouth.close()

    @property
    def stopping(self) -> bool:
        """Whether somebody has asked to stop."""
        return self._asked > 0

    def add_program(
        self, name: str, argv: Sequence[str], *, folder: Path, env: Mapping[str, str], stage: int = 0, nice: int = 0, stop_timeout_s: float = 10.0
    ) -> None:
        """Start another program now, and again whenever it ends. Its output goes to NAME.log."""
        log = self._logs / f"{name}.log"
        self._add(_Child(name, lambda: spawn_program(argv, log=log, folder=folder, env=env, nice=nice), log, stage, stop_timeout_s))

    def add_service(self, name: str, run: Callable[[], None], *, stage: int = 1, nice: int = 0, stop_timeout_s: float = 10.0) -> None:
        """Start a function in a fork now, and again whenever it ends; it must end by itself on SIGTERM. Its output goes to NAME.log."""
        log = self._logs / f"{name}.log"
        self._add(_Child(name, lambda: spawn_service(run, log=log, nice=nice, close=self._private_fds), log, stage, stop_timeout_s))

    def status(self) -> dict[str, ChildStatus]:
        now = time.monotonic()
        return {child.name: ChildStatus(child.pid, max(0, child.starts - 1), now - child.started_at) for child in self._children.values()}

    def run(self, until: Callable[[], bool], every_s: float = 0.5) -> bool:
        """Keep the children alive until `until()` is true or somebody asks to stop; return whether it became true.

        `until` is asked after each change and at least every `every_s`; it may show things on the terminal, and must not block."""
        while not self.stopping:
            self._restart_due()
            if until():
                return True
            due = [child.due_at - time.monotonic() for child in self._children.values() if child.pid is None]
            self._sleep(min([every_s, *due]))
            self._reap()
        return False

    def stop(self) -> None:
        """Stop every child, the highest stage first: SIGTERM, and SIGKILL after its time. A second signal from outside kills all at once."""
        self._asked = max(self._asked, 1)
        for stage in sorted({child.stage for child in self._children.values()}, reverse=True):
            self._stop_stage([child for child in self._children.values() if child.stage == stage])
        self._write_down()

    def _add(self, child: _Child) -> None:
        if child.name in self._children:
            raise ValueError(f"there is a child named {child.name} already")
        self._children[child.name] = child
        self._start(child)

    def _start(self, child: _Child) -> None:
        child.pid = child.start()
        child.starts += 1
        child.started_at = time.monotonic()
        self._write_down()

    def _restart_due(self) -> None:
        for child in self._children.values():
            if child.pid is None and child.due_at <= time.monotonic():
                try:
                    self._start(child)
                except OSError as error:  # no memory, no room on the disk: that may pass, and the other children must live on meanwhile
                    child.wait_s = wait_before_restart_s(child.wait_s, 0)
                    child.due_at = time.monotonic() + child.wait_s
                    self._say(f"{child.name} cannot be started ({error}); it is tried again in {child.wait_s:.1f} s.")

    def _reap(self) -> None:
        for child in self._children.values():
            if (status := _ended(child)) is None:
                continue
            alive_s = time.monotonic() - child.started_at
            child.wait_s = wait_before_restart_s(child.wait_s, alive_s)
            child.due_at = time.monotonic() + child.wait_s
            child.quick_deaths = 1 if alive_s >= STEADY_AFTER_S else child.quick_deaths + 1
            if not self.stopping:
                self._tell(child, status)

    def _tell(self, child: _Child, status: int) -> None:
        how = f"was killed by {_name_of(-status)}" if status < 0 else f"ended with status {status}"
        if child.quick_deaths == 1:
            self._say(f"{child.name} {how} and is started again.")
        elif child.quick_deaths % 10 == TOLD_AT_DEATH:
            self._say(
                f"{child.name} {how}, {child.quick_deaths} times in a row; it is tried again every {child.wait_s:.1f} s or so. "
                f"Its last words in {child.log}: {last_words(child.log)}"
            )

    def _say(self, sentence: str) -> None:
        with suppress(OSError, ValueError):  # a terminal that is gone or full must not end what looks after the children
            self._terminal(sentence)

    def _stop_stage(self, children: Sequence[_Child]) -> None:
        for child in children:
            _signal(child, signal.SIGTERM)
        began = time.monotonic()
        while running := [child for child in children if child.pid is not None]:
            passed = time.monotonic() - began
            for child in running:
                if self._asked > 1 or passed >= child.stop_timeout_s:
                    _signal(child, signal.SIGKILL)
            self._sleep(max(0.05, min(child.stop_timeout_s - passed for child in running)))
            self._reap()

    def _write_down(self) -> None:
        try:
            self._remember({child.name: child.pid for child in self._children.values() if child.pid is not None})
        except OSError as error:
            self._say(f"The running processes could not be written down ({error}); if this program is killed now, the next start cannot end them.")

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._asked += 1

    def _sleep(self, at_most_s: float) -> None:
        """Wait for a signal, a child's death among them; signals that came before this call end it at once."""
        ready, _, _ = select.select([self._ears], [], [], max(0.0, at_most_s))
        if ready:
            with suppress(BlockingIOError):
                self._ears.recv(4096)


def _ended(child: _Child) -> int | None:
    """Return how a running child ended (as waitstatus_to_exitcode), having killed what is left of its group; None while it lives."""
    if child.pid is None or os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        return None
    with suppress(ProcessLookupError, PermissionError):  # while it is not reaped yet, the number is certainly its own
        os.killpg(child.pid, signal.SIGKILL)
    _, status = os.waitpid(child.pid, 0)
    child.pid = None
    return os.waitstatus_to_exitcode(status)


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"


def _signal(child: _Child, number: signal.Signals) -> None:
    if child.pid is None:
        return
    if number == signal.SIGKILL:
        os.killpg(child.pid, number)
    else:
        os.kill(child.pid, number)
