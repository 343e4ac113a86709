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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Where the clip goes in a prompt that says so, whatever the model: its own placeholder is put there.
AUDIO = "<audio>"
# How transformers' extractor for Gemma 4 frames samples: Gemma4AudioFeatureExtractor, transformers 5.24.
_SAMPLES_TO_A_MULTIPLE_OF, _LEFT_PADDING, _FRAME_SPAN, _HOP = 128, 160, 321, 160
_IGNORED = -100  # the label of a token that transformers leaves out of the loss


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
    # Its embedding hands the mask to an encoder whose True is padding, as transformers' encoder's is; transformers
    # inverts its model's mask in between, and keras-hub does not.
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
) -> dict[str, Any]:
    """The dict that a model's call takes.

    Without `tokenizer` it is the audio side alone, and may be called in `Dataset.map` for keras-hub's models. With
    it, a prompt of each row is tokenized, and the clip's placeholders are put into it: as many as the batch's
    "num_audio_tokens" says.

    Args:
        batch: of `read_features(batch_size=...)`, of its `as_numpy_iterator()`, or of
            `melbeam.transforms.torch_data.Collate`: "input_features" `[batch, frames, mels]`, "num_frames" and,
            with a tokenizer, "num_audio_tokens" `[batch]`.
        model: "keras_hub/gemma4", "keras_hub/gemma3n", "keras_hub/whisper", "transformers/gemma4",
            "transformers/gemma3n", "transformers/whisper".
        tokenizer: the model's own: keras-hub's `Gemma4Tokenizer`, transformers' `processor.tokenizer`, ...
        prompts: a text for all rows, or one a row; the clip goes where it says `<audio>`, and else before it. None
            is the clip alone. Whisper's are the texts that its decoder begins with, its special tokens among them.
        responses: what the model is to answer, one a row, `str` or `bytes`; they end with the tokenizer's end
            token. Labels come with them.

    Returns:
        For transformers, PyTorch tensors: the inputs, with "labels" where there are responses, -100 where no loss
        is taken. For keras-hub, TensorFlow tensors where the batch has them, and else NumPy arrays: the inputs.
        Where there are responses, it also has "labels" and "sample_weight", which are no inputs: pop them, and
        give `fit` (inputs, labels, sample_weight). The labels are the next token of each.

    Raises:
        ValueError: there is no such model, the batch lacks what it needs, or the number of texts is another one.
    """
    if model not in _MODELS:
        raise ValueError(f"model must be one of {', '.join(_MODELS)}, got {model!r}")
    kind, (package, name) = _MODELS[model], model.split("/")
    needed = ["input_features"]
    needed += [] if kind.mask is None else ["num_frames"]
    needed += [] if tokenizer is None or name == "whisper" else ["num_audio_tokens"]
    missing = [column for column in needed if column not in batch]
    if missing:
        raise ValueError(f"{model} needs {', '.join(missing)} in the batch, which has {', '.join(sorted(batch))}")
    if len(batch["input_features"].shape) != 3:
        raise ValueError(
            f"input_features must be [batch, frames, mels], got shape {tuple(batch['input_features'].shape)}: "
            "read batches, read_features(batch_size=...)"
        )
    if tokenizer is None and (prompts is not None or responses is not None):
        raise ValueError("prompts and responses need the model's tokenizer: tokenizer=...")
    inputs = _audio_side(batch, kind, package)
    if tokenizer is not None:
        num_rows = int(batch["input_features"].shape[0])
        text = _Text(tokenizer, package, name, kind.around)
        tokens = text.tokens(num_rows, prompts, responses, batch.get("num_audio_tokens"))
        made = text.inputs(*tokens, has_responses=responses is not None)
        # Keras takes tensors or arrays, and no mixture.
        is_tensorflow = _is_of(next(iter(inputs.values())), "tensorflow")
        inputs |= {name: _to_tensorflow(value) for name, value in made.items()} if is_tensorflow else made
    return inputs


def _audio_side(batch: Mapping[str, Any], kind: _Model, package: str) -> dict[str, Any]:
    features, frames = batch["input_features"], batch.get("num_frames")
    if kind.mask is not None and kind.needs_rows_behind:
        features = _with_rows_behind(
            features, frames, batch.get("num_samples") if package == "transformers" else None
        )
    if package == "transformers":
        features, frames = _to_torch(features), None if frames is None else _to_torch(frames)
    valid = None if kind.mask is None else _valid(features, frames)
    if kind.transposed:
        features = features.transpose(1, 2)
    if kind.has_clip_axis:
        features = features[:, None]
    inputs = {kind.features: features}
    if kind.mask is not None and valid is not None:
        mask = ~valid if kind.mask_is_of_padding else valid
        if kind.mask_dtype == "int32":
            mask = _to_int32(mask)
        inputs[kind.mask] = mask[:, None] if kind.has_clip_axis else mask
    return inputs


def _with_rows_behind(features: Any, frames: Any, num_samples: Any) -> Any:
    """The features with as many rows of zeros behind the longest clip as the reference has there.

    A Gemma 4 encoder gives a clip of 4k + 2 frames another last token where the features end with it than where
    masked rows follow. keras-hub's preprocessor always has such rows; transformers' extractor has those of the
    samples up to a multiple of 128, where the numbers of samples are known.
    """
    is_tensorflow = _is_of(features, "tensorflow")
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
    if _is_of(features, "torch"):
        import torch

        return torch.nn.functional.pad(features, (0, 0, 0, missing))
    return np.pad(features, ((0, 0), (0, missing), (0, 0)))


def _valid(features: Any, frames: Any) -> Any:
    """Which rows are valid, bool `[batch, frames]`, in the library of the features."""
    if _is_of(features, "tensorflow"):
        import tensorflow as tf

        return tf.sequence_mask(frames, tf.shape(features)[1])
    if _is_of(features, "torch"):
        import torch

        return torch.arange(features.shape[1])[None] < frames[:, None]
    return np.arange(features.shape[1])[None] < np.asarray(frames)[:, None]


def _to_int32(mask: Any) -> Any:
    if _is_of(mask, "tensorflow"):
        import tensorflow as tf

        return tf.cast(mask, tf.int32)
    return mask.int() if _is_of(mask, "torch") else mask.astype(np.int32)


def _is_of(value: Any, package: str) -> bool:
    return type(value).__module__.partition(".")[0] == package


def _to_tensorflow(values: np.ndarray) -> Any:
    import tensorflow as tf

    return tf.constant(values)


def _to_torch(values: Any) -> Any:
    """A PyTorch tensor of any array, bfloat16 included, which PyTorch does not take from NumPy."""
    import torch

    if isinstance(values, torch.Tensor):
        return values
    array = np.array(values)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


@dataclass(frozen=True)
class _Text:
    """The text side of a model, by its own tokenizer."""

    tokenizer: Any
    package: str
    name: str
    around: str

    def tokens(
        self, num_rows: int, prompts: Any, responses: Any, num_audio_tokens: Any
    ) -> tuple[list[list[int]], list[int]]:
        """The token ids of each row, prompt and response; and the lengths of the prompts."""
        prompt_texts = _texts("prompts", "" if prompts is None else prompts, num_rows)
        if self.name != "whisper":
            counts = [int(count) for count in np.asarray(num_audio_tokens)]
            prompt_texts = [
                self._with_placeholders(text, count) for text, count in zip(prompt_texts, counts, strict=True)
            ]
        begin = self._special("bos") if self.name != "whisper" else []
        rows = [begin + self._ids(text) for text in prompt_texts]
        lengths = [len(row) for row in rows]
        if responses is not None:
            end = self._special("eos")
            answers = _texts("responses", responses, num_rows)
            rows = [row + self._ids(text) + end for row, text in zip(rows, answers, strict=True)]
        return rows, lengths

    def inputs(self, rows: list[list[int]], prompt_lengths: list[int], *, has_responses: bool) -> dict[str, Any]:
        """The inputs of padded rows, and the labels where there are responses."""
        longest = max(map(len, rows))
        lengths = np.array([len(row) for row in rows])[:, None]
        (padding,) = self._special("pad")
        ids = np.array([row + [padding] * (longest - len(row)) for row in rows], np.int64)
        places = np.arange(longest)[None]
        real, answered = places < lengths, (places >= np.array(prompt_lengths)[:, None]) & (places < lengths)
        if self.package == "transformers":
            return self._of_transformers(ids, real, answered if has_responses else None)
        return self._of_keras_hub(ids.astype(np.int32), real, answered if has_responses else None)

    def _of_transformers(self, ids: np.ndarray, real: np.ndarray, answered: np.ndarray | None) -> dict[str, Any]:
        if self.name == "whisper":
            names = ("decoder_input_ids", "decoder_attention_mask")
            shifted = None if answered is None else (ids[:, 1:], answered[:, 1:])
            if shifted is not None:  # its decoder gives the token behind each
                ids, real = ids[:, :-1], real[:, :-1]
        else:
            names, shifted = ("input_ids", "attention_mask"), None if answered is None else (ids, answered)
        inputs = {names[0]: _to_torch(ids), names[1]: _to_torch(real.astype(np.int64))}
        if shifted is not None:
            inputs["labels"] = _to_torch(np.where(shifted[1], shifted[0], _IGNORED))
        return inputs

    def _of_keras_hub(self, ids: np.ndarray, real: np.ndarray, answered: np.ndarray | None) -> dict[str, Any]:
        labels = {}
        if answered is not None:
            labels = {"labels": ids[:, 1:], "sample_weight": answered[:, 1:].astype(np.float32)}
            ids, real = ids[:, :-1], real[:, :-1]
        if self.name == "whisper":
            return {"decoder_token_ids": ids, "decoder_padding_mask": real.astype(np.int32), **labels}
        if self.name == "gemma3n":
            return {"token_ids": ids, "padding_mask": real, **labels}
        is_audio = ids == self.tokenizer.token_to_id(self.tokenizer.audio_placeholder)
        counts = is_audio.sum(axis=1)
        indices = np.zeros((len(ids), counts.max()), np.int32)
        for row, count in enumerate(counts):
            indices[row, :count] = np.flatnonzero(is_audio[row])
        positions = np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape).copy()
        return {
            "token_ids": ids,
            "padding_mask": real.astype(np.int32),
            "position_ids": positions,
            "audio_indices": indices,
            "audio_mask": is_audio.astype(np.int32),
            **labels,
        }

    def _with_placeholders(self, text: str, count: int) -> str:
        """A prompt with the tokens of a clip where it says `<audio>`, or before it."""
        begin, placeholder, end = self._audio_tokens()
        if text.count(AUDIO) > 1:
            raise ValueError(f"a prompt has one clip, and this one says {AUDIO} more than once: {text!r}")
        clip = f"{self.around}{begin}{placeholder * count}{end}{self.around}"
        return text.replace(AUDIO, clip) if AUDIO in text else clip + text

    def _audio_tokens(self) -> tuple[str, str, str]:
        tokenizer = self.tokenizer
        if self.package == "transformers":
            return tokenizer.boa_token, tokenizer.audio_token, tokenizer.eoa_token
        return tokenizer.start_of_audio_token, tokenizer.audio_placeholder, tokenizer.end_of_audio_token

    def _ids(self, text: str) -> list[int]:
        if not text:
            return []
        if self.package == "transformers":
            return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return [int(number) for number in np.asarray(self.tokenizer(text))]

    def _special(self, which: str) -> list[int]:
        """The id of the token that begins or ends a text, or pads it, as a list; none where there is no such."""
        if self.package == "transformers":
            found = getattr(self.tokenizer, f"{which}_token_id")
        else:
            names = {"bos": "start_token_id", "eos": "end_token_id", "pad": "pad_token_id"}
            found = getattr(self.tokenizer, names[which], None)
        if found is None and which == "pad":
            found = self._special("eos")[0]
        return [] if found is None else [int(found)]


def _texts(name: str, given: Any, num_rows: int) -> list[str]:
    """A text a row, of one for all, or of a list or an array of `str` or `bytes`."""
    if isinstance(given, str | bytes):
        given = [given] * num_rows
    texts = [
        text.decode() if isinstance(text, bytes) else str(text) for text in np.asarray(given, object).tolist()
    ]
    if len(texts) != num_rows:
        raise ValueError(f"{name}: {len(texts)} texts for a batch of {num_rows}")
    return texts
