"""Waiting for a part of the stack: again after 0.1 to 5 seconds, without end. Nothing else is retried without a bound."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.runtime.errors import Away

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0

T = TypeVar("T")


def wait_s(failures: int) -> float:
    """Return how long to wait after so many failures in a row: doubling, with a tenth of spread so that many do not come back at one instant."""
    doubled: float = FIRST_WAIT_S * 2 ** min(failures, 10)
    return min(LONGEST_WAIT_S, doubled) * random.uniform(0.9, 1.0)  # noqa: S311 - spread, not a secret


async def until_there(ask: Callable[[], Awaitable[T]], on_away: Callable[[Away], None]) -> T:
    """Return what ask returns, asked again for as long as it raises Away; on_away hears of each failure."""
    failures = 0
    while True:
        try:
            return await ask()
        except Away as away:
            on_away(away)
        await asyncio.sleep(wait_s(failures))
        failures += 1
