"""One blob for one upload: the files that a clinic sent, packed so that the same files always give the same bytes."""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

from services.runtime.errors import GreenchannelError

MAX_FILES = 32
MAX_TOTAL_BYTES = 32 * 1024 * 1024
MAX_NAME_CHARACTERS = 120
SINGLE_FILE = "application/octet-stream"
SEVERAL_FILES = "application/vnd.greenchannel.files+zip"

_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that ZIP knows: a real time would make the same files different bytes
_STORED_MEMBER = 0o600 << 16


@dataclass(frozen=True)
class UploadedFile:
    """A file as it was sent. Its name says nothing about what it holds; it only pairs the parts of one recording."""

    name: str
    content: bytes


class BadArchive(GreenchannelError):
    """Files that cannot be packed into, or unpacked from, one blob. `reason` is fit to be shown: it holds no file name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


def pack(files: Sequence[UploadedFile]) -> tuple[bytes, str]:
    """Return the blob and its media type: one file's own bytes, or several in a container without compression, in the order of their names.

    Raises BadArchive where there is no file, too many, two of one name, a name that is a path, or too many bytes."""
    _check([file.name for file in files], sum(len(file.content) for file in files))
    if len(files) == 1:
        return files[0].content, SINGLE_FILE
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as container:
        for file in sorted(files, key=lambda file: file.name):
            member = zipfile.ZipInfo(file.name, date_time=_NO_TIME)
            member.create_system = 3  # else the packing machine's own system would be in the bytes
            member.external_attr = _STORED_MEMBER
            container.writestr(member, file.content)
    return out.getvalue(), SEVERAL_FILES


def unpack(content: bytes, media_type: str) -> tuple[UploadedFile, ...]:
    """Return the files of a blob that `pack` made; a single file comes back without its name, which was not kept.

    Raises BadArchive for anything that `pack` would not have made. Nothing is ever decompressed, so nothing can explode."""
    if media_type == SINGLE_FILE:
        _check(["recording"], len(content))
        return (UploadedFile("recording", content),)
    if media_type != SEVERAL_FILES:
        raise BadArchive("The blob's media type is not one of an upload.")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as container:
            members = container.infolist()
            _check([member.filename for member in members], sum(member.file_size for member in members))
            if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 for member in members):
                raise BadArchive("The container is compressed or encrypted; an upload's is neither.")
            return tuple(UploadedFile(member.filename, container.read(member)) for member in members)
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadArchive("The container is damaged.") from error


def _check(names: Sequence[str], total_bytes: int) -> None:
    if not names:
        raise BadArchive("No file was sent. Send the recording's file.")
    if len(names) > MAX_FILES:
        raise BadArchive(f"More than {MAX_FILES} files were sent. Send one recording at a time.")
    if total_bytes > MAX_TOTAL_BYTES:
        raise BadArchive("The files are larger than 32 MiB together. Send one 12-lead recording of 10 s.")
    if len(set(names)) != len(names):
        raise BadArchive("Two files have the same name. Send each file once.")
    if not all(_is_plain(name) for name in names):
        raise BadArchive("A file's name is empty, too long, or a path. Send the files with plain names.")


def _is_plain(name: str) -> bool:
    return 0 < len(name) <= MAX_NAME_CHARACTERS and name not in (".", "..") and name.isprintable() and not set(name) & set("/\\:")
