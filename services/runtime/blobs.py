"""The blob store: recordings lie here, by the SHA-256 of what they hold, and messages carry only the claim check.

Two adapters: a folder of this machine, fsynced, since the clinic gets its 202 only for what would survive a power cut; and object stores,
through obstore."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, NotFoundError
from obstore.exceptions import BaseError as ObjectStoreError
from obstore.store import ObjectStore, from_url

from contracts.vocabulary import Blob
from services.runtime.errors import Away, BlobDamaged, BlobMissing

MARK = ".greenchannel-blobs"  # where it is missing, the folder is not mounted: the blobs are away, not gone
ANSWERS_WITHIN_S = 15.0  # a store that says nothing is away


T = TypeVar("T")


class Blobs(Protocol):
    """Both raise Away; get raises BlobMissing and BlobDamaged."""

    async def put(self, blob: Blob, content: bytes) -> None:
        """Store the bytes that the blob claims, and return when they would survive a crash; the same again changes nothing."""
        ...

    async def get(self, blob: Blob) -> bytes: ...

    async def note(self, name: str, content: bytes) -> bytes:
        """Write a small note under a name for good, durably; return what is written there: another's, where that came first."""
        ...

    async def noted(self, name: str) -> bytes | None:
        """Return the note of that name; None where none was written."""
        ...

    async def rewrite(self, name: str, content: bytes) -> None:
        """Write a note under a name, durably, in place of what was there: a reader finds the one or the other, whole."""
        ...

    async def remove(self, blob: Blob) -> None:
        """Forget a blob that nobody will ask for any more; it need not be there."""
        ...

    async def ready(self) -> None:
        """Return where the store can be read and written; Away where not."""
        ...


def open_blobs(url: str) -> Blobs:
    """Return the store that a URL names; a folder is made where it is not there yet."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return FolderBlobs(Path(unquote(parts.path)))
    return ObjectBlobs(from_url(url))


def claim(folder: str, content: bytes, media_type: str) -> Blob:
    """Return the claim check of bytes: where they are to lie, and what tells that it is they."""
    digest = hashlib.sha256(content).hexdigest()
    return Blob(dataref=f"{folder}/{digest[:2]}/{digest}", sha256=digest, size_bytes=len(content), media_type=media_type)


def _checked(blob: Blob, content: bytes) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != blob.sha256:
        raise BlobDamaged(blob.dataref, found)
    return content


async def _in_time(work: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            return await work
    except TimeoutError as error:
        raise Away("blobs", f"no answer within {ANSWERS_WITHIN_S:g} s") from error


class FolderBlobs:
    def __init__(self, root: Path) -> None:
        """Use a folder that bears the mark; one that is not there yet is made. An empty one may be a disk that is not mounted: it stays so."""
        self._root = root
        self._laid_out = set[Path]()  # by this process: another may have died between mkdir and fsync
        if not root.exists():
            root.mkdir(mode=0o700, parents=True)
            (root / MARK).touch(mode=0o600)

    async def put(self, blob: Blob, content: bytes) -> None:
        await _in_time(asyncio.to_thread(self._put, blob, content))

    async def get(self, blob: Blob) -> bytes:
        return await _in_time(asyncio.to_thread(self._get, blob))

    async def note(self, name: str, content: bytes) -> bytes:
        return await _in_time(asyncio.to_thread(self._note, name, content))

    async def noted(self, name: str) -> bytes | None:
        return await _in_time(asyncio.to_thread(self._noted, name))

    async def rewrite(self, name: str, content: bytes) -> None:
        await _in_time(asyncio.to_thread(self._rewrite, name, content))

    async def remove(self, blob: Blob) -> None:
        await _in_time(asyncio.to_thread(self._remove, blob))

    async def ready(self) -> None:
        await _in_time(asyncio.to_thread(self._must_be_there))

    def _must_be_there(self) -> None:
        try:
            (self._root / MARK).stat()
        except FileNotFoundError:
            raise Away("blobs", f"the folder has no {MARK}: mount it, or make that file if it is to be a new store") from None
        except OSError as error:
            raise Away("blobs", error.strerror or type(error).__name__) from error

    def _put(self, blob: Blob, content: bytes) -> None:
        target = self._root / blob.dataref
        self._must_be_there()
        try:
            if target.exists() and target.stat().st_size == blob.size_bytes:
                _fsync_folder(target.parent)  # it is whole, since it came by a rename; who renamed it may have died before this
                return
            self._write(target, content).replace(target)
            _fsync_folder(target.parent)
        except OSError as error:
            raise Away("blobs", error.strerror or type(error).__name__) from error

    def _note(self, name: str, content: bytes) -> bytes:
        target = self._root / name
        self._must_be_there()
        try:
            if target.exists():
                _fsync_folder(target.parent)
                return target.read_bytes()
            unfinished = self._write(target, content)
            try:
                target.hardlink_to(unfinished)  # unlike a rename, it fails where another note is
            except FileExistsError:
                content = target.read_bytes()
            finally:
                unfinished.unlink()
            _fsync_folder(target.parent)
        except OSError as error:
            raise Away("blobs", error.strerror or type(error).__name__) from error
        return content

    def _noted(self, name: str) -> bytes | None:
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            self._must_be_there()
            return None
        except OSError as error:
            raise Away("blobs", error.strerror or type(error).__name__) from error

    def _rewrite(self, name: str, content: bytes) -> None:
        target = self._root / name
        self._must_be_there()
        try:
            self._write(target, content).replace(target)
            _fsync_folder(target.parent)
        except OSError as error:
            raise Away("blobs", error.strerror or type(error).__name__) from error

    def _remove(self, blob: Blob) -> None:
        self._must_be_there()
        try:
            (self._root / blob.dataref).unlink(missing_ok=True)
        except OSError as error:
            raise Away("blobs", error.strerror or type(error).__name__) from error

    def _write(self, target: Path, content: bytes) -> Path:
        """Write beside the target, to the disk, and return where; the caller gives it its name."""
        self._make_folder(target.parent)
        descriptor, unfinished = tempfile.mkstemp(dir=target.parent, prefix=".unfinished-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
        return Path(unfinished)

    def _make_folder(self, folder: Path) -> None:
        """Make it and its 255 sisters so that a power cut does not take them: their names lie in their parent, which is fsynced."""
        if folder.parent in self._laid_out and folder.exists():
            return
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        for number in range(256):
            (folder.parent / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
        _fsync_folder(folder.parent)
        _fsync_folder(self._root)
        self._laid_out.add(folder.parent)

    def _get(self, blob: Blob) -> bytes:
        try:
            return _checked(blob, (self._root / blob.dataref).read_bytes())
        except FileNotFoundError:
            self._must_be_there()
            raise BlobMissing(blob.dataref) from None
        except OSError as error:
            raise Away("blobs", error.strerror or type(error).__name__) from error


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ObjectBlobs:
    """S3, GCS or Azure: durable when they say so."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, blob: Blob, content: bytes) -> None:
        try:
            await _in_time(obstore.put_async(self._store, blob.dataref, content))
        except (ObjectStoreError, OSError) as error:
            raise Away("blobs", type(error).__name__) from error

    async def get(self, blob: Blob) -> bytes:
        try:
            return _checked(blob, await _in_time(self._bytes(blob.dataref)))
        except (NotFoundError, FileNotFoundError):
            raise BlobMissing(blob.dataref) from None
        except (ObjectStoreError, OSError) as error:
            raise Away("blobs", type(error).__name__) from error

    async def note(self, name: str, content: bytes) -> bytes:
        try:
            await _in_time(obstore.put_async(self._store, name, content, mode="create"))
        except AlreadyExistsError:
            there = await self.noted(name)
            if there is None:
                raise Away("blobs", "a note is there and cannot be read yet") from None
            return there
        except (ObjectStoreError, OSError) as error:
            raise Away("blobs", type(error).__name__) from error
        return content

    async def noted(self, name: str) -> bytes | None:
        try:
            return await _in_time(self._bytes(name))
        except (NotFoundError, FileNotFoundError):
            return None
        except (ObjectStoreError, OSError) as error:
            raise Away("blobs", type(error).__name__) from error

    async def rewrite(self, name: str, content: bytes) -> None:
        try:
            await _in_time(obstore.put_async(self._store, name, content))
        except (ObjectStoreError, OSError) as error:
            raise Away("blobs", type(error).__name__) from error

    async def remove(self, blob: Blob) -> None:
        try:
            await _in_time(obstore.delete_async(self._store, blob.dataref))
        except (NotFoundError, FileNotFoundError):
            return
        except (ObjectStoreError, OSError) as error:
            raise Away("blobs", type(error).__name__) from error

    async def ready(self) -> None:
        try:
            await _in_time(obstore.list_with_delimiter_async(self._store))
        except (ObjectStoreError, OSError) as error:
            raise Away("blobs", type(error).__name__) from error

    async def _bytes(self, name: str) -> bytes:
        answer = await obstore.get_async(self._store, name)
        return bytes(await answer.bytes_async())
