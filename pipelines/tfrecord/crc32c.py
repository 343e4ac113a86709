"""The CRC32C of two runs of bytes, one behind the other, from those of each: neither is read again.

A checksum is linear in the bits of its data, so that many bytes behind them act on it as a product with a fixed
32 x 32 matrix of bits: that of 2**k zero bytes is squared from the one before (zlib's `crc32_combine`). The
matrices are kept as tables, by the four bytes of the checksum.
"""

from __future__ import annotations

import functools

import numpy as np

_POLYNOMIAL = np.uint32(0x82F63B78)  # Castagnoli's, reflected


def _table() -> np.ndarray:
    """CRC32C of each byte."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ _POLYNOMIAL, table >> 1)
    return table


TABLE = _table()  # `[256]`, uint32: what a zero byte makes of a checksum, by that one's lowest byte


def combined_crc32c(first: int, second: int, second_size: int) -> int:
    """The CRC32C of two runs of bytes.

    Args:
        first: CRC32C of the first run.
        second: CRC32C of the second.
        second_size: of the second run, in bytes.
    """
    power = 0
    while second_size:
        if second_size & 1:
            lowest, low, high, highest = _behind_zeros(power)
            first = lowest[first & 0xFF] ^ low[first >> 8 & 0xFF] ^ high[first >> 16 & 0xFF] ^ highest[first >> 24]
        second_size >>= 1
        power += 1
    return first ^ second


@functools.cache
def _behind_zeros(power: int) -> list[list[int]]:
    """What 2**power zero bytes make of a checksum: a table of 256 for each of its four bytes."""
    columns = _columns(power)
    values = np.arange(256)
    tables = []
    for byte in range(4):
        table = np.zeros(256, np.uint32)
        for bit in range(8):
            table ^= np.where(values >> bit & 1, np.uint32(columns[8 * byte + bit]), np.uint32(0))
        tables.append(table.tolist())
    return tables


@functools.cache
def _columns(power: int) -> list[int]:
    """What 2**power zero bytes make of each bit of a checksum."""
    if power == 0:
        return [int(TABLE[crc & 0xFF]) ^ crc >> 8 for crc in (1 << bit for bit in range(32))]
    lowest, low, high, highest = _behind_zeros(power - 1)
    return [
        lowest[crc & 0xFF] ^ low[crc >> 8 & 0xFF] ^ high[crc >> 16 & 0xFF] ^ highest[crc >> 24]
        for crc in _columns(power - 1)
    ]
