"""The float64 oracle: each front end in a few lines of NumPy, sharing no code with the package; and signals."""

import io
from importlib import resources

import numpy as np
import soundfile

RATE, SAMPLES, HOP = 16000, 480000, 160


def _triangles(fft_length):
    """HTK-spaced triangles in Hz, 128 from 0 to 8000 Hz: `[bins, 128]` and the edges."""
    mels = np.linspace(0.0, 2595 * np.log10(1 + 8000 / 700), 130)
    edges = 700 * (10 ** (mels / 2595) - 1)
    bins = np.fft.rfftfreq(fft_length, 1 / RATE)
    bank = np.array([np.interp(bins, edges[i : i + 3], [0, 1, 0]) for i in range(128)]).T
    return bank, edges


def _frames(padded, length, count):
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return np.stack([padded[i * HOP : i * HOP + length] for i in range(count)]) * window


def _to_30_seconds(samples):
    samples = np.asarray(samples, np.float64)[:SAMPLES]
    return np.pad(samples, (0, SAMPLES - len(samples)))


def gemma4_mel(samples):
    """The checkpoint's mel values before the logarithm: 320 samples in 512, magnitude, no norm."""
    padded = np.pad(_to_30_seconds(samples), (160, 320))
    return np.abs(np.fft.rfft(_frames(padded, 320, 3000), 512)) @ _triangles(512)[0]


def gemma4(samples, mel_floor=1e-3):
    """The checkpoint's features, `[3000, 128]`."""
    return np.log(gemma4_mel(samples) + mel_floor)


def gemma4_documented_mel(samples):
    """The published page's mel values: 400 samples, centred, power, triangles of unit area."""
    padded = np.pad(_to_30_seconds(samples), 200, mode="reflect")
    bank, edges = _triangles(400)
    return np.abs(np.fft.rfft(_frames(padded, 400, 3000))) ** 2 @ (bank * 2 / (edges[2:] - edges[:-2]))


def gemma4_documented(samples, mel_floor=1e-5):
    """The published page's features, `[3000, 128]`."""
    return np.log(np.maximum(gemma4_documented_mel(samples), mel_floor))


def signals():
    """Name to float32 samples; the same on every machine."""
    random = np.random.default_rng(20240)
    time = np.arange(4 * RATE) / RATE
    clip = (resources.files("melbeam.pipelines.demo_clips") / "01-morning.wav").read_bytes()
    impulse = np.zeros(RATE)
    impulse[7001] = 0.9
    found = {
        "speech": soundfile.read(io.BytesIO(clip))[0],
        "noise": 0.1 * random.standard_normal(3 * RATE),
        "tones": 0.3 * np.sin(2 * np.pi * 440 * time) + 0.2 * np.sin(2 * np.pi * 3333 * time),
        "chirp": 0.99 * np.sin(2 * np.pi * (20 * time + 950 * time**2)),
        "silence": np.zeros(RATE),
        "impulse": impulse,
        "full": 0.1 * random.standard_normal(SAMPLES),
    }
    return {name: samples.astype(np.float32) for name, samples in found.items()}
