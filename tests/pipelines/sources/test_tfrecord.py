"""TFRecords as an input: what is told of their files."""

import pytest

from helpers import encode, write
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
def test_files_of_several_splits_are_told(tmp_path, read, names, one):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, [to_example({"audio": encode([0.1] * 8000), "id": name})])
    told = f"{tmp_path} has the splits test, train, and their records become one; --input='{tmp_path}/{one}' takes"
    found = read(tmp_path)
    assert [clip.id for clip in found.clips] == names
    assert [line[: len(told)] for line in found.told] == [told]
    of_one = read(tmp_path / one)
    assert ([clip.id for clip in of_one.clips], of_one.told) == (names[:1], [])


def test_integers_may_be_the_ids(tmp_path, read):
    records = [to_example({"audio": encode([0.1] * 8000), "key": key, "id": "other"}) for key in (0, 7)]
    write(tmp_path / "a.tfrecord", records)
    found = read(tmp_path / "a.tfrecord", columns={"id": "key", "number": "key"}).clips
    assert [(clip.id, clip.fields) for clip in found] == [("0", {"number": 0}), ("7", {"number": 7})]
