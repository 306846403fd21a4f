"""WFDB: a header and its signal files, matched by name among what was sent. The header is written anew, so nothing in it reaches a path."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ecgdatakit.models import ECGRecord
from ecgdatakit.parsing.parsers.wfdb import WFDBParser

from services.runtime.archive import UploadedFile
from services.triage.anonymise import without_identity
from services.triage.decode.leads import canonical
from services.triage.decode.library import DAMAGED, parse_path, private_folder, refuse_too_large
from services.triage.decode.recorded import recording_of
from services.triage.recording import Recording, Undecodable

_RECORD_LINE = re.compile(rb"[\w.\-/]{1,80}[ \t]+\d{1,3}[ \t]+\d")
_MAX_HEADER_BYTES = 262_144
_RATE = re.compile(r"\d+(?:\.\d+)?(?=[/(]|$)")
_FORMAT = re.compile(r"(\d{1,3})(?:x1)?(?::\d{1,6})?(?:\+\d{1,9})?")
_GAIN = re.compile(r"\d{1,9}(?:\.\d{0,20})?(?:\(-?\d{1,9}\))?(?:/[a-zA-Zµμ]{1,3})?")
_COMMENT = re.compile(r"<?([A-Za-z_ ]{2,24})>?:\s*(.*)")
_INVALID = {"16": -32768, "61": -32768, "160": -32768, "24": -(2**23), "32": -(2**31), "80": -128, "212": -2048, "310": -512, "311": -512}
_MAX_LEADS, _MAX_SAMPLES = 64, 20_000_000
_PERSON_KEY = re.compile(r"name|patient|physician|doctor|cardiologist|technician|operator|(?:^|[ _])id$")
_MIT_AGE_SEX = re.compile(r"(\d{1,3})\s+([MF])\b")

_BAD_HEADER = "The .hea file cannot be read. Export the recording again, and send the .hea with all its signal files."
_NO_SIGNAL_FILE = "The .hea file names a signal file that was not sent. Send the .hea and all its signal files together, unrenamed."


@dataclass(frozen=True)
class _Header:
    lines: tuple[str, ...]  # to be written for the library: no name, date, comment or path of the original in it
    contents: dict[str, bytes]
    formats: tuple[str, ...]
    checksums: tuple[int, ...]  # sums of the samples, modulo 65,536; 0 where the header gives none
    fs_hz: float
    comments: tuple[str, ...]


def is_wfdb_header(content: bytes) -> bool:
    if len(content) > _MAX_HEADER_BYTES:
        return False
    lines = (line.strip() for line in content[:4096].splitlines())
    first = next((line for line in lines if line and not line.startswith(b"#")), b"")
    return _RECORD_LINE.match(first) is not None


def decode_wfdb(header: UploadedFile, files: Sequence[UploadedFile]) -> Recording:
    """Decode the record that `header` describes, from the files sent with it. Raises Undecodable."""
    rewritten = _rewrite(header.content, {file.name: file.content for file in files if file is not header})
    refuse_too_large(sum(map(len, rewritten.contents.values())))
    with private_folder() as folder:
        for name, content in rewritten.contents.items():
            (folder / name).write_bytes(content)
        path = folder / "r.hea"
        path.write_text("\n".join(rewritten.lines) + "\n", encoding="utf-8")
        record = parse_path(WFDBParser, path)
    if record.raw_metadata["checksum_valid"] is False:
        _refuse_damaged(record, rewritten.checksums)
    _blank_invalid(record, rewritten.formats)
    facts, diagnoses, people = _comments(rewritten.comments)
    record.patient.age = _whole_years(facts.get("age", ""))
    record.patient.sex = facts.get("sex", facts.get("gender", ""))
    return recording_of(record, "WFDB", fs_hz=rewritten.fs_hz, statements=without_identity(diagnoses, people))


def _rewrite(content: bytes, sent: dict[str, bytes]) -> _Header:
    text = content.decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    body = [line.split() for line in lines if not line.startswith("#")]
    record, signals = body[0], body[1:]
    if "/" in record[0]:
        raise Undecodable("several_segments", "The recording is in several segments. Send the resting 12-lead recording alone.")
    rate = _RATE.match(record[2]) if len(record) > 2 else None
    samples = record[3] if len(record) > 3 else "0"
    if rate is None or not record[1].isdigit() or not samples.isdigit() or not 0 < int(record[1]) <= min(_MAX_LEADS, len(signals)):
        raise Undecodable("bad_header", _BAD_HEADER)
    if int(samples) > _MAX_SAMPLES:
        raise Undecodable("bad_header", _BAD_HEADER)
    count = int(record[1])
    file_names = {tokens[0]: f"s{index}.dat" for index, tokens in enumerate(signals[:count])}
    if not file_names.keys() <= sent.keys():
        raise Undecodable("signal_file_missing", _NO_SIGNAL_FILE)
    return _Header(
        lines=(f"r {count} {rate[0]} {samples}", *(_signal_line(tokens, file_names, index) for index, tokens in enumerate(signals[:count]))),
        contents={ours: sent[theirs] for theirs, ours in file_names.items()},
        formats=tuple(_FORMAT.fullmatch(tokens[1])[1] for tokens in signals[:count]),  # type: ignore[index]  # _signal_line has matched it
        checksums=tuple(int(tokens[6]) if len(tokens) > 6 else 0 for tokens in signals[:count]),
        fs_hz=float(rate[0]),
        comments=tuple(line.lstrip("#").strip() for line in lines if line.startswith("#")),
    )


def _signal_line(tokens: list[str], file_names: dict[str, str], index: int) -> str:
    if len(tokens) < 3:
        raise Undecodable("no_scale", "The .hea file does not say how many millivolts a step is. Export the recording in another format.")
    form, numbers, label = _FORMAT.fullmatch(tokens[1]), tokens[3:8], " ".join(tokens[8:])
    if form is None or form[1] not in _INVALID or not _GAIN.fullmatch(tokens[2]) or not all(re.fullmatch(r"-?\d{1,12}", n) for n in numbers):
        raise Undecodable("bad_header", _BAD_HEADER)
    gain = tokens[2] if "/" in tokens[2] else f"{tokens[2]}/mV"  # the WFDB specification's own default
    padded = numbers + ["0"] * (5 - len(numbers))
    return " ".join([file_names[tokens[0]], tokens[1], gain, *padded, canonical(label) or f"x{index}"])


def _refuse_damaged(record: ECGRecord, checksums: tuple[int, ...]) -> None:
    """Raise Undecodable where a signal has not the checksum that the header states."""
    for lead, stated in zip(record.leads, checksums, strict=True):
        if stated and not np.isnan(lead.samples).any() and (int(lead.samples.sum()) - stated) % 65_536:
            raise Undecodable("undecodable", DAMAGED, "checksum")


def _blank_invalid(record: ECGRecord, formats: tuple[str, ...]) -> None:
    """Make NaN of the value by which each storage format says "no sample"."""
    for lead, form in zip(record.leads, formats, strict=True):
        lead.samples = np.where(lead.samples == _INVALID[form], np.nan, lead.samples)


def _comments(comments: tuple[str, ...]) -> tuple[dict[str, str], list[str], list[str]]:
    """Return the facts by their lower-case keys, the lines of diagnosis, and who is named; LUDB lists diagnoses one a line after `<diagnoses>:`."""
    facts: dict[str, str] = {}
    diagnoses: list[str] = []
    people: list[str] = []
    listing = False
    for comment in comments:
        matched = _COMMENT.fullmatch(comment)
        key = matched[1].strip().lower() if matched else ""
        if matched and _PERSON_KEY.search(key):
            people.append(matched[2])
        elif matched and key in ("dx", "diagnosis", "diagnoses", "scp"):
            listing = key != "scp" and not matched[2]
            diagnoses += [matched[2]] if matched[2] else []
        elif listing:
            diagnoses.append(comment)
        elif matched:
            facts.setdefault(key, matched[2])
        elif mit := _MIT_AGE_SEX.match(comment):
            facts.setdefault("age", mit[1])
            facts.setdefault("sex", mit[2])
    return facts, diagnoses, people


def _whole_years(text: str) -> int | None:
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None
