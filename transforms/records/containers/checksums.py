"""Checksums that the standard library does not have, built on those that it has or on tables."""

from __future__ import annotations

import zlib

import numpy as np

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_CRC16_POLYNOMIAL = 0x8005
_CRC16_BLOCK = 64  # bytes that a row of `_crc16_tables` takes at once


def reversed_bits(data: bytes) -> bytes:
    """The same bytes, each with its bits in reverse order."""
    return data.translate(_REVERSED)


def ogg_crc(*reversed_pieces: bytes | memoryview) -> int:
    """The CRC-32 of an Ogg page, whose pieces come through `reversed_bits`; its own field counts as zeros.

    Ogg's is zlib's polynomial with the bits in the other order, without the inversion at both ends (RFC 3533).
    """
    state = 0xFFFFFFFF  # which zlib inverts to its register's 0
    for piece in reversed_pieces:
        state = zlib.crc32(piece, state)
    return int.from_bytes((state ^ 0xFFFFFFFF).to_bytes(4, "little").translate(_REVERSED), "big")


def _table(polynomial: int, num_bits: int) -> list[int]:
    top, mask = 1 << (num_bits - 1), (1 << num_bits) - 1
    table = []
    for value in range(256):
        register = value << (num_bits - 8)
        for _ in range(8):
            register = (register << 1 ^ polynomial if register & top else register << 1) & mask
        table.append(register)
    return table


_CRC8 = _table(0x07, 8)
_CRC16 = _table(_CRC16_POLYNOMIAL, 16)


def crc8(data: bytes) -> int:
    """FLAC's CRC-8 of a frame header, 0 over a header with its checksum (RFC 9639, section 9.1.8)."""
    register = 0
    for byte in data:
        register = _CRC8[register ^ byte]
    return register


def _shifted(register: int, num_bytes: int) -> int:
    for _ in range(num_bytes):
        register = (register << 8 & 0xFFFF) ^ _CRC16[register >> 8]
    return register


def _rows_of_tables() -> np.ndarray:
    """uint16 `[_CRC16_BLOCK, 256]`: what a byte at each place of a block adds to the register behind the block."""
    rows = [_CRC16]
    for _ in range(_CRC16_BLOCK - 1):
        rows.append([_shifted(value, 1) for value in rows[-1]])
    return np.array(rows[::-1], np.uint16)


_CRC16_ROWS = _rows_of_tables()
_HIGH = [_shifted(byte << 8, _CRC16_BLOCK) for byte in range(256)]
_LOW = [_shifted(byte, _CRC16_BLOCK) for byte in range(256)]


def flac_crc16(data: bytes, register: int = 0) -> int:
    """FLAC's CRC-16 (RFC 9639, section 9.3), 0 over a whole frame with its checksum.

    Args:
        data: bytes.
        register: the value behind the bytes before, to go on from.
    """
    num_blocks = len(data) // _CRC16_BLOCK
    if num_blocks:
        blocks = np.frombuffer(data, np.uint8, num_blocks * _CRC16_BLOCK).reshape(num_blocks, _CRC16_BLOCK)
        values = np.bitwise_xor.reduce(_CRC16_ROWS[np.arange(_CRC16_BLOCK), blocks], axis=1)
        for value in values.tolist():
            register = _HIGH[register >> 8] ^ _LOW[register & 0xFF] ^ value
    for byte in data[num_blocks * _CRC16_BLOCK :]:
        register = (register << 8 & 0xFFFF) ^ _CRC16[register >> 8 ^ byte]
    return register


def lame_crc16(data: bytes) -> int:
    """The CRC-16 that LAME keeps of the first 190 bytes of its Info frame: FLAC's with all bits reversed."""
    register = flac_crc16(reversed_bits(data))
    return int(f"{register:016b}"[::-1], 2)
