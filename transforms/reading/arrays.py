"""One feature record as NumPy arrays, with the values that `read_features` gives: no TensorFlow."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.precision import numpy_dtype
from melbeam.transforms.reading.folder import FeatureFolder
from melbeam.transforms.records.example_proto import Example, Feature
from melbeam.transforms.records.schema import BYTES, FLOAT, INT64, TAIL, TENSOR
from melbeam.transforms.records.split_schema import StoredField

# What readers give beside a clip's features: which of its frames are valid.
MASK = "input_features_mask"
HAVE_A_MASK = f"records have {MASK} already, which is made here: read without it, features=[...]"
# TFDS's defaults of what a record lacks, so that every reader gives the same.
DEFAULTS: dict[str, Any] = {BYTES: b"", INT64: np.iinfo(np.int64).min, FLOAT: np.finfo(np.float32).min}
_DTYPES: dict[str, Any] = {BYTES: object, INT64: np.int64, FLOAT: np.float32}
OF_ANOTHER_FRONT_END = (
    "it has features of another front end than its folder, so its shard was made by another job: copy the "
    "folder again, or extract it again; the record and the folder say"
)
OF_OTHER_ROWS = (
    "it has neither as many rows of features as frames nor those of the full length, so its shard was made by "
    "another job (of another dtype?): copy the folder again, or extract it again; rows and frames are"
)
LACKS_TAIL = (
    "holds clips without what lies behind them, and the model takes the full length: extract them again, which "
    "stores it, or what restores it (--pad_to_max_length)"
)
TOO_LONG = (
    "holds clips of more frames than the model of its front_end.json takes: its splits were made with several "
    "max_audio_length: extract those of another one into a folder of their own"
)


class RecordParser:
    """Parses the serialized feature records of a folder.

    Args:
        folder: that they lie in.
        wanted: the columns, "input_features" among them or not; None for all.
        for_a_model: whether what no model should hear is an error: features of another front end than the
            folder's, or of other rows than the record says, and a clip whose full length nothing restores, though
            the model takes that. Else a clip has the rows that are stored.

    Raises:
        ValueError: there is no such column, or one has values of several types.
    """

    def __init__(self, folder: FeatureFolder, wanted: Sequence[str] | None, *, for_a_model: bool = True) -> None:
        self._for_a_model = for_a_model
        self._front_end: FrontEnd = folder.front_end
        self._said_of_it, self._full_length = self._front_end.short_fingerprint, full_length(self._front_end)
        self._encoding = folder.encoding
        self._dtype = np.dtype(np.float32) if folder.encoding == "none" else numpy_dtype(folder.dtype)
        names = None if wanted is None else [name for name in wanted if name != TENSOR]
        columns = folder.columns(names).fields
        self._columns = {name: stored for name, stored in columns.items() if name != TAIL}
        self._gives_features = wanted is None or TENSOR in wanted

    def parse(self, record: bytes) -> dict[str, Any]:
        """The columns of a record: "input_features" `[frames, num_mels]`, scalars, and arrays `[values]`.

        Bytes are `bytes`, and object arrays of `bytes`, since NumPy's own strings drop zeros at their end.

        Raises:
            ValueError: the record is none of such a folder.
        """
        try:
            found = Example.FromString(record).features.feature
        except DecodeError as error:
            raise ValueError(f"the record is no tf.train.Example: {error}") from error
        element = {name: _column(found, name, stored) for name, stored in self._columns.items()}
        if self._gives_features:
            element[TENSOR] = self._features(found)
        return element

    def _features(self, found: Any) -> np.ndarray:
        features = self._rows(found, TENSOR)
        if self._for_a_model:
            self._check(found, len(features))
        if not self._front_end.takes_full_length:
            return features.copy()  # a view of the record could not be written to
        tail = self._rows(found, TAIL) if TAIL in found else features[:0]
        missing = self._front_end.padded_frames - len(features) - len(tail)
        if missing < 0:
            raise ValueError(TOO_LONG)
        if missing and not len(tail):
            if self._for_a_model:
                raise ValueError(LACKS_TAIL)
            return features.copy()
        return np.concatenate([features, tail, np.repeat(tail[-1:], missing, axis=0)])

    def _check(self, found: Any, num_rows: int) -> None:
        """Refuses features that are not what the record and the folder say.

        Raises:
            ValueError: they are those of another front end, or have other rows.
        """
        for said in found["front_end"].bytes_list.value if "front_end" in found else ():
            if said != self._said_of_it.encode():
                raise ValueError(f"{OF_ANOTHER_FRONT_END} {said.decode(errors='replace')} and {self._said_of_it}")
        frames = found["num_frames"].int64_list.value if "num_frames" in found else ()
        is_too_long = self._front_end.takes_full_length and num_rows > self._full_length  # which TOO_LONG tells
        if num_rows not in (*frames, self._full_length) and not is_too_long:
            raise ValueError(f"{OF_OTHER_ROWS} {num_rows} and {', '.join(map(str, frames)) or 'none'}")

    def _rows(self, found: Any, name: str) -> np.ndarray:
        feature = found[name] if name in found else Feature()
        lists = list(feature.float_list.value) or feature.bytes_list.value
        if self._encoding == "none" and name == TENSOR:
            values = np.array(lists, np.float32)
        elif len(lists) != 1:
            raise ValueError(f"{name} has {len(lists)} values, and bytes are expected")
        else:
            data = zlib.decompress(lists[0]) if self._encoding == "zlib" and name == TENSOR else lists[0]
            values = np.frombuffer(data, self._dtype)
        return values.reshape(-1, self._front_end.num_mels)


def full_length(front_end: FrontEnd) -> int:
    """The rows of a clip that is stored padded; -1, which no clip has, where a front end pads none."""
    return -1 if front_end.max_samples is None else front_end.padded_frames


def is_default(value: Any, stored: StoredField) -> bool:
    """Whether a column has the value that stands for a field which its record lacks."""
    return not len(value) if isinstance(value, np.ndarray) else bool(value == DEFAULTS[stored.kind])


def _column(found: Any, name: str, stored: StoredField) -> Any:
    values = getattr(found[name], stored.kind).value if name in found else []
    if stored.is_list:
        return _as_array(values, _DTYPES[stored.kind])
    if not len(values) and stored.optional:
        values = [DEFAULTS[stored.kind]]
    if len(values) != 1:
        raise ValueError(f"{name} has {len(values)} values in its {stored.kind}, and must have one")
    return values[0] if stored.kind == BYTES else _DTYPES[stored.kind](values[0])


def _as_array(values: Sequence[Any], dtype: Any) -> np.ndarray:
    array = np.empty(len(values), dtype)
    array[:] = list(values)
    return array
