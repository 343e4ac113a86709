"""How many threads TensorFlow should have in a worker: the command behind the choice of one.

    python benchmarks/threads.py

Converts the same clips, as audio records in memory, on harness threads that share one converter, with 1, 2 and as
many of TensorFlow's own threads an operation as there are cores; each setting in a fresh process, interleaved.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from melbeam.pipelines.this_machine import num_cores

RATE = 16000  # Hz
CLIPS = 240  # a round of one process


def records() -> list[bytes]:
    """Audio records of 2 to 20 s of noise."""
    from melbeam.transforms.records.tf_example import to_example

    rng = np.random.default_rng(2026)
    lengths = (rng.triangular(2, 8, 20, CLIPS) * RATE).astype(int)
    noise = (1000 * rng.standard_normal(max(lengths))).astype("<i2")
    return [to_example({"audio": noise[:length].tobytes()}) for length in lengths]


def convert_all(harness_threads: int, intra_op_threads: int) -> None:
    """Prints seconds, of the clock and of the processor, and a checksum of the features."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(intra_op_threads)
    from melbeam.transforms.front_end import FrontEnd
    from melbeam.transforms.records.conversion import convert
    from melbeam.transforms.records.converter import RecordConverter
    from melbeam.transforms.records.options import RecordOptions
    from melbeam.transforms.records.tfrecord_frame import masked_crc32c

    options = RecordOptions(audio_format="pcm_s16le", pcm_sampling_rate=RATE)
    converter, clips = RecordConverter(FrontEnd.load("gemma4"), options), records()
    convert(converter, clips[0], "")  # compiles the kernel
    with ThreadPoolExecutor(harness_threads) as pool:
        start, processor = time.perf_counter(), time.process_time()
        done = list(pool.map(lambda clip: masked_crc32c(convert(converter, clip, "").features[0].example), clips))
        print(time.perf_counter() - start, time.process_time() - processor, sum(done))


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="processes of each setting")
    parser.add_argument("--setting", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.setting:
        convert_all(*options.setting)
        return
    cores = num_cores()
    settings = [(harness, intra) for harness in sorted({1, cores}) for intra in sorted({1, 2, cores})]
    taken: dict[tuple[int, int], list[tuple[float, float]]] = {setting: [] for setting in settings}
    features = set()
    for _ in range(options.rounds):
        for setting in settings:
            command = [sys.executable, __file__, "--setting", *map(str, setting)]
            seconds, processor, checksum = subprocess.check_output(command, text=True).split()
            taken[setting].append((float(seconds), float(processor)))
            features.add(checksum)
    assert len(features) == 1, "the settings give different features"
    first = statistics.median(seconds for seconds, _ in taken[settings[0]])
    print(f"{CLIPS} clips, {cores} cores, {options.rounds} rounds, medians; the features are equal\n")
    print("| harness threads | TensorFlow's threads | seconds | processor seconds | against the first |")
    print("|---|---|---|---|---|")
    for (harness, intra), pairs in taken.items():
        seconds, processor = (statistics.median(values) for values in zip(*pairs, strict=True))
        print(f"| {harness} | {intra} | {seconds:.2f} | {processor:.2f} | {first / seconds:.2f} |")


if __name__ == "__main__":
    main()
