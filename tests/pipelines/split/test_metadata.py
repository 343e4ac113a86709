"""The metadata of a folder whose splits end at the same moment."""

import json

from melbeam.pipelines import files
from melbeam.pipelines.split.metadata import write_metadata
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.options import RecordOptions


def test_no_split_is_lost_of_two_that_end_at_once(tmp_path, monkeypatch):
    def end(split):
        folder = SplitFolder(str(tmp_path), split)
        files.ensure_folder(folder.summary)
        write_metadata(folder, SplitSummary(shard_features={0: 1}), FrontEnd.load("gemma4"), RecordOptions())

    write = files.write_json

    def write_late(path, value, **options):
        """The first split has read the summaries; the other one ends before it writes."""
        if path.endswith("front_end.json"):
            monkeypatch.setattr(files, "write_json", write)
            end("test")
        write(path, value, **options)

    monkeypatch.setattr(files, "write_json", write_late)
    end("train")
    splits = json.loads((tmp_path / "dataset_info.json").read_text())["splits"]
    assert [split["name"] for split in splits] == ["test", "train"]
    assert sorted(json.loads((tmp_path / "statistics.json").read_text())["splits"]) == ["test", "train"]


def end_of(tmp_path, split="train", **counts):
    folder = SplitFolder(str(tmp_path), split)
    files.ensure_folder(folder.summary)
    summary = SplitSummary(shard_features={0: 1}, shards_with_table=1, **counts)
    write_metadata(folder, summary, FrontEnd.load("gemma4"), RecordOptions())


def test_what_the_owner_adds_to_croissant_stays(tmp_path):
    end_of(tmp_path)
    path = tmp_path / "croissant.json"
    written = json.loads(path.read_text())
    added = {
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "creator": {"@type": "Person", "name": "A"},
    }
    path.write_text(json.dumps({**written, **added, "name": "another"}))
    end_of(tmp_path, "dev")
    found = json.loads(path.read_text())
    assert {name: found[name] for name in added} == added
    assert found["name"] == "melbeam_features"
    tables = found["distribution"][0]["includes"]
    assert tables == ["records/dev-*-of-*.parquet", "records/train-*-of-*.parquet"]
    path.write_text("torn")
    end_of(tmp_path, "dev")
    assert json.loads(path.read_text()).keys() == written.keys()


def test_splits_without_tables_are_not_in_croissant(tmp_path):
    folder = SplitFolder(str(tmp_path), "old")
    files.ensure_folder(folder.summary)
    summary = SplitSummary(shard_features={0: 1, 1: 2}, shards_with_table=1)
    write_metadata(folder, summary, FrontEnd.load("gemma4"), RecordOptions())
    assert not (tmp_path / "croissant.json").exists()
    end_of(tmp_path)
    tables, features = json.loads((tmp_path / "croissant.json").read_text())["distribution"]
    assert tables["includes"] == "records/train-*-of-*.parquet"
    assert features["includes"] == ["old-*-of-*.tfrecord", "train-*-of-*.tfrecord"]


def test_an_edited_card_stays_and_another_one_is_kept_up(tmp_path):
    end_of(tmp_path, num_features=5)
    path = tmp_path / "README.md"
    assert "| train | 5 |" in path.read_text()
    end_of(tmp_path, num_features=7)
    assert "| train | 7 |" in path.read_text()
    edited = path.read_text().replace("# language: of the speech, [en] for example", "language: [de]")
    path.write_text(edited)
    end_of(tmp_path, num_features=9)
    assert path.read_text() == edited
