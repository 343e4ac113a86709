"""An input of several splits is told, whatever keeps it: a test set would be trained on."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers import encode, write
from melbeam.pipelines.sources.kinds import AUDIO, KALDI, LHOTSE, MANIFEST, PARQUET, TFRECORD, WEBDATASET
from melbeam.pipelines.sources.several_splits import note_of_splits
from melbeam.pipelines.sources.units import Found
from melbeam.transforms.records.tf_example import to_example


@pytest.mark.parametrize(
    ("names", "one"),
    [
        (["test-00000-of-00001.tfrecord", "train-00000-of-00001.tfrecord"], "test-*"),
        (["test.tfrecord-00000-of-00001", "train.tfrecord-00000-of-00001"], "test.tfrecord-*"),
        (["of_test/test-00000-of-00001.tfrecord", "of_train/train-00000-of-00001.tfrecord"], "of_test/test-*"),
        (["ds-test.tfrecord-00000-of-00001", "ds-train.tfrecord-00000-of-00001"], "ds-test.tfrecord-*"),
    ],
)
def test_shards_of_several_splits_are_told(tmp_path, read, names, one):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, [to_example({"audio": encode([0.1] * 8000), "id": name})])
    told = f"{tmp_path} has the splits test, train, and their records become one; --input='{tmp_path}/{one}' takes"
    found = read(tmp_path)
    assert [clip.id for clip in found.clips] == names
    assert [line[: len(told)] for line in found.told] == [told]
    of_one = read(tmp_path / one)
    assert ([clip.id for clip in of_one.clips], of_one.told) == (names[:1], [])


@pytest.mark.parametrize(
    ("kind", "paths", "splits", "one"),
    [
        (
            PARQUET,
            ["data/test-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"],
            "test, train",
            "data/test*",
        ),
        (TFRECORD, ["test.tfrecord", "train.tfrecord"], "test, train", "test*"),
        (PARQUET, ["en/train/0.parquet", "en/validation/0.parquet"], "train, validation", "en/train"),
        (PARQUET, ["split=test/0.parquet", "split=train/0.parquet"], "test, train", "split=test"),
        (WEBDATASET, ["asr-train-0000.tar", "asr-val-0000.tar"], "train, validation", "asr-train*"),
        (LHOTSE, ["a_cuts_dev-clean.jsonl.gz", "a_cuts_train-clean-100.jsonl.gz"], "dev, train", "a_cuts_dev*"),
        (MANIFEST, ["test/metadata.csv", "train/metadata.csv"], "test, train", "test"),
        (MANIFEST, ["en/test.tsv", "en/train.tsv", "en/validated.tsv"], "test, train", "en/test*"),
        (KALDI, ["eval/wav.scp", "train_clean/wav.scp"], "eval, train", "eval"),
        (AUDIO, ["dev-clean/84/1.flac", "train-clean-100/84/1.flac"], "dev, train", "dev-clean"),
    ],
)
def test_names_of_splits_are_told(kind, paths, splits, one):
    found = Found("in", "in/", [(f"in/{path}", 1) for path in paths])
    said = f"in has the splits {splits}, and their records become one; --input='in/{one}' takes those of "
    (told,) = note_of_splits(kind, found)
    assert told == f"{said}{splits.split(',')[0]} alone"


@pytest.mark.parametrize(
    ("kind", "paths"),
    [
        (AUDIO, ["train/a.wav", "train/test.wav", "train/of_test/b.wav"]),  # what a clip is called tells no split
        (AUDIO, ["train-clean-100/a.flac", "train-other-500/b.flac"]),
        (PARQUET, ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "attested.parquet"]),
        (MANIFEST, ["training.jsonl", "train.jsonl"]),
    ],
)
def test_nothing_is_told_of_one_split(kind, paths):
    assert note_of_splits(kind, Found("in", "in/", [(f"in/{path}", 1) for path in paths])) == []


def test_a_folder_that_the_input_lies_in_tells_nothing():
    paths = ["corpora/test/in/train/a.wav", "corpora/test/in/b.wav"]
    assert note_of_splits(AUDIO, Found("corpora/test/in", "corpora/test/in/", [(path, 1) for path in paths])) == []


def test_splits_are_told_before_any_work(tmp_path, read):
    for split in ("test", "train"):
        pq.write_table(pa.table({"audio": [encode([0.1] * 800)]}), tmp_path / f"{split}-00000-of-00001.parquet")
    (told,) = read(tmp_path).told
    assert told.startswith(f"{tmp_path} has the splits test, train, and their records become one; ")
    assert read(f"{tmp_path}/test*").told == []
