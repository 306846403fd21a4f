"""Know a process for sure: a pid alone may by now be somebody else's."""

import os
import select
import signal
from contextlib import suppress
from pathlib import Path


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_ticks(pid: int) -> int | None:
    """Return when a process of ours started, in clock ticks since boot; None where there is none, or it is another user's, or only a zombie."""
    folder = Path(f"/proc/{pid}")
    try:
        if folder.stat().st_uid != os.getuid():
            return None
        state, *fields = (folder / "stat").read_text().rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(fields[18])


def end_process(pid: int, timeout_s: float) -> bool:
    """Kill a process, and its group where it leads one; return whether it is gone after at most `timeout_s`."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        with suppress(ProcessLookupError):
            if os.getpgid(pid) == pid:
                os.killpg(pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)
        return bool(select.select([watch], [], [], timeout_s)[0])
    finally:
        os.close(watch)
