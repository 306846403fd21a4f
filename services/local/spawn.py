"""Start a child process that dies with this one, writes to a log of its own and hears no Ctrl-C of the terminal.

Forking is safe only while this process has no other thread: nothing here, and nothing that stands on it, starts one."""

import ctypes
import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

LOG_KEPT_BYTES = 4 * 1024 * 1024

_LIBC = ctypes.CDLL(None, use_errno=True)  # loaded before any fork: between fork and exec a child should do little
_PR_SET_PDEATHSIG = 1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


def spawn_program(argv: Sequence[str], *, log: Path, folder: Path, env: Mapping[str, str], nice: int = 0) -> int:
    """Run another program in `folder` and return its pid. What cannot be run says so in the log and exits with 127."""

    def run() -> None:
        os.chdir(folder)
        try:
            os.execve(argv[0], list(argv), dict(env))  # noqa: S606 - the program and its arguments are ours, no shell reads them
        except OSError as error:
            print(f"{argv[0]} cannot be run: {error}", file=sys.stderr)
            raise SystemExit(127) from None

    return _fork(run, log, nice, close=())


def spawn_service(run: Callable[[], None], *, log: Path, nice: int = 0, close: Iterable[int] = ()) -> int:
    """Run a function in a fork of this process and return its pid. `close` are file descriptors that are this process's alone.

    The child exits with 0 when `run` returns, with SystemExit's number, and with 1 and a traceback in the log for any other exception."""
    gc.collect()
    gc.freeze()  # what is imported by now stays shared: no collection of a child touches, and so copies, its pages
    return _fork(run, log, nice, close)


def _fork(run: Callable[[], None], log: Path, nice: int, close: Iterable[int]) -> int:
    _keep_small(log)
    with suppress(OSError, ValueError, AttributeError):  # a terminal that is gone or full, or none: the child must start all the same
        sys.stdout.flush()
        sys.stderr.flush()
    parent = os.getpid()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # a SIGTERM that comes before the handlers are set back would be lost
    try:
        pid = os.fork()
        if pid == 0:
            _live(run, parent, log, nice, close)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    with suppress(ProcessLookupError, PermissionError):  # gone already, or past its exec: then it has done so itself
        os.setpgid(pid, pid)
    return pid


def _live(run: Callable[[], None], parent: int, log: Path, nice: int, close: Iterable[int]) -> None:
    """Be the child; never returns."""
    status = 1
    try:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before prctl: nobody will tell us
            os._exit(1)
        os.setpgid(0, 0)  # the terminal's Ctrl-C reaches the parent alone, which stops its children in order
        for descriptor in close:
            os.close(descriptor)
        _redirect(log)
        os.nice(nice)
        _default_signals()
        run()
        status = 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it is, it ends this process and not the parent's code below the fork
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _redirect(log: Path) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(written)
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115 - lives as long as the process
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def _default_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent alone decides when a child stops, by SIGTERM
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _keep_small(log: Path) -> None:
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_KEPT_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))
