"""The presets that are known by their names, without a network: configs/presets.yaml."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources

import yaml


@dataclass(frozen=True)
class BuiltInPreset:
    """A preset that is known by its name.

    Attributes:
        name: as keras-hub names it.
        family: "gemma4", "gemma3n" or "whisper".
        front_end: name of the shipped front end, or None where the model has no audio.
        parameters: of the model, their number.
        handle: where the model is.
        description: one sentence.
    """

    name: str
    family: str
    front_end: str | None
    parameters: int
    handle: str
    description: str

    @property
    def has_audio(self) -> bool:
        """Whether the model hears anything."""
        return self.front_end is not None


@functools.cache
def _all_built_in() -> dict[str, BuiltInPreset]:
    text = (resources.files("melbeam.configs") / "presets.yaml").read_text(encoding="utf-8")
    return {name: BuiltInPreset(name=name, **fields) for name, fields in yaml.safe_load(text).items()}


def built_in(family: str | None = None) -> dict[str, BuiltInPreset]:
    """The built-in presets of a family, or of all, by name."""
    return {name: preset for name, preset in _all_built_in().items() if family in (None, preset.family)}
