"""SpecAugment, for features in `tf.data`: blocks of frames and of mel bins are masked (Park et al. 2019).

Daniel S. Park et al., "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition", 2019,
https://arxiv.org/abs/1904.08779, section 2; without its time warping, the least of its three by its own account.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from melbeam.transforms.bounds import check_integer, check_number
from melbeam.transforms.reading.parsing import Features
from melbeam.transforms.records.schema import TENSOR


def spec_augment(
    *,
    num_time_masks: int = 2,
    max_time_frames: int = 100,
    max_time_fraction: float = 1.0,
    num_frequency_masks: int = 2,
    max_frequency_bins: int = 27,
    value: float | None = None,
    seed: int = 0,
) -> Callable[..., Features]:
    """A function for `Dataset.map` that masks blocks of time and of frequency, in clips or batches.

    The masks depend on nothing but `seed`, a clip's "id", and the number that comes with the element. A data set
    of elements alone gives a clip the same masks in every epoch; one of (element, number) gives it others with
    every number. The first of these may be iterated again for every epoch, as Keras' `fit` does; the second counts
    on, and after a checkpoint gives the masks that it would have given::

        numbers = tf.data.Dataset.random(seed=1, rerandomize_each_iteration=True)
        dataset = tf.data.Dataset.zip((dataset, numbers)).map(spec_augment(seed=1))

        numbers = tf.data.Dataset.counter()
        dataset = tf.data.Dataset.zip((dataset.repeat(epochs), numbers)).map(spec_augment(seed=1))

    Args:
        num_time_masks: blocks of frames, of 0 to `max_time_frames` each; they may overlap. The defaults are the
            paper's policy "LibriSpeech double".
        max_time_frames: the paper's T.
        max_time_fraction: the paper's p: no block of frames is longer than this share of its clip.
        num_frequency_masks: blocks of mel bins, of 0 to `max_frequency_bins` each.
        max_frequency_bins: the paper's F.
        value: of what is masked; None takes the mean of the clip's valid frames, as the paper does, whose features
            have mean 0.
        seed: of the masks.

    Returns:
        A function that takes an element with "input_features" `[frames, mels]` or `[batch, frames, mels]` and
        "num_frames", or such an element and a number, and gives the element with features masked. Only valid
        frames are masked.

    Raises:
        ValueError: an argument is out of its bounds; when mapped, elements without "num_frames", or without both
            an "id" and a number.
    """
    for name, number in (
        ("num_time_masks", num_time_masks),
        ("max_time_frames", max_time_frames),
        ("num_frequency_masks", num_frequency_masks),
        ("max_frequency_bins", max_frequency_bins),
    ):
        check_integer(name, number, at_least=0)
    check_number("max_time_fraction", max_time_fraction, at_least=0, at_most=1)
    if value is not None:
        check_number("value", value)
    check_integer("seed", seed, at_least=-(2**63), at_most=2**63 - 1)

    def augment(element: Features, number: tf.Tensor | None = None) -> Features:
        missing = [name for name in (TENSOR, "num_frames") if name not in element]
        if missing:
            raise ValueError(f"elements need {' and '.join(missing)}, got {sorted(element)}")
        is_clip = element[TENSOR].shape.rank == 2
        features = element[TENSOR][tf.newaxis] if is_clip else element[TENSOR]
        frames = tf.reshape(tf.cast(element["num_frames"], tf.int32), [-1])
        seeds = _seeds(element, number, seed, tf.shape(frames)[0])
        bins = tf.fill(tf.shape(frames), tf.shape(features)[2])
        longest = tf.minimum(max_time_frames, tf.cast(max_time_fraction * tf.cast(frames, tf.float32), tf.int32))
        masked_frames = _blocks(seeds, 0, num_time_masks, longest, frames, tf.shape(features)[1])
        widest = tf.minimum(max_frequency_bins, bins)
        masked_bins = _blocks(seeds, 1, num_frequency_masks, widest, bins, tf.shape(features)[2])
        valid = tf.sequence_mask(frames, tf.shape(features)[1])
        masked = (masked_frames[:, :, tf.newaxis] | masked_bins[:, tf.newaxis, :]) & valid[:, :, tf.newaxis]
        filling = _means(features, valid) if value is None else tf.fill(tf.shape(frames), float(value))
        augmented = tf.where(masked, tf.cast(filling, features.dtype)[:, tf.newaxis, tf.newaxis], features)
        augmented = tf.ensure_shape(augmented, features.shape)
        return {**element, TENSOR: augmented[0] if is_clip else augmented}

    return augment


def _seeds(element: Features, number: tf.Tensor | None, seed: int, num_clips: tf.Tensor) -> tf.Tensor:
    """The seed of each clip, int64 `[clips, 2]`."""
    if "id" in element:
        keys = tf.reshape(tf.strings.to_hash_bucket_fast(element["id"], 2**63 - 1), [-1])
    elif number is None:
        raise ValueError(
            "elements need an 'id', or to come as (element, number), so that clips get masks of their own: read "
            "the id too, or zip the data set with tf.data.Dataset.random"
        )
    else:
        keys = tf.range(tf.cast(num_clips, tf.int64))
    counted = tf.zeros([], tf.int64) if number is None else tf.cast(number, tf.int64)
    fold_in = tf.random.experimental.stateless_fold_in
    of_number = fold_in(tf.constant([seed, 0], tf.int64), counted)
    return tf.map_fn(lambda key: fold_in(of_number, key), keys)


def _blocks(
    seeds: tf.Tensor, kind: int, count: int, longest: tf.Tensor, lengths: tf.Tensor, size: tf.Tensor
) -> tf.Tensor:
    """Which places the blocks of each clip cover, bool `[clips, size]`.

    A block's length t is drawn from 0 to `longest`, its beginning from 0 up to, and without, length - t.
    """
    draw = tf.map_fn(
        lambda of_clip: tf.random.stateless_uniform(
            [count, 2], tf.random.experimental.stateless_fold_in(of_clip, kind)
        ),
        seeds,
        fn_output_signature=tf.float32,
    )
    # A draw is below 1, but its product may be rounded up to the bound.
    longest, lengths = longest[:, tf.newaxis], lengths[:, tf.newaxis]
    length = tf.minimum(_scaled(draw[..., 0], longest + 1), longest)
    room = lengths - length
    start = tf.clip_by_value(_scaled(draw[..., 1], room), 0, tf.maximum(room - 1, 0))
    places = tf.range(size)[tf.newaxis, tf.newaxis]
    start, end = start[..., tf.newaxis], (start + length)[..., tf.newaxis]
    return tf.reduce_any((places >= start) & (places < end), axis=1)


def _scaled(draw: tf.Tensor, bound: tf.Tensor) -> tf.Tensor:
    return tf.cast(draw * tf.cast(bound, tf.float32), tf.int32)


def _means(features: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """The mean of each clip's valid frames, float32 `[clips]`; 0 where it has none."""
    values = tf.where(valid[..., tf.newaxis], tf.cast(features, tf.float32), 0.0)
    count = tf.reduce_sum(tf.cast(valid, tf.float32), axis=1) * tf.cast(tf.shape(features)[2], tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(values, axis=[1, 2]), count)
