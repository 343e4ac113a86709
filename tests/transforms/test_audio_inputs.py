"""What a converter takes as audio, and what it refuses: types, shapes, values, rates and processes."""

import array
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from helpers import encode
from melbeam.transforms import (
    AudioConverter,
    FrontEnd,
    Gemma4AudioConverter,
    WhisperAudioConverter,
    audio_example,
    audio_inputs,
)

CHANNELS = r"looks like \[num_samples, channels\]: average the channels"


@pytest.fixture(scope="module")
def converter():
    return AudioConverter("gemma4", pad_to_max_length=False)


@pytest.fixture(scope="module")
def clip():
    """16-bit samples."""
    return (3000 * np.random.default_rng(3).standard_normal(8000)).astype("int16")


def assert_same(found, expected):
    # Kernels round differently at other lengths, by 2e-7.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["i2", "i4", "i8", "f4", "f8"])
def test_samples_in_either_order_of_bytes(converter, clip, dtype):
    samples = {"i4": clip.astype("int32") << 16, "f4": clip / 2**15, "f8": clip / 2**15}.get(dtype, clip)
    big_endian = samples.astype(f">{dtype}")
    for found in (converter(big_endian), converter([big_endian, big_endian[:500]])[0]):
        assert_same(found, converter(clip))


def test_masked_samples_are_refused(converter, clip):
    samples = np.ma.masked_array(clip / 2**15, mask=False)
    assert_same(converter(samples), converter(clip))
    samples[100:200] = np.ma.masked
    for audio in (samples, samples[None], [samples, clip]):
        with pytest.raises(ValueError, match=r"audio has 100 masked samples: .*audio\.filled\(0\)"):
            converter(audio)


class TestUntypedIntegers:
    @pytest.mark.parametrize(
        "untyped", [list, tuple, np.ndarray.tolist, lambda clip: [int(x) for x in clip], lambda clip: list(clip)]
    )
    def test_are_16_bit(self, converter, clip, untyped):
        assert_same(converter(untyped(clip)), converter(clip))

    def test_are_16_bit_in_a_graph_and_in_a_batch(self, converter, clip):
        samples = clip.tolist()
        assert_same(tf.function(lambda: converter(samples))(), converter(clip))
        assert_same(converter([samples, samples])[1], converter(clip))
        assert_same(converter([samples, samples[:500]])[0], converter(clip))

    def test_typed_ones_keep_their_full_scale(self, converter, clip):
        shifted = clip.astype("int32") << 16
        for typed in (shifted, list(shifted), tf.constant(shifted), array.array("h", clip.tolist())):
            assert_same(converter(typed), converter(clip))

    def test_beside_floating_point_are_floating_point(self, converter):
        mixed = converter([[0, 1] * 400, [0.5, -0.25] * 300])
        assert_same(mixed[0], converter(np.array([0.0, 1.0] * 400)))

    @pytest.mark.parametrize(
        "samples", [[40000, 1], [[0, 0], [1, -40000]], np.array([1 << 20]), np.array([1 << 20], ">i8")]
    )
    def test_beyond_16_bits_are_refused(self, converter, samples):
        with pytest.raises(ValueError, match=r"16-bit samples, -32768 to 32767; got .*40000|to 1048576"):
            converter(samples)


class TestShapes:
    @pytest.mark.parametrize("channels", [1, 2, 6])
    @pytest.mark.parametrize("name", ["gemma4", "whisper"])
    def test_samples_by_channels_are_no_batch(self, name, channels):
        stereo = np.zeros((8000, channels), "float32")
        converter = AudioConverter(name, pad_to_max_length=False)
        for audio in (stereo, tf.constant(stereo), stereo[:500].tolist(), list(stereo[:500])):
            with pytest.raises(ValueError, match=CHANNELS):
                converter(audio)

    @pytest.mark.parametrize("spec", [[8000, 2], [None, 2], [8000, None], [None, None]])
    def test_samples_by_channels_in_a_graph(self, converter, spec):
        function = tf.function(lambda audio: converter(audio))
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=CHANNELS):
            function.get_concrete_function(tf.TensorSpec(spec, "float32"))(tf.zeros((8000, 2)))

    def test_few_short_clips_and_those_with_lengths_are_a_batch(self, converter):
        assert converter(np.zeros((2, 100))).shape == (2, 0, 128)
        assert converter(np.zeros((9, 4)), lengths=[4] * 9).shape == (9, 0, 128)
        assert converter(np.zeros((400, 400))).shape == (400, 2, 128)

    @pytest.mark.parametrize("padded", [False, True])
    @pytest.mark.parametrize("spec", [[100], [None], [0], [2, 100], [None, 100], [2, None], [None, None]])
    def test_a_clip_below_one_frame_has_the_same_shape_everywhere(self, padded, spec):
        converter = AudioConverter(FrontEnd.load("gemma4").replace(max_audio_length=0.1), pad_to_max_length=padded)
        audio = np.zeros(
            [100 if size is None else size for size in spec] if len(spec) == 1 else (2, 100), "float32"
        )
        expected = (*audio.shape[:-1], 10 if padded else 0, 128)
        assert converter(audio).shape == expected
        function = tf.function(converter, input_signature=[tf.TensorSpec(spec, "float32")])
        assert function(audio).shape == expected

    def test_a_clip_below_one_frame_in_a_dataset(self, converter):
        dataset = tf.data.Dataset.from_tensors(np.zeros(100, "float32")).map(converter)
        assert next(iter(dataset)).shape == (0, 128)

    @pytest.mark.parametrize("audio", [[1, [2]], [[[1]], [[2, 3]]], [np.zeros(3), 4.0], [np.zeros((2, 2))] * 2])
    def test_lists_that_are_neither_clip_nor_batch(self, converter, audio):
        with pytest.raises(ValueError, match=r"audio must be \[num_samples\] or \[batch, num_samples\]"):
            converter(audio)

    @pytest.mark.parametrize("audio", [b"RIFF", "clip.wav", ["a.wav", "b.wav"], np.array([None]), [2**70]])
    def test_what_holds_no_samples(self, converter, audio):
        with pytest.raises((TypeError, ValueError), match="audio must be"):
            converter(audio)

    @pytest.mark.parametrize(
        ("audio", "message"),
        [
            ("clip.wav", r"got the path 'clip.wav': features_of_file\(path\) decodes a file"),
            (Path("clip.wav"), r"got the path 'clip.wav': features_of_file"),
            (b"RIFF", "got 4 bytes: features_of_file"),
            ({"audio": [0.5], "id": "a"}, r"got a dict of audio, id: pass its samples, as record\['audio'\]"),
            (None, "got None"),
        ],
    )
    def test_what_samples_are_in_is_told(self, converter, audio, message):
        for given in (audio, [audio, audio]):
            with pytest.raises(TypeError, match=f"audio must be samples, .*{message}"):
                converter(given)

    def test_a_placeholder_of_keras_wants_a_layer(self, converter):
        keras = pytest.importorskip("keras")
        with pytest.raises(TypeError, match=r"takes layers: those of melbeam\.transforms\.keras_layers"):
            converter(keras.Input((None,)))

    def test_a_rank_that_the_graph_does_not_know(self, converter):
        with pytest.raises(ValueError, match=r"say it, tf.ensure_shape\(audio, \[None\]\)"):
            tf.function(converter, input_signature=[tf.TensorSpec(None, "float32")])(np.zeros(400, "float32"))


class TestUnequalClips:
    @pytest.fixture(scope="class")
    def clips(self, clip):
        return [clip, clip[:3210], clip[:161], clip[:100]]

    def check(self, converter, clips, found):
        assert found.shape == (len(clips), converter.num_frames(len(clips[0])), 128)
        for row, samples in zip(found, clips, strict=True):
            alone = converter(samples)
            assert_same(row[: len(alone)], alone)

    def test_as_lists_of_any_kind(self, converter, clips):
        objects = np.empty(len(clips), object)
        objects[:] = clips
        kinds = [clips[0], clips[1].tolist(), tf.constant(clips[2]), clips[3].astype("float32") / 32768]
        for audio in (clips, tuple(clips), objects, [c.tolist() for c in clips], kinds):
            self.check(converter, clips, converter(audio))

    def test_as_a_ragged_batch_eagerly_and_in_graphs(self, converter, clips):
        ragged = tf.ragged.constant([clip.tolist() for clip in clips], dtype=tf.int16)
        self.check(converter, clips, converter(ragged))
        self.check(converter, clips, tf.function(converter)(ragged))

    def test_after_ragged_batch(self, converter, clips):
        spec = tf.TensorSpec([None], tf.int16)
        dataset = tf.data.Dataset.from_generator(lambda: clips, output_signature=spec)
        dataset = dataset.ragged_batch(len(clips)).map(converter)
        assert dataset.element_spec.shape.as_list() == [None, None, 128]
        self.check(converter, clips, next(iter(dataset)))

    def test_as_a_list_of_tensors_in_a_graph(self, converter, clips):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.int16)] * 2)
        def features(first, second):
            return converter([first, second])

        self.check(converter, clips[:2], features(*clips[:2]))

    def test_have_lengths_of_their_own(self, converter, clips):
        ragged = tf.ragged.constant([[1.0], [2.0, 3.0]])
        for audio in (ragged, clips):
            with pytest.raises(ValueError, match=r"lengths of (its|their) own"):
                converter(audio, lengths=[1] * 4)
        with pytest.raises(ValueError, match="ragged audio of shape"):
            converter(tf.ragged.constant([[[1.0]], [[2.0], [3.0]]]))

    def test_a_list_of_equal_clips_takes_lengths(self, converter, clip):
        found = converter([clip, clip], lengths=[8000, 3210])
        assert_same(found[1, :19], converter(clip[:3210])[:19])


class TestValues:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
    def test_what_is_not_finite_is_refused_with_its_place(self, converter, value, dtype):
        samples = np.zeros((2, 500))
        samples[1, 77] = value
        batch = tf.cast(samples, dtype)
        with pytest.raises(ValueError, match=f"sample 77 of row 1 is {value}"):
            converter(batch)
        with pytest.raises(ValueError, match=f"sample 77 is {value}"):
            converter(batch[1].numpy())
        with pytest.raises(ValueError, match=f"sample 77 of row 1 is {value}"):
            converter(batch, lengths=[500, 78])
        with pytest.raises(ValueError, match=f"sample 77 of row 1 is {value}"):
            converter([batch[0].numpy()[:400], batch[1]])

    def test_nor_in_a_long_clip_or_a_stream(self):
        converter = AudioConverter(FrontEnd.load("gemma4").replace(max_audio_length=None), pad_to_max_length=False)
        samples = np.zeros(2_200_000, "float32")
        samples[2_100_000] = np.nan
        with pytest.raises(ValueError, match="sample 2100000 is nan"):
            converter(samples)
        stream = converter.stream()
        stream.push(samples[:2_000_000])
        with pytest.raises(ValueError, match="sample 2100000 is nan"):
            stream.push(samples[2_000_000:])
        with pytest.raises(ValueError, match="16-bit samples"):
            converter.stream().push([1 << 20])

    def test_behind_a_rows_length_nothing_counts(self, converter, clip):
        batch = np.stack([clip / 32768.0] * 2)
        batch[1, 3210:] = np.nan
        assert_same(converter(batch, lengths=[8000, 3210])[1, :19], converter(clip[:3210])[:19])

    def test_in_a_graph_they_come_out_as_nan(self, converter):
        samples = np.zeros(2000, "float32")
        samples[1000] = np.nan
        found = tf.function(converter)(samples).numpy()
        assert np.isnan(found).any()
        assert np.isfinite(found[0]).all()

    def test_a_peak_that_no_recording_has_is_said_once(self, converter, clip, monkeypatch):
        monkeypatch.setattr(audio_inputs, "_has_warned_of_peak", False)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            converter(np.full(500, 15.9))
        with pytest.warns(UserWarning, match=r"expected in \[-1, 1\), and this peaks at 1\d{4}"):
            converter(clip.astype("float32"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            converter(clip.astype("float32"))
            converter.stream().push(clip.astype("float32"))


class TestSamplingRate:
    @pytest.mark.parametrize(
        "rate", [16000, 16000.0, np.int32(16000), tf.constant(16000, tf.int64), [16000, 16000]]
    )
    def test_the_front_ends_own(self, converter, clip, rate):
        assert converter(clip, sampling_rate=rate).shape == (49, 128)

    @pytest.mark.parametrize("rate", [44100, np.int64(44100), tf.constant(44100), "16000", [16000, 44100]])
    def test_another_is_refused(self, converter, clip, rate):
        with pytest.raises(ValueError, match=r"must be at the front end's 16000 Hz, got .*: resample it first"):
            converter(clip, sampling_rate=rate)

    def test_one_that_a_graph_does_not_know_yet(self, converter, clip):
        signature = [tf.TensorSpec([None], tf.int16), tf.TensorSpec([], tf.int64)]
        function = tf.function(lambda audio, rate: converter(audio, sampling_rate=rate), input_signature=signature)
        assert function(clip, 16000).shape == (49, 128)
        with pytest.raises(tf.errors.InvalidArgumentError, match="16000 Hz: resample it first"):
            function(clip, 8000)


class TestEmptyFilters:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: WhisperAudioConverter(num_mels=256), r"45 of the 256 mel filters of .*'whisper-changed'"),
            (lambda: Gemma4AudioConverter(num_mels=256), "43 of the 256 mel filters"),
            (lambda: WhisperAudioConverter(sampling_rate=8000), "17 of the 80 mel filters .* 0 to 4000 Hz"),
        ],
    )
    def test_are_warned_of(self, make, message):
        with pytest.warns(UserWarning, match=message):
            make()

    def test_are_no_surprise_in_the_banks_that_are_shipped(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for name in FrontEnd.shipped():
                AudioConverter(name)
            AudioConverter(FrontEnd.load("gemma4").replace(mel_floor=1e-5, per_bin_mean=[0.5] * 128))

    @pytest.mark.filterwarnings("ignore:.*mel filters")
    def test_whisper_at_8_khz_hears_up_to_4_khz(self):
        features = WhisperAudioConverter(sampling_rate=8000)(np.random.default_rng(0).normal(0, 0.1, 8000)).numpy()
        assert features.shape == (1500, 80)
        assert np.ptp(features[10:90, -17:]) == 0  # empty filters: the floor, raised to the loudest less 8
        assert np.ptp(features[10:90, :-17]) > 0.5


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="there is no fork on this system")
class TestFork:
    CODE = """
import os, sys, numpy as np
from melbeam.transforms import AudioConverter, FeatureStream
from melbeam.transforms.packing import PackedFeatures
clip = np.zeros(2000, "float32")
converter = AudioConverter("gemma4", pad_to_max_length=False)
{before}
child = os.fork()
if not child:
    try:
        {after}
        os._exit(0)
    except RuntimeError as error:
        print(error, flush=True)
        os._exit(7)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

    @pytest.mark.parametrize(
        "after",
        [
            "converter(clip)",
            pytest.param("AudioConverter('whisper')(clip)", marks=pytest.mark.slow),
            pytest.param("converter.stream().push(clip)", marks=pytest.mark.slow),
            pytest.param("PackedFeatures(converter.front_end)([clip])", marks=pytest.mark.slow),
        ],
    )
    def test_after_a_call_is_told_at_the_childs_first(self, after):
        code = self.CODE.format(before="converter(clip)", after=after)
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
        )
        assert ran.returncode == 7, ran.stderr
        assert 'multiprocessing.get_context("spawn")' in ran.stdout

    @pytest.mark.slow
    def test_before_the_first_call_works(self):
        code = self.CODE.format(before="", after="assert converter(clip).shape == (12, 128)")
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


# -------------------------------------------------------------------------------- arrays of other packages


class Elsewhere:
    """An array whose package gives NumPy none, as PyTorch's of a GPU, or of a tensor that needs a gradient."""

    shape = (16000,)

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on it. Use tensor.detach() instead.")


@pytest.mark.parametrize("audio", [Elsewhere(), [Elsewhere(), np.zeros(400)]])
def test_an_array_that_cannot_be_had_is_told_in_its_packages_words(audio):
    converter = AudioConverter("gemma4", pad_to_max_length=False)
    told = r"audio must be samples, got a \w+ Elsewhere, which gives none here: .* Use tensor.detach\(\) instead"
    with pytest.raises(TypeError, match=told):
        converter(audio)
    if not isinstance(audio, list):
        for take in (converter.stream().push, audio_example):
            with pytest.raises(TypeError, match=told):
                take(audio)


@pytest.mark.parametrize("columns", [{1: np.zeros(400)}.values(), np.array(None, object), {"a", "b"}])
def test_what_is_no_list_of_clips_is_not_said_to_be_of_a_wrong_dtype(columns):
    told = rf"or a list of clips, got a {type(columns).__name__} of something else: list\(audio\)"
    with pytest.raises(TypeError, match=told):
        AudioConverter("gemma4")(columns)


def test_a_sparse_tensor_is_told_from_samples():
    with pytest.raises(TypeError, match=r"a sparse tensor: tf.sparse.to_dense\(audio\)"):
        AudioConverter("gemma4")(tf.sparse.from_dense(np.eye(4, 400, dtype=np.float32)))


@pytest.mark.parametrize("dtype", [np.int16, np.int64])
def test_the_bytes_of_a_file_are_no_samples(converter, dtype):
    wav = np.frombuffer(encode(np.zeros(16000, np.float32), 16000, "WAV"), "<i2").astype(dtype)
    with pytest.raises(ValueError, match=r"audio is the bytes of a file \(WAV\) in place of its samples"):
        converter(wav)
