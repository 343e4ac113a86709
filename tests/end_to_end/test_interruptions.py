"""Ctrl-C here, and where the job runs elsewhere: nothing looks like a crash, and nobody's work is written over."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState

from helpers import run, tree, wav, write
from melbeam.pipelines import extract
from melbeam.pipelines.extracting.attempts import stopped_by_interruption
from melbeam.pipelines.extracting.progress_file import Progress
from melbeam.transforms.records.tf_example import to_example


def write_input(folder, num_shards, num_records, seconds):
    audio = wav(seconds=seconds)
    for shard in range(num_shards):
        records = [to_example({"audio": audio, "id": f"{shard}-{number}"}) for number in range(num_records)]
        write(folder / f"part-{shard}", records)
    return f"{folder}/part-*"


class Elsewhere(PipelineResult):
    """A run that the launcher's waiting does not end with."""

    def __init__(self, pipeline, options):
        super().__init__(PipelineState.RUNNING)
        self._pipeline, self._options = pipeline, options

    @property
    def state(self):
        return self._state

    def wait_until_finish(self, duration=None):
        raise KeyboardInterrupt

    def cancel(self):
        if not ElsewhereRunner.can_cancel:
            raise ConnectionError("the service does not answer")
        self._state = PipelineState.CANCELLED

    def go_on(self):
        with stopped_by_interruption():
            FnApiRunner().run_pipeline(self._pipeline, self._options)


class ElsewhereRunner(PipelineRunner):
    """Takes a job, and does it when the test says so."""

    can_cancel = True
    runs: list[Elsewhere] = []  # noqa: RUF012

    def run_pipeline(self, pipeline, options):
        self.runs.append(Elsewhere(pipeline, options))
        return self.runs[-1]


@pytest.fixture
def elsewhere(monkeypatch):
    """The option that names the runner, which lives in this module under a name that can be imported."""
    monkeypatch.setitem(sys.modules, "elsewhere", sys.modules[__name__])
    ElsewhereRunner.runs.clear()
    ElsewhereRunner.can_cancel = True
    return "--runner=elsewhere.ElsewhereRunner"


class TestOnARunnerElsewhere:
    @pytest.fixture
    def source(self, tmp_path):
        return write_input(tmp_path / "in", 2, 3, 0.5)

    def test_the_job_is_cancelled_and_leaves_neither_a_lock_nor_the_mark_of_a_crash(
        self, source, tmp_path, elsewhere, monkeypatch
    ):
        folder = tmp_path / "features"
        crashed = folder / "_melbeam/train/tmp/00000/before.progress"
        crashed.parent.mkdir(parents=True)
        crashed.write_text("1")
        at_work = folder / "_melbeam/train/tmp/00001/now.progress"

        def cut_off(self, duration=None):
            at_work.parent.mkdir()
            at_work.write_text("1")
            raise KeyboardInterrupt

        monkeypatch.setattr(Elsewhere, "wait_until_finish", cut_off)
        status, said = run(extract, f"--input={source}", f"--output={folder}", elsewhere)
        assert (status, "the job is being cancelled" in said) == (1, True), said
        assert ElsewhereRunner.runs[0].state == PipelineState.CANCELLED
        assert not (folder / "_melbeam/train/lock.json").exists()
        assert (crashed.exists(), at_work.exists()) == (True, False)

    def test_one_that_cannot_be_cancelled_keeps_the_lock_until_it_ends(self, source, tmp_path, elsewhere):
        folder, undisturbed = tmp_path / "features", tmp_path / "undisturbed"
        ElsewhereRunner.can_cancel = False
        command = (f"--input={source}", f"--output={folder}")
        status, said = run(extract, *command, elsewhere)
        lock = folder / "_melbeam/train/lock.json"
        assert (status, f"its lock stays, {lock}" in said, "does not answer" in said) == (1, True, True), said
        refused = run(extract, *command)
        assert (refused[0], f"if it has ended, remove {lock}" in refused[1]) == (2, True), refused
        ElsewhereRunner.runs[0].go_on()
        assert not lock.exists()
        assert run(extract, f"--input={source}", f"--output={undisturbed}")[0] == 0
        assert tree(folder) == tree(undisturbed)

    def test_one_that_goes_on_late_changes_nothing_of_another_job(self, source, tmp_path, elsewhere):
        """It had all its shards still to do, and both jobs name them alike."""
        folder = tmp_path / "features"
        ElsewhereRunner.can_cancel = False
        command = (f"--input={source}", f"--output={folder}")
        assert run(extract, *command, elsewhere)[0] == 1
        (folder / "_melbeam/train/lock.json").unlink()
        assert run(extract, *command, "--dtype=float16", "--overwrite")[0] == 0
        before = tree(folder)
        with pytest.raises(RuntimeError, match="split 'train' is another job's by now"):
            ElsewhereRunner.runs[0].go_on()
        assert {name: data for name, data in tree(folder).items() if "/tmp/" not in name} == before

    def test_a_lost_connection_cancels_too(self, source, tmp_path, elsewhere, monkeypatch):
        def lost(self, duration=None):
            raise ConnectionError("lost")

        monkeypatch.setattr(Elsewhere, "wait_until_finish", lost)
        status, said = run(extract, f"--input={source}", f"--output={tmp_path / 'features'}", elsewhere)
        assert (status, "the job failed: lost" in said) == (1, True), said
        assert ElsewhereRunner.runs[0].state == PipelineState.CANCELLED


MODES = {
    "multi_threading": ["--direct_running_mode=multi_threading", "--direct_num_workers=2"],
    "multi_processing": ["--direct_running_mode=multi_processing", "--direct_num_workers=2"],
}


def seconds_done(path):
    """Seconds of audio that an attempt's progress file tells; 0 while it is being written."""
    with contextlib.suppress(ValueError, FileNotFoundError):
        return Progress.parse(path.read_text()).seconds
    return 0


@pytest.mark.slow
@pytest.mark.usefixtures("heeds_hangups")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("mode", MODES)
def test_ctrl_c_in_the_middle_of_shards(tmp_path, mode, number):
    """The shards that were at work are done again as any other: not in isolation, as after a crash."""
    source = write_input(tmp_path / "in", 2, 200, 20)
    folder = tmp_path / "features"
    command = [sys.executable, "-m", "melbeam.pipelines.cli", "extract", f"--input={source}", f"--output={folder}"]
    process = subprocess.Popen(
        [*command, *MODES[mode]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    progress = folder / "_melbeam/train/tmp"
    deadline = time.monotonic() + 120
    while not any(seconds_done(path) > 0 for path in progress.glob("*/*.progress")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, number)  # as a terminal does
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 1, said
    assert "interrupted" in said
    assert "terminate called" not in said
    assert "Traceback" not in said
    assert not (folder / "_melbeam/train/lock.json").exists()
    assert not list(progress.glob("*/*.progress"))
    again = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stderr
    assert "never ended" not in again.stderr
    assert sum(1 for _ in Path(folder).glob("train-*")) == 2
