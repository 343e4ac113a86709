"""Waveform to log-mel features: pure TensorFlow functions of tensors and a front end.

    samples   ----------------------------------------------
    frame 0   [========]        left_padding samples before the first
    frame 1       [========]
    frame 2           [========]
               <-> hop_length

Every function takes and gives batches. Window, FFT and spectrum are computed in `precision`, the mel bank and
the logarithm in float32: the rounding that shows in quiet bins beside a loud tone comes from the first three.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.mel import hann_window, mel_bank
from melbeam.transforms.precision import Precision

# Full scale of integer samples. int64 is how TFDS stores 16-bit audio.
_FULL_SCALE = {tf.int8: 2.0**7, tf.int16: 2.0**15, tf.int32: 2.0**31, tf.int64: 2.0**15}


def to_waveform(audio: tf.Tensor, precision: Precision) -> tf.Tensor:
    """Samples of any number dtype as floating point in [-1, 1), same shape.

    int8, int16 and int32 are divided by their full scale (int16 by 32768); int64 holds 16-bit samples,
    as in TFDS, and is divided by 32768 too. Floating point is taken as it is.

    Raises:
        TypeError: strings, booleans, complex or unsigned numbers.
    """
    dtype = tf.as_dtype(precision)
    if audio.dtype.is_floating:
        return tf.cast(audio, dtype)
    if audio.dtype in _FULL_SCALE:
        return tf.cast(audio, dtype) / tf.constant(_FULL_SCALE[audio.dtype], dtype)
    raise TypeError(
        f"audio must be floating point, int8, int16, int32 or int64, got {audio.dtype.name}: "
        "scale it to [-1, 1) and pass float32"
    )


def num_frames(num_samples: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """`FrontEnd.num_frames` of an integer tensor of any shape, in its dtype."""
    hop = front_end.hop_length
    if front_end.max_samples is not None:
        num_samples = tf.minimum(num_samples, tf.constant(front_end.max_samples, num_samples.dtype))
    if front_end.padding == "center":
        return (num_samples + front_end.count_partial_hop * (hop - 1)) // hop
    if front_end.padding == "right":
        multiple = front_end.pad_to_multiple_of
        frames = (-(-num_samples // multiple) * multiple - front_end.frame_length - 1) // hop + 1
    else:
        frames = -((front_end.frame_length - front_end.left_padding - num_samples) // hop)
    return tf.maximum(tf.zeros_like(frames), frames)


def pad(audio: tf.Tensor, front_end: FrontEnd, frames: tf.Tensor | int) -> tf.Tensor:
    """`[batch, samples]` to exactly the samples that `frames` frames cover, as the front end pads.

    "center" reflects at both ends of the clip *zero-padded to max_audio_length*; so, behind a shorter clip,
    there are zeros, and the end of the full clip is reflected only into the frames that reach beyond it.
    """
    left = front_end.left_padding
    covered = tf.maximum(0, (frames - 1) * front_end.hop_length + front_end.frame_span)
    if front_end.max_samples is not None:
        audio = audio[:, : front_end.max_samples]
    samples = tf.shape(audio)[1]
    if front_end.padding != "center":
        audio = tf.pad(audio, [[0, 0], [left, tf.maximum(0, covered - left - samples)]])
        return audio[:, :covered]
    whole = tf.maximum(tf.maximum(samples, covered - left), left + 1)
    if front_end.max_samples is not None:
        whole = tf.minimum(whole, front_end.max_samples)
    audio = tf.pad(audio, [[0, 0], [0, whole - samples]])
    # By slices: tf.pad's own REFLECT takes no batch of no clips.
    beyond = tf.maximum(0, covered - left - whole)
    before = tf.reverse(audio[:, 1 : left + 1], [1])
    behind = tf.reverse(audio[:, whole - 1 - beyond : whole - 1], [1])
    return tf.concat([before, audio, behind], axis=1)[:, :covered]


def spectrogram(
    padded: tf.Tensor, front_end: FrontEnd, precision: Precision, *, by_matrix: bool = False
) -> tf.Tensor:
    """`[batch, padded samples]` to the spectrum of each whole frame, `[batch, frames, fft_length // 2 + 1]`.

    `by_matrix` multiplies by the transform's matrix, for TFLite, whose FFT takes powers of two only.
    """
    dtype = tf.as_dtype(precision)
    framed = tf.signal.frame(tf.cast(padded, dtype), front_end.frame_span, front_end.hop_length)
    if front_end.input_scale_factor != 1:
        framed *= tf.constant(front_end.input_scale_factor, dtype)
    framed = _preemphasise(framed, front_end)
    window = tf.constant(hann_window(front_end.frame_length), dtype)
    if by_matrix:
        parts = _dft_by_matrix(framed * window, front_end.fft_length)
    else:
        spectrum = tf.signal.rfft(framed * window, [front_end.fft_length])
        parts = [tf.math.real(spectrum), tf.math.imag(spectrum)]
    power = tf.square(parts[0]) + tf.square(parts[1])
    return power if front_end.spectrum == "power" else tf.sqrt(power)


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


def _preemphasise(framed: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """`[batch, frames, frame_span]` to `[batch, frames, frame_length]`, each frame by itself."""
    coefficient = tf.constant(front_end.preemphasis, framed.dtype)
    if front_end.preemphasis == 0:
        return framed
    differences = framed[..., 1:] - coefficient * framed[..., :-1]
    if not front_end.preemphasis_htk_flavor:
        return differences
    return tf.concat([(1 - coefficient) * framed[..., :1], differences], axis=-1)


def mel_spectrogram(
    padded: tf.Tensor, front_end: FrontEnd, precision: Precision, *, by_matrix: bool = False
) -> tf.Tensor:
    """`[batch, padded samples]` to mel values before the logarithm, float32 `[batch, frames, num_mels]`."""
    spectrum = tf.cast(spectrogram(padded, front_end, precision, by_matrix=by_matrix), tf.float32)
    return tf.matmul(spectrum, tf.constant(mel_bank(front_end), tf.float32))


def compress(mel: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """Mel values `[batch, frames, num_mels]` to log-mel features, same shape.

    "log10_clamp" takes the loudest of all the frames that it is given.
    """
    floor = tf.constant(front_end.mel_floor, mel.dtype)
    if front_end.compression == "log_add":
        return tf.math.log(mel + floor)
    log_mel = tf.math.log(tf.maximum(mel, floor))
    if front_end.compression == "log_max":
        return log_mel
    log_mel *= tf.constant(1 / np.log(10), mel.dtype)
    loudest = tf.reduce_max(log_mel, axis=[1, 2], keepdims=True)
    return (tf.maximum(log_mel, loudest - 8.0) + 4.0) / 4.0


def normalise(log_mel: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """Less the per-bin mean, divided by the per-bin standard deviation, where the front end has them."""
    if front_end.per_bin_mean is not None:
        log_mel -= tf.constant(np.asarray(front_end.per_bin_mean), log_mel.dtype)
    if front_end.per_bin_stddev is not None:
        log_mel /= tf.constant(np.asarray(front_end.per_bin_stddev), log_mel.dtype)
    return log_mel


def log_mel_spectrogram(
    audio: tf.Tensor,
    front_end: FrontEnd,
    precision: Precision,
    frames: tf.Tensor | int,
    *,
    by_matrix: bool = False,
) -> tf.Tensor:
    """Waveform to features: `[batch, samples]` in [-1, 1) to float32 `[batch, frames, num_mels]`."""
    computed = frames
    if front_end.compression == "log10_clamp":
        # The loudest may lie in a frame that only ends inside the clip.
        overhang = -(-front_end.left_padding // front_end.hop_length)
        computed = tf.minimum(frames + overhang, front_end.padded_frames)
    mel = mel_spectrogram(pad(audio, front_end, computed), front_end, precision, by_matrix=by_matrix)
    return normalise(compress(mel, front_end)[:, :frames], front_end)
