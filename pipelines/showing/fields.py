"""A feature record in words: a line a field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from melbeam.pipelines import words
from melbeam.pipelines.words import harmless
from melbeam.transforms.reading.arrays import is_default
from melbeam.transforms.records.schema import TENSOR, TEXT
from melbeam.transforms.records.split_schema import StoredField

_LONGEST = 1000  # characters of a value
_SHOWN_VALUES = 12  # of a list
# What a person looks for first.
_FIRST = ("id", TEXT, "num_frames", "num_samples", "sampling_rate", "num_audio_tokens", "source")


def field_lines(record: Mapping[str, Any], schema: Mapping[str, StoredField]) -> Iterator[str]:
    """Yields a line for each field that the record has, the tensor of the features last.

    Args:
        record: as `FeatureSource` gives it.
        schema: of the fields; what a record lacks is told from it, by the default that stands in its place.
    """
    names = [name for name in _FIRST if name in record]
    names += sorted(name for name in record if name not in (*_FIRST, TENSOR))
    width = max(map(len, (*map(harmless, names), TENSOR)))
    for name in names:
        if not _is_lacking(record[name], schema[name]):
            yield f"  {harmless(name):{width}}  {_in_words(record[name])}{_seconds(name, record)}"
    if TENSOR in record:
        yield f"  {TENSOR:{width}}  {_tensor_in_words(record[TENSOR], int(record['num_frames']))}"


def _is_lacking(value: Any, stored: StoredField) -> bool:
    return (stored.is_list or stored.optional) and is_default(value, stored)


def _seconds(name: str, record: Mapping[str, Any]) -> str:
    if name != "num_samples" or not record.get("sampling_rate"):
        return ""
    return f" ({words.duration(int(record[name]) / int(record['sampling_rate']))})"


def _in_words(value: Any) -> str:
    if isinstance(value, bytes):
        return _cut(harmless(value))
    if isinstance(value, np.ndarray):
        shown = ", ".join(_in_words(one) for one in value[:_SHOWN_VALUES])
        return f"[{shown}]" if len(value) <= _SHOWN_VALUES else f"[{shown}, ... {len(value)} values]"
    return f"{value:.6g}" if isinstance(value, np.floating) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def _tensor_in_words(features: np.ndarray, num_frames: int) -> str:
    shape = f"{features.dtype} {list(features.shape)}"
    if len(features) > num_frames:
        shape += f", of which {num_frames} frames are valid"
    valid = np.asarray(features[:num_frames], np.float64)
    if not valid.size:
        return shape
    return f"{shape}; mean {valid.mean():.4g}, deviation {valid.std():.4g}, {valid.min():.4g} to {valid.max():.4g}"
