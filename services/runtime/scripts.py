"""Lua scripts on a bucket: one call, or many in one trip, on a single server and on a cluster alike.

A script is named by its digest; a server that does not know it yet is sent its text, which it then knows. (The library's own scripts are loaded on
every node of a cluster by each that finds one missing: many at once break its connections.)"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError


class Script:
    """KEYS[1] is the prefix of a bucket, or one key in it; whatever it touches begins with that."""

    def __init__(self, lua: str) -> None:
        self.lua = lua
        self.sha = hashlib.sha1(lua.encode(), usedforsecurity=False).hexdigest()  # by which Redis names it


@dataclass(frozen=True)
class Call:
    script: Script
    prefix: str
    arguments: Sequence[str | bytes | int] = ()


async def run(redis: Redis, script: Script, prefix: str, *arguments: str | bytes | int) -> Any:
    """Run a script once. Raises what Redis says, and what the script does."""
    try:
        return await redis.evalsha(script.sha, 1, prefix, *arguments)
    except NoScriptError:
        return await redis.eval(script.lua, 1, prefix, *arguments)


async def run_all(redis: Redis, calls: Sequence[Call]) -> list[Any]:
    """Run scripts in one trip and return their answers; those of one bucket run in their order. Raises the first error."""
    answers = await _sent(redis, calls, by_name=True)
    unknown = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if unknown:
        for place, answer in zip(unknown, await _sent(redis, [calls[place] for place in unknown], by_name=False), strict=True):
            answers[place] = answer
    for answer in answers:
        if isinstance(answer, RedisError):
            raise answer
    return answers


async def _sent(redis: Redis, calls: Sequence[Call], *, by_name: bool) -> list[Any]:
    if not calls:
        return []
    async with redis.pipeline(transaction=False) as pipeline:
        for call in calls:
            # evalsha() itself is forbidden in a cluster's pipeline, since it would not load what is missing
            name, text = ("EVALSHA", call.script.sha) if by_name else ("EVAL", call.script.lua)
            pipeline.execute_command(name, text, 1, call.prefix, *call.arguments)
        return list(await pipeline.execute(raise_on_error=False))
