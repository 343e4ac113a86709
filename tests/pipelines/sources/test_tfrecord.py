"""TFRecords as an input."""

from helpers import encode, write
from melbeam.transforms.records.tf_example import to_example


def test_integers_may_be_the_ids(tmp_path, read):
    records = [to_example({"audio": encode([0.1] * 8000), "key": key, "id": "other"}) for key in (0, 7)]
    write(tmp_path / "a.tfrecord", records)
    found = read(tmp_path / "a.tfrecord", columns={"id": "key", "number": "key"}).clips
    assert [(clip.id, clip.fields) for clip in found] == [("0", {"number": 0}), ("7", {"number": 7})]
