"""A process that does nothing but fork workers. It is forked itself while its parent is still small: no loop, no threads, no connections.

A worker reads one task after another: bytes from outside are parsed there and nowhere else. The kernel ends one that takes too long (an alarm that it
cannot miss) or that asks for too much memory. What it answers is JSON and bytes, read as data; it is never unpickled."""

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

PR_SET_PDEATHSIG = 1
LENGTHS = struct.Struct("!II")
KEEPS_OPEN = 3  # stdin, stdout and stderr

Answer = Callable[[Mapping[str, object], bytes], tuple[dict[str, object], bytes]]


@dataclass(frozen=True)
class Limits:
    seconds: float = 5.0
    memory_bytes: int = 300 * 1024 * 1024  # more than the worker has when it is born


def start_nursery(answer: Answer, limits: Limits) -> socket.socket:
    """Fork the nursery and return the line to it. Call it before there are threads. It ends when the line is closed, and with its parent."""
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    if os.fork():
        theirs.close()
        return ours
    status = 1
    try:
        _become_child(parent, keep=theirs.fileno())
        _raise_workers(theirs, answer, limits)
        status = 0
    finally:
        os._exit(status)  # the parent's stack is above: it must not be unwound here


def hire(nursery: socket.socket) -> socket.socket:
    """Ask for a worker and return the line to it. BrokenPipeError where the nursery is gone."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            socket.send_fds(nursery, [b"."], [theirs.fileno()])
        except OSError:
            ours.close()
            raise
    return ours


def _become_child(parent: int, *, keep: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)  # the parent died before it could be heard
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says when to stop
    os.closerange(KEEPS_OPEN, keep)
    os.closerange(keep + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _raise_workers(line: socket.socket, answer: Answer, limits: Limits) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: the kernel buries them
    nursery = os.getpid()
    while True:
        asked, lines, _, _ = socket.recv_fds(line, 1, 1)
        if not asked:
            return
        if os.fork():
            os.close(lines[0])
            continue
        status = 1
        try:
            _become_child(nursery, keep=lines[0])
            _work(socket.socket(fileno=lines[0]), answer, limits)
            status = 0
        finally:
            os._exit(status)


def _work(line: socket.socket, answer: Answer, limits: Limits) -> None:
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - the smallest way that there is
        now_bytes = int(statm.read().split()[0]) * resource.getpagesize()
    most = now_bytes + limits.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the recording, and its name
    stream = line.makefile("rwb")
    while True:
        lengths = stream.read(LENGTHS.size)
        if len(lengths) < LENGTHS.size:
            return
        head_length, body_length = LENGTHS.unpack(lengths)
        task, body = json.loads(stream.read(head_length)), stream.read(body_length)
        signal.setitimer(signal.ITIMER_REAL, limits.seconds)
        try:
            told, content = answer(task, body)
        except MemoryError:
            told, content = {"failed": "memory"}, b""
        except Exception as error:  # noqa: BLE001 - whatever a library raises is a verdict: this recording cannot be read
            told, content = {"failed": type(error).__name__}, b""
        signal.setitimer(signal.ITIMER_REAL, 0)
        head = json.dumps(told).encode()
        with contextlib.suppress(BrokenPipeError):
            stream.write(LENGTHS.pack(len(head), len(content)) + head + content)
            stream.flush()
        if "failed" in told:
            return  # what it was doing may have left it unwell; the next one is new
