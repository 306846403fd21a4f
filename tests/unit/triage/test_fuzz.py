"""Mutations of real files: flipped, cut, doubled, inserted, lengths set to extremes. Each decoder answers with a recording or with a reason.

`make test` tries the same few each time; GREENCHANNEL_FUZZ_S=600 goes on for so many seconds with new ones."""

import json
import os
import re
import resource
import signal
import struct
import time
import traceback
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.runtime.archive import UploadedFile
from services.triage.decode import decode
from services.triage.reading import warm_up
from services.triage.recording import KNOWN_LEADS, Undecodable
from tests.unit.triage.cart_files import edf, ishne, mfer, mortara, without_checksums

LONGER_S = float(os.environ.get("GREENCHANNEL_FUZZ_S", "0"))
EXAMPLES = 60
MOST_S = 2.0  # of one core
MOST_BYTES = 300 * 1024 * 1024

REAL = (
    "vendor/one-recording/Example.scp", "vendor/scp/test.scp", "vendor/one-recording/Example.dcm", "vendor/dicom/anonymous_ecg.dcm",
    "vendor/one-recording/Example.xml", "vendor/aecg/subject1_0.xml", "vendor/muse/guangxi_teaching_sinus_rhythm.xml",
    "vendor/philips-1.03/129DYNRG.XML", "vendor/philips-1.04/3191723_ZZDEMOPTONLY_1-04_orig.xml", "ludb/56.hea", "challenge/A0002.hea",
)  # fmt: skip
WRITTEN = {"ishne": ishne, "mfer": mfer, "mortara": mortara, "edf": edf}

EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
NUMBERS = (b"", b"-1", b"0", b"3", b"65536", b"99999999999", b"1e999", b"NaN", b"0.0000001", b"9" * 5000)
PIECES = (b"\xff" * 64, bytes(64), b"<a>", b"</", b"&x;", b'"', b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\x3f\xff\xff", b"\x67\x80", b"\n#", b"/", b" ")
DIGITS = re.compile(rb"\d+")

Step = Callable[[bytes], bytes]


def steps(size: int) -> st.SearchStrategy[list[Step]]:
    """Return mutations of a file of this size; most strike its first bytes, where the lengths are."""
    place = st.integers(0, min(size, 300)) | st.integers(0, min(size, 3000)) | st.integers(0, size)
    length = st.integers(1, 40) | st.integers(1, 20_000)

    def replaced(at: int, old: int, new: bytes) -> Step:
        return lambda content: content[:at] + new + content[at + old :]

    def doubled(at: int, count: int, to: int) -> Step:
        return lambda content: content[:to] + content[at : at + count] + content[to:]

    def number(at: int, value: int, form: str) -> Step:
        packed = struct.pack(form, value & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
        return replaced(at, len(packed), packed)

    def digits(at: int, text: bytes) -> Step:
        return lambda content: content[:at] + DIGITS.sub(text, content[at:], count=1)

    return st.lists(
        st.builds(replaced, place, st.just(1), st.binary(min_size=1, max_size=1))
        | st.builds(replaced, place, length, st.just(b""))
        | st.builds(replaced, place, st.just(0), st.binary(min_size=1, max_size=64) | st.sampled_from(PIECES))
        | st.builds(replaced, place, st.just(size), st.just(b""))
        | st.builds(doubled, place, length, place)
        | st.builds(number, place, st.sampled_from(EXTREMES), st.sampled_from(("<H", ">H", "<I", ">I")))
        | st.builds(digits, place, st.sampled_from(NUMBERS)),
        min_size=1,
        max_size=8,
    )


def told_of(files: Sequence[UploadedFile]) -> dict[str, str]:
    """Return {} for a recording or a refusal as they should be, or what is wrong with it."""
    try:
        recording = decode(files)
    except Undecodable as refused:
        fine = refused.code and refused.reason.endswith(".") and refused.cause != "MemoryError"
        return {} if fine else {"refusal": f"{refused.code}: {refused.reason} ({refused.cause})"}
    except BaseException:  # noqa: BLE001  this is what is looked for
        return {"raised": traceback.format_exc()}
    leads, length = recording.samples_mv.shape
    fine = (
        0 < leads == len(recording.leads)
        and set(recording.leads) <= set(KNOWN_LEADS)
        and length > 0
        and recording.samples_mv.dtype == np.float32
        and not np.isinf(recording.samples_mv).any()
        and 50 <= recording.fs_hz <= 20_000
    )
    return {} if fine else {"recording": f"{recording.leads} {recording.samples_mv.shape} {recording.fs_hz}"}


def in_a_process_of_its_own(files: Sequence[UploadedFile]) -> dict[str, str]:
    """Return what `told_of` says, or that the process took too much time or memory, by the kernel's own measure."""
    hear, tell = os.pipe()
    child = os.fork()
    if not child:
        told: dict[str, str] = {"died": "before it could say anything"}
        try:
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123  the least memory
                whole, resident = (int(pages) * resource.getpagesize() for pages in statm.read().split()[:2])
            resource.setrlimit(resource.RLIMIT_AS, (whole + MOST_BYTES, whole + MOST_BYTES))
            signal.setitimer(signal.ITIMER_PROF, MOST_S)
            told = told_of(files)
            taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - resident
            if taken > MOST_BYTES:
                told |= {"memory": f"{taken / 1e6:.0f} MB"}
        finally:
            os.write(tell, json.dumps(told).encode())
            os._exit(0)
    os.close(tell)
    with os.fdopen(hear, "rb") as line:
        said = line.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {"ended by": signal.Signals(os.WTERMSIG(status)).name}  # SIGPROF: it took too long
    return dict(json.loads(said))


@pytest.fixture(scope="module")
def files_of(uploaded) -> Callable[[str], list[UploadedFile]]:
    warm_up()

    def files(name: str) -> list[UploadedFile]:
        if name in WRITTEN:
            return [UploadedFile(name, WRITTEN[name](decode(uploaded("ludb/56.hea"))))]
        return [UploadedFile(file.name, without_checksums(file.content)) for file in uploaded(name)]

    return files


@pytest.mark.parametrize("name", [*REAL, *WRITTEN])
@pytest.mark.timeout(180 + LONGER_S)
def test_a_mutated_file_gives_a_recording_or_a_reason_in_two_seconds_and_300_mb(files_of, name):
    files = files_of(name)
    assert in_a_process_of_its_own(files) == {}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=not LONGER_S,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.tuples(*(st.just([]) | steps(len(file.content)) if len(files) > 1 else steps(len(file.content)) for file in files)))
    def mutated(steps_of_each: tuple[list[Step], ...]) -> None:
        changed = []
        for file, mutations in zip(files, steps_of_each, strict=True):
            content = file.content
            for mutation in mutations:
                content = mutation(content)
            changed.append(UploadedFile(file.name, content))
        assert in_a_process_of_its_own(changed) == {}

    until = time.monotonic() + LONGER_S / (len(REAL) + len(WRITTEN))
    mutated()
    while time.monotonic() < until:
        mutated()


def test_countless_pointers_to_one_large_section_of_an_scp_file_cost_no_time():
    warm_up()
    pointers = struct.pack("<HII", 7, 3_900_000, 7) * 390_000
    length = 26 + len(pointers)
    head = struct.pack("<HIHHIBB6sHII", 1, 6 + length, 1, 0, length, 20, 20, b"SCPECG", 0, length, 7)
    assert in_a_process_of_its_own([UploadedFile("a.scp", head + pointers)]) == {}
