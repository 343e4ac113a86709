"""What happens to one record or one batch of audio: the front end, its TensorFlow graph, the records.

Names are loaded when touched: importing this package imports neither TensorFlow nor Apache Beam.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what a type checker takes from here; `_HOMES` is what runs, and a test holds one to the other
    from melbeam.transforms.beam import ExtractLogMel, LogMelDoFn
    from melbeam.transforms.converters import (
        AudioConverter,
        Gemma3nAudioConverter,
        Gemma4AudioConverter,
        WhisperAudioConverter,
    )
    from melbeam.transforms.front_end import FrontEnd
    from melbeam.transforms.reading.augmentation import spec_augment
    from melbeam.transforms.reading.dataset import read_features
    from melbeam.transforms.reading.model_inputs import model_inputs
    from melbeam.transforms.reading.source import FeatureSource
    from melbeam.transforms.records.audio_example import audio_example
    from melbeam.transforms.records.rejects import Reject
    from melbeam.transforms.streaming import FeatureStream
    from melbeam.transforms.tf_data import log_mel_map

# Imported in this way, the module's name is no name of this package.
import_module(f"{__name__}.beam_notices").silence_package_notices()

_HOMES = {
    "FrontEnd": "front_end",
    "Reject": "records.rejects",
    "AudioConverter": "converters",
    "FeatureStream": "streaming",
    "Gemma3nAudioConverter": "converters",
    "Gemma4AudioConverter": "converters",
    "WhisperAudioConverter": "converters",
    "ExtractLogMel": "beam",
    "LogMelDoFn": "beam",
    "audio_example": "records.audio_example",
    "log_mel_map": "tf_data",
    "model_inputs": "reading.model_inputs",
    "FeatureSource": "reading.source",
    "read_features": "reading.dataset",
    "spec_augment": "reading.augmentation",
}

__all__ = [
    "AudioConverter",
    "ExtractLogMel",
    "FeatureSource",
    "FeatureStream",
    "FrontEnd",
    "Gemma3nAudioConverter",
    "Gemma4AudioConverter",
    "LogMelDoFn",
    "Reject",
    "WhisperAudioConverter",
    "audio_example",
    "log_mel_map",
    "model_inputs",
    "read_features",
    "spec_augment",
]


if TYPE_CHECKING:
    __version__: str
else:  # of which a type checker would conclude that there is every name

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return import_module(f"{__name__}.versions").melbeam_version()
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_HOMES)}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*_HOMES, "__version__"])
