"""The calling convention of the converters."""

import pickle

import numpy as np
import pytest
import tensorflow as tf

from melbeam.transforms import AudioConverter, FrontEnd, Gemma4AudioConverter


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
    "audio", [np.array(["a"]), np.array([True]), np.zeros(500, "uint16"), np.zeros(500, complex)]
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


def test_mask_counts_each_rows_valid_frames(converter):
    found = converter.mask([0, 160, 161, 640, 16000, 480000, 960000], 3000)
    assert found.dtype == tf.bool
    assert found.shape == (7, 3000)
    assert found.numpy().sum(axis=1).tolist() == [0, 0, 1, 3, 99, 2999, 2999]
    assert found.numpy()[3, :4].tolist() == [True, True, True, False]


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
