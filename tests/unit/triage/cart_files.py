"""Files of formats of which no recording is to be had, written after their descriptions from a recording that was decoded from another one.

And real files without their checksums: one that is changed on purpose would be refused for those alone."""

import base64
import binascii
import re
import struct
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from services.triage.decode.scp import is_scp
from services.triage.recording import Recording

FAMILY, GIVEN, NUMBER = "Hofmann", "Ada", "7788-99"
BORN, RECORDED = (1961, 3, 9), (2024, 11, 22)  # 63 years
AGE_Y = 63

_ISHNE_LEADS = {"I": 5, "II": 6, "III": 7, "aVR": 8, "aVL": 9, "aVF": 10, "V1": 11, "V2": 12, "V3": 13, "V4": 14, "V5": 15, "V6": 16}
_MFER_LEADS = {"I": 1, "II": 2, "V1": 3, "V2": 4, "V3": 5, "V4": 6, "V5": 7, "V6": 8, "III": 61, "aVR": 62, "aVL": 63, "aVF": 64}


def steps(recording: Recording, step_uv: float) -> NDArray[np.int16]:
    """Return the samples as a recorder of this step stores them, (leads, samples)."""
    stored: NDArray[np.int16] = np.rint(recording.samples_mv * 1000 / step_uv).astype(np.int16)
    return stored


def ishne(recording: Recording, *, step_uv: float = 1.0, comment: bytes = b"", crc_swapped: bool = False) -> bytes:
    """ISHNE 1.0 (Badilini 1998): a fixed header, a comment, then the samples of all leads in turn, little-endian."""
    values = steps(recording, step_uv)
    unused = [-9] * (12 - len(recording.leads))
    year, month, day = RECORDED
    header = struct.pack("<iiiih", len(comment), values.shape[1], 522, 522 + len(comment), 1)
    header += struct.pack("<40s40s20s", GIVEN.encode(), FAMILY.encode(), NUMBER.encode())
    header += struct.pack("<hh3h", 2, 0, BORN[2], BORN[1], BORN[0])
    header += struct.pack("<9h", day, month, year, day, month, year, 10, 30, 0)
    header += struct.pack("<h", len(recording.leads))
    header += struct.pack("<12h", *(_ISHNE_LEADS[lead] for lead in recording.leads), *unused)
    header += struct.pack("<12h", *[0] * len(recording.leads), *unused)
    header += struct.pack("<12h", *[round(step_uv * 1000)] * len(recording.leads), *unused)
    header += struct.pack("<h40sh80s80s88x", 0, b"digital", round(recording.fs_hz), b"", b"")
    crc = binascii.crc_hqx(header + comment, 0xFFFF)
    return b"ISHNE1.0" + struct.pack(">H" if crc_swapped else "<H", crc) + header + comment + values.T.astype("<i2").tobytes()


def tlv(tag: int, value: bytes, channel: int | None = None) -> bytes:
    """One definition of MFER: tag, channel where it is of one alone, length, value."""
    head = bytes((tag,)) if channel is None else bytes((tag, channel))
    return head + (bytes((len(value),)) if len(value) < 0x80 else b"\x84" + struct.pack(">I", len(value))) + value


def mfer_waves(values: NDArray[np.int16], *, block: int, order: str) -> Iterable[bytes]:
    """One frame: for each sequence the block of each channel."""
    channels, samples = values.shape
    sequences = samples // block
    yield tlv(0x04, struct.pack(f"{order}I", block)) + tlv(0x06, struct.pack(f"{order}I", sequences))
    yield tlv(0x1E, values.reshape(channels, sequences, block).swapaxes(0, 1).astype(f"{order}i2").tobytes())


def mfer_head(recording: Recording, *, step_uv: float = 1.0, order: str = ">", extra: bytes = b"") -> bytes:
    """Everything of an MFER file (ISO 22077-1) before its samples: who, when, which leads, which rate, which step."""
    out = tlv(0x40, b"MFR Standard 12-lead ECG".ljust(32)) + tlv(0x01, b"\x00" if order == ">" else b"\x01")
    out += tlv(0x03, b"UTF-8") + tlv(0x81, f"{FAMILY}^^{GIVEN}".encode()) + tlv(0x82, NUMBER.encode())
    out += tlv(0x83, bytes((AGE_Y,)) + struct.pack(f"{order}HHBB", 0, *BORN)) + tlv(0x84, b"\x02")
    out += tlv(0x85, struct.pack(f"{order}HBBBBBHH", *RECORDED, 10, 30, 0, 0, 0))
    out += tlv(0x16, f"Seen with {FAMILY}".encode())
    out += tlv(0x05, bytes((len(recording.leads),))) + tlv(0x0A, b"\x00")
    out += tlv(0x0B, struct.pack(f"{order}bbI", 1, -6, round(1e6 / recording.fs_hz)))
    out += tlv(0x0C, struct.pack(f"{order}bbH", 0, -8, round(step_uv * 100)))
    out += b"".join(tlv(0x3F, tlv(0x09, struct.pack(f"{order}H", _MFER_LEADS[lead])), channel) for channel, lead in enumerate(recording.leads))
    return out + extra


def mfer(recording: Recording, *, step_uv: float = 1.0, block: int = 500, order: str = ">", extra: bytes = b"") -> bytes:
    head = mfer_head(recording, step_uv=step_uv, order=order, extra=extra)
    return head + b"".join(mfer_waves(steps(recording, step_uv), block=block, order=order)) + b"\x80\x00"


def mortara(recording: Recording, *, step_uv: float = 1.0, statements: Iterable[str] = (), rate: str = "", beat: str = "") -> bytes:
    """A Mortara ELI XML file, as the open readers of it describe real exports; `beat` is what stands in TYPICAL_CYCLE."""
    rate = rate or f"{recording.fs_hz:g}"
    channels = "".join(
        f'<CHANNEL OFFSET="0" BITS="16" FORMAT="SIGNED" UNITS_PER_MV="{1000 / step_uv:g}" DURATION="{values.size}" SAMPLE_FREQ="{rate}"'
        f' NAME="{lead}" ENCODING="BASE64" DATA="{base64.b64encode(values.astype("<i2").tobytes()).decode()}"/>'
        for lead, values in zip(recording.leads, steps(recording, step_uv), strict=True)
    )
    said = "".join(f'<STATEMENT TEXT="{text}" REASON=""/>' for text in statements)
    year, month, day = RECORDED
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><ECG ACQUISITION_TIME="{year}{month:02}{day:02}103000" AGE="{AGE_Y}" AGE_UNITS="Y" VENT_RATE="61"'
        f' TECHNICIAN="Castor"><SUBJECT LAST_NAME="{FAMILY}" FIRST_NAME="{GIVEN}" ID="{NUMBER}" GENDER="Female"'
        f' DOB="{BORN[0]}{BORN[1]:02}{BORN[2]:02}"/><DEMOGRAPHIC_FIELDS><DEMOGRAPHIC_FIELD ID="9" LABEL="Physician" VALUE="Pollux"/>'
        f'</DEMOGRAPHIC_FIELDS><SOURCE TYPE="RESTING" MANUFACTURER="Mortara"/><AUTOMATIC_INTERPRETATION>{said}</AUTOMATIC_INTERPRETATION>'
        f"{beat}{channels}</ECG>"
    ).encode()


def edf(recording: Recording, *, step_uv: float = 1.0, record_s: float = 1.0, kind: str = "EDF+C", said: str = "", gap_s: float = 0.0) -> bytes:
    """EDF+ (Kemp 2003): texts of fixed lengths, each field of all signals in turn, then records in which the signals follow one another.

    `said` is an annotation at the start; `gap_s` is missing before the second half of the records, which only the time of each tells."""
    values = steps(recording, step_uv)
    count = round(recording.fs_hz * record_s)
    records = values.shape[1] // count
    year, month, day = RECORDED
    signals = [*recording.leads, "Annotations"]
    head = f"0       {f'{NUMBER} F 09-MAR-{BORN[0]} {FAMILY},{GIVEN}':80}{f'Startdate {day}-NOV-{year} X {FAMILY} X':80}"
    head += f"{f'{day}.{month}.{year % 100}':8}10.30.00{256 * (len(signals) + 1):<8}{kind:44}{records:<8}{record_s:<8g}{len(signals):<4}"
    limit_uv = f"{32767 * step_uv:g}"
    fields = [(16, "ECG {}", "EDF {}"), (80, "", ""), (8, "uV", ""), (8, f"-{limit_uv}", "-1"), (8, limit_uv, "1"), (8, "-32767", "-32768")]
    fields += [(8, "32767", "32767"), (80, "", ""), (8, str(count), "40"), (32, "", "")]
    head += "".join(f"{(last if name == 'Annotations' else lead).format(name):{width}}" for width, lead, last in fields for name in signals)
    out = [head.encode()]
    for number in range(records):
        begins_s = number * record_s + (gap_s if 2 * number >= records else 0)
        told = f"+{begins_s:g}\x14\x14\x00" + (f"+0\x14{said}\x14\x00" if said and not number else "")
        out += [values[:, number * count : (number + 1) * count].astype("<i2").tobytes(), told.encode().ljust(80, b"\x00")]
    return b"".join(out)


def without_checksums(content: bytes) -> bytes:
    """Return the file as a writer writes it that makes no checksums: SCP, MUSE and the header of WFDB have them; others come back as they are."""
    if is_scp(content):
        out = bytearray(content)
        places = (struct.unpack_from("<HII", content, at) for at in range(22, 22 + 12 * 10, 10))
        for start in (0, *(index - 1 for _, length, index in places if length)):
            out[start : start + 2] = bytes(2)
        return bytes(out)
    content = re.sub(rb"<LeadDataCRC32>\d+<", b"<LeadDataCRC32>0<", content)
    return re.sub(rb"(?m)^(\S+\.(?:dat|mat) \S+ \S+ \S+ \S+ \S+) -?\d+ ", rb"\1 0 ", content)
