"""What a command costs before its first clip, and when there is nothing left to do.

python benchmarks/startup.py          # at most 4 minutes
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from claims import Claim, report
from corpus import Corpus, Spent, encode, run

from melbeam.pipelines.tfrecord import TFRecordWriter
from melbeam.transforms.folder_layout import ShardName
from melbeam.transforms.records.tf_example import to_example

MELBEAM = [sys.executable, "-m", "melbeam.pipelines.cli"]
SHARDS = 16


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    taken: dict[str, list[Spent]] = {"help": [], "two": [], "again": []}
    with tempfile.TemporaryDirectory(prefix="melbeam-bench-") as temporary:
        work = Path(temporary)
        two, many = work / "two", Corpus(work, 0.2, SHARDS)
        two.mkdir()
        with open(two / str(ShardName("train", 0, 1)), "wb") as file:
            writer = TFRecordWriter(file)
            for number, clip in enumerate(many.pool[:2]):
                writer.write(to_example({"audio": encode(clip, "WAV"), "id": f"clip-{number}"}))
        features, finished = work / "features", work / "finished"
        again = [*MELBEAM, "extract", f"--input={many.folder}/train-*", f"--output={finished}"]
        run(again)
        for _ in range(options.rounds):
            taken["help"].append(run([*MELBEAM, "extract", "--help"]))
            taken["two"].append(run([*MELBEAM, "extract", f"--input={two}/train-*", f"--output={features}"]))
            shutil.rmtree(features)
            taken["again"].append(run(again))
    claims = []
    for name, what, target in (
        ("help", "`melbeam extract --help`", 0.6),
        ("two", "`melbeam extract` of two clips", 7.0),
        ("again", f"a finished job of {SHARDS} shards again", 3.0),
    ):
        claims.append(Claim(f"{what}, of the clock", "s", [spent.wall for spent in taken[name]], target))
        claims.append(Claim(f"{what}, of the processor", "s", [spent.processor for spent in taken[name]]))
    report("startup", claims, minutes=4)


if __name__ == "__main__":
    main()
