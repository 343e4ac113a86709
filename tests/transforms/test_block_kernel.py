"""The compiled blocks: equal bits on every path, few programs, no assertion lost; else the plain graph."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from melbeam.transforms import AudioConverter, FrontEnd, block_kernel
from melbeam.transforms.block_kernel import frame_kernel, xla_transforms
from melbeam.transforms.log_mel import log_mel_spectrogram
from melbeam.transforms.packing import PackedFeatures

FRONT_ENDS = FrontEnd.shipped()
# One in the quick tests; the others compile their programs in the slow ones.
ONE_QUICKLY = [pytest.param(name, marks=[] if name == "gemma4" else pytest.mark.slow) for name in FRONT_ENDS]
PRECISIONS = ["float64", "float32"]
# The plain graph and XLA's transform round otherwise; in float32, quiet bins beside loud ones show it.
NEAR = {"float64": 1e-5, "float32": 5e-3}


@pytest.fixture(scope="module")
def audio():
    """29 s, loud and quiet."""
    rng = np.random.default_rng(4)
    return (rng.standard_normal(464_111) * np.linspace(0.001, 0.3, 464_111)).astype("float32")


def needs_blocks(precision):
    if not xla_transforms(precision):
        pytest.skip(f"this TensorFlow compiles no {precision} transform")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ONE_QUICKLY)
def test_bits_do_not_depend_on_the_place(audio, name, precision):
    """A frame's bits depend neither on its place in a block, a call or a program, nor on what lies beside it."""
    needs_blocks(precision)
    kernel = frame_kernel(FrontEnd.load(name), precision)
    hop = FrontEnd.load(name).hop_length
    whole = kernel.of_padded(audio)
    for shift in (1, 2, 3, 7, 31, 33, 63, 64, 65, 1000, 1023):
        moved = kernel.of_padded(audio[shift * hop :])
        np.testing.assert_array_equal(moved, whole[shift:], err_msg=f"moved by {shift} frames")
        short = kernel.of_padded(audio[: shift * hop + 2 * 1024])
        np.testing.assert_array_equal(short, whole[: len(short)], err_msg=f"cut behind {shift} frames")
        other = np.random.default_rng(shift).standard_normal(shift * hop)
        beside = kernel.of_padded(np.concatenate([other.astype("float32"), audio]))
        np.testing.assert_array_equal(beside[shift:], whole, err_msg=f"behind {shift} other frames")


@pytest.mark.parametrize("name", ONE_QUICKLY)
def test_bits_do_not_depend_on_the_samples_dtype(assert_same, audio, name):
    """Samples that float32 holds go to the kernel as such, others as float64, alone and beside each other."""
    needs_blocks("float64")
    packed = PackedFeatures(FrontEnd.load(name), "float64")
    samples = np.round(audio[:50_007] * 2**15).astype("int16")
    same = [samples, samples.astype("int64"), samples.astype("int32") * 2**16]
    same += [samples.astype(dtype) / 2**15 for dtype in ("float32", "float64")]
    expected = packed([samples / np.float32(2**15)])[0]
    for dtype, clip in zip(["int16", "int64", "int32", "float32", "float64"], same, strict=True):
        assert clip.dtype == dtype
        for found in (packed([clip])[0], packed([samples, clip])[1]):
            assert_same(found, expected)
    finer = audio[:50_007] + np.float64(1e-9)  # which float32 does not hold
    assert not np.array_equal(packed([finer])[0], packed([finer.astype("float32")])[0])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", ONE_QUICKLY)
def test_every_path_gives_the_same_bits(assert_same, audio, name, padded, precision):
    converter = AudioConverter(name, pad_to_max_length=padded, precision=precision)
    in_graph = tf.function(converter, input_signature=[tf.TensorSpec([None])])
    batch_in_graph = tf.function(
        converter, input_signature=[tf.TensorSpec([None, None]), tf.TensorSpec([None], "int32")]
    )
    static = tf.function(converter)
    for length in (700, 40_003, 250_000, len(audio)):
        clip = audio[:length]
        expected = converter(clip).numpy()
        ways = {
            "tensor": converter(tf.constant(clip)),
            "graph": in_graph(clip),
            "static graph": static(clip),
            "dataset": next(iter(tf.data.Dataset.from_tensors(clip).map(converter))),
            "batch": converter(np.stack([-clip, clip]))[1],
            "batch in a graph": batch_in_graph(np.stack([-clip, clip, clip]), [length, length, length // 2])[1],
        }
        for way, found in ways.items():
            assert found.shape == expected.shape, way
            assert_same(found, expected, precision)


@pytest.mark.parametrize("name", ["gemma4", "gemma3n", "gemma4_documented"])
def test_clips_beyond_one_call_in_a_graph(assert_same, audio, name):
    front_end = FrontEnd.load(name).replace(max_audio_length=None)
    converter = AudioConverter(front_end, pad_to_max_length=False)
    long = np.tile(audio, 4)
    expected = converter(long).numpy()
    assert_same(tf.function(converter, input_signature=[tf.TensorSpec([None])])(long), expected)
    assert_same(tf.function(converter)(long), expected)
    clips = audio[:450_030].reshape(30, 15_001)
    batch = tf.function(converter, input_signature=[tf.TensorSpec([None, None])])(clips)
    for row, clip in zip(batch, clips, strict=True):
        assert_same(row, converter(clip))


@pytest.mark.parametrize("shapes", [[(0,)], [(0, 8000), (3, 0), (2, 100)]], ids=["a clip", "batches"])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", ["gemma4", "gemma3n", "whisper"])
def test_nothing_to_compute(assert_same, name, padded, shapes):
    converter = AudioConverter(name, pad_to_max_length=padded)
    graph = tf.function(converter, input_signature=[tf.TensorSpec([None] * len(shapes[0]))])
    frames = 3000 if name != "gemma3n" else 2997
    for shape in shapes:
        rows = frames if padded else converter.num_frames(shape[-1])
        expected = (*shape[:-1], rows, converter.front_end.num_mels)
        audio = np.zeros(shape, "float32")
        found, in_graph = converter(audio), graph(audio)
        assert found.shape == expected, shape
        assert in_graph.shape == expected, shape
        assert_same(in_graph, found)


def test_threads_share_the_programs(assert_same, audio):
    converter = AudioConverter("gemma4", pad_to_max_length=False)
    clips = [audio[: 5000 * k] for k in range(1, 60)]
    expected = [converter(clip).numpy() for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        for found, same in zip(pool.map(converter, clips), expected, strict=True):
            assert_same(found, same)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", FRONT_ENDS)
def test_the_plain_graph_takes_over(monkeypatch, audio, name, precision):
    """As where XLA has no such transform: eagerly, in a graph, in a stream."""
    clip = audio[:100_003]
    expected = AudioConverter(name, pad_to_max_length=False, precision=precision)(clip).numpy()
    monkeypatch.setattr(block_kernel, "_kernels", {})
    monkeypatch.setattr(block_kernel, "xla_transforms", lambda precision: False)
    assert not frame_kernel(FrontEnd.load(name), precision).is_compiled
    converter = AudioConverter(name, pad_to_max_length=False, precision=precision)
    found = [converter(clip), tf.function(converter)(clip), converter(np.stack([clip, clip]))[1]]
    if not name.startswith("whisper"):
        stream = converter.stream()
        found.append(np.concatenate([stream.push(clip), stream.finish()]))
    for features in found:
        np.testing.assert_allclose(features, expected, rtol=0, atol=NEAR[precision])


def test_a_transform_that_is_not_compiled_is_found_out():
    assert not xla_transforms("bfloat16")


@pytest.mark.slow
def test_a_graph_that_was_begun_before_tensorflow_ran():
    """As in tf.Transform, whose graph is of TensorFlow 1: the trial of the compiler must not end up in it."""
    script = """
import numpy as np, tensorflow as tf
from melbeam.transforms import AudioConverter
clip = np.linspace(-0.5, 0.5, 9000, dtype="float32")
converter = AudioConverter("gemma4", pad_to_max_length=False)
with tf.Graph().as_default() as graph:
    audio = tf.compat.v1.placeholder(tf.float32, [None])
    features = converter(audio)
    with tf.compat.v1.Session(graph=graph) as session:
        found = session.run(features, {audio: clip})
np.testing.assert_allclose(found, converter(clip), rtol=0, atol=1e-5)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.slow
def test_few_programs_serve_all_lengths(tmp_path):
    """One trial of the compiler; five programs for eager calls and five for graphs, however many the lengths."""
    needs_blocks("float64")
    script = """
import numpy as np, tensorflow as tf
from melbeam.transforms import AudioConverter
converter = AudioConverter("gemma4", pad_to_max_length=False)
audio = np.random.default_rng(0).standard_normal(480_000).astype("float32")
lengths = np.random.default_rng(1).integers(0, 480_000, 1000)
graph = tf.function(converter, input_signature=[tf.TensorSpec([None])])
for length in lengths:
    converter(audio[:length])
for length in lengths[:100]:
    graph(audio[:length])
AudioConverter("gemma4")(audio[:9000])
print(graph.experimental_get_tracing_count())
"""
    said, num_programs = compiled_by(script, tmp_path)
    assert said.split() == ["1"]
    assert 4 <= num_programs <= 11


def compiled_by(script, folder):
    """This runs a script; it gives what that prints, and how many programs XLA compiles for it."""
    environment = {"XLA_FLAGS": f"--xla_dump_to={folder}", "PATH": ""}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    return ended.stdout, len({re.search(r"module_\d+", path.name)[0] for path in folder.iterdir()})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gemma4", "whisper"])
def test_one_program_serves_all_packs(tmp_path, name):
    """A job compiled five, for what is left at the ends of shards; that took as long as hours of audio."""
    needs_blocks("float64")
    script = f"""
import numpy as np
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.packing import PackedFeatures
packed = PackedFeatures(FrontEnd.load({name!r}))
audio = np.random.default_rng(0).standard_normal(480_000).astype("float32")
for length in (100, 20_000, 60_000, 150_000, 300_000, 480_000):
    packed([audio[:length]])
    packed([audio[:length], audio, audio, audio])
"""
    _, num_programs = compiled_by(script, tmp_path)
    assert num_programs <= 2  # and the trial of the compiler


@pytest.mark.slow
def test_importing_and_making_a_converter_compile_nothing(tmp_path):
    script = "from melbeam.transforms import AudioConverter; AudioConverter('gemma4')"
    environment = {"XLA_FLAGS": f"--xla_dump_to={tmp_path}", "PATH": ""}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    assert not list(tmp_path.iterdir())


def test_assertions_hold_around_the_blocks(audio):
    """A compiled program drops them without a word."""
    converter = AudioConverter("gemma4", pad_to_max_length=False)
    signature = [tf.TensorSpec([None, None]), tf.TensorSpec([None], "int32")]
    graph = tf.function(converter, input_signature=signature)
    batch = np.stack([audio[:9000]] * 2)
    for lengths in ([9000, 9001], [-1, 9000]):
        with pytest.raises(tf.errors.InvalidArgumentError, match="lengths must be from 0"):
            graph(batch, lengths)


@pytest.mark.parametrize("name", ["gemma4", "whisper"])
def test_gradients_are_the_plain_graphs(audio, name):
    converter = AudioConverter(name, pad_to_max_length=False)
    clip = tf.constant(audio[200_000:209_000])

    def gradient_of(compute):
        with tf.GradientTape() as tape:
            tape.watch(clip)
            total = tf.reduce_sum(compute(clip) ** 2)
        return tape.gradient(total, clip)

    front_end, frames = converter.front_end, converter.num_frames(9000)
    expected = gradient_of(lambda x: log_mel_spectrogram(x[None], front_end, "float64", frames)[0])
    assert np.abs(expected).max() > 1
    for compute in (converter, tf.function(converter), lambda x: converter(x[None])):
        found = gradient_of(compute)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_ten_thousand_calls_take_no_more_memory(tmp_path):
    script = """
import os
import numpy as np, tensorflow as tf
from melbeam.transforms import AudioConverter
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
converter = AudioConverter("gemma4", pad_to_max_length=False, precision="float32")
audio = np.random.default_rng(0).standard_normal(480_000).astype("float32")
lengths = np.random.default_rng(1).integers(0, 480_000, 10_000)
tf.zeros([1])
before = resident()
converter(audio)
first = resident() - before
for length in lengths[:300]:
    converter(audio[:length])
warm = resident()
for length in lengths:
    converter(audio[:length])
grown = resident() - warm
print(f"the first call {first / 1e6:.0f} MB, then {grown / 1e6:.1f} MB")
assert first < 150e6 and grown < 20e6
"""
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    subprocess.run([sys.executable, "-c", script], check=True)
