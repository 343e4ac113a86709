"""This measures where each millisecond of a warm shard goes, and what levels, distributions and index cost.

    python benchmarks/shard.py                              # at most 4 minutes
    python benchmarks/shard.py --kind="Ogg Vorbis"          # another format, beside its decoder alone

One process takes an hour of clips, 16-bit WAV unless told otherwise, through the extractor, shard after shard, in
processor seconds; the first one, which compiles, is left out. In one round of three the steps are timed, each
without those that it calls; in one the job runs as it is; and in one without levels, constant bins, spread,
distributions and index, whose cost is the difference between the two, round by round.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from claims import Claim, report
from corpus import FORMATS, Corpus, shard_extractor
from pipeline import decoding

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


class Steps:
    """Processor seconds of the process by step, each without the steps inside it.

    The thread's own would leave out decoding, which runs in a thread whose printing leads nowhere.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside: list[float] = []

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed as a step."""

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self._inside.append(0.0)
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                taken = time.process_time() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + taken - self._inside.pop()
                if self._inside:
                    self._inside[-1] += taken

        return wrapped

    def timed_items(self, name: str, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """The function, each of whose items is timed as a step."""

        def wrapped(*args: Any, **kwargs: Any) -> Iterator[Any]:
            items = function(*args, **kwargs)
            step = self.timed(name, lambda: next(items, None))
            while (item := step()) is not None:
                yield item

        return wrapped


# Step, where its function is, and its name there.
STEPS = [
    ("parse, and copy the audio out", "melbeam.transforms.records.converter", "read_as_converted"),
    ("decode", "melbeam.transforms.records.examples", "decode_audio"),
    ("count the samples of a file", "melbeam.transforms.records.decoding.files", "inspect"),
    ("levels", "melbeam.transforms.records.converter", "levels"),
    ("features: packing and kernel", "melbeam.transforms.packing", "PackedFeatures.__call__"),
    ("sums of each bin", "melbeam.transforms.statistics", "ClipSums.of_clips"),
    ("constant bins and spread", "melbeam.transforms.statistics", "_changes"),
    ("encode the records", "melbeam.transforms.records.converter", "to_example_parts"),
    ("checksum and write", "melbeam.pipelines.tfrecord", "TFRecordWriter.write"),
    ("count, distributions among it", "melbeam.pipelines.split.tally", "Tally.count_conversion"),
    ("add the sums", "melbeam.transforms.statistics", "BinStatistics.add_clips"),
    ("table of the records", "melbeam.pipelines.split.table", "TableOfShard.add"),
    ("write the table", "melbeam.pipelines.split.table", "TableOfShard.to_bytes"),
    ("index", "melbeam.pipelines.extracting.shard_extractor", "encode_index"),
]
# A report page needs these steps; the second list is what is left out to see their cost.
OF_THE_REPORT = ("levels", "constant bins and spread", "count, distributions among it", "index")
LEFT_OUT = [step for step in STEPS if step[0] in OF_THE_REPORT and "count" not in step[0]]
LEFT_OUT.append(("distributions", "melbeam.transforms.distributions", "Distribution.add_value"))


def place_of(module: str, name: str) -> tuple[Any, str]:
    """The object that holds a function, and its name there."""
    import importlib

    *path, last = name.split(".")
    holder: Any = importlib.import_module(module)
    for part in path:
        holder = getattr(holder, part)
    return holder, last


@contextlib.contextmanager
def timed_steps() -> Iterator[Steps]:
    """Has the steps timed."""
    from melbeam.pipelines.split.plan import Shard

    steps = Steps()
    with contextlib.ExitStack() as stack:
        for step, module, name in STEPS:
            holder, last = place_of(module, name)
            is_class_method = isinstance(holder.__dict__[last], classmethod)
            timed = steps.timed(step, getattr(holder, last))
            stack.enter_context(mock.patch.object(holder, last, staticmethod(timed) if is_class_method else timed))
        stack.enter_context(mock.patch.object(Shard, "read", steps.timed_items("read the records", Shard.read)))
        yield steps


@contextlib.contextmanager
def without_what_reports_want() -> Iterator[None]:
    """Leaves out what a report page needs beside the sums of each bin."""
    from melbeam.transforms.records.levels import LEVELS

    none = dict.fromkeys(LEVELS, 0.0)
    instead = {
        "levels": lambda *_: none,
        "constant bins and spread": lambda clips, _, sums, __: (np.full(sums.shape, np.nan), [0.0] * len(clips)),
        "distributions": lambda *_: None,
        "index": lambda _: b"",
    }
    with contextlib.ExitStack() as stack:
        for step, module, name in LEFT_OUT:
            stack.enter_context(mock.patch.object(*place_of(module, name), instead[step]))
        yield


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="of three shards each")
    parser.add_argument("--hours", type=float, default=1.0, help="of audio in the shard")
    parser.add_argument("--dtype", default="float32", help="as of melbeam extract; the JSON is of the default")
    parser.add_argument("--kind", default="WAV", choices=FORMATS, help="of the clips; the JSON is of the default")
    options = parser.parse_args()

    from melbeam.pipelines.extracting.tensorflow_setup import prepare_tensorflow

    prepare_tensorflow(gpu=False)
    from melbeam.pipelines.sources.units import SourceOptions
    from melbeam.pipelines.split.plan import plan_shards
    from melbeam.transforms.front_end import FrontEnd
    from melbeam.transforms.records.converter import RecordConverter
    from melbeam.transforms.records.options import RecordOptions

    with tempfile.TemporaryDirectory(prefix="melbeam-bench-") as work:
        corpus = Corpus(Path(work), options.hours, 1, options.kind)
        shards, _ = plan_shards([f"{corpus.folder}/train-*"], SourceOptions(shard_bytes=None))
        converter = RecordConverter(FrontEnd.load("gemma4"), RecordOptions(dtype=options.dtype))
        output = Path(work) / "features"

        def extract() -> float:
            """Milliseconds of the processor, an hour of audio."""
            extractor = shard_extractor(output, converter)
            before = time.process_time()
            extractor.extract(shards[0])
            taken = time.process_time() - before
            shutil.rmtree(output)
            return 1000 * taken / corpus.hours

        extract()  # compiles
        whole: list[float] = []
        alone: list[float] = []
        bare: list[float] = []
        by_step: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            whole.append(extract())
            if options.kind != "WAV":
                alone.append(1000 * decoding(corpus, options.kind))
            with without_what_reports_want():
                bare.append(extract())
            with timed_steps() as steps:
                total = extract()
            taken = {step: 1000 * seconds / corpus.hours for step, seconds in steps.seconds.items()}
            for step, milliseconds in taken.items():
                by_step.setdefault(step, []).append(milliseconds)
            by_step.setdefault("all else", []).append(total - sum(taken.values()))
    share = [100 * (1 - less / all_of) for all_of, less in zip(whole, bare, strict=True)]
    of_the_report = [sum(by_step[step][number] for step in OF_THE_REPORT) for number in range(options.rounds)]
    timers = [100 * taken / all_of for taken, all_of in zip(of_the_report, whole, strict=True)]
    order = sorted(by_step, key=lambda step: -statistics.median(by_step[step]))
    of_decoding = []
    if alone:
        rest = [total - decoder for total, decoder in zip(whole, alone, strict=True)]
        of_decoding = [
            Claim("the decoder, and resampler where there is one, alone", "ms", alone),
            Claim("what is beyond them", "ms", rest, 1000),
        ]
    claims = [
        Claim("a warm shard, an hour of audio", "ms", whole, None if alone else 1000),
        *of_decoding,
        *(Claim(f"of it: {step}", "ms", by_step[step]) for step in order),
        Claim("levels, constant bins, spread, distributions, index: with and without", "%", share),
        Claim("the same by timers, whose own cost is in it", "%", timers),
        Claim("the same, an hour of audio", "ms", of_the_report),
    ]
    if options.dtype == "float32" and options.kind == "WAV":
        report("shard", claims, minutes=4, hours=corpus.hours)
    else:
        for claim in claims:
            print(f"{claim.what:70} {claim.median:.4g} {claim.unit}")


if __name__ == "__main__":
    main()
