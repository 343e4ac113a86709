"""Memory of the converter: of its first call, and over 10,000 calls of mixed lengths, which must be flat. Linux.

    python benchmarks/memory.py          # at most 6 minutes

Each precision in a process of its own. What a whole job takes under load, in an hour and 40 GB of disk, is
`benchmarks/load.py`, which therefore stays by itself.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from claims import Claim, report

RATE = 16000  # Hz
SETTLING = 500  # calls, after which allocators have what they keep


def resident() -> float:
    """MiB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(precision: str, calls: int) -> dict[str, float]:
    """MiB and seconds of the first call, and MiB of growth over the others."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.zeros([1]).numpy()  # TensorFlow's own start is not the converter's
    from melbeam.transforms import AudioConverter

    converter = AudioConverter("gemma4", pad_to_max_length=False, precision=precision)
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(30 * RATE).astype(np.float32) / 10
    before, start = resident(), time.perf_counter()
    converter(noise[:RATE])
    first = {"first_mib": resident() - before, "first_seconds": time.perf_counter() - start}
    settled = resident()
    for number, size in enumerate(rng.integers(400, len(noise), calls)):
        converter(noise[:size])
        if number == SETTLING:
            gc.collect()
            settled = resident()
    gc.collect()
    return {**first, "growth_mib": resident() - settled}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=1, help="processes of each precision")
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.precision:
        print(json.dumps(measure(options.precision, options.calls)))
        return
    claims = []
    for precision in ("float32", "float64"):
        command = [sys.executable, __file__, f"--precision={precision}", f"--calls={options.calls}"]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        found = [
            json.loads(subprocess.check_output(command, text=True, env=environment).splitlines()[-1])
            for _ in range(options.rounds)
        ]
        what = f"{precision}: growth over {options.calls} calls of 0.03 to 30 s, after {SETTLING}"
        claims += [
            Claim(f"{precision}: the first call", "MiB", [each["first_mib"] for each in found], 150),
            Claim(f"{precision}: the first call, of the clock", "s", [each["first_seconds"] for each in found], 1),
            Claim(what, "MiB", [each["growth_mib"] for each in found], 20),
        ]
    report("memory", claims, minutes=6)


if __name__ == "__main__":
    main()
