"""The one place that calls ecgdatakit: bytes in, its record out, its errors and warnings kept in, since both may quote the file."""

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from xml.etree.ElementTree import Element

import pydicom.config
from ecgdatakit.models import ECGRecord
from ecgdatakit.parsing.helpers.xml import parse_xml_root
from ecgdatakit.parsing.parser import Parser
from ecgdatakit.parsing.parsers import ge_muse_xml, hl7_aecg, mortara_el250

from services.triage.recording import Undecodable

DAMAGED = "The file is damaged or cut short. Export it from the cart again and send it again."
TOO_LARGE = "The file is far larger than a 12-lead recording. Send one recording of 10 s."
SEVERAL_PIECES = "The recording is in several pieces with gaps between them. Send the resting 12-lead recording alone."
PICTURE = (
    "This is a picture or a PDF: it is kept for people to read, and no rule can judge it. Have a person read the ECG now, "
    "and send the data file that the cart exports (XML, DICOM, SCP or WFDB)."
)

MOST_BYTES = 4 * 1024 * 1024  # two minutes of fifteen leads at 1000 Hz; measured: at most 90 MB of memory, for samples of 8 bits

_read_already: ContextVar[Element | None] = ContextVar("_read_already", default=None)

# pydicom checks and quotes single values, such as a malformed birth date, in warnings and log lines; neither may leave the decoder.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


def refuse_too_large(size_bytes: int, most_bytes: int = MOST_BYTES) -> None:
    """Raise Undecodable for more bytes than a resting recording has; `most_bytes` is for a format that costs more a byte than bare samples."""
    if size_bytes > most_bytes:
        raise Undecodable("too_large", TOO_LARGE)


def parse(parser: type[Parser], content: bytes) -> ECGRecord:
    """Return what the parser makes of the bytes. Raises Undecodable for whatever goes wrong in it."""
    with private_path(content) as path:
        return parse_path(parser, path)


def parse_path(parser: type[Parser], path: Path) -> ECGRecord:
    with kept_in():
        return parser().parse(path)


def parse_root(parser: type[Parser], root: Element) -> ECGRecord:
    """As `parse`, for an XML file whose tree the guards have read already: reading it again took up to half of the time."""
    token = _read_already.set(root)
    try:
        return parse(parser, b"")
    finally:
        _read_already.reset(token)


def _root_at_hand(content: bytes) -> Element:
    root = _read_already.get()
    return parse_xml_root(content) if root is None else root


for _module in (ge_muse_xml, hl7_aecg, mortara_el250):  # where they look for what makes a tree of bytes
    vars(_module)["parse_xml_root"] = _root_at_hand


@contextmanager
def kept_in() -> Iterator[None]:
    """Run foreign code over hostile bytes: its warnings are dropped, and what it raises is Undecodable without its text, which may hold a name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Undecodable:
        raise
    except Exception as error:  # noqa: BLE001  it raises anything
        raise Undecodable("undecodable", DAMAGED, type(error).__name__) from None


@contextmanager
def private_path(content: bytes) -> Iterator[Path]:
    """Lend a path by which these bytes can be read: on Linux memory that dies with the process, even killed, since a raw file may hold a name."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("recording"), "w+b", buffering=0) as memory:
            view = memoryview(content)
            while view:
                view = view[memory.write(view) or 0 :]
            yield Path(f"/proc/self/fd/{memory.fileno()}")
    else:
        with private_folder() as folder:
            path = folder / "recording"
            path.write_bytes(content)
            yield path


@contextmanager
def private_folder() -> Iterator[Path]:
    """Lend a folder that nobody else can read and that is gone afterwards, in memory where there is such a place."""
    memory = Path("/dev/shm")  # noqa: S108  a folder of its own is made in it, with mode 700
    with tempfile.TemporaryDirectory(prefix="greenchannel-", dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def statements_of(record: ECGRecord) -> list[str]:
    """Return every line that the cart or a reader wrote about the recording; a line and its reason are one."""
    lines = [f"{left} ({right})" if left and right else left or right for left, right in record.interpretation.statements]
    lines += str(record.annotations.get("machine_interpretation", "")).splitlines()
    lines += [str(line) for line in record.raw_metadata.get("universal_statements", [])]
    return lines


def people_in(record: ECGRecord) -> list[str]:
    """Return the names and numbers that the record gives for the patient and for whoever dealt with them."""
    patient, recording, extra = record.patient, record.recording, record.raw_metadata
    found = [patient.first_name, patient.last_name, patient.patient_id, recording.technician, recording.referring_physician]
    found.append(record.interpretation.interpreter)
    if patient.birth_date is not None:
        found += [patient.birth_date.strftime(form) for form in ("%Y-%m-%d", "%Y%m%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y")]
    named = ("middle", "physician", "second_last", "mrn", "uniquepatientid", "accession", "Ordering", "SecondaryID", "study_id", "investigator")
    found += [str(value) for key, value in extra.items() if isinstance(value, str) and any(part in key for part in named)]
    return [text for text in found if text and text.strip()]
