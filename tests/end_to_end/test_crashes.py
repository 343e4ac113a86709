"""Jobs killed anywhere, full disks, folders and inputs that change: nothing half said, nothing lost."""

import contextlib
import itertools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers import clip, tree, which_file, write
from melbeam.pipelines import extract

pytestmark = pytest.mark.slow

NUM_SHARDS, NUM_RECORDS = 12, 6
SEED = 2026
KILLS = {"in_memory": 9, "multi_threading": 9, "multi_processing": 4}
MOST_KILLS_OF_ONE_JOB = 4  # then it is left to end
# Seconds from a job's first file on: all shards take about one; a shard in isolation several.
LONGEST_WAITS = [1, 1, 5]
MODES = {
    "in_memory": ["--direct_running_mode=in_memory", "--direct_num_workers=1"],
    "multi_threading": ["--direct_running_mode=multi_threading", "--direct_num_workers=2"],
    "multi_processing": ["--direct_running_mode=multi_processing", "--direct_num_workers=2"],
}


def write_input(folder, *shards):
    for index, records in enumerate(shards):
        write(folder / f"part-{index:02d}", records)
    return f"{folder}/part-*"


def run_program(source, output, *arguments, python=(sys.executable,), program=("-m", "melbeam.pipelines.extract")):
    """This runs a job in a process of its own, and gives its exit status, and its stdout and stderr."""
    arguments = [f"--input={source}", f"--output={output}", "--max_reject_fraction=1", *arguments]
    done = subprocess.run(
        [*python, *program, *arguments], capture_output=True, text=True, timeout=200, check=False
    )
    return done.returncode, done.stdout + done.stderr


def kill_all(job):
    """The job and its workers, at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(job.pid, signal.SIGKILL)
    job.communicate()


def workers(job):
    """The process ids of the job's workers (multi_processing): all others of its session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it is gone
            continue
        state, session, pid = fields[0], int(fields[3]), int(path.parent.name)
        if session == job.pid and pid != job.pid and state != "Z":
            found.append(pid)
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    rng = random.Random(SEED)
    shards = [
        [clip(f"{s}-{r}", rng.uniform(0.1, 3), s * 100 + r) if r else b"\xff bad" for r in range(NUM_RECORDS)]
        for s in range(NUM_SHARDS)
    ]
    return write_input(tmp_path_factory.mktemp("in") / "audio", *shards)


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory):
    """The files of a job that nothing disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed") / "features"
    status, said = run_program(source, folder, *MODES["in_memory"])
    assert status == 0, said
    return tree(folder)


class Forked:
    """A job in one process, forked from one that has all imports done: a start costs little."""

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["melbeam.pipelines.extract", "tensorflow"])

    def __init__(self, *arguments):
        self._process = self.context.Process(target=extract.main, args=(arguments,))
        self._process.start()

    def ended(self):
        return self._process.exitcode is not None

    def kill(self, _):
        self._process.kill()
        self._process.join()

    def join(self):
        self._process.join(120)
        assert self.ended()


class WithWorkers:
    """A job whose workers are processes of their own."""

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "melbeam.pipelines.extract", *arguments]
        self._job = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def ended(self):
        return self._job.poll() is not None

    def kill(self, rng):
        """One worker, wherefore the runner ends the job; or everything."""
        candidates = workers(self._job)
        if candidates and rng.random() < 0.6:
            os.kill(rng.choice(sorted(candidates)), signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._job.wait(60)
            status = self._job.poll()
            kill_all(self._job)
            # 0: the worker had nothing left to do, or it was a record's process in isolation, started again.
            # None: Beam waits for ever for a worker that was killed before it had connected; so all is killed.
            assert status in (None, 0, 1), f"the job of a killed worker: {status}"
        else:
            kill_all(self._job)

    def join(self):
        self._job.wait(200)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds workers in /proc")
@pytest.mark.parametrize("mode", MODES)
def test_killed_at_random_moments(source, undisturbed, tmp_path, mode):
    rng = random.Random(f"{SEED} {mode}")
    kind = WithWorkers if mode == "multi_processing" else Forked
    num_killed, folder = 0, None
    for number in itertools.count():
        if folder is None:
            folder, since = tmp_path / f"features-{number}", num_killed
            arguments = [f"--input={source}", f"--output={folder}", "--max_reject_fraction=1", *MODES[mode]]
        done = finished_shards(folder)
        job = kind(*arguments)
        wait_for_work(job, folder)
        end = time.monotonic() + rng.uniform(0, rng.choice(LONGEST_WAITS))
        while time.monotonic() < end and not job.ended():
            time.sleep(0.002)
        num_killed += not job.ended()
        job.kill(rng)
        check_finals(folder, undisturbed)
        now = finished_shards(folder)
        assert {name: now.get(name) for name in done} == done, "a finished shard was done again"
        if len(now) == NUM_SHARDS or num_killed == KILLS[mode] or num_killed - since == MOST_KILLS_OF_ONE_JOB:
            kind(*arguments).join()
            assert tree(folder) == undisturbed
            folder = None
        if num_killed == KILLS[mode]:
            return


def wait_for_work(job, folder):
    """Until the job writes a file that was not there."""
    before = {p.name for p in folder.rglob("*")}
    deadline = time.monotonic() + 120
    while not job.ended() and {p.name for p in folder.rglob("*")} <= before:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def check_finals(folder, whole):
    for path in [*folder.glob("*.tfrecord"), *folder.glob("_melbeam/train/rejects/*")]:
        assert path.read_bytes() == whole[str(path.relative_to(folder))], f"{path.name} is not whole"


def finished_shards(folder):
    shards = folder.glob("train-*")
    reports = {p.stem for p in folder.glob("_melbeam/train/reports/*.json")}
    return {p.name: which_file(p) for p in shards if p.name.split("-")[1] in reports}


class TestDisksAndInputs:
    """Each a clear error, and a start afterwards ends as if nothing had been."""

    def check_told(self, said, *words):
        assert "Traceback" not in said
        assert "melbeam: the job failed: " in said
        told = next(line for line in said.splitlines() if line.startswith("melbeam: the job failed: "))
        assert all(word in told for word in words), told

    @pytest.mark.parametrize("size", [1 << 10, 300 << 10])
    def test_a_full_disk(self, source, undisturbed, tmp_path, size):
        """No file may grow above a size, or with the small one not even the plan fits."""
        limit = ["prlimit", f"--fsize={size}", sys.executable]
        status, said = run_program(source, tmp_path / "features", python=limit)
        assert status == 1, said
        self.check_told(said, "File too large")
        check_finals(tmp_path / "features", undisturbed)
        status, said = run_program(source, tmp_path / "features")
        assert (status, "never ended" in said) == (0, False), said
        assert tree(tmp_path / "features") == undisturbed

    def test_a_tmpfs_that_is_full(self, source, undisturbed, tmp_path):
        disk = tmp_path / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1500k", "melbeam-test", str(disk)],
            capture_output=True,
            check=False,
        )
        if mounted.returncode:
            pytest.skip("cannot mount a tmpfs")
        try:
            status, said = run_program(source, disk / "features")
            assert status == 1, said
            self.check_told(said, "No space left on device")
            check_finals(disk / "features", undisturbed)
            subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
            status, said = run_program(source, disk / "features")
            assert status == 0, said
            assert tree(disk / "features") == undisturbed
        finally:
            subprocess.run(["umount", str(disk)], check=True)

    def test_an_output_where_a_file_stands_or_that_is_read_only(self, source, tmp_path):
        (tmp_path / "file").write_text("")
        status, said = run_program(source, tmp_path / "file" / "features")
        assert (status, f"{tmp_path / 'file'} is a file" in said) == (2, True), said
        (tmp_path / "features").mkdir()
        (tmp_path / "features/_melbeam").write_text("")
        status, said = run_program(source, tmp_path / "features")
        assert (status, f"{tmp_path / 'features/_melbeam'} is a file" in said) == (2, True), said

    def test_an_input_that_vanishes_or_changes_between_two_runs(self, tmp_path):
        shards = [[clip("a")], [clip("b")]]
        source = write_input(tmp_path / "in", *shards)
        folder = tmp_path / "features"
        assert run_program(source, folder)[0] == 0
        whole = tree(folder)
        data = (tmp_path / "in/part-01").read_bytes()
        for change, status, words in [
            (lambda path: path.write_bytes(data + data), 2, f"of another size: {tmp_path}/in/part-01"),
            (lambda path: path.unlink(), 2, f"not in the input any more: {tmp_path}/in/part-01"),
        ]:
            change(tmp_path / "in/part-01")
            found, said = run_program(source, folder)
            assert (found, words in said) == (status, True), said
            assert tree(folder) == whole

    def test_an_input_that_vanishes_after_the_plan(self, tmp_path):
        """Between the plan and the shard's turn."""
        source = write_input(tmp_path / "in", [clip("a")], [clip("b")])
        folder = tmp_path / "features"
        program = (
            "import os, sys; from melbeam.pipelines import extract\n"
            "from melbeam.pipelines import launching as launcher; begin_split = launcher.begin_split\n"
            "def plan_and_delete(*a):\n"
            f"    done = begin_split(*a); os.remove({str(tmp_path / 'in/part-01')!r}); return done\n"
            "launcher.begin_split = plan_and_delete; sys.exit(extract.main())"
        )
        status, said = run_program(source, folder, python=[sys.executable], program=["-c", program])
        assert status == 1, said
        self.check_told(said, "part-01")
        write(tmp_path / "in/part-01", [clip("b")])
        assert run_program(source, folder)[0] == 0
        assert run_program(source, tmp_path / "undisturbed")[0] == 0
        assert tree(folder) == tree(tmp_path / "undisturbed")
