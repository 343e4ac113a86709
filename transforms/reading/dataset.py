"""A folder of features as a `tf.data` dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from melbeam.transforms.folder_layout import file_name
from melbeam.transforms.front_end import DEFAULT_FRONT_END, FrontEnd
from melbeam.transforms.presets import find_front_end
from melbeam.transforms.reading.folder import FeatureFolder
from melbeam.transforms.records.schema import BYTES, FLOAT, INT64
from melbeam.transforms.records.split_schema import StoredField

Features = dict[str, tf.Tensor]

_TENSOR, _TAIL = "input_features", "input_features_tail"
_DTYPES = {BYTES: tf.string, INT64: tf.int64, FLOAT: tf.float32}
# TFDS's defaults of what a record lacks, so that every reader gives the same.
_DEFAULTS: dict[str, Any] = {BYTES: b"", INT64: np.iinfo(np.int64).min, FLOAT: np.finfo(np.float32).min}
# Records of a file that is read ahead of its turn.
_READ_AHEAD_RECORDS = 16


def read_features(
    folder: str | Path,
    split: str = "train",
    front_end: FrontEnd | str | Path = DEFAULT_FRONT_END,
    *,
    batch_size: int | None = None,
    drop_remainder: bool = False,
    features: Sequence[str] | None = None,
    num_parallel_reads: int | None = None,
) -> tf.data.Dataset:
    """The features of finished splits, in the order of their shards.

    Args:
        folder: what `melbeam extract --output` wrote.
        split: "train", or "train+train_retried" for one behind the other.
        front_end: the one that your model takes; features of another one are refused.
        batch_size: None for single clips; else batches. Where the model takes a mask, they are padded with zeros
            to their longest clip; where it takes the full length, every clip has that, with the model's silence.
        drop_remainder: leave out a last batch that is smaller.
        features: the columns to read, "input_features" among them or not; None reads all.
        num_parallel_reads: 1 reads one file after the other; else the next ones are read ahead.

    Returns:
        A dataset of dicts: "input_features" `[frames, num_mels]`, or `[batch, frames, num_mels]` whose rows
        past "num_frames" are zero where the model takes a mask; "id", "num_frames", "num_samples" and what was
        passed through. Where a record lacks a field, it has TFDS's default: b"", the smallest int64 or the
        smallest float32.

    Raises:
        ValueError: the folder holds no such split, not all of its shards, or features of another front end; a
            column has values of several types; an argument is out of its bounds.
    """
    for name, value in (("batch_size", batch_size), ("num_parallel_reads", num_parallel_reads)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(f"{name} must be a whole number of at least 1, or None, got {value!r}")
    splits = split.split("+")
    opened = FeatureFolder.open(str(folder), splits, find_front_end(front_end), _read_file)
    parse = _parser(opened, features)
    files = [path for name in splits for path in _present_shards(opened, name)]
    dataset = _read_in_order(files, read_ahead=num_parallel_reads != 1)
    dataset = dataset.map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    wanted = set(dataset.element_spec) if features is None else set(features)
    if batch_size is not None and opened.front_end.takes_full_length:
        dataset = dataset.batch(batch_size, drop_remainder=drop_remainder)
    elif batch_size is not None:
        dataset = dataset.padded_batch(batch_size, drop_remainder=drop_remainder).map(_zero_past_the_end)
    if set(dataset.element_spec) != wanted:
        dataset = dataset.map(lambda element: {name: element[name] for name in element if name in wanted})
    return dataset.prefetch(tf.data.AUTOTUNE)


def _read_in_order(files: list[str], *, read_ahead: bool) -> tf.data.Dataset:
    """The records of the files, one file after the other."""
    if not read_ahead:
        return tf.data.TFRecordDataset(files)
    # A cycle of one file keeps their order; in parallel, tf.data opens and reads the next ones meanwhile.
    return tf.data.Dataset.from_tensor_slices(files).interleave(
        tf.data.TFRecordDataset,
        cycle_length=1,
        block_length=_READ_AHEAD_RECORDS,
        num_parallel_calls=1,
        deterministic=True,
    )


def _present_shards(folder: FeatureFolder, split: str) -> list[str]:
    """The paths of a split's shards, looked for in one listing, since a store takes its time for each question.

    Raises:
        ValueError: some are missing.
    """
    shards = folder.shards(split)
    present = {name.rstrip("/") for name in tf.io.gfile.listdir(folder.path)}
    missing = [path for path in shards if file_name(path) not in present]
    if missing:
        raise ValueError(f"{len(missing)} of {len(shards)} shards are missing, the first is {missing[0]}")
    return shards


def _parser(folder: FeatureFolder, wanted: Sequence[str] | None) -> Callable[[tf.Tensor], Features]:
    """How one record is parsed: the wanted columns, and those that padding needs."""
    front_end = folder.front_end
    tensor_wanted = wanted is None or _TENSOR in wanted
    names = None if wanted is None else [name for name in wanted if name != _TENSOR]
    columns = dict(folder.columns(names).fields)
    columns.pop(_TAIL, None)
    if tensor_wanted:
        columns.setdefault("num_frames", folder.schema.fields["num_frames"])
    specification = {name: _parsing(stored) for name, stored in columns.items()}
    has_tail = tensor_wanted and _TAIL in folder.schema.fields
    if tensor_wanted and folder.encoding == "none":
        specification[_TENSOR] = tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True)
    elif tensor_wanted:
        specification[_TENSOR] = tf.io.FixedLenFeature([], tf.string)
    if has_tail:
        specification[_TAIL] = tf.io.FixedLenFeature([], tf.string, default_value=b"")
    dtype = tf.as_dtype(folder.dtype)

    def rows(stored: tf.Tensor) -> tf.Tensor:
        if stored.dtype == tf.string:
            stored = tf.io.decode_raw(stored, dtype)
        return tf.reshape(stored, [-1, front_end.num_mels])

    def parse(record: tf.Tensor) -> Features:
        example = tf.io.parse_single_example(record, specification)
        if not tensor_wanted:
            return example
        stored = example[_TENSOR]
        if folder.encoding == "zlib":
            stored = tf.io.decode_compressed(stored, "ZLIB")
        features = rows(stored)
        tail = rows(example.pop(_TAIL)) if has_tail else features[:0]
        if front_end.takes_full_length:
            features = _full_length(features, tail, front_end.padded_frames, folder.path)
        return {**example, _TENSOR: features}

    return parse


def _full_length(features: tf.Tensor, tail: tf.Tensor, length: int, path: str) -> tf.Tensor:
    """All rows of a clip: those stored, the tail behind them, and its last row up to the full length."""
    missing = length - tf.shape(features)[0]
    message = (
        f"{path} holds clips without what lies behind them, and the model takes the full length: extract them "
        "again, which stores it, or what restores it (--pad_to_max_length)"
    )
    checks = [tf.debugging.assert_equal((missing > 0) & (tf.shape(tail)[0] == 0), False, message)]
    with tf.control_dependencies([check for check in checks if check is not None]):
        behind = tf.repeat(tail[-1:], missing - tf.shape(tail)[0], axis=0)
    full = tf.concat([features, tail, behind], axis=0)
    return tf.ensure_shape(full, [length, features.shape[1]])


def _zero_past_the_end(batch: Features) -> Features:
    """A batch whose padded rows are zeros, also those that a job stored, which hold the model's silence."""
    if _TENSOR not in batch:
        return batch
    features = batch[_TENSOR]
    valid = tf.sequence_mask(batch["num_frames"], tf.shape(features)[1])[..., tf.newaxis]
    return {**batch, _TENSOR: tf.where(valid, features, tf.zeros_like(features))}


def _read_file(path: str) -> bytes | None:
    try:
        if not tf.io.gfile.exists(path):
            return None
        with tf.io.gfile.GFile(path, "rb") as file:
            return file.read()
    except tf.errors.UnimplementedError as error:
        raise ValueError(
            f"{path}: TensorFlow reads no such paths: copy the folder to this machine or to gs://"
        ) from error


def _parsing(stored: StoredField) -> Any:
    """How `tf.io.parse_single_example` reads one field."""
    dtype = _DTYPES[stored.kind]
    if stored.is_list:
        return tf.io.FixedLenSequenceFeature([], dtype, allow_missing=True)
    return tf.io.FixedLenFeature([], dtype, default_value=_DEFAULTS[stored.kind] if stored.optional else None)
