"""Which of a preset's files says what its front end is: one policy, whatever the files are kept in.

Every field of such a file is computed, or known to change nothing, or refused by name; none is ignored.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from melbeam.transforms.presets.hugging_face_files import (
    from_extractor,
    from_processor,
    refuse_without_audio,
    with_audio_tokens,
)
from melbeam.transforms.presets.keras_files import from_keras
from melbeam.transforms.presets.own_files import from_own
from melbeam.transforms.presets.preset import (
    EXTRACTOR_FILE,
    KERAS_FILE,
    MODEL_FILE,
    OWN_FILE,
    PROCESSOR_FILE,
    NoExtractorError,
    Preset,
    PresetError,
)
from melbeam.transforms.presets.sources import PresetSource

_READERS = {
    KERAS_FILE: from_keras,
    PROCESSOR_FILE: from_processor,
    EXTRACTOR_FILE: from_extractor,
    OWN_FILE: from_own,
}
# The first that has a front end wins.
PRESET_FILES = tuple(_READERS)


def read_preset_file(name: str, content: Any, where: str) -> Preset:
    """The front end of one parsed file.

    Args:
        name: of the file, without its folder: one of `PRESET_FILES`.
        content: its JSON value.
        where: the file, for error messages.

    Raises:
        PresetError: the file is not what it should be, or says something that cannot be computed.
    """
    if not isinstance(content, dict):
        raise PresetError(f"{where} must hold a JSON object, got {type(content).__name__}")
    try:
        return _READERS[name](content, where)
    except PresetError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        raise PresetError(f"{where}: {error}") from error


def read_preset(source: PresetSource) -> Preset:
    """The preset that a source holds, with the name of the source.

    The first of `PRESET_FILES` that has a front end wins, and a wrong one is not passed over for another. Where
    reading is cheap, the others are read too, and must say the same.

    Raises:
        PresetError: there is none, its file is wrong, or two files contradict each other.
    """
    found: dict[str, Preset] = {}
    without: dict[str, NoExtractorError] = {}
    processor: Any = None
    for name in PRESET_FILES:
        content = source.read(name)
        if content is None:
            continue
        if name == PROCESSOR_FILE:
            processor = content
        try:
            preset = read_preset_file(name, content, source.place(name))
        except NoExtractorError as error:
            without[name] = error
            continue
        if name == EXTRACTOR_FILE and processor is not None:
            preset = with_audio_tokens(preset, processor, source.place(PROCESSOR_FILE))
        found[name] = preset
        if not source.is_cheap:
            break
    if not found:
        raise next(iter(without.values()), source.nothing_found())
    winner, preset = next(iter(found.items()))
    _refuse_contradiction(found, source)
    if winner in (PROCESSOR_FILE, EXTRACTOR_FILE) and preset.family == "gemma4":
        refuse_without_audio(source.read(MODEL_FILE), source.place(MODEL_FILE))
    return named(preset, source.name)


def named(preset: Preset, name: str) -> Preset:
    """The preset, its front end called by where it comes from."""
    return preset._replace(front_end=preset.front_end.replace(name=name or preset.front_end.name))


def _refuse_contradiction(found: dict[str, Preset], source: PresetSource) -> None:
    first, *others = found
    expected = dataclasses.asdict(found[first].front_end)
    for other in others:
        fields = dataclasses.asdict(found[other].front_end)
        differing = [name for name in fields if name != "name" and fields[name] != expected[name]]
        if differing:
            raise PresetError(
                f"{source.place(first)} and {source.place(other)} describe different front ends "
                f"({', '.join(f'{name} {expected[name]!r} and {fields[name]!r}' for name in differing)}): "
                "remove the one that is wrong"
            )
