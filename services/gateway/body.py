"""The body of an upload: counted while it comes, kept in memory, never on a disk that is not the blob store's."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from services.gateway import refusals
from services.runtime.archive import MAX_FILES, MAX_NAME_CHARACTERS, MAX_TOTAL_BYTES, UploadedFile

WHOLE_WITHIN_S = 180.0  # a 12-lead of 300 KB over 2 KB/s: the worst line that can still help
MAX_FIELDS = 64
FORM = "multipart/form-data"


@dataclass(frozen=True)
class Body:
    files: tuple[UploadedFile, ...]
    fields: tuple[tuple[str, str], ...] = ()


class _FormInMemory(MultiPartParser):
    spool_max_size = MAX_TOTAL_BYTES  # a file may hold a name: it must not lie in a temporary folder


def declared_bytes(request: Request) -> int:
    """Return how many bytes the body will have at most; Refusal where it says that they are too many."""
    declared = request.headers.get("content-length")
    if declared is None:
        return MAX_TOTAL_BYTES
    if not (declared.isascii() and declared.isdigit()):
        raise refusals.bad_length()
    if len(declared) > 12 or int(declared) > MAX_TOTAL_BYTES:
        raise refusals.too_large()
    return int(declared)


async def read_body(request: Request) -> Body:
    """Return the files, and the facts that a form holds. Raises Refusal."""
    try:
        async with asyncio.timeout(WHOLE_WITHIN_S):
            body = await _form(request) if request.headers.get("content-type", "").lower().startswith(FORM) else await _raw(request)
    except TimeoutError:
        raise refusals.too_slow(WHOLE_WITHIN_S) from None
    except ClientDisconnect:
        raise refusals.broken_off() from None
    if not any(file.content for file in body.files):
        raise refusals.no_bytes()
    return body


async def _counted(request: Request) -> AsyncGenerator[bytes, None]:
    total_bytes = 0
    async for chunk in request.stream():
        total_bytes += len(chunk)
        if total_bytes > MAX_TOTAL_BYTES:
            raise refusals.too_large()
        yield chunk


async def _raw(request: Request) -> Body:
    content = b"".join([chunk async for chunk in _counted(request)])
    return Body((UploadedFile("recording", content),))


async def _form(request: Request) -> Body:
    parser = _FormInMemory(request.headers, _counted(request), max_files=MAX_FILES + 1, max_fields=MAX_FIELDS)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise refusals.too_many_files() if error.message.startswith("Too many files") else refusals.not_a_form() from None
    try:
        items = form.multi_items()
        # Whatever part is a file is taken as one: a recording is not lost because a form called it `file`.
        uploaded = [part for _, part in items if isinstance(part, UploadFile) and (part.size or part.filename)]
        files = tuple([UploadedFile(_plain(part.filename, place), await part.read()) for place, part in enumerate(uploaded, 1)])
        return Body(files, tuple((name, part) for name, part in items if isinstance(part, str)))
    finally:
        await form.close()


def _plain(name: str | None, place: int) -> str:
    """Return a file's name without the folders that some carts send along; its end is kept, since that pairs the parts of a recording."""
    last = (name or "").replace("\\", "/").replace(":", "/").rsplit("/", 1)[-1]
    plain = "".join(each for each in last if each.isprintable())[-MAX_NAME_CHARACTERS:]
    return plain if plain.strip(". ") else f"recording-{place}"
