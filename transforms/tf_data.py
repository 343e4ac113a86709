"""The same graph in `tf.data`: compute features on the fly, or read those that were written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from melbeam.transforms.converters import AudioConverter
from melbeam.transforms.front_end import DEFAULT_FRONT_END, FrontEnd
from melbeam.transforms.log_mel import Precision, num_frames
from melbeam.transforms.presets import find_front_end

Features = dict[str, tf.Tensor]


def log_mel_map(
    front_end: FrontEnd | str | Path = DEFAULT_FRONT_END,
    *,
    pad_to_max_length: bool = False,
    precision: Precision = "float64",
) -> Callable[[Features], Features]:
    """A function for `Dataset.map`: {"audio": `[num_samples]`, others} to features and the others.

    "audio" becomes "input_features", `[frames, num_mels]`, and "num_frames", an int64 scalar. Where there
    is a "sampling_rate", it must be the front end's: another one is an error of the data set.

    Raises:
        ValueError: when mapped, elements without "audio", or batches (map before you batch).
    """
    converter = AudioConverter(front_end, pad_to_max_length=pad_to_max_length, precision=precision)
    expected_rate = converter.front_end.sampling_rate

    def log_mel(element: Features) -> Features:
        if "audio" not in element:
            raise ValueError(f"elements need a feature 'audio', got {sorted(element)}")
        audio = element["audio"]
        if audio.shape.rank != 1:
            raise ValueError(f"audio must be [num_samples], got shape {audio.shape}: map before you batch")
        checks = []
        if "sampling_rate" in element:
            rate = tf.cast(element["sampling_rate"], tf.int64)
            message = f"audio must be at the front end's {expected_rate} Hz: resample it first"
            checks.append(tf.debugging.assert_equal(rate, tf.constant(expected_rate, tf.int64), message))
        with tf.control_dependencies([check for check in checks if check is not None]):
            features = converter(tf.identity(audio))
        frames = num_frames(tf.shape(audio, out_type=tf.int64)[0], converter.front_end)
        others = {name: value for name, value in element.items() if name != "audio"}
        return {**others, "input_features": features, "num_frames": frames}

    return log_mel


def read_features(
    folder: str | Path,
    split: str = "train",
    front_end: FrontEnd | str | Path = DEFAULT_FRONT_END,
    *,
    batch_size: int | None = None,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """The features of a finished split, in the order of their shards.

    Args:
        folder: what `melbeam extract --output` wrote.
        split: "train", for example.
        front_end: the one that your model takes; features of another one are refused.
        batch_size: None for single clips; else batches, padded with zeros to their longest clip.
        drop_remainder: leave out a last batch that is smaller.

    Returns:
        A dataset of dicts: "input_features" `[frames, num_mels]`, or `[batch, frames, num_mels]` whose rows
        past "num_frames" are zero; "id", "num_frames", "num_samples" and what was passed through.

    Raises:
        ValueError: the folder holds no such split, not all of its shards, or features of another front end.
    """
    expected = find_front_end(front_end)
    written = FrontEnd.from_dict(_read_json(folder, "front_end.json")["front_end"])
    if written.fingerprint != expected.fingerprint:
        differences = [
            f"{name} {value!r} instead of {expected.to_dict()[name]!r}"
            for name, value in written.to_dict().items()
            if value != expected.to_dict()[name]
        ]
        raise ValueError(
            f"{folder} holds features of front end {written.name!r} ({written.fingerprint[:16]}), not of "
            f"{expected.name!r} ({expected.fingerprint[:16]}): {'; '.join(differences)}"
        )
    splits = {entry["name"]: entry for entry in _read_json(folder, "dataset_info.json")["splits"]}
    if split not in splits:
        raise ValueError(f"{folder} has no finished split {split!r}; it has {', '.join(splits) or 'none'}")
    shards = len(splits[split]["shardLengths"])
    files = [f"{folder}/{split}-{i:05d}-of-{shards:05d}.tfrecord" for i in range(shards)]
    missing = [file for file in files if not tf.io.gfile.exists(file)]
    if missing:
        raise ValueError(f"{len(missing)} of {shards} shards are missing, the first is {missing[0]}")

    schema = _read_json(folder, "features.json")["featuresDict"]["features"]
    tensor = schema["input_features"]["tensor"]
    specification = {name: _parsing(feature) for name, feature in schema.items()}
    dtype = tf.as_dtype(tensor["dtype"])

    def parse(record: tf.Tensor) -> Features:
        example = tf.io.parse_single_example(record, specification)
        features = example["input_features"]
        if tensor["encoding"] == "bytes":
            features = tf.io.decode_raw(features, dtype)
        features = tf.reshape(features, [-1, written.num_mels])
        return {**example, "input_features": features}

    # Padded rows of a stored clip are the model's silence, not zeros: they are zeroed with the batch's.
    def zero_past_the_end(batch: Features) -> Features:
        features = batch["input_features"]
        valid = tf.sequence_mask(batch["num_frames"], tf.shape(features)[1])[..., tf.newaxis]
        return {**batch, "input_features": tf.where(valid, features, tf.zeros_like(features))}

    dataset = tf.data.TFRecordDataset(files).map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    if batch_size is not None:
        dataset = dataset.padded_batch(batch_size, drop_remainder=drop_remainder).map(zero_past_the_end)
    return dataset.prefetch(tf.data.AUTOTUNE)


def _read_json(folder: str | Path, name: str) -> dict[str, Any]:
    path = f"{folder}/{name}"
    try:
        present = tf.io.gfile.exists(path)
    except tf.errors.UnimplementedError as error:
        raise ValueError(
            f"{path}: TensorFlow reads no such paths: copy the folder to this machine or to gs://"
        ) from error
    if not present:
        raise ValueError(f"{path} is missing: {folder} is not what a finished `melbeam extract` leaves")
    with tf.io.gfile.GFile(path) as file:
        return json.loads(file.read())


def _parsing(feature: dict[str, Any]) -> Any:
    """How `tf.io.parse_single_example` reads one feature of features.json."""
    if "sequence" in feature:
        inner = feature["sequence"]["feature"]
        return tf.io.FixedLenSequenceFeature([], _stored_dtype(inner), allow_missing=True)
    if feature.get("tensor", {}).get("shape", {}).get("dimensions") and feature["tensor"]["encoding"] != "bytes":
        return tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True)
    return tf.io.FixedLenFeature([], _stored_dtype(feature))


def _stored_dtype(feature: dict[str, Any]) -> tf.DType:
    if "text" in feature or feature.get("tensor", {}).get("encoding") == "bytes":
        return tf.string
    return tf.as_dtype(feature["tensor"]["dtype"])
