"""Runs the references and melbeam on the same signals, and writes docs/parity.md and the README's table.

`make parity` runs it in an environment of its own, with the `parity` extra. keras-hub 0.27.1, which the published
page of Gemma 4 documents, is there as goldens that tests/parity/make_goldens.py made with it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from melbeam.pipelines.verifying.references import reference
from melbeam.transforms import AudioConverter, FrontEnd
from melbeam.transforms.log_mel import mel_spectrogram, pad, rows_below

ROOT = Path(__file__).parents[1]
LONGEST = 490_000  # samples
# A front end's name and a signal's to the exact features.
Exact = Callable[[str, str], np.ndarray]


@dataclass
class Row:
    """A reference in the table.

    Attributes:
        name: of the class, with its package.
        front_end: the shipped front end that follows it.
        features: name of a signal and samples to features, and the numbers of the rows that count.
        note: where it departs.
    """

    name: str
    front_end: str
    features: Callable[[str, np.ndarray], tuple[np.ndarray, np.ndarray]]
    note: str = ""


def references() -> list[Row]:
    """All of them."""

    def of(package: str, name: str, front_end: str, note: str = "") -> Row:
        compute = reference(package, FrontEnd.load(front_end))
        shown = f"{package} {importlib.metadata.version(package)} `{name}`"
        return Row(shown, front_end, lambda _, samples: compute(samples), note)

    golden = np.load(ROOT / "tests" / "data" / "goldens" / "keras-hub-documented.npz")
    return [
        of("transformers", "Gemma4AudioFeatureExtractor", "gemma4"),
        of(
            "keras-hub",
            "Gemma4AudioConverter(mel_floor=1e-3)",
            "gemma4",
            "its default floor is 1e-5, which is not the checkpoints'",
        ),
        Row(
            f"keras-hub {golden['version']} `Gemma4AudioConverter()`",
            "gemma4_documented",
            lambda signal, _: (golden[signal], golden["rows"]),
        ),
        of("transformers", "Gemma3nAudioFeatureExtractor", "gemma3n"),
        of(
            "keras-hub",
            "Gemma3nAudioConverter",
            "gemma3n",
            "it pre-emphasises the whole waveform, which only differs in each frame's first sample, where Hann's "
            "window is 0",
        ),
        of("transformers", "WhisperFeatureExtractor(feature_size=80)", "whisper"),
        of("transformers", "WhisperFeatureExtractor(feature_size=128)", "whisper_large_v3"),
        of("keras-hub", "WhisperAudioConverter(num_mels=80)", "whisper"),
        of("keras-hub", "WhisperAudioConverter(num_mels=128)", "whisper_large_v3"),
    ]


@dataclass
class Distances:
    """Largest and 99th-percentile absolute differences of log-mel features, on the rows that count."""

    float64: tuple[float, float]
    float32: tuple[float, float]
    its_own: float  # of the reference from the float64 oracle
    rows: int


def compare(row: Row, signals: dict[str, np.ndarray], exact: Exact) -> dict[str, Distances]:
    """Signal to distances of melbeam from the reference."""
    converters = {p: AudioConverter(row.front_end, precision=p) for p in ("float64", "float32")}
    found = {}
    for signal, samples in signals.items():
        features, rows = row.features(signal, samples)
        features = features[: len(rows)]
        ours = {p: np.abs(converters[p](samples).numpy()[rows] - features) for p in converters}
        apart = {p: (float(d.max()), float(np.percentile(d, 99))) for p, d in ours.items()}
        its_own = float(np.abs(features - exact(row.front_end, signal)[rows]).max())
        found[signal] = Distances(apart["float64"], apart["float32"], its_own, len(rows))
    return found


def before_the_logarithm(name: str, oracle: ModuleType, signals: dict[str, np.ndarray]) -> dict[str, float]:
    """Signal to float32's largest error in mel values, relative to each frame's largest (spectral) value."""
    front_end, found = FrontEnd.load(name), {}
    for signal, samples in signals.items():
        expected = getattr(oracle, f"{name}_mel")(samples)
        loudness = oracle.gemma3n_spectrum(samples) if name == "gemma3n" else expected
        largest = loudness.max(axis=1, keepdims=True)
        padded = pad(tf.constant(samples[None]), front_end, front_end.padded_frames + rows_below(front_end))
        error = np.abs(mel_spectrogram(padded, front_end, "float32")[0].numpy() - expected)
        found[signal] = float((error / np.where(largest > 0, largest, 1)).max())
    return found


def lengths() -> list[str]:
    """Frames and tokens against transformers', for every length."""
    from transformers import Gemma3nAudioFeatureExtractor, Gemma4AudioFeatureExtractor, WhisperFeatureExtractor
    from transformers.models.gemma4.processing_gemma4 import Gemma4Processor

    gemma4 = FrontEnd.load("gemma4")
    extractors = {
        "gemma4": Gemma4AudioFeatureExtractor(),
        "gemma3n": Gemma3nAudioFeatureExtractor(),
        "whisper": WhisperFeatureExtractor(),
    }
    processor = SimpleNamespace(feature_extractor=extractors["gemma4"], audio_seq_length=750)
    tokens_differ, keras_differs = [], []
    for n in range(LONGEST + 1):
        tokens = gemma4.num_audio_tokens(n)
        if tokens != Gemma4Processor._compute_audio_num_tokens(processor, range(n), 16000):
            tokens_differ.append(n)
        if tokens != min(750, max(1, (n // 160 + 3) // 4)):
            keras_differs.append(n)
    rule = [n for n in range(LONGEST + 1) if n <= 160 or (n % 640 == 160 and n <= 480_000)]
    lines = [
        f"- Gemma 4 tokens, `num_audio_tokens(n)` against transformers' `Gemma4Processor`, every n from 0 to "
        f"{LONGEST}: {len(tokens_differ)} differ.",
        f"- Gemma 4 tokens against keras-hub's preprocessor, `max(1, (n // 160 + 3) // 4)`: {len(keras_differs)} "
        f"of {LONGEST + 1} differ, {'exactly' if keras_differs == rule else 'NOT only'} those with n <= 160 or "
        "n % 640 == 160. melbeam follows transformers, whose mask leaves out a frame that reaches past the last "
        "sample.",
    ]
    # Only the masks are looked at, so the spectra are cut to next to nothing.
    for extractor in (extractors["gemma4"], extractors["gemma3n"]):
        extractor.fft_length, extractor.mel_filters = 2, np.zeros((2, 1))
    extractors["whisper"]._np_extract_fbank_features = lambda batch, device: np.zeros((len(batch), 1, 1))
    for name, extractor in extractors.items():
        front_end, differ = FrontEnd.load(name), []
        whisper = {"return_attention_mask": True, "sampling_rate": 16000} if name == "whisper" else {}
        steps = [n for n in range(1, LONGEST + 1) if front_end.num_frames(n) != front_end.num_frames(n - 1)]
        checked = sorted({n for step in steps for n in (step - 1, step)} - {0} | {LONGEST})
        for n in checked:
            given = extractor([np.zeros(n, np.float32)], return_tensors="np", **whisper)
            if int(np.sum(given["attention_mask" if whisper else "input_features_mask"])) != front_end.num_frames(
                n
            ):
                differ.append(n)
        lines.append(
            f"- `{name}`, `num_frames(n)` against the mask of transformers' extractor, a clip on its own, on both "
            f"sides of each of the {len(steps)} steps up to {LONGEST} samples: {len(differ)} differ"
            f"{': ' + ', '.join(map(str, differ[:5])) if differ else ''}. Neither ever falls, so this covers all."
        )
    return lines


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def number(value: float) -> str:
    """Two digits."""
    return "0" if value == 0 else f"{value:.1e}"


HEAD = """# Parity

Made by `make parity`. Differences are of log-mel features, in natural units of each front end, over all frames that count and all bins: the largest, and the 99th percentile. *Its own* is the reference's distance from exact mathematics (the NumPy float64 oracle of tests/oracle.py): where ours from it is the same, the difference is the reference's rounding.
"""  # noqa: E501
FOOT = """
- Gemma 3n: 188 tokens for every clip. In a batch transformers pads each clip to the longest, and its mask then counts frames of silence too; melbeam counts those of the clip on its own.
- The published page of Gemma 4 (`gemma4_documented`): `n // 160` frames. keras-hub 0.27.1 itself always gives 3000, as `pad_to_max_length=True` does here.

## Whose rounding it is

A float32 FFT leaves an error of some 1e-7 of the *loudest* bin in every bin; the logarithm shows it where a bin is quiet. TensorFlow's float32 FFT leaves some seven times as much there as NumPy's, on a loud chirp. It is the FFT's own: with the transform's matrix in its place (what a TFLite model of 400 points has), the chirp of `gemma4` came from 8.4e-3 to 1.1e-3, at 1.8 times the time. float64 takes it to 4e-7, for less than that: so it is the default.
"""  # noqa: E501


def load_oracle() -> ModuleType:
    """The oracle of the tests, which are no package."""
    spec = importlib.util.spec_from_file_location("oracle", ROOT / "tests" / "oracle.py")
    oracle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(oracle)
    return oracle


def exact_table(oracle: ModuleType, signals: dict[str, np.ndarray], exact: Exact) -> str:
    """The table of melbeam against exact mathematics."""
    rows = []
    for name in FrontEnd.shipped():
        converters = {p: AudioConverter(name, precision=p) for p in ("float64", "float32")}
        relative = before_the_logarithm(name, oracle, signals)
        for signal, samples in signals.items():
            error = {p: np.abs(c(samples).numpy() - exact(name, signal)).max() for p, c in converters.items()}
            rows.append(
                [f"`{name}`", signal, number(error["float64"]), number(error["float32"]), number(relative[signal])]
            )
    last = "float32 before the logarithm, of the frame's largest value"
    return table(["front end", "signal", "float64", "float32", last], rows)


def reference_tables(signals: dict[str, np.ndarray], exact: Exact) -> tuple[str, str]:
    """The page's table of melbeam against each reference, with notes below it, and the README's short one."""
    rows, short = [], []
    for row in references():
        found = compare(row, signals, exact)
        for signal, d in found.items():
            rows.append(
                [row.name, f"`{row.front_end}`", signal, str(d.rows)]
                + [number(x) for x in (*d.float64, *d.float32, d.its_own)]
            )
        speech = found["speech"]
        short.append([f"`{row.front_end}`", row.name, number(speech.float64[0]), number(speech.its_own)])
    kinds = ["float64 max", "float64 p99", "float32 max", "float32 p99"]
    head = ["reference", "front end", "signal", "frames", *kinds, "its own"]
    notes = [f"- {row.name}: {row.note}." for row in references() if row.note]
    page = "\n".join([table(head, rows), "", *notes])
    return page, table(["front end", "reference", "from it, on speech", "its own rounding"], short)


def main() -> None:
    oracle = load_oracle()
    signals = oracle.signals()

    @cache
    def exact(name: str, signal: str) -> np.ndarray:
        return getattr(oracle, name)(signals[signal])

    against_references, short = reference_tables(signals, exact)
    page = [
        HEAD,
        f"TensorFlow {tf.__version__}, NumPy {np.__version__}.\n",
        "## melbeam against exact mathematics\n",
        exact_table(oracle, signals, exact),
        "\n## melbeam against each reference\n",
        against_references,
        "\n## Frames, masks and tokens\n",
        *lengths(),
    ]
    (ROOT / "docs" / "parity.md").write_text("\n".join(page) + "\n" + FOOT, encoding="utf-8")
    readme = ROOT / "README.md"
    text = re.sub(
        r"(<!-- parity table -->\n).*?(<!-- /parity table -->)",
        lambda m: m[1] + short + "\n" + m[2],
        readme.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    readme.write_text(text, encoding="utf-8")
    print(short)


if __name__ == "__main__":
    main()
