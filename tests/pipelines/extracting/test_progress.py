"""What a local run shows of its progress: plain lines where there is no terminal, else a bar."""

import io
import json
import re
import sys
import time

import pytest

from melbeam.pipelines import files
from melbeam.pipelines.extracting.progress import ProgressBar
from melbeam.pipelines.extracting.progress_file import Progress, ProgressFile
from melbeam.pipelines.sources.units import Unit
from melbeam.pipelines.split.plan import Shard
from melbeam.transforms.folder_layout import SplitFolder

SHARDS = [Shard(i, 3, Unit(f"/audio/{i}", 1000)) for i in range(3)]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def folder(tmp_path):
    for name in ("reports", "rejects", *(f"tmp/{i:05d}" for i in range(3))):
        (tmp_path / f"_melbeam/train/{name}").mkdir(parents=True)
    return SplitFolder(str(tmp_path), "train")


def finish(folder, index, seconds):
    files.write_json(folder.report(index), {"num_samples": 16000 * seconds})


def progress(folder, index, text):
    with open(folder.temporary(index, "abc", "progress"), "w") as file:
        file.write(text)


def test_without_a_terminal_the_end_is_one_plain_line(folder, capsys):
    with ProgressBar(folder, SHARDS, 16000):
        for index in range(3):
            finish(folder, index, 3600)
    assert re.fullmatch(
        r"melbeam: 3 of 3 shards, 2\.9 KiB of 2\.9 KiB, 3 h of audio, \d+ times real time\n",
        capsys.readouterr().err,
    )


def test_lines_come_while_it_runs_and_move_within_a_shard(folder, capsys, monkeypatch):
    monkeypatch.setattr("melbeam.pipelines.extracting.progress._PLAIN_SECONDS", 0.05)
    finish(folder, 0, 1800)
    with ProgressBar(folder, SHARDS, 16000) as bar:
        progress(folder, 1, "[40.0, 500]")
        said = ""
        deadline = time.monotonic() + 20
        while "left" not in said:
            said += capsys.readouterr().err
            assert time.monotonic() < deadline
            bar._thread.join(0.01)
    last = next(line for line in said.splitlines() if "left" in line)
    figures = r"melbeam: 1 of 3 shards, 1\.5 KiB of 2\.9 KiB, 30 min 40 s of audio, \d+ times real time, .+ left"
    assert re.fullmatch(figures, last)
    assert not re.search("[\r\x1b]", said)


def test_a_resumed_job_does_not_count_what_was_there_as_its_speed(folder, capsys):
    finish(folder, 0, 10**9)
    with ProgressBar(folder, SHARDS, 16000):
        pass
    said = capsys.readouterr().err
    assert "times real time" not in said
    assert "left" not in said


def test_running_attempts_count_once_and_finished_ones_by_their_report(folder):
    bar = ProgressBar(folder, SHARDS, 16000)
    assert bar.done() == Progress(0, 0)
    progress(folder, 1, "[40.0, 700]")
    assert bar.done() == Progress(40, 700)
    finish(folder, 0, 100)
    assert bar.done() == Progress(140, 1700)
    with open(folder.temporary(1, "abc", "report"), "w") as file:
        json.dump({"num_samples": 16000 * 60}, file)
    assert bar.done() == Progress(160, 2000)
    finish(folder, 1, 60)
    assert bar.done() == Progress(160, 2000)


def test_an_attempt_never_shows_more_bytes_than_its_shard_has(folder):
    progress(folder, 1, "[40.0, 123456]")  # inflated
    assert ProgressBar(folder, SHARDS, 16000).done() == Progress(40, 1000)


def test_what_an_attempt_writes_is_what_is_read(folder):
    path = folder.temporary(2, "abc", "progress")
    file = ProgressFile(path)
    file.start()
    assert ProgressBar(folder, SHARDS, 16000).done() == Progress(0, 0)
    file.update(Progress(2.5, 80))
    assert ProgressBar(folder, SHARDS, 16000).done() == Progress(2.5, 80)


@pytest.mark.parametrize("text", ["", "{", "nonsense", "1.5", "[1]", "[1, 2", "null"])
def test_half_written_files_do_not_disturb(folder, text):
    progress(folder, 1, text)
    files.write_bytes(folder.report(2), text.encode())
    files.write_bytes(f"{folder.bookkeeping}/reports/00000.json.0a1b2c3d.tmp", text.encode())
    assert ProgressBar(folder, SHARDS, 16000).done() == Progress()


def test_a_terminal_gets_a_bar(folder, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressBar(folder, SHARDS, 16000):
        for index in range(3):
            finish(folder, index, 3600)
    assert "100%|" in terminal.getvalue()
    assert "100%|##########| 3 of 3 shards, 2.9 KiB of 2.9 KiB, 3 h of audio" in terminal.getvalue()


def test_a_failed_job_ends_its_thread_and_says_nothing(folder, capsys):
    bar = ProgressBar(folder, SHARDS, 16000)
    with pytest.raises(RuntimeError), bar:
        raise RuntimeError("the job failed")
    assert not bar._thread.is_alive()
    assert capsys.readouterr().err == ""
