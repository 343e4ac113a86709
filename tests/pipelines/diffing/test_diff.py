"""melbeam diff: two folders by the ids of their records."""

import json

import numpy as np
import pytest

from helpers import encode, run, wav, write
from melbeam.pipelines import diff, extract, index
from melbeam.pipelines.diffing import pairs, splits
from melbeam.pipelines.tfrecord import read_tfrecord_file
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.tf_example import to_example


def shards(folder, split="train"):
    return sorted(folder.glob(f"{split}-*.tfrecord"))


def examples_of(path):
    return [Example.FromString(item.data) for item in read_tfrecord_file(str(path))]


@pytest.fixture
def edited(made, copied):
    """A copy of the folder, changed: the change takes the examples of all shards, and edits them."""

    def edit(change, name="copy"):
        folder = copied(made(), name)
        by_shard = [examples_of(path) for path in shards(folder)]
        change(by_shard)
        for path, examples in zip(shards(folder), by_shard, strict=True):
            write(path, [example.SerializeToString() for example in examples])
        info = json.loads((folder / "dataset_info.json").read_text())
        info["splits"][0]["shardLengths"] = [str(len(examples)) for examples in by_shard]
        (folder / "dataset_info.json").write_text(json.dumps(info))
        assert index.main([str(folder), "--overwrite"]) == 0
        return folder

    return edit


def features_of(example):
    value = example.features.feature["input_features"].bytes_list.value
    return np.frombuffer(value[0], np.float32).reshape(-1, 128).copy()


def store(example, features):
    example.features.feature["input_features"].bytes_list.value[0] = features.tobytes()


def report(a, b, *options):
    found = run(diff, a, b, "--json", *options)
    content = json.loads(found.text)
    assert content["equal"] == (found.status == 0)
    return content


def test_a_folder_and_itself(made):
    found = run(diff, made(), made())
    assert found == (0, "split train: 5 and 5 records, 5 of them equal\nthey are equal\n")


def test_in_whatever_order_and_shards(made, edited):
    def move(by_shard):
        everything = [example for examples in by_shard for example in reversed(examples)]
        by_shard[:] = [everything[3:], [], everything[:3]]

    assert run(diff, made(), edited(move)).status == 0


def test_how_far_apart_and_where(made, edited):
    def change(by_shard):
        features = features_of(by_shard[0][1])
        features[7, 33] += 0.5
        features[20, 2] -= 0.25
        store(by_shard[0][1], features)
        features = features_of(by_shard[2][0])
        features[0, 0] += 0.125
        store(by_shard[2][0], features)

    folder = edited(change)
    found = run(diff, made(), folder)
    assert found.status == 1
    assert "other features: 2: clip-1, clip-3" in found.text
    assert "farthest apart: 0.5, id clip-1, frame 7, bin 33 (" in found.text
    assert found.text.endswith("they differ\n")
    far = report(made(), folder)["splits"]["train"]["farthest"]
    assert (far["difference"], far["frame"], far["bin"]) == (0.5, 7, 33)
    assert far["b"] - far["a"] == 0.5
    values = 128 * sum(len(features_of(example)) for path in shards(made()) for example in examples_of(path))
    expected = np.sqrt((0.5**2 + 0.25**2 + 0.125**2) / values)
    assert report(made(), folder)["splits"]["train"]["root_mean_square"] == pytest.approx(expected, rel=1e-9)
    within = report(made(), folder, "--tolerance=0.5")
    assert within["equal"]
    assert within["splits"]["train"]["farthest"]["difference"] == 0.5
    some = report(made(), folder, "--tolerance=0.2")["splits"]["train"]
    assert (some["other_features"]["ids"], some["num_equal"]) == (["clip-1"], 4)


@pytest.mark.parametrize(("values", "expected"), [((np.nan, 1.0), "inf"), ((np.nan, np.nan), None)])
def test_what_is_no_number(made, edited, values, expected):
    def put(value):
        def change(by_shard):
            features = features_of(by_shard[1][0])
            features[3, 5] = value
            store(by_shard[1][0], features)

        return change

    a, b = (edited(put(value), name) for value, name in zip(values, "ab", strict=True))
    found = report(a, b)["splits"]["train"]
    if expected is None:
        assert found["farthest"] is None
    else:
        assert (found["farthest"]["difference"], found["farthest"]["bin"]) == (expected, 5)
        assert np.isfinite(found["root_mean_square"])


def test_records_that_one_lacks(made, edited):
    folder = edited(lambda by_shard: (by_shard[0].pop(0), by_shard[1].pop()))
    found = run(diff, made(), folder, "--limit=1")
    assert found.status == 1
    assert f"only in {made()}: 2: for example clip-0\n" in found.text
    assert f"only in {made()}: 2\n" in run(diff, made(), folder, "--limit=0").text
    other_way = run(diff, folder, made())
    assert f"only in {made()}: 2: clip-0, evil\\x1b]0;owned\\x07\n" in other_way.text
    assert "\x1b" not in other_way.text
    assert report(folder, made())["splits"]["train"]["only_in_b"]["ids"][1] == "evil\x1b]0;owned\x07"


def test_ids_that_are_there_more_than_once(made, edited):
    folder = edited(lambda by_shard: by_shard[2].append(by_shard[0][0]))
    found = run(diff, made(), folder)
    assert found.status == 1
    assert (
        f"  {folder} has 1 id more than once: paired in their order\n  only in {folder}: 1: clip-0\n" in found.text
    )
    assert "5 of them equal" in found.text
    assert run(diff, folder, folder).status == 0


def test_two_ids_of_one_hash_are_not_taken_for_each_other(made, edited, monkeypatch):
    def rename(by_shard):
        by_shard[0][0].features.feature["id"].bytes_list.value[0] = b"another"

    folder = edited(rename)
    by_length = lambda records: np.arange(len(records), dtype=np.uint64)  # noqa: E731
    monkeypatch.setattr(splits, "hashes_of", by_length)
    found = report(made(), folder)["splits"]["train"]
    assert found["only_in_a"] == {"count": 1, "ids": ["clip-0"]}
    assert found["only_in_b"] == {"count": 1, "ids": ["another"]}


def test_other_fields_frames_and_columns(made, edited):
    def change(by_shard):
        by_shard[0][1].features.feature["text"].bytes_list.value[0] = b"another text"
        by_shard[0][0].features.feature["rms_dbfs"].float_list.value[0] += 0.25
        by_shard[0][0].features.feature["source"].bytes_list.value[0] = b"elsewhere#1"
        tags = by_shard[2][1].features.feature["tags"].bytes_list.value
        tags[:] = [b"a", b"b", b"c"]
        example = by_shard[2][0]
        store(example, features_of(example)[:-1])
        example.features.feature["num_frames"].int64_list.value[0] -= 1

    folder = edited(change)
    found = run(diff, made(), folder)
    for line in (
        "5 and 5 records, 1 of them equal",
        "other number of frames: 1: clip-3",
        "other text: 1: clip-1",
        "other rms_dbfs: 1: clip-0",
        "other tags: 1: clip-4",
    ):
        assert line in found.text
    assert "farthest" not in found.text
    assert "source" not in found.text
    assert "other rms_dbfs" not in run(diff, made(), folder, "--tolerance=0.3").text


def test_other_front_ends_are_told_first(made):
    found = run(diff, made(), made("--dtype=bfloat16"))
    assert found.text.splitlines()[0] == "stored as float32 and bfloat16: compared as float64"
    assert found.status == 1
    # bfloat16 keeps 8 bits: half a unit in the last place of values below 8 is 2**-6.
    assert run(diff, made(), made("--dtype=bfloat16"), f"--tolerance={2**-6}").status == 0


def test_front_ends_of_another_fingerprint(made, copied):
    folder = copied(made())
    described = json.loads((folder / "front_end.json").read_text())
    described["front_end"]["mel_floor"] = 0.002
    (folder / "front_end.json").write_text(json.dumps(described))
    found = run(diff, made(), folder, "--tolerance=1")
    assert found.status == 1
    first, *others = found.text.splitlines()
    assert first.startswith("the front ends differ: gemma4 (8f52391f89d1faf8) and gemma4 (")
    assert first.endswith(": mel_floor 0.001 and 0.002")
    assert others == ["split train: 5 and 5 records, 5 of them equal", "they differ"]


def test_what_cannot_be_compared(made, of_version_1, tmp_path, copied):
    for a, b, options, expected in (
        (made(), tmp_path, (), f"{tmp_path}/dataset_info.json is missing"),
        (of_version_1.mask, of_version_1.full_length, (), "128 and 80 mel bins: features of front ends short and"),
        (made(), made(), ("--split=dev",), "has no finished split 'dev'; it has train"),
        (made(), made(), ("--tolerance=nan",), "--tolerance must be a number of at least 0, got nan [MB103]"),
        (made(), made(), ("--tolerance=-1",), "--tolerance must be a number of at least 0, got -1.0 [MB103]"),
        (made(), made(), ("--limit=-1",), "--limit must be at least 0, got -1 [MB103]"),
    ):
        found = run(diff, a, b, *options)
        assert (found.status, expected in found.text) == (2, True), found.text
    folder = copied(made())
    data = bytearray(shards(folder)[1].read_bytes())
    data[300] ^= 1
    shards(folder)[1].write_bytes(data)
    found = run(diff, made(), folder)
    assert found.status == 2
    assert f"{shards(folder)[1]}, record 0 (at byte 0): the data's checksum does not hold" in found.text


def test_splits(made, copied):
    folder = copied(made())
    audio = f"--input={made().parent}/audio-1.tfrecord"
    assert extract.main([audio, f"--output={folder}", "--split=dev"]) == 0
    found = run(diff, folder, made())
    assert (found.status, found.text.splitlines()[0]) == (1, f"split dev: only in {folder}")
    assert run(diff, folder, made(), "--split=train").status == 0
    assert run(diff, folder, folder).text.splitlines()[0] == "split dev: 1 and 1 records, 1 of them equal"
    assert "2 and 2 records" in run(diff, folder, made(), "--split=train[:2]").text
    info = json.loads((folder / "dataset_info.json").read_text())
    info["splits"] = [split for split in info["splits"] if split["name"] == "dev"]
    (folder / "dataset_info.json").write_text(json.dumps(info))
    assert run(diff, folder, made()) == (
        2,
        f"melbeam: no split is in both: {folder} has dev, {made()} has train [MB507]\n",
    )


def test_what_another_split_of_the_folder_has_is_no_difference(made, copied, tmp_path):
    folder = copied(made())
    columns = {"dialect": "a field that train has not"}
    write(tmp_path / "more.tfrecord", [to_example({"audio": encode([0.1] * 8000), "id": "more", **columns})])
    more = [f"--input={tmp_path}/more.tfrecord", f"--output={folder}", "--split=more", "--on_long=chunk"]
    assert extract.main(more) == 0
    assert "dialect" in (folder / "features.json").read_text()
    for pair in ((made(), folder), (folder, made())):
        assert run(diff, *pair, "--split=train").text.endswith("they are equal\n")
    found = report(folder, folder, "--split=train+more")
    assert found["splits"]["train+more"]["columns_only_in_a"] == []
    other = report(made(), folder, "--split=train[:1]")
    assert other["splits"]["train[:1]"]["columns_only_in_b"] == []


def test_folders_of_version_1(of_version_1, copied):
    for folder in (of_version_1.mask, of_version_1.full_length):
        other = copied(folder, folder.name)
        assert index.main([str(other)]) == 0
        assert run(diff, folder, other).status == 0


@pytest.mark.slow
def test_padded_and_compact_clips_of_whisper_are_equal(made):
    padded, compact = made("--front_end=whisper"), made("--front_end=whisper", "--pad_to_max_length=off")
    for a, b in ((padded, compact), (compact, padded), (compact, compact)):
        assert run(diff, a, b).status == 0


def test_pairing_reads_each_record_but_keeps_none(made):
    """What is kept of a split is one array of hashes."""
    from melbeam.pipelines.diffing.splits import FolderRecords
    from melbeam.transforms.reading.folder import FeatureFolder
    from melbeam.transforms.reading.storage import read_file

    records = FolderRecords(FeatureFolder.open(str(made()), "train", None, read_file))
    hashes = pairs.hashes_of(records)
    assert (hashes.dtype, hashes.shape, len(np.unique(hashes))) == (np.uint64, (5,), 5)


def test_what_both_lack_is_the_same_where_one_folder_has_lists(tmp_path):
    def folder(name, *tags):
        records = [
            {"audio": wav(number), "id": f"{number}", **({"tag": tag} if tag else {})}
            for number, tag in enumerate(tags)
        ]
        write(tmp_path / name / "audio", map(to_example, records))
        assert run(extract, f"--input={tmp_path}/{name}/audio", f"--output={tmp_path}/{name}/f").status == 0
        return tmp_path / name / "f"

    scalars, lists = folder("a", "x", None), folder("b", "x", None, ["x", "y"])
    for found in (report(scalars, lists), report(lists, scalars)):
        assert found["splits"]["train"]["num_equal"] == 2
        assert found["splits"]["train"]["other_fields"] == {}
    found = report(folder("c", "y", None), lists)["splits"]["train"]
    assert found["other_fields"] == {"tag": {"count": 1, "ids": ["0"]}}
