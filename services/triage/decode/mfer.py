"""MFER (ISO 22077-1): the library is handed what describes the waveform, and the patient's age and sex; nothing else of the file reaches it.

Tried on files that the tests write after the specification from real recordings: both byte orders, blocks and sequences, frames, attributes of one
channel, a null value. Untried, for want of files from carts: sample types other than 16 bit, offsets, groups. Refused: a file that leaves its rate
or scale open, a gap between frames, compressed samples, and definitions of indefinite length."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from ecgdatakit.models import ECGRecord
from ecgdatakit.parsing.parsers.mfer import MFERParser

from services.triage.decode.library import DAMAGED, SEVERAL_PIECES, kept_in, parse, refuse_too_large
from services.triage.decode.recorded import recording_of
from services.triage.recording import Recording, Undecodable

_BYTE_ORDER, _BLOCK, _CHANNELS, _WAVE, _ONE_CHANNEL, _GROUP, _END = 0x01, 0x04, 0x05, 0x1E, 0x3F, 0x67, 0x80
_SEQUENCES, _POINTER, _KIND, _LEAD, _SAMPLE_TYPE, _INTERVAL, _SENSITIVITY = 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C
_OFFSET, _COMPRESSION, _NULL, _AGE, _SEX, _TIME = 0x0D, 0x0E, 0x12, 0x83, 0x84, 0x85
_KEPT = frozenset(
    (
        *(_BYTE_ORDER, _BLOCK, _CHANNELS, _WAVE, _SEQUENCES, _POINTER, _KIND, _LEAD, _SAMPLE_TYPE, _INTERVAL, _SENSITIVITY),
        *(_OFFSET, _COMPRESSION, _NULL, _AGE, _SEX, _TIME),
    )
)
_FILLING = re.compile(rb"\x00*")
_MOST_DEFINITIONS = 4_000  # a 12-lead recording has some hundred at most; each costs the library time
_MOST_CHANNELS = 64
_MOST_BLOCKS = 4_096  # channels of all frames together
_LAYOUT = {_BLOCK: 1, _SEQUENCES: 1, _SAMPLE_TYPE: 0}  # what holds where the file says nothing
_BYTES_OF_TYPE = {0: 2, 1: 2, 2: 4, 4: 2, 6: 4, 7: 4, 8: 8}
_DOMINANT_BEAT = 9
_MOST_FRACTION = 4  # digits of a rate in Hz: the interval is a decimal, its inverse is not

_NO_RATE = "The file does not say how many samples a second holds. Export the recording in another format."
_UNSUPPORTED = "The samples are stored in a way that is not read here. Export the recording as XML, DICOM or SCP."


class _Definition(NamedTuple):
    tag: int
    channel: int | None  # None for what holds for all
    value: bytes


def is_mfer(content: bytes) -> bool:
    return MFERParser.can_parse(None, content[:4096])  # type: ignore[arg-type]  # it looks at the bytes alone


def decode_mfer(content: bytes) -> Recording:
    """Raises Undecodable where the leads, their rate or their scale cannot be had. The file's texts are dropped: any may name somebody."""
    refuse_too_large(len(content))
    with kept_in():
        bare = b"".join(_bounded(_definitions(content, 0, len(content), None, iter(range(_MOST_DEFINITIONS)))))
    record = _parse(bare)
    if record.raw_metadata.get("sampling_rate_stated") is False:
        raise Undecodable("bad_rate", _NO_RATE)
    _refuse_gaps(record)
    return recording_of(record, "MFER", fs_hz=_exact_rate_hz(record))


def _parse(content: bytes) -> ECGRecord:
    try:
        return parse(MFERParser, content)
    except Undecodable as error:
        if error.cause == "UnsupportedFormatError":
            raise Undecodable("unsupported", _UNSUPPORTED, error.cause) from None
        raise


def _definitions(content: bytes, at: int, end: int, channel: int | None, steps: Iterator[int]) -> Iterator[_Definition]:
    """Yield the definitions that are kept, in their order, those within a group or a channel too. Raises Undecodable, IndexError, RecursionError."""
    while (at := _after_filling(content, at, end)) < end and content[at] != _END:
        if next(steps, None) is None:
            raise Undecodable("too_large", "The file has far more parts than a 12-lead recording. Send one recording of 10 s.")
        tag, start = content[at], at + 1
        inner = channel
        if tag == _ONE_CHANNEL:
            inner, start = content[start], start + 1
            if inner >= _MOST_CHANNELS:
                raise Undecodable("undecodable", DAMAGED, "channel number")
        length, start = _length(content, start)
        at = start + length
        if at > end:
            raise Undecodable("undecodable", DAMAGED, "length")
        if tag in (_ONE_CHANNEL, _GROUP):
            yield from _definitions(content, start, at, inner, steps)
        elif tag in _KEPT:
            yield _Definition(tag, channel, content[start:at])


def _after_filling(content: bytes, at: int, end: int) -> int:
    filling = _FILLING.match(content, at, end)
    return filling.end() if filling else at


def _length(content: bytes, at: int) -> tuple[int, int]:
    """Return a definition's length and where its value begins."""
    first = content[at]
    if first < 0x80:
        return first, at + 1
    count = first & 0x7F
    if not 1 <= count <= 4:
        raise Undecodable("undecodable", DAMAGED, "indefinite length")
    return int.from_bytes(content[at + 1 : at + 1 + count], "big"), at + 1 + count


def _bounded(definitions: Iterator[_Definition]) -> Iterator[bytes]:
    """Yield the definitions as bytes again. Raises Undecodable where a frame promises more samples than it has bytes: readers make room for all."""
    big_endian, channels, blocks = True, 1, 0
    layout, of_channels = dict(_LAYOUT), dict[int, int]()  # of_channels: the largest that one channel has for itself
    for tag, channel, value in definitions:
        number = int.from_bytes(value[:4], "big" if big_endian else "little")
        if tag == _BYTE_ORDER:
            big_endian = value != b"\x01"
        elif tag == _CHANNELS and channel is None:
            channels, of_channels = max(1, number), {}
        elif tag in _LAYOUT and channel is None:
            layout[tag] = number if value else _LAYOUT[tag]
        elif tag in _LAYOUT:
            of_channels[tag] = max(number, of_channels.get(tag, 0))
        elif tag == _WAVE:
            blocks += channels
            block = channels * max(layout[_BLOCK], of_channels.get(_BLOCK, 0))
            whole = 0 if of_channels else block * layout[_SEQUENCES] * _BYTES_OF_TYPE.get(layout[_SAMPLE_TYPE], 1)
            if channels > _MOST_CHANNELS or blocks > _MOST_BLOCKS or max(block, whole) > len(value):
                raise Undecodable("undecodable", DAMAGED, "frame size")
        encoded = _encoded(bytes((tag,)), value)
        yield encoded if channel is None else _encoded(bytes((_ONE_CHANNEL, channel)), encoded)


def _encoded(head: bytes, value: bytes) -> bytes:
    length = len(value)
    return head + (bytes((length,)) if length < 0x80 else b"\x84" + length.to_bytes(4, "big")) + value


def _refuse_gaps(record: ECGRecord) -> None:
    """Raise where a frame does not begin where the one before it ended: the library joins them as if nothing were missing."""
    frames = [frame for frame in record.raw_metadata["frames"] if frame["waveform_type"] != _DOMINANT_BEAT]
    joined = len(record.leads[0].samples) if record.leads else 0
    expected = frames[0]["pointer"] if frames else 0
    for frame in frames:
        if joined > 0 and frame["pointer"] != expected:
            raise Undecodable("several_segments", SEVERAL_PIECES)
        expected += frame["samples"]
        joined -= frame["samples"]


def _exact_rate_hz(record: ECGRecord) -> float | None:
    """Return the rate before the library rounded it; None where the channels differ, which `assemble` judges by the leads alone."""
    rates = {round(rate_hz, _MOST_FRACTION) for rate_hz in record.raw_metadata.get("sampling_rates", ())}
    return rates.pop() if len(rates) == 1 else None
