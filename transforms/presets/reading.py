"""The files that published models keep their front end in, as front ends.

Every field of such a file is computed, or known to change nothing, or refused by name; none is ignored.

Sources: keras-hub's `audio_converter.json` (0.27.1 and >= 0.28) and the feature extractors of transformers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from melbeam.transforms.front_end import FrontEnd

KERAS_FILE = "audio_converter.json"
# The second is the older layout, one flat file; Whisper and Gemma 3n still have it.
HUGGING_FACE_FILES = ("processor_config.json", "preprocessor_config.json")
OWN_FILE = "melbeam_front_end.json"
_OWN_KEYS = ("front_end", "fingerprint", "family")
# Of the image processor, in a flat file that both share, as Gemma 3n's is: transformers' keyword arguments.
_IMAGE_FIELDS = (
    *("image_processor_type", "image_mean", "image_std", "image_seq_length", "size", "default_to_square"),
    *("crop_size", "do_center_crop", "do_convert_rgb", "do_normalize", "do_pad", "do_rescale", "do_resize"),
    *("pad_size", "resample", "rescale_factor", "data_format", "input_data_format", "device"),
    *("disable_grouping", "return_tensors"),
)


class PresetError(ValueError):
    """A preset that cannot be loaded: what was wrong, where, and what to do."""


class NoExtractorError(PresetError):
    """A file without a feature extractor, which the other one beside it may have."""


class Preset(NamedTuple):
    """What a preset's file says: its front end, and whose converter it belongs to, or None."""

    front_end: FrontEnd
    family: str | None


def read_preset_file(name: str, content: Any, where: str) -> Preset:
    """The front end of a parsed file.

    Args:
        name: of the file, without its folder: one of those named in this module.
        content: its JSON value.
        where: the file, for error messages.

    Raises:
        PresetError: the file is not what it should be, or says something that cannot be computed.
    """
    readers = {
        KERAS_FILE: _from_keras,
        OWN_FILE: _from_own,
        HUGGING_FACE_FILES[0]: _from_processor,
        HUGGING_FACE_FILES[1]: _from_extractor,
    }
    if not isinstance(content, dict):
        raise PresetError(f"{where} must hold a JSON object, got {type(content).__name__}")
    try:
        return readers[name](content, where)
    except PresetError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        raise PresetError(f"{where}: {error}") from error


def with_audio_tokens(preset: Preset, processor: Any, where: str) -> Preset:
    """The preset with the number of tokens that processor_config.json says, whichever file has the extractor.

    Its other fields change no feature, and no count of tokens either: transformers counts those from the frames,
    not from `audio_ms_per_token`.

    Raises:
        PresetError: the number is none.
    """
    tokens = processor.get("audio_seq_length")
    if tokens is None or preset.family == "whisper":
        return preset
    try:
        return Preset(preset.front_end.replace(max_audio_tokens=tokens), preset.family)
    except ValueError as error:
        raise PresetError(f"{where}: audio_seq_length: {error}") from error


def refuse_without_audio(config: Any, where: str) -> None:
    """Refuses a Hugging Face model whose config.json has no audio encoder.

    The larger Gemma 4 models share their processor with those that hear. The rule is that of keras-hub's own
    converter of these checkpoints.

    Raises:
        PresetError: the model has no audio encoder.
    """
    if isinstance(config, dict) and config.get("model_type") == "gemma4" and not config.get("audio_config"):
        raise PresetError(
            f"{where} has no 'audio_config': this Gemma 4 model has no audio encoder; those with one are the "
            "E2B and E4B models"
        )


class _Fields:
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
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
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


def _no_dither(fields: _Fields) -> None:
    fields.expect("dither", 0.0, "noise would give other features of the same clip each time")


# ---------------------------------------------------------------------------------------------- keras-hub


def _from_keras(content: dict[str, Any], where: str) -> Preset:
    class_name, config = content.get("class_name"), content.get("config")
    readers = {
        "Gemma4AudioConverter": ("gemma4", _from_keras_gemma4),
        "Gemma3nAudioConverter": ("gemma3n", _from_keras_gemma3n),
        "WhisperAudioConverter": ("whisper", _from_keras_whisper),
    }
    if class_name not in readers or not isinstance(config, dict):
        raise PresetError(
            f"{where}: class_name must be one of {', '.join(readers)}, with a config, got {class_name!r}"
        )
    registered = content.get("registered_name", class_name)
    # Older files are registered in the package keras_nlp.
    if not isinstance(registered, str) or registered.rpartition(">")[2] != class_name:
        raise PresetError(
            f"{where}: class_name {class_name!r} and registered_name {registered!r} contradict each other: "
            "correct the one that is wrong"
        )
    family, read = readers[class_name]
    fields = _Fields(config, where)
    # The dtype is that of keras-hub's arithmetic, not of the features that the model was trained on.
    fields.drop("name", "trainable", "dtype")
    front_end = read(fields, where)
    fields.finish()
    return Preset(front_end, family)


def _from_keras_gemma4(fields: _Fields, where: str) -> FrontEnd:
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


def _from_keras_gemma3n(fields: _Fields, where: str) -> FrontEnd:
    # The same names as in transformers, plus milliseconds; it always has all of them. keras-hub pre-emphasises
    # the whole waveform and transformers each frame: with HTK's flavor only the first sample of a frame differs,
    # where the window is 0. So such a file means the published model's features.
    fields.drop("seed")  # of the dither, which is refused
    fields.expect("padding_side", "right", "clips would begin with the silence that belongs behind them")
    fields.expect("padding_value", 0.0, "silence is 0")
    fields.drop("return_attention_mask")
    front_end = _from_gemma3n_extractor(fields, where)
    if front_end.preemphasis > 0 and not front_end.preemphasis_htk_flavor:
        raise PresetError(
            f"{where}: preemphasis_htk_flavor must be true, got false: keras-hub's frames then begin one sample "
            "before transformers', and it is not known which the model was trained on. Take the model's "
            "preprocessor_config.json instead"
        )
    return front_end


def _from_keras_whisper(fields: _Fields, where: str) -> FrontEnd:
    fft_length = fields.take("num_fft_bins", 400)
    return FrontEnd.load("whisper").replace(
        num_mels=fields.take("num_mels", 80),
        frame_length=fft_length,
        fft_length=fft_length,
        hop_length=fields.take("stride", 160),
        sampling_rate=fields.take("sampling_rate", 16000),
        max_audio_length=fields.take("max_audio_length", 30),
    )


# ------------------------------------------------------------------------------------------- transformers


def _from_processor(content: dict[str, Any], where: str) -> Preset:
    if not isinstance(content.get("feature_extractor"), dict):
        raise NoExtractorError(
            f"{where} has no 'feature_extractor': the model takes no audio, or an older transformers wrote the "
            "file, and preprocessor_config.json has it"
        )
    return with_audio_tokens(_from_extractor(content["feature_extractor"], where), content, where)


def _from_extractor(content: dict[str, Any], where: str) -> Preset:
    kind = content.get("feature_extractor_type")
    readers = {
        "Gemma4AudioFeatureExtractor": ("gemma4", _from_gemma4_extractor),
        "Gemma3nAudioFeatureExtractor": ("gemma3n", _from_gemma3n_extractor),
        "WhisperFeatureExtractor": ("whisper", _from_whisper_extractor),
    }
    if kind == "Gemma4UnifiedAudioFeatureExtractor":
        raise PresetError(
            f"{where}: this model (Gemma 4 12B, 'unified') takes raw waveforms, 640 samples a token, and no "
            "log-mel features: there is nothing for melbeam to compute"
        )
    if kind is None and "image_processor_type" in content:
        raise NoExtractorError(f"{where} is of the image processor alone: it has no 'feature_extractor_type'")
    if kind not in readers:
        raise PresetError(f"{where}: feature_extractor_type must be one of {', '.join(readers)}, got {kind!r}")
    if "num_mel_filters" in content:
        raise PresetError(
            f"{where} has num_mel_filters = {content['num_mel_filters']!r}, which transformers ignores: rename it "
            "to feature_size"
        )
    family, read = readers[kind]
    fields = _Fields(content, where)
    fields.drop("feature_extractor_type", "processor_class", "return_attention_mask")
    if fields.has("image_processor_type"):
        fields.drop(*_IMAGE_FIELDS)
    fields.expect("padding_side", "right", "clips would begin with the silence that belongs behind them")
    fields.expect("padding_value", 0.0, "silence is 0")
    front_end = read(fields, where)
    fields.finish()
    return Preset(front_end, family)


def _from_gemma4_extractor(fields: _Fields, where: str) -> FrontEnd:
    return _gemma(fields, where, FrontEnd.load("gemma4"), fft_overdrive=False, frame_length_ms=20.0)


def _from_gemma3n_extractor(fields: _Fields, where: str) -> FrontEnd:
    return _gemma(fields, where, FrontEnd.load("gemma3n"), fft_overdrive=True, frame_length_ms=32.0)


def _gemma(
    fields: _Fields, where: str, base: FrontEnd, *, fft_overdrive: bool, frame_length_ms: float
) -> FrontEnd:
    """The fields that the extractors of Gemma 3n and 4 share; what a file leaves out is the class's default."""
    _no_dither(fields)
    rate = fields.take("sampling_rate", base.sampling_rate)
    if isinstance(rate, bool) or not isinstance(rate, int) or rate < 1:
        raise PresetError(f"{where}: sampling_rate must be a whole number of at least 1, got {rate!r}")
    frame_length = round(rate * fields.number("frame_length_ms", frame_length_ms) / 1000)
    hop_length = round(rate * fields.number("hop_length_ms", 10.0) / 1000)
    if frame_length < 1:
        raise PresetError(f"{where}: frame_length_ms gives frames of {frame_length} samples at {rate} Hz")
    fft_length = 2 ** math.ceil(math.log2(frame_length))
    if fields.flag("fft_overdrive", fft_overdrive):
        fft_length *= 2
    # transformers writes these, and computes them anew from the milliseconds when it reads the file.
    for name, computed in (("frame_length", frame_length), ("hop_length", hop_length), ("fft_length", fft_length)):
        written = fields.take(name, computed)
        if written != computed:
            raise PresetError(
                f"{where}: {name} is {written!r}, but transformers ignores it and takes {computed}, from the "
                f"milliseconds and fft_overdrive: correct it, or write {name.split('_')[0]}_length_ms"
            )
    return base.replace(
        num_mels=fields.take("feature_size", base.num_mels),
        sampling_rate=rate,
        frame_length=frame_length,
        hop_length=hop_length,
        fft_length=fft_length,
        min_frequency=fields.take("min_frequency", base.min_frequency),
        max_frequency=fields.take("max_frequency", base.max_frequency),
        preemphasis=fields.take("preemphasis", base.preemphasis),
        preemphasis_htk_flavor=fields.take("preemphasis_htk_flavor", base.preemphasis_htk_flavor),
        input_scale_factor=fields.take("input_scale_factor", 1.0),
        mel_floor=fields.need("mel_floor", f"the published models have {base.mel_floor}; add the right one"),
        per_bin_mean=fields.take("per_bin_mean"),
        per_bin_stddev=fields.take("per_bin_stddev"),
    )


def _from_whisper_extractor(fields: _Fields, where: str) -> FrontEnd:
    _no_dither(fields)
    fields.drop("mel_filters")  # older files have the bank itself, which transformers computes anew
    rate, seconds = fields.number("sampling_rate", 16000), fields.number("chunk_length", 30)
    fft_length, hop_length = fields.number("n_fft", 400), fields.number("hop_length", 160)
    fields.expect("n_samples", seconds * rate, "transformers computes it as chunk_length * sampling_rate")
    fields.expect("nb_max_frames", seconds * rate // hop_length, "transformers computes it from n_samples")
    return FrontEnd.load("whisper").replace(
        num_mels=fields.take("feature_size", 80),
        frame_length=fft_length,
        fft_length=fft_length,
        hop_length=hop_length,
        sampling_rate=rate,
        max_audio_length=seconds,
    )


# ----------------------------------------------------------------------------------------------- our own


def _from_own(content: dict[str, Any], where: str) -> Preset:
    missing = [key for key in _OWN_KEYS if key not in content]
    if missing:
        raise PresetError(f"{where} has no {', '.join(missing)}: melbeam wrote it otherwise")
    if content["family"] not in (None, "gemma4", "gemma3n", "whisper"):
        raise PresetError(f"{where}: family must be gemma4, gemma3n, whisper or null, got {content['family']!r}")
    front_end = FrontEnd.from_dict(content["front_end"])
    if front_end.fingerprint != content["fingerprint"]:
        raise PresetError(
            f"{where}: its fingerprint {content['fingerprint']!r} is not that of its front end, "
            f"{front_end.fingerprint!r}: the file was edited, or another version of melbeam computes otherwise"
        )
    return Preset(front_end, content["family"])
