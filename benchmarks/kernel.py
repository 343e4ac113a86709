"""How fast the kernel is beside others and the bound: audio seconds per processor second, on one thread.

    make parity          # once: the environment .venv-parity, with keras-hub and transformers
    .venv-parity/bin/python benchmarks/kernel.py

Everything runs interleaved, round after round, so that what else the machine does falls on all; ratios are taken
within a round. transformers runs in a process of its own, without TensorFlow, which slows it. Every output is
compared with the float64 oracle of the tests. torch, ducc0 and mkl_fft take part where they are installed
(librosa brings scipy). `--baseline=PYTHON` adds another version of melbeam: that of an environment, by its
interpreter.

The bound is what a chain of the best libraries found here needs for transform, magnitude, mel product and
logarithm, on frames that lie ready in the cache.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from kernel_contenders import (
    EXACT,
    FLOAT32,
    RATE,
    SERVED,
    SINGLE,
    bound_steps,
    clips_of,
    clips_of_calls,
    contenders,
    error_on_signals,
    one_thread,
    single_clips,
)
from machine import describe

HERE = Path(__file__).parent
# The libraries read these variables when they are loaded.
ONE_THREAD = {
    **dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"], "1"),
    "CUDA_VISIBLE_DEVICES": "",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
PACKAGES = ["melbeam", "tensorflow", "numpy", "keras-hub", "keras", "transformers", "librosa", "scipy", "ducc0"]
PACKAGES += ["mkl_fft", "torch", "torchaudio"]


def processor_seconds(work: Callable[[], Any], at_least: float) -> float:
    """Processor seconds of one run of the work, over runs that take `at_least` seconds of the clock in all.

    One run goes before, untimed: it brings back to the process what memory the work before it gave up.
    """
    work()
    runs, start, before = 0, time.perf_counter(), time.process_time()
    while runs == 0 or time.perf_counter() - start < at_least:
        work()
        runs += 1
    return (time.process_time() - before) / runs


class Child:
    """A contender in a process of its own, that measures when it is told to."""

    def __init__(self, python: str, contender: str) -> None:
        command = [python, __file__, "--serve", contender]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.works: dict[str, float | None] = json.loads(self._process.stdout.readline())  # error of the output

    def measure(self, name: str, at_least: float) -> float:
        """`processor_seconds` of one of its works, in that process."""
        self._process.stdin.write(json.dumps([name, at_least]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()


def serve(contender: str) -> None:
    """The other end of `Child`."""
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever the libraries print
    works, error = SERVED[contender]()
    for work in works.values():
        work()
    print(json.dumps(dict.fromkeys(works, error)), file=answers, flush=True)
    for line in sys.stdin:
        name, at_least = json.loads(line)
        print(processor_seconds(works[name], at_least), file=answers, flush=True)


class Contest:
    """Works, measured in turn; each one's rounds side by side."""

    def __init__(self, rounds: int, at_least: float) -> None:
        self._rounds, self._at_least = rounds, at_least
        self._measures: dict[str, Callable[[float], float]] = {}
        self.audio: dict[str, float] = {}
        self.seconds: dict[str, list[float]] = {}

    def add(self, name: str, audio_seconds: float, measure: Callable[[float], float]) -> None:
        """Enters a work: its seconds of audio, and what measures it for at least so long."""
        self._measures[name], self.audio[name] = measure, audio_seconds

    def run(self) -> None:
        """All rounds."""
        for measure in self._measures.values():
            measure(0.0)  # the first call compiles
        self.seconds = {name: [] for name in self._measures}
        for number in range(self._rounds):
            print(f"round {number + 1} of {self._rounds}", file=sys.stderr)
            for name, measure in self._measures.items():
                self.seconds[name].append(measure(self._at_least))

    def speed(self, name: str) -> dict[str, float]:
        """Audio seconds per processor second: the rounds' median, least and most."""
        speeds = sorted(self.audio[name] / seconds for seconds in self.seconds[name])
        return {"median": statistics.median(speeds), "least": speeds[0], "most": speeds[-1]}

    def ratio(self, name: str, other: str) -> float:
        """How many times as fast one is as another, the median of the rounds."""
        per_second = [
            (self.audio[name] / mine) / (self.audio[other] / others)
            for mine, others in zip(self.seconds[name], self.seconds[other], strict=True)
        ]
        return statistics.median(per_second)


@contextlib.contextmanager
def children(baseline: str | None) -> Iterator[dict[str, Child]]:
    found = {}
    if importlib.util.find_spec("transformers"):
        found["transformers"] = Child(sys.executable, "transformers")
    if baseline:
        found["baseline"] = Child(baseline, "baseline")
    try:
        yield found
    finally:
        for child in found.values():
            child.close()


def packed_of(
    name: str, precision: str
) -> tuple[Callable[[list[np.ndarray]], Any], list[list[np.ndarray]], float]:
    """Packed features of a front end, clips in groups of what one call takes, and their seconds of audio."""
    from melbeam.transforms import FrontEnd
    from melbeam.transforms.packing import PackedFeatures

    packed = PackedFeatures(FrontEnd.load(name), precision)
    groups: list[list[np.ndarray]] = [[]]
    for clip in clips_of(200, 2, 20):
        if sum(map(len, groups[-1])) + len(clip) > packed.seconds_at_once * RATE:
            groups.append([])
        groups[-1].append(clip)
    return packed, groups, sum(len(clip) for group in groups for clip in group) / RATE


class TimedKernel:
    """A kernel that counts the processor seconds of its own calls."""

    def __init__(self, kernel: Any) -> None:
        self._kernel, self.seconds = kernel, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernel, name)

    def compute(self, *arguments: Any, **named: Any) -> np.ndarray:
        """Computes as `FrameKernel.compute` does."""
        start = time.process_time()
        try:
            return self._kernel.compute(*arguments, **named)
        finally:
            self.seconds += time.process_time() - start


def add_packing(contest: Contest, oracle_errors: dict[str, float]) -> dict[str, list[float]]:
    """The packed kernel alone and with the packing; and on to float32 bytes and to serialized records.

    Returns:
        By precision, what packing takes of the kernel's time, within each run of the clips through both.
    """
    from melbeam.transforms.packing import _Piece
    from melbeam.transforms.records.tf_example import to_example

    shares: dict[str, list[float]] = {}
    for precision, limit in (("float32", FLOAT32), ("float64", EXACT)):
        packed, groups, seconds = packed_of("gemma4", precision)
        oracle_errors[f"packed {precision}"] = error_on_signals(
            lambda samples, packed=packed: packed([samples[:9000], samples, samples[:5000]])[1], limit
        )
        calls = [list(packed._calls([packed._work(clip) for clip in group])) for group in groups]
        sizes = [pieces[-1].start + pieces[-1].frames for group in calls for pieces in group]
        assert all(isinstance(piece, _Piece) for group in calls for pieces in group for piece in pieces)

        def kernel(packed: Any = packed, sizes: list[int] = sizes) -> None:
            for frames in sizes:
                with packed._kernel.buffer() as rows:
                    packed._kernel.compute(rows, frames, is_of_many=True)

        def copy(packed: Any = packed, groups: Any = groups) -> None:
            """Moves the samples from where they lie to where the kernel takes them, and does nothing else."""
            with packed._kernel.buffer() as rows:
                flat = rows.reshape(-1)
                for group in groups:
                    start = 0
                    for clip in group:
                        flat[start : start + len(clip)] = clip
                        start += len(clip)

        timed, *_ = packed_of("gemma4", precision)
        timed._kernel = TimedKernel(packed._kernel)
        of_packing = shares[precision] = []

        def to_features(timed: Any = timed, groups: Any = groups, of: list[float] = of_packing) -> None:
            before, timed._kernel.seconds = time.process_time(), 0.0
            for group in groups:
                timed(group)
            of.append((time.process_time() - before) / timed._kernel.seconds - 1)

        def to_records(packed: Any = packed, groups: Any = groups) -> None:
            for group in groups:
                for features in packed(group):
                    fields = {"id": "clip", "num_frames": len(features), "num_samples": 160 * len(features)}
                    content = ("input_features", np.ascontiguousarray(features).view(np.uint8).data)
                    to_example(fields, {}, content)

        def full(packed: Any = packed) -> None:
            with packed._kernel.buffer() as rows:
                packed._kernel.compute(rows, packed._kernel.frames_at_once)

        for name, work, audio in (
            ("one full call", full, packed.seconds_at_once),
            ("200 clips, the kernel's calls alone", kernel, seconds),
            ("200 clips, their samples copied", copy, seconds),
            ("200 clips, packed", to_features, seconds),
            ("200 clips, to records", to_records, seconds),
        ):
            contest.add(f"{precision}: {name}", audio, lambda least, work=work: processor_seconds(work, least))
    return shares


def add_front_ends(contest: Contest) -> dict[str, float]:
    """A full call of each front end; name to frames times points of the transform."""
    from melbeam.transforms import FrontEnd
    from melbeam.transforms.block_kernel import frame_kernel

    points = {}
    for name in FrontEnd.shipped():
        for precision in ("float32", "float64"):
            kernel = frame_kernel(FrontEnd.load(name), precision)

            def call(kernel: Any = kernel) -> None:
                with kernel.buffer() as rows:
                    kernel.compute(rows, kernel.frames_at_once)

            points[f"{name} {precision}"] = kernel.frames_at_once * FrontEnd.load(name).fft_length
            contest.add(
                f"{name} {precision}",
                kernel.frames_at_once / 100,
                lambda least, call=call: processor_seconds(call, least),
            )
    return points


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9, help="of everything, interleaved")
    parser.add_argument("--seconds", type=float, default=0.5, help="of the clock, of each work in each round")
    parser.add_argument("--baseline", help="the interpreter of an environment with another version of melbeam")
    parser.add_argument("--json", type=Path, default=HERE / "results" / "kernel.json", help="where the figures go")
    parser.add_argument("--serve", choices=SERVED, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
    one_thread()
    contest, errors = Contest(options.rounds, options.seconds), {}
    clips = clips_of_calls()
    audio = sum(map(len, clips)) / RATE
    with children(options.baseline) as processes:
        convert = contenders()
        for name, (features, limit) in convert.items():
            errors[name] = error_on_signals(features, limit)
            work = lambda features=features: [features(clip) for clip in clips]  # noqa: E731
            contest.add(name, audio, lambda least, work=work: processor_seconds(work, least))
        for clip in single_clips():
            for precision in ("float32", "float64"):
                name, features = f"{precision}, {len(clip) / RATE:g} s", convert[f"melbeam {precision}"][0]
                work = lambda features=features, clip=clip: features(clip)  # noqa: E731
                contest.add(name, len(clip) / RATE, lambda least, work=work: processor_seconds(work, least))
        for name, child in processes.items():
            for work, error in child.works.items():
                title = name if name == work or work == "clips" else f"{name} {work}"
                errors[title] = error
                seconds = audio if work.endswith("clips") else float(work.split()[-2])
                contest.add(title, seconds, lambda least, child=child, work=work: child.measure(work, least))
        shares = add_packing(contest, errors)
        points = add_front_ends(contest)
        for precision in ("float32", "float64"):
            for step, libraries in bound_steps(precision).items():
                for library, work in libraries.items():
                    contest.add(
                        f"bound {precision}, {step}: {library}",
                        40.96,
                        lambda least, work=work: processor_seconds(work, least / 5),
                    )
        contest.run()
    report(contest, errors, points, shares, options)


def bound_speeds(contest: Contest, precision: str) -> list[float]:
    """Audio seconds per processor second of the best chain, round by round."""
    best: dict[str, list[float]] = {}
    for name, seconds in contest.seconds.items():
        if name.startswith(f"bound {precision}"):
            step = name.split(", ")[1].split(":")[0]
            if step not in best or statistics.median(seconds) < statistics.median(best[step]):
                best[step] = seconds
    return [40.96 / sum(steps) for steps in zip(*best.values(), strict=True)]


def report(
    contest: Contest,
    errors: dict[str, float],
    points: dict[str, float],
    shares: dict[str, list[float]],
    options: Any,
) -> None:
    """Prints the tables and writes the JSON."""
    speeds = {name: contest.speed(name) for name in contest.seconds}
    ratios: dict[str, float] = {}
    for ours in ("melbeam float32", "melbeam float64"):
        for other in ("keras-hub", "transformers", "plain tf.signal", "librosa", "torch"):
            if other in speeds:
                ratios[f"{ours} / {other}"] = contest.ratio(ours, other)
    for precision in ("float32", "float64"):
        bound = bound_speeds(contest, precision)
        ours = [40.96 / seconds for seconds in contest.seconds[f"{precision}: one full call"]]
        if "keras-hub" in speeds:
            ratios[f"packed {precision} / keras-hub"] = contest.ratio(f"{precision}: one full call", "keras-hub")
            audio = contest.audio["keras-hub"]
            ratios[f"bound {precision} / keras-hub"] = statistics.median(
                most * seconds / audio for most, seconds in zip(bound, contest.seconds["keras-hub"], strict=True)
            )
        speeds[f"bound {precision}"] = {
            "median": statistics.median(bound),
            "least": min(bound),
            "most": max(bound),
        }
        ratios[f"packed {precision} / bound"] = statistics.median(
            mine / most for mine, most in zip(ours, bound, strict=True)
        )
        alone, copied, records = (
            contest.seconds[f"{precision}: 200 clips, {what}"]
            for what in ("the kernel's calls alone", "their samples copied", "to records")
        )
        ratios[f"packing {precision}, share of the kernel's time"] = statistics.median(shares[precision])
        ratios[f"packing {precision}, of it the bare copy of the samples"] = statistics.median(
            copy / kernel for copy, kernel in zip(copied, alone, strict=True)
        )
        ratios[f"to records {precision} / kernel"] = statistics.median(
            kernel / both for both, kernel in zip(records, alone, strict=True)
        )
        for seconds in SINGLE:
            name = f"{precision}, {seconds:g} s"
            if f"baseline {name}" in speeds:
                ratios[f"{name} / baseline"] = contest.ratio(name, f"baseline {name}")
        for name in points:
            if name.endswith(precision):
                cost = [seconds / points[name] for seconds in contest.seconds[name]]
                reference = f"gemma4 {precision}"
                costs = [seconds / points[reference] for seconds in contest.seconds[reference]]
                ratios[f"{name}, cost of a frame and point / gemma4"] = statistics.median(
                    mine / others for mine, others in zip(cost, costs, strict=True)
                )
    print(f"{'audio seconds per processor second':48} {'median':>8} {'least':>8} {'most':>8}  error")
    for name, speed in speeds.items():
        error = f"{errors[name]:.1e}" if errors.get(name) is not None else ""
        print(f"{name:48} {speed['median']:8.0f} {speed['least']:8.0f} {speed['most']:8.0f}  {error}")
    print()
    for name, ratio in ratios.items():
        print(f"{name:64} {ratio:6.3g}")
    found = {
        "command": "python benchmarks/kernel.py",
        "machine": describe(PACKAGES),
        "rounds": options.rounds,
        "speeds": speeds,
        "ratios": ratios,
        "largest_errors": errors,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=2) + "\n")
    print(f"\nwritten to {options.json}")


if __name__ == "__main__":
    main()
