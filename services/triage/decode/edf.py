"""EDF and EDF+ (Kemp 1992 and 2003), in which converters hand on what a cart recorded.

Tried on files that the tests write after the specification, and once on files that edfio wrote; untried, for want of them, on files from carts. The
texts of the file, its annotations too, are dropped: any may name somebody. Refused: a file shorter than its header says, gaps between its records,
signals without a voltage, and BDF."""

import numpy as np
from ecgdatakit.models import ECGRecord
from ecgdatakit.parsing.parsers.edf import EDFParser

from services.triage.decode.leads import canonical
from services.triage.decode.library import DAMAGED, SEVERAL_PIECES, TOO_LARGE, kept_in, parse, refuse_too_large
from services.triage.decode.recorded import recording_of
from services.triage.recording import Recording, Undecodable

_DISCONTINUOUS, _ANNOTATIONS = b"EDF+D", b"EDF Annotations"
_HEADER_BYTES, _BEFORE_COUNTS = 256, 216  # of the file, then of each signal; of which so many stand before its samples a record
_MOST_SIGNALS, _MOST_RECORDS, _MOST_ANNOTATION_BYTES = 64, 10_000, 200_000


def is_edf(content: bytes) -> bool:
    return EDFParser.can_parse(None, content[:_HEADER_BYTES])  # type: ignore[arg-type]  # it looks at the bytes alone


def decode_edf(content: bytes) -> Recording:
    """Raises Undecodable where the leads, their rate or their scale cannot be had."""
    refuse_too_large(len(content))
    with kept_in():
        rates_hz = _rates_hz(content)
    record = parse(EDFParser, content)
    _refuse_gaps(record)
    return recording_of(record, "EDF", fs_hz=rates_hz.pop() if len(rates_hz) == 1 else None)


def _rates_hz(content: bytes) -> set[float]:
    """Return the rates of the leads before the library rounds them. Raises Undecodable where the header promises more than the file holds."""
    records, record_s, signals = int(content[236:244]), float(content[244:252]), int(content[252:256])
    if content.startswith(_DISCONTINUOUS, 192):
        raise Undecodable("several_segments", SEVERAL_PIECES)
    if signals > _MOST_SIGNALS or records > _MOST_RECORDS:
        raise Undecodable("too_large", TOO_LARGE)
    labels = [content[at : at + 16] for at in range(_HEADER_BYTES, _HEADER_BYTES + 16 * signals, 16)]
    start = _HEADER_BYTES + _BEFORE_COUNTS * signals
    counts = [int(content[at : at + 8]) for at in range(start, start + 8 * signals, 8)]
    if records < 1 or min(counts) < 1 or len(content) < _HEADER_BYTES * (signals + 1) + 2 * records * sum(counts):
        raise Undecodable("undecodable", DAMAGED, "length")
    if 2 * records * sum(count for label, count in zip(labels, counts, strict=True) if label.startswith(_ANNOTATIONS)) > _MOST_ANNOTATION_BYTES:
        raise Undecodable("too_large", TOO_LARGE)
    return {round(count / record_s, 4) for label, count in zip(labels, counts, strict=True) if canonical(label.decode("latin-1"))}


def _refuse_gaps(record: ECGRecord) -> None:
    """Raise where the records do not follow each other, although the file says that they do: the library joins them."""
    begins_s = np.asarray(record.raw_metadata.get("record_onsets", ()))
    if not np.allclose(np.diff(begins_s), record.raw_metadata["record_duration"], atol=1e-3):
        raise Undecodable("several_segments", SEVERAL_PIECES)
