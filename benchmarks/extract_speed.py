"""How many times faster than real time `melbeam extract` is, its start included: the command behind `make bench`.

    python benchmarks/extract_speed.py --variants default float32 multi_processing

Makes TFRecords of 16-bit WAV clips (made once, and kept, with --work), then runs the command on them as a fresh
process, variant after variant, `--rounds` times over, and checks each run's output. 12 hours want 4 GB of disk.
A machine that does other work meanwhile slows all variants: compare within one table only.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import math
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import soundfile

from melbeam.pipelines.tfrecord import Record, TFRecordWriter, read_tfrecord_file
from melbeam.transforms.folder_layout import ShardName
from melbeam.transforms.records.decoding import decode_audio
from melbeam.transforms.records.examples import Example, to_example

RATE = 16000  # Hz
POOL = 256  # different clips; a corpus repeats them in random order
MIN_SECONDS, USUAL_SECONDS, MAX_SECONDS = 2, 8, 20
TOLERANCE = 1e-5  # of a feature, from the converter called on the clip itself
VARIANTS = {
    "default": [],
    "float32": ["--precision=float32"],
    "bfloat16": ["--dtype=bfloat16"],
    "one_thread": ["--direct_num_workers=1"],
    "in_memory": ["--direct_running_mode=in_memory"],
    "multi_processing": ["--direct_running_mode=multi_processing"],
}


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


def draw_clips(pool: list[np.ndarray], hours: float) -> list[int]:
    """Which clips of the pool a corpus of (just above) so many hours holds, in its order."""
    rng = np.random.default_rng(1)
    clips, left = [], hours * 3600 * RATE
    while left > 0:
        clips.append(int(rng.integers(POOL)))
        left -= len(pool[clips[-1]])
    return clips


def shard_clips(clips: list[int], shards: int) -> list[range]:
    """The clips' numbers, shard by shard."""
    bounds = [len(clips) * i // shards for i in range(shards + 1)]
    return [range(*pair) for pair in itertools.pairwise(bounds)]


def write_corpus(folder: Path, pool: list[np.ndarray], clips: list[int], shards: int) -> None:
    """Audio TFRecords; the folder has its name only once it is whole."""
    encoded = []
    for clip in pool:
        wav = io.BytesIO()
        soundfile.write(wav, clip, RATE, format="WAV", subtype="PCM_16")
        encoded.append(wav.getvalue())
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for index, numbers in enumerate(shard_clips(clips, shards)):
        with open(unfinished / str(ShardName("train", index, shards)), "wb") as file:
            writer = TFRecordWriter(file)
            for number in numbers:
                writer.write(to_example({"audio": encoded[clips[number]], "id": f"clip-{number}"}))
    unfinished.rename(folder)


class Checker:
    """Compares what a run wrote with the converter, called on the clips themselves."""

    def __init__(self, pool: list[np.ndarray], clips: list[int], shards: int) -> None:
        self._pool, self._clips, self._shards = pool, clips, shards

    def check(self, features: Path, arguments: list[str]) -> None:
        """The counts; every record's id, order and frames; the values of each shard's longest clip."""
        from melbeam.transforms import AudioConverter  # with TensorFlow: after the first run, not beside it

        counts = json.loads((features / "statistics.json").read_text())["splits"]["train"]
        for name in ("records_read", "records_converted", "num_features"):
            assert counts[name] == len(self._clips), f"{features}: {counts[name]} {name}, not {len(self._clips)}"
        precision = "float32" if "--precision=float32" in arguments else "float64"
        converter = AudioConverter("gemma4", pad_to_max_length=False, precision=precision)
        for index, numbers in enumerate(shard_clips(self._clips, self._shards)):
            path = features / str(ShardName("train", index, self._shards))
            longest = max(numbers, key=lambda number: len(self._pool[self._clips[number]]), default=None)
            records = list(read_tfrecord_file(str(path)))
            assert len(records) == len(numbers), f"{path}: {len(records)} records, not {len(numbers)}"
            for number, record in zip(numbers, records, strict=True):
                assert isinstance(record, Record), f"{path}: {record}"
                found = Example.FromString(record.data).features.feature
                clip = self._pool[self._clips[number]]
                frames = math.ceil(len(clip) / 160) - 1
                assert found["id"].bytes_list.value[0] == f"clip-{number}".encode(), f"{path}: order"
                assert found["num_frames"].int64_list.value[0] == frames, f"{path}: frames of clip-{number}"
                data = found["input_features"].bytes_list.value[0]
                size = 2 if "--dtype=bfloat16" in arguments else 4
                assert len(data) == frames * 128 * size, f"{path}: {len(data)} bytes of clip-{number}"
                if number == longest and size == 4:
                    values = np.frombuffer(data, "<f4").reshape(frames, 128)
                    distance = np.abs(values - converter(clip).numpy()).max()
                    assert distance <= TOLERANCE, f"{path}: clip-{number} is {distance:.1e} away"


def measure(audio: Path, features: Path, arguments: list[str]) -> tuple[float, float]:
    """Seconds that one run took, and of the processor."""
    command = [sys.executable, "-m", "melbeam.pipelines.cli", "extract", f"--input={audio}/train-*"]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*command, f"--output={features}", *arguments], capture_output=True, text=True, check=False
    )
    elapsed, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"exit status {done.returncode} of {' '.join(done.args)}\n{done.stdout}{done.stderr}")
    return elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def print_table(audio_seconds: float, runs: dict[str, list[tuple[float, float]]]) -> None:
    first = statistics.median(seconds for seconds, _ in next(iter(runs.values())))
    print(
        "| variant | times real time, median | least to most | seconds, median | against the first "
        "| processor seconds an hour of audio |"
    )
    print("|---|---|---|---|---|---|")
    for name, pairs in runs.items():
        taken = [seconds for seconds, _ in pairs]
        median = statistics.median(taken)
        speeds = [audio_seconds / max(taken), audio_seconds / min(taken)]
        processor = statistics.median(processor for _, processor in pairs) / (audio_seconds / 3600)
        print(
            f"| `{name}` | {audio_seconds / median:.0f} | {speeds[0]:.0f} to {speeds[1]:.0f} | {median:.1f} "
            f"| {first / median:.2f} | {processor:.2f} |"
        )


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=12, help="of audio")
    parser.add_argument("--shards", type=int, default=32, help="files of audio")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each variant, interleaved")
    parser.add_argument(
        "--variants", nargs="+", choices=VARIANTS, default=["default", "float32", "multi_processing"]
    )
    parser.add_argument("--work", type=Path, help="keep the audio in this folder; else a temporary one")
    options = parser.parse_args()

    pool = make_pool()
    clips = draw_clips(pool, options.hours)
    audio_seconds = sum(len(pool[clip]) for clip in clips) / RATE
    checker = Checker(pool, clips, options.shards)
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in options.variants}
    with tempfile.TemporaryDirectory(prefix="melbeam-bench-", dir=options.work) as temporary:
        audio = (options.work or Path(temporary)) / f"audio-{options.hours:g}h-{options.shards}"
        if not audio.exists():
            write_corpus(audio, pool, clips, options.shards)
        for number in range(1, options.rounds + 1):
            for name in options.variants:
                features = Path(temporary) / "features"
                taken, processor = measure(audio, features, VARIANTS[name])
                checker.check(features, VARIANTS[name])
                shutil.rmtree(features)
                runs[name].append((taken, processor))
                print(
                    f"round {number}, {name}: {taken:.1f} s, {audio_seconds / taken:.0f} times real time",
                    file=sys.stderr,
                )
    import apache_beam
    import tensorflow

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"{audio_seconds / 3600:.2f} hours of 16-bit audio, {len(clips)} clips in {options.shards} shards; "
        f"{cores} cores, Python {sys.version.split()[0]}, TensorFlow {tensorflow.__version__}, "
        f"Beam {apache_beam.__version__}; every output checked; {options.rounds} rounds\n"
    )
    print_table(audio_seconds, runs)


if __name__ == "__main__":
    main()
