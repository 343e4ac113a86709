"""A preset as its files say it: the values that they share, their names, and the fields of one of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from melbeam.transforms.front_end import FrontEnd

KERAS_FILE = "audio_converter.json"
PROCESSOR_FILE = "processor_config.json"
EXTRACTOR_FILE = "preprocessor_config.json"  # the older layout, one flat file; Whisper and Gemma 3n still have it
OWN_FILE = "melbeam_front_end.json"
MODEL_FILE = "config.json"  # a whole model's, which has no front end
FAMILIES = ("gemma4", "gemma3n", "whisper")


class PresetError(ValueError):
    """A preset that cannot be loaded: what was wrong, where, and what to do."""


class UnknownNameError(PresetError):
    """A name that no front end, preset, file or folder has, or a handle that is written in another way."""


class NotFetchedError(PresetError):
    """A preset that is elsewhere and cannot be had from there."""


class NoExtractorError(PresetError):
    """A file without a feature extractor, which the other one beside it may have."""


class Preset(NamedTuple):
    """What a preset's file says.

    Attributes:
        front_end: of the model.
        family: whose converter it belongs to, or None.
        return_attention_mask: whether keras-hub's layer returns the mask too; True where no file says.
    """

    front_end: FrontEnd
    family: str | None
    return_attention_mask: bool = True


class Fields:
    """The fields of a file, each taken once; what is left at the end is refused."""

    def __init__(self, fields: Mapping[str, Any], where: str) -> None:
        self._left = dict(fields)
        self._where = where

    def take(self, name: str, default: Any = None) -> Any:
        """The field's value, or the default where the file does not have it."""
        return self._left.pop(name, default)

    def need(self, name: str, hint: str) -> Any:
        """The field's value.

        Raises:
            PresetError: the file does not have it.
        """
        if name not in self._left:
            raise PresetError(f"{self._where} has no {name!r}: {hint}")
        return self._left.pop(name)

    def expect(self, name: str, expected: Any, why: str) -> None:
        """Takes a field that may only be this.

        Raises:
            PresetError: it is something else.
        """
        found = self._left.pop(name, expected)
        if found != expected:
            raise PresetError(f"{self._where}: {name} must be {expected!r}, got {found!r}: {why}")

    def number(self, name: str, default: float) -> float:
        """A field that is counted with here, before the front end checks what comes of it.

        Raises:
            PresetError: it is not a number above 0.
        """
        value = self.take(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise PresetError(f"{self._where}: {name} must be a finite number above 0, got {value!r}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """A field that is true or false.

        Raises:
            PresetError: it is something else.
        """
        value = self.take(name, default)
        if not isinstance(value, bool):
            raise PresetError(f"{self._where}: {name} must be true or false, got {value!r}")
        return value

    def has(self, name: str) -> bool:
        """Whether the field is there, and not yet taken."""
        return name in self._left

    def drop(self, *names: str) -> None:
        """Takes fields that change no feature."""
        for name in names:
            self._left.pop(name, None)

    def finish(self) -> None:
        """Refuses what was not taken.

        Raises:
            PresetError: a field is left.
        """
        if self._left:
            raise PresetError(
                f"{self._where} has fields that melbeam does not know, and will not ignore: "
                f"{', '.join(f'{name} = {value!r}'[:80] for name, value in sorted(self._left.items()))}"
            )


def refuse_other_padding(fields: Fields) -> None:
    """Takes how samples are padded, which may only be as the models were trained.

    Raises:
        PresetError: a file pads in front of the clip, or with something else than silence.
    """
    fields.expect("padding_side", "right", "clips would begin with the silence that belongs behind them")
    fields.expect("padding_value", 0.0, "silence is 0")
