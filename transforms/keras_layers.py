"""Keras layers that stand where keras-hub's audio converters do, and compute with ours: `melbeam[keras]`.

They are `keras_hub.layers.AudioConverter`s: for a model's preprocessor, in `Sequential` and functional models, in
`.keras` files. What they compute is a TensorFlow graph; on another backend of Keras they work inside `tf.data`, as
keras-hub's own do.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, ClassVar

import tensorflow as tf

from melbeam.transforms.audio_inputs import RANKS, as_array, dense_audio, is_list_of_clips
from melbeam.transforms.converters import (
    AudioConverter,
    Gemma3nAudioConverter,
    Gemma4AudioConverter,
    WhisperAudioConverter,
)
from melbeam.transforms.presets import BuiltInPreset, built_in, load_preset
from melbeam.transforms.presets.preset import KERAS_FILE
from melbeam.transforms.presets.writing import preset_files_of

try:
    import keras
    import keras_hub
except ImportError as error:
    raise ImportError("melbeam.transforms.keras_layers needs keras-hub: pip install 'melbeam[keras]'") from error

__all__ = [
    "AudioConverterLayer",
    "Gemma3nAudioConverterLayer",
    "Gemma4AudioConverterLayer",
    "WhisperAudioConverterLayer",
]


class _Presets:
    """`presets`: melbeam's built-in presets of a layer's model, by name; none needs a network."""

    def __get__(self, instance: Any, owner: type[AudioConverterLayer]) -> dict[str, BuiltInPreset]:
        return built_in(owner.converter_class.family)


def _from_converter(name: str) -> Any:
    return property(
        lambda layer: getattr(layer.converter, name), doc=f"The converter's `{name}`: see `AudioConverter`."
    )


@keras.saving.register_keras_serializable(package="melbeam")
class AudioConverterLayer(keras_hub.layers.AudioConverter):  # type: ignore[misc, unused-ignore] # it has no types
    """A Keras layer of an `AudioConverter`, for any front end.

    Args:
        *args: those of the converter's constructor.
        name: of the layer.
        dtype: of the layer, a name or a Keras dtype policy; features have its compute dtype. None takes Keras'.
        trainable: as Keras layers have it; there is nothing to train.
        **kwargs: those of the converter's constructor.

    Raises:
        ValueError: an argument is out of its bounds.
    """

    # keras-hub finds the class of a preset by this, in no order where several have the same: none of ours does.
    backbone_cls = None
    presets = _Presets()
    converter_class: ClassVar[type[AudioConverter]] = AudioConverter

    num_mels = _from_converter("num_mels")
    num_fft_bins = _from_converter("num_fft_bins")
    frame_length = _from_converter("frame_length")
    stride = _from_converter("stride")
    sampling_rate = _from_converter("sampling_rate")
    max_audio_length = _from_converter("max_audio_length")
    num_samples = _from_converter("num_samples")
    min_frequency = _from_converter("min_frequency")
    max_frequency = _from_converter("max_frequency")
    mel_floor = _from_converter("mel_floor")
    per_bin_mean = _from_converter("per_bin_mean")
    per_bin_stddev = _from_converter("per_bin_stddev")
    front_end = _from_converter("front_end")
    pad_to_max_length = _from_converter("pad_to_max_length")
    precision = _from_converter("precision")

    def __init__(
        self, *args: Any, name: str | None = None, dtype: Any = None, trainable: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        # Tensors of TensorFlow come in as they are, whatever the backend, and arrays and lists too.
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        self.converter = self.converter_class(*args, dtype=self.compute_dtype, **kwargs)
        self.built = True

    def audio_shape(self) -> tuple[int | None, int]:
        """Shape of the features of one clip: its frames, None where they follow its length, and mel bins."""
        return self.converter.audio_shape()

    def __call__(self, audio: Any, *args: Any, **kwargs: Any) -> Any:
        """See `call`; a list of clips may have arrays beside tensors, which Keras itself refuses.

        Samples in the layer's half precision are warned of: a `Sequential` of a mixed policy casts its input.
        """
        found = keras.backend.standardize_dtype(audio.dtype) if hasattr(audio, "dtype") else None
        if found in ("bfloat16", "float16") and found == self.compute_dtype:
            warnings.warn(
                f"audio comes in {found}, as Keras' Sequential casts it under a mixed policy, and has lost digits "
                "that the features show: use a functional model (keras.Model), which casts nothing, or convert in "
                "Dataset.map",
                stacklevel=2,
            )
        if is_list_of_clips(audio) and any(map(tf.is_tensor, audio)):
            audio = [clip if tf.is_tensor(clip) else tf.convert_to_tensor(as_array(clip)) for clip in audio]
        return super().__call__(audio, *args, **kwargs)

    def call(
        self, audio: Any, lengths: Any = None, sampling_rate: Any = None, training: bool | None = None
    ) -> Any:
        """Features of one clip or of a batch: see `AudioConverter.__call__`."""
        return self.converter(audio, lengths, sampling_rate=sampling_rate)

    def compute_output_spec(self, audio: Any, *args: Any, **kwargs: Any) -> Any:
        """Shape and dtype of the features of a symbolic tensor, for functional models on every backend.

        Raises:
            ValueError: it has neither one nor two dimensions.
        """
        if len(audio.shape) not in (1, 2):
            raise ValueError(f"{RANKS}, got shape {tuple(audio.shape)}")
        *batch, num_samples = audio.shape
        frames, num_mels = self.audio_shape()
        if frames is None and num_samples is not None:
            frames = self.converter.num_frames(num_samples)
        return keras.KerasTensor((*batch, frames, num_mels), dtype=self.compute_dtype)

    def features_of_file(self, path: str | Path) -> Any:
        """Features of an audio file, decoded as the job does: see `AudioConverter.features_of_file`."""
        return self.converter.features_of_file(path)

    @classmethod
    def from_preset(cls, preset: str | Path, load_weights: bool = True, **kwargs: Any) -> AudioConverterLayer:
        """The layer of a preset: `AudioConverter.from_preset`, whose built-in names need no network.

        Args:
            preset: a built-in name, a folder, or an hf:// or kaggle:// handle.
            load_weights: accepted as keras-hub does; there are no weights to load.
            **kwargs: arguments of the constructor, or fields of the front end.

        Returns:
            A layer of the class that it is called on or, called on `AudioConverterLayer`, of the model's own.
        """
        target = LAYERS.get(load_preset(preset).family or "", cls) if cls is AudioConverterLayer else cls
        of_layer: dict[str, Any] = {
            key: kwargs.pop(key) for key in ("name", "dtype", "trainable") if key in kwargs
        }
        arguments = {**target._defaults(), **kwargs}
        config = target.converter_class.from_preset(preset, **arguments).get_config()
        arguments = target.converter_class.arguments_of(config)
        arguments |= {"name": None, "dtype": None, "trainable": True, **of_layer}
        return target(**arguments)

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        """The arguments of the converter whose defaults are others in the layer."""
        return {}

    def save_to_preset(self, preset_dir: str | Path) -> None:
        """Writes the layer as a preset's audio converter.

        It is written as keras-hub's own class where that computes equal features, and else as this one, which
        loads where this module is imported.
        """
        if KERAS_FILE in preset_files_of(self.front_end, self.converter_class.family):
            self.converter.save_to_preset(preset_dir)
        else:
            super().save_to_preset(str(preset_dir))

    def get_config(self) -> dict[str, Any]:
        """The layer's configuration and the converter's."""
        return {**self.converter.get_config(), **super().get_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> AudioConverterLayer:
        """Inverse of `get_config`; on a model's own layer, of that of keras-hub's class too."""
        return cls(**cls.converter_class.arguments_of(config))


@keras.saving.register_keras_serializable(package="melbeam")
class Gemma4AudioConverterLayer(AudioConverterLayer):
    """A Keras layer in place of keras-hub's `Gemma4AudioConverter`; arguments are those of ours.

    `Gemma4AudioConverterLayer.from_preset("gemma4_2b")` has the checkpoints' mathematics.
    """

    converter_class = Gemma4AudioConverter


@keras.saving.register_keras_serializable(package="melbeam")
class WhisperAudioConverterLayer(AudioConverterLayer):
    """A Keras layer in place of keras-hub's `WhisperAudioConverter`; arguments are those of ours."""

    converter_class = WhisperAudioConverter


@keras.saving.register_keras_serializable(package="melbeam")
class Gemma3nAudioConverterLayer(AudioConverterLayer):
    """A Keras layer in place of keras-hub's `Gemma3nAudioConverter`; arguments are those of ours.

    As there, features are as long as the batch's longest clip, unless `pad_to_max_length` is True, and a mask
    comes with them, unless `return_attention_mask` is False.
    """

    converter_class = Gemma3nAudioConverter
    feature_size = _from_converter("num_mels")
    return_attention_mask = _from_converter("return_attention_mask")

    # What keras-hub's call takes, at the values whose meaning is this converter's.
    _CALL: ClassVar = {"padding": ("longest", True), "truncation": (True,), "pad_to_multiple_of": (128,)}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**self._defaults(), **kwargs})

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        return {"pad_to_max_length": False}

    def call(
        self,
        audio: Any,
        lengths: Any = None,
        sampling_rate: Any = None,
        training: bool | None = None,
        *,
        return_attention_mask: bool | None = None,
        **options: Any,
    ) -> Any:
        """Features and mask of one clip or of a batch.

        Args:
            audio: see `AudioConverter.__call__`.
            lengths: integers `[batch]`, valid samples of each row, or None.
            sampling_rate: Hz of the audio, or None.
            training: decides nothing.
            return_attention_mask: None for what the constructor was given.
            **options: `padding`, `max_length`, `truncation` and `pad_to_multiple_of` of keras-hub's layer, at its
                defaults: samples of the longest clip are the front end's.

        Returns:
            `[batch, frames, feature_size]` and, int32 `[batch, frames]`, 1 where a frame is valid; one clip
            without the first dimension. The features alone without `return_attention_mask`.

        Raises:
            ValueError: an option that means something else.
        """
        taken = {**self._CALL, "max_length": (self.num_samples,)}
        for option, value in options.items():
            if value not in taken.get(option, ()):
                expected = {name: values[0] for name, values in taken.items()}
                raise ValueError(f"{option} = {value!r} is not known here; what is taken is {expected}")
        audio, lengths = dense_audio(audio, lengths, self.front_end, self.precision)
        features = self.converter(audio, lengths, sampling_rate=sampling_rate)
        if not (self.return_attention_mask if return_attention_mask is None else return_attention_mask):
            return features
        shape, frames = tf.shape(audio), tf.shape(features)
        valid = tf.fill(shape[:-1], shape[-1]) if lengths is None else lengths
        mask = self.converter.mask(tf.reshape(valid, [-1]), frames[-2])
        return features, tf.cast(tf.reshape(mask, frames[:-1]), tf.int32)

    def compute_output_spec(self, audio: Any, *args: Any, **kwargs: Any) -> Any:
        """Shape and dtype of features and mask of a symbolic tensor."""
        features = super().compute_output_spec(audio)
        with_mask = kwargs.get("return_attention_mask")
        if not (self.return_attention_mask if with_mask is None else with_mask):
            return features
        return features, keras.KerasTensor(features.shape[:-1], dtype="int32")


LAYERS: dict[str, type[AudioConverterLayer]] = {
    "gemma4": Gemma4AudioConverterLayer,
    "gemma3n": Gemma3nAudioConverterLayer,
    "whisper": WhisperAudioConverterLayer,
}
