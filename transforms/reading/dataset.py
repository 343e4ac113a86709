"""A folder of features as a `tf.data` dataset."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from melbeam.transforms.bounds import check_flag, check_integer
from melbeam.transforms.folder_layout import file_name
from melbeam.transforms.front_end import DEFAULT_FRONT_END, FrontEnd
from melbeam.transforms.presets import find_front_end
from melbeam.transforms.reading.arrays import HAVE_A_MASK, MASK
from melbeam.transforms.reading.batching import bucketed_batches, padded_batches, with_mask
from melbeam.transforms.reading.buckets import num_batches
from melbeam.transforms.reading.folder import FeatureFolder, checked_columns
from melbeam.transforms.reading.parsing import record_parser
from melbeam.transforms.reading.shards import names_in, read_any_file, shards_and_records
from melbeam.transforms.reading.splits import ShardRange, part_of
from melbeam.transforms.records.schema import TENSOR

# Records of a file that is read ahead of its turn.
_READ_AHEAD_RECORDS = 16
# Shards that a shuffled data set reads at a time, a record of each in turn.
_SHARDS_AT_ONCE = 16
# What the buffer of a shuffled data set may take: 170 clips of 30 s in float32, 500 of 10 s.
_SHUFFLE_BYTES = 256 << 20  # 256 MiB


def read_features(
    folder: str | Path,
    split: str = "train",
    front_end: FrontEnd | str | Path = DEFAULT_FRONT_END,
    *,
    batch_size: int | None = None,
    drop_remainder: bool = False,
    bucket_by_frames: int | None = None,
    shuffle: bool | int = False,
    seed: int | None = None,
    reshuffle_each_iteration: bool = True,
    mask: bool = False,
    shard: tuple[int, int] | None = None,
    input_context: tf.distribute.InputContext | None = None,
    features: Sequence[str] | None = None,
    num_parallel_reads: int | None = None,
) -> tf.data.Dataset:
    """The features of finished splits: in the order of their shards, or shuffled.

    Args:
        folder: what `melbeam extract --output` wrote: a local path, `gs://...` or `s3://...`, or one of another
            scheme that the TensorFlow that is there reads.
        split: "train"; "train+train_retried" for one behind the other; or TFDS's slices, "train[:90%]".
        front_end: the one that your model takes; features of another one are refused.
        batch_size: None for single clips; else batches. Where the model takes a mask, they are padded with zeros
            to their longest clip; where it takes the full length, every clip has that, with the model's silence.
        drop_remainder: leave out a last batch that is smaller; with buckets, the last one of each.
        bucket_by_frames: in place of `batch_size`, batches of clips of about the same length, with at most so many
            frames in all, padding counted. A clip that is longer is an error of the data set.
        shuffle: True shuffles the shards, and the records in a buffer of 256 MiB; a number is the buffer's size
            in records.
        seed: of the shuffling; the same one gives the same orders again. None gives others on every run.
        reshuffle_each_iteration: another order each time that the data set is iterated over.
        mask: adds "input_features_mask", bool `[frames]` or `[batch, frames]`, True where frames are valid.
        shard: (index, count): the records of host number `index` of `count`. Each record is that of one host, and
            no host has more than one record more than another.
        input_context: the same, as tf.distribute says it; `batch_size` stays that of a host's own batches.
        features: the columns to read, "input_features" among them or not; None reads all.
        num_parallel_reads: files that are read at a time where the records are shuffled, 16 by default; else 1
            reads one file after the other, and anything more also reads the next one ahead.

    Returns:
        A dataset of dicts: "input_features" `[frames, num_mels]`, or `[batch, frames, num_mels]` whose rows
        past "num_frames" are zero where the model takes a mask; "id", "num_frames", "num_samples" and what was
        passed through. Where a record lacks a field, it has TFDS's default: b"", the smallest int64 or the
        smallest float32. Its cardinality is known; with buckets, where the splits have an index. A record that
        says another front end than the folder, or has other rows than its frames, is an error of the data set.
        So is a damaged one: leave `Dataset.ignore_errors()` out, which would wait for ever for the records that
        the metadata promise; `melbeam verify` names what is damaged.

    Raises:
        ValueError: the folder holds no such split, not all of its shards, or features of another front end; a
            column has values of several types; an argument is out of its bounds, or contradicts another.
        OSError: a store refused, or its client is not installed.
    """
    counts = {
        "batch_size": batch_size,
        "num_parallel_reads": num_parallel_reads,
        "bucket_by_frames": bucket_by_frames,
    }
    flags = {"drop_remainder": drop_remainder, "reshuffle_each_iteration": reshuffle_each_iteration, "mask": mask}
    _check_arguments(counts, flags, shuffle, seed)
    features = checked_columns(features)
    if batch_size is not None and bucket_by_frames is not None:
        raise ValueError(f"batch_size={batch_size} and bucket_by_frames={bucket_by_frames} exclude each other")
    found = find_front_end(front_end)
    for name, asked in (("bucket_by_frames", bucket_by_frames is not None), ("mask", mask)):
        if asked and found.takes_full_length:
            raise ValueError(
                f"{name}: the model of front end {found.name!r} takes every clip at {found.padded_frames} frames, "
                "and no mask: leave it out, and use batch_size"
            )
        if asked and features is not None and TENSOR not in features:
            raise ValueError(f"{name} needs {TENSOR!r} among features={list(features)}")
    opened = _part(FeatureFolder.open(folder, split, found, read_any_file), shard, input_context)
    parse = record_parser(opened, features)
    shards = _present_shards(opened)

    if shuffle:
        dataset = _read_shuffled(opened, shards, shuffle, seed, reshuffle_each_iteration, num_parallel_reads)
    else:
        dataset = _read_in_order(opened, shards, read_ahead=num_parallel_reads != 1)
    # Fewer or more records than the metadata say are an error of the data set.
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(opened)))
    dataset = dataset.map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    wanted = set(dataset.element_spec) if features is None else set(features)
    if bucket_by_frames is not None:
        dataset = bucketed_batches(dataset, bucket_by_frames, drop_remainder=drop_remainder)
        dataset = _with_known_batches(dataset, opened, bucket_by_frames, drop_remainder=drop_remainder)
    elif batch_size is not None and found.takes_full_length:
        # Its clips have one length and nothing is padded in them, but lists of other columns may be unequal.
        dataset = dataset.padded_batch(batch_size, drop_remainder=drop_remainder)
    elif batch_size is not None:
        dataset = padded_batches(dataset, batch_size, drop_remainder=drop_remainder)
    if mask and MASK in wanted:
        raise ValueError(f"{opened.path}: {HAVE_A_MASK}")
    if mask:
        dataset, wanted = dataset.map(with_mask), wanted | {MASK}
    if set(dataset.element_spec) != wanted:
        dataset = dataset.map(lambda element: {name: element[name] for name in element if name in wanted})
    return dataset.prefetch(tf.data.AUTOTUNE)


def _check_arguments(counts: dict[str, Any], flags: dict[str, Any], shuffle: Any, seed: Any) -> None:
    for name, value in counts.items():
        is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if value is not None and (not is_whole or value < 1):
            raise ValueError(f"{name} must be a whole number of at least 1, or None, got {value!r}")
    for name, value in flags.items():
        check_flag(name, value)
    if not isinstance(shuffle, bool | np.bool_):
        check_integer("shuffle, where it is not True or False,", shuffle, at_least=1, unit="records")
    if seed is not None:
        check_integer("seed", seed, at_least=-(2**63), at_most=2**63 - 1)


def _part(
    folder: FeatureFolder, shard: tuple[int, int] | None, input_context: tf.distribute.InputContext | None
) -> FeatureFolder:
    """The folder, opened for one host's records."""
    if input_context is not None:
        if shard is not None:
            raise ValueError("shard and input_context say the same: give one of them")
        shard = (input_context.input_pipeline_id, input_context.num_input_pipelines)
    if shard is None:
        return folder
    try:
        index, count = shard
    except (TypeError, ValueError) as error:
        raise ValueError(f"shard must be (index, count), got {shard!r}") from error
    check_integer("shard's count", count, at_least=1)
    check_integer("shard's index", index, at_least=0, at_most=count - 1)
    return replace(folder, ranges=tuple(part_of(folder.ranges, int(index), int(count))))


def _read_in_order(folder: FeatureFolder, shards: Sequence[ShardRange], *, read_ahead: bool) -> tf.data.Dataset:
    """The records of the files, one file after the other."""
    files, records_of = shards_and_records(folder, shards)
    if not read_ahead:
        return files.flat_map(records_of)
    # A cycle of one file keeps their order; in parallel, tf.data opens and reads the next ones meanwhile.
    return files.interleave(
        records_of, cycle_length=1, block_length=_READ_AHEAD_RECORDS, num_parallel_calls=1, deterministic=True
    )


def _read_shuffled(
    folder: FeatureFolder,
    shards: Sequence[ShardRange],
    shuffle: bool | int,
    seed: int | None,
    reshuffle_each_iteration: bool,
    num_parallel_reads: int | None,
) -> tf.data.Dataset:
    """The records of the files in another order: that of the files, of several in turn, and of a buffer."""
    settings: dict[str, Any] = {"seed": seed, "reshuffle_each_iteration": reshuffle_each_iteration}
    files, records_of = shards_and_records(folder, shards)
    records = files.shuffle(max(1, len(shards)), **settings).interleave(
        records_of,
        cycle_length=min(max(1, len(shards)), num_parallel_reads or _SHARDS_AT_ONCE),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return records.shuffle(
        _buffer_size(folder) if isinstance(shuffle, bool | np.bool_) else int(shuffle), **settings
    )


def _buffer_size(folder: FeatureFolder) -> int:
    """The records that may wait in a shuffled data set, by their mean size."""
    splits = {wanted.split for wanted in folder.ranges}
    records = sum(sum(folder.shard_lengths[split]) for split in splits)
    size = sum(folder.num_bytes[split] for split in splits) / max(1, records)
    return max(1, min(len(folder), int(_SHUFFLE_BYTES / max(1.0, size))))


def _with_known_batches(
    dataset: tf.data.Dataset, folder: FeatureFolder, most_frames: int, *, drop_remainder: bool
) -> tf.data.Dataset:
    """The batches with their number, where the splits have an index: it is the same in every order."""
    try:
        frames = folder.frames(read_any_file)
    except ValueError:
        return dataset
    if len(frames) and frames.max() > most_frames:
        raise ValueError(
            f"{folder.path}: a clip has {frames.max()} frames, more than bucket_by_frames={most_frames}: raise it"
        )
    count = num_batches(frames, most_frames, drop_remainder=drop_remainder)
    return dataset.apply(tf.data.experimental.assert_cardinality(count))


def _present_shards(folder: FeatureFolder) -> list[ShardRange]:
    """The shards, looked for in one listing, since a store takes its time for each question.

    Raises:
        ValueError: some are missing.
    """
    shards = folder.shards()
    paths = [folder.shard_path(shard) for shard in shards]
    present = names_in(folder.path)
    missing = [path for path in paths if file_name(path) not in present]
    if missing:
        raise ValueError(f"{len(missing)} of {len(paths)} shards are missing, the first is {missing[0]}")
    return shards
