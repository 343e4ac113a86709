"""Presets: a name, a folder or a handle gives a front end, and a front end is saved as a preset's files."""

from melbeam.transforms.presets.catalogue import BuiltInPreset, built_in
from melbeam.transforms.presets.loading import find_front_end, load_preset
from melbeam.transforms.presets.preset import NotFetchedError, Preset, PresetError, UnknownNameError
from melbeam.transforms.presets.writing import save_preset

__all__ = [
    "BuiltInPreset",
    "NotFetchedError",
    "Preset",
    "PresetError",
    "UnknownNameError",
    "built_in",
    "find_front_end",
    "load_preset",
    "save_preset",
]
