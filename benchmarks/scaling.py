"""How `melbeam extract` scales over shards, and over hours of audio.

    python benchmarks/scaling.py          # at most 10 minutes, 6 GB of disk
    python benchmarks/scaling.py --hours 1 4 12 50          # 20 GB

Every run is a fresh process, whose output is checked once a setting. Threads are compared in `interpreter.py`, and
processes in `overlap.py`: there they are warm, whose times vary less than those of whole commands.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from pathlib import Path

from claims import Claim, report
from corpus import Corpus, Spent, extract

SHARDS = (1, 4, 16, 64)
HOURS, SHARDS_OF_HOURS = 4.0, 16


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hours", type=float, nargs="+", default=[1, 4, 12], help="of the slopes")
    parser.add_argument("--work", type=Path, help="folder for audio and features; else a temporary one")
    options = parser.parse_args()
    claims = []
    with tempfile.TemporaryDirectory(prefix="melbeam-bench-", dir=options.work) as temporary:
        work = Path(temporary)
        features, done = work / "features", set()

        def spent(hours: float, shards: int) -> Spent:
            print(f"{hours:g} h in {shards} shards", file=sys.stderr)
            corpus, setting = Corpus(work, hours, shards), (hours, shards)
            found = extract(corpus, features, check=setting not in done)
            done.add(setting)
            return found

        by_shards: dict[int, list[Spent]] = {shards: [] for shards in SHARDS}
        by_hours: dict[float, list[Spent]] = {hours: [] for hours in options.hours}
        for _ in range(options.rounds):
            for shards, of_shards in by_shards.items():
                of_shards.append(spent(HOURS, shards))
            for hours, of_hours in by_hours.items():
                of_hours.append(spent(hours, SHARDS_OF_HOURS))
    for shards, of_shards in by_shards.items():
        what = f"{HOURS:g} h in {shards} shard{'s' * (shards > 1)}, start included"
        claims.append(Claim(f"{what}, of the clock", "s", [each.wall for each in of_shards]))
        claims.append(Claim(f"{what}, of the processor", "s", [each.processor for each in of_shards]))
    for (less, shorter), (more, longer) in itertools.pairwise(by_hours.items()):
        slopes = [(b.processor - a.processor) / (more - less) for a, b in zip(shorter, longer, strict=True)]
        what = f"from {less:g} to {more:g} h in {SHARDS_OF_HOURS} shards: an hour of audio, of the processor"
        claims.append(Claim(what, "s", slopes))
    report("scaling", claims, minutes=10)


if __name__ == "__main__":
    main()
