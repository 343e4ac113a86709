"""A tf.train.Example as bytes, without protobuf's own writer: that copies a large value thrice, and a small one
costs it ten times as much.

The bytes are those that protobuf writes (https://protobuf.dev/programming-guides/encoding): each message begins
with its tag and its size. A feature with one value, or with packed numbers, is its bytes with the tags and sizes
of four messages in front of them. The features are sorted by their names, as protobuf's deterministic writer does
too, but for names that begin as others do: their order is its own affair.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from melbeam.transforms.records.example_proto import Feature

Values = bytes | memoryview | str | int | float | np.ndarray | list[Any]

# Tags: a field's number, and that its size follows. `value` is field 1 of each list, as `key` is of an entry.
_FIRST, _SECOND = b"\x0a", b"\x12"
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = b"\x0a", b"\x12", b"\x1a"  # of a Feature
_FLOAT = struct.Struct("<f")
_LEAST_INT64, _UINT64 = -(1 << 63), (1 << 64) - 1
# Values from this size on stay where they are; smaller ones are copied together.
_LARGE = 4 << 10  # 4 KiB

Part = bytes | memoryview


def example_parts(features: Mapping[str, Values], messages: Mapping[str, Any]) -> tuple[list[Part], int]:
    """The pieces of a serialized tf.train.Example, and their size in bytes.

    Args:
        features: name to value, as `to_example` takes them.
        messages: name to `Feature` message, copied unchanged.

    Raises:
        ValueError: a value that no Example holds.
    """
    pieces: list[Part] = []
    for name, value in sorted({**features, **messages}.items()):
        pieces += _message(name, value) if name in messages else _entry(name, value)
    if not pieces:
        return [], 0
    content = sum(map(_num_bytes, pieces))
    size = _varint(content)
    return _joined([_FIRST + size, *pieces]), 1 + len(size) + content


def feature_names(example: bytes) -> list[bytes] | None:
    """The names of a serialized Example's features, their values unseen; None where that takes a parser."""
    names = []
    try:
        tag, end, position = example[0], *_varint_at(example, 1)
        end += position
        if tag != _FIRST[0] or end != len(example):
            return None
        while position < end:
            tag, size, entry = example[position], *_varint_at(example, position + 1)
            if tag != _FIRST[0] or example[entry] != _FIRST[0]:
                return None
            length, key = _varint_at(example, entry + 1)
            names.append(example[key : key + length])
            position = entry + size
    except IndexError:
        return None
    return names if position == end else None


def _entry(name: str, value: Values) -> tuple[Part, ...]:
    """An entry of the map of features, in pieces."""
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return _front(name, _BYTES_LIST, len(value)), value
    if isinstance(value, memoryview):
        return _front(name, _BYTES_LIST, value.nbytes), value
    if isinstance(value, int | np.integer):
        packed = _packed_int(int(value))
        return _front(name, _INT64_LIST, len(packed)), packed
    if isinstance(value, float | np.floating):
        return _front(name, _FLOAT_LIST, _FLOAT.size), _packed_float(float(value))
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim == 1 and len(value):
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, as protobuf makes it
            packed_floats = np.ascontiguousarray(value, "<f4").view(np.uint8).data
        return _front(name, _FLOAT_LIST, packed_floats.nbytes), packed_floats
    return _message(name, _feature(value))


def _feature(values: Any) -> Any:
    """A list of values of one type as a `Feature` message."""
    feature = Feature()
    first = values[0] if len(values) else 0.0
    if isinstance(first, str):
        feature.bytes_list.value.extend(value.encode() for value in values)
    elif isinstance(first, bytes):
        feature.bytes_list.value.extend(values)
    elif isinstance(first, int | np.integer):
        feature.int64_list.value.extend(values)
    else:
        # A list is several times quicker to take in than an array.
        feature.float_list.value.extend(values.tolist() if isinstance(values, np.ndarray) else values)
    return feature


def _message(name: str, feature: Any) -> tuple[Part, ...]:
    """An entry of the map, of a `Feature` message."""
    serialized = feature.SerializeToString(deterministic=True)
    return _entry_front(name, len(serialized)), serialized


@functools.lru_cache(maxsize=1024)  # the fields of all records are the same, and most of the same size
def _front(name: str, list_tag: bytes, num_bytes: int) -> bytes:
    """What stands in front of a feature's only value, or of its packed ones."""
    front = _FIRST + _varint(num_bytes)
    front = list_tag + _varint(len(front) + num_bytes) + front
    return _entry_front(name, len(front) + num_bytes) + front


def _entry_front(name: str, num_bytes: int) -> bytes:
    """What stands in front of a `Feature` of so many bytes in the map."""
    key = name.encode()
    front = _FIRST + _varint(len(key)) + key + _SECOND + _varint(num_bytes)
    return _FIRST + _varint(len(front) + num_bytes) + front


def _joined(pieces: list[Part]) -> list[Part]:
    """The pieces with small neighbours made one."""
    joined: list[Part] = []
    small: list[Part] = []
    for piece in pieces:
        if _num_bytes(piece) < _LARGE:
            small.append(piece)
            continue
        joined += [b"".join(small), piece]
        small = []
    return [*joined, b"".join(small)] if small else joined


def _num_bytes(piece: Part) -> int:
    return piece.nbytes if isinstance(piece, memoryview) else len(piece)


def _packed_int(value: int) -> bytes:
    if not _LEAST_INT64 <= value < -_LEAST_INT64:
        raise ValueError(f"{value} is no int64, which is all that a tf.train.Example holds")
    return _varint(value & _UINT64)


def _packed_float(value: float) -> bytes:
    try:
        return _FLOAT.pack(value)
    except OverflowError:  # beyond float32 it becomes infinite, as protobuf makes it
        return _FLOAT.pack(math.copysign(math.inf, value))


def _varint(number: int) -> bytes:
    """As protobuf writes numbers: 7 bits a byte, the lowest first, the highest bit of all but the last set."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _varint_at(data: bytes, position: int) -> tuple[int, int]:
    """The number that stands there, and the position behind it.

    Raises:
        IndexError: the data ends in it.
    """
    number = shift = 0
    while data[position] > 0x7F:
        number |= (data[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    return number | data[position] << shift, position + 1
