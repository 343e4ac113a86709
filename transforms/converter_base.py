"""What a converter is made of: its arguments, its attributes, its presets and its configuration.

What it computes is in `audio_converter`.
"""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from melbeam.transforms.bounds import check_flag
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.mel import warn_of_empty_filters
from melbeam.transforms.precision import Precision, checked_dtype, checked_precision
from melbeam.transforms.presets import BuiltInPreset, built_in, find_front_end, load_preset, save_preset
from melbeam.transforms.presets.keras_files import whole

# keras-hub's names of a front end's fields, which `from_preset` takes beside our own.
_FIELD_NAMES = {"num_fft_bins": "fft_length", "stride": "hop_length", "feature_size": "num_mels"}


class _Presets:
    """`AudioConverter.presets`: the built-in presets that a class takes, by name."""

    def __get__(self, instance: Any, owner: type[ConverterBase]) -> dict[str, BuiltInPreset]:
        return built_in(owner.family)


def _from_front_end(field: str, doc: str) -> Any:
    return property(lambda converter: getattr(converter.front_end, field), doc=doc)


def _list_from_front_end(field: str, doc: str) -> Any:
    def values(converter: ConverterBase) -> list[float] | None:
        found = getattr(converter.front_end, field)
        return None if found is None else list(found)

    return property(values, doc=doc)


Converter = TypeVar("Converter", bound="ConverterBase")


class ConverterBase:
    """The arguments of a converter, checked, and what can be asked of them without computing.

    Args and errors are those of `AudioConverter`.
    """

    presets = _Presets()
    family: ClassVar[str | None] = None  # of the presets that a subclass takes; None takes all
    # Arguments of the constructor that are no fields of a front end, but of which some are computed.
    _counted_with: ClassVar[tuple[str, ...]] = ()

    num_mels = _from_front_end("num_mels", "Mel bins.")
    num_fft_bins = _from_front_end("fft_length", "Points of the FFT.")
    frame_length = _from_front_end("frame_length", "Samples under the window.")
    stride = _from_front_end("hop_length", "Samples from one frame to the next.")
    sampling_rate = _from_front_end("sampling_rate", "Hz of the waveform.")
    num_samples = _from_front_end("max_samples", "Samples of the longest clip, or None.")
    min_frequency = _from_front_end("min_frequency", "Hz, the lower edge of the mel bank.")
    max_frequency = _from_front_end("max_frequency", "Hz, its upper edge.")
    mel_floor = _from_front_end("mel_floor", "The floor of the mel values.")
    per_bin_mean = _list_from_front_end("per_bin_mean", "What is subtracted from each bin, or None.")
    per_bin_stddev = _list_from_front_end("per_bin_stddev", "What divides each bin afterwards, or None.")

    def __init_subclass__(cls, family: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if family is not None:
            cls.family = family

    def __init__(
        self,
        front_end: FrontEnd | str | Path,
        *,
        pad_to_max_length: bool = True,
        precision: Precision = "float64",
        name: str | None = None,
        dtype: Any = "float32",
        trainable: bool = False,
        padding_side: str = "right",
        padding_value: float = 0.0,
    ) -> None:
        self._front_end = find_front_end(front_end)
        self._precision: Precision = checked_precision(precision)
        self._dtype = checked_dtype(dtype)
        for argument, value in (("pad_to_max_length", pad_to_max_length), ("trainable", trainable)):
            check_flag(argument, value)
        if name is not None and not isinstance(name, str):
            raise ValueError(f"name must be a string or None, got {name!r}")
        if padding_side != "right":
            raise ValueError(
                f"padding_side must be 'right', got {padding_side!r}: clips would begin with the silence that "
                "belongs behind them"
            )
        if isinstance(padding_value, bool) or padding_value != 0:
            raise ValueError(f"padding_value must be 0.0, got {padding_value!r}: silence is 0")
        if pad_to_max_length and self.front_end.max_samples is None:
            raise ValueError(
                "pad_to_max_length=True needs a front end with max_audio_length; "
                f"{self.front_end.name!r} has none: pass pad_to_max_length=False"
            )
        warn_of_empty_filters(self.front_end)
        self._pad_to_max_length = bool(pad_to_max_length)
        self.name = name or self.front_end.name
        self.trainable = bool(trainable)

    @property
    def front_end(self) -> FrontEnd:
        """The numbers that decide the features."""
        return self._front_end

    @property
    def pad_to_max_length(self) -> bool:
        """Whether every clip has the frames of `max_audio_length`."""
        return self._pad_to_max_length

    @property
    def precision(self) -> Precision:
        """The precision of window, FFT and spectrum."""
        return self._precision

    @property
    def dtype(self) -> str:
        """The name of the output's dtype."""
        return self._dtype

    @property
    def max_audio_length(self) -> float | None:
        """Seconds of the longest clip, a whole number as an int, or None."""
        return whole(self.front_end.max_audio_length)

    def audio_shape(self) -> tuple[int | None, int]:
        """Shape of the features of one clip: its frames, None where they follow its length, and mel bins."""
        return self.front_end.padded_frames if self.pad_to_max_length else None, self.num_mels

    @classmethod
    def from_preset(
        cls: type[Converter], preset: str | Path, load_weights: bool = True, **overrides: Any
    ) -> Converter:
        """The converter of a preset.

        Args:
            preset: a built-in name (`AudioConverter.presets`, `melbeam presets`), a folder, or an hf:// or
                kaggle:// handle: see `presets.load_preset`.
            load_weights: accepted as keras-hub does; there are no weights to load.
            **overrides: fields of the front end (also as `num_fft_bins`, `stride`, `feature_size`), which then is
                no longer the preset's; or other arguments of the class's constructor: `pad_to_max_length`,
                `precision`, `name`, `dtype` and so on.

        Returns:
            A converter of the class that it is called on or, called on `AudioConverter`, of the preset's own.

        Raises:
            ValueError: there is no such preset, it cannot be reached, its file is wrong, it has no audio, it
                belongs to another class, or an override is out of its bounds, given twice, or no field.
        """
        loaded = load_preset(preset)
        target = cls._class_for(loaded.family)
        if target.family not in (None, loaded.family):
            raise ValueError(
                f"{preset} is a preset of {loaded.family or 'no known family'}, not of {cls.__name__} "
                f"({cls.family}): use AudioConverter.from_preset, which picks the class"
            )
        front_end = loaded.front_end
        if front_end.frame_length == front_end.fft_length and "num_fft_bins" in overrides:
            overrides.setdefault("frame_length", overrides["num_fft_bins"])
        fields: dict[str, str] = {}
        for name in overrides:
            field = _FIELD_NAMES.get(name, name)
            if field in fields:
                raise ValueError(f"{fields[field]} and {name} are one number, {field}: pass either")
            if name in target._counted_with:
                raise ValueError(
                    f"{name} is no field of a preset's: override frame_length, hop_length, fft_length (samples)"
                )
            fields[field] = name
        of_front_end = {field.name for field in dataclasses.fields(FrontEnd)} - {"name"}
        accepted = {*inspect.signature(target).parameters, *inspect.signature(ConverterBase).parameters}
        changes = {
            field: overrides.pop(name)
            for field, name in fields.items()
            if field in of_front_end or name not in accepted
        }
        if not loaded.return_attention_mask and hasattr(target, "return_attention_mask"):
            overrides.setdefault("return_attention_mask", False)
        return target(front_end=front_end.replace(**changes), **overrides)

    @classmethod
    def _class_for(cls, family: str | None) -> Any:
        """The class of which `from_preset` makes one."""
        return cls

    def save_to_preset(self, preset_dir: str | Path) -> None:
        """Writes the front end as a preset, keras-hub's form where that can express it: `presets.save_preset`."""
        save_preset(self.front_end, preset_dir, self.family)

    def get_config(self) -> dict[str, Any]:
        """The whole front end and the other arguments of the constructor, as JSON takes them.

        The models' own classes add the keys of keras-hub's class, which say the same for others to read.
        """
        return {
            **self._keras_config(self.front_end),
            "front_end": self.front_end.to_dict(),
            "pad_to_max_length": self.pad_to_max_length,
            "precision": self.precision,
            "name": self.name,
            "dtype": self.dtype,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls: type[Converter], config: dict[str, Any]) -> Converter:
        """Inverse of `get_config`; on a model's own class, of that of keras-hub's class too.

        Raises:
            ValueError: the configuration has no front end, or a key beside it that says otherwise.
        """
        return cls(**cls.arguments_of(config))

    @classmethod
    def arguments_of(cls, config: dict[str, Any]) -> dict[str, Any]:
        """The constructor's arguments that a configuration means, ours or, on a model's own class, keras-hub's.

        Raises:
            ValueError: the configuration has no front end, or a key beside it that says otherwise.
        """
        arguments = dict(config)
        if "front_end" not in arguments:
            return cls._arguments_of_keras(arguments)
        front_end = FrontEnd.from_dict(arguments["front_end"])
        expected = cls._keras_config(front_end)
        for key in cls._keras_keys() & arguments.keys():
            found = arguments.pop(key)
            if key not in expected or found != expected[key]:
                raise ValueError(
                    f"the configuration says {key} = {found!r} and, in its front_end, {expected.get(key)!r}: "
                    "change the front end, or take it out"
                )
        return {**arguments, "front_end": front_end}

    @classmethod
    def _keras_config(cls, front_end: FrontEnd) -> dict[str, Any]:
        """The keys of keras-hub's class of this model, whose mathematics they mean there."""
        return {}

    @classmethod
    def _keras_keys(cls) -> set[str]:
        """The keys that keras-hub's class of this model may have, in any of its versions."""
        return {*cls._keras_config(FrontEnd.load(cls.family))} if cls.family in FrontEnd.shipped() else set()

    @classmethod
    def _arguments_of_keras(cls, config: dict[str, Any]) -> dict[str, Any]:
        if cls.family is None:
            raise ValueError(
                f"the configuration has no front_end, only {', '.join(sorted(config))}: that of keras-hub's class "
                "goes to the class of its model, as to Gemma4AudioConverter.from_config"
            )
        return config
