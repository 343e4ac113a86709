"""This measures what stored features of speech take, lose and cost, by type and with zlib, which TFDS reads.

    python benchmarks/sizes.py          # at most 2 minutes

The clips are the demo's spoken ones as they are, without the noise that the other benchmarks add to tell clips
apart: noise does not compress. Bytes are of the tensors; a record adds half a kilobyte.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import zlib
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
from claims import Claim, report

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
RATE = 16000  # Hz
FRAMES_AN_HOUR = 360_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    import ml_dtypes

    from melbeam.transforms import AudioConverter
    from melbeam.transforms.records.decoding import decode_audio

    folder = files("melbeam.pipelines") / "demo_clips"
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith((".wav", ".flac")))
    converter = AudioConverter("gemma4", pad_to_max_length=False)
    clips = [converter(decode_audio((folder / n).read_bytes(), sampling_rate=RATE).samples).numpy() for n in names]
    hours = sum(map(len, clips)) / FRAMES_AN_HOUR
    claims = []
    for dtype in (np.dtype(np.float32), np.dtype(ml_dtypes.bfloat16)):
        stored = [clip.astype(dtype) for clip in clips]
        if dtype != np.float32:
            apart = [s.astype(np.float32) - clip for s, clip in zip(stored, clips, strict=True)]
            squares = sum(float(np.sum(np.square(a, dtype=np.float64))) for a in apart)
            claims.append(Claim(f"{dtype}: largest error", "", [max(float(np.abs(a).max()) for a in apart)]))
            rms = (squares / sum(map(np.size, apart))) ** 0.5
            claims.append(Claim(f"{dtype}: error, root mean square", "", [rms]))
        for name, write, read in (
            (f"{dtype}", lambda clip: clip.tobytes(), lambda data: data),
            (f"{dtype}, zlib", lambda clip: zlib.compress(clip.tobytes()), zlib.decompress),
        ):
            tensors = [write(clip) for clip in stored]
            megabytes = sum(map(len, tensors)) / 1e6 / hours
            claims.append(Claim(f"{name}: an hour of audio", "MB", [megabytes]))
            writing = [seconds(lambda w=write, s=stored: [w(clip) for clip in s]) for _ in range(options.rounds)]
            claims.append(Claim(f"{name}: writing an hour", "s", [each / hours for each in writing]))
            reading = [
                seconds(lambda r=read, t=tensors, d=dtype: [as_float32(r(tensor), d) for tensor in t])
                for _ in range(options.rounds)
            ]
            claims.append(Claim(f"{name}: reading an hour", "s", [each / hours for each in reading]))
    print(f"{len(clips)} clips, median {statistics.median(map(len, clips))} frames")
    report("sizes", claims, minutes=2, hours=hours)


def as_float32(data: bytes, dtype: np.dtype[Any]) -> float:
    """The values as a model takes them; their sum, so that all are touched."""
    return float(np.frombuffer(data, dtype).astype(np.float32).sum())


def seconds(work: Callable[[], Any]) -> float:
    """Seconds of the processor."""
    before = time.process_time()
    work()
    return time.process_time() - before


if __name__ == "__main__":
    main()
