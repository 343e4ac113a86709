"""Holds what benchmarks/kernel.py compares: ways to the features of the front end `gemma4`, and the bound.

Each is checked against the float64 oracle of the tests before it is measured. Only NumPy is imported at the top:
each way runs in a process that has what it needs, and no more.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RATE = 16000  # Hz
SINGLE = (0.2, 1.0, 3.0, 10.0, 30.0)  # seconds of one clip
# On speech and noise, a float64 path may differ from the oracle's features by the first, any other by the second.
EXACT, FLOAT32 = 1e-5, 2e-3

Work = Callable[[], Any]
Features = Callable[[np.ndarray], Any]  # samples to [at least the clip's frames, 128]


def load_oracle() -> Any:
    """tests/oracle.py."""
    path = Path(__file__).parents[1] / "tests" / "oracle.py"
    specification = importlib.util.spec_from_file_location("oracle", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def clips_of(count: int, shortest: float, longest: float) -> list[np.ndarray]:
    """float32 noise that comes and goes, of lengths drawn evenly."""
    rng = np.random.default_rng(2026)
    found = []
    for seconds in rng.uniform(shortest, longest, count):
        size = int(seconds * RATE)
        swell = 0.02 + 0.1 * np.sin(np.arange(size) * (2 * np.pi / RATE)) ** 2
        found.append((swell * rng.standard_normal(size)).astype("float32"))
    return found


def error_on_signals(features: Callable[[np.ndarray], np.ndarray], limit: float) -> float:
    """The largest distance from the oracle's `gemma4` on speech and noise.

    Raises:
        AssertionError: it is above the limit; then there is no use in timing.
    """
    oracle, worst = load_oracle(), 0.0
    for name in ("speech", "noise"):
        samples = oracle.signals()[name]
        rows = -(-len(samples) // 160) - 1
        found = np.asarray(features(samples))[:rows]
        worst = max(worst, float(np.abs(found - oracle.gemma4(samples, rows)).max()))
    assert worst <= limit, f"features are {worst:.1e} from exact mathematics, above {limit:.0e}"
    return worst


def one_thread() -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def serve_transformers() -> tuple[dict[str, Work], float]:
    """Prepares transformers' extractor, for one clip a call, not padded."""
    from transformers import Gemma4AudioFeatureExtractor

    extractor, clips = Gemma4AudioFeatureExtractor(), clips_of_calls()
    extract = lambda clip: extractor([clip], return_tensors="np")["input_features"][0]  # noqa: E731
    return {"clips": lambda: [extract(clip) for clip in clips]}, error_on_signals(extract, FLOAT32)


def serve_baseline() -> tuple[dict[str, Work], float]:
    """Another version of melbeam, through what every version has."""
    one_thread()
    from melbeam.transforms import AudioConverter

    works: dict[str, Work] = {}
    for precision in ("float32", "float64"):
        convert = AudioConverter("gemma4", pad_to_max_length=False, precision=precision)
        for clip in single_clips():
            works[f"{precision}, {len(clip) / RATE:g} s"] = lambda convert=convert, clip=clip: convert(clip)
        works[f"{precision}, clips"] = lambda convert=convert: [convert(clip) for clip in clips_of_calls()]
    return works, error_on_signals(lambda samples: convert(samples).numpy(), EXACT)


SERVED = {"transformers": serve_transformers, "baseline": serve_baseline}


def single_clips() -> list[np.ndarray]:
    return [clips_of(1, seconds, seconds)[0] for seconds in SINGLE]


@functools.cache
def clips_of_calls() -> list[np.ndarray]:
    return clips_of(40, 1.5, 30)


def plain_tf_signal() -> Features:
    """The features as a user of tf.signal writes them, with the right bank: float32, one graph."""
    import tensorflow as tf

    from melbeam.transforms import FrontEnd
    from melbeam.transforms.mel import mel_bank

    bank = tf.constant(mel_bank(FrontEnd.load("gemma4")), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def features(samples: tf.Tensor) -> tf.Tensor:
        frames = -(-tf.shape(samples)[0] // 160) - 1
        padded = tf.pad(samples, [[160, 160]])
        spectrum = tf.abs(tf.signal.stft(padded, 320, 160, 512))[:frames]
        return tf.math.log(tf.matmul(spectrum, bank) + 1e-3)

    return features


def keras_hub_layer() -> Features:
    import keras_hub

    return keras_hub.layers.Gemma4AudioConverter(mel_floor=1e-3)


def librosa_features() -> Features:
    """librosa's spectrogram with the right bank: its own has other edges."""
    import librosa

    from melbeam.transforms import FrontEnd
    from melbeam.transforms.mel import hann_window, mel_bank

    bank, window = mel_bank(FrontEnd.load("gemma4")).astype("float32"), hann_window(320).astype("float32")

    def features(samples: np.ndarray) -> np.ndarray:
        # Its window lies in the middle of the 512 points, so the clip is moved by half of what is left.
        padded = np.pad(samples, (160 + 96, 512))
        spectrum = np.abs(librosa.stft(padded, n_fft=512, hop_length=160, window=np.pad(window, 96), center=False))
        return np.log(spectrum.T[: -(-len(samples) // 160) - 1] @ bank + 1e-3)

    return features


def torch_features() -> Features:
    import torch

    from melbeam.transforms import FrontEnd
    from melbeam.transforms.mel import hann_window, mel_bank

    torch.set_num_threads(1)
    bank = torch.from_numpy(mel_bank(FrontEnd.load("gemma4")).astype("float32"))
    window = torch.from_numpy(hann_window(320).astype("float32"))

    def features(samples: np.ndarray) -> Any:
        frames = torch.nn.functional.pad(torch.from_numpy(samples), (160, 160)).unfold(0, 320, 160)
        spectrum = torch.fft.rfft(frames[: -(-len(samples) // 160) - 1] * window, 512).abs()
        return torch.log(spectrum @ bank + 1e-3).numpy()

    return features


def bound_steps(precision: str) -> dict[str, dict[str, Work]]:
    """Step to library to its work on 4096 frames, 41 s of audio, in blocks of 64 that stay in the cache."""
    from melbeam.transforms import FrontEnd
    from melbeam.transforms.mel import mel_bands

    blocks = range(64)
    frames = np.random.default_rng(0).standard_normal((64, 512)).astype(precision)
    spectrum = np.fft.rfft(frames).astype("complex64" if precision == "float32" else "complex128")
    magnitude = np.abs(spectrum).astype("float32")
    bands = [(band.first, band.end, band.weights.astype("float32")) for band in mel_bands(FrontEnd.load("gemma4"))]
    mel, whole = np.empty((64, 128), "float32"), np.empty((64, 128), "float32")
    bank = np.zeros((257, 128), "float32")
    for number, (first, end, weights) in enumerate(bands):
        bank[first:end, 32 * number : 32 * number + weights.shape[1]] = weights
    steps: dict[str, dict[str, Work]] = {
        "transform": {},
        "magnitude": {},
        "product": {},
        "logarithm": {},
    }
    transforms: dict[str, Work] = {}
    with contextlib.suppress(ImportError):
        import scipy.fft

        transforms["scipy"] = lambda: scipy.fft.rfft(frames)
    with contextlib.suppress(ImportError):
        import ducc0

        out = np.empty_like(spectrum)
        transforms["ducc0"] = lambda: ducc0.fft.r2c(frames, axes=[1], nthreads=1, out=out)
    with contextlib.suppress(ImportError):
        import mkl_fft

        transforms["mkl_fft"] = lambda: mkl_fft.rfft_numpy(frames)
    for name, transform in transforms.items():
        steps["transform"][name] = lambda transform=transform: [transform() for _ in blocks]
    steps["magnitude"]["numpy abs"] = lambda: [np.abs(spectrum) for _ in blocks]

    def root() -> np.ndarray:
        power = np.square(spectrum.real).astype("float32")
        power += np.square(spectrum.imag).astype("float32")
        return np.sqrt(power, out=power)

    steps["magnitude"]["numpy root"] = lambda: [root() for _ in blocks]

    def banded() -> None:
        for number, (first, end, weights) in enumerate(bands):
            np.matmul(magnitude[:, first:end], weights, out=mel[:, 32 * number : 32 * number + 32])

    steps["product"]["BLAS, banded"] = lambda: [banded() for _ in blocks]
    steps["product"]["BLAS"] = lambda: [np.matmul(magnitude, bank, out=whole) for _ in blocks]
    mel[:] = 1 + np.abs(frames[:, :128])
    steps["logarithm"]["numpy"] = lambda: [np.log(mel + np.float32(1e-3)) for _ in blocks]
    return steps


def contenders() -> dict[str, tuple[Features, float]]:
    """Name to samples-to-features of one clip, and how far they may be from exact mathematics."""
    from melbeam.transforms import AudioConverter

    found: dict[str, tuple[Features, float]] = {}
    for precision, limit in (("float32", FLOAT32), ("float64", EXACT)):
        found[f"melbeam {precision}"] = (
            AudioConverter("gemma4", pad_to_max_length=False, precision=precision),
            limit,
        )
    makers = {
        "plain tf.signal": plain_tf_signal,
        "keras-hub": keras_hub_layer,
        "librosa": librosa_features,
        "torch": torch_features,
    }
    for name, make in makers.items():
        try:
            found[name] = (make(), FLOAT32)
        except ImportError as error:
            print(f"{name} takes no part: {error}", file=sys.stderr)
    return found
