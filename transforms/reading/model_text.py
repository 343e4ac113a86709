"""The text side of a model's inputs, by its own tokenizer: prompts with a clip's placeholders, responses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# Where the clip goes in a prompt that says so, whatever the model: its own placeholder is put there.
AUDIO = "<audio>"
_IGNORED = -100  # the label of a token that transformers leaves out of the loss
# The tokens of Gemma 4, which keras-hub's tokenizer does not name where a preset was made without audio.
_GEMMA4_TOKENS = {
    "start_of_audio_token": "<|audio>",
    "audio_placeholder": "<|audio|>",
    "end_of_audio_token": "<audio|>",
}


@dataclass(frozen=True)
class TextSide:
    """The text side of a model.

    Attributes:
        tokenizer: the model's own.
        package: "keras_hub" or "transformers".
        name: of the model: "gemma4", "gemma3n", "whisper".
        around: text before and behind the placeholders, besides the tokens that begin and end audio.
        new_tokens: places behind each prompt for what keras-hub's `generate` makes.
    """

    tokenizer: Any
    package: str
    name: str
    around: str
    new_tokens: int = 0

    @property
    def needs_num_audio_tokens(self) -> bool:
        """Whether a clip's tokens stand in the prompt; Whisper's decoder hears the clip beside it."""
        return self.name != "whisper"

    def made(self, num_rows: int, prompts: Any, responses: Any, num_audio_tokens: Any) -> dict[str, np.ndarray]:
        """The inputs as NumPy arrays, for transformers too; with labels where there are responses.

        Args:
            num_rows: of the batch.
            prompts: a text for all rows, or one a row, `str` or `bytes`.
            responses: one a row, or None.
            num_audio_tokens: integers, one a row; None where they do not stand in the prompt.

        Raises:
            ValueError: the number of texts is another one, a row has something else than one text, a prompt has
                more than one place for a clip, or a response has any.
        """
        prompt_texts = _texts("prompts", prompts, num_rows)
        answers = None if responses is None else _texts("responses", responses, num_rows)
        begin: list[int] = []
        if self.needs_num_audio_tokens:
            self._check_answers(answers or [])
            begin = self._special("bos")
            counts = [int(count) for count in np.asarray(num_audio_tokens)]
            prompt_texts = [
                self._with_placeholders(text, count) for text, count in zip(prompt_texts, counts, strict=True)
            ]
        rows = [begin + self._ids(text) for text in prompt_texts]
        prompt_lengths = [len(row) for row in rows]
        if answers is not None:
            end = self._special("eos")
            if not end:
                raise ValueError(
                    f"the tokenizer, a {type(self.tokenizer).__name__}, has no end token for responses"
                )
            rows = [row + self._ids(text) + end for row, text in zip(rows, answers, strict=True)]
        return self._inputs(rows, prompt_lengths, has_responses=answers is not None)

    def in_graph(self, num_rows: Any, static_rows: int | None, prompts: Any, responses: Any, counts: Any) -> Any:
        """`made` as an operation of a TensorFlow graph, which calls Python: for `Dataset.map`."""
        import tensorflow as tf

        # Names, types and ranks of what is made do not depend on the texts.
        template = self._inputs([[0]], [0], has_responses=responses is not None)
        given = [value for value in (num_rows, prompts, responses, counts) if value is not None]

        def make(num_rows: Any, prompts: Any, *others: Any) -> list[np.ndarray]:
            left = list(others)
            answers = None if responses is None else left.pop(0)
            made = self.made(int(num_rows), prompts, answers, None if counts is None else left.pop(0))
            return [made[name] for name in template]

        found = tf.numpy_function(make, given, [array.dtype for array in template.values()], stateful=False)
        for tensor, array in zip(found, template.values(), strict=True):
            tensor.set_shape([static_rows, *[None] * (array.ndim - 1)])
        return dict(zip(template, found, strict=True))

    def _inputs(self, rows: list[list[int]], prompt_lengths: list[int], *, has_responses: bool) -> dict[str, Any]:
        """The inputs of rows of tokens, padded, and the labels where there are responses."""
        lengths = [len(row) for row in rows]
        longest = max(lengths) + self.new_tokens
        (padding,) = self._special("pad") or [0]
        # transformers generates at the right edge of a batch: there, padding is where the tokenizer says.
        on_the_left = (
            self.package == "transformers"
            and not has_responses
            and getattr(self.tokenizer, "padding_side", "right") == "left"
        )
        ids = np.full((len(rows), longest), padding, np.int64)
        real, answered = np.zeros(ids.shape, bool), np.zeros(ids.shape, bool)
        for number, (row, prompt_length) in enumerate(zip(rows, prompt_lengths, strict=True)):
            first = longest - len(row) if on_the_left else 0
            ids[number, first : first + len(row)] = row
            real[number, first : first + len(row)] = True
            answered[number, first + prompt_length : first + len(row)] = True
        make: Callable[..., dict[str, Any]] = getattr(self, f"_of_{self.package}")
        return make(ids, real, answered if has_responses else None)

    def _of_transformers(self, ids: np.ndarray, real: np.ndarray, answered: np.ndarray | None) -> dict[str, Any]:
        labels = None if answered is None else np.where(answered, ids, _IGNORED)
        names = ("input_ids", "attention_mask")
        if self.name == "whisper":
            names = ("decoder_input_ids", "decoder_attention_mask")
            if labels is not None:  # its decoder gives the token behind each
                ids, real, labels = ids[:, :-1], real[:, :-1], labels[:, 1:]
        inputs = {names[0]: ids, names[1]: real.astype(np.int64)}
        return inputs if labels is None else {**inputs, "labels": labels}

    def _of_keras_hub(self, ids: np.ndarray, real: np.ndarray, answered: np.ndarray | None) -> dict[str, Any]:
        ids, labels = ids.astype(np.int32), {}
        if answered is not None:
            labels = {"labels": ids[:, 1:], "sample_weight": answered[:, 1:].astype(np.float32)}
            ids, real = ids[:, :-1], real[:, :-1]
        if self.name == "whisper":
            return {"decoder_token_ids": ids, "decoder_padding_mask": real.astype(np.int32), **labels}
        is_audio = ids == self.tokenizer.token_to_id(self._audio_tokens()[1])
        counts = is_audio.sum(axis=1)
        indices = np.zeros((len(ids), counts.max()), np.int32)
        for row, count in enumerate(counts):
            indices[row, :count] = np.flatnonzero(is_audio[row])
        inputs = {"token_ids": ids, "padding_mask": real, "audio_indices": indices, "audio_mask": is_audio}
        if self.name == "gemma4":
            positions = np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape)
            inputs["position_ids"] = positions.copy()
        return {**inputs, **labels}

    def _with_placeholders(self, text: str, count: int) -> str:
        """A prompt with a clip's tokens where it says `<audio>` or the model's own placeholder, or before it."""
        begin, placeholder, end = self._audio_tokens()
        places = text.count(AUDIO) + text.count(placeholder)
        if places > 1:
            raise ValueError(
                f"a prompt has one clip, at one {AUDIO}, which becomes as many placeholders as the clip has "
                f"tokens; this one has {places} of them: {text!r}"
            )
        clip = f"{self.around}{begin}{placeholder * count}{end}{self.around}"
        return text.replace(AUDIO if AUDIO in text else placeholder, clip) if places else clip + text

    def _check_answers(self, answers: list[str]) -> None:
        """Refuses responses that hold the place of a clip, which the model would fill with another clip's tokens.

        Raises:
            ValueError: one does.
        """
        placeholder = self._audio_tokens()[1]
        for number, answer in enumerate(answers):
            if placeholder in answer:
                raise ValueError(
                    f"responses: row {number} holds {placeholder}, the place of a clip, which belongs into a "
                    f"prompt: take it out of {answer!r}"
                )

    def _audio_tokens(self) -> tuple[str, str, str]:
        tokenizer = self.tokenizer
        if self.package == "transformers":
            return tokenizer.boa_token, tokenizer.audio_token, tokenizer.eoa_token
        begin, placeholder, end = (getattr(tokenizer, name, token) for name, token in _GEMMA4_TOKENS.items())
        return begin, placeholder, end

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
            # Whisper's tokenizer calls them otherwise than Gemma's.
            other = {"bos": "start_token_id", "eos": "end_token_id", "pad": "pad_token_id"}[which]
            found = getattr(self.tokenizer, f"{which}_token_id", getattr(self.tokenizer, other, None))
        if found is None and which == "pad":
            return self._special("eos")
        return [] if found is None else [int(found)]


def _texts(name: str, given: Any, num_rows: int) -> list[str]:
    """A text a row, of one for all, or of a list or an array of `str` or `bytes`.

    Raises:
        ValueError: the number of texts is another one, or a row has something else, several texts among them.
    """
    rows = [given] * num_rows if isinstance(given, str | bytes) else np.asarray(given, object).tolist()
    if not isinstance(rows, list):
        raise ValueError(f"{name} must be a text for all rows, or one a row, got {rows!r}")
    if len(rows) != num_rows:
        raise ValueError(f"{name}: {len(rows)} texts for a batch of {num_rows}")
    return [_text(name, number, row) for number, row in enumerate(rows)]


def _text(name: str, number: int, row: Any) -> str:
    if isinstance(row, str):
        return row
    if not isinstance(row, bytes):
        raise ValueError(f"{name}: row {number} must be one text, str or bytes, got {row!r}")
    try:
        return row.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: row {number} must be UTF-8, got {row!r} ({error})") from error
