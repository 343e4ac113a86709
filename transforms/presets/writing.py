"""A front end as the files of a preset: keras-hub's where it then computes equal features, else ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.presets.keras_files import gemma3n_config, gemma4_config, whisper_config
from melbeam.transforms.presets.own_files import to_own
from melbeam.transforms.presets.preset import KERAS_FILE, MODEL_FILE, OWN_FILE, PresetError
from melbeam.transforms.presets.reading import read_preset_file


def save_preset(
    front_end: FrontEnd,
    folder: str | Path,
    family: str | None = None,
    *,
    return_attention_mask: bool = True,
) -> Path:
    """Writes a front end as a preset that `load_preset` gives back equal.

    It is keras-hub's audio_converter.json where keras-hub (>= 0.28) then computes equal features, with the
    config.json that it finds the class by, unless there is one; and else a file of our own,
    melbeam_front_end.json, which keras-hub cannot take for its own. Only the first says whether keras-hub's layer
    of Gemma 3n returns the mask.

    Returns:
        The file with the front end.

    Raises:
        PresetError: the folder has a front end in the other form already.
    """
    files = preset_files_of(front_end, family, return_attention_mask=return_attention_mask)
    name = next(iter(files))
    other = Path(folder) / (OWN_FILE if name == KERAS_FILE else KERAS_FILE)
    if other.exists():
        raise PresetError(f"{other} is there already, and would contradict {name}: choose another folder")
    Path(folder).mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        path = Path(folder) / file
        if file == name or not path.exists():  # a whole preset's own config.json says more
            path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
    return Path(folder) / name


def preset_files_of(
    front_end: FrontEnd, family: str | None, *, return_attention_mask: bool = True
) -> dict[str, dict[str, Any]]:
    """The files that keep a front end: their names and JSON values, that of the front end first.

    They are keras-hub's where keras-hub gives equal features (checked by reading them back), else one of our own,
    which keras-hub cannot take for its own.
    """
    for model, config in (
        ("Gemma4", gemma4_config(front_end)),
        ("Gemma3n", {**gemma3n_config(front_end), "return_attention_mask": return_attention_mask}),
        ("Whisper", whisper_config(front_end)),
    ):
        # keras-hub counts samples with the seconds; and, from 0.28 on, it has no mathematics without frame_length.
        if not isinstance(config.get("max_audio_length", 30), int):
            continue
        if model == "Gemma4" and "frame_length" not in config:
            continue
        # transformers' mask has a frame more than keras-hub computes where a long hop's rest is half a frame.
        frames_of_keras_hub = (front_end.max_samples or 0) // front_end.hop_length
        if model != "Gemma3n" and front_end.padded_frames != frames_of_keras_hub:
            continue
        class_name, module = f"{model}AudioConverter", model.lower()
        content = {
            "module": f"keras_hub.src.models.{module}.{module}_audio_converter",
            "class_name": class_name,
            "config": {"name": f"{module}_audio_converter", "trainable": False, "dtype": "float32", **config},
            "registered_name": f"keras_hub>{class_name}",
        }
        try:
            read = read_preset_file(KERAS_FILE, content, KERAS_FILE).front_end
        except PresetError:
            continue
        if read.replace(name=front_end.name) == front_end:
            # keras-hub's `from_preset` finds the class of the converter by that of the backbone.
            return {KERAS_FILE: content, MODEL_FILE: {"registered_name": f"keras_hub>{model}Backbone"}}
    return {OWN_FILE: to_own(front_end, family)}
