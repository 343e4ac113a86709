"""What is no fault of a folder, but what whoever reads it wants to know: warnings, with counts and ids."""

import pytest

from helpers import wav, write
from melbeam.pipelines.split.metadata import read_summaries
from melbeam.pipelines.split.mixed_fields import mixed_field_lines
from melbeam.pipelines.verifying.findings import Findings
from melbeam.pipelines.verifying.ids import check_ids
from melbeam.transforms import FrontEnd
from melbeam.transforms.records.tf_example import to_example


def warnings(said):
    return [line for line in said.splitlines() if line.startswith("warning: ")]


@pytest.fixture
def extract_clips(tmp_path, folders):
    """Extracts clips into a split of one folder, and gives it."""

    def extract(split, clips, *options):
        write(tmp_path / f"{split}-0", [to_example(clip) for clip in clips])
        folders.extracted(tmp_path, split, *options)
        return folders.Folder(tmp_path / "features")

    return extract


class TestAFieldOfMixedType:
    def test_within_a_split(self, extract_clips):
        clips = [{"audio": wav(i), "id": f"clip-{i}", "text": "a"} for i in range(8)]
        clips[3]["text"], clips[4]["text"] = 3, 4
        folder = extract_clips("train", clips)
        status, said = folder.verify()
        assert (status, len(warnings(said))) == (0, 1), said
        assert (
            "field 'text' is not of one type: split train has bytes in 6 records (id for example clip-0, clip-1, "
            "clip-2, clip-5, clip-6) and int64 in 2 records (id clip-3, clip-4); no reader gets it"
        ) in said

    def test_between_splits(self, extract_clips):
        extract_clips("train", [{"audio": wav(1), "id": "a", "speaker": 1}])
        folder = extract_clips("test", [{"audio": wav(2), "id": "b", "speaker": "ada"}])
        status, said = folder.verify()
        assert (status, len(warnings(said))) == (0, 1), said
        assert "split test has bytes in 1 record (id b); split train has int64 in 1 record (id a)" in said

    def test_the_lines_are_extracts_too(self, extract_clips):
        clips = [{"audio": wav(i), "text": text} for i, text in enumerate(["a", 1])]
        folder = extract_clips("train", clips)
        lines = mixed_field_lines(read_summaries(str(folder.path)), FrontEnd.load("gemma4"))
        assert list(lines) == ["text"]
        assert "bytes in 1 record (id " in lines["text"]

    def test_a_field_of_one_type_has_no_line(self, folder):
        assert mixed_field_lines(read_summaries(str(folder.path)), FrontEnd.load("gemma4")) == {}


class TestIdsInTwoSplits:
    def test_given_ids(self, extract_clips):
        extract_clips("train", [{"audio": wav(i), "id": f"clip-{i}"} for i in range(8)])
        folder = extract_clips("test", [{"audio": wav(9 + i), "id": f"clip-{i}"} for i in range(1, 8)])
        status, said = folder.verify()
        (warning,) = warnings(said)
        assert (status, "test and train: 7 given ids in both: for example clip-" in warning) == (
            0,
            True,
        )
        assert (
            warning.count("test-00000-of-00001.tfrecord#") == warning.count("train-00000-of-00001.tfrecord#") == 5
        )

    def test_the_same_audio(self, extract_clips):
        extract_clips("train", [{"audio": wav(i)} for i in range(3)])
        folder = extract_clips("test", [{"audio": wav(i)} for i in range(2)])
        status, said = folder.verify()
        (warning,) = warnings(said)
        assert (status, "test and train: 2 default ids (hashes of the same audio) in both: " in warning) == (
            0,
            True,
        ), said

    def test_a_clip_and_its_chunks(self, extract_clips):
        clip = {"audio": wav(1, 31.0), "id": "long"}
        extract_clips("train", [clip], "--on_long=chunk")
        folder = extract_clips("test", [clip], "--on_long=truncate")
        (warning,) = warnings(folder.verify()[1])
        assert "test and train: 1 given id in both: long (" in warning

    def test_three_splits_are_compared_in_pairs(self, tmp_path):
        findings = Findings()
        check_ids({name: [] for name in ("a", "b", "c")}, findings)
        assert (findings.count("warnings"), findings.count("faults")) == (0, 0)

    def test_a_split_and_its_retried_rejects_are_one(self, extract_clips):
        clip = {"audio": wav(1), "id": "one"}
        for split in ("train", "train_retried", "other"):
            folder = extract_clips(split, [clip])
        status, said = folder.verify()
        faults = [line for line in said.splitlines() if line.startswith("FAULT: ")]
        assert (status, len(faults), len(warnings(said))) == (1, 1, 1), said
        assert "train+train_retried: id 'one' is given more than once" in faults[0]
        assert "other and train+train_retried: 1 given id in both: one (" in warnings(said)[0]
