"""How large a Philips waveform becomes, told without unpacking it: XLI packs up to 600 times, and a small file could fill memory."""

import base64
import binascii
import struct

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct("<i4x")  # bytes that follow; the rest is not needed
_FIRST_FREE, _LAST = 256, 1022  # codes of ten bits: single bytes, then strings; 1023 ends the stream


def unpacked_bytes(text: str) -> int:
    """Return the bytes that the Base64 text unpacks to; what cannot be read counts as nothing, since the decoder stops there too."""
    try:
        packed = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return 0
    total, at = 0, 0
    while at + _HEADER.size <= len(packed):
        (size,) = _HEADER.unpack_from(packed, at)
        at += _HEADER.size
        if not 0 < size <= len(packed) - at:
            break
        total += _bytes_of_stream(_codes(packed[at : at + size]))
        at += size
    return total


def _codes(chunk: bytes) -> NDArray[np.uint16]:
    """Return the ten-bit codes of a chunk up to the first that ends it; five bytes hold four of them."""
    count = len(chunk) * 8 // 10
    five = np.frombuffer(chunk + bytes(-len(chunk) % 5), dtype=np.uint8).reshape(-1, 5).astype(np.uint16)
    high, low = five[:, :4], five[:, 1:]
    codes = ((high << np.array([2, 4, 6, 8], dtype=np.uint16)) | (low >> np.array([6, 4, 2, 0], dtype=np.uint16))) & 1023
    flat = codes.reshape(-1)[:count].astype(np.uint16)
    ends = np.flatnonzero(flat > _LAST)
    return flat[: ends[0]] if ends.size else flat


def _bytes_of_stream(codes: NDArray[np.uint16]) -> int:
    """Return the length of what the codes stand for. Each code but the first adds a string, one longer than the one before; once all are taken,
    the lengths stand and the rest is looked up."""
    lengths = [1] * _FIRST_FREE + [0] * (_LAST + 1 - _FIRST_FREE)
    total, previous, free, read = 0, 0, _FIRST_FREE, 0
    for code in codes[: _LAST + 2 - _FIRST_FREE].tolist():
        if not lengths[code]:
            lengths[code] = previous + 1
        length = lengths[code]
        if previous and free <= _LAST:
            lengths[free] = previous + 1
            free += 1
        total, previous, read = total + length, length, read + 1
    return total + int(np.array(lengths)[codes[read:]].sum())
