"""How fast each kind of source is beside TFRecords of the same bytes, what memory it takes, and a slow store.

    python benchmarks/sources.py

Three tables. The first is of whole shards, from a source to features and their report, by the job's own extractor,
in one process and one thread: every kind's shard in turn, round after round, so that what else the machine does
falls on all; ratios are taken within a round. The second is of memory that reading a source to its end adds, of
one size and of four times that: it is flat where the peak does not grow. The third is of a manifest whose clips
lie on a store that takes 50 ms a request, with one request at a time and with as many as a job makes. That store
is a file system of Beam's, made here of local files and of sleep; nothing else of it is slow.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.localfilesystem import LocalFileSystem
from machine import describe

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
PACKAGES = ["melbeam", "apache-beam", "tensorflow", "numpy", "pyarrow", "soundfile"]
LEAST = 0.8  # of the speed of TFRecords
REQUEST_SECONDS = 0.05
SLOW = "slow"


def load_tests() -> Any:
    """tests/corpora.py, which writes one corpus as every kind of source, with tests/helpers.py."""
    for name in ("helpers", "corpora"):
        specification = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(sys.modules[name])
    return sys.modules["corpora"]


class SlowStore(LocalFileSystem):
    """`slow://` before an absolute path: a store that takes 50 ms to answer, whatever it is asked."""

    @classmethod
    def scheme(cls) -> str:
        """The first part of its addresses."""
        return SLOW

    def open(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> Any:
        """A request for what the object is, and one for its bytes."""
        time.sleep(2 * REQUEST_SECONDS)
        return super().open(path.removeprefix(f"{SLOW}://"), compression_type=compression_type)

    def exists(self, path: str) -> bool:
        """One request."""
        time.sleep(REQUEST_SECONDS)
        return super().exists(path.removeprefix(f"{SLOW}://"))


def planned(source: str, options: list[str]) -> list[Any]:
    """The units of a source, by the options that the corpus came with."""
    from melbeam.pipelines.sources.columns import parse_columns
    from melbeam.pipelines.sources.planning import plan_units
    from melbeam.pipelines.sources.units import SourceOptions

    given = dict(option.removeprefix("--").split("=", 1) for option in options)
    return plan_units(
        [source],
        SourceOptions(
            columns=parse_columns(given.get("columns")), shard_bytes=int(given.get("shard_bytes", 256 << 20))
        ),
    ).units


class Extractor:
    """The job's extractor of shards, into a folder of its own."""

    def __init__(self, folder: Path) -> None:
        from melbeam.pipelines.extracting.shard_extractor import ShardExtractor
        from melbeam.transforms.folder_layout import SplitFolder
        from melbeam.transforms.front_end import FrontEnd
        from melbeam.transforms.records.converter import RecordConverter
        from melbeam.transforms.records.options import RecordOptions

        converter = RecordConverter(FrontEnd.load("gemma4"), RecordOptions())
        self._extractor = ShardExtractor(SplitFolder(str(folder), "train"), converter, "", max_reject_fraction=0)

    def seconds(self, unit: Any) -> dict[str, float]:
        """Seconds of the clock and of the processor that a unit's shard takes."""
        from melbeam.pipelines.split.plan import Shard

        wall, before = time.perf_counter(), time.process_time()
        attempt = self._extractor.extract(Shard(0, 1, unit))
        taken = {"wall": time.perf_counter() - wall, "processor": time.process_time() - before}
        # Counted outside of what is timed: that reads some sources a second time.
        assert attempt.report.records_read == attempt.report.records_converted == unit_records(unit)
        return taken


def unit_records(unit: Any) -> int:
    from melbeam.pipelines.sources.planning import count_records

    return count_records(unit, sys.maxsize)


def reading_seconds(unit: Any) -> float:
    """Processor seconds of reading a unit alone."""
    from melbeam.pipelines.sources.planning import read_unit

    before = time.process_time()
    for _ in read_unit(unit):
        pass
    return time.process_time() - before


def contest(corpora: Any, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Shards of every kind in turn; speeds, and ratios to TFRecords."""
    corpus = corpora.Corpus(folder, options.clips, options.seconds, num_files=1)
    units = {}
    for kind in corpora.KINDS:
        (units[kind],) = planned(*corpus.write(kind))
    extractor = Extractor(folder / "out")
    for unit in units.values():
        extractor.seconds(unit)  # the first call compiles, and brings the files into the system's cache
    rounds: dict[str, list[dict[str, float]]] = {kind: [] for kind in units}
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        for kind, unit in units.items():
            found = extractor.seconds(unit)
            rounds[kind].append({**found, "reading": reading_seconds(unit)})
    audio = options.clips * options.seconds
    return {
        kind: {
            "audio seconds a processor second": statistics.median(audio / one["processor"] for one in measured),
            "least": audio / max(one["processor"] for one in measured),
            "most": audio / min(one["processor"] for one in measured),
            "of TFRecords": ratio(rounds["tfrecord"], measured, "processor"),
            "of TFRecords, by the clock": ratio(rounds["tfrecord"], measured, "wall"),
            "reading": statistics.median(one["reading"] / one["processor"] for one in measured),
        }
        for kind, measured in rounds.items()
    }


def ratio(reference: list[dict[str, float]], measured: list[dict[str, float]], what: str) -> float:
    """How many times as fast as the reference, the median of the rounds."""
    return statistics.median(one[what] / other[what] for one, other in zip(reference, measured, strict=True))


def memory(corpora: Any, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measures the MB that reading a source adds to this process, at one size and at four times that (Linux)."""
    found: dict[str, Any] = {}
    for times in (1, 4):
        corpus = corpora.Corpus(folder / f"memory-{times}", times * options.clips, options.seconds, num_files=1)
        for kind in corpora.KINDS:
            (unit,) = planned(*corpus.write(kind))
            gc.collect()
            Path("/proc/self/clear_refs").write_text("5")  # the peak is that from here on
            before = memory_field("VmRSS")
            reading_seconds(unit)
            peak = memory_field("VmHWM") - before
            found.setdefault(kind, {})[f"{times * options.clips} clips"] = round(peak / 1000, 1)
    return found


def memory_field(name: str) -> int:
    """Kilobytes, of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@contextmanager
def fetches(count: int) -> Iterator[None]:
    """So many requests at once."""
    from melbeam.pipelines import files

    before, files.FETCHES_AT_ONCE = files.FETCHES_AT_ONCE, count
    try:
        yield
    finally:
        files.FETCHES_AT_ONCE = before


def slow_store(corpora: Any, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the clock to read a manifest's clips of a store that takes 50 ms a request."""
    from melbeam.pipelines import files

    corpus = corpora.Corpus(folder / "slow", options.slow_clips, options.seconds, num_files=1)
    corpus.write("manifest")
    manifest = corpus.folder / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"audio": "', f'"audio": "{SLOW}://{corpus.folder}/'))
    (unit,) = planned(str(manifest), [f"--shard_bytes={1 << 40}"])
    found: dict[str, list[float]] = {}
    for _ in range(3):
        for count in (1, files.FETCHES_AT_ONCE):
            with fetches(count):
                start = time.perf_counter()
                reading_seconds(unit)
                found.setdefault(f"{count} at once", []).append(time.perf_counter() - start)
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    one, several = medians.values()
    return {"clips": options.slow_clips, "seconds": medians, "times as fast": one / several}


def report(found: dict[str, Any], path: Path) -> bool:
    """Prints the tables and writes the JSON; gives whether every kind is fast enough."""
    print(f"{'audio seconds a processor second':34} {'median':>8} {'least':>8} {'most':>8}   / TFRecords  reading")
    for kind, of_kind in found["speeds"].items():
        speed = of_kind["audio seconds a processor second"]
        print(
            f"{kind:34} {speed:8.0f} {of_kind['least']:8.0f} {of_kind['most']:8.0f} "
            f"{of_kind['of TFRecords']:11.2f} {of_kind['reading']:9.0%}"
        )
    print("\nMB that reading adds at most")
    for kind, peaks in found["MB that reading adds"].items():
        print(f"{kind:34} " + "   ".join(f"{clips}: {peak}" for clips, peak in peaks.items()))
    slow = found["slow store"]
    print(f"\n{slow['clips']} clips of a store that takes {REQUEST_SECONDS * 1000:.0f} ms a request, seconds")
    for name, seconds in slow["seconds"].items():
        print(f"{name:34} {seconds:8.1f}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")
    print(f"\nwritten to {path}")
    too_slow = [kind for kind, of_kind in found["speeds"].items() if of_kind["of TFRecords"] < LEAST]
    if too_slow:
        print(f"slower than {LEAST} of TFRecords: {', '.join(too_slow)}", file=sys.stderr)
    return not too_slow


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="of every kind, interleaved")
    parser.add_argument("--clips", type=int, default=200, help="of a shard")
    parser.add_argument("--seconds", type=float, default=5.0, help="that a clip lasts")
    parser.add_argument("--slow_clips", type=int, default=100, help="that are fetched from the slow store")
    parser.add_argument(
        "--json", type=Path, default=HERE / "results" / "sources.json", help="where the figures go"
    )
    options = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
    from melbeam.pipelines.extracting.tensorflow_setup import prepare_tensorflow

    prepare_tensorflow(gpu=False)
    corpora = load_tests()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {
            "command": "python benchmarks/sources.py",
            "machine": describe(PACKAGES),
            "rounds": options.rounds,
            "clips": options.clips,
            "seconds a clip": options.seconds,
            "speeds": contest(corpora, folder, options),
            "MB that reading adds": memory(corpora, folder, options),
            "slow store": slow_store(corpora, folder, options),
        }
    return 0 if report(found, options.json) else 1


if __name__ == "__main__":
    sys.exit(main())
