"""What a million input files cost beside the conversion: the command behind the tables of docs/scale.md. Linux.

    python benchmarks/scale.py
    python benchmarks/scale.py --shards 1000 100000

Makes so many empty files, and takes them through each step that sees them all, each in a process of its own whose
time and memory are told: matching and planning (the launcher), the graph as it is submitted, the plan as the first
step reads it, and a report of each shard, from its file to the summary and the metadata. A million shards want
10 GB of disk and 25 minutes.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FILES_A_FOLDER = 10_000
OF_A_BUNDLE = 1000  # reports that a runner hands to the combiner at once
FRONT_END, RATE = "gemma4", 16000


def audio_path(folder: Path, index: int) -> Path:
    """One input file, with a name as long as those of a bucket."""
    return folder / f"{index // FILES_A_FOLDER:04d}" / f"a-corpus-of-speech-train-{index:07d}.tfrecord"


def make_files(folder: Path, num_shards: int) -> None:
    """Empty files, as many as there are shards."""
    for index in range(num_shards):
        path = audio_path(folder, index)
        if index % FILES_A_FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.touch()


def job_of(work: Path, shards: list[Any]) -> Any:
    """An extract job on the shards."""
    from melbeam.pipelines.split.job import Job
    from melbeam.transforms.folder_layout import SplitFolder
    from melbeam.transforms.front_end import FrontEnd
    from melbeam.transforms.records.options import RecordOptions

    folder = SplitFolder(str(work / "features"), "train")
    return Job.of(folder, FrontEnd.load(FRONT_END), RecordOptions(), shards)


def report(index: int, num_shards: int, job_hash: str) -> Any:
    """The report of one shard, as full as they come."""
    from melbeam.pipelines.split.reports import FileMark, ShardReport
    from melbeam.transforms.records.split_schema import FieldCounts
    from melbeam.transforms.statistics import BinStatistics

    frames = 99 * 3600
    return ShardReport(
        job_hash=job_hash,
        index=index,
        num_shards=num_shards,
        input_path=str(audio_path(Path("/audio"), index)),
        input_size=10**8,
        features=FileMark(400, 10**8 + index, index),
        rejected=FileMark(3, 10**6, index),
        records_read=403,
        records_converted=400,
        num_features=400,
        num_samples=RATE * 3600,
        rejects={"too_long": 2, "bad_audio": 1},
        changes={"resampled": 7},
        named_ids={
            what: [f"clip-{index}-{i}" for i in range(5)] for what in ("too_long", "bad_audio", "resampled")
        },
        fields={"speaker": FieldCounts({"bytes_list": 400}, 1, {"bytes_list": [f"clip-{index}-0"]})},
        statistics=BinStatistics(
            frames,
            [-(2**33) * frames + index] * 128,
            [2**36 * frames - index] * 128,
            [-7.0 - index / 1e6] * 128,
            [5.0 + index / 1e6] * 128,
        ),
    )


def plan(work: Path, num_shards: int) -> str:
    """Matches the files, makes the job of them and writes its plan."""
    from melbeam.pipelines.sources.units import SourceOptions
    from melbeam.pipelines.split.plan import plan_shards, write_plan

    shards = plan_shards([f"{work}/audio/*/*.tfrecord"], SourceOptions())[0]
    assert len(shards) == num_shards
    job = job_of(work, shards)
    write_plan(job.folder.plan, shards)
    return f"{os.path.getsize(job.folder.plan) / 2**20:.1f} MiB of plan"


def submit(work: Path, num_shards: int) -> str:
    """Builds the graph and makes the bytes of it that are submitted."""
    import apache_beam as beam

    from melbeam.pipelines.extracting.pipeline import ExtractDataset
    from melbeam.pipelines.sources.units import Unit
    from melbeam.pipelines.split.plan import Shard

    pipeline = beam.Pipeline()
    pipeline | ExtractDataset(job_of(work, [Shard(0, num_shards, Unit("/audio", 1))] * num_shards))
    return f"{len(pipeline.to_runner_api().SerializeToString()) / 1000:.1f} kB"


def read(work: Path, num_shards: int) -> str:
    """Reads the plan, as the first step of the pipeline does."""
    from melbeam.pipelines.split.plan import read_plan_by_file
    from melbeam.transforms.folder_layout import SplitFolder

    found = sum(len(shards) for shards in read_plan_by_file(SplitFolder(str(work / "features"), "train").plan))
    assert found == num_shards
    return f"{found} shards"


def write_reports(work: Path, num_shards: int) -> str:
    """Writes each shard's report, as the commits do, one after the other."""
    from melbeam.pipelines import files
    from melbeam.transforms.folder_layout import SplitFolder

    folder = SplitFolder(str(work / "features"), "train")
    for index in range(num_shards):
        files.write_json(folder.report(index), report(index, num_shards, "0" * 64).to_dict())
    return f"{os.path.getsize(folder.report(0))} bytes each"


def combine(work: Path, num_shards: int) -> str:
    """Reads each report again, combines them in bundles whose sums are encoded, as a runner does; the metadata."""
    from apache_beam.coders import PickleCoder

    from melbeam.pipelines import files
    from melbeam.pipelines.split.beam_steps import SummariseReports
    from melbeam.pipelines.split.commit import ShardReport
    from melbeam.pipelines.split.metadata import write_metadata
    from melbeam.transforms.folder_layout import SplitFolder

    folder, function, coder = SplitFolder(str(work / "features"), "train"), SummariseReports(), PickleCoder()
    num_bytes = 0

    def sums() -> Any:
        nonlocal num_bytes
        for first in range(0, num_shards, OF_A_BUNDLE):
            accumulator = function.create_accumulator()
            for index in range(first, min(first + OF_A_BUNDLE, num_shards)):
                accumulator = function.add_input(
                    accumulator, ShardReport.from_dict(files.read_json(folder.report(index)))
                )
            encoded = coder.encode(accumulator)
            num_bytes += len(encoded)
            yield coder.decode(encoded)

    summary = function.extract_output(function.merge_accumulators(sums()))
    assert summary.num_features == 400 * num_shards
    job = job_of(work, [])
    write_metadata(folder, summary, job.front_end, job.options)
    return f"{num_bytes / 2**20:.1f} MiB of sums"


STEPS = {step.__name__: step for step in (plan, submit, read, write_reports, combine)}
TITLES = {
    "plan": "match the files, plan, hash, write the plan",
    "submit": "build the graph, encode it",
    "read": "read the plan",
    "write_reports": "write every report",
    "combine": "read every report, combine, write the metadata",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--shards", type=int, nargs="+", default=[1000, 100_000, 1_000_000])
    parser.add_argument("--work", type=Path, help="folder for the files; else a temporary one")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        name, work, num_shards = options.step
        import apache_beam  # noqa: F401  (so that the memory before the step has it)

        import melbeam.pipelines.extracting.launcher  # noqa: F401

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start = time.perf_counter()
        said = STEPS[name](Path(work), int(num_shards))
        elapsed = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"| {num_shards} | {TITLES[name]} | {elapsed:.2f} | {peak - before:.0f} | {said} |")
        return
    print("| shards | step | seconds | MiB above the imports | |\n|---|---|---|---|---|", flush=True)
    for num_shards in options.shards:
        with tempfile.TemporaryDirectory(prefix="melbeam-scale-", dir=options.work) as work:
            make_files(Path(work) / "audio", num_shards)
            for name in STEPS:
                command = [sys.executable, __file__, "--step", name, work, str(num_shards)]
                line = subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL)
                print(line.strip().splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
