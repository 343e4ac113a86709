"""This measures `melbeam report` over a million clips: the command behind the table of docs/report.md.

    python benchmarks/report.py                     # at most 10 minutes, 3 GB of disk
    python benchmarks/report.py --clips 100000
    python benchmarks/report.py --folder /tmp/made  # the folder stays there, and is taken from there the next time

A folder of so many feature records is made without audio: shards, indexes, reports and metadata, by the code that
a job writes them with, of short random features and levels, durations and texts as a speech corpus has them. Then
its report is made, each time in a process of its own: as it is; with the plan of a corpus of as many audio files;
and as it was when its last shard was not committed yet, so that the report sums up the shards' own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from claims import Claim, report

CLIPS_A_SHARD = 500
FRAMES, MELS, RATE = 10, 128, 16000  # frames that are stored: those of a real clip would only fill the disk
DTYPE = "bfloat16"
# The process tells its own memory, in KiB, for what the system tells of a child begins with its parent's.
_REPORT = """
import re, sys
from pathlib import Path
from melbeam.pipelines.report import main
status = main(sys.argv[1:])
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
sys.exit(status)
"""
MOST_SECONDS = 10.0  # of the processor, the start of Python among them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the folder of features is made, or has been made")
    parser.add_argument("--print_only", action="store_true", help="write no JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = arguments.folder or Path(work) / "features"
        if not (folder / "dataset_info.json").exists():
            began = time.perf_counter()
            make_folder(folder, arguments.clips)
            print(f"{arguments.clips} clips made in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        claims = measure(folder, Path(work), arguments.clips, arguments.rounds)
    report("report", claims, minutes=10, write=not arguments.print_only, clips=arguments.clips)


def measure(folder: Path, work: Path, num_clips: int, rounds: int) -> list[Claim]:
    """Makes the report of each form of the folder; it is left as it was."""
    bookkeeping = folder / "_melbeam/train"
    claims = claims_of(f"{num_clips:,} clips", folder, work, rounds)
    # Another form of the folder differs in one file, which is replaced, or taken away, while it is measured.
    for what, name, replace in (
        (f"{num_clips:,} audio files", "plan.jsonl", lambda path: write_plan_of_files(path, num_clips)),
        (f"{num_clips:,} clips, not finished", "summary.json", lambda path: None),
    ):
        path, kept = bookkeeping / name, bookkeeping / f"{name}.kept"
        path.rename(kept)
        try:
            replace(path)
            claims += claims_of(what, folder, work, rounds)
        finally:
            kept.replace(path)
    return claims


def claims_of(what: str, folder: Path, work: Path, rounds: int) -> list[Claim]:
    """The cost of the report of a folder, in processes of their own."""
    page = work / "report.html"
    command = [sys.executable, "-c", _REPORT, str(folder), f"--output={page}"]
    seconds, memory = [], []
    for _ in range(rounds):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        said = process.stdout.read() if process.stdout else ""
        _, status, used = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
        seconds.append(used.ru_utime + used.ru_stime)
        memory.append(int(said.splitlines()[-1]) / 2**10)
    return [
        Claim(f"{what}: processor", "s", seconds, MOST_SECONDS),
        Claim(f"{what}: memory", "MiB", memory),
        Claim(f"{what}: the page", "MiB", [page.stat().st_size / 2**20]),
    ]


def write_plan_of_files(path: Path, num_clips: int) -> None:
    """Writes the plan that a corpus of so many audio files has."""
    from melbeam.pipelines.sources.kinds import AUDIO
    from melbeam.pipelines.sources.units import Unit
    from melbeam.pipelines.split.plan import number_shards, write_plan

    num_shards = -(-num_clips // CLIPS_A_SHARD)
    units = []
    for shard in range(num_shards):
        numbers = range(shard * CLIPS_A_SHARD, min((shard + 1) * CLIPS_A_SHARD, num_clips))
        found = [[f"/corpus/speaker-{shard:05d}/chapter-{n % 10}/clip-{n:07d}.flac", 250_000] for n in numbers]
        units.append(Unit("/corpus", 250_000 * num_clips, shard, num_shards, AUDIO, details={"files": found}))
    write_plan(str(path), number_shards(units))


def make_folder(folder: Path, num_clips: int) -> None:
    """Writes a finished split of so many clips."""
    from melbeam.pipelines import files
    from melbeam.pipelines.sources.units import Unit
    from melbeam.pipelines.split.job import Job
    from melbeam.pipelines.split.job_file import write_job
    from melbeam.pipelines.split.metadata import write_metadata
    from melbeam.pipelines.split.plan import number_shards, write_plan
    from melbeam.pipelines.split.reports import SplitSummary
    from melbeam.transforms.folder_layout import SplitFolder
    from melbeam.transforms.front_end import FrontEnd
    from melbeam.transforms.records.options import RecordOptions

    num_shards = -(-num_clips // CLIPS_A_SHARD)
    split, front_end = SplitFolder(str(folder), "train"), FrontEnd.load("gemma4")
    shards = number_shards([Unit(f"/audio/part-{index:05d}.tfrecord", 1 << 20) for index in range(num_shards)])
    options = RecordOptions(dtype=DTYPE)
    job = Job.of(split, front_end, options, shards)
    for path in (split.shard(0, 1), split.job, split.report(0), split.index(0)):
        files.ensure_folder(path)
    write_job(split, job.to_json())
    write_plan(split.plan, shards)
    summary = SplitSummary()
    for index in range(num_shards):
        length = min(CLIPS_A_SHARD, num_clips - index * CLIPS_A_SHARD)
        report = write_shard(split, index, num_shards, length, job.hash)
        files.write_json(split.report(index), report.to_dict(), sync=False)
        summary.add_shard(report)
    write_metadata(split, summary, front_end, options)


def write_shard(split, index: int, num_shards: int, length: int, job_hash: str):
    """Writes a shard and its index, and gives its report."""
    from melbeam.pipelines import files
    from melbeam.pipelines.split.reports import FileMark, ShardReport
    from melbeam.pipelines.tfrecord import TFRecordWriter
    from melbeam.transforms.precision import numpy_dtype
    from melbeam.transforms.records.conversion import Conversion, FeatureRecord
    from melbeam.transforms.records.index import encode_index
    from melbeam.transforms.records.schema import BYTES
    from melbeam.transforms.records.tf_example import to_example
    from melbeam.transforms.statistics import ClipSums
    from melbeam.transforms.versions import melbeam_version

    random = np.random.default_rng(index)
    features = random.normal(-3, 2, (FRAMES, MELS)).astype(np.float32)
    sums, stored = ClipSums.of(features), features.astype(numpy_dtype(DTYPE)).tobytes()
    path = split.shard(index, num_shards)
    report = ShardReport(
        job_hash=job_hash,
        index=index,
        num_shards=num_shards,
        input_path=f"/audio/part-{index:05d}.tfrecord",
        input_size=1 << 20,
        features=FileMark(0, 0, 0),
        rejected=None,
        versions={"melbeam": melbeam_version()},
    )
    rows = []
    with open(path, "wb") as file:
        writer = TFRecordWriter(file)
        for number in range(length):
            name = f"clip-{index * CLIPS_A_SHARD + number:07d}"
            text = "a word or two " * random.integers(2, 12)
            seconds = float(np.clip(random.lognormal(1.6, 0.5), 0.3, 30))
            fields = {
                "num_frames": FRAMES,
                "num_audio_tokens": round(25 * seconds),
                "num_samples": round(RATE * seconds),
                "sampling_rate": RATE,
                "rms_dbfs": float(np.float32(random.normal(-26, 5))),
                "peak_dbfs": float(np.float32(-abs(random.normal(3, 3)))),
                "full_scale_fraction": float(np.float32(max(0.0, random.normal(-0.004, 0.002)))),
                "silent_fraction": float(np.float32(random.beta(2, 6))),
            }
            source, front_end = f"{report.input_path}#{number}", "8f52391f89d1faf8"
            example = to_example(
                {"id": name, "input_features": stored, "text": text, "source": source, "front_end": front_end}
                | fields
            )
            measured = {
                name: float(value)
                for name, value in fields.items()
                if name.endswith(("dbfs", "fraction", "tokens"))
            }
            measures = measured | {
                "seconds": seconds,
                "spread": float(random.normal(2.4, 0.3)),
                "characters_per_second": len(text.strip()) / seconds,
            }
            record = FeatureRecord((example,), name, FRAMES, sums, {"text": BYTES}, {"text": 1}, measures)
            rows.append((writer.num_bytes, len(example), FRAMES))
            writer.write(example)
            report.count_conversion(Conversion(name, [record], fields["num_samples"], []), index)
            report.statistics.add_clips([sums])
    report.features = FileMark(writer.num_records, writer.num_bytes, writer.crc32c)
    files.write_bytes(split.index(index), encode_index(rows), sync=False)
    return report


if __name__ == "__main__":
    main()
