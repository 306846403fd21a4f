"""Small disks that the run mounts, fills up and frees again; none where this process may not mount."""

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ENOSPC
from pathlib import Path

FILLER = "filler"
PIECE_BYTES = 8 * 1024 * 1024
LAST_PIECE_BYTES = 4096
_LIBC = ctypes.CDLL(None, use_errno=True)
_DETACH = 2  # MNT_DETACH: a process that is still about must not keep it


class SmallDisk:
    """A tmpfs on a folder."""

    def __init__(self, folder: Path, size_mib: int) -> None:
        """Mount it. PermissionError where this process may not."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if _LIBC.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, f"size={size_mib}m,mode=0700".encode()) != 0:
            raise PermissionError(ctypes.get_errno(), "this process may not mount a tmpfs")

    @contextmanager
    def full(self) -> Iterator[None]:
        """Not a byte is left, until the end."""
        filler = self.folder / FILLER
        try:
            _fill(filler)
            yield
        finally:
            filler.unlink(missing_ok=True)  # of two at once the first frees it

    def give_back(self, *, keep: bool) -> None:
        """Unmount it; with keep, what lay on it lies in the folder then."""
        aside = self.folder.with_name(f"{self.folder.name}.kept")
        if keep:
            shutil.copytree(self.folder, aside, symlinks=True, dirs_exist_ok=True)
        _LIBC.umount2(str(self.folder).encode(), _DETACH)
        if keep:
            shutil.copytree(aside, self.folder, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(aside)


def _fill(path: Path) -> None:
    descriptor, size = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), 0
    try:
        for piece in (PIECE_BYTES, LAST_PIECE_BYTES):
            with suppress(_Full):
                while True:
                    size = _grown(descriptor, size, piece)
    finally:
        os.close(descriptor)


class _Full(Exception):
    """There is no more room. args: none."""


def _grown(descriptor: int, size: int, piece: int) -> int:
    try:
        os.posix_fallocate(descriptor, size, piece)
    except OSError as error:
        if error.errno == ENOSPC:
            raise _Full from None
        raise
    return size + piece
