"""Around a folder: one job at a time, retry-rejects, clean."""

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import time

import pytest

from helpers import clip, run, tree, wav, which_file, write
from melbeam.pipelines import clean, extract, retry_rejects, verify
from melbeam.pipelines.split import lock, process_identity
from melbeam.pipelines.split.lock import Locked, SplitLock, release_left_lock
from melbeam.transforms import read_features
from melbeam.transforms.folder_layout import SplitFolder


@pytest.fixture
def source(tmp_path):
    write(tmp_path / "in", [clip("short", 1), clip("long", 31), b"\xff\xff", clip("other", 2)])
    return tmp_path / "in"


@pytest.fixture
def folder(source, tmp_path):
    output = tmp_path / "features"
    status = run(extract, f"--input={source}", f"--output={output}", "--dtype=float16", "--max_reject_fraction=1")
    assert status[0] == 0, status
    return output


class TestRetryRejects:
    def test_what_passes_now_is_a_split_of_its_own(self, folder):
        before = tree(folder, "train-*")
        status, said = run(retry_rejects, folder, "--on_long=chunk", "--max_reject_fraction=1")
        assert status == 0, said
        assert "split train_retried: 2 records read = 1 converted + 1 rejected" in said
        assert before.items() <= tree(folder, "train*").items()
        ids = [element["id"].numpy().decode() for element in read_features(folder, "train_retried")]
        assert ids == ["long#0", "long#1"]
        assert run(verify, folder)[0] == 0

    def test_it_keeps_the_options_of_the_split(self, folder):
        assert run(retry_rejects, folder, "--on_long=truncate", "--max_reject_fraction=1")[0] == 0
        identity = json.loads((folder / "_melbeam/train_retried/job.json").read_text())["identity"]
        assert (identity["dtype"], identity["on_long"]) == ("float16", "truncate")

    def test_too_many_rejects_still_show(self, folder):
        status, said = run(retry_rejects, folder)
        assert (status, "100.00% of the records are rejects" in said) == (3, True)

    def test_damaged_audio_does_not_pass(self, source, tmp_path):
        """It would decode, to noise: nothing in a reject says what its bytes should have been."""
        data = bytearray(source.read_bytes())
        data[10_000] ^= 1  # of the first clip's samples
        source.write_bytes(data)
        output = tmp_path / "features"
        assert run(extract, f"--input={source}", f"--output={output}", "--max_reject_fraction=1")[0] == 0
        status, said = run(retry_rejects, output, "--on_long=truncate", "--max_reject_fraction=1")
        assert (status, "rejected: 1 bad_checksum" in said) == (0, True), said
        ids = [element["id"].numpy().decode() for element in read_features(output, "train_retried")]
        assert ids == ["long"]

    def test_a_record_of_which_only_the_beginning_was_kept_keeps_its_reason(self, source, tmp_path):
        output = tmp_path / "features"
        cut = ("--max_record_bytes=100000", "--max_reject_fraction=1")
        assert run(extract, f"--input={source}", f"--output={output}", *cut)[0] == 0
        status, said = run(retry_rejects, output, "--max_record_bytes=10000000", "--max_reject_fraction=1")
        assert (status, "rejected: 1 over_limit" in said) == (0, True), said

    @pytest.mark.parametrize(
        ("made_with", "asked"),
        [
            (["--chunk_seconds=0.5", "--chunk_overlap_seconds=0.1"], "--on_long=truncate"),
            pytest.param(
                ["--on_long=chunk", "--chunk_overlap_seconds=0.1"], "--on_long=reject", marks=pytest.mark.slow
            ),
            (["--on_long=truncate"], "--chunk_seconds=0.2"),
            (["--channels=split"], "--channel=0"),
            pytest.param(["--channel=0"], "--channels=split", marks=pytest.mark.slow),
        ],
    )
    def test_what_is_asked_for_wins_over_what_the_split_was_made_with(self, tmp_path, made_with, asked):
        """Also where one call could not name both: nobody can leave out what the split was made with."""
        write(tmp_path / "in", [clip("short", 0.3), clip("long", 0.6, seed=1)])
        output = tmp_path / "out"
        command = [f"--input={tmp_path}/in", f"--output={output}", "--max_reject_fraction=1", *made_with]
        assert run(extract, *command, "--min_seconds=0.4").status == 0
        status, said = run(retry_rejects, output, "--min_seconds=0", asked)
        assert (status, "1 record read = 1 converted + 0 rejected" in said) == (0, True), said
        name, _, value = asked.removeprefix("--").partition("=")
        made = json.loads((output / "_melbeam/train_retried/job.json").read_text())["identity"]
        assert str(made[name]) == value

    def test_an_interrupted_one_goes_on_by_the_command_that_verify_names(self, folder):
        command = (folder, "--on_long=chunk", "--max_reject_fraction=1")
        assert run(retry_rejects, *command).status == 0
        (folder / "_melbeam/train_retried/summary.json").unlink()
        assert "the same melbeam retry-rejects command goes on from there" in run(verify, folder).text
        assert run(retry_rejects, *command).status == 0
        assert run(verify, folder).status == 0

    def test_a_text_that_was_required_need_not_be_any_more(self, tmp_path):
        write(tmp_path / "in", [clip("a")])
        output = tmp_path / "out"
        command = [f"--input={tmp_path}/in", f"--output={output}", "--max_reject_fraction=1", "--require=text"]
        assert "1 no_text" in run(extract, *command).text
        ended = run(retry_rejects, output, "--require=none")
        assert (ended.status, "1 record read = 1 converted" in ended.text) == (0, True), ended.text

    def test_what_a_retry_rejects_can_be_retried(self, folder):
        assert run(retry_rejects, folder, "--max_reject_fraction=1")[0] == 0
        options = ("--split=train_retried", "--on_long=chunk", "--max_reject_fraction=1")
        status, said = run(retry_rejects, folder, *options)
        assert (status, "split train_retried_retried: 2 records read = 1 converted" in said) == (0, True), said
        assert run(verify, folder)[0] == 0

    def test_other_rejects_of_the_same_size_are_not_taken_for_those_that_were_retried(self, tmp_path):
        """A clip would be lost, and another be in both splits."""
        (tmp_path / "a.wav").write_bytes(wav())
        (tmp_path / "clips.csv").write_text("path\na.wav\nb.wav\n")
        output = tmp_path / "features"
        job = (extract, f"--input={tmp_path}/clips.csv", f"--output={output}", "--max_reject_fraction=1")
        assert "not_found: b.wav" in run(*job).text
        (tmp_path / "b.wav").write_bytes(wav())
        assert run(retry_rejects, output).status == 0
        assert "all were done by an earlier start" in run(retry_rejects, output).text

        (tmp_path / "a.wav").unlink()
        shutil.copytree(output / "_melbeam/train_retried", tmp_path / "kept")
        replaced = run(*job, "--overwrite").text
        assert "not_found: a.wav" in replaced
        assert "split 'train_retried' goes with 'train', which is replaced" in replaced
        assert not [path for path in output.rglob("*") if "train_retried" in str(path) and path.is_file()]
        assert run(verify, output).status == 0
        shutil.copytree(tmp_path / "kept", output / "_melbeam/train_retried", dirs_exist_ok=True)
        (tmp_path / "a.wav").write_bytes(wav())
        status, said = run(retry_rejects, output)
        assert (status, "it was made of other rejects than the split that is retried has now" in said) == (
            2,
            True,
        )
        assert run(retry_rejects, output, "--overwrite").status == 0
        found = [[e["id"].numpy() for e in read_features(output, split)] for split in ("train", "train_retried")]
        assert found == [[b"b.wav"], [b"a.wav"]]

    def test_a_folder_that_was_moved_goes_on(self, folder, tmp_path):
        """The rejects lie in it, and are the same ones wherever it is."""
        options = ("--on_long=chunk", "--max_reject_fraction=1")
        assert run(retry_rejects, folder, *options).status == 0
        job = (folder / "_melbeam/train_retried/job.json").read_bytes()
        moved = shutil.copytree(folder, tmp_path / "moved")
        shutil.rmtree(folder)
        assert run(verify, moved).status == 0
        status, said = run(retry_rejects, moved, *options)
        assert (status, "split train_retried: 2 records read = 1 converted + 1 rejected" in said) == (0, True), (
            said
        )
        assert (moved / "_melbeam/train_retried/job.json").read_bytes() == job
        assert [e["source"].numpy() for e in read_features(moved, "train_retried")] == [
            f"{moved}/_melbeam/train/rejects/00000.tfrecord#0".encode()
        ] * 2
        assert run(verify, moved).status == 0

    def test_options_may_come_before_the_folder_and_from_a_file(self, folder, tmp_path):
        config = tmp_path / "config.yaml"
        config.write_text("split: test\n")
        assert "no finished split 'test'" in run(retry_rejects, f"--config={config}", folder)[1]
        retried = run(retry_rejects, "--on_long", "chunk", folder, "--dry_run")
        assert (retried[0], "train_retried-00000-of-00001" in retried[1]) == (0, True), retried

    def test_what_it_refuses(self, folder, tmp_path):
        assert run(retry_rejects, tmp_path / "nowhere")[0] == 2
        status, said = run(retry_rejects, folder, "--split=test")
        assert (status, "no finished split 'test'" in said) == (2, True)
        assert run(retry_rejects)[0] == 2


class TestClean:
    def test_it_removes_what_attempts_left(self, folder):
        before = tree(folder)
        left = folder / "_melbeam/train/tmp/00000"
        left.mkdir(parents=True)
        (left / "abc.features").write_bytes(bytes(1 << 20))
        (left / "abc.progress").write_bytes(b"1")
        status, said = run(clean, folder)
        assert (status, said) == (0, "split train: 2 temporary files removed, 1.0 MiB\n")
        assert tree(folder) == before

    def test_it_keeps_what_the_next_start_takes_over(self, source, folder):
        """A shard that ended and was not committed, as Ctrl-C leaves it; and not one that did not end."""
        undisturbed = tree(folder)
        paths = SplitFolder(str(folder), "train")
        left = folder / "_melbeam/train/tmp/00000"
        left.mkdir(parents=True)
        os.rename(paths.shard(0, 1), paths.temporary(0, "ended", "features"))
        os.rename(paths.rejects(0), paths.temporary(0, "ended", "rejects"))
        os.rename(paths.report(0), paths.temporary(0, "ended", "report"))
        (left / "begun.features").write_bytes(bytes(1 << 20))
        os.remove(paths.summary)
        status, said = run(clean, folder)
        assert (status, "1 temporary file removed, 1.0 MiB; 3 kept" in said) == (0, True), said
        assert sorted(path.name for path in left.iterdir()) == ["ended.features", "ended.rejects", "ended.report"]
        ended = which_file(left / "ended.features")
        again = run(
            extract, f"--input={source}", f"--output={folder}", "--dtype=float16", "--max_reject_fraction=1"
        )
        assert again[0] == 0, again
        assert which_file(paths.shard(0, 1)) == ended, "it was done again"
        assert tree(folder) == undisturbed

    def test_it_leaves_a_split_alone_of_which_it_cannot_tell(self, folder):
        left = folder / "_melbeam/train/tmp/00000/abc.report"
        left.parent.mkdir(parents=True)
        left.write_bytes(b"x")
        (folder / "_melbeam/train/job.json").write_bytes(b"")
        status, said = run(clean, folder)
        assert (status, "left alone" in said, "--overwrite" in said) == (0, True, True), said
        assert left.exists()

    def test_it_leaves_a_running_job_alone(self, folder):
        left = folder / "_melbeam/train/tmp/00000/abc.features"
        left.parent.mkdir(parents=True)
        left.write_bytes(b"x")
        with SplitLock(SplitFolder(str(folder), "train")):
            assert (
                f"left alone: another job is at work on split 'train' of {folder}: process"
                in run(clean, folder)[1]
            )
        assert left.exists()

    def test_a_folder_of_something_else(self, tmp_path):
        assert run(clean, tmp_path)[0] == 2


class TestLock:
    def test_two_jobs_on_one_split(self, source, tmp_path):
        """The second is refused while the first, a process of its own, is at work; and nothing is overwritten."""
        output = tmp_path / "features"
        script = (
            "import sys, time; from melbeam.pipelines.split.lock import SplitLock; "
            "from melbeam.transforms.folder_layout import SplitFolder\n"
            "with SplitLock(SplitFolder(sys.argv[1], 'train')): print('held', flush=True); time.sleep(60)"
        )
        holder = subprocess.Popen([sys.executable, "-c", script, str(output)], stdout=subprocess.PIPE, text=True)
        try:
            assert holder.stdout.readline() == "held\n"
            status, said = run(extract, f"--input={source}", f"--output={output}", "--overwrite")
            assert (status, f"process {holder.pid} on {socket.gethostname()}" in said) == (2, True), said
            assert not list(output.glob("train-*"))
            other = run(extract, f"--input={source}", f"--output={output}", "--split=test", "--limit=1")
            assert other[0] == 0, other  # another split may go on
        finally:
            holder.kill()
            holder.wait()
        # Killed: its lock is there, and is taken over at once.
        assert (output / "_melbeam/train/lock.json").exists()
        status = run(extract, f"--input={source}", f"--output={output}", "--max_reject_fraction=1")
        assert status[0] == 0, status
        assert not (output / "_melbeam/train/lock.json").exists()

    @pytest.mark.parametrize(("age", "alive"), [(0, True), (lock.STALE_SECONDS + 1, False)])
    def test_a_job_on_another_machine_lives_by_its_beat(self, tmp_path, age, alive):
        folder = SplitFolder(str(tmp_path), "train")
        path = tmp_path / "_melbeam/train/lock.json"
        path.parent.mkdir(parents=True)
        content = {"token": "x", "host": "elsewhere", "pid": 1, "started": 0.0, "beat": time.time() - age}
        path.write_text(json.dumps(content))
        if alive:
            with pytest.raises(Locked, match="process 1 on elsewhere"), SplitLock(folder):
                pass
            assert path.exists()
        else:
            with SplitLock(folder):
                assert json.loads(path.read_text())["pid"] == os.getpid()
            assert not path.exists()

    def test_a_job_in_another_container_of_the_same_name_lives_by_its_beat(self, tmp_path):
        """There a number is another process's, or nobody's."""
        folder = SplitFolder(str(tmp_path), "train")
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        path = tmp_path / "_melbeam/train/lock.json"
        path.parent.mkdir(parents=True)
        content = {
            "token": "x",
            "host": socket.gethostname(),
            "pid": ended.pid,
            "started": 0.0,
            "beat": time.time(),
        }
        for machine in ({}, {"machine": ""}, {"machine": "this boot pid:[4026532000]"}):
            path.write_text(json.dumps({**content, "pid": ended.pid, **machine}))
            with pytest.raises(Locked, match=f"process {ended.pid} on"), SplitLock(folder):
                pass
        path.write_text(
            json.dumps({**content, "pid": ended.pid, "machine": process_identity.machine(), "began": "1"})
        )
        with SplitLock(folder):
            pass

    def test_a_lock_that_was_left_to_a_job_elsewhere_stays(self, tmp_path):
        folder = SplitFolder(str(tmp_path), "train")
        with SplitLock(folder) as held:
            held.leave_to("the job's hash")
        content = json.loads((tmp_path / "_melbeam/train/lock.json").read_text())
        content["beat"] -= 10 * lock.STALE_SECONDS
        (tmp_path / "_melbeam/train/lock.json").write_text(json.dumps(content))
        with (
            pytest.raises(Locked, match=r"went on when that was interrupted.*remove .*lock.json"),
            SplitLock(folder),
        ):
            pass
        release_left_lock(folder, "another hash")
        assert (tmp_path / "_melbeam/train/lock.json").exists()
        release_left_lock(folder, "the job's hash")
        with SplitLock(folder):
            pass

    def test_a_refused_job_leaves_no_folders(self, tmp_path):
        folder = SplitFolder(str(tmp_path / "new/features"), "train")
        with pytest.raises(ZeroDivisionError), SplitLock(folder):
            raise ZeroDivisionError
        assert not list(tmp_path.iterdir())

    @pytest.mark.slow
    def test_a_full_disk_is_told_with_the_path_and_nothing_stays(self, tmp_path):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, limits[1]))
        try:
            with (
                pytest.raises(OSError, match=r"File too large: .*lock\.json"),
                SplitLock(SplitFolder(f"{tmp_path}/features", "train")),
            ):
                pass
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert not list(tmp_path.iterdir())

    def test_of_many_that_find_a_dead_lock_one_takes_it(self, tmp_path):
        path = tmp_path / "_melbeam/train/lock.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"token": "x", "host": "elsewhere", "pid": 1, "started": 0.0, "beat": 0.0}))
        script = (
            "import sys, time; from melbeam.pipelines.split.lock import Locked, SplitLock; "
            "from melbeam.transforms.folder_layout import SplitFolder\n"
            "print('ready', flush=True); input()\n"
            "try:\n"
            "    with SplitLock(SplitFolder(sys.argv[1], 'train')): print('held', flush=True); input()\n"
            "except Locked: print('refused', flush=True)"
        )
        jobs = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(tmp_path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(4)
        ]
        try:
            assert [job.stdout.readline() for job in jobs] == ["ready\n"] * 4
            for job in jobs:
                job.stdin.write("\n")
                job.stdin.flush()
            assert sorted(job.stdout.readline() for job in jobs) == ["held\n", *["refused\n"] * 3]
        finally:
            for job in jobs:
                job.communicate("\n")
        assert not list(path.parent.iterdir())

    def test_a_job_whose_lock_was_taken_over_ends(self, tmp_path):
        """A laptop that slept, for example: what it would still write could be another job's by now."""
        path = tmp_path / "_melbeam/train/lock.json"
        script = (
            "import sys, time\n"
            "from melbeam.pipelines.split import lock; from melbeam.transforms.folder_layout import SplitFolder\n"
            "lock.BEAT_SECONDS = 0.2\n"
            "with lock.SplitLock(SplitFolder(sys.argv[1], 'train')): print('held', flush=True); time.sleep(60)"
        )
        job = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert job.stdout.readline() == "held\n"
            others = {"token": "x", "host": "elsewhere", "pid": 1, "started": 0.0, "beat": time.time()}
            deadline = time.monotonic() + 30
            while job.poll() is None and time.monotonic() < deadline:  # again: a beat may have been under way
                path.write_text(json.dumps(others))
                time.sleep(0.5)
            assert (job.wait(1), json.loads(path.read_text())) == (1, others)
            assert "process 1 on elsewhere has taken split 'train'" in job.stderr.read()
        finally:
            job.kill()
            job.communicate()

    @pytest.mark.parametrize("content", ["", "[]", '{"token": 1}', '{"token": "x", "pid": "1"}'])
    def test_what_is_no_lock_locks_nothing(self, tmp_path, content):
        path = tmp_path / "_melbeam/train/lock.json"
        path.parent.mkdir(parents=True)
        path.write_text(content)
        with SplitLock(SplitFolder(str(tmp_path), "train")):
            assert json.loads(path.read_text())["pid"] == os.getpid()
        assert not path.exists()

    def test_it_beats(self, tmp_path, monkeypatch):
        monkeypatch.setattr(lock, "BEAT_SECONDS", 0.05)
        path = tmp_path / "_melbeam/train/lock.json"
        with SplitLock(SplitFolder(str(tmp_path), "train")):
            first = json.loads(path.read_text())["beat"]
            deadline = time.monotonic() + 10
            while json.loads(path.read_text())["beat"] == first:
                assert time.monotonic() < deadline
                time.sleep(0.05)
