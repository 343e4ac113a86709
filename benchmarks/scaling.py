"""How `melbeam extract` scales: over workers, over shards, and over hours of audio.

    python benchmarks/scaling.py          # at most 10 minutes, 6 GB of disk
    python benchmarks/scaling.py --hours 1 4 12 50          # 20 GB

Every run is a fresh process, whose output is checked once a setting. Workers and shards are compared by slopes,
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

WORKERS = (1, 2)
SHARDS = (1, 4, 16, 64)
SHORT, LONG = 1.0, 4.0  # hours


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
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

        def slope(shards: int, *arguments: str) -> Spent:
            """Seconds an hour of audio, without the start."""
            (short, hours), (long, more) = (spent(length, shards, *arguments) for length in (SHORT, LONG))
            return Spent(*((after - before) / (more - hours) for before, after in zip(short, long, strict=True)))

        slopes: dict[int, list[Spent]] = {workers: [] for workers in WORKERS}
        for _ in range(options.rounds):
            for workers in WORKERS:
                slopes[workers].append(slope(16, f"--direct_num_workers={workers}"))
        one, two = ([each.wall for each in slopes[workers]] for workers in WORKERS)
        claims.append(
            Claim("two workers over one, speed", "", [a / b for a, b in zip(one, two, strict=True)], 1.8, True)
        )
        for workers in WORKERS:
            of = f"{workers} worker{'s' * (workers > 1)}, an hour of audio"
            claims.append(Claim(f"{of}, of the clock", "s", [each.wall for each in slopes[workers]]))
            claims.append(Claim(f"{of}, of the processor", "s", [each.processor for each in slopes[workers]]))
        for shards in SHARDS:
            found = [spent(LONG, shards) for _ in range(options.rounds)]
            what = f"{LONG:g} h in {shards} shard{'s' * (shards > 1)}, start included"
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
