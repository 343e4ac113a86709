"""The converter as a model for serving: SavedModel and TFLite, neither of which needs melbeam."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from melbeam.transforms import log_mel
from melbeam.transforms.block_kernel import plain_graphs
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.graph_audio import decode_in_graph
from melbeam.transforms.records.schema import TENSOR


def export_saved_model(
    converter: Callable[..., tf.Tensor],
    front_end: FrontEnd,
    folder: str | Path,
    *,
    xla: bool = False,
    from_bytes: bool = False,
) -> None:
    """Writes a SavedModel of a converter, for any batch size and length.

    Its graph is plain, which any server runs. With `xla`, it is the compiled blocks that the converter itself
    runs: twice as fast, with the converter's bits, where the server compiles (TensorFlow Serving wants
    --xla_cpu_compilation_enabled).

    Signatures, audio being float32 `[batch, num_samples]` in [-1, 1):

    - "serving_default": audio to "input_features", `[batch, frames, num_mels]`;
    - "with_lengths": audio and lengths, int32 `[batch]` (valid samples of each row), to "input_features" and
      "num_frames", int32 `[batch]`.

    - with `from_bytes`, "from_bytes": contents, string `[batch]` (whole audio files), to the same two, decoded and
      resampled by `graph_audio`, whose limits it has. Where tensorflow-io is installed when it is exported, who
      loads the model loads that one's operations first, which importing it does not:
      `from tensorflow_io.python.ops import core_ops; dir(core_ops)`.

    `assets.extra/front_end.yaml` holds the front end, with its fingerprint.
    """
    audio = tf.TensorSpec([None, None], tf.float32, name="audio")
    lengths = tf.TensorSpec([None], tf.int32, name="lengths")

    def with_lengths(audio: tf.Tensor, lengths: tf.Tensor) -> dict[str, tf.Tensor]:
        frames = log_mel.num_frames(lengths, front_end)
        return {TENSOR: converter(audio, lengths), "num_frames": frames}

    module = tf.Module()
    module.convert = tf.function(
        lambda audio: {TENSOR: converter(audio)}, input_signature=[audio], autograph=False
    )
    module.convert_with_lengths = tf.function(with_lengths, input_signature=[audio, lengths], autograph=False)
    signatures = {"serving_default": module.convert, "with_lengths": module.convert_with_lengths}
    if from_bytes:
        contents = tf.TensorSpec([None], tf.string, name="contents")

        def convert_bytes(contents: tf.Tensor) -> dict[str, tf.Tensor]:
            clips = tf.map_fn(
                lambda one: decode_in_graph(one, front_end.sampling_rate),
                contents,
                fn_output_signature=tf.RaggedTensorSpec([None], tf.float32),
            )
            return with_lengths(clips.to_tensor(), tf.cast(clips.row_lengths(), tf.int32))

        module.convert_bytes = tf.function(convert_bytes, input_signature=[contents], autograph=False)
        signatures["from_bytes"] = module.convert_bytes
    with contextlib.nullcontext() if xla else plain_graphs():
        tf.saved_model.save(module, str(folder), signatures=signatures)
    extra = f"{folder}/assets.extra"
    tf.io.gfile.makedirs(extra)
    with tf.io.gfile.GFile(f"{extra}/front_end.yaml", "w") as file:
        file.write(f"# fingerprint: {front_end.fingerprint}\n{front_end.to_yaml()}")


def export_tflite(front_end: FrontEnd, path: str | Path, *, pad_to_max_length: bool) -> None:
    """Writes a TFLite model of built-in operations only, for any batch size and length.

    Its one input is float32 `[batch, num_samples]` (`Interpreter.resize_tensor_input` says how large), its one
    output `[batch, frames, num_mels]`. TFLite has no float64, so precision is float32; and its FFT takes powers
    of two only, so other lengths (400) are multiplied by the transform's matrix. A clip of no frames is computed,
    but TensorFlow's interpreter in Python hands no empty result out ("Invalid tensor size").
    """
    by_matrix = front_end.fft_length & (front_end.fft_length - 1) != 0

    def features(audio: tf.Tensor) -> tf.Tensor:
        if pad_to_max_length:
            frames: tf.Tensor | int = front_end.padded_frames
            return log_mel.log_mel_spectrogram(audio, front_end, "float32", frames, by_matrix=by_matrix)
        # An interpreter whose first transform is of nothing gives wrong values the next time.
        clips, num_samples = tf.unstack(tf.shape(audio))
        frames = log_mel.num_frames(num_samples, front_end)
        some = tf.pad(audio, [[0, tf.maximum(1 - clips, 0)], [0, 0]])
        computed = log_mel.log_mel_spectrogram(
            some, front_end, "float32", tf.maximum(frames, 1), by_matrix=by_matrix
        )
        return computed[:clips, :frames]

    graph = tf.function(
        features, input_signature=[tf.TensorSpec([None, None], tf.float32, name="audio")], autograph=False
    )
    lite = tf.lite.TFLiteConverter.from_concrete_functions([graph.get_concrete_function()])
    lite.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    with tf.io.gfile.GFile(str(path), "wb") as file:
        file.write(lite.convert())
