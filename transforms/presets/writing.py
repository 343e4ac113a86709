"""A front end as the files of a preset: keras-hub's where it then computes equal features, else ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.presets.own_files import to_own
from melbeam.transforms.presets.preset import KERAS_FILE, MODEL_FILE, OWN_FILE, PresetError
from melbeam.transforms.presets.reading import read_preset_file


def save_preset(front_end: FrontEnd, folder: str | Path, family: str | None = None) -> Path:
    """Writes a front end as a preset that `load_preset` gives back equal.

    It is keras-hub's audio_converter.json where keras-hub (>= 0.28) then computes equal features, with the
    config.json that it finds the class by, unless there is one; and else a file of our own,
    melbeam_front_end.json, which keras-hub cannot take for its own.

    Returns:
        The file with the front end.

    Raises:
        PresetError: the folder has a front end in the other form already.
    """
    files = preset_files_of(front_end, family)
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


def preset_files_of(front_end: FrontEnd, family: str | None) -> dict[str, dict[str, Any]]:
    """The files that keep a front end: their names and JSON values, that of the front end first.

    keras-hub's where it gives equal features there (checked by reading it back); else one of our own, which
    keras-hub cannot take for its own.
    """
    for model, config in (
        ("Gemma4", _keras_gemma4(front_end)),
        ("Gemma3n", _keras_gemma3n(front_end)),
        ("Whisper", _keras_whisper(front_end)),
    ):
        if config is None:
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


def _whole_seconds(front_end: FrontEnd) -> int | None:
    """keras-hub multiplies whole seconds by the rate; it takes neither other numbers nor clips of any length."""
    seconds = front_end.max_audio_length
    return int(seconds) if seconds is not None and seconds == int(seconds) else None


def _listed(values: tuple[float, ...] | None) -> list[float] | None:
    return None if values is None else list(values)


def _keras_gemma4(front_end: FrontEnd) -> dict[str, Any] | None:
    seconds = _whole_seconds(front_end)
    if seconds is None:
        return None
    return {
        "num_mels": front_end.num_mels,
        "num_fft_bins": front_end.fft_length,
        "stride": front_end.hop_length,
        "sampling_rate": front_end.sampling_rate,
        "max_audio_length": seconds,
        "min_frequency": front_end.min_frequency,
        "max_frequency": front_end.max_frequency,
        "mel_floor": front_end.mel_floor,
        "per_bin_mean": _listed(front_end.per_bin_mean),
        "per_bin_stddev": _listed(front_end.per_bin_stddev),
        "frame_length": front_end.frame_length,
    }


def _keras_gemma3n(front_end: FrontEnd) -> dict[str, Any]:
    return {
        "feature_size": front_end.num_mels,
        "sampling_rate": front_end.sampling_rate,
        "padding_value": 0.0,
        "return_attention_mask": True,
        "frame_length_ms": front_end.frame_length * 1000 / front_end.sampling_rate,
        "hop_length_ms": front_end.hop_length * 1000 / front_end.sampling_rate,
        "min_frequency": front_end.min_frequency,
        "max_frequency": front_end.max_frequency,
        "preemphasis": front_end.preemphasis,
        "preemphasis_htk_flavor": front_end.preemphasis_htk_flavor,
        "fft_overdrive": front_end.fft_length >= 2 * front_end.frame_length,
        "dither": 0.0,
        "input_scale_factor": front_end.input_scale_factor,
        "mel_floor": front_end.mel_floor,
        "per_bin_mean": _listed(front_end.per_bin_mean),
        "per_bin_stddev": _listed(front_end.per_bin_stddev),
        "padding_side": "right",
    }


def _keras_whisper(front_end: FrontEnd) -> dict[str, Any] | None:
    seconds = _whole_seconds(front_end)
    if seconds is None:
        return None
    return {
        "num_mels": front_end.num_mels,
        "num_fft_bins": front_end.fft_length,
        "stride": front_end.hop_length,
        "sampling_rate": front_end.sampling_rate,
        "max_audio_length": seconds,
    }
