"""The demo: what it makes, and what it tells somebody who sees melbeam for the first time."""

import contextlib
import io
import json
import re

import numpy as np
import pytest

from melbeam.pipelines import demo
from melbeam.transforms import read_features


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A demo's status, what it printed, and its folder."""
    folder, said = tmp_path_factory.mktemp("demo") / "out", io.StringIO()
    with contextlib.redirect_stdout(said):
        status = demo.main([f"--output={folder}"])
    return status, said.getvalue(), folder


def test_it_tells_what_was_made(ran):
    status, said, folder = ran
    assert status == 0
    for pattern in (
        r"^1\. .*melbeam ingest",
        r"^2\. .*melbeam extract",
        r"9 records read = 8 converted \+ 1 rejected",
        r"25\.\d s of audio in ",
        r"^3\. .*melbeam rejects",
        r"^09-cut\.flac\n  bad_audio: a cut FLAC: ",
        r"^4\. .*read_features",
        r"a batch of 4 clips: input_features \(4, \d+, 128\)",
        r'the first: 01-morning\.wav, "Good morning\. These features were computed once\."',
        r"9 clips as audio TFRecords",
        r"8 clips, 25\.\d s, as log-mel features; 1 reject \(bad_audio\)",
        r"log-mel\.png +the features of 01-morning\.wav",
    ):
        assert re.search(pattern, said, re.MULTILINE), (pattern, said)
    assert f"Made in {folder}:" in said


def test_the_next_commands_can_be_parsed(ran):
    _, _, tail = ran[1].partition("Next:\n")
    commands = [line.strip() for line in tail.splitlines()]
    # With the folder of the command where that is not on the PATH.
    names = [[command.split()[0].rsplit("/", 1)[-1], command.split()[1]] for command in commands]
    assert names == [["melbeam", "ingest"], ["melbeam", "extract"], ["python", "-c"]]
    snippet = re.search(r'python -c "(.*)"', commands[2]).group(1)
    exec(compile(snippet, "demo", "exec"), {})


def test_the_picture_is_not_blank(ran):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pixels = pyplot.imread(ran[2] / "log-mel.png")
    assert pixels.shape[0] > 200
    assert pixels.shape[1] > 500
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 200
    inside = pixels[len(pixels) // 4 : len(pixels) // 2, pixels.shape[1] // 4 : pixels.shape[1] // 2, :3]
    assert inside.std() > 0.05


def test_the_features_are_those_of_the_clips(ran):
    clips = list(read_features(ran[2] / "features/1.0.0"))
    names = sorted(path.name for path in (ran[2] / "clips").iterdir())
    assert names[-2:] == ["09-cut.flac", "transcripts.csv"]
    names = names[:-2]
    assert [clip["id"].numpy().decode() for clip in clips] == names
    assert all(np.ptp(clip["input_features"]) > 3 for clip in clips)
    summary = json.loads((ran[2] / "features/1.0.0/_melbeam/train/summary.json").read_text())
    assert summary["statistics"]["num_frames"] == sum(int(clip["num_frames"]) for clip in clips)


def test_it_can_be_run_again_in_its_own_folder_and_touches_nothing_else_there(ran, capsys):
    names = ("clips/stray.wav", "audio/train.txt", "features/notes", "features/1.0.0/mine")
    mine = [ran[2] / name for name in names]
    for path in mine:
        path.write_bytes(b"mine")
    assert demo.main([f"--output={ran[2]}"]) == 0
    assert "9 records read = 8 converted + 1 rejected" in capsys.readouterr().out
    assert [path.read_bytes() for path in mine] == [b"mine"] * 4


@pytest.mark.parametrize("name", ["clips/a.wav", "features/1.0.0/train-00000-of-00001.tfrecord", "notes.txt"])
def test_a_folder_that_no_demo_made_is_refused_and_left_as_it_is(tmp_path, capsys, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"mine")
    assert demo.main([f"--output={tmp_path}"]) == 2
    said = capsys.readouterr().err
    assert "holds files that no demo made" in said
    assert "name a folder that is not there yet" in said
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]


def test_a_file_is_no_folder(tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"mine")
    assert demo.main([f"--output={tmp_path}/file"]) == 2
    assert "is a file: name a folder" in capsys.readouterr().err
