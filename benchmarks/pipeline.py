"""This measures what a job costs, in processor seconds an hour of audio, beside decoders and pipelines of others.

    make parity                                # once, for the pipelines of others
    python benchmarks/pipeline.py              # at most 25 minutes, 12 GB of disk
    python benchmarks/pipeline.py --parts wav formats

Each run is a fresh process. A slope is the difference between a longer and a shorter corpus, run one after the
other, so that the start of the process is in none; a ratio is taken between slopes of one round. Processor seconds
are those of the process and its children.

wav      16-bit WAV, the slope between 1 h and 4 h
formats  FLAC, MP3, Ogg Vorbis, and FLAC at 44.1 kHz: slopes, less what libsndfile and soxr take by themselves
beam     a pipeline of somebody's own: Beam's source, keras-hub in a DoFn, float lists, Beam's sink
datasets `datasets.map` with transformers' extractor; only where the environment has `datasets`
long     12 h of WAV, the start included
map      `log_mel_map` in tf.data with AUTOTUNE, beside two threads that call the same graph
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from claims import Claim, report
from corpus import FORMATS, POOL, RATE, Corpus, Spent, encode, extract, make_pool, run

HERE = Path(__file__).parent
PARTS = ("wav", "formats", "beam", "datasets", "long", "map")
SHARDS = 16
CLIPS_OF_MAP, SECONDS_OF_MAP = 240, 10


class Bench:
    """The runs, with their corpora in one folder."""

    def __init__(self, work: Path, rounds: int, python: str) -> None:
        self._work, self._rounds, self._python = work, rounds, python
        self._features = work / "features"
        self._checked: set[tuple[str, float]] = set()

    def corpus(self, hours: float, kind: str = "WAV") -> Corpus:
        """So many hours; made at the first call."""
        return Corpus(self._work, hours, SHARDS, kind)

    def ours(self, hours: float, kind: str = "WAV") -> Spent:
        """A run of `melbeam extract`."""
        is_first = (kind, hours) not in self._checked
        self._checked.add((kind, hours))
        return extract(self.corpus(hours, kind), self._features, check=is_first)

    def others(self, name: str, hours: float) -> Spent:
        """A run of somebody's own pipeline."""
        output = self._work / "others"
        script = str(HERE / "others_pipelines.py")
        spent = run([self._python, script, name, str(self.corpus(hours).folder), str(output)])
        for folder in (output, self._work / "others-cache"):
            shutil.rmtree(folder, ignore_errors=True)
        return spent

    def slope(self, of: Callable[[float], Spent], short: float, long: float, kind: str = "WAV") -> float:
        """Processor seconds an hour of audio."""
        less, more = of(short), of(long)
        grown = self.corpus(long, kind).hours - self.corpus(short, kind).hours
        return (more.processor - less.processor) / grown

    def wav(self) -> list[Claim]:
        """The slope of 16-bit WAV."""
        slopes = [self.slope(self.ours, 1, 4) for _ in range(self._rounds)]
        return [Claim("16-bit WAV: an hour of audio", "s", slopes, 1.0)]

    def formats(self) -> list[Claim]:
        """Slopes of other formats, and what is left of them without decoder and resampler."""
        claims = []
        for kind in FORMATS:
            if kind == "WAV":
                continue
            slopes, alone = [], []
            for _ in range(self._rounds):
                slopes.append(self.slope(lambda hours, kind=kind: self.ours(hours, kind), 0.5, 2, kind))
                alone.append(decoding(self.corpus(0.5, kind), kind))
            more = [slope - decoder for slope, decoder in zip(slopes, alone, strict=True)]
            resampler = " and resampler" if FORMATS[kind][2] != RATE else ""
            claims += [
                Claim(f"{kind}: an hour of audio", "s", slopes),
                Claim(f"{kind}: the decoder{resampler} alone, an hour of audio", "s", alone),
                Claim(f"{kind}: the rest of it", "s", more, 1.0),
            ]
        return claims

    def paired(self, name: str, what: str, short: float, long: float, target: float) -> list[Claim]:
        """Slopes of another pipeline, each beside one of ours."""
        ours, others = [], []
        for _ in range(self._rounds):
            others.append(self.slope(lambda hours: self.others(name, hours), short, long))
            ours.append(self.slope(self.ours, 1, 4))
        ratios = [theirs / mine for theirs, mine in zip(others, ours, strict=True)]
        return [
            Claim(f"{what}: an hour of audio", "s", others),
            Claim(f"{what}: of melbeam's own slope", "", ratios, target, at_least=True),
        ]

    def beam(self) -> list[Claim]:
        """A user's own Beam pipeline."""
        return self.paired("beam", "a Beam pipeline with keras-hub in a DoFn", 0.25, 1, 12)

    def datasets(self) -> list[Claim]:
        """datasets.map."""
        if subprocess.run([self._python, "-c", "import datasets"], capture_output=True, check=False).returncode:
            print(f"{self._python} has no datasets: that row is left out", file=sys.stderr)
            return []
        return self.paired("datasets", "datasets.map with transformers' extractor", 0.25, 1, 8)

    def long(self) -> list[Claim]:
        """12 hours with the start."""
        found = [self.ours(12) for _ in range(min(self._rounds, 3))]
        hours = self.corpus(12).hours
        claims = [
            Claim(
                "12 h of WAV, start included: an hour of audio",
                "s",
                [each.processor / hours for each in found],
                1.7,
            )
        ]
        claims.append(Claim("12 h of WAV, start included, of the clock", "s", [each.wall for each in found]))
        return claims

    def map(self) -> list[Claim]:
        """log_mel_map in tf.data."""
        answer = subprocess.check_output([sys.executable, __file__, f"--map={self._rounds}"], text=True)
        ratios = json.loads(answer.splitlines()[-1])
        what = f"`log_mel_map`, AUTOTUNE, clips of {SECONDS_OF_MAP} s: speed, of two threads on the same graph"
        return [Claim(what, "", ratios, 0.75, at_least=True)]


def decoding(corpus: Corpus, kind: str) -> float:
    """Processor seconds of libsndfile, and of soxr where the rate differs, an hour of a corpus's audio."""
    import io

    import soundfile
    import soxr

    files = encoded_pool(kind)
    before = time.process_time()
    for data in files:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
        if rate != RATE:
            soxr.resample(samples, rate, RATE)
    taken = time.process_time() - before
    return taken / (sum(map(len, corpus.pool)) / RATE / 3600)


@functools.lru_cache(maxsize=1)
def encoded_pool(kind: str) -> list[bytes]:
    """The clips of every corpus as files."""
    return [encode(clip, kind) for clip in make_pool()]


def speeds_of_map(rounds: int) -> list[float]:
    """Clips a second of the clock in tf.data with AUTOTUNE, of those of two threads, round by round."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    from melbeam.transforms import log_mel_map

    rng = np.random.default_rng(1)
    clips = rng.standard_normal((CLIPS_OF_MAP, SECONDS_OF_MAP * RATE)).astype(np.float32) / 10
    function = log_mel_map("gemma4", pad_to_max_length=False)
    signature = [{"audio": tf.TensorSpec([None], tf.float32)}]
    graph = tf.function(function, input_signature=signature, autograph=False).get_concrete_function()
    dataset = tf.data.Dataset.from_tensor_slices({"audio": clips}).map(
        function, num_parallel_calls=tf.data.AUTOTUNE
    )
    tensors = [tf.constant(clip) for clip in clips]

    def in_dataset() -> None:
        for element in dataset.prefetch(tf.data.AUTOTUNE):
            element["num_frames"].numpy()

    def in_threads() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda clip: graph({"audio": clip})["num_frames"].numpy(), tensors))

    ratios = []
    for number in range(rounds + 1):  # the first compiles
        seconds = []
        for work in (in_dataset, in_threads):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
        if number:
            ratios.append(seconds[1] / seconds[0])
    return ratios


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--python", default=".venv-parity/bin/python", help="of the environment of `make parity`")
    parser.add_argument("--work", type=Path, help="folder for audio and features; else a temporary one")
    parser.add_argument("--print_only", action="store_true", help="write no JSON")
    parser.add_argument("--map", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.map:
        print(json.dumps(speeds_of_map(options.map)))
        return
    if {"beam", "datasets"} & set(options.parts) and not Path(options.python).exists():
        sys.exit(f"{options.python} is not there: `make parity` makes it, or name one with keras-hub by --python")
    claims = []
    with tempfile.TemporaryDirectory(prefix="melbeam-bench-", dir=options.work) as work:
        bench = Bench(Path(work), options.rounds, options.python)
        for part in options.parts:
            print(f"{part} ...", file=sys.stderr)
            found = getattr(bench, part)()
            for claim in found:
                print(f"  {claim.what}: {claim.median:.4g} {claim.unit}", file=sys.stderr)
            claims += found
    write = not options.print_only
    report("pipeline", claims, minutes=25, write=write, parts=list(options.parts), clips=POOL)


if __name__ == "__main__":
    main()
