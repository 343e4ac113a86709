"""How many threads one Python interpreter serves, where each has a core: the command behind the choice of four.

    python benchmarks/interpreter.py          # at most 5 minutes

Two threads are compared with one as they are, warm, on two cores. More threads need no more cores here: the
kernel, which lets go of the interpreter, sleeps for as long as it would compute, and what is left of a shard runs
as it is. As long as fewer processors are busy than there are, threads wait for the interpreter, not for a core.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from claims import Claim, report
from corpus import Corpus, shard_extractor

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

THREADS = (1, 2, 3, 4, 6, 8, 16)
SHARDS = 48


def sleeping(kernel: Any) -> Any:
    """This makes what stands for `FrameKernel.compute` on every kernel: it takes one kernel's time, no processor.

    Args:
        kernel: whose full calls are timed.
    """
    taken = []
    for _ in range(9):
        start = time.perf_counter()
        with kernel.buffer() as rows:
            features = kernel.compute(rows, kernel.frames_at_once)
        taken.append(time.perf_counter() - start)
    seconds_a_frame = statistics.median(taken) / kernel.frames_at_once
    features = np.random.default_rng(1).standard_normal(features.shape).astype(np.float32)
    features.flags.writeable = False

    def compute(_: Any, __: np.ndarray, frames: int, **___: bool) -> np.ndarray:
        time.sleep(frames * seconds_a_frame)
        return features[:frames]

    return compute


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hours", type=float, default=6.0, help="of audio, of which each setting takes all")
    options = parser.parse_args()

    from melbeam.pipelines.extracting.tensorflow_setup import prepare_tensorflow

    prepare_tensorflow(gpu=False)
    from melbeam.pipelines.sources.units import SourceOptions
    from melbeam.pipelines.split.plan import Shard, plan_shards
    from melbeam.transforms.block_kernel import FrameKernel, frame_kernel
    from melbeam.transforms.front_end import FrontEnd
    from melbeam.transforms.records.converter import RecordConverter
    from melbeam.transforms.records.options import RecordOptions

    front_end = FrontEnd.load("gemma4")
    converter = RecordConverter(front_end, RecordOptions())
    as_it_is: dict[int, list[float]] = {1: [], 2: []}
    speeds: dict[int, list[float]] = {threads: [] for threads in THREADS}
    busy: dict[int, list[float]] = {threads: [] for threads in THREADS}
    with tempfile.TemporaryDirectory(prefix="melbeam-bench-") as work:
        corpus = Corpus(Path(work), options.hours, SHARDS)
        shards, _ = plan_shards([f"{corpus.folder}/train-*"], SourceOptions(shard_bytes=None))

        def extract(shard: Shard) -> int:
            output = Path(work) / f"features-{shard.index}"
            attempt = shard_extractor(output, converter).extract(shard)
            shutil.rmtree(output)
            return attempt.report.num_features

        def measured(threads: int) -> tuple[float, float]:
            """Hours of audio a second, and how many processors are busy."""
            with ThreadPoolExecutor(threads) as pool:
                start, before = time.perf_counter(), time.process_time()
                assert sum(pool.map(extract, shards)) == len(corpus.clips)
                seconds = time.perf_counter() - start
            return corpus.hours / seconds, (time.process_time() - before) / seconds

        measured(2)  # compiles, and warms two threads' memory
        asleep = sleeping(frame_kernel(front_end, "float64"))
        for _ in range(options.rounds):
            for threads, found in as_it_is.items():
                found.append(measured(threads)[0])
            with mock.patch.object(FrameKernel, "compute", asleep):
                for threads in THREADS:
                    speed, processors = measured(threads)
                    speeds[threads].append(speed)
                    busy[threads].append(processors)
    of_two = [two / one for one, two in zip(as_it_is[1], as_it_is[2], strict=True)]
    claims = [Claim("two threads over one as they are, speed", "", of_two, 1.8, True)]
    claims.append(Claim("the kernel asleep, one thread: hours of audio a second", "", speeds[1]))
    for threads in THREADS[1:]:
        ratios = [many / one for many, one in zip(speeds[threads], speeds[1], strict=True)]
        claims.append(Claim(f"the kernel asleep, {threads} threads: speed, of one thread", "", ratios))
        claims.append(Claim(f"the kernel asleep, {threads} threads: processors busy", "", busy[threads]))
    report("interpreter", claims, minutes=5)


if __name__ == "__main__":
    main()
