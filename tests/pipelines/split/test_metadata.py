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
