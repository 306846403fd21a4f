"""The three XML formats: Philips Sierra, GE MUSE, HL7 aECG. Entities are refused before any of their readers sees the file."""

import math
import re
from xml.etree.ElementTree import Element, ParseError, tostring

from ecgdatakit.exceptions import CorruptedFileError
from ecgdatakit.models import ECGRecord
from ecgdatakit.parsing.helpers.xml import parse_xml_root
from ecgdatakit.parsing.parser import Parser
from ecgdatakit.parsing.parsers.ge_muse_xml import GEMuseXMLParser
from ecgdatakit.parsing.parsers.hl7_aecg import HL7aECGParser
from ecgdatakit.parsing.parsers.sierra_xml import SierraXMLParser

from services.triage.anonymise import age_of, sex_of, without_identity
from services.triage.decode.leads import assemble
from services.triage.decode.library import DAMAGED, acquired_on, parse, people_in, statements_of
from services.triage.recording import Recording, Undecodable

_READERS: dict[str, tuple[type[Parser], str]] = {
    "restingecgdata": (SierraXMLParser, "Philips Sierra"),
    "restingecg": (GEMuseXMLParser, "GE MUSE"),
    "annotatedecg": (HL7aECGParser, "HL7 aECG"),
}
_MAX_BYTES = 8 * 1024 * 1024  # a minute of twelve leads at 1000 Hz, written out in digits, is half of it
_MAX_TAGS = 100_000  # the richest cart writes some thousands; a million take seconds and gigabytes
_MAX_TAG_CHARACTERS = 60
_MAX_NUMBER_CHARACTERS = 30
_PHILIPS_S = 10.0  # what follows is a 1 mV calibration pulse in every lead, which reads as ST elevation
_PERSON_TAG = re.compile(
    r"name$|^(patientid|mrn|uniquepatientid|secondaryid|family|given|operatorid|.*physician.*|.*clinician.*|.*md(id|lastname|firstname)|.*tech(id)?)$"
)
_NOT_A_PERSON = re.compile(
    r"^(?!.*(physician|clinician|doctor|operator|tech|patient|investigator|reader|reviewer)).*"
    r"(site|location|facility|institution|department|cart|device|lead|measurement|wave|study|trial|template|report)\w*name$"
)


def is_xml(content: bytes) -> bool:
    start = content[:64]
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "<" in start.decode("utf-16", "ignore")[:16]
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def decode_xml(content: bytes) -> Recording:
    """Raises Undecodable for hostile, damaged or foreign XML, and where there are no leads in it."""
    root = _root(content)
    reader = _READERS.get(root.tag.lower()) if isinstance(root.tag, str) else None
    if reader is None:
        raise Undecodable("unknown_format", "This XML file is not an ECG of a known kind. Export the recording as Philips, MUSE, HL7 aECG or DICOM.")
    parser, form = reader
    record = _parse(parser, content, root)
    leads, samples_mv, fs_hz = assemble(record.leads, fs_hz=_exact_rate_hz(record))
    if parser is SierraXMLParser:
        samples_mv = samples_mv[:, : round(_PHILIPS_S * fs_hz)]
    patient = record.patient
    return Recording(
        leads=leads,
        samples_mv=samples_mv,
        fs_hz=fs_hz,
        age_y=age_of(birth=patient.birth_date.date() if patient.birth_date else None, acquired=acquired_on(record), printed_y=patient.age),
        sex=sex_of(patient.sex),
        vendor_statements=without_identity(statements_of(record), people_in(record) + _people_in(root)),
        format=form,
    )


def _parse(parser: type[Parser], content: bytes, root: Element) -> ECGRecord:
    """Return the record, also where a measurement of the cart's own is "NaN" or without end: no lead needs it, and the library stumbles over it."""
    try:
        return parse(parser, content)
    except Undecodable as failure:
        endless = [element for element in root.iter() if element.text and _is_no_finite_number(element.text)]
        if not endless:
            raise
        for element in endless:
            element.text = None
        try:
            return parse(parser, tostring(root, encoding="utf-8"))
        except Undecodable:
            raise failure from None


def _is_no_finite_number(text: str) -> bool:
    try:
        return len(text) <= _MAX_NUMBER_CHARACTERS and not math.isfinite(float(text))
    except ValueError:
        return False


def _root(content: bytes) -> Element:
    if len(content) > _MAX_BYTES or content.count(b"<") > _MAX_TAGS or content.count(b"=") > _MAX_TAGS:
        raise Undecodable("too_large", "The XML file is far larger than a 12-lead recording. Send one recording of 10 s.")
    try:
        return parse_xml_root(content)  # defusedxml within: entities, bombs and external ones, are refused
    except CorruptedFileError:
        raise Undecodable("hostile", "The XML file declares entities, which no cart does. It was not opened.") from None
    except (ParseError, ValueError, LookupError) as error:
        raise Undecodable("undecodable", DAMAGED, type(error).__name__) from None  # the cause's text may quote the file


def _exact_rate_hz(record: ECGRecord) -> float | None:
    exact = record.raw_metadata.get("rhythm_time", {}).get("sampling_rate_exact")
    return None if exact is None else round(float(exact), 4)


def _people_in(root: Element) -> list[str]:
    found: list[str] = []
    for element in root.iter():
        tag = element.tag.lower() if isinstance(element.tag, str) and len(element.tag) <= _MAX_TAG_CHARACTERS else ""
        if element.text and _PERSON_TAG.search(tag) and not _NOT_A_PERSON.search(tag):
            found.append(element.text)
    return found
