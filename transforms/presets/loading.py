"""Finds front ends by whatever names them: shipped names, YAML files, and presets from every source."""

from __future__ import annotations

import re
from pathlib import Path

from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.messages import nearest
from melbeam.transforms.presets.catalogue import built_in
from melbeam.transforms.presets.preset import Preset, PresetError, UnknownNameError
from melbeam.transforms.presets.reading import PRESET_FILES, named, read_preset, read_preset_file
from melbeam.transforms.presets.sources import (
    HUGGING_FACE,
    KAGGLE,
    FolderSource,
    HuggingFaceSource,
    KaggleSource,
    parse_json,
)

FETCH_SECONDS = 60.0  # for a file of a few kB, the clients' own retries included

# What people write in place of a handle: the address of the model's page, or the handle without its beginning.
_PART = r"[\w.-]+"
_LIKE_HUGGING_FACE = re.compile(
    rf"(?:https?://)?(?:(?:www\.)?huggingface\.co/)?({_PART}/{_PART}(?:@[\w./-]+)?)(?:/tree/.*|/blob/.*)?/?"
)
_LIKE_KAGGLE = re.compile(rf"(?:https?://)?(?:www\.)?(?:kaggle\.com/models/)?({_PART}(?:/{_PART}){{3,4}})/?")


def find_front_end(front_end: FrontEnd | str | Path) -> FrontEnd:
    """A front end by whatever names it: itself, a shipped name, a YAML or JSON file, or a preset's handle.

    Raises:
        ValueError: nothing is called so, or what it names is wrong.
    """
    if isinstance(front_end, FrontEnd):
        return front_end
    found = _find(str(front_end))
    return found if isinstance(found, FrontEnd) else found.front_end


def load_preset(handle: str | Path) -> Preset:
    """The front end of a preset, and its family.

    Args:
        handle: a built-in name (`built_in()`); a folder with audio_converter.json (Keras), with
            processor_config.json or preprocessor_config.json (Hugging Face), or as `save_preset` leaves it; one
            of these files; "hf://owner/repository[@revision]"; or
            "kaggle://owner/model/framework/variation[/version]".

    Raises:
        PresetError: there is no such preset, it cannot be reached, or its file is wrong; says what to do.
    """
    found = _find(str(handle))
    if isinstance(found, FrontEnd):
        raise PresetError(
            f"{str(handle)!r} is no preset: the name of a front end, and its YAML file, go to "
            f"AudioConverter({str(handle)!r}). A preset is a built-in name, a folder, hf://... or kaggle://..."
        )
    return found


def _find(name: str) -> Preset | FrontEnd:
    """What is called so; the one place that tells the kinds of names apart.

    Raises:
        PresetError: nothing is called so, or what it names is wrong.
    """
    if name in FrontEnd.shipped():
        return FrontEnd.load(name)
    if name in built_in():
        return _built_in_preset(name)
    if name.lower().startswith(HUGGING_FACE):
        return read_preset(HuggingFaceSource(HUGGING_FACE + name[len(HUGGING_FACE) :], FETCH_SECONDS))
    if name.lower().startswith(KAGGLE):
        return read_preset(KaggleSource(KAGGLE + name[len(KAGGLE) :], FETCH_SECONDS))
    path = Path(name)
    if name and path.is_dir():
        return read_preset(FolderSource(path))
    if path.is_file() and path.name in PRESET_FILES:
        return named(read_preset_file(path.name, parse_json(path), name), path.parent.name)
    if path.is_file():
        try:
            return FrontEnd.load(path)
        except ValueError as error:
            raise PresetError(str(error)) from error
    shipped = ", ".join(FrontEnd.shipped())
    raise UnknownNameError(
        f"nothing is called {name!r}: {_hint(name)}It may be a shipped front end ({shipped}), a YAML file, a "
        "built-in preset (`melbeam presets` lists them), a folder, hf://owner/repository[@revision] or "
        "kaggle://owner/model/framework/variation[/version]"
    )


def _built_in_preset(name: str) -> Preset:
    preset = built_in()[name]
    if preset.front_end is None:
        with_audio = [other.name for other in built_in(preset.family).values() if other.has_audio]
        raise PresetError(f"{name!r} has no audio encoder; those with one are {', '.join(with_audio)}")
    return Preset(FrontEnd.load(preset.front_end), preset.family)


def _hint(name: str) -> str:
    """Names what may have been meant, as the beginning of a message; "" where nothing is near."""
    for pattern, scheme in ((_LIKE_HUGGING_FACE, HUGGING_FACE), (_LIKE_KAGGLE, KAGGLE)):
        match = pattern.fullmatch(name)
        if match and not name.startswith(".") and Path(name).suffix not in (".yaml", ".yml", ".json"):
            return f"did you mean {scheme}{match[1]}? "
    near = nearest(name, [*FrontEnd.shipped(), *built_in()])
    return f"did you mean {near!r}? " if near else ""
