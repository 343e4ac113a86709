"""A batch of stored features as the inputs of a model: Gemma 4, Gemma 3n, Whisper, in keras-hub and transformers.

What each takes was read in keras-hub 0.32 and transformers 5.24. Neither is imported here: the text side is made
by the model's own tokenizer, which its caller has.

| model | features | mask, True = valid |
|---|---|---|
| keras_hub/gemma4 | `audio_mel` `[batch, 1, frames, 128]` | `audio_mel_mask` `[batch, 1, frames]`, int32 |
| keras_hub/gemma3n | `input_features` `[batch, 1, frames, 128]` | `input_features_mask`, bool, True = padding |
| keras_hub/whisper | `encoder_features` `[batch, 3000, mels]` | none |
| transformers/gemma4, gemma3n | `input_features` `[batch, frames, 128]` | `input_features_mask`, bool |
| transformers/whisper | `input_features` `[batch, mels, 3000]` | none |
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from melbeam.transforms.bounds import check_integer
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.reading.model_text import TextSide
from melbeam.transforms.reading.tensors import is_of, is_symbolic, to_int32, to_torch
from melbeam.transforms.records.schema import TENSOR

# How transformers' extractor for Gemma 4 frames samples: Gemma4AudioFeatureExtractor, transformers 5.24.
_SAMPLES_TO_A_MULTIPLE_OF, _LEFT_PADDING, _FRAME_SPAN, _HOP = 128, 160, 321, 160


@dataclass(frozen=True)
class _Model:
    """What a model calls its inputs.

    Attributes:
        features: the name of its features.
        mask: the name of its mask; None where it takes none.
        has_clip_axis: whether each row of a batch holds several clips, `[batch, clips, ...]`.
        mask_is_of_padding: whether its mask is True where frames are no part of the clip.
        mask_dtype: of the mask.
        transposed: whether it takes `[batch, mels, frames]`.
        around: text before and behind the placeholders, besides the tokens that begin and end audio.
        needs_rows_behind: whether the last token of a clip depends on there being a masked row behind it.
    """

    features: str
    mask: str | None
    has_clip_axis: bool = False
    mask_is_of_padding: bool = False
    mask_dtype: str = "bool"
    transposed: bool = False
    around: str = ""
    needs_rows_behind: bool = False


_MODELS = {
    "keras_hub/gemma4": _Model(
        "audio_mel", "audio_mel_mask", has_clip_axis=True, mask_dtype="int32", needs_rows_behind=True
    ),
    # keras-hub's preprocessor inverts the mask that its encoder, as transformers', takes as True = padding;
    # transformers' model does so itself.
    "keras_hub/gemma3n": _Model(
        "input_features", "input_features_mask", has_clip_axis=True, mask_is_of_padding=True, around="\n\n"
    ),
    "keras_hub/whisper": _Model("encoder_features", None),
    "transformers/gemma4": _Model("input_features", "input_features_mask", needs_rows_behind=True),
    "transformers/gemma3n": _Model("input_features", "input_features_mask", around="\n\n"),
    "transformers/whisper": _Model("input_features", None, transposed=True),
}


def model_inputs(
    batch: Mapping[str, Any],
    model: str,
    *,
    tokenizer: Any = None,
    prompts: str | Sequence[Any] | None = None,
    responses: Sequence[Any] | None = None,
    new_tokens: int = 0,
    backbone: Any = None,
) -> dict[str, Any]:
    """The dict that a model's call takes.

    Without `tokenizer` it is the audio side alone. With it, a prompt of each row is tokenized, and the clip's
    placeholders are put into it: as many as the batch's "num_audio_tokens" says. For keras-hub's models it may be
    called in `Dataset.map`, where the tokenizer runs in Python.

    Args:
        batch: of `read_features(batch_size=...)`, of its `as_numpy_iterator()`, or of
            `melbeam.transforms.torch_data.Collate`: "input_features" `[batch, frames, mels]`, "num_frames" and,
            with a tokenizer, "num_audio_tokens" `[batch]`.
        model: "keras_hub/gemma4", "keras_hub/gemma3n", "keras_hub/whisper", "transformers/gemma4",
            "transformers/gemma3n", "transformers/whisper".
        tokenizer: the model's own: keras-hub's `Gemma4Tokenizer`, transformers' `processor.tokenizer`, ...
        prompts: a text for all rows, or one a row; the clip goes where it says `<audio>` (or has the model's own
            placeholder, once), and else before it. None is the clip alone. Whisper's are the texts that its
            decoder begins with, its special tokens among them.
        responses: what the model is to answer, one a row, `str` or `bytes` in UTF-8; they end with the tokenizer's
            end token. Labels come with them.
        new_tokens: places behind each prompt that keras-hub's `generate` may fill; it makes none itself where the
            inputs are ready. transformers' does: it takes `max_new_tokens`.
        backbone: keras-hub's, of the model that is called; where it sees images too, the inputs of a prompt
            without one come with the others.

    Returns:
        For transformers, PyTorch tensors: the inputs, with "labels" where there are responses, -100 where no loss
        is taken. Rows are padded behind, or, without responses, where the tokenizer's `padding_side` says.
        For keras-hub, TensorFlow tensors where the batch has them, and else NumPy arrays: the inputs.
        Where there are responses, it also has "labels" and "sample_weight", which are no inputs: pop them, and
        give `fit` (inputs, labels, sample_weight). The labels are the next token of each.

    Raises:
        ValueError: there is no such model, the batch lacks what it needs, the number of texts is another one, a
            row has no text or several, or an argument is not for this model.
    """
    if model not in _MODELS:
        raise ValueError(f"model must be one of {', '.join(_MODELS)}, got {model!r}")
    kind, (package, name) = _MODELS[model], model.split("/")
    check_integer("new_tokens", new_tokens, at_least=0)
    if tokenizer is None and (prompts is not None or responses is not None or new_tokens):
        raise ValueError("prompts, responses and new_tokens need the model's tokenizer: tokenizer=...")
    if package == "transformers" and (new_tokens or backbone is not None):
        raise ValueError(
            "new_tokens and backbone are for keras-hub's models; transformers' generate makes room itself "
            "(max_new_tokens=...)"
        )
    if responses is not None and new_tokens:
        raise ValueError("new_tokens is for what the model generates, and responses say it already: pass either")
    text = None if tokenizer is None else TextSide(tokenizer, package, name, kind.around, new_tokens)
    _check_batch(batch, model, kind, text)
    batch = _of_the_models_front_end(batch, model)
    inputs = _audio_side(batch, kind, package)
    if text is not None:
        inputs |= _text_side(batch, text, "" if prompts is None else prompts, responses)
    if backbone is not None and getattr(backbone, "vision_encoder", None) is not None:
        inputs |= _no_image(name, backbone, inputs)
    return inputs


def _check_batch(batch: Any, model: str, kind: _Model, text: TextSide | None) -> None:
    if not isinstance(batch, Mapping):
        raise ValueError(
            f"a batch is a dict of arrays, got a {type(batch).__name__}: read batches, "
            "read_features(batch_size=...), or join the clips of FeatureSource with torch_data.Collate"
        )
    needed = [TENSOR]
    needed += [] if kind.mask is None else ["num_frames"]
    needed += ["num_audio_tokens"] if text is not None and text.needs_num_audio_tokens else []
    missing = [column for column in needed if column not in batch]
    if missing:
        raise ValueError(f"{model} needs {', '.join(missing)} in the batch, which has {', '.join(sorted(batch))}")
    features = batch[TENSOR]
    shape = getattr(features, "shape", None)
    if shape is None or len(shape) != 3:
        got = f"a {type(features).__name__}" if shape is None else f"shape {tuple(shape)}"
        raise ValueError(
            f"{TENSOR} must be one array, [batch, frames, mels], got {got}: read batches, "
            "read_features(batch_size=...), or join the clips of FeatureSource with torch_data.Collate"
        )
    if model.startswith("transformers/") and is_symbolic(features):
        raise ValueError(
            f"{model} takes PyTorch tensors, which a TensorFlow graph cannot make: call model_inputs on each "
            "batch of the data set, or read with FeatureSource"
        )


@functools.cache
def _others_front_ends(name: str) -> dict[bytes, str]:
    """The shipped front ends of other models than that one, by what records say of them."""
    shipped = (FrontEnd.load(found) for found in FrontEnd.shipped() if not found.startswith(name))
    return {found.short_fingerprint.encode(): found.name for found in shipped}


def _of_the_models_front_end(batch: Mapping[str, Any], model: str) -> Mapping[str, Any]:
    """Returns the batch, unless a record of it says that its features are those of another model.

    Front ends that are not shipped are taken: they may be the model's, normalised for example.

    Raises:
        ValueError: one does; in a graph, `tf.errors.InvalidArgumentError` where it runs.
    """
    if "front_end" not in batch:
        return batch
    others, found = _others_front_ends(model.split("/")[1]), batch["front_end"]
    advice = f"{model} takes features of its own front end: read_features(..., front_end=...) says which they are"
    if is_symbolic(found):
        import tensorflow as tf

        is_others = tf.reduce_any(found[:, tf.newaxis] == tf.constant(list(others)))
        check = tf.debugging.Assert(~is_others, ["features of another model's front end;", advice, found])
        with tf.control_dependencies([check]):
            return {**batch, TENSOR: tf.identity(batch[TENSOR])}
    for value in np.asarray(found).ravel().tolist():
        if value in others:
            raise ValueError(f"the batch has features of front end {others[value]!r}; {advice}")
    return batch


def _text_side(batch: Mapping[str, Any], text: TextSide, prompts: Any, responses: Any) -> dict[str, Any]:
    """The text side in the package of the features; Keras takes tensors or arrays, and no mixture."""
    features = batch[TENSOR]
    counts = batch["num_audio_tokens"] if text.needs_num_audio_tokens else None
    if is_symbolic(features):
        import tensorflow as tf

        return dict(text.in_graph(tf.shape(features)[0], features.shape[0], prompts, responses, counts))
    made = text.made(int(features.shape[0]), prompts, responses, counts)
    if text.package == "transformers":
        return {name: to_torch(value) for name, value in made.items()}
    if is_of(features, "tensorflow"):
        import tensorflow as tf

        return {name: tf.constant(value) for name, value in made.items()}
    return made


def _no_image(name: str, backbone: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a keras-hub model that sees images, for prompts without one.

    Its preprocessors make them like this (`_format_output`, keras-hub 0.32).
    """
    encoder = backbone.vision_encoder
    empty: dict[str, tuple[tuple[int, ...], str]] = {"vision_indices": ((0,), "int32")}
    if name == "gemma4":
        patch = 3 * encoder.patch_size**2  # red, green and blue of a patch
        empty |= {"pixel_values": ((0, 1, patch), "float32"), "pixel_position_ids": ((0, 1, 2), "int32")}
    else:
        empty["images"] = ((0, *encoder.image_shape), "float32")
    like = next(iter(inputs.values()))
    made: dict[str, Any]
    if is_of(like, "tensorflow"):
        import tensorflow as tf

        rows, zeros_like = tf.shape(like)[:1], tf.zeros_like
        made = {key: tf.zeros(tf.concat([rows, shape], 0), dtype) for key, (shape, dtype) in empty.items()}
    else:
        zeros_like = np.zeros_like
        made = {key: np.zeros((len(like), *shape), dtype) for key, (shape, dtype) in empty.items()}
    if "padding_mask" in inputs:
        made["vision_mask"] = zeros_like(inputs["padding_mask"])
    return made


def _audio_side(batch: Mapping[str, Any], kind: _Model, package: str) -> dict[str, Any]:
    features, frames = batch[TENSOR], batch.get("num_frames")
    if kind.mask is not None and kind.needs_rows_behind:
        features = _with_rows_behind(
            features, frames, batch.get("num_samples") if package == "transformers" else None
        )
    if package == "transformers":
        features, frames = to_torch(features), None if frames is None else to_torch(frames)
    valid = None if kind.mask is None else _valid(features, frames)
    if kind.transposed:
        features = features.transpose(1, 2)
    if kind.has_clip_axis:
        features = features[:, None]
    inputs = {kind.features: features}
    if kind.mask is not None and valid is not None:
        mask = ~valid if kind.mask_is_of_padding else valid
        if kind.mask_dtype == "int32":
            mask = to_int32(mask)
        inputs[kind.mask] = mask[:, None] if kind.has_clip_axis else mask
    return inputs


def _with_rows_behind(features: Any, frames: Any, num_samples: Any) -> Any:
    """The features with as many rows of zeros behind the longest clip as the reference has there.

    A Gemma 4 encoder gives a clip of 4k + 2 frames another last token where the features end with it than where
    masked rows follow. keras-hub's preprocessor always has such rows; transformers' extractor has those of the
    samples up to a multiple of 128, where the numbers of samples are known.
    """
    is_tensorflow = is_of(features, "tensorflow")
    if is_tensorflow:
        import tensorflow as tf

        longest = tf.reduce_max(frames if num_samples is None else num_samples)
    else:
        longest = int((frames if num_samples is None else num_samples).max())
    if num_samples is None:
        rows = longest + 1
    else:
        padded = -(-longest // _SAMPLES_TO_A_MULTIPLE_OF) * _SAMPLES_TO_A_MULTIPLE_OF
        rows = (padded + _LEFT_PADDING - _FRAME_SPAN) // _HOP + 1
    if is_tensorflow:
        missing = tf.maximum(tf.cast(rows, tf.int32) - tf.shape(features)[1], 0)
        return tf.pad(features, [[0, 0], [0, missing], [0, 0]])
    missing = max(rows - features.shape[1], 0)
    if is_of(features, "torch"):
        import torch

        return torch.nn.functional.pad(features, (0, 0, 0, missing))
    return np.pad(features, ((0, 0), (0, missing), (0, 0)))


def _valid(features: Any, frames: Any) -> Any:
    """Which rows are valid, bool `[batch, frames]`, in the library of the features."""
    if is_of(features, "tensorflow"):
        import tensorflow as tf

        return tf.sequence_mask(frames, tf.shape(features)[1])
    if is_of(features, "torch"):
        import torch

        return torch.arange(features.shape[1])[None] < frames[:, None]
    return np.arange(features.shape[1])[None] < np.asarray(frames)[:, None]
