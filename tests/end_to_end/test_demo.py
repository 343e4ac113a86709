"""The demo: what it makes, and what it tells somebody who sees melbeam for the first time."""

import contextlib
import io
import json
import re
import shlex

import numpy as np
import pytest

from melbeam.pipelines import cli, demo
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
        r"^1\. .*melbeam extract",
        r"13 records read = 8 converted \+ 5 rejected",
        r"25\.\d s of audio in ",
        r"^2\. .*melbeam rejects",
        r"^09-cut\.flac\n  bad_audio: a cut FLAC: ",
        r"^10-too-long\.flac\n  too_long: 36\.\d+ s, the front end takes 30\.0 s",
        r"^11-click\.wav\n  too_short: 80 samples at 16000 Hz",
        r"^12-no-text\.wav\n  no_text: an empty feature 'text'",
        r"^13-gone\.wav\n  not_found: .*13-gone\.wav is not there",
        r"^3\. .*melbeam retry-rejects",
        r"5 records read = 1 converted \+ 4 rejected",
        r"changed: 1 chunked: 10-too-long\.flac",
        r"^4\. .*read_features",
        r"a batch of 4 clips: input_features \(4, \d+, 128\)",
        r'the first: 01-morning\.wav, "Good morning\. These features were computed once\."',
        r"^5\. .*melbeam report",
        r"train: 8 clips, 25\.\d s, as log-mel features; 5 rejects",
        r"train_retried: 2 chunks of the clip that was too long",
        r"features/1\.0\.0/report\.html  what there is to see and hear",
        r"log-mel\.png +the features of 01-morning\.wav",
    ):
        assert re.search(pattern, said, re.MULTILINE), (pattern, said)
    assert f"Made in {folder}:" in said


def test_the_next_commands_can_be_parsed(ran):
    _, _, tail = ran[1].partition("Next, with your own files:\n")
    commands = [line.strip() for line in tail.splitlines()]
    # With the folder of the command where that is not on the PATH.
    names = [[command.split()[0].rsplit("/", 1)[-1], command.split()[1]] for command in commands]
    assert names == [["melbeam", "extract"], ["melbeam", "report"], ["python", "-c"]]
    for command in commands[:2]:
        _, job, *arguments = shlex.split(command)
        assert cli.command_of(job).parse(arguments)
    snippet = re.search(r'python -c "(.*)"', commands[2]).group(1)
    exec(compile(snippet.replace("my-features", f"{ran[2]}/features"), "demo", "exec"), {})


def test_the_picture_is_not_blank(ran):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pixels = pyplot.imread(ran[2] / "log-mel.png")
    assert pixels.shape[0] > 200
    assert pixels.shape[1] > 500
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 200
    inside = pixels[len(pixels) // 4 : len(pixels) // 2, pixels.shape[1] // 4 : pixels.shape[1] // 2, :3]
    assert inside.std() > 0.05


def test_the_report_has_what_was_made(ran):
    pytest.importorskip("matplotlib")
    page = (ran[2] / "features/1.0.0/report.html").read_text(encoding="utf-8")
    cells = {"Clips": ("8", "2"), "Records read": ("13", "5"), "Rejected": ("5", "4")}
    for title, (train, retried) in cells.items():
        assert f'<th scope="row">{title}</th><td>{train}</td><td>{retried}</td>' in page
    assert page.count('aria-label="Log-mel features of ') == 8 + 2
    assert page.count("<audio controls") == 8 + 2
    assert not re.search(r"(src|href)=.https?:", page)


def test_the_features_are_those_of_the_clips(ran):
    clips = list(read_features(ran[2] / "features/1.0.0"))
    names = sorted(path.name for path in (ran[2] / "clips").iterdir())
    assert names[8:] == ["09-cut.flac", "10-too-long.flac", "11-click.wav", "12-no-text.wav", "transcripts.csv"]
    names = names[:8]
    assert [clip["id"].numpy().decode() for clip in clips] == names
    assert all(np.ptp(clip["input_features"]) > 3 for clip in clips)
    summary = json.loads((ran[2] / "features/1.0.0/_melbeam/train/summary.json").read_text())
    assert summary["statistics"]["num_frames"] == sum(int(clip["num_frames"]) for clip in clips)


def test_it_can_be_run_again_in_its_own_folder_and_touches_nothing_else_there(ran, capsys):
    names = ("clips/stray.wav", "features/notes", "features/1.0.0/mine")
    mine = [ran[2] / name for name in names]
    for path in mine:
        path.write_bytes(b"mine")
    assert demo.main([f"--output={ran[2]}"]) == 0
    assert "13 records read = 8 converted + 5 rejected" in capsys.readouterr().out
    assert [path.read_bytes() for path in mine] == [b"mine"] * 3


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
