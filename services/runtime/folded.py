"""What lies in Redis and follows from topics, brought back where Redis has lost of it: emptied, put back from an older copy, another server.

Offsets are written after what lies before them, so that a copy of Redis that has them has that. A bucket that is not folded on the server that
answers may lack what came after its offsets; one without offsets may lack everything. That is read from Kafka again and applied again: a record
may be applied often, by several processes at once, and beside whatever else is written. Only then, and only if Redis was not lost once more
meanwhile, a bucket says that it is folded (services.runtime.fence). Who must not act before that asks scripts that are fenced."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta

from structlog import get_logger

from contracts.topics import Topic
from services.runtime.buckets import COUNT
from services.runtime.errors import Away
from services.runtime.fence import Fence, Reflects
from services.runtime.kafka_log import Chunk, KafkaLog, Offsets

LOOKS_EVERY_S = 5.0
AT_ONCE = 500

log = get_logger()


class Folded:
    """Raises Away. `lost` is set by whoever meets a bucket that is not folded."""

    def __init__(
        self,
        fence: Fence,
        logs: Sequence[KafkaLog],
        ages: Sequence[timedelta],
        apply: Callable[[Topic, Chunk], Awaitable[None]],
        handled: Callable[[], Awaitable[Reflects]],
        now: Callable[[], datetime],
    ) -> None:
        """ages, ascending, say how far back the topics are read: what is younger than the first before what is younger than the second.

        handled returns up to where others have brought the topics into the buckets that are folded, by partition as `partition_of` names it."""
        self.lost = asyncio.Event()
        self._fence, self._logs, self._ages, self._apply, self._handled, self._now = fence, logs, ages, apply, handled, now

    async def keep(self) -> None:
        """Look every few seconds, and whenever somebody met a bucket that is not folded; until cancelled."""
        while True:
            self.lost.clear()
            await self.look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.lost.wait(), LOOKS_EVERY_S)

    async def look(self) -> int:
        """Note what is reflected by now, and fold the buckets that are not folded; return how many records were applied."""
        lacking = await self._fence.advance(await self._handled())
        if not lacking:
            return 0
        log.warning("redis has lost of what follows from the log: it is read again", what=self._fence.what, buckets=len(lacking))
        return await self._fold(lacking)

    async def catch_up(self) -> int:
        """Apply what any bucket may not reflect, folded or not; return how many records that were."""
        return await self._fold(range(COUNT))

    async def _fold(self, buckets: Iterable[int]) -> int:
        joined = await self._fence.join(buckets)
        try:
            ends, applied = await self._read(lowest([each.reflects for each in joined]))
        finally:
            for each in self._logs:
                await each.close()
        not_by_us = await self._fence.finish({each.number: (each.server, each.says or "") for each in joined}, ends)
        if not_by_us and (lost := set(not_by_us).intersection(await self._fence.advance({}))):
            raise Away("redis", f"{len(lost)} buckets of {self._fence.what} were lost while they were folded")
        log.info("folded", what=self._fence.what, buckets=len(joined), records=applied)
        return applied

    async def _read(self, reflected: Reflects) -> tuple[Reflects, int]:
        """Apply what lies behind what is reflected; return the ends up to where, and how many records there were."""
        applied, ends = 0, {each: await each.ends() for each in self._logs}
        read_from = dict(ends)
        for age in self._ages:
            for each, to in read_from.copy().items():
                starts = await each.since(self._now() - age, ends[each])
                for partition, end in ends[each].items():
                    known = reflected.get(partition_of(each.topic, partition), 0)
                    if known <= end:  # beyond it: of a log that was there before this one
                        starts[partition] = max(starts[partition], known)
                applied += await self._apply_between(each, starts, to)
                read_from[each] = starts
        return {partition_of(each.topic, partition): end for each, of in ends.items() for partition, end in of.items()}, applied

    async def _apply_between(self, of: KafkaLog, starts: Offsets, ends: Offsets) -> int:
        applied = 0
        async for chunk in of.read(starts, ends):
            for start in range(0, len(chunk), AT_ONCE):
                await self._apply(of.topic, chunk[start : start + AT_ONCE])
            applied += len(chunk)
        return applied


def partition_of(topic: Topic, partition: int) -> str:
    return f"{topic.name}/{partition}"


def lowest(reflects: Sequence[Reflects]) -> dict[str, int]:
    """Return what lies before all of them: a partition that one of them does not name is not named."""
    if not reflects:
        return {}
    named = set(reflects[0]).intersection(*reflects[1:])
    return {name: min(each[name] for each in reflects) for name in sorted(named)}
