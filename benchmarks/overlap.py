"""Whether a thread that reads and decodes ahead of the kernel pays, on an idle core and on busy ones.

    python benchmarks/overlap.py          # at most 4 minutes

Processes take the same shard through the extractor, over and over, either as the job does, one step after the
other, or with a thread that has the next records read, decoded and measured before the kernel asks for them. One
process leaves a core of two idle; two processes leave none. Both ways write the same bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from claims import Claim, report
from corpus import Corpus, shard_extractor

AHEAD = 16  # records that wait at most, about two calls of the kernel
WAYS = ("in turn", "ahead")


@contextlib.contextmanager
def reading_ahead() -> Iterator[None]:
    """Has records read and prepared by a thread of their own."""
    from melbeam.pipelines.extracting.shard_extractor import _Pack
    from melbeam.pipelines.split.plan import Shard

    read, prepare = Shard.read, _Pack.prepare
    packs: list[_Pack] = []

    def ahead(shard: Shard, *args: Any) -> Iterator[Any]:
        waiting: queue.Queue[Any] = queue.Queue(AHEAD)

        def work() -> None:
            for item in read(shard, *args):
                waiting.put(prepare(packs[-1], item))
            waiting.put(None)

        threading.Thread(target=work, daemon=True).start()
        while (prepared := waiting.get()) is not None:
            yield prepared

    def note(pack: _Pack, *args: Any) -> None:
        make(pack, *args)
        packs.append(pack)

    make = _Pack.__init__
    with (
        mock.patch.object(Shard, "read", ahead),
        mock.patch.object(_Pack, "__init__", note),
        mock.patch.object(_Pack, "prepare", lambda _, prepared: prepared),
    ):
        yield


def serve(folder: str, way: str) -> None:
    """Extracts the corpus whenever a line comes in, and answers with the checksum of its features."""
    from melbeam.pipelines.extracting.tensorflow_setup import prepare_tensorflow

    prepare_tensorflow(gpu=False)
    from melbeam.pipelines.sources.units import SourceOptions
    from melbeam.pipelines.split.plan import plan_shards
    from melbeam.transforms.front_end import FrontEnd
    from melbeam.transforms.records.converter import RecordConverter
    from melbeam.transforms.records.options import RecordOptions

    answers, sys.stdout = sys.stdout, sys.stderr
    shards, _ = plan_shards([f"{folder}/train-*"], SourceOptions(shard_bytes=None))
    converter = RecordConverter(FrontEnd.load("gemma4"), RecordOptions())
    with tempfile.TemporaryDirectory(prefix="melbeam-bench-") as work:
        output = Path(work) / "features"
        for _ in sys.stdin:
            extractor = shard_extractor(output, converter)
            with reading_ahead() if way == "ahead" else contextlib.nullcontext():
                before = time.process_time()
                attempt = extractor.extract(shards[0])
                taken = time.process_time() - before
            print(json.dumps([taken, attempt.report.features.crc32c]), file=answers, flush=True)
            shutil.rmtree(output)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--hours", type=float, default=1.0, help="of audio in the shard")
    parser.add_argument("--serve", nargs=2, metavar=("FOLDER", "WAY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve)
        return
    with tempfile.TemporaryDirectory(prefix="melbeam-bench-") as work, contextlib.ExitStack() as stack:
        corpus = Corpus(Path(work), options.hours, 1)
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        processes = {
            way: [
                stack.enter_context(
                    subprocess.Popen(
                        [sys.executable, __file__, "--serve", str(corpus.folder), way],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        text=True,
                        env=environment,
                    )
                )
                for _ in range(2)
            ]
            for way in WAYS
        }
        checksums = set()

        def seconds(way: str, number: int) -> tuple[float, float]:
            """Seconds of the clock and of the processor, an hour of audio, of so many processes at a time."""
            start = time.perf_counter()
            for process in processes[way][:number]:
                process.stdin.write("\n")
                process.stdin.flush()
            answers = [json.loads(process.stdout.readline()) for process in processes[way][:number]]
            checksums.update(checksum for _, checksum in answers)
            hours = number * corpus.hours
            return (time.perf_counter() - start) / hours, sum(taken for taken, _ in answers) / hours

        for way in WAYS:
            seconds(way, 2)  # compiles
        taken: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for _ in range(options.rounds):
            for number in (1, 2):
                for way in WAYS:
                    taken.setdefault((way, number), []).append(seconds(way, number))
        for of_way in processes.values():
            for process in of_way:
                process.stdin.close()
    assert len(checksums) == 1, "reading ahead gives other bytes"
    claims = []
    for number, of in ((1, "one process"), (2, "two processes")):
        for index, unit in ((0, "of the clock"), (1, "of the processor")):
            in_turn, ahead = ([each[index] for each in taken[way, number]] for way in WAYS)
            ratio = [less / more for less, more in zip(ahead, in_turn, strict=True)]
            claims.append(Claim(f"{of}: an hour of audio, {unit}", "s", in_turn))
            claims.append(Claim(f"{of}: with a thread that reads ahead, {unit}, of without", "", ratio))
    one, two = ([wall for wall, _ in taken[WAYS[0], number]] for number in (1, 2))
    speeds = [alone / both for alone, both in zip(one, two, strict=True)]
    claims.append(Claim("two processes over one, speed", "", speeds, 1.8, True))
    report("overlap", claims, minutes=4)


if __name__ == "__main__":
    main()
