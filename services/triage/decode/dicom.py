"""DICOM waveforms: what pads a gap is told from a sample that happens to have the same value."""

import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from ecgdatakit.models import ECGRecord
from ecgdatakit.parsing.parsers.dicom_waveform import DICOMWaveformParser
from numpy.typing import NDArray
from pydicom.datadict import tag_for_keyword

from services.triage.anonymise import without_identity
from services.triage.decode.library import DAMAGED, PICTURE, TOO_LARGE, kept_in, people_in, refuse_too_large, statements_of
from services.triage.decode.recorded import recording_of
from services.triage.recording import Recording, Undecodable

_DEFLATED = b"1.2.840.10008.1.2.1.99"  # a compressed file: unpacking it is how it would explode
_META_BYTES = 4096
_STORED_CLASS = b"1.2.840.10008.5.1.4.1.1."
_DOCUMENTS = (b"104.", b"7\x00", b"7.")  # encapsulated PDF and its like; a picture of a screen or of paper
_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # the tag that begins an item of a sequence, in either byte order
_MOST_BYTES = 2 * 1024 * 1024  # an element may have eight bytes, and takes microseconds
_MOST_ITEMS = 5_000  # a cart writes some hundreds; each becomes an object of a kilobyte and more
_GAP_MS = 100  # measured: in a recording padded with 0, real zeros last 22 ms at most
_NUMBERS = frozenset(("PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "PatientTelephoneNumbers", "PatientAddress"))
_NUMBERS_AT = frozenset(tag_for_keyword(keyword) for keyword in _NUMBERS)
_MOST_ELEMENTS = 20_000  # those of a cart have some hundreds, with all that lies in sequences
_WITHOUT_PEOPLE = frozenset(("WaveformSequence",))  # channels and samples: most of a file's elements
_NAMES_NOBODY = frozenset(("AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "OB", "OW", "SL", "SS", "ST", "TM", "UI", "UL", "US", "UT"))
_DEEPEST = 8  # sequences within sequences


def is_dicom(content: bytes) -> bool:
    return content[128:132] == b"DICM"


def _holds_a_document(content: bytes) -> bool:
    """True where the class that the file says it stores, which stands first of all, is that of a document or of a picture."""
    _, _, kind = content[:_META_BYTES].partition(_STORED_CLASS)
    return kind.startswith(_DOCUMENTS)


def decode_dicom(content: bytes) -> Recording:
    """Raises Undecodable where the first rhythm group cannot be had."""
    if _DEFLATED in content[:_META_BYTES]:
        raise Undecodable("compressed", "The DICOM file is compressed. Export it from the cart without compression.")
    if _holds_a_document(content):
        raise Undecodable("picture", PICTURE)
    refuse_too_large(len(content), _MOST_BYTES)
    if any(content.count(item) > _MOST_ITEMS for item in _ITEMS):
        raise Undecodable("too_large", TOO_LARGE)
    with kept_in():
        file = pydicom.dcmread(io.BytesIO(content))
        record = DICOMWaveformParser()._parse_dataset(file, Path())  # noqa: SLF001  its public door reads the file once more
        _restore_lone_values(record, file)
        statements = _statements_of_nobody(record, file)
    return recording_of(record, "DICOM", fs_hz=_exact_rate_hz(record), statements=statements)


def _exact_rate_hz(record: ECGRecord) -> float | None:
    """Return the rate of the group that was read, before the library rounded it."""
    shape = len(record.leads), len(record.leads[0].samples) if record.leads else 0
    rates_hz = (float(each["sampling_frequency"]) for each in record.raw_metadata["multiplex_groups"] if (each["channels"], each["samples"]) == shape)
    return next((rate_hz for rate_hz in rates_hz if round(rate_hz) == record.leads[0].sampling_rate), None)


def _statements_of_nobody(record: ECGRecord, file: pydicom.Dataset) -> tuple[str, ...]:
    statements = statements_of(record)
    people = _people_in(file) if statements else []
    return () if people is None else without_identity(statements, people_in(record) + people)


def _people_in(file: pydicom.Dataset) -> list[str] | None:
    """Return every name of a person and every number, however deep they lie; None where not all can be known: then no statement may leave."""
    found: list[str] = []
    elements = 0
    try:
        for element in islice(_elements(file, _DEEPEST), _MOST_ELEMENTS):
            elements += 1
            if element is not None and element.value and (element.VR == "PN" or element.keyword in _NUMBERS):
                values = [element.value] if element.VM == 1 else element.value
                found += [str(value).replace("^", " ") for value in values]
    except Exception:  # noqa: BLE001  a broken element raises anything, and does not make the leads worse
        return None
    return found if elements < _MOST_ELEMENTS else None


def _elements(dataset: pydicom.Dataset, deepest: int) -> Iterator[pydicom.DataElement | None]:
    """Yield the elements of a data set and of its sequences, None for one whose kind names nobody: a value of each takes longer than the leads.

    Raises RecursionError where the sequences lie too deep in each other."""
    if deepest < 0:
        raise RecursionError
    for tag in tuple(dataset.keys()):
        kind = dataset.get_item(tag).VR
        if kind in _NAMES_NOBODY and tag not in _NUMBERS_AT:
            yield None
            continue
        element = dataset[tag]
        yield element
        if element.VR == "SQ" and element.keyword not in _WITHOUT_PEOPLE:
            for item in element.value:
                yield from _elements(item, deepest - 1)


def _restore_lone_values(record: ECGRecord, file: pydicom.Dataset) -> None:
    """Put back the samples that equal the padding value but stand in no run: the reader made all of them NaN."""
    if not any(np.isnan(lead.samples).any() for lead in record.leads):
        return
    group = _group_of(record, file)
    signed = str(group.get("WaveformSampleInterpretation", "SS")).upper() not in ("UB", "US", "UL")
    padding = int.from_bytes(bytes(group.WaveformPaddingValue)[: int(group.WaveformBitsAllocated) // 8], "little", signed=signed)
    for lead in record.leads:
        samples = np.array(lead.samples, dtype=np.float64)
        samples[_lone(np.isnan(samples), shortest_gap=max(2, round(_GAP_MS * lead.sampling_rate / 1000)))] = padding
        lead.samples = samples


def _group_of(record: ECGRecord, file: pydicom.Dataset) -> Any:
    shape = len(record.leads), len(record.leads[0].samples)
    for group in file.WaveformSequence:
        if (int(group.NumberOfWaveformChannels), int(group.NumberOfWaveformSamples)) == shape and "WaveformPaddingValue" in group:
            return group
    raise Undecodable("undecodable", DAMAGED, "no multiplex group of the decoded shape")


def _lone(missing: NDArray[np.bool_], *, shortest_gap: int) -> NDArray[np.bool_]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], missing, [False])).astype(np.int8)))
    lengths = edges[1::2] - edges[::2]
    lone = np.zeros(missing.size + 1, dtype=np.int8)
    short = lengths < shortest_gap
    lone[edges[::2][short]] += 1
    lone[edges[1::2][short]] -= 1
    return np.cumsum(lone)[:-1].astype(np.bool_)
