"""keras-hub's `audio_converter.json`, of 0.27.1 and of 0.28 and later, as a front end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.presets.hugging_face_files import from_gemma3n_extractor
from melbeam.transforms.presets.preset import Fields, Preset, PresetError, refuse_other_padding

_PACKAGES = ("keras_hub", "keras_nlp")  # the second is the older name


def from_keras(content: dict[str, Any], where: str) -> Preset:
    """The front end of a parsed `audio_converter.json`.

    Raises:
        PresetError: it is not of one of keras-hub's classes, or says something that cannot be computed.
    """
    outer = Fields(content, where)
    class_name, config = outer.take("class_name"), outer.take("config")
    registered, module = outer.take("registered_name", class_name), outer.take("module")
    outer.drop("build_config", "compile_config")  # Keras writes them for any layer; a converter has no weights
    outer.finish()
    readers: dict[str, tuple[str, Callable[[Fields, str], FrontEnd]]] = {
        "Gemma4AudioConverter": ("gemma4", _from_gemma4),
        "Gemma3nAudioConverter": ("gemma3n", _from_gemma3n),
        "WhisperAudioConverter": ("whisper", _from_whisper),
    }
    packages: tuple[str, ...] = _PACKAGES
    if str(registered).startswith("melbeam>"):
        packages = ("melbeam",)
        readers = {f"{name}Layer": (family, _from_our_layer) for name, (family, _) in readers.items()}
    if class_name not in readers or not isinstance(config, dict):
        raise PresetError(
            f"{where}: class_name must be one of {', '.join(readers)}, with a config, got {class_name!r}"
        )
    package, _, registered_class = str(registered).rpartition(">")
    if registered_class != class_name:
        raise PresetError(
            f"{where}: class_name {class_name!r} and registered_name {registered!r} contradict each other: "
            "correct the one that is wrong"
        )
    for name, value in (("registered_name", package), ("module", module)):
        if value and str(value).split(".")[0] not in packages:
            raise PresetError(
                f"{where}: {name} must be of {packages[0]}, got {value!r}: what another class computes is unknown"
            )
    family, read = readers[class_name]
    fields = Fields(config, where)
    # The dtype is that of the layer's arithmetic, not of the features that the model was trained on.
    fields.drop("name", "trainable", "dtype")
    returns_mask = fields.flag("return_attention_mask", True) if family == "gemma3n" else True
    front_end = read(fields, where)
    fields.finish()
    return Preset(front_end, family, returns_mask)


def _from_our_layer(fields: Fields, where: str) -> FrontEnd:
    """What a layer of `keras_layers` wrote: the front end, and beside it keras-hub's keys, which say the same."""
    front_end = FrontEnd.from_dict(fields.need("front_end", "the layer wrote it otherwise"))
    fields.drop("pad_to_max_length", "precision")  # how it is called, not what it computes
    for config in (gemma4_config(front_end), gemma3n_config(front_end), whisper_config(front_end)):
        for name, value in config.items():
            fields.expect(name, value, "its front_end says so: change that, or take this out")
    return front_end


def _from_gemma4(fields: Fields, where: str) -> FrontEnd:
    shared = {
        "num_mels": fields.take("num_mels", 128),
        "hop_length": fields.take("stride", 160),
        "sampling_rate": fields.take("sampling_rate", 16000),
        "max_audio_length": fields.take("max_audio_length", 30),
        "min_frequency": fields.take("min_frequency", 0.0),
        "max_frequency": fields.take("max_frequency", 8000.0),
        "mel_floor": fields.need("mel_floor", "the checkpoints have 0.001, the class 1e-05; add the right one"),
        "per_bin_mean": fields.take("per_bin_mean"),
        "per_bin_stddev": fields.take("per_bin_stddev"),
    }
    missing = object()
    frame_length, fft_length = fields.take("frame_length", missing), fields.take("num_fft_bins", missing)
    if frame_length is missing:
        # keras-hub >= 0.28 always writes frame_length; 0.27 never did, and had other mathematics.
        if fft_length != 400:
            shown = "no num_fft_bins" if fft_length is missing else f"num_fft_bins {fft_length!r}"
            raise PresetError(
                f"{where} has {shown} and no frame_length: keras-hub 0.27 and 0.28 would compute different "
                "features from it. Add frame_length (320 for the checkpoints' mathematics), or num_fft_bins 400 "
                "alone for those of 0.27"
            )
        return FrontEnd.load("gemma4_documented").replace(frame_length=400, fft_length=400, **shared)
    fft_length = 512 if fft_length is missing else fft_length
    # As keras-hub: `frame_length or num_fft_bins`.
    return FrontEnd.load("gemma4").replace(
        frame_length=frame_length or fft_length, fft_length=fft_length, **shared
    )


def _from_gemma3n(fields: Fields, where: str) -> FrontEnd:
    # The same names as in transformers, plus milliseconds; it always has all of them. keras-hub pre-emphasises
    # the whole waveform and transformers each frame: with HTK's flavor only the first sample of a frame differs,
    # where the window is 0. So such a file means the published model's features.
    fields.drop("seed")  # of the dither, which is refused
    refuse_other_padding(fields)
    front_end = from_gemma3n_extractor(fields, where)
    if front_end.preemphasis > 0 and not front_end.preemphasis_htk_flavor:
        raise PresetError(
            f"{where}: preemphasis_htk_flavor must be true, got false: keras-hub's frames then begin one sample "
            "before transformers', and it is not known which the model was trained on. Take the model's "
            "preprocessor_config.json instead"
        )
    return front_end


def _from_whisper(fields: Fields, where: str) -> FrontEnd:
    fft_length = fields.take("num_fft_bins", 400)
    return FrontEnd.load("whisper").replace(
        num_mels=fields.take("num_mels", 80),
        frame_length=fft_length,
        fft_length=fft_length,
        hop_length=fields.take("stride", 160),
        sampling_rate=fields.take("sampling_rate", 16000),
        max_audio_length=fields.take("max_audio_length", 30),
    )


def gemma4_config(front_end: FrontEnd) -> dict[str, Any]:
    """A front end as the configuration of keras-hub's `Gemma4AudioConverter`.

    With `frame_length`, as keras-hub >= 0.28 always writes it, it means the checkpoints' mathematics; without, as
    0.27 wrote it, the published page's.
    """
    config = {
        "num_mels": front_end.num_mels,
        "num_fft_bins": front_end.fft_length,
        "stride": front_end.hop_length,
        "sampling_rate": front_end.sampling_rate,
        "max_audio_length": whole(front_end.max_audio_length),
        "min_frequency": front_end.min_frequency,
        "max_frequency": front_end.max_frequency,
        "mel_floor": front_end.mel_floor,
        "per_bin_mean": _listed(front_end.per_bin_mean),
        "per_bin_stddev": _listed(front_end.per_bin_stddev),
    }
    return config if front_end.padding == "center" else {**config, "frame_length": front_end.frame_length}


def gemma3n_config(front_end: FrontEnd) -> dict[str, Any]:
    """A front end as the configuration of keras-hub's `Gemma3nAudioConverter`."""
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


def whisper_config(front_end: FrontEnd) -> dict[str, Any]:
    """A front end as the configuration of keras-hub's `WhisperAudioConverter`."""
    return {
        "num_mels": front_end.num_mels,
        "num_fft_bins": front_end.fft_length,
        "stride": front_end.hop_length,
        "sampling_rate": front_end.sampling_rate,
        "max_audio_length": whole(front_end.max_audio_length),
    }


def whole(number: float | None) -> float | None:
    """A whole number as an int, since keras-hub multiplies seconds by the rate and counts; any other as it is."""
    return int(number) if number is not None and number == int(number) else number


def _listed(values: tuple[float, ...] | None) -> list[float] | None:
    return None if values is None else list(values)
