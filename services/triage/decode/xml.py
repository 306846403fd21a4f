"""The four XML formats: Philips Sierra, GE MUSE, HL7 aECG, Mortara. Entities are refused before any of their readers sees the file."""

import math
import re
from dataclasses import replace
from functools import lru_cache
from xml.etree.ElementTree import Element, ParseError, tostring

from ecgdatakit.exceptions import CorruptedFileError
from ecgdatakit.models import ECGRecord
from ecgdatakit.parsing.helpers.xml import parse_xml_root
from ecgdatakit.parsing.parser import Parser
from ecgdatakit.parsing.parsers.ge_muse_xml import GEMuseXMLParser
from ecgdatakit.parsing.parsers.hl7_aecg import HL7aECGParser
from ecgdatakit.parsing.parsers.mortara_el250 import MortaraEL250Parser
from ecgdatakit.parsing.parsers.sierra_xml import SierraXMLParser

from services.triage.anonymise import without_identity
from services.triage.decode.library import DAMAGED, TOO_LARGE, kept_in, parse, parse_root, people_in, refuse_too_large, statements_of
from services.triage.decode.mortara import exact_rate_hz, is_mortara, people_in_attributes, without_typical_beat
from services.triage.decode.muse import refuse_damaged
from services.triage.decode.recorded import recording_of
from services.triage.decode.xli import unpacked_bytes
from services.triage.recording import Recording, Undecodable

_READERS: dict[str, tuple[type[Parser], str]] = {
    "restingecgdata": (SierraXMLParser, "Philips Sierra"),
    "restingecg": (GEMuseXMLParser, "GE MUSE"),
    "annotatedecg": (HL7aECGParser, "HL7 aECG"),
}
_MORTARA: tuple[type[Parser], str] = (MortaraEL250Parser, "Mortara")
_MAX_BYTES = 8 * 1024 * 1024  # a minute of twelve leads at 1000 Hz, written out in digits, is half of it
_MAX_TAGS = 100_000  # the richest cart writes some thousands; a million take seconds and gigabytes
_MAX_TAG_CHARACTERS = 60
_MAX_TEXT_CHARACTERS = 1_200_000  # of one element or attribute: samples written as digits take a hundred times their length in memory
_MAX_NUMBER_CHARACTERS = 5_000
_MAX_UNPACKED_BYTES = 2_000_000  # twelve leads of 40 s at 1000 Hz
_PHILIPS_S = 10.0  # what follows is a 1 mV calibration pulse in every lead, which reads as ST elevation
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_DECLARATION_BYTES = 1_000
_DECLARED = re.compile(rb"encoding\s*=\s*[\"'](.*?)[\"']", re.DOTALL)
_CHINESE = {b"gb2312": "gb18030", b"gbk": "gb18030", b"cp936": "gb18030", b"gb18030": "gb18030", b"big5": "big5hkscs"}  # the wider one of each kind
_KNOWN_ENCODING = re.compile(rb"utf[-_]?(8|16(le|be)?)|(us-)?ascii|iso[-_]?8859[-_]\d{1,2}|(windows-|cp)\d{3,4}|latin-?\d|koi8-[ru]")
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
    return start.removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"<")


def decode_xml(content: bytes) -> Recording:
    """Raises Undecodable for hostile, damaged or foreign XML, and where there are no leads in it."""
    content = _in_known_encoding(content)
    root = _root(content)
    reader = _MORTARA if is_mortara(root) else _READERS.get(root.tag.lower()) if isinstance(root.tag, str) else None
    if reader is None:
        raise Undecodable("unknown_format", "This XML file is not an ECG of a known kind. Export the recording as Philips, MUSE, HL7 aECG or DICOM.")
    parser, form = reader
    people = _people_in(root)
    if parser is MortaraEL250Parser:
        refuse_too_large(len(content))
        people += people_in_attributes(root)
    elif parser is SierraXMLParser:
        _refuse_bomb(root)
    exact_hz = exact_rate_hz(root) if parser is MortaraEL250Parser else None
    record = _parse(parser, content, root)
    if record.raw_metadata.get("checksum_valid") is False:
        with kept_in():
            refuse_damaged(root)
    statements = without_identity(statements_of(record), people_in(record) + people)
    recording = recording_of(record, form, fs_hz=exact_hz or _exact_rate_hz(record), statements=statements)
    if parser is not SierraXMLParser:
        return recording
    return replace(recording, samples_mv=recording.samples_mv[:, : round(_PHILIPS_S * recording.fs_hz)])


def _parse(parser: type[Parser], content: bytes, root: Element) -> ECGRecord:
    """Return the record, also where a measurement of the cart's own is "NaN" or without end, or its averaged beat broken: no lead needs them."""
    by_tree = parser is not SierraXMLParser  # which makes a tree of its own kind
    try:
        return parse_root(parser, root) if by_tree else parse(parser, content)
    except Undecodable as failure:
        if not _without_what_no_lead_needs(root):
            raise
        try:
            return parse_root(parser, root) if by_tree else parse(parser, tostring(root, encoding="utf-8"))
        except Undecodable:
            raise failure from None


def _without_what_no_lead_needs(root: Element) -> bool:
    """Take it away, and return whether there was any."""
    found = without_typical_beat(root)
    for element in root.iter():
        if element.text and _is_no_finite_number(element.text):
            element.text, found = None, True
        for name in [name for name, value in element.attrib.items() if _is_no_finite_number(value)]:
            del element.attrib[name]
            found = True
    return found


def _is_no_finite_number(text: str) -> bool:
    try:
        return len(text) <= _MAX_NUMBER_CHARACTERS and not math.isfinite(float(text))
    except ValueError:
        return False


def _root(content: bytes) -> Element:
    if len(content) > _MAX_BYTES or content.count(b"<") > _MAX_TAGS or content.count(b"=") > _MAX_TAGS:
        raise Undecodable("too_large", TOO_LARGE)
    try:
        root = parse_xml_root(content)  # defusedxml within: entities, bombs and external ones, are refused
    except CorruptedFileError:
        raise Undecodable("hostile", "The XML file declares entities, which no cart does. It was not opened.") from None
    except (ParseError, ValueError, LookupError) as error:
        raise Undecodable("undecodable", DAMAGED, type(error).__name__) from None  # the cause's text may quote the file
    if len(content) > _MAX_TEXT_CHARACTERS and any(
        len(text) > _MAX_TEXT_CHARACTERS for element in root.iter() for text in (element.text or "", *element.attrib.values())
    ):
        raise Undecodable("too_large", TOO_LARGE)
    return root


def _in_known_encoding(content: bytes) -> bytes:
    """Return the file, in UTF-8 where it declares a Chinese encoding, which the XML readers do not know.

    Raises Undecodable for an encoding that no cart writes, and for a declaration without end: there are some that take minutes to read."""
    start = content.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if not start.startswith(b"<?xml"):
        return content
    end = start.find(b">", 0, _MAX_DECLARATION_BYTES)
    declared = _DECLARED.search(start, 0, max(end, 0))
    name = declared[1].lower() if declared else b"utf-8"
    if end < 0 or not (name in _CHINESE or _KNOWN_ENCODING.fullmatch(name)):
        raise Undecodable("undecodable", DAMAGED, "encoding")
    if name in _CHINESE:
        return start[end + 1 :].decode(_CHINESE[name], "replace").encode("utf-8")
    return content


def _refuse_bomb(root: Element) -> None:
    """Raise Undecodable where what is packed in the file is beyond any recording: unpacking it would fill the memory."""
    for element in root.iter():
        if isinstance(element.tag, str) and element.tag.lower() == "parsedwaveforms" and "xli" in "".join(element.attrib.values()).lower():
            text = "".join((element.text or "", *(child.tail or "" for child in element)))
            if unpacked_bytes(text) > _MAX_UNPACKED_BYTES:
                raise Undecodable("too_large", TOO_LARGE)


def _exact_rate_hz(record: ECGRecord) -> float | None:
    exact = record.raw_metadata.get("rhythm_time", {}).get("sampling_rate_exact")
    return None if exact is None else round(float(exact), 4)


def _people_in(root: Element) -> list[str]:
    return [element.text for element in root.iter() if element.text and isinstance(element.tag, str) and _holds_a_person(element.tag)]


@lru_cache(maxsize=2048)  # a cart has some hundred tags, each many times over
def _holds_a_person(tag: str) -> bool:
    lower = tag.lower() if len(tag) <= _MAX_TAG_CHARACTERS else ""
    return bool(_PERSON_TAG.search(lower) and not _NOT_A_PERSON.search(lower))
