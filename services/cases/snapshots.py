"""Snapshots of the store among the blobs: the log need not be folded from its beginning. What they say is checked by its SHA-256 when it is read.

A snapshot is a few blobs of JSON lines, compressed, and an entry in a list of the newest: up to where in the log it reflects at least, and the
claim checks of its blobs. It may hold more than it says: what a case has heard tells what its state reflects. Uploads whose case is forgotten are
in it too: they count as heard for as long as intake may be read again."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import AwareDatetime
from structlog import get_logger

from contracts.vocabulary import Blob, Frozen
from services.cases.folding import Kept, KnownUpload, Part, SnapshotUnreadable
from services.cases.outbox import Entry
from services.cases.state import Case
from services.runtime.blobs import Blobs, claim

LIST = "snapshots/00/cases"
FOLDER = "snapshots"
KEPT = 3  # the newest
MEDIA_TYPE = "application/gzip"
COMPRESSION = 3  # a tenth of the time of the best

logger = get_logger()


class Listed(Frozen):
    taken_at: AwareDatetime
    reflects: dict[int, int]
    cases: int
    blobs: tuple[Blob, ...]


class SnapshotList(Frozen):
    newest_first: tuple[Listed, ...] = ()


@dataclass(frozen=True)
class BlobSnapshot:
    """Raises Away, BlobMissing, BlobDamaged, SnapshotUnreadable."""

    blobs: Blobs
    listed: Listed

    @property
    def reflects(self) -> Mapping[int, int]:
        return self.listed.reflects

    async def parts(self) -> AsyncIterator[Part]:
        for blob in self.listed.blobs:
            content = await self.blobs.get(blob)
            try:
                part = await asyncio.to_thread(_unpacked, content)
            except (ValueError, OSError) as error:  # what JSON, a model and gzip say of what they do not know; the bytes are those that were written
                raise SnapshotUnreadable(blob.dataref) from error
            yield part


class BlobSnapshots:
    """Raises Away."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def _list(self) -> SnapshotList:
        written = await self._blobs.noted(LIST)
        if written is None:
            return SnapshotList()
        try:
            return SnapshotList.model_validate_json(written)
        except ValueError:
            logger.critical("the list of snapshots is damaged: it is begun anew", name=LIST)
            return SnapshotList()

    async def newest_first(self) -> Sequence[BlobSnapshot]:
        return [BlobSnapshot(self._blobs, listed) for listed in (await self._list()).newest_first]

    async def take(self, parts: AsyncIterator[Part], reflects: Mapping[int, int], at: datetime) -> int:
        """Write a snapshot, and forget the oldest; return how many cases it holds."""
        blobs, count = list[Blob](), 0
        async for part in parts:
            content = await asyncio.to_thread(_packed, part)
            blob = claim(FOLDER, content, MEDIA_TYPE)
            await self._blobs.put(blob, content)
            blobs.append(blob)
            count += len(part.cases)
        before = (await self._list()).newest_first
        newest = (Listed(taken_at=at, reflects=dict(reflects), cases=count, blobs=tuple(blobs)), *before)
        await self._blobs.rewrite(LIST, SnapshotList(newest_first=newest[:KEPT]).model_dump_json().encode())
        still = {blob.dataref for listed in newest[:KEPT] for blob in listed.blobs}
        for blob in (blob for listed in newest[KEPT:] for blob in listed.blobs if blob.dataref not in still):
            await self._blobs.remove(blob)
        return count


def _packed(part: Part) -> bytes:
    cases = [[each.state.model_dump_json(), dict(each.inbox), [entry.raw.decode() for entry in each.outbox]] for each in part.cases]
    uploads = [[each.bucket, each.upload_id, each.case_id, each.until_ms] for each in part.uploads]
    lines = (json.dumps(each, separators=(",", ":")) for each in [*cases, *uploads])
    return gzip.compress("\n".join(lines).encode(), COMPRESSION, mtime=0)


def _unpacked(content: bytes) -> Part:
    """Raises ValueError, OSError."""
    cases, uploads = list[Kept](), list[KnownUpload]()
    for line in gzip.decompress(content).decode().split("\n"):
        match json.loads(line or "[]"):
            case [str(state), {**inbox}, [*outbox]]:
                case = Case.model_validate_json(state)
                cases.append(
                    Kept(case, {str(message): str(at) for message, at in inbox.items()}, tuple(Entry(case.case_id, raw.encode()) for raw in outbox))
                )
            case [int(bucket), str(upload_id), str(case_id), int(until_ms)]:
                uploads.append(KnownUpload(bucket, upload_id, case_id, until_ms))
            case []:
                continue
            case _:
                raise ValueError("a line that is neither a case nor an upload")
    return Part(tuple(cases), tuple(uploads))
