"""Ports on 127.0.0.1: is one free, which one to take."""

import random
import socket
from collections.abc import Collection
from pathlib import Path

HOST = "127.0.0.1"
FIRST = 20_000


def is_free(port: int) -> bool:
    """Return whether a server could listen there now. A connection that is only fading away (TIME_WAIT) does not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def choose_port(taken: Collection[int]) -> int:
    """Return a free port that is not in `taken`.

    It lies below those that the kernel gives to outgoing connections: from among these, a client that keeps calling a broker while it is down may
    get the broker's own port, be connected to itself, and keep the broker from coming back."""
    below = min(int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]), 32_768)
    candidates = list(range(min(FIRST, below - 1000), below))
    random.shuffle(candidates)
    return next(port for port in candidates if port not in taken and is_free(port))
