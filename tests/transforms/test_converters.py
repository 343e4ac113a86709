"""The calling convention of the converters."""

import json
import pickle
import types
from copy import deepcopy as copy_of

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from melbeam.transforms import (
    AudioConverter,
    FrontEnd,
    Gemma3nAudioConverter,
    Gemma4AudioConverter,
    WhisperAudioConverter,
)
from melbeam.transforms.records.decoding import decode_audio


@pytest.fixture(scope="module")
def converter():
    return AudioConverter("gemma4", pad_to_max_length=False)


@pytest.fixture(scope="module")
def clip():
    return (0.1 * np.random.default_rng(3).standard_normal(8000)).astype("float32")


@pytest.mark.parametrize(
    ("dtype", "scale"), [("int8", 2**7), ("int16", 2**15), ("int32", 2**31), ("int64", 2**15)]
)
def test_integers_are_scaled_by_their_full_scale(converter, clip, dtype, scale):
    whole = np.clip(np.round(clip.astype("float64") * scale), -scale, scale - 1)
    np.testing.assert_allclose(converter(whole.astype(dtype)), converter(whole / scale), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_floating_point_is_taken_as_it_is(converter, clip, dtype):
    samples = tf.cast(clip, dtype)
    np.testing.assert_array_equal(converter(samples), converter(tf.cast(samples, "float64")))


@pytest.mark.parametrize(
    "audio",
    [
        np.array(["a"]),
        np.array([True]),
        np.zeros(500, "uint16"),
        np.zeros(500, complex),
        np.zeros(500, np.longdouble),
    ],
)
def test_what_holds_no_samples_is_refused(converter, audio):
    with pytest.raises(TypeError, match="audio must be floating point, int8"):
        converter(audio)


@pytest.mark.parametrize("shape", [(), (1, 2, 3)])
def test_other_ranks_are_refused(converter, shape):
    with pytest.raises(ValueError, match=r"\[num_samples\] or \[batch, num_samples\]"):
        converter(np.zeros(shape, "float32"))


@pytest.mark.parametrize("name", ["gemma4", "gemma4_documented"])
def test_rows_of_a_batch_equal_their_clips_alone(name, clip):
    converter = AudioConverter(name, pad_to_max_length=False)
    lengths = np.array([8000, 3210, 161, 100])
    batch = np.stack([clip] * 4)  # what lies behind a row's length is not silence: it must not show
    found = converter(batch, lengths=lengths)
    mask = converter.mask(lengths, found.shape[1]).numpy()
    for row, valid, n in zip(found.numpy(), mask, lengths, strict=True):
        assert valid.sum() == converter.num_frames(int(n))
        np.testing.assert_allclose(row[valid], converter(clip[:n]), rtol=0, atol=1e-6)


def test_lengths_that_do_not_fit_are_refused(converter, clip):
    with pytest.raises(ValueError, match="each of 2 rows, got 3"):
        converter(np.stack([clip, clip]), lengths=[1, 2, 3])
    with pytest.raises(ValueError, match="lengths belong to a batch"):
        converter(clip, lengths=[8000])


@pytest.mark.parametrize("spec", [[None], [8000], [None, None], [2, 8000]])
def test_static_and_dynamic_shapes_in_a_graph(converter, clip, spec):
    audio = clip if len(spec) == 1 else np.stack([clip, clip])
    function = tf.function(converter, input_signature=[tf.TensorSpec(spec, "float32")])
    static = function.get_concrete_function().output_shapes
    assert static[-1] == 128
    assert static[-2] == (49 if spec[-1] else None)
    np.testing.assert_allclose(function(audio), converter(audio), rtol=0, atol=1e-6)


def test_lengths_in_a_graph(converter, clip):
    batch, lengths = np.stack([clip, clip]), np.array([3210, 8000])
    signature = [tf.TensorSpec([None, None], "float32"), tf.TensorSpec([None], "int64")]
    function = tf.function(lambda audio, valid: converter(audio, lengths=valid), input_signature=signature)
    found = function(batch, lengths).numpy()
    np.testing.assert_allclose(found, converter(batch, lengths=lengths), rtol=0, atol=1e-6)
    assert np.abs(found - function(batch, np.array([8000, 8000])).numpy()).max() > 1
    for number in (1, 3):
        with pytest.raises(tf.errors.InvalidArgumentError, match="lengths must have a value for each row"):
            function(batch, np.full(number, 3210))


@pytest.mark.parametrize("name", ["gemma4", "gemma4_documented", "gemma3n"])
@pytest.mark.parametrize("seconds", [1e6, 1e12])
def test_a_limit_beyond_32_bits_is_none_in_a_graph(name, seconds, clip):
    """A million seconds, where somebody means any length, gave no frames."""
    front_end = FrontEnd.load(name).replace(max_audio_length=seconds)
    converter = AudioConverter(front_end, pad_to_max_length=False)
    features = tf.function(converter, input_signature=[tf.TensorSpec([None], tf.float32)])(clip)
    np.testing.assert_allclose(features, converter(clip), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(converter.mask([8000], 60).numpy().sum(), front_end.num_frames(8000))


def test_mask_counts_each_rows_valid_frames(converter):
    found = converter.mask([0, 160, 161, 640, 16000, 480000, 960000], 3000)
    assert found.dtype == tf.bool
    assert found.shape == (7, 3000)
    assert found.numpy().sum(axis=1).tolist() == [0, 0, 1, 3, 99, 2999, 2999]
    assert found.numpy()[3, :4].tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("whisper", {"hop_length": 333, "max_audio_length": 2}),
        ("gemma3n", {"frame_length": 48, "hop_length": 32, "fft_length": 64, "max_audio_length": 0.1}),
    ],
)
def test_frames_are_counted_alike_by_a_mask(name, changes):
    front_end = FrontEnd.load(name).replace(num_mels=8, **changes)
    lengths = range(front_end.max_samples + 3)
    mask = AudioConverter(front_end).mask(lengths, front_end.padded_frames + 1).numpy()
    assert mask.sum(axis=1).tolist() == [front_end.num_frames(n) for n in lengths]


@pytest.mark.parametrize(
    ("lengths", "num_frames", "message"),
    [
        ([16000.7], 99, "lengths must be integers"),
        ([None, 3], 99, r"lengths must be integers \[batch\], got \[None, 3\]"),
        (["a"], 99, "lengths must be integers"),
        ([-5], 99, "lengths must be at least 0, got -5"),
        ([16000], -1, "num_frames must be at least 0, got -1"),
        ([16000], 99.0, "num_frames must be a whole number"),
    ],
)
def test_a_mask_of_no_lengths_is_refused(converter, lengths, num_frames, message):
    with pytest.raises(ValueError, match=message):
        converter.mask(lengths, num_frames)


def test_a_mask_of_a_very_long_clip_or_of_none(converter):
    assert converter.mask([2**40], 3000).numpy().sum() == 2999
    assert converter.mask([], 99).shape == (0, 99)


@pytest.mark.parametrize(("rate", "error"), [(16000.4, tf.errors.InvalidArgumentError), (b"16000", ValueError)])
def test_a_rate_that_a_graph_sees_late(converter, clip, rate, error):
    features = tf.function(lambda rate: converter(clip, sampling_rate=rate))
    np.testing.assert_array_equal(features(tf.constant(16000.0)), features(tf.constant(16000)))
    with pytest.raises(error, match=r"audio must be at|sampling_rate must be a number"):
        features(tf.constant(rate))


def test_a_dataset_of_unequal_clips(converter, clip):
    clips = [clip, clip[:500]]
    spec = tf.TensorSpec([None], "float32")
    dataset = tf.data.Dataset.from_generator(lambda: clips, output_signature=spec).map(converter)
    assert dataset.element_spec.shape.as_list() == [None, 128]
    for found, samples in zip(dataset, clips, strict=True):
        np.testing.assert_allclose(found, converter(samples), rtol=0, atol=1e-6)


def test_a_front_end_and_its_name_are_the_same_converter():
    by_value = AudioConverter(FrontEnd.load("gemma4"), pad_to_max_length=True, precision="float64")
    assert by_value.get_config() == AudioConverter("gemma4").get_config()


def test_padded_frames_are_static_in_a_dataset(clip):
    padded = Gemma4AudioConverter()
    dataset = tf.data.Dataset.from_generator(
        lambda: [clip, clip[:500]], output_signature=tf.TensorSpec([None], "float32")
    ).map(padded, num_parallel_calls=2)
    assert dataset.element_spec.shape == (3000, 128)
    np.testing.assert_allclose(list(dataset)[1], padded(clip[:500]), rtol=0, atol=1e-6)


def test_normalisation_is_the_last_step(clip):
    front_end = FrontEnd.load("gemma4")
    mean, stddev = np.linspace(-3, 3, 128), np.linspace(0.5, 2, 128)
    plain = AudioConverter(front_end, pad_to_max_length=False)(clip).numpy()
    normalised = AudioConverter(
        front_end.replace(per_bin_mean=list(mean), per_bin_stddev=list(stddev)), pad_to_max_length=False
    )(clip)
    np.testing.assert_allclose(normalised, (plain - mean) / stddev, rtol=0, atol=1e-5)


def test_keras_arguments_are_taken(clip):
    converter = Gemma4AudioConverter(name="ears", dtype="bfloat16", trainable=False)
    assert (converter.name, converter.dtype, converter(clip).dtype) == ("ears", "bfloat16", tf.bfloat16)


def test_config_and_pickle_give_the_same_features(clip):
    original = Gemma4AudioConverter(
        num_mels=64, per_bin_mean=[0.5] * 64, pad_to_max_length=False, precision="float32", name="ears"
    )
    for copy in (Gemma4AudioConverter.from_config(original.get_config()), pickle.loads(pickle.dumps(original))):
        assert isinstance(copy, Gemma4AudioConverter)
        assert copy.get_config() == original.get_config()
        np.testing.assert_array_equal(copy(clip), original(clip))


def test_a_converter_pickles_after_a_call_on_a_gpu(converter, clip, monkeypatch):
    monkeypatch.setattr("melbeam.transforms.block_kernel.on_gpu", lambda: True)  # its graph runs on a CPU too
    original = AudioConverter(converter.front_end, pad_to_max_length=False)
    features = original(clip)
    assert "_on_gpu" in vars(original)
    for copy in (pickle.loads(pickle.dumps(original)), copy_of(original)):
        np.testing.assert_array_equal(copy(clip), features)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("num_mels", 0),
        ("num_fft_bins", 0),
        ("num_fft_bins", 401),
        ("stride", -1),
        ("sampling_rate", 0),
        ("max_audio_length", 0),
        ("min_frequency", -1.0),
        ("max_frequency", 8001.0),
        ("mel_floor", 0.0),
        ("per_bin_mean", [0.0]),
        ("per_bin_stddev", [0.0] * 128),
        ("precision", "float16"),
        ("dtype", "int32"),
        ("dtype", "banana"),
    ],
)
def test_a_wrong_argument_is_named_with_its_value(argument, value):
    with pytest.raises(ValueError, match=r"must") as error:
        Gemma4AudioConverter(**{argument: value})
    names = {"num_fft_bins": ("num_fft_bins", "fft_length")}.get(argument, (argument,))
    assert any(name in str(error.value) for name in names)
    shown = {"per_bin_mean": "got 1", "per_bin_stddev": "got 0.0"}.get(argument, f"got {value!r}")
    assert shown in str(error.value)


# What keras-hub's classes write, of 0.27.1 and of 0.32.
KERAS_POLICY = {
    "module": "keras",
    "class_name": "DTypePolicy",
    "config": {"name": "float32"},
    "registered_name": None,
}
KERAS_027 = {
    "name": "gemma4_audio_converter",
    "trainable": True,
    "dtype": KERAS_POLICY,
    "num_mels": 128,
    "num_fft_bins": 400,
    "stride": 160,
    "sampling_rate": 16000,
    "max_audio_length": 30,
    "min_frequency": 0.0,
    "max_frequency": 8000.0,
    "mel_floor": 1e-05,
    "per_bin_mean": None,
    "per_bin_stddev": None,
}
KERAS_032 = {**KERAS_027, "num_fft_bins": 512, "mel_floor": 1e-3, "frame_length": 320}


class TestInPlaceOfKerasHubs:
    def test_attributes_are_those_of_the_page(self):
        converter = Gemma4AudioConverter(per_bin_mean=range(128))
        expected = {key: value for key, value in KERAS_027.items() if key not in ("name", "trainable", "dtype")}
        expected |= {"per_bin_mean": list(range(128)), "num_samples": 480000, "frame_length": 400}
        assert {name: getattr(converter, name) for name in expected} == expected
        assert all(
            type(getattr(converter, name)) is int for name in ("num_mels", "max_audio_length", "num_samples")
        )
        for name in (*expected, "front_end", "precision", "dtype", "pad_to_max_length"):
            with pytest.raises(AttributeError):
                setattr(converter, name, 1)

    def test_those_of_gemma3n(self):
        converter = Gemma3nAudioConverter(frame_length_ms=16.0)
        names = ("feature_size", "frame_length_ms", "hop_length_ms", "fft_overdrive", "dither", "padding_side")
        assert [getattr(converter, name) for name in names] == [128, 16.0, 10.0, True, 0.0, "right"]
        assert converter.return_attention_mask is True
        with pytest.raises(AttributeError, match="has no attribute 'feature_length'"):
            converter.feature_length  # noqa: B018

    @pytest.mark.parametrize(
        ("converter", "shape"),
        [
            (lambda: Gemma4AudioConverter(), (3000, 128)),
            (lambda: Gemma4AudioConverter(pad_to_max_length=False), (None, 128)),
            (lambda: WhisperAudioConverter(max_audio_length=5), (500, 80)),
            (lambda: Gemma3nAudioConverter(), (2997, 128)),
        ],
    )
    def test_audio_shape(self, converter, shape):
        assert converter().audio_shape() == shape
        assert converter()(np.zeros(1000)).shape[1:] == shape[1:]

    @pytest.mark.parametrize(
        ("config", "name"), [(KERAS_027, "gemma4_documented"), (KERAS_032, "gemma4"), ({}, "gemma4_documented")]
    )
    def test_its_configuration_is_taken(self, config, name):
        converter = Gemma4AudioConverter.from_config(config)
        assert converter.front_end.fingerprint == FrontEnd.load(name).fingerprint
        written = converter.get_config()
        assert {key: written[key] for key in config if key not in ("dtype", "trainable")}.items() <= config.items()
        assert ("frame_length" in written) == ("frame_length" in config)
        json.dumps(written)

    def test_frame_length_means_the_later_mathematics(self):
        checkpoint = Gemma4AudioConverter(frame_length=320, mel_floor=1e-3)
        assert checkpoint.front_end.fingerprint == FrontEnd.load("gemma4").fingerprint
        assert (checkpoint.num_fft_bins, checkpoint.frame_length) == (512, 320)
        page = Gemma4AudioConverter(num_fft_bins=512)
        assert (page.front_end.padding, page.frame_length, page.num_fft_bins) == ("center", 512, 512)
        explicit = Gemma4AudioConverter(num_fft_bins=400, frame_length=320)
        assert (explicit.front_end.padding, explicit.num_fft_bins) == ("semicausal", 400)
        null = Gemma4AudioConverter.from_config({**KERAS_032, "frame_length": None})
        assert (null.front_end.padding, null.frame_length) == ("semicausal", 512)
        with pytest.raises(ValueError, match="frame_length must be a whole number of at least 1, got 0"):
            Gemma4AudioConverter(frame_length=0)

    def test_configurations_of_the_others(self):
        whisper = WhisperAudioConverter.from_config({"num_mels": 128, "max_audio_length": 10, "dtype": "bfloat16"})
        assert (whisper.num_mels, whisper.num_samples, whisper.dtype) == (128, 160000, "bfloat16")
        config = {**Gemma3nAudioConverter().get_config(), "return_attention_mask": False, "padding_value": 0}
        for key in ("front_end", "pad_to_max_length", "precision"):
            del config[key]
        converter = Gemma3nAudioConverter.from_config({**config, "seed": None})
        assert converter.front_end == FrontEnd.load("gemma3n")
        assert converter.get_config()["return_attention_mask"] is False
        with pytest.raises(ValueError, match=r"has no front_end, only num_mels: .* Gemma4AudioConverter"):
            AudioConverter.from_config({"num_mels": 128})

    def test_a_configuration_that_contradicts_itself(self):
        config = Gemma4AudioConverter().get_config()
        with pytest.raises(ValueError, match="says num_mels = 64 and, in its front_end, 128: change"):
            Gemma4AudioConverter.from_config({**config, "num_mels": 64})
        with pytest.raises(ValueError, match="says frame_length = 320 and"):
            Gemma4AudioConverter.from_config({**config, "frame_length": 320})

    @pytest.mark.parametrize(
        ("dtype", "name"),
        [
            (None, "float32"),
            ("float32", "float32"),
            ("mixed_bfloat16", "bfloat16"),
            (np.float16, "float16"),
            (np.dtype("float32"), "float32"),
            (tf.bfloat16, "bfloat16"),
            (KERAS_POLICY, "float32"),
            (types.SimpleNamespace(compute_dtype="bfloat16", name="mixed_bfloat16"), "bfloat16"),
        ],
    )
    def test_dtypes_and_policies(self, clip, dtype, name):
        converter = AudioConverter("gemma4", pad_to_max_length=False, dtype=dtype)
        assert converter.dtype == name
        assert converter(clip[:1000]).dtype == name

    @pytest.mark.parametrize("dtype", ["float64", np.int16, "mixed_float32", {"config": {}}, object(), 32])
    def test_other_dtypes_are_refused(self, dtype):
        with pytest.raises(ValueError, match="dtype must be one of"):
            AudioConverter("gemma4", dtype=dtype)

    def test_a_real_policy_of_keras(self):
        keras = pytest.importorskip("keras")
        policy = keras.DTypePolicy("mixed_bfloat16")
        for dtype in (policy, keras.saving.serialize_keras_object(policy)):
            assert Gemma4AudioConverter(dtype=dtype).dtype == "bfloat16"

    def test_keras_finds_the_classes(self):
        keras = pytest.importorskip("keras")
        for converter in (AudioConverter("gemma4"), Gemma4AudioConverter(), WhisperAudioConverter()):
            copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(converter))
            assert type(copy) is type(converter)
            assert copy.get_config() == converter.get_config()

    @pytest.mark.parametrize("integer", [np.int32, np.int64, np.uint16])
    def test_numpy_integers(self, integer):
        numbers = {
            "num_mels": 64,
            "num_fft_bins": 512,
            "stride": 80,
            "sampling_rate": 16000,
            "max_audio_length": 5,
        }
        for cls in (Gemma4AudioConverter, WhisperAudioConverter):
            converter = cls(**{name: integer(value) for name, value in numbers.items()})
            assert converter.front_end == cls(**numbers).front_end
            json.dumps(converter.get_config())
        assert Gemma4AudioConverter(frame_length=integer(320)).frame_length == 320
        gemma3n = Gemma3nAudioConverter(feature_size=integer(64), frame_length_ms=integer(16))
        assert (gemma3n.feature_size, gemma3n.frame_length) == (64, 256)

    def test_numpys_booleans_are_arguments(self):
        flags = ("fft_overdrive", "return_attention_mask", "preemphasis_htk_flavor")
        given = Gemma3nAudioConverter(**dict.fromkeys(flags, np.False_))
        assert json.dumps(given.get_config()) == json.dumps(
            Gemma3nAudioConverter(**dict.fromkeys(flags, False)).get_config()
        )

    @pytest.mark.parametrize("cls", [Gemma4AudioConverter, Gemma3nAudioConverter, WhisperAudioConverter])
    def test_padding_is_silence_behind(self, cls):
        assert cls(padding_side="right", padding_value=0).get_config() == cls().get_config()
        with pytest.raises(ValueError, match="padding_side must be 'right', got 'left'"):
            cls(padding_side="left")
        with pytest.raises(ValueError, match=r"padding_value must be 0\.0, got 0\.5"):
            cls(padding_value=0.5)

    @pytest.mark.parametrize(
        ("argument", "value"),
        [("pad_to_max_length", None), ("pad_to_max_length", "yes"), ("trainable", 0), ("name", 7)],
    )
    def test_values_that_mean_nothing(self, argument, value):
        with pytest.raises(ValueError, match=f"{argument} must be .*, got {value!r}"):
            AudioConverter("gemma4", **{argument: value})

    def test_a_front_end_or_numbers(self):
        assert Gemma4AudioConverter(front_end="gemma4").front_end == FrontEnd.load("gemma4")
        with pytest.raises(ValueError, match=r"they were given too \(num_mels 64\): pass either"):
            Gemma4AudioConverter(front_end="gemma4", num_mels=64)


class Mine(Gemma4AudioConverter, family="gemma4"):
    """A user's subclass, with an argument and an attribute of its own."""

    def __init__(self, *args, gain=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.gain = gain

    def __call__(self, audio, *args, **kwargs):
        return super().__call__(self.gain * np.asarray(audio), *args, **kwargs)

    def get_config(self):
        return {**super().get_config(), "gain": self.gain}


class TestASubclass:
    def test_is_made_by_its_own_constructor(self, clip):
        preset = Mine.from_preset("gemma4_2b", gain=0.5, precision="float32", stride=80)
        assert (type(preset), preset.gain, preset.precision, preset.stride) == (Mine, 0.5, "float32", 80)
        assert preset.front_end.padding == "semicausal"
        assert Mine.from_preset("gemma4_2b").gain == 1.0
        for copy in (Mine.from_config(preset.get_config()), pickle.loads(pickle.dumps(preset)), copy_of(preset)):
            assert (type(copy), copy.gain, copy.front_end) == (Mine, 0.5, preset.front_end)
            np.testing.assert_array_equal(copy(clip), preset(clip))

    def test_takes_nobody_elses_place(self):
        assert type(AudioConverter.from_preset("gemma4_2b")) is Gemma4AudioConverter
        assert type(Gemma4AudioConverter.from_preset("gemma4_2b")) is Gemma4AudioConverter
        with pytest.raises(ValueError, match="is a preset of whisper, not of Mine"):
            Mine.from_preset("whisper_base_en")

    def test_of_the_base_class_takes_any_preset(self):
        class Any(AudioConverter):
            def __init__(self, front_end, **kwargs):
                super().__init__(front_end, **kwargs)
                self.ready = True

        for name in ("gemma4_2b", "whisper_base_en"):
            converter = Any.from_preset(name)
            assert (type(converter), converter.ready) == (Any, True)


class TestFeaturesOfFile:
    def test_decodes_as_the_job_does(self, tmp_path, converter):
        stereo = 0.1 * np.random.default_rng(5).standard_normal((44100, 2))
        soundfile.write(tmp_path / "clip.flac", stereo, 44100)
        audio = decode_audio((tmp_path / "clip.flac").read_bytes(), sampling_rate=16000)
        found = converter.features_of_file(tmp_path / "clip.flac")
        np.testing.assert_array_equal(found, converter(audio.samples))
        assert found.shape == (99, 128)

    def test_says_what_is_wrong_with_which_file(self, tmp_path, converter):
        path = tmp_path / "clip.wav"
        path.write_bytes(b"RIFF, but no more")
        with pytest.raises(ValueError, match=rf"{path}: bad_audio: "):
            converter.features_of_file(path)
        with pytest.raises(FileNotFoundError):
            converter.features_of_file(str(tmp_path / "none.wav"))
