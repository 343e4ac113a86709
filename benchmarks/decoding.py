"""Measures what counting a file's samples costs beside its decode, by format: python benchmarks/decoding.py

Each round decodes every clip alone, then counts it, both in processor time; the table has the medians
over the rounds. `--seconds` is the length of a clip, `--rounds` the number of rounds.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from functools import partial

import numpy as np
import soundfile

from melbeam.transforms.records.containers import flac_digest, inspect
from melbeam.transforms.records.decoding.quiet import quietly

# Each entry says how a clip is made: libsndfile's format and subtype, Hz, channels.
CLIPS = [
    ("WAV", "PCM_16", 16000, 1),
    ("WAV", "IMA_ADPCM", 16000, 1),
    ("AIFF", "PCM_16", 16000, 1),
    ("AU", "ULAW", 8000, 1),
    ("FLAC", "PCM_16", 16000, 1),
    ("FLAC", "PCM_16", 44100, 2),
    ("MP3", "MPEG_LAYER_III", 16000, 1),
    ("MP3", "MPEG_LAYER_III", 44100, 2),
    ("OGG", "VORBIS", 16000, 1),
    ("OGG", "VORBIS", 44100, 2),
    ("OGG", "OPUS", 16000, 1),
    ("OGG", "OPUS", 48000, 2),
]
REPEATS = 5  # of one measurement; the smallest time counts


def speech_like(seconds: float, rate: int, channels: int) -> np.ndarray:
    """Noise whose loudness and colour change as syllables do, so that no encoder finds silence or a pure tone."""
    random = np.random.default_rng(11)
    num_samples = int(seconds * rate)
    noise = np.cumsum(random.standard_normal((num_samples, channels)), axis=0)
    noise = np.diff(noise, axis=0, prepend=0) + 0.3 * np.sin(np.arange(num_samples) / 9)[:, None]
    loudness = 0.02 + 0.1 * np.sin(np.arange(num_samples) * 2 * np.pi * 4 / rate) ** 2
    return (noise * loudness[:, None]).astype(np.float32)


def encode(samples: np.ndarray, rate: int, kind: str, subtype: str) -> bytes:
    """A whole file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def decode(data: bytes) -> None:
    """Decodes a file as melbeam reads it, in blocks."""
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        while len(file.read(1 << 16, dtype="float32", always_2d=True)):
            pass


def check_md5(data: bytes) -> None:
    """Decodes a FLAC and takes the MD5 of its samples."""
    digest = flac_digest(data)
    assert digest is not None
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        while len(block := file.read(1 << 16, dtype="float32", always_2d=True)):
            digest.update(block)
    digest.check()


def milliseconds(function, data: bytes) -> float:
    """The least of some runs."""
    times = []
    for _ in range(REPEATS):
        start = time.thread_time()
        function(data)
        times.append(time.thread_time() - start)
    return 1000 * min(times)


def measured(data: bytes, *, is_flac: bool) -> tuple[float, float, float]:
    """Milliseconds of a decode, of counting, and of a decode with the MD5, which a FLAC alone has."""
    md5 = milliseconds(check_md5, data) if is_flac else float("nan")
    return milliseconds(decode, data), milliseconds(inspect, data), md5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a clip")
    parser.add_argument("--rounds", type=int, default=7, help="rounds over all formats")
    arguments = parser.parse_args()
    clips = [(clip, encode(speech_like(arguments.seconds, *clip[2:]), *clip[2:3], *clip[:2])) for clip in CLIPS]
    times: dict[tuple, list[tuple[float, float, float]]] = {clip: [] for clip in CLIPS}
    for _ in range(arguments.rounds):
        for clip, data in clips:
            times[clip].append(quietly(partial(measured, data, is_flac=clip[0] == "FLAC")))
    print("| format | decode, ms | count, ms | of the decode | MD5, of the decode |\n|---|---|---|---|---|")
    for (kind, subtype, rate, channels), rows in times.items():
        alone, counted, _ = (statistics.median(column) for column in zip(*rows, strict=True))
        share = statistics.median(counted / alone for alone, counted, _ in rows)
        md5_share = statistics.median(md5 / alone - 1 for alone, _, md5 in rows)
        name = f"{kind} {subtype}, {rate} Hz, {channels} ch"
        md5_text = f"{md5_share:.0%}" if md5_share == md5_share else ""
        print(f"| {name} | {alone:.2f} | {counted:.3f} | {share:.1%} | {md5_text} |")


if __name__ == "__main__":
    main()
