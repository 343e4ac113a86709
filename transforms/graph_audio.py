"""Audio files decoded and resampled inside a TensorFlow graph: in `tf.data`, and in a model that takes bytes.

WAV of 16 bits is decoded by every TensorFlow. FLAC, MP3 and Ogg Vorbis want the operations of tensorflow-io, the
extra `tfio`; their decoders give no rate, so that is read from the file's own header. Resampling is a filter bank
of this module, on every stack: beside soxr's, the samples that tensorflow-io's own resampling gave were no nearer
than the signal is large.

Nothing here tells a file that is cut or damaged from a shorter one, which `records.decoding` does.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

# Hz that a file may have, beside the one that is asked for.
RATES = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000)
# soxr's HQ, which the other paths resample with, passes up to 0.913 of the lower Nyquist frequency.
_TRANSITION = 0.087
_ATTENUATION = 120.0  # dB
_HEAD = 64  # bytes, in which FLAC and Ogg say their rate
_FLAC, _WAV, _OGG, _ID3 = b"fLaC", b"RIFF", b"OggS", b"ID3"
_VORBIS = b"\x01vorbis"
_VORBIS_AT, _VORBIS_RATE_AT = 28, 40  # in the first page, which has one segment
_FLAC_RATE_AT = 18  # of STREAMINFO: 20 bits of the rate, 3 of the channels, 5 of the bits a sample less one
_MPEG_RATES = (44_100, 48_000, 32_000)  # of version 1; halves of them of version 2, quarters of 2.5


@functools.cache
def tensorflow_io() -> Any:
    """The package tensorflow-io; None where it is not installed."""
    if importlib.util.find_spec("tensorflow_io") is None:
        return None
    import tensorflow_io

    return tensorflow_io


def decode_in_graph(contents: tf.Tensor, sampling_rate: int) -> tf.Tensor:
    """The samples of one file: float32 `[num_samples]`, mono, at `sampling_rate` Hz.

    FLAC and WAV give the bits of `records.decoding.decode_audio`, where the rate is the file's own; MP3 and Vorbis
    are within 2e-6 of it. Resampled, what lies below nine tenths of the lower Nyquist frequency is within 2e-4.

    Args:
        contents: string scalar, the bytes of the file.
        sampling_rate: of what comes out.

    Raises:
        tf.errors.InvalidArgumentError: where it runs; the file is of another format, or of a rate not in `RATES`.
    """
    head = tf.strings.substr(contents, 0, _HEAD)

    def begins(mark: bytes, at: int = 0) -> tf.Tensor:
        return tf.equal(tf.strings.substr(head, at, len(mark)), mark)

    branches = [(begins(_WAV), lambda: _wav(contents))]
    if tensorflow_io() is not None:
        first = tf.io.decode_raw(tf.strings.substr(head, 0, 2), tf.uint8)
        is_mpeg = tf.logical_and(
            tf.equal(tf.size(first), 2),
            tf.reduce_all(tf.equal(tf.bitwise.bitwise_and(first, tf.constant([255, 224], tf.uint8)), [255, 224])),
        )
        branches += [
            (begins(_FLAC), lambda: _flac(contents)),
            (tf.logical_and(begins(_OGG), begins(_VORBIS, _VORBIS_AT)), lambda: _vorbis(contents)),
            (tf.logical_or(begins(_ID3), is_mpeg), lambda: _mp3(contents)),
        ]
    known = (
        "WAV, FLAC, MP3 and Ogg Vorbis are"
        if tensorflow_io() is not None
        else "WAV alone is, without melbeam[tfio],"
    )
    with tf.control_dependencies(
        [
            tf.debugging.Assert(
                tf.reduce_any([is_it for is_it, _ in branches]),
                [f"{known} decoded in a graph, not what begins with", tf.io.decode_raw(head, tf.uint8)[:4]],
            )
        ]
    ):
        samples, rate = tf.case(branches, default=_nothing, exclusive=False)
    return resample_in_graph(tf.ensure_shape(samples, [None]), rate, sampling_rate)


def _nothing() -> tuple[tf.Tensor, tf.Tensor]:
    return tf.zeros([0], tf.float32), tf.zeros([], tf.int32)


def _mono(samples: tf.Tensor) -> tf.Tensor:
    """float64 `[num_samples, num_channels]`, averaged and rounded once, as `records.decoding` does."""
    return tf.cast(tf.reduce_mean(samples, axis=1), tf.float32)


def _wav(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    samples, rate = tf.audio.decode_wav(contents)
    return _mono(tf.cast(samples, tf.float64)), rate


def _flac(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    fields = _unsigned(contents, _FLAC_RATE_AT, 4)
    rate, bits = fields // 2**12, fields // 2**4 % 2**5 + 1
    decode = tensorflow_io().audio.decode_flac

    def as_type(dtype: tf.DType, scale: float, middle: float = 0.0) -> Callable[[], tf.Tensor]:
        return lambda: _mono((tf.cast(decode(contents, dtype=dtype), tf.float64) - middle) / scale)

    check = tf.debugging.Assert(
        tf.reduce_any(tf.equal(bits, [8, 16, 24])),
        ["FLAC of 8, 16 and 24 bits is decoded in a graph, not of", bits],
    )
    with tf.control_dependencies([check]):
        samples = tf.case(
            [
                (tf.equal(bits, 8), as_type(tf.uint8, 2.0**7, 2.0**7)),
                (tf.equal(bits, 24), as_type(tf.int32, 2.0**31)),
            ],
            default=as_type(tf.int16, 2.0**15),
        )
    return samples, tf.cast(rate, tf.int32)


def _vorbis(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    rate = _unsigned(contents, _VORBIS_RATE_AT, 4, big_endian=False)
    return _mono(tf.cast(tensorflow_io().audio.decode_vorbis(contents), tf.float64)), tf.cast(rate, tf.int32)


def _mp3(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    has_tag = tf.equal(tf.strings.substr(contents, 0, len(_ID3)), _ID3)
    start = tf.cond(has_tag, lambda: 10 + _unsigned(contents, 6, 4, base=128), lambda: tf.zeros([], tf.int64))
    header = _unsigned(contents, tf.cast(start, tf.int32), 4)
    version, rate = header // 2**19 % 4, header // 2**10 % 4
    check = tf.debugging.Assert(
        tf.logical_and(tf.equal(header // 2**21, 0x7FF), tf.less(rate, 3)),
        ["an MP3 whose first frame does not lie at its beginning or behind its ID3 tag"],
    )
    with tf.control_dependencies([check]):
        found = tf.gather(tf.constant(_MPEG_RATES, tf.int32), tf.cast(tf.minimum(rate, 2), tf.int32))
    found = found // tf.gather(tf.constant([4, 1, 2, 1], tf.int32), tf.cast(version, tf.int32))
    return _mono(tf.cast(tensorflow_io().audio.decode_mp3(contents), tf.float64)), found


def _unsigned(
    contents: tf.Tensor, start: tf.Tensor | int, size: int, *, big_endian: bool = True, base: int = 256
) -> tf.Tensor:
    """The unsigned number in some bytes, int64; its digits are of another base in an ID3 tag."""
    digits = tf.cast(tf.io.decode_raw(tf.strings.substr(contents, start, size), tf.uint8), tf.int64)
    places = [base**place for place in range(size)]
    weights = tf.constant(places[::-1] if big_endian else places, tf.int64)
    with tf.control_dependencies(
        [tf.debugging.Assert(tf.equal(tf.size(digits), size), ["a file that ends early"])]
    ):
        return tf.reduce_sum(digits * weights)


def resample_in_graph(samples: tf.Tensor, rate: tf.Tensor, sampling_rate: int) -> tf.Tensor:
    """float32 `[num_samples]` at one of `RATES` to the rate that is asked for.

    Raises:
        tf.errors.InvalidArgumentError: where it runs; the rate is another one.
    """
    rates = sorted({*RATES, sampling_rate})
    is_rate = tf.equal(tf.constant(rates, tf.int32), rate)
    check = tf.debugging.Assert(
        tf.reduce_any(is_rate), ["resampled in a graph are Hz", rates, "and not", rate], summarize=len(rates)
    )
    with tf.control_dependencies([check]):
        index = tf.cast(tf.argmax(is_rate), tf.int32)
    branches: list[Callable[[], tf.Tensor]] = [
        functools.partial(_resampled, samples, one, sampling_rate) for one in rates
    ]
    return tf.ensure_shape(tf.switch_case(index, branches), [None])


def _resampled(samples: tf.Tensor, rate: int, sampling_rate: int) -> tf.Tensor:
    """One product of matrices: each row is a period of the two rates, with what the filter reaches beyond it."""
    if rate == sampling_rate:
        return tf.identity(samples)
    bank, half = filter_bank(rate, sampling_rate)
    common = math.gcd(rate, sampling_rate)
    period_in, period_out = rate // common, sampling_rate // common
    size = tf.size(samples)
    # As soxr rounds it: half a sample up.
    num_out = (2 * tf.cast(size, tf.int64) * sampling_rate + rate) // (2 * rate)
    num_out = tf.cast(num_out, tf.int32)
    periods = -(-num_out // period_out)
    behind = tf.maximum(0, periods * period_in + half + 1 - size)
    padded = tf.pad(samples, [[half, behind]])
    rows = tf.signal.frame(padded, bank.shape[0], period_in)[:periods]
    return tf.reshape(tf.matmul(rows, tf.constant(bank)), [-1])[:num_out]


@functools.cache
def filter_bank(rate: int, sampling_rate: int) -> tuple[np.ndarray, int]:
    """Weights of a period's outputs, float32 `[period + 2 * half + 1, outputs]`, and how far the filter reaches.

    The filter is a sinc in Kaiser's window (Kaiser and Schafer 1980), which passes what soxr's HQ does; an output
    of a period lies at a fraction of its inputs, and its column is the filter there.
    """
    common = math.gcd(rate, sampling_rate)
    period_in, period_out = rate // common, sampling_rate // common
    lower = min(rate, sampling_rate)
    cutoff = lower / 2 * (1 - _TRANSITION / 2)
    taps = (_ATTENUATION - 7.95) / (2.285 * np.pi * _TRANSITION)  # at the lower rate
    half = math.ceil(taps / 2 * rate / lower)
    beta = 0.1102 * (_ATTENUATION - 8.7)
    inputs = np.arange(-half, period_in + half + 1)[:, np.newaxis]
    distance = inputs - np.arange(period_out) * period_in / period_out  # in samples of the input
    window = np.i0(beta * np.sqrt(np.clip(1 - (distance / half) ** 2, 0, 1))) / np.i0(beta)
    weights = 2 * cutoff / rate * np.sinc(2 * cutoff / rate * distance) * window * (np.abs(distance) <= half)
    return weights.astype(np.float32), half
