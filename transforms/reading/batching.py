"""Clips of unequal length joined to batches: padded with zeros, of a number of clips or of a number of frames."""

from __future__ import annotations

import tensorflow as tf

from melbeam.transforms.reading.arrays import MASK
from melbeam.transforms.reading.buckets import bucket_ends
from melbeam.transforms.reading.parsing import Features
from melbeam.transforms.records.schema import TENSOR


def padded_batches(dataset: tf.data.Dataset, batch_size: int, *, drop_remainder: bool) -> tf.data.Dataset:
    """Batches of so many clips, padded with zeros to the longest."""
    return dataset.padded_batch(batch_size, drop_remainder=drop_remainder).map(_zero_past_the_end)


def bucketed_batches(dataset: tf.data.Dataset, most_frames: int, *, drop_remainder: bool) -> tf.data.Dataset:
    """Batches of clips of about the same length, of at most so many padded frames each."""
    ends = bucket_ends(most_frames)
    dataset = dataset.map(lambda clip: _without_padding(clip, most_frames))
    return dataset.bucket_by_sequence_length(
        lambda clip: tf.cast(clip["num_frames"], tf.int32),
        # TensorFlow's boundaries are behind the longest of a bucket; no clip is beyond the last one.
        bucket_boundaries=[end + 1 for end in ends],
        bucket_batch_sizes=[*(most_frames // end for end in ends), 1],
        drop_remainder=drop_remainder,
    )


def with_mask(element: Features) -> Features:
    """A clip or a batch with "input_features_mask", bool `[..., frames]`, True where frames are valid."""
    return {**element, MASK: tf.sequence_mask(element["num_frames"], tf.shape(element[TENSOR])[-2])}


def _without_padding(clip: Features, most_frames: int) -> Features:
    """A clip without the rows behind its last valid frame, which a job may have stored.

    Raises:
        tf.errors.InvalidArgumentError: it has more frames than a batch may have, where the data set is read.
    """
    frames = tf.cast(clip["num_frames"], tf.int32)
    about = [f"a clip has more frames than bucket_by_frames={most_frames}: raise it; frames", frames]
    if "id" in clip:
        about += ["id", clip["id"]]
    with tf.control_dependencies([tf.debugging.Assert(frames <= most_frames, about)]):
        return {**clip, TENSOR: clip[TENSOR][: tf.identity(frames)]}


def _zero_past_the_end(batch: Features) -> Features:
    """A batch whose padded rows are zeros, also those that a job stored, which hold the model's silence."""
    if TENSOR not in batch:
        return batch
    features = batch[TENSOR]
    valid = tf.sequence_mask(batch["num_frames"], tf.shape(features)[1])[..., tf.newaxis]
    return {**batch, TENSOR: tf.where(valid, features, tf.zeros_like(features))}
