"""Folding the log into a store: chunk by chunk, many cases a trip; and mending cases of which store and log do not follow from each other.

It knows the store and the log by their ports alone."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from structlog import get_logger

from services.cases.fold import Decision, Held, LogRecord, decisions, fold, held
from services.cases.outbox import Entry
from services.cases.state import Case
from services.runtime.errors import GreenchannelError

CASES_IN_MEMORY = 10_000
AT_ONCE = 500  # cases a trip
OVERTAKEN_AT_MOST = 20

T = TypeVar("T")

logger = get_logger()


class FoldBroken(GreenchannelError):
    """A bucket is another, or another's, since the fold began: look again which are to be folded. args: the bucket."""


@dataclass(frozen=True)
class Surveyed:
    bucket: int
    server: str  # what names the server that it lies on, another after each start
    is_folded: bool
    reflects: Mapping[int, int]  # partition -> offset: what lies before it in the log is reflected


@dataclass(frozen=True)
class Kept:
    """A case as a snapshot keeps it."""

    state: Case
    inbox: Mapping[str, str]
    outbox: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class KnownUpload:
    """An upload that counts as heard until then, be its case forgotten or not."""

    bucket: int
    upload_id: str
    case_id: str
    until_ms: int


@dataclass(frozen=True)
class Part:
    """A piece of a snapshot."""

    cases: tuple[Kept, ...] = ()
    uploads: tuple[KnownUpload, ...] = ()


Guards = Mapping[int, str]  # by bucket: what it must say of itself for a write: who folds it, or the server on which it is folded


class SnapshotUnreadable(GreenchannelError):
    """A snapshot is whole, and not as this version writes one. args: the blob."""

    def __init__(self, dataref: str) -> None:
        super().__init__(dataref)
        self.dataref = dataref

    def __str__(self) -> str:
        return f"snapshot blob {self.dataref} was written by another version: what it held is folded from the log"


class Folding(Protocol):
    """The store, as who folds needs it. Each raises Away; writes raise FoldBroken where a bucket does not say what its guard asks."""

    async def survey(self) -> list[Surveyed]: ...
    async def begin(self, servers: Mapping[int, str], guard: str) -> list[int]: ...
    async def heard(self, of_cases: Sequence[Sequence[Decision]]) -> list[bool]: ...
    async def look(self, asked: Sequence[tuple[str, str]]) -> list[Held]: ...
    async def write(self, changed: Sequence[Held], guards: Guards, now: datetime) -> list[bool]: ...
    async def restore(self, part: Part, guards: Guards, now: datetime) -> None:
        """Write what belongs to guarded buckets, where nothing of it is there."""
        ...

    async def finish(self, servers: Mapping[int, str], guard: str, reflects: Mapping[int, int]) -> None: ...
    async def advance(self, reflects: Mapping[int, int]) -> None: ...
    def parts(self) -> AsyncIterator[Part]:
        """Return all that is there, each case whole. Raises FoldBroken where a bucket is not folded, StateUnreadable."""
        ...

    async def unfold(self, bucket: int, reflects: Mapping[int, int] | None = None) -> None: ...


class Log(Protocol):
    """cases.v1. Each raises Away."""

    async def ends(self) -> dict[int, int]: ...
    def read(self, starts: Mapping[int, int], ends: Mapping[int, int]) -> AsyncIterator[Sequence[LogRecord]]:
        """Return what lies in the partitions of ends, in chunks of one partition that tear no decision."""
        ...


class Folder:
    """Brings decisions of the log into a store, each once; remembers the cases that it had in hand last."""

    def __init__(self, store: Folding, guards: Guards, now: Callable[[], datetime]) -> None:
        self._store, self._guards, self._now = store, guards, now
        self._held = OrderedDict[str, Held]()
        self.torn: dict[str, tuple[int | None, str]] = {}  # partition, None where it is not known, and patient key of cases that are to be mended

    async def take(self, found: Iterable[Decision]) -> int:
        """Bring decisions into the store, in their order; return how many of them it had not."""
        by_case = dict[str, list[Decision]]()
        for decision in found:
            of_case = by_case.pop(decision.case_id, [])
            of_case.append(decision)
            by_case[decision.case_id] = of_case  # by its last: so is what a patient's cases leave behind them
        taken = 0
        for _ in range(OVERTAKEN_AT_MOST):
            await self._have_in_hand(by_case)
            taken += sum(self._fold(of_case) for of_case in by_case.values())
            overtaken = await self._written([self._held[case_id] for case_id in by_case])
            by_case = {case_id: of_case for case_id, of_case in by_case.items() if case_id in overtaken}
            if not by_case:
                break
        while len(self._held) > CASES_IN_MEMORY:
            self._held.popitem(last=False)
        if by_case:
            raise FoldBroken(next(iter(by_case)))
        return taken

    def forget(self) -> None:
        """Have nothing in hand any more: others step on these cases."""
        self._held.clear()

    async def _have_in_hand(self, by_case: Mapping[str, Sequence[Decision]]) -> None:
        unknown = [(case_id, of_case[0].key) for case_id, of_case in by_case.items() if case_id not in self._held]
        for piece in _pieces(unknown):
            self._held |= {case_id: each for (case_id, _), each in zip(piece, await self._store.look(piece), strict=True)}

    def _fold(self, of_case: Sequence[Decision]) -> int:
        case_id = of_case[0].case_id
        case = self._held[case_id]
        self._held.move_to_end(case_id)
        before = len(case.heard)
        for decision in of_case:
            if not case.is_torn:
                fold(case, decision)
        if case.is_torn:
            logger.warning("a case does not follow from the log: it is folded from its beginning", case_id=case_id)
            self.torn[case_id] = (of_case[0].partition, of_case[0].key)
        return len(case.heard) - before

    async def _written(self, cases: Sequence[Held]) -> set[str]:
        """Write what changed; return, and forget, what was stepped meanwhile."""
        overtaken = set[str]()
        for piece in _pieces([each for each in cases if each.is_changed]):
            for each, done in zip(piece, await self._store.write(piece, self._guards, self._now()), strict=True):
                if done:
                    each.stored, each.is_anew = each.state, False
                    each.heard.clear()
                    each.proven.clear()
                else:
                    overtaken.add(str(each.state.case_id))
        for case_id in overtaken:
            del self._held[case_id]
        return overtaken

    async def mend(self, log: Log, *, is_alone: bool) -> None:
        """Fold torn cases from the beginning of the log, and have the store hold what comes of it; those that cannot be yet stay torn.

        What such a case has in its outbox and the log does not hold was decided on a state that never was. Its message was not committed, since
        that comes after the log: it is decided anew. While others work (not is_alone), it may be on its way to the log: it is waited for. The store
        is looked at before the log: on what is decided in between, the write comes too late."""
        if not self.torn:
            return
        asked = [(case_id, key) for case_id, (_, key) in self.torn.items()]
        found = await self._store.look(asked)
        ends, rebuilt = await log.ends(), dict[str, Held]()
        for case_id, key in asked:
            rebuilt[case_id] = held(case_id, key)
            rebuilt[case_id].is_whole = True
        partitions = {partition for partition, _ in self.torn.values()}
        async for chunk in log.read({}, {partition: end for partition, end in ends.items() if partition in partitions or None in partitions}):
            for decision in decisions(chunk):
                if decision.case_id in rebuilt:
                    fold(rebuilt[decision.case_id], decision)
        mended = list[Held]()
        for (case_id, _), there in zip(asked, found, strict=True):
            whole = rebuilt[case_id]
            if is_alone or not there.outbox.keys() - whole.inbox:
                whole.stored, whole.is_anew, whole.heard, whole.proven = there.stored, True, list(whole.inbox), list(there.outbox.values())
                mended.append(whole)
        overtaken = await self._mended(mended)
        for each in mended:
            case_id = str(each.state.case_id)
            self._held.pop(case_id, None)
            if case_id not in overtaken:
                del self.torn[case_id]
                logger.warning("a case was folded from its beginning", case_id=case_id)

    async def _mended(self, cases: Sequence[Held]) -> set[str]:
        written = await self._store.write(cases, self._guards, self._now())
        return {str(each.state.case_id) for each, done in zip(cases, written, strict=True) if not done}


def _pieces(whole: Sequence[T]) -> Iterator[Sequence[T]]:
    return (whole[start : start + AT_ONCE] for start in range(0, len(whole), AT_ONCE))
