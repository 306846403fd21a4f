"""MUSE XML: each lead bears a CRC-32 of its samples, which the library checks and passes over."""

import binascii
import zlib
from xml.etree.ElementTree import Element

from services.triage.decode.library import DAMAGED
from services.triage.recording import Undecodable


def refuse_damaged(root: Element) -> None:
    """Raise Undecodable where a lead of the rhythm has not the CRC that it states; 0 is what stands there where the writer made none."""
    for waveform in root.iterfind("Waveform"):
        if _text(waveform, "WaveformType").lower() in ("", "rhythm"):
            for lead in waveform.iterfind("LeadData"):
                stated = _text(lead, "LeadDataCRC32")
                if stated.isdecimal() and int(stated) not in (0, _crc(lead)):
                    raise Undecodable("undecodable", DAMAGED, "checksum")


def _crc(lead: Element) -> int:
    return zlib.crc32(binascii.a2b_base64("".join(_text(lead, "WaveFormData").split())))


def _text(parent: Element, tag: str) -> str:
    return (parent.findtext(tag) or "").strip()
