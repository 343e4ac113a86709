"""The demo's features in whatever reads arrays: everywhere the same values. `make test-frameworks` runs this."""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from helpers import blocks
from melbeam.pipelines import demo, extract
from melbeam.transforms import FeatureSource, read_features

HOW = "installed by `make test-frameworks`"
grain = pytest.importorskip("grain", reason=HOW)
datasets = pytest.importorskip("datasets", reason=HOW)
tfds = pytest.importorskip("tensorflow_datasets", reason=HOW)

TENSOR = "input_features"


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory):
    output = tmp_path_factory.mktemp("demo") / "demo"
    assert demo.main([f"--output={output}"]) == 0
    return output


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def features(request, demo_folder):
    if request.param == "float32":
        return demo_folder / "features" / "1.0.0"
    output = demo_folder / request.param
    if not output.exists():
        command = [
            f"--input={demo_folder}/clips/transcripts.csv",
            f"--output={output}",
            f"--dtype={request.param}",
        ]
        assert extract.main([*command, "--require=text", "--max_reject_fraction=1"]) == 0
    return output


@pytest.fixture(scope="module")
def expected(features):
    """What tf.data gives."""
    return list(read_features(features).as_numpy_iterator())


def assert_same(found, expected, names=None):
    found = list(found)
    assert len(found) == len(expected) > 3
    for ours, theirs in zip(found, expected, strict=True):
        for name in names or theirs:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
        assert ours[TENSOR].dtype == theirs[TENSOR].dtype


def test_feature_source(features, expected):
    assert_same(FeatureSource(features), expected)


def test_tfds(features, expected):
    builder = tfds.builder_from_directory(features)
    config = tfds.ReadConfig(interleave_cycle_length=1)
    assert_same(builder.as_dataset("train", read_config=config).as_numpy_iterator(), expected)


def test_grain(features, expected):
    source = FeatureSource(features)
    assert_same(grain.MapDataset.source(source), expected)
    sampler = grain.samplers.SequentialSampler(len(source), grain.sharding.NoSharding())
    for num_workers in (0, 2):
        loader = grain.DataLoader(data_source=source, sampler=sampler, worker_count=num_workers)
        assert_same(loader, expected)


def test_hugging_faces_datasets(features, expected):
    """It has no bfloat16: the features are given to it as float32, which holds every bfloat16."""

    def clips():
        for clip in FeatureSource(features, features=["id", "num_frames", TENSOR]):
            yield {**clip, "id": clip["id"].decode(), TENSOR: clip[TENSOR].astype(np.float32)}

    columns = datasets.Features(
        {
            "id": datasets.Value("string"),
            "num_frames": datasets.Value("int64"),
            TENSOR: datasets.Array2D((None, 128), "float32"),
        }
    )
    found = datasets.Dataset.from_generator(clips, features=columns).with_format("numpy")
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert str(ours["id"]) == theirs["id"].decode()
        np.testing.assert_array_equal(np.stack(ours[TENSOR]), theirs[TENSOR].astype(np.float32))


def test_the_page_of_reading(demo_folder, monkeypatch, capsys):
    """Its programs for PyTorch and grain run as they stand, and come to all clips."""
    monkeypatch.chdir(demo_folder)
    page = Path(__file__).parents[2] / "docs/reading.md"
    programs = {block.said["needs"]: block.code for block in blocks(page) if "needs" in block.said}
    assert set(programs) == {"torch", "grain"}
    num_clips = len(FeatureSource("features/1.0.0"))
    for name, program in programs.items():
        if find_spec(name) is not None:
            exec(program, {})
            sizes = re.findall(r"^[^\d]*(\d+)", capsys.readouterr().out, re.MULTILINE)  # of each batch's shape
            assert sum(map(int, sizes)) == num_clips


class TestPyTorch:
    @pytest.fixture(autouse=True)
    def torch(self):
        return pytest.importorskip("torch", reason=HOW)

    @pytest.mark.parametrize("start", ["fork", "spawn"])
    def test_a_loader_with_two_workers(self, torch, features, start):
        from melbeam.transforms.torch_data import Collate

        source = FeatureSource(features, front_end="gemma4")
        loader = torch.utils.data.DataLoader(
            source,
            batch_size=3,
            num_workers=2,
            multiprocessing_context=start,
            collate_fn=Collate(source.front_end),
        )
        batches = list(loader)
        of_tf_data = list(read_features(features, batch_size=3, mask=True).as_numpy_iterator())
        assert len(batches) == len(of_tf_data) > 1
        for ours, theirs in zip(batches, of_tf_data, strict=True):
            assert set(ours) == set(theirs)
            assert ours["id"] == theirs["id"].tolist()
            assert str(ours[TENSOR].dtype) == f"torch.{theirs[TENSOR].dtype.name}"
            np.testing.assert_array_equal(ours[TENSOR].float(), theirs[TENSOR].astype(np.float32))
            for name in ("num_frames", "num_audio_tokens", "rms_dbfs", f"{TENSOR}_mask"):
                np.testing.assert_array_equal(ours[name], theirs[name])

    def test_where_the_model_takes_the_full_length(self, torch, demo_folder):
        from melbeam.transforms.torch_data import Collate

        output = demo_folder / "whisper"
        command = [f"--input={demo_folder}/clips/transcripts.csv", f"--output={output}", "--front_end=whisper"]
        assert extract.main([*command, "--pad_to_max_length=off", "--max_reject_fraction=1"]) == 0
        source = FeatureSource(output, front_end="whisper")
        batch = Collate(source.front_end)([source[0], source[1]])
        (theirs, *_) = read_features(output, front_end="whisper", batch_size=2).as_numpy_iterator()
        assert set(batch) == set(theirs)
        np.testing.assert_array_equal(batch[TENSOR], theirs[TENSOR])

    @pytest.mark.parametrize("features", ["float32"], indirect=True)
    def test_clips_of_another_front_end_are_refused(self, torch, features):
        from melbeam.transforms.torch_data import Collate

        source = FeatureSource(features)
        assert Collate("gemma4") == Collate(source.front_end)
        with pytest.raises(ValueError, match=r"is of front end \w{16}, and Collate is for 'whisper'"):
            Collate("whisper")([source[0], source[1]])

    @pytest.mark.parametrize("shuffle", [False, True])
    @pytest.mark.parametrize("num_ranks", range(1, 8))
    def test_batches_by_length(self, torch, shuffle, num_ranks):
        from melbeam.transforms.torch_data import BucketBatchSampler

        frames = np.random.default_rng(1).integers(50, 3000, 500)
        options = {"most_frames": 6000, "shuffle": shuffle, "num_ranks": num_ranks}
        ranks = [BucketBatchSampler(frames, rank=rank, **options) for rank in range(num_ranks)]
        epochs = []
        for epoch in range(2):
            for rank in ranks:
                rank.set_epoch(epoch)
            batches = [list(rank) for rank in ranks]
            assert {len(of_rank) for of_rank in batches} == {len(ranks[0])}
            joined = [batch for turn in zip(*batches, strict=True) for batch in turn]
            repeated = len(joined) - len({tuple(batch) for batch in joined})
            assert 0 <= repeated < num_ranks
            assert {clip for batch in joined for clip in batch} == set(range(500))
            whole = joined[: len(joined) - repeated]
            assert sum(map(len, whole)) == 500
            assert all(len(batch) * frames[batch].max() <= 6000 for batch in joined)
            padded = sum(len(batch) * frames[batch].max() for batch in whole)
            assert 1 - frames.sum() / padded < 0.12
            epochs.append(joined)
        assert (epochs[0] != epochs[1]) == shuffle

    @pytest.mark.parametrize("num_ranks", [1, 3])
    def test_it_goes_on_where_training_stopped(self, torch, num_ranks):
        """A new process makes the rest of the epoch, and the next epochs, as the first would have."""
        from melbeam.transforms.torch_data import BucketBatchSampler

        frames = np.random.default_rng(1).integers(50, 3000, 200)
        options = {"shuffle": True, "seed": 4, "rank": num_ranks - 1, "num_ranks": num_ranks}
        whole, rest = (BucketBatchSampler(frames, 6000, **options) for _ in range(2))
        for sampler in (whole, rest):
            sampler.set_epoch(1)
        epoch = list(whole)
        for done in (0, 1, len(epoch) - 1, len(epoch)):
            rest.set_epoch(1, first_batch=done)
            assert len(rest) == len(epoch) - done
            assert list(rest) == epoch[done:]
        for sampler in (whole, rest):
            sampler.set_epoch(2)
        assert list(rest) == list(whole) != epoch

    def test_where_no_clip_is_there_is_no_batch(self, torch):
        from melbeam.transforms.torch_data import BucketBatchSampler

        assert list(BucketBatchSampler(np.zeros(0, int), 60)) == []

    def test_what_is_refused(self, torch):
        from melbeam.transforms.torch_data import BucketBatchSampler, Collate

        with pytest.raises(ValueError, match="a clip has 70 frames, more than most_frames=60"):
            BucketBatchSampler(np.array([70]), 60)
        with pytest.raises(ValueError, match=r"rank must be in \[0, 1\], got 2"):
            BucketBatchSampler(np.array([7]), 60, rank=2, num_ranks=2)
        sampler = BucketBatchSampler(np.array([7, 60]), 60)
        with pytest.raises(ValueError, match=r"first_batch must be in \[0, 2\], got 3"):
            sampler.set_epoch(1, first_batch=3)
        with pytest.raises(ValueError, match="epoch must be a whole number, at least 0, got '1'"):
            sampler.set_epoch("1")
        for frames in (np.ones((2, 2), int), [1.5], [{"id": b"a"}]):
            with pytest.raises(ValueError, match=r"num_frames must be whole numbers \[clips\], as FeatureSource"):
                BucketBatchSampler(frames, 60)
        with pytest.raises(ValueError, match="shuffle must be True or False, got 'no'"):
            BucketBatchSampler([7], 60, shuffle="no")
        with pytest.raises(ValueError, match="a batch must have at least one clip"):
            Collate("gemma4")([])
        with pytest.raises(ValueError, match="must have the same fields, and not all have id, num_frames"):
            Collate("gemma4")([{"id": b"a"}, {"num_frames": np.int64(3)}])
        with pytest.raises(ValueError, match="clips need 'num_frames' for their mask"):
            Collate("gemma4")([{TENSOR: np.zeros((3, 128), np.float32)}])
        clip = {TENSOR: np.zeros((3, 128), np.float32), "num_frames": np.int64(3), f"{TENSOR}_mask": b"theirs"}
        with pytest.raises(ValueError, match="records have input_features_mask already"):
            Collate("gemma4")([clip])
