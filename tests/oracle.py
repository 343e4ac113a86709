"""The float64 oracle: each front end in a few lines of NumPy, sharing no code with the package; and signals.

Each takes `rows`, how many frames to compute: fewer are quicker where only the first hold sound.
"""

import functools
import io
from importlib import resources

import numpy as np
import soundfile

RATE, SAMPLES, HOP = 16000, 480000, 160


def _htk(num, low, high):
    """`num` frequencies in Hz, equally spaced on HTK's mel scale."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (low, high))
    return 700 * (10 ** (np.linspace(low, high, num) / 2595) - 1)


def _slaney(num, high):
    """`num` frequencies in Hz, from 0, equally spaced on Slaney's mel scale."""
    mels = np.linspace(0, 15 + 27 * np.log(high / 1000) / np.log(6.4), num)
    return np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))


def _bank(fft_length, edges, *, unit_area):
    bins = np.fft.rfftfreq(fft_length, 1 / RATE)
    bank = np.array([np.interp(bins, edges[i : i + 3], [0, 1, 0]) for i in range(len(edges) - 2)]).T
    return bank * 2 / (edges[2:] - edges[:-2]) if unit_area else bank


@functools.cache
def _htk_bank(fft_length, low, high, *, unit_area=False):
    return _bank(fft_length, _htk(130, low, high), unit_area=unit_area)


@functools.cache
def _slaney_bank(fft_length, num_mels):
    return _bank(fft_length, _slaney(num_mels + 2, 8000), unit_area=True)


def _frames(padded, length, count):
    return np.stack([padded[i * HOP : i * HOP + length] for i in range(count)])


def _hann(length):
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def _to_30_seconds(samples):
    samples = np.asarray(samples, np.float64)[:SAMPLES]
    return np.pad(samples, (0, SAMPLES - len(samples)))


def gemma4_mel(samples, rows=3000):
    """The checkpoint's mel values before the logarithm: 320 samples in 512, magnitude, no norm."""
    frames = _frames(np.pad(_to_30_seconds(samples), (160, 320)), 320, rows)
    return np.abs(np.fft.rfft(frames * _hann(320), 512)) @ _htk_bank(512, 0, 8000)


def gemma4(samples, rows=3000):
    """The checkpoint's features, `[3000, 128]`."""
    return np.log(gemma4_mel(samples, rows) + 1e-3)


def _centred_power(samples, rows):
    frames = _frames(np.pad(_to_30_seconds(samples), 200, mode="reflect"), 400, rows)
    return np.abs(np.fft.rfft(frames * _hann(400))) ** 2


def gemma4_documented_mel(samples, rows=3000):
    """The published page's mel values: 400 samples, centred, power, triangles of unit area."""
    return _centred_power(samples, rows) @ _htk_bank(400, 0, 8000, unit_area=True)


def gemma4_documented(samples, rows=3000):
    """The published page's features, `[3000, 128]`."""
    return np.log(np.maximum(gemma4_documented_mel(samples, rows), 1e-5))


def gemma3n_spectrum(samples, rows=2997):
    """Gemma 3n's magnitudes: 512 samples in 1024, pre-emphasised frame by frame, 2997 frames."""
    frames = _frames(_to_30_seconds(samples), 512, rows)
    frames[:, 1:] -= 0.97 * frames[:, :-1].copy()
    frames[:, 0] *= 1 - 0.97
    return np.abs(np.fft.rfft(frames * _hann(512), 1024))


def gemma3n_mel(samples, rows=2997):
    """Gemma 3n's mel values, which leave out what lies below 125 Hz and above 7600 Hz."""
    return gemma3n_spectrum(samples, rows) @ _htk_bank(1024, 125, 7600)


def gemma3n(samples, rows=2997):
    """Gemma 3n's features, `[2997, 128]`."""
    return np.log(np.maximum(gemma3n_mel(samples, rows), 1e-5))


def whisper_mel(samples, rows=3000, num_mels=80):
    """Whisper's mel values: 400 samples, centred, power, Slaney's scale and norm."""
    return _centred_power(samples, rows) @ _slaney_bank(400, num_mels)


def whisper(samples, rows=3000, num_mels=80):
    """Whisper's features, `[3000, num_mels]`."""
    log_mel = np.log10(np.maximum(whisper_mel(samples, rows, num_mels), 1e-10))
    return (np.maximum(log_mel, log_mel.max() - 8) + 4) / 4


def whisper_large_v3_mel(samples, rows=3000):
    """The mel values of Whisper large-v3: 128 of them."""
    return whisper_mel(samples, rows, 128)


def whisper_large_v3(samples, rows=3000):
    """The features of Whisper large-v3, `[3000, 128]`."""
    return whisper(samples, rows, 128)


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
