"""What a person reads: one line that says what was wrong, the value, where, and what to do."""

import contextlib
import glob
import gzip
import io
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from helpers import encode, which_file, write
from melbeam.pipelines import clean, demo, extract, ingest, launching, rejects, retry_rejects, verify
from melbeam.pipelines.extracting import launcher as extract_launcher
from melbeam.pipelines.ingesting import launcher as ingest_launcher
from melbeam.pipelines.sources.finding import find_inputs, find_kind
from melbeam.pipelines.sources.units import SourceOptions
from melbeam.pipelines.verifying import folder as verifying_folder
from melbeam.transforms.records.tf_example import to_example

RATE = 16000


def audio(kind="WAV", seconds=0.5):
    return encode(0.1 * np.random.default_rng(0).standard_normal(round(RATE * seconds)), kind=kind)


def run_apart(job, *arguments):
    """This gives a job's exit status, its stdout and its stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = job.main([str(argument) for argument in arguments])
        except SystemExit as left:
            status = left.code
    return status, out.getvalue(), err.getvalue()


@pytest.fixture
def source(tmp_path):
    """Two shards; the second has rejects, with and without an id."""
    write(tmp_path / "in/a-00000-of-00002.tfrecord", [to_example({"audio": audio(), "id": "fine"})])
    bad = [to_example({"audio": b"RIFF, but no more", "id": "broken"}), b"\xff\xff", to_example({"id": "mute"})]
    write(tmp_path / "in/a-00001-of-00002.tfrecord", [to_example({"audio": audio("FLAC"), "id": "too"}), *bad])
    return tmp_path / "in"


def extracted(source, output, *arguments):
    return run_apart(extract, f"--input={source}/*", f"--output={output}", *arguments)


class TestInput:
    @pytest.mark.parametrize("kind", ["WAV", "RF64", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "NIST"])
    def test_an_audio_file_is_known_by_its_first_bytes(self, tmp_path, kind):
        (tmp_path / "clip").write_bytes(audio(kind))
        status, out, _ = run_apart(extract, f"--input={tmp_path}/clip", f"--output={tmp_path}/out", "--dry_run")
        assert (status, find_kind(find_inputs(f"{tmp_path}/clip")[0], SourceOptions())[0]) == (0, "audio")
        assert f"{tmp_path}/clip -> " in out

    @pytest.mark.parametrize("size", [0xE2FF, 0x5352, 0x43614C66 & 0xFFFFF, 0x0401, 3])
    def test_no_tfrecord_is_taken_for_audio(self, tmp_path, size):
        """Its first bytes, a record's size, may be those of an MP3 or another format."""
        write(tmp_path / "a", [bytes(size)])
        (tmp_path / "b").write_bytes(gzip.compress((tmp_path / "a").read_bytes()))
        for name in ("a", "b"):
            assert find_kind(find_inputs(f"{tmp_path}/{name}")[0], SourceOptions())[0] == "tfrecord"

    @pytest.mark.parametrize("named", ["in", "in/**/*.wav"])
    def test_clips_behind_a_link_to_a_folder_are_not_left_out_in_silence(self, tmp_path, named):
        """`**` enters no such link, which may lead in a circle."""
        for name in ("in/a.wav", "elsewhere/b.wav"):
            (tmp_path / name).parent.mkdir()
            (tmp_path / name).write_bytes(audio())
        (tmp_path / "in/more").symlink_to("../elsewhere")
        (tmp_path / "in/around").symlink_to(".")
        command = (extract, f"--input={tmp_path}/{named}", f"--output={tmp_path}/out", "--dry_run")
        status, out, err = run_apart(*command)
        assert (status, "a.wav ->" in out, "b.wav ->" in out) == (0, True, False)
        told = f"left out: 2 links to folders, which are not entered: {tmp_path}/in/around, {tmp_path}/in/more"
        assert told in err
        assert "b.wav ->" in run_apart(*command, f"--input={tmp_path}/in/more")[1]
        (tmp_path / "in/a.wav").unlink()
        status, _, err = run_apart(*command)
        assert (status, f"names no file: {tmp_path}/in/around is a link to a folder" in err) == (2, True), err

    def test_a_pipe_that_a_manifest_names_is_not_waited_for(self, tmp_path):
        (tmp_path / "a.wav").write_bytes(audio())
        os.mkfifo(tmp_path / "b.wav")
        (tmp_path / "clips.csv").write_text("audio\na.wav\nb.wav\n")
        status, out, _ = run_apart(extract, f"--input={tmp_path}/clips.csv", f"--output={tmp_path}/out")
        assert (status, "2 records read = 1 converted + 1 rejected" in out) == (3, True), out
        assert "b.wav cannot be read: it is no file, but a pipe" in run_apart(rejects, tmp_path / "out")[1]

    def test_an_incomplete_set_of_shards_is_refused_unless_it_is_meant(self, source, tmp_path):
        (source / "a-00000-of-00002.tfrecord").unlink()
        status, _, err = extracted(source, tmp_path / "out")
        assert status == 2
        assert f"of a set of 2 files 1 are missing: {source}/a-00000-of-00002.tfrecord. " in err
        assert "--allow_missing_shards" in err
        assert not (tmp_path / "out").exists()
        assert extracted(source, tmp_path / "out", "--allow_missing_shards", "--max_reject_fraction=1")[0] == 0

    def test_sets_are_told_apart(self, source, tmp_path):
        for name in ("b-00000-of-00001.tfrecord", "a-00000-of-00003.tfrecord", "plain.tfrecord"):
            write(source / name, [])
        err = extracted(source, tmp_path / "out")[2]
        assert "of a set of 3 files 2 are missing: " in err
        assert f"{source}/a-00001-of-00003.tfrecord, {source}/a-00002-of-00003.tfrecord" in err

    def test_an_input_without_records_is_a_warning(self, tmp_path):
        write(tmp_path / "in/a.tfrecord", [])
        status, out, err = run_apart(extract, f"--input={tmp_path}/in/*", f"--output={tmp_path}/out")
        assert status == 0
        assert "0 records read" in out
        assert "melbeam: warning: the input has no records: split 'train' of " in err

    def test_a_changed_input_is_told_by_its_files(self, source, tmp_path):
        assert extracted(source, tmp_path / "out", "--max_reject_fraction=1")[0] == 0
        write(source / "a-00000-of-00002.tfrecord", [])
        write(source / "new.tfrecord", [])
        status, _, err = extracted(source, tmp_path / "out")
        assert status == 2
        assert f"only now in the input: {source}/new.tfrecord" in err
        assert f"of another size: {source}/a-00000-of-00002.tfrecord (" in err
        assert "input was" not in err


class TestSummary:
    def test_rejects_are_named_by_id_where_the_record_has_one(self, source, tmp_path):
        out = extracted(source, tmp_path / "out")[1]
        assert "  rejected: 1 bad_audio: broken\n" in out
        assert "  rejected: 1 no_audio: mute\n" in out
        assert f"  rejected: 1 not_an_example: {source}/a-00001-of-00002.tfrecord#2\n" in out

    def test_of_many_some_are_named(self, tmp_path):
        write(tmp_path / "in/a", [to_example({"id": f"mute-{i}"}) for i in range(7)])
        out = extracted(tmp_path / "in", tmp_path / "out")[1]
        assert "rejected: 7 no_audio: for example mute-0, mute-1, mute-2, mute-3, mute-4\n" in out

    def test_what_an_earlier_start_did_is_not_this_ones_speed(self, source, tmp_path):
        extracted(source, tmp_path / "out")
        _, out, err = extracted(source, tmp_path / "out")
        assert "all were done by an earlier start" in out
        assert "times real time" not in out + err
        (tmp_path / "out/_melbeam/train/reports/00000.json").unlink()
        out = extracted(source, tmp_path / "out")[1]
        assert "1 of 2 were done by an earlier start" in out


WRONG_VALUES = [
    ("--pcm_sampling_rate=16", "pcm_sampling_rate must be in [1000, 768000] Hz, got 16"),
    ("--pcm_sampling_rate=0", "pcm_sampling_rate must be in [1000, 768000] Hz, got 0"),
    ("--max_audio_seconds=0", "max_audio_seconds must be above 0"),
    ("--max_audio_seconds=nan", "max_audio_seconds must be a finite number"),
    ("--max_record_bytes=0", "max_record_bytes must be in [1, 2147483647] bytes, got 0"),
    ("--max_record_bytes=3000000000", "got 3000000000"),
    ("--shard_bytes=0", "--shard_bytes must be at least 1, got 0"),
    ("--limit=-1", "--limit must be at least 1, got -1"),
    ("--max_reject_fraction=nan", "--max_reject_fraction must be a finite number, in [0, 1], got nan"),
    ("--max_convert_seconds=0", "--max_convert_seconds must be above 0"),
    ("--max_convert_seconds=inf", "got inf"),
    ("--pad_to_max_length=yes", "argument --pad_to_max_length: invalid choice: 'yes'"),
    ("--dtype=None", "argument --dtype: invalid choice: 'None'"),
    ("--split=", "--split must be letters, digits and underscores, got ''"),
    ("--front_end=", "nothing is called ''"),
]


@pytest.mark.parametrize("job", [extract, ingest])
def test_names_of_files_and_columns_cannot_change_the_terminal(tmp_path, job):
    hostile = "\x1b]0;owned\x07\u202e"
    (tmp_path / "clips").mkdir()
    (tmp_path / f"clips/{hostile}.wav").write_bytes(audio())
    (tmp_path / f"clips/{hostile}.doc").write_bytes(b"")
    (tmp_path / "rows.csv").write_text(f"speech{hostile},said{hostile}\nclips/a.wav,hello\n")
    for given in (["clips/"], ["rows.csv"], ["rows.csv", f"--columns=audio=speech{hostile}"]):
        arguments = [f"--input={tmp_path}/{given[0]}", f"--output={tmp_path}/out", "--dry_run", *given[1:]]
        for text in run_apart(job, *arguments)[1:]:
            assert not {"\x1b", "\x07", "\u202e"} & set(text)


@pytest.mark.parametrize(("option", "said"), WRONG_VALUES)
def test_a_wrong_value_is_refused_by_name_in_one_line(source, tmp_path, option, said):
    status, out, err = extracted(source, tmp_path / "out", option)
    assert (status, out, said in err) == (2, "", True), err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


class TestPadding:
    @pytest.mark.parametrize(
        ("arguments", "padded"),
        [
            ([], False),
            (["--pad_to_max_length"], True),
            (["--pad_to_max_length=on"], True),
            (["--pad_to_max_length=off", "--front_end=whisper"], False),
            (["--pad_to_max_length=auto", "--front_end=whisper"], True),
        ],
    )
    def test_the_bare_option_means_on_and_auto_asks_the_model(self, source, tmp_path, arguments, padded):
        assert extracted(source, tmp_path / "out", "--max_reject_fraction=1", *arguments)[0] == 0
        identity = (tmp_path / "out/_melbeam/train/job.json").read_text()
        assert f'"pad_to_max_length": {str(padded).lower()}' in identity

    @pytest.mark.parametrize(("inside", "padded"), [("true", True), ("on", True), ("off", False), ("auto", False)])
    def test_in_a_config_file(self, source, tmp_path, inside, padded):
        (tmp_path / "job.yaml").write_text(f"pad_to_max_length: {inside}\nmax_reject_fraction: 1\n")
        assert extracted(source, tmp_path / "out", f"--config={tmp_path}/job.yaml")[0] == 0
        identity = (tmp_path / "out/_melbeam/train/job.json").read_text()
        assert f'"pad_to_max_length": {str(padded).lower()}' in identity


def raises(error):
    def do(*_, **__):
        raise error

    return do


# Interrupted, and failed.
_GOES_ON = re.compile("the same command(?P<how> without --overwrite)? (goes on from here|does only what is left)")


def goes_on(said):
    """Whether the same command is said to go on."""
    return _GOES_ON.search(said) is not None


class TestTheSameCommandGoesOn:
    """Only a job that would find what it has done says so."""

    @pytest.mark.parametrize("error", [RuntimeError("so"), KeyboardInterrupt()])
    def test_extract_once_it_has_its_folder(self, source, tmp_path, monkeypatch, error):
        with monkeypatch.context() as patch:
            patch.setattr(launching, "plan_shards", raises(error))
            status, _, err = extracted(source, tmp_path / "out")
            assert (status, goes_on(err)) == (1, False), err
        with monkeypatch.context() as patch:
            patch.setattr(extract_launcher, "run_pipeline", raises(error))
            status, _, err = extracted(source, tmp_path / "out")
            assert (status, goes_on(err)) == (1, True), err
        assert extracted(source, tmp_path / "out", "--max_reject_fraction=1")[0] == 0

    def test_retry_rejects_as_extract(self, source, tmp_path, monkeypatch):
        assert extracted(source, tmp_path / "out", "--max_reject_fraction=1")[0] == 0
        monkeypatch.setattr(extract_launcher, "run_pipeline", raises(RuntimeError("so")))
        status, _, err = run_apart(retry_rejects, tmp_path / "out")
        assert (status, goes_on(err)) == (1, True), err

    @pytest.mark.parametrize("error", [RuntimeError("so"), KeyboardInterrupt()])
    def test_ingest_as_extract(self, tmp_path, monkeypatch, error):
        (tmp_path / "a.wav").write_bytes(audio())
        command = [f"--input={tmp_path}/a.wav", f"--output={tmp_path}/out"]
        with monkeypatch.context() as patch:
            patch.setattr(ingest_launcher, "run_pipeline", raises(error))
            status, _, err = run_apart(ingest, *command)
            assert (status, goes_on(err)) == (1, True), err
        assert run_apart(ingest, *command)[0] == 0

    @pytest.mark.parametrize("error", [RuntimeError("so"), KeyboardInterrupt()])
    @pytest.mark.parametrize("job", [extract, ingest])
    def test_without_overwrite_which_would_begin_anew(self, source, tmp_path, monkeypatch, job, error):
        (tmp_path / "a.wav").write_bytes(audio())
        given = source / "a-00000*" if job is extract else tmp_path / "a.wav"
        command = (f"--input={given}", f"--output={tmp_path}/out", "--allow_missing_shards")
        assert run_apart(job, *command)[0] == 0
        write = "finish_whole_split" if job is extract else "write_summary"
        pipeline = (
            "melbeam.pipelines.extracting.pipeline" if job is extract else "melbeam.pipelines.ingesting.pipeline"
        )
        with monkeypatch.context() as patch:
            patch.setattr(f"{pipeline}.{write}", raises(error))
            status, _, err = run_apart(job, *command, "--overwrite")
        assert (status, _GOES_ON.search(err)["how"]) == (1, " without --overwrite"), err
        (shard,) = (tmp_path / "out").glob("train-*")
        done = which_file(shard)
        assert run_apart(job, *command)[0] == 0
        assert which_file(shard) == done
        assert run_apart(job, *command, "--overwrite")[0] == 0
        assert which_file(shard) != done

    def test_neither_verify_nor_clean_nor_demo(self, source, tmp_path, monkeypatch):
        assert extracted(source, tmp_path / "out", "--max_reject_fraction=1")[0] == 0
        monkeypatch.setattr(verifying_folder, "verify_folder", raises(RuntimeError("so")))
        monkeypatch.setattr("melbeam.pipelines.split.leftovers.delete_temporaries", raises(RuntimeError("so")))
        monkeypatch.setattr(demo, "_write_corpus", raises(RuntimeError("so")))
        for job, arguments in ((verify, [tmp_path / "out"]), (clean, [tmp_path / "out"])):
            status, _, err = run_apart(job, *arguments)
            assert (status, goes_on(err)) == (1, False), err
        status, _, err = run_apart(demo, f"--output={tmp_path}/demo")
        assert (status, goes_on(err)) == (1, False), err


@pytest.mark.parametrize(("job", "launcher"), [(extract, extract_launcher), (ingest, ingest_launcher)])
def test_the_log_of_a_failed_job_lies_in_its_bookkeeping_until_it_ends_well(
    source, tmp_path, monkeypatch, job, launcher
):
    (tmp_path / "a.wav").write_bytes(audio())
    given = source / "*" if job is extract else tmp_path / "a.wav"
    command = [f"--input={given}", f"--output={tmp_path}/out", "--max_reject_fraction=1"]
    log = tmp_path / "out/_melbeam/train/failed.log"
    with monkeypatch.context() as patch:
        patch.setattr(launcher, "run_pipeline", raises(KeyError("speaker")))
        err = run_apart(job, *command)[2]
        assert f"melbeam: the job failed: KeyError: 'speaker' (the whole error: {log})" in err
    assert "Traceback (most recent call last)" in log.read_text()
    assert run_apart(job, *command)[0] == 0
    assert not log.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("job", [extract, ingest])
def test_a_missing_permission_is_a_wrong_call(source, tmp_path, job):
    (tmp_path / "closed").mkdir(mode=0o500)
    (tmp_path / "a.wav").write_bytes(audio())
    given = source / "*" if job is extract else tmp_path / "a.wav"
    status, _, err = run_apart(job, f"--input={given}", f"--output={tmp_path}/closed/out")
    assert (status, f"{tmp_path}/closed" in err) == (2, True), err


@pytest.mark.parametrize("job", [extract, ingest])
def test_a_file_where_the_output_should_be_is_a_wrong_call(source, tmp_path, job):
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "a.wav").write_bytes(audio())
    given = source / "*" if job is extract else tmp_path / "a.wav"
    for output in (tmp_path / "file", tmp_path / "file/below"):
        status, _, err = run_apart(job, f"--input={given}", f"--output={output}")
        assert (status, f"{tmp_path}/file" in err) == (2, True), err
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_an_interrupted_job_ends_at_once_and_says_so(tmp_path):
    record = to_example({"audio": audio(seconds=20)})
    write(tmp_path / "in/a", [record] * 300)
    command = [sys.executable, "-m", "melbeam.pipelines.extract", f"--input={tmp_path}/in/*"]
    running = subprocess.Popen([*command, f"--output={tmp_path}/out"], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not glob.glob(f"{tmp_path}/out/_melbeam/train/tmp/*/*"):
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        err = running.communicate(timeout=60)[1]
    finally:
        running.kill()
    assert running.returncode == 1, err
    assert err.splitlines()[-1] == "melbeam: interrupted; the same command goes on from here"
    assert "terminate called" not in err
    assert "Traceback" not in err


def test_the_screen_shows_what_a_person_should_read_and_nothing_else(source, tmp_path):
    command = [sys.executable, "-m", "melbeam.pipelines.extract", f"--input={source}/*"]
    ended = subprocess.run(
        [*command, f"--output={tmp_path}/out"], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 3, ended.stderr
    assert all(line.startswith("melbeam: ") for line in ended.stderr.splitlines()), ended.stderr
