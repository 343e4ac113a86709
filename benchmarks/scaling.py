"""How `melbeam extract` scales: over threads and processes, over shards, and over hours of audio.

    python benchmarks/scaling.py          # at most 10 minutes, 6 GB of disk
    python benchmarks/scaling.py --hours 1 4 12 50          # 20 GB

Every run is a fresh process, whose output is checked once a setting. Threads and processes are compared by slopes,
between two lengths of the same audio, so that the start of the command is in none of them.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from pathlib import Path

from claims import Claim, report
from corpus import Corpus, Spent, extract

WORKERS = {
    "one thread": ["--direct_num_workers=1"],
    "two threads": ["--direct_num_workers=2"],
    "two processes": ["--direct_num_workers=2", "--direct_running_mode=multi_processing"],
}
SHARDS = (1, 4, 16, 64)
SHORT, MIDDLE, LONG = 2.0, 4.0, 10.0  # hours


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hours", type=float, nargs="+", default=[1, 4, 12], help="of the last table")
    parser.add_argument("--work", type=Path, help="folder for audio and features; else a temporary one")
    options = parser.parse_args()
    claims = []
    with tempfile.TemporaryDirectory(prefix="melbeam-bench-", dir=options.work) as temporary:
        work = Path(temporary)
        features, done = work / "features", set()

        def spent(hours: float, shards: int, *arguments: str) -> tuple[Spent, float]:
            print(f"{hours:g} h in {shards} shards {' '.join(arguments)}", file=sys.stderr)
            corpus, setting = Corpus(work, hours, shards), (hours, shards, *arguments)
            found = extract(corpus, features, list(arguments), check=setting not in done)
            done.add(setting)
            return found, corpus.hours

        def slope(*arguments: str) -> Spent:
            """Seconds an hour of audio, without the start."""
            (short, hours), (long, more) = (spent(length, 32, *arguments) for length in (SHORT, LONG))
            return Spent(*((after - before) / (more - hours) for before, after in zip(short, long, strict=True)))

        slopes: dict[str, list[Spent]] = {workers: [] for workers in WORKERS}
        for _ in range(options.rounds):
            for workers, arguments in WORKERS.items():
                slopes[workers].append(slope(*arguments))
        one, *others = ([each.wall for each in slopes[workers]] for workers in WORKERS)
        for workers, walls in zip(list(WORKERS)[1:], others, strict=True):
            ratios = [alone / both for alone, both in zip(one, walls, strict=True)]
            claims.append(Claim(f"speed of {workers}, of one thread", "", ratios, 1.8, True))
        for workers, of_all in slopes.items():
            of = f"{workers}, an hour of audio"
            claims.append(Claim(f"{of}, of the clock", "s", [each.wall for each in of_all]))
            claims.append(Claim(f"{of}, of the processor", "s", [each.processor for each in of_all]))
        for shards in SHARDS:
            found = [spent(MIDDLE, shards) for _ in range(min(options.rounds, 3))]
            what = f"{MIDDLE:g} h in {shards} shard{'s' * (shards > 1)}, start included"
            claims.append(Claim(f"{what}, of the clock", "s", [each.wall for each, _ in found]))
            claims.append(Claim(f"{what}, of the processor", "s", [each.processor for each, _ in found]))
        lengths = [spent(hours, 16) for hours in options.hours]
        for (less, hours), (more, longer) in itertools.pairwise(lengths):
            grown = (more.processor - less.processor) / (longer - hours)
            what = f"from {hours:.0f} to {longer:.0f} h: an hour of audio, of the processor"
            claims.append(Claim(what, "s", [grown]))
    report("scaling", claims, minutes=10)


if __name__ == "__main__":
    main()
