"""Folders as the release before wrote them: no fault, and one line that says what they lack."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers import run, wav, write
from melbeam.pipelines import index
from melbeam.transforms import read_features
from melbeam.transforms.records.tf_example import to_example

DATA = Path(__file__).parents[2] / "data"
LACKS = (
    "it was written with record version 1: it has no levels and no schema of its splits, and an index only where "
    "`melbeam index` wrote one"
)
SHARD = "train-00000-of-00002.tfrecord"
LONE_SHARD = "train-00000-of-00001.tfrecord"


@pytest.fixture
def old(tmp_path, folders):
    """A copy of the folder whose model takes a mask."""
    return folders.Folder(shutil.copytree(DATA / "folder_of_version_1", tmp_path / "features"))


@pytest.fixture
def old_full_length(tmp_path, folders):
    """A copy of the one whose model takes the full length, which it has not."""
    return folders.Folder(shutil.copytree(DATA / "folder_of_version_1_full_length", tmp_path / "features"))


def lines(said, kind):
    return [line for line in said.splitlines() if line.startswith(f"{kind}: ")]


def front_end_of(folder):
    path = folder.path.parent / "front_end.yaml"
    path.write_text(json.dumps(json.loads(folder.file("front_end.json").read_text())["front_end"]))
    return path


def add_split(folder, tmp_path, folders, *options):
    write(tmp_path / "new-0", [to_example({"audio": wav(1), "id": "new", "text": "three"})])
    folders.extracted(tmp_path, "new", f"--front_end={front_end_of(folder)}", "--dtype=bfloat16", *options)


def test_it_has_no_fault_and_says_what_it_lacks(old):
    status, said = old.verify()
    assert (status, lines(said, "FAULT")) == (0, [])
    assert lines(said, "warning") == [f"warning: {old.path}, splits train, train_retried: {LACKS}"]
    assert "split train: 5 records read = 3 converted + 2 rejected; 3 features in 2 shards" in said


def test_nor_has_it_when_a_new_split_has_joined_it(old, tmp_path, folders):
    add_split(old, tmp_path, folders)
    status, said = old.verify()
    assert (status, lines(said, "FAULT")) == (0, []), said
    assert lines(said, "warning") == [f"warning: {old.path}, splits train, train_retried: {LACKS}"]
    clips = read_features(old.path, "train+train_retried+new", front_end_of(old))
    ids = [clip["id"] for clip in clips.as_numpy_iterator()]
    assert ids == [b"a", b"c", b"b", b"long#0", b"long#1", b"long#2", b"new"]


def test_an_index_that_was_written_later_is_held_against_the_records(old):
    """No report knows of it, so nothing else would tell that it is another's."""
    assert run(index, old.path)[0] == 0
    assert old.verify()[0] == 0
    first, second = (old.file(f"_melbeam/train/index/0000{shard}.npy") for shard in (0, 1))
    first.write_bytes(second.read_bytes())
    status, said = old.verify()
    assert (status, len(lines(said, "FAULT"))) == (1, 1), said
    assert "index/00000.npy: it has 1 rows, " in lines(said, "FAULT")[0]


def test_what_no_reader_can_restore_is_told(old_full_length):
    status, said = old_full_length.verify()
    assert (status, lines(said, "FAULT")) == (0, []), said
    assert len(lines(said, "warning")) == 2
    assert "split train: it holds clips without what lies behind them, and the model takes the full length" in said


def test_nor_has_that_one_when_a_new_split_has_joined_it(old_full_length, tmp_path, folders):
    add_split(old_full_length, tmp_path, folders)
    status, said = old_full_length.verify()
    assert (status, lines(said, "FAULT")) == (0, []), said
    (clip,) = read_features(old_full_length.path, "new", front_end_of(old_full_length)).as_numpy_iterator()
    assert clip["input_features"].shape == (20, 80)


@pytest.mark.slow
@pytest.mark.parametrize("joined", [False, True])
def test_tfds_reads_it(old, tmp_path, folders, joined):
    tfds = pytest.importorskip("tensorflow_datasets", reason="`make check` installs it")
    if joined:
        add_split(old, tmp_path, folders)
    builder = tfds.builder_from_directory(str(old.path))
    ids = {
        split: [clip["id"] for clip in tfds.as_numpy(builder.as_dataset(split=split))]
        for split in sorted(builder.info.splits)
    }
    assert ids == {
        **({"new": [b"new"]} if joined else {}),
        "train": [b"a", b"c", b"b"],
        "train_retried": [b"long#0", b"long#1", b"long#2"],
    }
    ours, theirs = (
        {clip["id"]: clip["input_features"] for clip in clips}
        for clips in (
            read_features(old.path, "train", front_end_of(old)).as_numpy_iterator(),
            tfds.as_numpy(builder.as_dataset(split="train")),
        )
    )
    for clip_id, features in ours.items():
        np.testing.assert_array_equal(features.astype(np.float32), theirs[clip_id].astype(np.float32))


def change_value(fields):
    value = fields["input_features"].bytes_list.value
    value[0] = b"\0\0" + value[0][2:]


FAULTS = {
    "a changed value": (
        lambda folder, shard, _: folder.edit_record(shard, 0, change_value),
        "the sums of the features are not those of the report",
    ),
    "an edited count of a field": (
        lambda folder, shard, layout: folder.edit(
            layout, lambda report: report["passthrough"]["text"].update(kinds=["int64_list"])
        ),
        "passthrough.text.kind is int64_list, the records come to bytes_list",
    ),
    "an edited features.json": (
        lambda folder, shard, _: folder.edit(
            "features.json", lambda content: content["featuresDict"]["features"].pop("text")
        ),
        "featuresDict.features.text is None",
    ),
    "an edited summary": (
        lambda folder, shard, _: folder.edit(
            "_melbeam/train/summary.json", lambda summary: summary["passthrough"]["text"].update(max=2)
        ),
        "it is not the sum of the reports: fields.text.is_list is True",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_it_finds(old_full_length, name):
    plant, named = FAULTS[name]
    plant(old_full_length, LONE_SHARD, "_melbeam/train/reports/00000.json")
    status, said = old_full_length.verify()
    assert (status, any(named in line for line in lines(said, "FAULT"))) == (1, True), said
