"""Folders of features of every kind, made once, and copies of them to plant faults in."""

import json
import shutil
import struct
from types import SimpleNamespace

import google_crc32c
import pytest

from helpers import run, wav, write
from melbeam.pipelines import extract, verify
from melbeam.pipelines.tfrecord import Record, read_tfrecord_file
from melbeam.transforms import FrontEnd
from melbeam.transforms.folder_layout import ShardName, SplitFolder
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.index import encode_index
from melbeam.transforms.records.tf_example import to_example


class Folder:
    """A folder of features whose files can be changed so that reports and checksums still fit them."""

    def __init__(self, path):
        self.path = path

    def verify(self, *options):
        return run(verify, self.path, *options)

    def file(self, name):
        return self.path / name

    def split(self, shard):
        named = ShardName.parse(shard)
        return SplitFolder(str(self.path), named.split), named.index

    def edit(self, name, change):
        """Rewrites a JSON file."""
        content = json.loads(self.file(name).read_text())
        change(content)
        self.file(name).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")

    def edit_report(self, shard, change):
        folder, index = self.split(shard)
        self.edit(folder.report(index), change)

    def records(self, name):
        items = read_tfrecord_file(str(self.file(name)))
        return [item.data for item in items if isinstance(item, Record)]

    def edit_record(self, shard, number, change):
        """Changes the fields of a feature record, and index and report with it."""
        records = self.records(shard)
        records[number] = changed(records[number], change)
        self.replace_records(shard, records)

    def replace_records(self, shard, records):
        mark = write(self.file(shard), records)
        items = read_tfrecord_file(str(self.file(shard)))
        rows = [(item.offset, len(item.data), num_frames(item.data)) for item in items]
        folder, index = self.split(shard)
        if self.file(folder.index(index)).exists():
            self.replace_index(shard, encode_index(rows), len(rows))
        self.edit_report(shard, lambda report: report.update(features=mark))

    def replace_index(self, shard, data, num_records):
        folder, index = self.split(shard)
        self.file(folder.index(index)).write_bytes(data)
        mark = {"num_records": num_records, "size": len(data), "crc32c": google_crc32c.value(data)}
        self.edit_report(shard, lambda report: report.update(index_file=mark))

    def edit_reject(self, shard, number, change):
        folder, index = self.split(shard)
        records = self.records(folder.rejects(index))
        records[number] = changed(records[number], change)
        mark = write(self.file(folder.rejects(index)), records)
        self.edit_report(shard, lambda report: report.update(rejected=mark))


def changed(record, change):
    example = Example.FromString(record)
    change(example.features.feature)
    return example.SerializeToString(deterministic=True)


def num_frames(record):
    values = Example.FromString(record).features.feature["num_frames"].int64_list.value
    return values[0] if values else 0


def extracted(folder, split, *options):
    status, said = run(
        extract,
        f"--input={folder}/{split}-*",
        f"--output={folder}/features",
        f"--split={split}",
        "--max_reject_fraction=1",
        *options,
    )
    assert status == 0, said


def written_front_end(folder, name, **changes):
    front_end = FrontEnd.load(name).replace(name="short", **changes)
    (folder / "front_end.yaml").write_text(front_end.to_yaml())
    return f"--front_end={folder}/front_end.yaml"


@pytest.fixture(scope="session")
def made_with_a_mask(tmp_path_factory):
    """Splits train (two shards, with rejects and damage), chunks and cut, of a front end that takes 0.2 s."""
    folder = tmp_path_factory.mktemp("mask")
    front_end = written_front_end(folder, "gemma4", max_audio_length=0.2)
    for shard in range(2):
        seeds = [10 * shard + i for i in range(3)]
        clips = [{"audio": wav(seed), "id": f"clip-{seed}", "text": "three words here"} for seed in seeds]
        clips[2]["speaker"] = 7
        clips += [{"id": f"silent-{shard}", "text": "no"}, {"audio": wav(1, 0.001), "id": f"short-{shard}"}]
        clips += [{"audio": wav(5 + shard, rate=8000), "id": f"telephone-{shard}", "text": "one"}]
        write(folder / f"train-{shard}", [to_example(clip) for clip in clips])
    with open(folder / "train-1", "ab") as file:
        file.write(struct.pack("<Q", 5) + b"no length, no checksum")
    write(folder / "chunks-0", [to_example({"audio": wav(50, 0.5), "id": "long", "text": "uncut"})])
    write(
        folder / "cut-0",
        [to_example({"audio": wav(60 + i, s), "id": f"cut-{i}"}) for i, s in ((0, 0.5), (1, 0.1))],
    )
    extracted(folder, "train", front_end)
    extracted(folder, "chunks", front_end, "--on_long=chunk")
    extracted(folder, "cut", front_end, "--on_long=truncate")
    return folder / "features"


@pytest.fixture(scope="session")
def made_without_a_mask(tmp_path_factory):
    """Splits padded and compact, of a front end whose model takes 0.5 s, whatever the clip's length."""
    folder = tmp_path_factory.mktemp("full_length")
    front_end = written_front_end(folder, "whisper", max_audio_length=0.5)
    for split, padding in (("padded", "auto"), ("compact", "off")):
        clips = [{"audio": wav(i, 0.1 + 0.1 * i), "id": f"{split}-{i}"} for i in range(3)]
        write(folder / f"{split}-0", [to_example(clip) for clip in clips])
        extracted(folder, split, front_end, f"--pad_to_max_length={padding}")
    return folder / "features"


@pytest.fixture
def folder(made_with_a_mask, tmp_path):
    """A copy to plant faults in; the sources stay where the plan says."""
    return Folder(shutil.copytree(made_with_a_mask, tmp_path / "features"))


@pytest.fixture
def full_length_folder(made_without_a_mask, tmp_path):
    """A copy of a folder whose model takes no mask."""
    return Folder(shutil.copytree(made_without_a_mask, tmp_path / "full_length"))


@pytest.fixture(scope="session")
def folders():
    """The functions of this module, for tests that make folders of their own."""
    return SimpleNamespace(extracted=extracted, Folder=Folder)
