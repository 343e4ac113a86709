"""The same graph in `tf.data`: features computed on the fly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from melbeam.transforms.audio_inputs import as_array, assert_samples
from melbeam.transforms.bounds import check_flag
from melbeam.transforms.converters import AudioConverter
from melbeam.transforms.front_end import DEFAULT_FRONT_END, FrontEnd
from melbeam.transforms.log_mel import num_frames
from melbeam.transforms.precision import Precision
from melbeam.transforms.presets import find_front_end
from melbeam.transforms.records.schema import TENSOR

Features = dict[str, tf.Tensor]


def log_mel_map(
    front_end: FrontEnd | str | Path = DEFAULT_FRONT_END,
    *,
    pad_to_max_length: bool | None = None,
    precision: Precision = "float64",
    check_audio: bool = True,
) -> Callable[[Features], Features]:
    """A function for `Dataset.map`: {"audio": `[num_samples]`, others} to features and the others.

    "audio" becomes "input_features", `[frames, num_mels]`, and "num_frames", an int64 scalar. Where there
    is a "sampling_rate", it must be the front end's: another one is an error of the data set.

    Args:
        front_end: a `FrontEnd`, the name of a shipped one, a path of a YAML file, or a preset's handle.
        pad_to_max_length: True gives every clip the frames of `max_audio_length`, False its own; None what the
            model takes: all of them for Whisper, which knows no mask.
        precision: of window, FFT and spectrum, "float64" or "float32".
        check_audio: True makes an element whose audio the job would reject an error of the data set, which names
            the element's "id" where it has one: NaN or infinity, floating point beyond a peak of 16, and int64
            beyond 16 bits. False lets NaN and infinity come out as NaN, and computes the others as they are.

    Raises:
        ValueError: an argument is out of its bounds; when mapped, elements without "audio", or that are no dicts,
            or that have a column of ours, and batches (map before you batch).
        TypeError: when mapped, "audio" that holds no samples.
    """
    check_flag("check_audio", check_audio)
    found = find_front_end(front_end)
    pads = found.takes_full_length if pad_to_max_length is None else pad_to_max_length
    converter = AudioConverter(found, pad_to_max_length=pads, precision=precision)

    def log_mel(element: Features, *others: Any) -> Features:
        _check_element(element, *others)
        given = element["audio"]
        audio = given if isinstance(given, tf.RaggedTensor) else tf.convert_to_tensor(as_array(given))
        if audio.shape.rank != 1:
            raise ValueError(
                f"audio must be [num_samples], got shape {audio.shape}: map before you batch, and average channels"
            )
        about = ["; id", element["id"]] if isinstance(element.get("id"), tf.Tensor) else []
        # They stand before the features' program, which may be compiled: there they would be dropped.
        with tf.control_dependencies(assert_samples(audio, *about) if check_audio else []):
            features = converter(tf.identity(audio), sampling_rate=element.get("sampling_rate"))
        frames = num_frames(tf.shape(audio, out_type=tf.int64)[0], converter.front_end)
        kept = {name: value for name, value in element.items() if name != "audio"}
        return {**kept, TENSOR: features, "num_frames": frames}

    # It is graph code already, and its errors are seen as they are.
    mapped: Callable[[Features], Features] = tf.autograph.experimental.do_not_convert(log_mel)
    return mapped


def _check_element(element: Any, *others: Any) -> None:
    """Refuses elements that are no dicts with "audio", and those whose columns features would take the place of.

    Raises:
        ValueError: it is one.
    """
    if others or not isinstance(element, Mapping):
        got = f"a tuple of {1 + len(others)}" if others else f"a {type(element).__name__}"
        raise ValueError(
            f"elements must be dicts with a feature 'audio', got {got}: name what they hold first, "
            'dataset.map(lambda audio, label: {"audio": audio, "label": label})'
        )
    if "audio" not in element:
        raise ValueError(f"elements need a feature 'audio', got {sorted(element)}")
    if taken := [name for name in (TENSOR, "num_frames") if name in element]:
        raise ValueError(
            f"elements have {' and '.join(taken)} already, which is made here: rename or drop it first"
        )
