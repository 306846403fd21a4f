"""Blobs in a folder and in an object store: what was put is durable, whole, and found again, or its absence is said."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from contracts.vocabulary import Blob
from services.runtime.blobs import Blobs, FolderBlobs, ObjectBlobs, claim
from services.runtime.errors import Away, BlobDamaged, BlobMissing

PUT = """
import asyncio, pathlib, sys
from services.runtime.blobs import FolderBlobs, claim
asyncio.run(FolderBlobs(pathlib.Path(sys.argv[1])).put(claim("raw", b"x", "a/b"), b"x"))
"""


async def put(blobs: Blobs, content: bytes) -> Blob:
    blob = claim("raw", content, "application/octet-stream")
    await blobs.put(blob, content)
    return blob


@pytest.fixture(params=["folder", "objects"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return FolderBlobs(tmp_path / "blobs") if request.param == "folder" else ObjectBlobs(MemoryStore())


async def test_what_was_put_is_got_and_the_same_bytes_are_the_same_blob(blobs: Blobs):
    blob = await put(blobs, b"recording")
    assert (await blobs.get(blob), blob.size_bytes) == (b"recording", 9)
    assert await put(blobs, b"recording") == blob
    assert await blobs.get(blob) == b"recording"


async def test_a_blob_that_is_not_there_is_missing_and_not_away(blobs: Blobs):
    blob = await put(blobs, b"recording")
    with pytest.raises(BlobMissing):
        await blobs.get(blob.model_copy(update={"dataref": "raw/00/nothing"}))


async def test_the_first_note_of_a_name_stands(blobs: Blobs):
    assert await blobs.noted("uploads/aa/one") is None
    assert await blobs.note("uploads/aa/one", b"first") == b"first"
    assert await blobs.note("uploads/aa/one", b"second") == b"first"
    assert await blobs.noted("uploads/aa/one") == b"first"


async def test_a_note_that_is_rewritten_is_the_new_one(blobs: Blobs):
    for content in (b"one", b"another"):
        await blobs.rewrite("snapshots/00/list", content)
        assert await blobs.noted("snapshots/00/list") == content


async def test_a_blob_that_was_removed_is_missing_and_may_be_removed_again(blobs: Blobs):
    blob = claim("raw", b"bytes", "application/octet-stream")
    await blobs.put(blob, b"bytes")
    for _ in range(2):
        await blobs.remove(blob)
        with pytest.raises(BlobMissing):
            await blobs.get(blob)


async def test_a_changed_blob_is_damaged_and_never_read(tmp_path: Path):
    blobs = FolderBlobs(tmp_path / "blobs")
    blob = await put(blobs, b"recording")
    (tmp_path / "blobs" / blob.dataref).write_bytes(b"changed..")
    with pytest.raises(BlobDamaged):
        await blobs.get(blob)


async def test_a_folder_that_is_not_mounted_is_away_and_its_blobs_are_not_called_missing(tmp_path: Path):
    blobs = FolderBlobs(tmp_path / "blobs")
    blob = await put(blobs, b"recording")
    shutil.rmtree(tmp_path / "blobs")
    (tmp_path / "blobs").mkdir()  # the mount point, with nothing mounted
    for ask in (
        blobs.get(blob),
        put(blobs, b"another"),
        blobs.note("uploads/aa/one", b""),
        blobs.noted("uploads/aa/one"),
        blobs.ready(),
    ):
        with pytest.raises(Away):
            await ask


async def test_an_empty_folder_that_may_be_a_disk_not_mounted_is_not_made_a_store(tmp_path: Path):
    (tmp_path / "mount").mkdir()
    with pytest.raises(Away, match="mount it"):
        await put(FolderBlobs(tmp_path / "mount"), b"recording")


async def test_nothing_half_written_is_left_where_a_write_fails(tmp_path: Path):
    root = tmp_path / "blobs"
    blobs = FolderBlobs(root)
    (root / "raw").write_text("a file where the folder should be")
    with pytest.raises(Away):
        await put(blobs, b"recording")
    assert {path.name for path in root.iterdir()} == {"raw", ".greenchannel-blobs"}


@given(st.binary(max_size=300))
async def test_any_bytes_come_back_as_they_were(content: bytes):
    blobs = ObjectBlobs(MemoryStore())
    assert await blobs.get(await put(blobs, content)) == content


@pytest.mark.needs_package("strace", "strace")
def test_a_blob_and_its_folders_are_fsynced_before_put_returns(tmp_path: Path):
    """A rename alone survives no power cut: the file first, its name after, then the folders that hold the names."""
    trace = tmp_path / "trace"
    watched = ["strace", "-f", "-y", "-e", "trace=fsync,rename,renameat,renameat2", "-o", str(trace)]
    subprocess.run([*watched, sys.executable, "-c", PUT, str(tmp_path / "blobs")], check=True, timeout=60)
    calls = [line for line in trace.read_text().splitlines() if "fsync(" in line or "rename" in line]
    renamed = next(place for place, line in enumerate(calls) if "rename" in line and "blobs/raw" in line)
    file = next(place for place, line in enumerate(calls) if "fsync" in line and ".unfinished-" in line)
    after = [line for line in calls[renamed + 1 :] if "fsync" in line]
    folders = [line for line in calls[:renamed] if "fsync" in line and ".unfinished-" not in line]
    assert file < renamed
    assert any("/blobs/raw/" in line for line in after)
    assert len(folders) == 2  # each new folder's name, in its parent
