"""The corpora of the benchmarks, in whatever format, and the run of `melbeam extract` on one, checked, timed."""

from __future__ import annotations

import io
import itertools
import json
import math
import resource
import shutil
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import soxr

from melbeam.pipelines.tfrecord import Record, TFRecordWriter, read_tfrecord_file
from melbeam.transforms.folder_layout import ShardName, SplitFolder
from melbeam.transforms.records.decoding import decode_audio
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.tf_example import to_example

RATE = 16000  # Hz
POOL = 256  # different clips; a corpus repeats them in random order
MIN_SECONDS, USUAL_SECONDS, MAX_SECONDS = 2, 8, 20
TOLERANCE = 1e-5  # of a feature, from the converter called on the clip itself
# libsndfile's format and subtype, and Hz.
FORMATS = {
    "WAV": ("WAV", "PCM_16", RATE),
    "FLAC": ("FLAC", "PCM_16", RATE),
    "MP3": ("MP3", "MPEG_LAYER_III", RATE),
    "Ogg Vorbis": ("OGG", "VORBIS", RATE),
    "FLAC, 44.1 kHz": ("FLAC", "PCM_16", 44100),
}


class Spent(NamedTuple):
    """A run took so many seconds of the clock and of the processor, its children included."""

    wall: float
    processor: float


class Corpus:
    """Audio TFRecords of (just above) so many hours, made once in a folder, and kept there."""

    def __init__(self, work: Path, hours: float, shards: int, kind: str = "WAV") -> None:
        self.pool = make_pool()
        self.clips = _draw_clips(self.pool, hours)
        self.shards = shards
        self.hours = sum(len(self.pool[clip]) for clip in self.clips) / RATE / 3600
        self.is_exact = kind == "WAV"
        self.folder = work / f"audio-{kind.replace(' ', '-').replace(',', '')}-{hours:g}h-{shards}"
        if not self.folder.exists():
            self._write(kind)

    def numbers(self) -> list[range]:
        """The clips' numbers, shard by shard."""
        bounds = [len(self.clips) * i // self.shards for i in range(self.shards + 1)]
        return [range(*pair) for pair in itertools.pairwise(bounds)]

    def _write(self, kind: str) -> None:
        encoded = [encode(clip, kind) for clip in self.pool]
        unfinished = self.folder.with_name(f"{self.folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for index, numbers in enumerate(self.numbers()):
            with open(unfinished / str(ShardName("train", index, self.shards)), "wb") as file:
                writer = TFRecordWriter(file)
                for number in numbers:
                    writer.write(to_example({"audio": encoded[self.clips[number]], "id": f"clip-{number}"}))
        unfinished.rename(self.folder)

    def check(self, features: Path, arguments: list[str]) -> None:
        """Compares what a run wrote with the converter: counts, ids, order, frames; each shard's longest clip."""
        from melbeam.transforms import AudioConverter  # with TensorFlow: after the first run, not beside it

        counts = json.loads((features / "statistics.json").read_text())["splits"]["train"]
        for name in ("records_read", "records_converted", "num_features"):
            assert counts[name] == len(self.clips), f"{features}: {counts[name]} {name}, not {len(self.clips)}"
        precision = "float32" if "--precision=float32" in arguments else "float64"
        converter = AudioConverter("gemma4", pad_to_max_length=False, precision=precision)
        first = 0
        # A large input shard is divided, so there may be more shards of features than of audio.
        for path in sorted(features.glob("train-*")):
            records = list(read_tfrecord_file(str(path)))
            numbers = range(first, first + len(records))
            first = numbers.stop
            longest = max(numbers, key=lambda number: len(self.pool[self.clips[number]]), default=None)
            for number, record in zip(numbers, records, strict=True):
                assert isinstance(record, Record), f"{path}: {record}"
                found = Example.FromString(record.data).features.feature
                assert found["id"].bytes_list.value[0] == f"clip-{number}".encode(), f"{path}: order"
                if not self.is_exact:  # what a lossy or resampled clip holds is the decoder's affair
                    continue
                clip = self.pool[self.clips[number]]
                frames = math.ceil(len(clip) / 160) - 1
                assert found["num_frames"].int64_list.value[0] == frames, f"{path}: frames of clip-{number}"
                data = found["input_features"].bytes_list.value[0]
                if number == longest and len(data) == frames * 128 * 4:
                    values = np.frombuffer(data, "<f4").reshape(frames, 128)
                    distance = np.abs(values - converter(clip).numpy()).max()
                    assert distance <= TOLERANCE, f"{path}: clip-{number} is {distance:.1e} away"
        assert first == len(self.clips), f"{features}: {first} records, not {len(self.clips)}"


def make_pool() -> list[np.ndarray]:
    """int16 clips: pieces of the demo's speech at different levels, each with its own noise."""
    rng = np.random.default_rng(2026)
    folder = files("melbeam.pipelines") / "demo_clips"
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith((".wav", ".flac")))
    speech = np.concatenate([decode_audio((folder / n).read_bytes(), sampling_rate=RATE).samples for n in names])
    pool = []
    for seconds in rng.triangular(MIN_SECONDS, USUAL_SECONDS, MAX_SECONDS, POOL):
        size = round(seconds * RATE)
        clip = np.take(speech, rng.integers(len(speech)) + np.arange(size), mode="wrap")
        clip = clip * rng.uniform(0.2, 1.0) + rng.normal(0, 10 ** rng.uniform(-4, -2), size)
        pool.append(np.clip(np.rint(clip * 2**15), -(2**15), 2**15 - 1).astype(np.int16))
    return pool


def encode(clip: np.ndarray, kind: str) -> bytes:
    """A clip as a whole file of one of `FORMATS`."""
    name, subtype, rate = FORMATS[kind]
    if rate != RATE:
        clip = np.clip(soxr.resample(clip.astype(np.float32), RATE, rate), -(2**15), 2**15 - 1).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, clip, rate, format=name, subtype=subtype)
    return file.getvalue()


def _draw_clips(pool: list[np.ndarray], hours: float) -> list[int]:
    rng = np.random.default_rng(1)
    clips, left = [], hours * 3600 * RATE
    while left > 0:
        clips.append(int(rng.integers(POOL)))
        left -= len(pool[clips[-1]])
    return clips


def shard_extractor(output: Path, converter: Any) -> Any:
    """Makes a job's `ShardExtractor` with a `RecordConverter`, for a folder of features; no reject is taken."""
    from melbeam.pipelines.extracting.shard_extractor import ShardExtractor  # with TensorFlow

    return ShardExtractor(SplitFolder(str(output), "train"), converter, "0" * 64, max_reject_fraction=0)


def run(command: list[str]) -> Spent:
    """Runs a command to its end, which must be a good one."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"exit status {done.returncode} of {' '.join(command)}\n{done.stdout}{done.stderr}")
    return Spent(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def extract(corpus: Corpus, features: Path, arguments: list[str] | None = None, *, check: bool = True) -> Spent:
    """One run of `melbeam extract` as a fresh process; what it wrote is checked, and removed."""
    arguments = arguments or []
    command = [sys.executable, "-m", "melbeam.pipelines.cli", "extract", f"--input={corpus.folder}/train-*"]
    spent = run([*command, f"--output={features}", *arguments])
    if check:
        corpus.check(features, arguments)
    shutil.rmtree(features)
    return spent
