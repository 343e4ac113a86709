"""The references' own converters, for comparing: transformers and keras-hub, as they are installed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from melbeam.transforms.front_end import FrontEnd

# Samples to features `[rows, num_mels]`, and the numbers of those rows that count.
Reference = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def reference(package: str, front_end: FrontEnd) -> Reference:
    """The package's own computation of a shipped front end.

    Raises:
        ImportError: the package is not installed.
        ValueError: it does not have this front end.
    """
    makers = _TRANSFORMERS if package == "transformers" else _KERAS_HUB
    for name, make in makers.items():
        if front_end.fingerprint == FrontEnd.load(name).fingerprint:
            return make()
    raise ValueError(
        f"{package} has no front end equal to {front_end.name!r} ({front_end.short_fingerprint}); it has those of "
        f"{', '.join(makers)}"
    )


def _extractor(name: str, **arguments: Any) -> Callable[[], Reference]:
    def make() -> Reference:
        import transformers

        transformers.logging.set_verbosity_error()
        extractor = getattr(transformers, name)(**arguments)
        is_whisper = name.startswith("Whisper")
        called_with: dict[str, Any] = {"sampling_rate": extractor.sampling_rate} if is_whisper else {}

        def features(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            given = extractor([samples], return_tensors="np", **called_with)
            rows = given["input_features"][0]
            if is_whisper:  # which has its bins first, and no mask
                return rows.T, np.arange(rows.shape[1])
            return rows, np.flatnonzero(given["input_features_mask"][0])

        return features

    return make


def _layer(name: str, **arguments: Any) -> Callable[[], Reference]:
    def make() -> Reference:
        import keras_hub

        layer = getattr(keras_hub.layers, name)(**arguments)

        def features(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            rows = np.asarray(layer(samples))
            return rows, np.arange(len(rows))

        return features

    return make


def _keras_gemma3n() -> Reference:
    import keras_hub
    from transformers import Gemma3nAudioFeatureExtractor

    # The class has no defaults; these are the published model's.
    published = Gemma3nAudioFeatureExtractor()
    taken = inspect.signature(keras_hub.layers.Gemma3nAudioConverter.__init__).parameters
    arguments = {name: getattr(published, name) for name in taken if hasattr(published, name)}
    layer = keras_hub.layers.Gemma3nAudioConverter(**arguments, frame_length_ms=32.0, hop_length_ms=10.0)

    def features(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows, mask = layer(samples[None])
        return np.asarray(rows)[0], np.flatnonzero(np.asarray(mask)[0])

    return features


_TRANSFORMERS = {
    "gemma4": _extractor("Gemma4AudioFeatureExtractor"),
    "gemma3n": _extractor("Gemma3nAudioFeatureExtractor"),
    "whisper": _extractor("WhisperFeatureExtractor"),
    "whisper_large_v3": _extractor("WhisperFeatureExtractor", feature_size=128),
}
_KERAS_HUB = {
    # Its default floor, 1e-5, is not the checkpoints'.
    "gemma4": _layer("Gemma4AudioConverter", mel_floor=1e-3),
    "gemma3n": _keras_gemma3n,
    "whisper": _layer("WhisperAudioConverter"),
    "whisper_large_v3": _layer("WhisperAudioConverter", num_mels=128),
}
