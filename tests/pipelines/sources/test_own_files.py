"""An output that lies in the folder of the input: what was written there is no input of the same command again."""

import json
import os
from pathlib import Path

import pytest

from helpers import run, wav
from melbeam.pipelines import extract, ingest
from melbeam.pipelines.refusals import UsageError
from melbeam.pipelines.sources.planning import plan_units
from melbeam.pipelines.sources.units import SourceOptions
from melbeam.transforms.folder_layout import SplitFolder

OPTIONS = ["--runner=FnApiRunner"]


def paths_of(pattern, output, *splits):
    own = [SplitFolder(output, split) for split in splits]
    units = plan_units([pattern], SourceOptions(own=own)).units
    return sorted(path for unit in units for path in unit.files or [unit.path])


def made(folder, split, *, of_ingest=False):
    """What a job leaves, as far as names tell it."""
    bookkeeping = folder / "_melbeam" / split
    bookkeeping.mkdir(parents=True)
    identity = {"ingest_version": 1} if of_ingest else {"record_version": 2}
    (bookkeeping / "job.json").write_text(json.dumps({"identity": identity}))
    (bookkeeping / "plan.jsonl").write_text("")
    names = [f"{split}-00000-of-00001.tfrecord"]
    if not of_ingest:
        (folder / "records").mkdir(exist_ok=True)
        names += [f"records/{split}-00000-of-00001.parquet", "features.json", "dataset_info.json", "README.md"]
    for name in names:
        (folder / name).write_bytes(b"x")


@pytest.fixture
def clips(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("corpus/later").mkdir(parents=True)
    for name in ("a.wav", "later/b.wav"):
        Path("corpus", name).write_bytes(b"RIFF")
    return Path("corpus")


@pytest.mark.parametrize("pattern", ["corpus", "corpus/", "corpus/**", "./corpus", "{here}/corpus"])
@pytest.mark.parametrize("output", ["corpus/features", "./corpus/features", "{here}/corpus/features", "corpus"])
def test_features_below_the_input_are_none_of_it(clips, pattern, output):
    pattern, output = (text.format(here=os.getcwd()) for text in (pattern, output))
    before = paths_of(pattern, output, "train")
    assert [path.rpartition("corpus/")[2] for path in before] == ["a.wav", "later/b.wav"]
    made(Path(output), "train")
    made(Path(output), "test")
    assert paths_of(pattern, output, "train") == before
    assert paths_of(pattern, output, "third") == before


def test_clips_of_the_users_own_in_the_output_stay(clips):
    made(clips / "later", "train")
    assert paths_of("corpus", "corpus/later", "train") == ["corpus/a.wav", "corpus/later/b.wav"]


def test_where_one_stands(clips, monkeypatch):
    monkeypatch.chdir(clips)
    made(Path("features/1.0.0"), "train")
    for pattern in (".", "**", "./**"):
        paths = paths_of(pattern, "features/1.0.0", "train")
        assert [os.path.normpath(path) for path in paths] == ["a.wav", "later/b.wav"]


def test_audio_that_ingest_wrote_into_the_folder_is_input_of_another_split(tmp_path):
    made(tmp_path, "train", of_ingest=True)
    (shard,) = tmp_path.glob("*.tfrecord")
    assert paths_of(str(tmp_path), str(tmp_path), "features") == [str(shard)]


def test_nothing_else_than_what_was_written_is_a_wrong_call(clips):
    made(clips / "features", "train")
    said = "--input=corpus/features names only what a job wrote into --output=corpus/features: name the audio"
    with pytest.raises(UsageError, match=said):
        paths_of("corpus/features", "corpus/features", "train")


def test_features_of_another_folder_are_told_beside_the_clips(clips):
    made(clips / "features", "train")
    with pytest.raises(UsageError, match=r"; corpus/features is what a melbeam job wrote: leave it out by a glob"):
        paths_of("corpus", "elsewhere", "train")


@pytest.mark.parametrize("job", [extract, ingest])
def test_the_same_command_goes_on(tmp_path, monkeypatch, job):
    monkeypatch.chdir(tmp_path)
    Path("a.wav").write_bytes(wav())
    command = ["--input=.", "--output=made/1.0.0", *OPTIONS]
    assert run(job, *command)[0] == 0
    status, said = run(job, *command)
    assert status == 0
    assert "done by an earlier start" in said
