"""The frame of a record in a TFRecord file, for whoever reads or writes one.

A record is (tensorflow/core/lib/io/record_writer.h)

    uint64 length | uint32 masked CRC32C of length | length bytes of data | uint32 masked CRC32C of data
"""

from __future__ import annotations

import struct

import google_crc32c

HEADER, FOOTER = 12, 4  # bytes
MASK_DELTA = 0xA282EAD8
_LENGTH_AND_CRC, _UINT32, _UINT64 = struct.Struct("<QI"), struct.Struct("<I"), struct.Struct("<Q")


def masked_crc32c(data: bytes) -> int:
    """The checksum that TFRecords store: CRC32C, rotated by 15 bits, plus a constant."""
    return _masked(google_crc32c.value(data))


def _masked(crc: int) -> int:
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF


def frame_header(length: int) -> bytes:
    """What stands in front of so many bytes of data."""
    size = _UINT64.pack(length)
    return size + _UINT32.pack(masked_crc32c(size))


def frame_footer(crc32c: int) -> bytes:
    """What stands behind data of that CRC32C."""
    return _UINT32.pack(_masked(crc32c))


def length_of(header: bytes) -> int | None:
    """The length that a header gives, or None where its checksum does not hold."""
    if len(header) < HEADER:
        return None
    length, crc = _LENGTH_AND_CRC.unpack_from(header)
    return length if crc == masked_crc32c(header[:8]) else None


def data_of(frame: bytes) -> bytes:
    """The data of one whole frame.

    Raises:
        ValueError: the bytes are no frame whose checksums hold.
    """
    length = length_of(frame)
    if length is None:
        raise ValueError(f"no record begins there: the length's checksum does not hold ({len(frame)} bytes)")
    if len(frame) != HEADER + length + FOOTER:
        raise ValueError(f"a record of {length} bytes is there, and {len(frame) - HEADER - FOOTER} were expected")
    data = frame[HEADER : HEADER + length]
    if _UINT32.unpack_from(frame, HEADER + length)[0] != masked_crc32c(data):
        raise ValueError(f"the data's checksum does not hold: {length} bytes")
    return data
