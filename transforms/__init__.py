"""What happens to one record or one batch of audio: the front end, its TensorFlow graph, the records.

Names are loaded when touched: importing this package imports neither TensorFlow nor Apache Beam.
"""

from importlib import import_module
from typing import Any

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

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module(f"{__name__}.versions").melbeam_version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_HOMES)}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*_HOMES, "__version__"])
