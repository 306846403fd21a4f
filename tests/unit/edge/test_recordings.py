"""Which files make a recording."""

from pathlib import Path

import pytest

from services.edge.recordings import NotARecording, Recording, recording_of, recordings_of


def test_a_header_brings_its_signal_files_from_its_own_folder(recordings: Path) -> None:
    header, signals = recordings / "ludb/1.hea", recordings / "ludb/1.dat"
    vendor = recordings / "vendor/philips-1.03/129DYNRG.XML"
    assert recordings_of([header, vendor, signals, header]) == [Recording(header, (header, signals)), Recording(vendor, (vendor,))]


def test_signal_files_of_a_header_are_each_taken_once_and_none_for_a_signal_without_one(tmp_path: Path) -> None:
    (tmp_path / "a.hea").write_text("# made by a cart\na 4 500 5000\nb.dat 16 200\nb.dat 16 200\n~ 0 200\nc.xyz 16 200\nd.dat is not a signal\n")
    for name in ("b.dat", "c.xyz"):
        (tmp_path / name).write_bytes(b"\0\0")
    assert [path.name for path in recording_of(tmp_path / "a.hea").files] == ["a.hea", "b.dat", "c.xyz"]


@pytest.mark.parametrize(
    ("header", "wrong"),
    [
        ("a 1 500\nlost.dat 16\n", "a.hea: names the signal file lost.dat, which is not there; put it beside"),
        ("a 1 500\n../secret.dat 16\n", "not in its own folder"),
        ("a/3 1 500\n", "several segments"),
        ("<ecg/>", "not a WFDB header"),
        ("", "not a WFDB header"),
        ("a 40 500\n" + "".join(f"{n}.dat 16\n" for n in range(40)), "at most 32 files"),
    ],
)
def test_a_header_that_cannot_be_followed_says_why(tmp_path: Path, header: str, wrong: str) -> None:
    (tmp_path / "a.hea").write_text(header)
    for number in range(40):
        (tmp_path / f"{number}.dat").touch()
    with pytest.raises(NotARecording, match=wrong):
        recording_of(tmp_path / "a.hea")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotARecording, match=r"lost\.xml: is not there"):
        recording_of(tmp_path / "lost.xml")
    with pytest.raises(NotARecording, match="is a folder"):
        recording_of(tmp_path)
    with (tmp_path / "long").open("wb") as file:
        file.truncate(32 * 1024 * 1024 + 1)
    with pytest.raises(NotARecording, match="larger than 32 MiB"):
        recording_of(tmp_path / "long")


def test_what_is_no_recording_keeps_its_place_and_only_its_own_signal_files_from_being_sent(tmp_path: Path) -> None:
    (tmp_path / "a.hea").write_text("a 2 500\na.dat 16\nlost.dat 16\n")
    for name in ("a.dat", "a.xml"):
        (tmp_path / name).write_bytes(b"\0\0")
    found = recordings_of([tmp_path / name for name in ("a.dat", "mistyped.xml", "a.hea", "a.xml")])
    assert [(type(each), each.named.name) for each in found] == [
        (NotARecording, "mistyped.xml"),
        (NotARecording, "a.hea"),
        (Recording, "a.xml"),
    ]
