"""Waiting that a person sees: after two seconds it is said what is waited for and how long yet, on a terminal or not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

TOLD_AFTER_S = 2.0
TOLD_EVERY_S = 10.0

T = TypeVar("T")


async def told_while(work: Awaitable[T], what: str, at_most_s: float, say: Callable[[str], None]) -> T:
    """Return what comes of work; as long as nothing does, say so: after 2 s, then every 10 s. at_most_s is how long work takes before it fails."""
    task, waited_s = asyncio.ensure_future(work), 0.0
    try:
        while True:
            pause_s = TOLD_EVERY_S if waited_s else TOLD_AFTER_S
            if (await asyncio.wait({task}, timeout=pause_s))[0]:
                return task.result()
            waited_s += pause_s
            say(f"{what} has not answered for {waited_s:.0f} s; it is waited for, {max(1, round(at_most_s - waited_s))} s more at most")
    finally:
        task.cancel()
