"""The files that transformers keeps a feature extractor in, as front ends."""

from __future__ import annotations

from typing import Any

from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.presets.milliseconds import frames_from_milliseconds
from melbeam.transforms.presets.preset import (
    EXTRACTOR_FILE,
    Fields,
    NoExtractorError,
    Preset,
    PresetError,
    refuse_other_padding,
)

# The keyword arguments of transformers' image processors: Gemma 3n's shares one flat file with the extractor.
_IMAGE_FIELDS = (
    *("image_processor_type", "image_mean", "image_std", "image_seq_length", "size", "default_to_square"),
    *("crop_size", "do_center_crop", "do_convert_rgb", "do_normalize", "do_pad", "do_rescale", "do_resize"),
    *("pad_size", "resample", "rescale_factor", "data_format", "input_data_format", "device"),
    *("disable_grouping", "return_tensors"),
)
# Fields of a processor that change no feature, and no number of tokens either: transformers counts those from the
# mask, not from `audio_ms_per_token`.
_PROCESSOR_FIELDS = (
    *("processor_class", "auto_map", "chat_template", "tokenizer", "image_processor", "video_processor"),
    *("image_seq_length", "audio_ms_per_token"),
)


def from_processor(content: dict[str, Any], where: str) -> Preset:
    """The front end of a parsed `processor_config.json`.

    Raises:
        NoExtractorError: it has none.
        PresetError: it says something that cannot be computed.
    """
    if not isinstance(content.get("feature_extractor"), dict):
        raise NoExtractorError(
            f"{where} has no 'feature_extractor': the model takes no audio, or an older transformers wrote the "
            f"file, and {EXTRACTOR_FILE} has it"
        )
    return with_audio_tokens(from_extractor(content["feature_extractor"], where), content, where)


def from_extractor(content: dict[str, Any], where: str) -> Preset:
    """The front end of a parsed `preprocessor_config.json`, or of the part of the other file that is its like.

    Raises:
        NoExtractorError: it is of an image processor alone.
        PresetError: it is of another model's extractor, or says something that cannot be computed.
    """
    kind = content.get("feature_extractor_type")
    readers = {
        "Gemma4AudioFeatureExtractor": ("gemma4", _from_gemma4_extractor),
        "Gemma3nAudioFeatureExtractor": ("gemma3n", from_gemma3n_extractor),
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
    fields = Fields(content, where)
    fields.drop("feature_extractor_type", "processor_class", "return_attention_mask")
    if fields.has("image_processor_type"):
        fields.drop(*_IMAGE_FIELDS)
    refuse_other_padding(fields)
    front_end = read(fields, where)
    fields.finish()
    return Preset(front_end, family)


def _refuse_dither(fields: Fields) -> None:
    fields.expect("dither", 0.0, "noise would give other features of the same clip each time")


def _refuse_odd_rate(front_end: FrontEnd, where: str) -> FrontEnd:
    """Refuses what transformers' `mel_filter_bank` makes of an odd rate: its bins end at `sampling_rate // 2` Hz.

    Raises:
        PresetError: the rate is odd.
    """
    rate = front_end.sampling_rate
    if rate % 2:
        raise PresetError(
            f"{where}: sampling_rate must be even, got {rate}: transformers lays the spectrum's bins from 0 to "
            f"{rate // 2} Hz then, half a hertz short, and the bins of melbeam and keras-hub end at {rate / 2:g}"
        )
    return front_end


def _from_gemma4_extractor(fields: Fields, where: str) -> FrontEnd:
    front_end = _gemma(fields, where, FrontEnd.load("gemma4"), fft_overdrive=False, frame_length_ms=20.0)
    return _refuse_odd_rate(front_end, where)


def from_gemma3n_extractor(fields: Fields, where: str) -> FrontEnd:
    """The fields of Gemma 3n's extractor, which keras-hub's converter shares."""
    return _gemma(fields, where, FrontEnd.load("gemma3n"), fft_overdrive=True, frame_length_ms=32.0)


def _gemma(fields: Fields, where: str, base: FrontEnd, *, fft_overdrive: bool, frame_length_ms: float) -> FrontEnd:
    """The fields that the extractors of Gemma 3n and 4 share; what a file leaves out is the class's default."""
    _refuse_dither(fields)
    rate = fields.take("sampling_rate", base.sampling_rate)
    if isinstance(rate, bool) or not isinstance(rate, int) or rate < 1:
        raise PresetError(f"{where}: sampling_rate must be a whole number of at least 1, got {rate!r}")
    lengths = frames_from_milliseconds(
        rate,
        fields.number("frame_length_ms", frame_length_ms),
        fields.number("hop_length_ms", 10.0),
        fft_overdrive=fields.flag("fft_overdrive", fft_overdrive),
    )
    if lengths.frame_length < 1:
        raise PresetError(f"{where}: frame_length_ms gives frames of {lengths.frame_length} samples at {rate} Hz")
    # transformers writes these, and computes them anew from the milliseconds when it reads the file.
    for name, computed in lengths._asdict().items():
        written = fields.take(name, computed)
        if written != computed:
            raise PresetError(
                f"{where}: {name} is {written!r}, but transformers ignores it and takes {computed}, from the "
                f"milliseconds and fft_overdrive: correct it, or write {name.split('_')[0]}_length_ms"
            )
    return base.replace(
        num_mels=fields.take("feature_size", base.num_mels),
        sampling_rate=rate,
        **lengths._asdict(),
        min_frequency=fields.take("min_frequency", base.min_frequency),
        max_frequency=fields.take("max_frequency", base.max_frequency),
        preemphasis=fields.take("preemphasis", base.preemphasis),
        preemphasis_htk_flavor=fields.take("preemphasis_htk_flavor", base.preemphasis_htk_flavor),
        input_scale_factor=fields.take("input_scale_factor", 1.0),
        mel_floor=fields.need("mel_floor", f"the published models have {base.mel_floor}; add the right one"),
        per_bin_mean=_of_bins(fields.take("per_bin_mean")),
        per_bin_stddev=_of_bins(fields.take("per_bin_stddev")),
    )


def _of_bins(values: Any) -> Any:
    """The numbers of the bins, which transformers writes as it holds them, `[1, 1, num_mels]`."""
    while isinstance(values, list) and len(values) == 1 and isinstance(values[0], list):
        (values,) = values
    return values


def _from_whisper_extractor(fields: Fields, where: str) -> FrontEnd:
    _refuse_dither(fields)
    fields.drop("mel_filters")  # older files have the bank itself, which transformers computes anew
    rate, seconds = fields.number("sampling_rate", 16000), fields.number("chunk_length", 30)
    fft_length, hop_length = fields.number("n_fft", 400), fields.number("hop_length", 160)
    fields.expect("n_samples", seconds * rate, "transformers computes it as chunk_length * sampling_rate")
    fields.expect("nb_max_frames", seconds * rate // hop_length, "transformers computes it from n_samples")
    front_end = FrontEnd.load("whisper").replace(
        num_mels=fields.take("feature_size", 80),
        frame_length=fft_length,
        fft_length=fft_length,
        hop_length=hop_length,
        sampling_rate=rate,
        max_audio_length=seconds,
    )
    return _refuse_odd_rate(front_end, where)


def with_audio_tokens(preset: Preset, processor: dict[str, Any], where: str) -> Preset:
    """The preset with the number of tokens that processor_config.json says, whichever file has the extractor.

    Raises:
        PresetError: the number is none, or the file has a field that is not known to change no feature.
    """
    fields = Fields(processor, where)
    fields.drop("feature_extractor", *_PROCESSOR_FIELDS)
    tokens = fields.take("audio_seq_length")
    fields.finish()
    if tokens is None:
        return preset
    if preset.family == "whisper":
        raise PresetError(
            f"{where}: audio_seq_length must not be there, got {tokens!r}: Whisper's encoder gives 1500 states, "
            "whatever the clip"
        )
    try:
        return preset._replace(front_end=preset.front_end.replace(max_audio_tokens=tokens))
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
