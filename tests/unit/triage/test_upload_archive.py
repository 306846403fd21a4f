"""The blob of an upload: the same files give the same bytes, and nothing that was not packed by us is opened."""

import io
import zipfile

import pytest

from services.runtime.archive import MAX_FILES, SEVERAL_FILES, SINGLE_FILE, BadArchive, UploadedFile, pack, unpack

HEADER, SIGNAL = UploadedFile("a.hea", b"a 1 500"), UploadedFile("a.dat", bytes(range(256)))


def container(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as writer:
        for name, content in members:
            writer.writestr(name, content)
    return out.getvalue()


def test_one_file_is_stored_as_it_is():
    blob, media_type = pack([SIGNAL])
    assert (blob, media_type) == (SIGNAL.content, SINGLE_FILE)
    (file,) = unpack(blob, media_type)
    assert file.content == SIGNAL.content


def test_several_files_come_back_in_the_order_of_their_names():
    blob, media_type = pack([HEADER, SIGNAL])
    assert media_type == SEVERAL_FILES
    assert unpack(blob, media_type) == (SIGNAL, HEADER)


def test_the_same_files_in_any_order_give_the_same_bytes():
    assert pack([HEADER, SIGNAL]) == pack([SIGNAL, HEADER])
    assert pack([HEADER, SIGNAL]) != pack([HEADER, UploadedFile("b.dat", SIGNAL.content)])


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "..\\b", "C:b", "a\nb", "a\x00b", "n" * 121])
def test_a_name_that_is_no_plain_name_is_refused(name):
    with pytest.raises(BadArchive, match="name"):
        pack([UploadedFile(name, b"x"), SIGNAL])
    if "\x00" not in name:  # which ZIP itself ends a name at
        with pytest.raises(BadArchive):
            unpack(container((name or "/", b"x")), SEVERAL_FILES)


def test_too_many_files_or_none_or_two_of_a_name_are_refused():
    for files in ([], [SIGNAL, SIGNAL], [UploadedFile(str(n), b"x") for n in range(MAX_FILES + 1)]):
        with pytest.raises(BadArchive):
            pack(files)


def test_more_than_the_limit_is_refused():
    half = bytes(17 * 1024 * 1024)
    with pytest.raises(BadArchive, match="32 MiB"):
        pack([UploadedFile("a", half), UploadedFile("b", half)])


def test_a_compressed_container_is_refused_and_not_unpacked():
    bomb = container(("a", bytes(20_000_000)), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(BadArchive, match="compressed"):
        unpack(bomb, SEVERAL_FILES)


def test_a_damaged_container_is_refused():
    blob, media_type = pack([HEADER, SIGNAL])
    flipped = blob[:60] + bytes([blob[60] ^ 1]) + blob[61:]
    for damaged in (blob[:-30], b"", b"PK", flipped):
        with pytest.raises(BadArchive):
            unpack(damaged, media_type)
    with pytest.raises(BadArchive):
        unpack(blob, "text/plain")
