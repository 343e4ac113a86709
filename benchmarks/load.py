"""Memory, descriptors and threads of `melbeam extract` under load: flat, or this ends with status 1. Linux only.

    python benchmarks/load.py
    python benchmarks/load.py --clips=5000 --long_clips=10 --minutes=10

Many short clips, then a few long ones in chunks, then ten minutes of FLAC at its highest rate, each through one
process and through two. Every process of the
job is looked at twice a second, in /proc. The default sizes want about 40 GB of disk and an hour.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from melbeam.pipelines.tfrecord import TFRecordWriter
from melbeam.transforms.folder_layout import ShardName
from melbeam.transforms.records.tf_example import to_example

RATE = 16000  # Hz
HIGH_RATE = 655_350  # Hz, the most that a FLAC can name; its 1.5 MB of silence are 1.5 GB as float32
MAX_MIB = 600  # of a worker, above what the imports take
MORE_THREADS, MORE_DESCRIPTORS = 4, 8  # from the first third of a run to its last: less is no leak
LOOK_SECONDS = 0.5
IMPORTS = (
    "import melbeam.pipelines.extracting.launcher, tensorflow, soundfile, soxr;"
    "import melbeam.transforms.records.converter;"
    "print(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])"
)
RUNS = {
    "one process": ["--direct_running_mode=in_memory", "--direct_num_workers=1"],
    "two processes": ["--direct_running_mode=multi_processing", "--direct_num_workers=2"],
}


class Look(NamedTuple):
    """One look at one process."""

    when: float  # seconds from the job's start
    peak: float  # MiB, resident, so far
    resident: float  # MiB
    descriptors: int
    threads: int


def encoded(samples: np.ndarray, kind: str, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype="PCM_16")
    return file.getvalue()


def write_corpus(folder: Path, clips: list[bytes], number: int, shards: int) -> None:
    """Audio TFRecords of `number` clips, drawn from `clips`."""
    rng = np.random.default_rng(3)
    folder.mkdir()
    bounds = [number * i // shards for i in range(shards + 1)]
    for index in range(shards):
        with open(folder / str(ShardName("train", index, shards)), "wb") as file:
            writer = TFRecordWriter(file)
            for clip in range(bounds[index], bounds[index + 1]):
                writer.write(to_example({"audio": clips[rng.integers(len(clips))], "id": f"clip-{clip}"}))


def look(pid: int, since: float) -> Look | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in lines)
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        peak, resident = (int(status[name].split()[0]) / 1024 for name in ("VmHWM", "VmRSS"))
        return Look(time.monotonic() - since, peak, resident, descriptors, int(status["Threads"]))
    except (OSError, KeyError):  # it is gone
        return None


def processes(session: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rsplit(")", 1)[1].split()[3]) == session:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def measure(audio: Path, features: Path, arguments: list[str]) -> tuple[float, dict[int, list[Look]], str]:
    """Seconds, the looks at each process, and what the job said."""
    command = [sys.executable, "-m", "melbeam.pipelines.extract", f"--input={audio}/train-*"]
    since = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        job = subprocess.Popen(
            [*command, f"--output={features}", "--on_long=chunk", *arguments],
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        looks: dict[int, list[Look]] = defaultdict(list)
        while job.poll() is None:
            for pid in processes(job.pid):
                if found := look(pid, since):
                    looks[pid].append(found)
            time.sleep(LOOK_SECONDS)
        said.seek(0)
        text = said.read()
    if job.returncode != 0:
        sys.exit(f"exit status {job.returncode} of {' '.join(command)}\n{text}")
    return time.monotonic() - since, looks, next(line for line in text.splitlines() if "records read" in line)


def judge(name: str, looks: dict[int, list[Look]], elapsed: float, imports: float) -> bool:
    """Prints a line for each process that lived through most of the run; whether all were within the bounds."""
    good = True
    for _, all_looks in sorted(looks.items()):
        if all_looks[-1].when - all_looks[0].when < elapsed / 2 or all_looks[-1].peak < imports / 2:
            continue  # no worker: a launcher or a shell, which never imports TensorFlow
        # The first look after a third of the process's life, and one near its end, before it winds down.
        third, end = all_looks[len(all_looks) // 3], all_looks[len(all_looks) * 9 // 10]
        above = all_looks[-1].peak - imports
        within = (
            above <= MAX_MIB
            and end.threads - third.threads <= MORE_THREADS
            and end.descriptors - third.descriptors <= MORE_DESCRIPTORS
        )
        good &= within
        print(
            f"| {name} | {above:.0f} MiB | {third.resident - imports:.0f}, {end.resident - imports:.0f} MiB "
            f"| {third.descriptors}, {end.descriptors} | {third.threads}, {end.threads} "
            f"| {'within' if within else 'TOO MUCH'} |",
            flush=True,
        )
    return good


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=100_000, help="short ones, of 1 to 3 s")
    parser.add_argument("--long_clips", type=int, default=200, help="long ones")
    parser.add_argument("--high_clips", type=int, default=10, help="of 10 minutes at FLAC's highest rate")
    parser.add_argument("--minutes", type=float, default=30, help="of a long clip")
    parser.add_argument("--shards", type=int, default=32, help="files of audio")
    parser.add_argument("--work", type=Path, help="folder for audio and features; else a temporary one")
    options = parser.parse_args()

    rng = np.random.default_rng(2026)
    noise = np.rint(rng.normal(0, 1000, round(RATE * 60 * max(0.1, options.minutes)))).astype(np.int16)
    short = [encoded(noise[: round(RATE * seconds)], "WAV") for seconds in rng.uniform(1, 3, 100)]
    corpora = {
        f"{options.clips} clips of 1 to 3 s": (short, options.clips),
        f"{options.long_clips} clips of {options.minutes:g} min": ([encoded(noise, "FLAC")], options.long_clips),
        f"{options.high_clips} clips of 10 min at {HIGH_RATE} Hz": (
            [encoded(np.zeros(600 * HIGH_RATE, np.int16), "FLAC", HIGH_RATE)],
            options.high_clips,
        ),
    }
    imports = int(subprocess.check_output([sys.executable, "-c", IMPORTS])) / 1024
    print(f"the imports take {imports:.0f} MiB; all below is above that\n", flush=True)
    print("| load | peak | resident after a third, near the end | descriptors | threads | at most ", end="")
    print(f"{MAX_MIB} MiB, no leak |\n|---|---|---|---|---|---|", flush=True)
    good = True
    with tempfile.TemporaryDirectory(prefix="melbeam-load-", dir=options.work) as temporary:
        for corpus, (clips, number) in corpora.items():
            audio, features = Path(temporary) / "audio", Path(temporary) / "features"
            write_corpus(audio, clips, number, min(options.shards, number))
            for name, arguments in RUNS.items():
                elapsed, looks, said = measure(audio, features, arguments)
                shutil.rmtree(features)
                good &= judge(f"{corpus}, {name}", looks, elapsed, imports)
                print(f"{corpus}, {name}: {elapsed:.0f} s; {said}", file=sys.stderr, flush=True)
            shutil.rmtree(audio)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
