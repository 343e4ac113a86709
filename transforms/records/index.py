"""The index of a shard of features: where each record lies, and how many frames it has.

It is a NumPy file (`numpy.lib.format`, version 1.0) of one row a record, so that anything that reads arrays can
find a record, and know its length, without reading the others.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from melbeam.transforms.records.row_files import decode_rows, encode_rows

# Offset of the record's frame in the file, size of its payload, in bytes; and its valid frames.
INDEX_DTYPE = np.dtype([("offset", "<u8"), ("size", "<u4"), ("num_frames", "<u4")])


def encode_index(rows: Iterable[tuple[int, int, int]]) -> bytes:
    """The file of an index, of (offset, size, num_frames) a record."""
    return encode_rows(rows, INDEX_DTYPE)


def decode_index(data: bytes) -> np.ndarray:
    """The rows of an index, `INDEX_DTYPE` `[num_records]`.

    Raises:
        ValueError: the bytes are no index of a shard.
    """
    try:
        rows = decode_rows(data, INDEX_DTYPE)
    except Exception as error:  # NumPy's differ with what is wrong
        raise ValueError(f"{len(data)} bytes that are no index: {error}") from error
    if rows.dtype != INDEX_DTYPE or rows.ndim != 1:
        raise ValueError(f"an index has rows of {INDEX_DTYPE}, got {rows.dtype} of shape {rows.shape}")
    return rows
