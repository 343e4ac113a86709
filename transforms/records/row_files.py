"""Rows of numbers as NumPy files (`numpy.lib.format`, version 1.0), whose header is compared, not evaluated.

NumPy parses a header as Python. CPython 3.11 keeps one depth of recursion for that in all threads, so that where
two of them do it at a time, one may fail: "AST constructor recursion depth mismatch".
"""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np

_MAGIC = b"\x93NUMPY\x01\x00"
_BEGIN = len(_MAGIC) + 2  # of the header, behind its size


def encode_rows(rows: Iterable[tuple[int, ...]], dtype: np.dtype) -> bytes:
    """Gives the file of rows of a structured dtype."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array(list(rows), dtype), version=(1, 0), allow_pickle=False)
    return file.getvalue()


def decode_rows(data: bytes, dtype: np.dtype) -> np.ndarray:
    """Gives the rows of a file of `encode_rows`, `[num_rows]`; of any other NumPy file, the array that it holds.

    Raises:
        ValueError: the bytes are no NumPy file, or not all of one; or NumPy's own errors.
    """
    start = _BEGIN + int.from_bytes(data[len(_MAGIC) : _BEGIN], "little")
    num_rows, rest = divmod(len(data) - start, dtype.itemsize)
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (num_rows,)}
    said = "{" + "".join(f"{name!r}: {value!r}, " for name, value in header.items()) + "}"
    if data.startswith(_MAGIC) and not rest and data[_BEGIN:start].strip() == said.encode():
        return np.frombuffer(data, dtype, offset=start).copy()
    return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
