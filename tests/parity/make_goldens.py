"""Writes what the references give for the oracle's signals to tests/data/goldens.

Run once for each environment; the clips come from melbeam, installed beside it without its dependencies:

    pip install keras-hub==0.27.1 tensorflow-cpu tokenizers sentencepiece soundfile
    pip install --no-deps .
    python tests/parity/make_goldens.py keras-hub-documented

    pip install keras-hub==0.32.0 transformers==5.23.0 tensorflow-cpu soundfile
    pip install --no-deps .
    python tests/parity/make_goldens.py keras-hub
    python tests/parity/make_goldens.py transformers
    python tests/parity/make_goldens.py transformers-gemma3n
    python tests/parity/make_goldens.py transformers-whisper
    python tests/parity/make_goldens.py transformers-whisper_large_v3

Only some rows are kept: the first and the last five, every 97th, and those around the impulse.
"""

import hashlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
ROWS = np.unique([*range(5), *range(40, 48), *range(0, 3000, 97), *range(2995, 3000)])


def reference(name):
    """A function of samples to float32 `[rows, num_mels]`, and the version of what computes it."""
    if name.startswith("transformers"):
        return extractor(name), importlib.metadata.version("transformers")
    import keras_hub

    converter = keras_hub.layers.Gemma4AudioConverter(**({"mel_floor": 1e-3} if name == "keras-hub" else {}))
    return lambda samples: np.asarray(converter(samples)), importlib.metadata.version("keras-hub")


def extractor(name):
    import transformers

    found = {
        "transformers": transformers.Gemma4AudioFeatureExtractor,
        "transformers-gemma3n": transformers.Gemma3nAudioFeatureExtractor,
        "transformers-whisper": transformers.WhisperFeatureExtractor,
        "transformers-whisper_large_v3": lambda: transformers.WhisperFeatureExtractor(feature_size=128),
    }[name]()

    def features(samples):
        whisper = {"sampling_rate": 16000} if "whisper" in name else {}
        given = found([samples], padding="max_length", max_length=480000, return_tensors="np", **whisper)
        rows = given["input_features"][0]
        if whisper:
            return rows.T
        # The last of Gemma 4's 3000 rows is never computed, and masked rows are zeroed: not compared.
        kept = np.full((3000, 128), np.nan, np.float32)
        valid = given["input_features_mask"][0]
        kept[: len(rows)][valid] = rows[valid]
        return kept

    return features


def main():
    name = sys.argv[1]
    spec = importlib.util.spec_from_file_location("oracle", ROOT / "tests" / "oracle.py")
    oracle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(oracle)
    compute, version = reference(name)
    arrays = {"rows": ROWS, "version": version}
    for signal, samples in oracle.signals().items():
        arrays[signal] = compute(samples)[ROWS]
        arrays[f"{signal}_sha256"] = hashlib.sha256(samples.tobytes()).hexdigest()
    folder = ROOT / "tests" / "data" / "goldens"
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / f"{name}.npz", **arrays)


if __name__ == "__main__":
    main()
