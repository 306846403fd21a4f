"""Keeping the store to the log: what of it does not reflect the log is folded; what is appended behind is compared with it as it comes.

One process at a time does it, whoever has the turn. It works on its ports alone."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import uuid4

from structlog import get_logger

from contracts import topics
from services.cases.fold import Decision, LogRecord, decisions
from services.cases.folding import FoldBroken, Folder, Folding, Log, Part, SnapshotUnreadable, Surveyed
from services.cases.unreadable import StateUnreadable
from services.runtime.buckets import bucket_of
from services.runtime.errors import Away, BlobDamaged, BlobMissing

LOOK_EVERY_S = 1.0
SAY_EVERY_S = 30.0  # up to where the buckets reflect the log
HOLD_EVERY_S = 1.0
SNAPSHOT_EVERY_S = 3600.0

logger = get_logger()


class Turn(Protocol):
    """Whose turn it is, of several processes. Raises Away."""

    async def hold(self) -> bool:
        """Take it, or keep it; False where another has it."""
        ...


class Snapshot(Protocol):
    """What the store held at one time. Raises Away, BlobDamaged, BlobMissing, SnapshotUnreadable."""

    @property
    def reflects(self) -> Mapping[int, int]: ...
    def parts(self) -> AsyncIterator[Part]: ...


class Snapshots(Protocol):
    async def newest_first(self) -> Sequence[Snapshot]:
        """Raises Away."""
        ...

    async def take(self, parts: AsyncIterator[Part], reflects: Mapping[int, int], at: datetime) -> int:
        """Keep another; return how many cases it holds. Raises Away, and what its parts raise."""
        ...


class TurnLost(Exception):
    """Another has the turn by now."""


@dataclass(frozen=True)
class _ReadInTurn:
    """The log, as who has the turn reads it: chunk by chunk, for the turn is to be kept while a long one is read. Raises TurnLost."""

    log: Log
    hold: Callable[[], Awaitable[None]]

    async def ends(self) -> dict[int, int]:
        return await self.log.ends()

    async def read(self, starts: Mapping[int, int], ends: Mapping[int, int]) -> AsyncIterator[Sequence[LogRecord]]:
        async for chunk in self.log.read(starts, ends):
            await self.hold()
            yield chunk


class Keeper:
    def __init__(
        self,
        store: Folding,
        log: Log,
        snapshots: Snapshots,
        turn: Turn,
        refused: asyncio.Event,
        unreadable: MutableMapping[str, str],
        none_in_hand: Callable[[], Awaitable[None]],
        now: Callable[[], datetime],
    ) -> None:
        """refused is set when somebody met a bucket that is not folded, or a case that cannot be read, which is then in unreadable, with its
        patient's key. none_in_hand returns when what this process stepped so far is in the log, or will not be: it must not come there behind what
        is decided after the fold."""
        self._store, self._log, self._snapshots, self._turn = store, log, snapshots, turn
        self._in_turn = _ReadInTurn(log, self._hold)
        self._refused, self._unreadable, self._none_in_hand, self._now = refused, unreadable, none_in_hand, now
        self._held_at = 0.0
        self._compared: dict[int, int] = {}  # partition -> offset; nothing: not known yet
        self._said: dict[int, int] = {}  # what every bucket says of itself, as far as this process knows
        self._said_at = 0.0
        self._kept_at = time.monotonic()
        self._tail: Folder | None = None

    async def keep(self) -> None:
        """Keep the store to the log, for ever. Raises Away."""
        while True:
            self._refused.clear()
            try:
                if await self._turn.hold():
                    self._held_at = time.monotonic()
                    await self.look()
                else:
                    self._forget()
                await self.mend_unreadable()
            except (FoldBroken, TurnLost) as broken:
                logger.warning("folding was broken off, and begins again", cause=type(broken).__name__)
                self._forget()
            except Away:
                self._forget()
                raise
            try:
                await asyncio.wait_for(self._refused.wait(), LOOK_EVERY_S)
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Fold what is not folded, or compare what was appended. Raises FoldBroken, TurnLost, Away."""
        surveyed = await self._store.survey()
        rolled_back = [each for each in surveyed if each.is_folded and any(each.reflects.get(of, 0) < offset for of, offset in self._said.items())]
        for each in rolled_back:
            logger.critical("a bucket was put back under a server that runs: it is folded again; stop the server for that", bucket=each.bucket)
            await self._store.unfold(each.bucket)
        if rolled_back:
            surveyed = await self._store.survey()
        if all(each.is_folded for each in surveyed):
            await self._follow(surveyed)
        else:
            await self._fold([each for each in surveyed if not each.is_folded])

    def _forget(self) -> None:
        self._compared, self._said, self._tail = {}, {}, None

    async def _hold(self) -> None:
        if time.monotonic() - self._held_at > HOLD_EVERY_S:
            if not await self._turn.hold():
                raise TurnLost
            self._held_at = time.monotonic()

    async def _have_none_in_hand(self) -> None:
        ended = asyncio.ensure_future(self._none_in_hand())
        try:
            while not (await asyncio.wait({ended}, timeout=HOLD_EVERY_S))[0]:
                await self._hold()
        finally:
            ended.cancel()

    async def _fold(self, unfolded: Sequence[Surveyed]) -> None:
        self._forget()
        begun_at, guard = time.monotonic(), f"folding {uuid4().hex}"
        servers = {each.bucket: each.server for each in unfolded}
        if len(await self._store.begin(servers, guard)) < len(servers):
            raise FoldBroken("begun by another")
        await self._have_none_in_hand()
        guards = dict.fromkeys(servers, guard)
        ends = await self._in_turn.ends()
        starts = await self._starts(unfolded, guards)
        folder, taken = Folder(self._store, guards, self._now), 0
        with _no_garbage_sought():
            async for chunk in self._in_turn.read(starts, ends):
                taken += await folder.take(each for each in decisions(chunk) if bucket_of(each.key) in guards)
        await folder.mend(self._in_turn, is_alone=True)
        await self._store.finish(servers, guard, ends)
        took_s = round(time.monotonic() - begun_at, 2)
        logger.info("folded", buckets=len(servers), records=_between(starts, ends), decisions=taken, took_s=took_s)

    async def _starts(self, unfolded: Sequence[Surveyed], guards: Mapping[int, str]) -> dict[int, int]:
        """Return from where to read each partition. What is not known to reflect anything is first given the newest whole snapshot."""
        starts = [each.reflects for each in unfolded if each.reflects]
        empty = {each.bucket for each in unfolded if not each.reflects}
        if empty:
            starts.append(await self._restored(empty, guards))
        return {of: min(each.get(of, 0) for each in starts) for of in range(topics.CASES.partitions)}

    async def _restored(self, buckets: set[int], guards: Mapping[int, str]) -> Mapping[int, int]:
        try:
            for snapshot in await self._snapshots.newest_first():
                try:
                    async for part in snapshot.parts():
                        await self._hold()
                        await self._store.restore(part, {bucket: guards[bucket] for bucket in buckets}, self._now())
                    return snapshot.reflects
                except (BlobDamaged, BlobMissing) as damaged:
                    logger.critical("a snapshot is passed over", cause=str(damaged))
                except SnapshotUnreadable as other:
                    logger.warning("a snapshot is passed over", cause=str(other))
        except Away as away:
            if away.what != "blobs":
                raise
            logger.warning("no snapshot can be read: the log is folded from its beginning", cause=away.cause)
        return {}

    async def _follow(self, surveyed: Sequence[Surveyed]) -> None:
        """Compare with the store what was appended since the last look; bring in what it has not: what reached the log after a loss."""
        if self._tail is None:
            lowest = {of: min(each.reflects.get(of, 0) for each in surveyed) for of in range(topics.CASES.partitions)}
            self._compared, self._said, self._said_at = dict(lowest), lowest, time.monotonic()
        self._tail = Folder(self._store, {each.bucket: each.server for each in surveyed}, self._now) if self._tail is None else self._tail
        ends = await self._in_turn.ends()
        async for chunk in self._in_turn.read(self._compared, ends):
            await self._compare(list(decisions(chunk)), self._tail)
            self._compared[chunk[0].partition] = chunk[-1].offset + 1
        await self._tail.mend(self._in_turn, is_alone=False)
        if self._compared != self._said and not self._tail.torn and time.monotonic() - self._said_at > SAY_EVERY_S:
            await self.say()
        if time.monotonic() - self._kept_at > SNAPSHOT_EVERY_S and not self._tail.torn:
            try:
                await self.take_snapshot()
            except StateUnreadable as unreadable:
                logger.warning("no snapshot is taken", cause=str(unreadable))
                if unreadable.patient_key is not None:
                    self._unreadable[str(unreadable.case_id)] = unreadable.patient_key

    async def take_snapshot(self) -> None:
        """Keep what the store holds, for a fold that need not begin at the log's beginning. Raises FoldBroken, StateUnreadable, Away."""
        begun_at = self._kept_at = time.monotonic()
        reflects = dict(self._compared)
        cases = await self._snapshots.take(self._held_meanwhile(self._store.parts()), reflects, self._now())
        logger.info("snapshot taken", cases=cases, took_s=round(time.monotonic() - begun_at, 2))

    async def _held_meanwhile(self, parts: AsyncIterator[Part]) -> AsyncIterator[Part]:
        async for part in parts:
            await self._hold()
            yield part

    async def _compare(self, found: Sequence[Decision], tail: Folder) -> None:
        by_case = dict[str, list[Decision]]()
        for decision in found:
            by_case.setdefault(decision.case_id, []).append(decision)
        of_cases = list(by_case.values())
        known = await self._store.heard(of_cases)
        unknown = [decision for of_case, is_known in zip(of_cases, known, strict=True) if not is_known for decision in of_case]
        if unknown:
            tail.forget()
            taken = await tail.take(unknown)
            if taken:
                logger.warning("decisions were in the log and not in the store: they are now", decisions=taken)

    async def mend_unreadable(self) -> None:
        """Fold from the log's beginning the cases that this process could not read, whosever turn it is. Raises FoldBroken, Away.

        Each once: one that still cannot be read is met again, in a message or a timer."""
        if not self._unreadable:
            return
        asked = dict(self._unreadable)
        servers = {each.bucket: each.server for each in await self._store.survey() if each.is_folded}
        folder = Folder(self._store, servers, self._now)
        folder.torn |= {case_id: (None, key) for case_id, key in asked.items() if bucket_of(key) in servers}
        await folder.mend(self._log, is_alone=False)
        for case_id in asked:
            self._unreadable.pop(case_id, None)

    async def say(self) -> None:
        """Say in every bucket up to where it reflects the log. Raises FoldBroken, Away."""
        await self._store.advance(self._compared)
        self._said, self._said_at = dict(self._compared), time.monotonic()


@contextmanager
def _no_garbage_sought() -> Iterator[None]:
    """A fold makes millions of objects, none of which hold one another: looking for those that do is a quarter of its time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _between(starts: Mapping[int, int], ends: Mapping[int, int]) -> int:
    return sum(end - starts.get(of, 0) for of, end in ends.items())
