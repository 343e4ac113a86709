"""Waveform to log-mel features: pure TensorFlow functions of tensors and a front end.

    samples   ----------------------------------------------
    frame 0   [========]        left_padding samples before the first
    frame 1       [========]
    frame 2           [========]
               <-> hop_length

The padded samples lie in rows of one hop each, `[..., rows, hop_length]`. A frame begins where a row does, and
reaches into the rows behind it: frame `i` is made of the rows from `i` to `i + rows_below(front_end)`.

Window and FFT are computed in `precision`, the mel bank and the logarithm in float32: the rounding that shows in
quiet bins beside a loud tone comes from the first two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from melbeam.transforms.front_end import COUNT_HOPS, FrontEnd
from melbeam.transforms.mel import hann_window, mel_bands
from melbeam.transforms.precision import Precision

# Full scale of integer samples. int64 is how TFDS stores 16-bit audio.
_FULL_SCALE = {tf.int8: 2.0**7, tf.int16: 2.0**15, tf.int32: 2.0**31, tf.int64: 2.0**15}


def full_scale(dtype: Any) -> float:
    """What samples of that dtype, NumPy's or TensorFlow's, are divided by: 1 where it is floating point.

    Raises:
        TypeError: strings, booleans, complex or unsigned numbers.
    """
    found = tf.as_dtype(dtype)
    if not found.is_floating and found not in _FULL_SCALE:
        raise holds_no_samples(found.name)
    return 1.0 if found.is_floating else _FULL_SCALE[found]


def holds_no_samples(dtype: str) -> TypeError:
    """Returns the error to raise for audio of a dtype, of this name, that has no scale."""
    return TypeError(
        f"audio must be floating point, int8, int16, int32 or int64, got {dtype}: scale it to [-1, 1) and pass "
        "float32"
    )


def exact_dtype(dtype: Any, precision: Precision) -> Precision:
    """In which dtype samples come to the kernel: float32 where it has all their digits, else the precision.

    16 bits and half-precision floating point fit into float32, and a full scale is a power of two. What is
    computed in float64 is widened block by block then, in the cache: that spares half of the memory's traffic.
    """
    return precision if tf.as_dtype(dtype) in (tf.float64, tf.int32) else "float32"


def to_waveform(audio: tf.Tensor, precision: Precision) -> tf.Tensor:
    """Samples of any number dtype as floating point in [-1, 1), same shape.

    int8, int16 and int32 are divided by their full scale (int16 by 32768); int64 holds 16-bit samples,
    as in TFDS, and is divided by 32768 too. Floating point is taken as it is.

    Raises:
        TypeError: strings, booleans, complex or unsigned numbers.
    """
    scale = full_scale(audio.dtype)
    waveform = tf.cast(audio, precision)
    return waveform if scale == 1 else waveform / tf.constant(scale, precision)


def num_frames(num_samples: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """`FrontEnd.num_frames` of an integer tensor of any shape, in its dtype."""
    hop, longest = front_end.hop_length, _longest(front_end, num_samples.dtype)
    if longest is not None:
        num_samples = tf.minimum(num_samples, tf.constant(longest, num_samples.dtype))
    begun = -(-num_samples // hop)
    if front_end.padding in COUNT_HOPS:
        if not front_end.count_partial_hop:
            return num_samples // hop
        return begun if longest is None else tf.minimum(begun, tf.constant(longest // hop, begun.dtype))
    if front_end.padding == "right":
        multiple = front_end.pad_to_multiple_of
        frames = (-(-num_samples // multiple) * multiple - front_end.frame_length - 1) // hop + 1
        frames = tf.minimum(begun, frames)
    else:
        frames = -((front_end.frame_length - front_end.left_padding - num_samples) // hop)
    return tf.maximum(tf.zeros_like(frames), frames)


def _longest(front_end: FrontEnd, dtype: tf.DType) -> int | None:
    """Samples of the longest clip; None where any length is taken that a tensor of that dtype can say."""
    longest = front_end.max_samples
    return None if longest is None or longest > dtype.max else longest


def rows_below(front_end: FrontEnd) -> int:
    """Rows of one hop that a frame reaches into, beyond the row with which it begins."""
    return -(-front_end.frame_span // front_end.hop_length) - 1


def pad(audio: tf.Tensor, front_end: FrontEnd, rows: tf.Tensor | int) -> tf.Tensor:
    """`[batch, samples]` to rows of one hop, `[batch, rows, hop_length]`, as the front end pads.

    `frames + rows_below` rows make so many frames; behind them there may be more rows, of silence.
    "center" reflects at both ends of the clip *zero-padded to max_audio_length*; so, behind a shorter clip,
    there are zeros, and the end of the full clip is reflected only into the frames that reach beyond it.
    """
    left, hop, longest = front_end.left_padding, front_end.hop_length, _longest(front_end, tf.int32)
    width = rows * hop
    if longest is not None:
        audio = audio[:, :longest]
    samples = tf.shape(audio)[1]
    if front_end.padding != "center":
        padded = tf.pad(audio, [[0, 0], [left, tf.maximum(0, width - left - samples)]])
    else:
        whole = tf.maximum(tf.maximum(samples, width - left), left + 1)
        if longest is not None:
            whole = tf.minimum(whole, longest)
        audio = tf.pad(audio, [[0, 0], [0, whole - samples]])
        # By slices: tf.pad's own REFLECT takes no batch of no clips. What lies behind the reflection is in no
        # frame.
        beyond = tf.maximum(0, width - left - whole)
        reflected = tf.minimum(beyond, left)
        before = tf.reverse(audio[:, 1 : left + 1], [1])
        behind = tf.reverse(audio[:, whole - 1 - reflected : whole - 1], [1])
        padded = tf.concat([before, audio, tf.pad(behind, [[0, 0], [0, beyond - reflected]])], axis=1)
    return tf.reshape(padded[:, :width], [tf.shape(audio)[0], rows, hop])


def spectrogram(
    rows: tf.Tensor, front_end: FrontEnd, precision: Precision, *, by_matrix: bool = False
) -> tf.Tensor:
    """`[..., rows, hop_length]` to each whole frame's spectrum, float32 `[..., frames, fft_length // 2 + 1]`.

    There are `rows_below` frames less than rows. `by_matrix` multiplies by the transform's matrix, for TFLite,
    whose FFT takes powers of two only.
    """
    pieces = windowed_pieces(tf.cast(rows, precision), front_end)
    if by_matrix:
        return _spectrum(_dft_by_matrix(tf.concat(pieces, axis=-1), front_end.fft_length), front_end)
    # Window and zeros in one concatenation: the padding of tf.signal.rfft costs more than its transform.
    if silence := front_end.fft_length - front_end.frame_length:
        shape = tf.concat([tf.shape(pieces[0])[:-1], [silence]], axis=0)
        pieces = [*pieces, tf.zeros(shape, precision)]
    return spectrum_of_windowed(tf.concat(pieces, axis=-1), front_end)


def spectrum_of_windowed(framed: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """Windowed frames with their zeros, `[..., fft_length]`, to float32 `[..., fft_length // 2 + 1]`."""
    spectrum = tf.signal.rfft(framed, [front_end.fft_length])
    return _spectrum([tf.math.real(spectrum), tf.math.imag(spectrum)], front_end)


def _spectrum(parts: list[tf.Tensor], front_end: FrontEnd) -> tf.Tensor:
    """Power or magnitude of real and imaginary parts, as float32.

    tf.abs of complex numbers guards against an overflow that samples cannot reach, for five times the time. The
    root of a float32 power errs as little as a root that is rounded to float32, and takes a quarter of the time.
    """
    power = tf.cast(tf.square(parts[0]) + tf.square(parts[1]), tf.float32)
    return power if front_end.spectrum == "power" else tf.sqrt(power)


def windowed_pieces(rows: tf.Tensor, front_end: FrontEnd) -> list[tf.Tensor]:
    """The windowed frames in pieces of at most one hop, `[..., frames, up to hop_length]`, to be concatenated."""
    hop, below = front_end.hop_length, rows_below(front_end)
    window = hann_window(front_end.frame_length) * front_end.input_scale_factor
    emphasised = _preemphasised(rows, front_end)
    pieces = []
    for row, start in enumerate(range(0, front_end.frame_length, hop)):
        weights = tf.constant(window[start : start + hop], rows.dtype)
        piece = emphasised[..., row : (row - below) or None, : weights.shape[0]]
        if row == 0 and front_end.preemphasis > 0 and front_end.preemphasis_htk_flavor:
            # A frame's own first sample has none before it, and must not see that of another clip.
            first = rows[..., : -below or None, :1] * tf.constant(1 - front_end.preemphasis, rows.dtype)
            piece = tf.concat([first, piece[..., 1:]], axis=-1)
        pieces.append(piece * weights)
    return pieces


def _preemphasised(rows: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """x[n] - p x[n - 1] of the rows' samples; x[n + 1] - p x[n] without HTK's flavor. Same shape.

    The frames share them: only a frame's first sample, with HTK's flavor, is another one.
    """
    if front_end.preemphasis == 0:
        return rows
    samples = tf.reshape(rows, tf.concat([tf.shape(rows)[:-2], [-1]], axis=0))
    differences = samples[..., 1:] - tf.constant(front_end.preemphasis, rows.dtype) * samples[..., :-1]
    ends = [samples[..., :1], differences] if front_end.preemphasis_htk_flavor else [differences, samples[..., :1]]
    return tf.reshape(tf.concat(ends, axis=-1), tf.shape(rows))


def _dft_by_matrix(framed: tf.Tensor, fft_length: int) -> list[tf.Tensor]:
    """Real and imaginary part of the transform of real frames, up to their sign, as two matrix products.

    Cosines are even and sines odd about the middle, so a frame is folded there first: half the products, and
    half the rounding.
    """
    half = fft_length // 2
    whole = tf.pad(framed, [[0, 0], [0, 0], [0, fft_length - framed.shape[-1]]])
    front = whole[..., : half + 1]
    back = tf.pad(tf.reverse(whole[..., half + 1 :], [-1]), [[0, 0], [0, 0], [1, 1]])
    turns = np.outer(np.arange(half + 1), np.arange(half + 1)) % fft_length
    angles = 2 * np.pi * turns / fft_length
    folded = ((front + back, np.cos(angles)), (front - back, np.sin(angles)))
    return [tf.matmul(part, tf.constant(waves, framed.dtype)) for part, waves in folded]


def mel_spectrogram(
    rows: tf.Tensor, front_end: FrontEnd, precision: Precision, *, by_matrix: bool = False
) -> tf.Tensor:
    """`[..., rows, hop_length]` to mel values before the logarithm, float32 `[..., frames, num_mels]`."""
    return mel_of_spectrum(spectrogram(rows, front_end, precision, by_matrix=by_matrix), front_end)


def mel_of_spectrum(spectrum: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """Spectra, float32 `[..., fft_length // 2 + 1]`, times the mel bank: `[..., num_mels]`."""
    products = [
        tf.matmul(spectrum[..., band.first : band.end], tf.constant(band.weights, tf.float32))
        for band in mel_bands(front_end)
    ]
    return tf.concat(products, axis=-1)


def compress(mel: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """Mel values to their logarithms, same shape: what compresses each frame by itself."""
    floor = tf.constant(front_end.mel_floor, mel.dtype)
    if front_end.compression == "log_add":
        return tf.math.log(mel + floor)
    log_mel = tf.math.log(tf.maximum(mel, floor))
    if front_end.compression == "log10_clamp":
        log_mel *= tf.constant(1 / np.log(10), mel.dtype)
    return log_mel


def clamp(log_mel: tf.Tensor) -> tf.Tensor:
    """The rest of "log10_clamp", `[batch, frames, num_mels]`: raises each clip to its loudest value less 8."""
    loudest = tf.reduce_max(log_mel, axis=[1, 2], keepdims=True)
    return (tf.maximum(log_mel, loudest - 8.0) + 4.0) / 4.0


def normalise(log_mel: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """Less the per-bin mean, divided by the per-bin standard deviation, where the front end has them."""
    if front_end.per_bin_mean is not None:
        log_mel -= tf.constant(np.asarray(front_end.per_bin_mean), log_mel.dtype)
    if front_end.per_bin_stddev is not None:
        log_mel /= tf.constant(np.asarray(front_end.per_bin_stddev), log_mel.dtype)
    return log_mel


def needs_whole_clip(front_end: FrontEnd) -> bool:
    """Whether a frame's value depends on the other frames of its clip (Whisper's clamp)."""
    return front_end.compression == "log10_clamp"


def features_of_frames(
    rows: tf.Tensor, front_end: FrontEnd, precision: Precision, *, by_matrix: bool = False
) -> tf.Tensor:
    """`[..., rows, hop_length]` to float32 `[..., frames, num_mels]`: all that a frame decides by itself.

    These are the features, but for a front end that `needs_whole_clip`: there `finish_clips` is left to do.
    """
    return features_of_spectrum(spectrogram(rows, front_end, precision, by_matrix=by_matrix), front_end)


def features_of_spectrum(spectrum: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """`features_of_frames`, from their spectra on: float32 `[..., fft_length // 2 + 1]` to `[..., num_mels]`."""
    log_mel = compress(mel_of_spectrum(spectrum, front_end), front_end)
    return log_mel if needs_whole_clip(front_end) else normalise(log_mel, front_end)


def num_computed_frames(frames: tf.Tensor | int, front_end: FrontEnd) -> tf.Tensor | int:
    """The number of frames to compute for `frames` features: more where a later one may hold the loudest value."""
    if not needs_whole_clip(front_end):
        return frames
    overhang = -(-front_end.left_padding // front_end.hop_length)
    if isinstance(frames, int):
        return min(frames + overhang, front_end.padded_frames)
    return tf.minimum(frames + overhang, min(front_end.padded_frames, frames.dtype.max))


def finish_clips(computed: tf.Tensor, front_end: FrontEnd, frames: tf.Tensor | int) -> tf.Tensor:
    """What `features_of_frames` left undone, of whole clips: to `[batch, frames, num_mels]`."""
    if not needs_whole_clip(front_end):
        return computed[:, :frames]
    return normalise(clamp(computed)[:, :frames], front_end)


def log_mel_spectrogram(
    audio: tf.Tensor,
    front_end: FrontEnd,
    precision: Precision,
    frames: tf.Tensor | int,
    *,
    by_matrix: bool = False,
) -> tf.Tensor:
    """Waveform to features: `[batch, samples]` in [-1, 1) to float32 `[batch, frames, num_mels]`."""
    rows = pad(audio, front_end, num_computed_frames(frames, front_end) + rows_below(front_end))
    computed = features_of_frames(rows, front_end, precision, by_matrix=by_matrix)
    return finish_clips(computed, front_end, frames)
