"""`python -m tests.bench.one_core ROUNDS`: what reading takes of a process of one thread, a JSON line a figure."""

import os
import resource
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import neurokit2
import numpy as np
from ecgdatakit.parsing.parser import Parser
from ecgdatakit.parsing.parsers.dicom_waveform import DICOMWaveformParser
from ecgdatakit.parsing.parsers.edf import EDFParser
from ecgdatakit.parsing.parsers.ge_muse_xml import GEMuseXMLParser
from ecgdatakit.parsing.parsers.hl7_aecg import HL7aECGParser
from ecgdatakit.parsing.parsers.ishne_holter import ISHNEHolterParser
from ecgdatakit.parsing.parsers.mfer import MFERParser
from ecgdatakit.parsing.parsers.mortara_el250 import MortaraEL250Parser
from ecgdatakit.parsing.parsers.scp_ecg import SCPECGParser
from ecgdatakit.parsing.parsers.sierra_xml import SierraXMLParser
from ecgdatakit.parsing.parsers.wfdb import WFDBParser

from services.runtime.archive import UploadedFile
from services.triage.decode import decode
from services.triage.reading import read_recording
from services.triage.recording import Recording
from tests.bench.figures import Figure, Lost, as_line
from tests.conftest import RECORDINGS
from tests.unit.triage.cart_files import edf, ishne, mfer, mortara

PART = "reading"
NEUROKIT_ROUNDS = 5  # seconds each
AIM_MS, AIM_SHARE = 8.0, 100 / 50
AIM_DECODE_MS, AIM_DECODE_MB, AIM_BY_THE_LIBRARY = 100.0, 100.0, 1.2
TWELVE_LEADS = ("ludb/56.hea", "ludb/58.hea", "challenge/A0002.hea", "ptb/s0010_re.hea")  # 10 s of each at 500 Hz
FILES: dict[str, tuple[type[Parser], str]] = {
    "SCP-ECG": (SCPECGParser, "vendor/one-recording/Example.scp"),
    "DICOM": (DICOMWaveformParser, "vendor/one-recording/Example.dcm"),
    "DICOM, with statements": (DICOMWaveformParser, "vendor/dicom/anonymous_ecg.dcm"),
    "HL7 aECG": (HL7aECGParser, "vendor/one-recording/Example.xml"),
    "GE MUSE": (GEMuseXMLParser, "vendor/muse/guangxi_teaching_sinus_rhythm.xml"),
    "Philips 1.03": (SierraXMLParser, "vendor/philips-1.03/129DYNRG.XML"),
    "Philips 1.04": (SierraXMLParser, "vendor/philips-1.04/3191723_ZZDEMOPTONLY_1-04_orig.xml"),
    "WFDB": (WFDBParser, "ludb/56.hea"),
}
WRITTEN: dict[str, tuple[type[Parser], Callable[[Recording], bytes]]] = {
    "ISHNE": (ISHNEHolterParser, ishne),
    "MFER": (MFERParser, mfer),
    "Mortara": (MortaraEL250Parser, mortara),
    "EDF": (EDFParser, edf),
}
Run = Callable[[], object]


def _assessing(rounds: int) -> Iterator[Figure]:
    recordings = [_ten_seconds(decode(_uploaded(path))) for path in TWELVE_LEADS]
    ours: list[float] = []
    theirs: list[float] = []
    for turn in range(rounds):
        ours.append(_ms(lambda: [read_recording(each, age_y=60, sex=None) for each in recordings]) / len(recordings))
        if turn < NEUROKIT_ROUNDS:
            theirs.append(_ms(lambda turn=turn: neurokit_pipeline(recordings[turn % len(recordings)])))
    note = f"{len(recordings)} recordings of 12 leads, 10 s, 500 Hz; of one core"
    yield Figure(PART, "samples -> assessment, median", statistics.median(ours), "ms", aim=AIM_MS, note=note)
    yield Figure(PART, "samples -> assessment, quietest", min(ours), "ms", aim=AIM_MS)
    yield Figure(PART, "a neurokit2 pipeline, median", statistics.median(theirs), "ms", note="clean, R peaks, waves by dwt and ST, lead by lead")
    share = 100 * statistics.median(ours) / statistics.median(theirs)
    yield Figure(PART, "ours, of the neurokit2 pipeline's time", share, "%", aim=AIM_SHARE, note=f"{100 / share:.0f} times as fast; medians")


def neurokit_pipeline(recording: Recording) -> list[float]:
    """Return ST at J of each lead in mV against the level at QRS onset, the median over its beats, as neurokit2 finds their bounds."""
    fs_hz = round(recording.fs_hz)
    cleaned = [neurokit2.ecg_clean(lead.astype(np.float64), sampling_rate=fs_hz) for lead in recording.samples_mv]
    _, peaks = neurokit2.ecg_peaks(cleaned[recording.leads.index("II")], sampling_rate=fs_hz)
    st_mv = []
    for lead in cleaned:
        _, found = neurokit2.ecg_delineate(lead, peaks["ECG_R_Peaks"], sampling_rate=fs_hz, method="dwt")
        bounds = np.array([found["ECG_R_Onsets"], found["ECG_R_Offsets"]], dtype=np.float64)
        onset, j = bounds[:, np.isfinite(bounds).all(axis=0)].astype(np.int64)
        st_mv.append(float(np.median(lead[j] - lead[onset])) if j.size else float("nan"))
    return st_mv


def _decoding(rounds: int, folder: Path) -> Iterator[Figure]:
    original = decode(_uploaded("ludb/56.hea"))
    cases = {name: (parser, RECORDINGS / path, _uploaded(path)) for name, (parser, path) in FILES.items()}
    for name, (parser, written) in WRITTEN.items():
        (folder / name).write_bytes(written(original))
        cases[name] = (parser, folder / name, [UploadedFile(name, (folder / name).read_bytes())])
    memory_mb = {name: _peak_mb(lambda files=files: decode(files)) for name, (_, _, files) in cases.items()}  # before anything else has made room
    most = max(memory_mb, key=memory_mb.__getitem__)
    yield Figure(PART, "decode, the most memory of any format", memory_mb[most], "MB", aim=AIM_DECODE_MB, note=most)
    for name, (parser, path, files) in cases.items():
        ours, bare, theirs = _turn_about(
            rounds,
            lambda files=files: decode(files),
            lambda parser=parser, path=path: parser().parse(path),
            lambda parser=parser, path=path: parser().parse(path).to_physical().convert_units("mV"),
        )
        took = f"quietest {min(ours):.2f} ms; the library alone {min(theirs):.2f} ms, {min(bare):.2f} ms without the step to mV"
        yield Figure(PART, f"decode {name}", statistics.median(ours), "ms", aim=AIM_DECODE_MS, note=took)
        ratio = min(ours) / min(theirs)
        note = f"quietest; medians {statistics.median(ours) / statistics.median(theirs):.2f}, {min(ours) / min(bare):.2f} without the step to mV"
        yield Figure(PART, f"decode {name}, by the library's", ratio, "x", aim=AIM_BY_THE_LIBRARY, note=note)


def _turn_about(rounds: int, *runs: Run) -> list[list[float]]:
    """Return the times of each in ms: all share what the machine does meanwhile."""
    taken: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for times, run in zip(taken, runs, strict=True):
            times.append(_ms(run))
    return taken


def _ms(run: Run) -> float:
    before_s = time.process_time()
    run()
    return (time.process_time() - before_s) * 1000


def _peak_mb(run: Run) -> float:
    """Return by how much a process that does this alone grows, as the kernel counts it."""
    hear, tell = os.pipe()
    child = os.fork()
    if not child:
        resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
        run()
        os.write(tell, str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - resident).encode())
        os._exit(0)
    os.close(tell)
    with os.fdopen(hear) as line:
        grown = int(line.read())
    os.waitpid(child, 0)
    return grown / 1e6


def _ten_seconds(recording: Recording) -> Recording:
    """Return its first 10 s of twelve leads at 500 Hz: of 1000 Hz every second sample."""
    step = round(recording.fs_hz / 500)
    return Recording(recording.leads[:12], recording.samples_mv[:12, : 5000 * step : step].copy(), 500.0, None, None, (), recording.format)


def _uploaded(path: str) -> list[UploadedFile]:
    first = RECORDINGS / path
    parts = [part for part in sorted(first.parent.glob(f"{first.stem}.*")) if part.suffix in (".hea", ".dat", ".mat", ".xyz")]
    return [UploadedFile(part.name, part.read_bytes()) for part in (parts if first.suffix == ".hea" else [first])]


def _measure(rounds: int) -> Iterator[Figure]:
    if not (RECORDINGS / "MANIFEST.tsv").exists():
        raise Lost("the recordings are not beside this folder, at ../shared/ecg")
    with tempfile.TemporaryDirectory(prefix="greenchannel-bench-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from _decoding(rounds, Path(folder))
        yield from _assessing(rounds)


if __name__ == "__main__":
    for measured in _measure(int(sys.argv[1])):
        print(as_line(measured), flush=True)
