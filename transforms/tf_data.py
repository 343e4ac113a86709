"""The same graph in `tf.data`: features computed on the fly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from melbeam.transforms.converters import AudioConverter
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.log_mel import Precision, num_frames

Features = dict[str, tf.Tensor]


def log_mel_map(
    front_end: FrontEnd | str | Path = "gemma4",
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
