"""A name, a folder or a handle in, a front end out; and a front end as a preset's files."""

from melbeam.transforms.presets.loading import (
    BuiltInPreset,
    built_in,
    find_front_end,
    load_preset,
    save_preset,
)
from melbeam.transforms.presets.reading import Preset, PresetError

__all__ = ["BuiltInPreset", "Preset", "PresetError", "built_in", "find_front_end", "load_preset", "save_preset"]
