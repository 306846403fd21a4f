"""Sending at a rate that does not give way: the next goes out when it is due, whatever became of those before."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def at_rate(per_s: float, calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Make so many calls a second and return what they returned, in their order; raise what the first that failed raised."""
    loop = asyncio.get_running_loop()
    begun_at = loop.time()
    tasks: list[asyncio.Task[T]] = []
    try:
        async with asyncio.TaskGroup() as group:
            for number, call in enumerate(calls):
                await asyncio.sleep(begun_at + number / per_s - loop.time())
                tasks.append(group.create_task(_awaited(call)))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


async def _awaited(call: Callable[[], Awaitable[T]]) -> T:
    return await call()
