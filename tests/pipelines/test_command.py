"""A job as a command: exit statuses, and what a person reads when something goes wrong."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from melbeam.pipelines.command import Command, last_line
from melbeam.pipelines.exit_status import EXIT_REJECTS
from melbeam.pipelines.job_log import current_log
from melbeam.pipelines.refusals import Refusal, UsageError


def status_of(run, *argv, takes_beam_options=True):
    def add_arguments(parser):
        parser.add_argument("--count", type=int, default=3, help="how many")
        parser.add_argument("--limit", type=int, help="at most")
        parser.add_argument("--fast", action="store_true", help="be quick")

    def called(arguments, beam_arguments):
        return run()

    return Command("test", "A test.", add_arguments, called, takes_beam_options).main(list(argv))


def failing(error):
    def run():
        raise error

    return run


def named_log(said):
    path = Path(re.search(r"\(the whole error: (.+)\)", said)[1])
    text = path.read_text()
    path.unlink()
    return text


def test_a_result_is_handed_on_and_no_log_stays(capsys):
    paths = []

    def run():
        paths.append(current_log().path)
        assert os.path.exists(paths[0])
        return EXIT_REJECTS

    assert status_of(run) == 3
    assert not os.path.exists(paths[0])
    assert capsys.readouterr().err == ""


def test_a_wrong_call(capsys):
    assert status_of(failing(UsageError(Refusal.BAD_VALUE, "say it so"))) == 2
    assert capsys.readouterr().err == "melbeam: say it so [MB103]\n"


def test_a_failure_is_told_by_the_last_line_of_its_error_and_kept_whole(capsys):
    assert status_of(failing(RuntimeError("Traceback ...\n  File ...\nOSError: disk full\n\n"))) == 1
    said = capsys.readouterr().err
    assert said.startswith("melbeam: the job failed: OSError: disk full (the whole error: ")
    assert "goes on" not in said
    assert "Traceback" not in said
    log = named_log(said)
    assert "Traceback (most recent call last)" in log
    assert "raise error\nRuntimeError: Traceback ...\n  File ...\nOSError: disk full" in log


def test_only_a_job_that_has_kept_something_says_that_the_same_command_goes_on(capsys):
    def run(error):
        current_log().goes_on = "the same command"
        raise error

    assert status_of(lambda: run(RuntimeError("disk full"))) == 1
    said = capsys.readouterr().err
    assert "what was finished is kept: the same command does only what is left" in said
    named_log(said)
    assert status_of(lambda: run(KeyboardInterrupt())) == 1
    assert capsys.readouterr().err == "melbeam: interrupted; the same command goes on from here\n"
    assert status_of(failing(KeyboardInterrupt())) == 1
    assert capsys.readouterr().err == "melbeam: interrupted\n"


def test_the_log_of_a_failure_lies_where_the_job_has_its_home(tmp_path, capsys):
    def run():
        current_log().home = f"{tmp_path}/failed.log"
        logging.getLogger("melbeam").debug("what is only in the file")
        raise RuntimeError("disk full")

    assert status_of(run) == 1
    assert f"(the whole error: {tmp_path}/failed.log)" in capsys.readouterr().err
    assert "what is only in the file" in (tmp_path / "failed.log").read_text()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("speaker"), "KeyError: 'speaker'"),
        (KeyError(), "KeyError()"),
        (RuntimeError("a\nKeyError: 'x' [while running 'Extract/ExtractShards-ptransform-40']"), "KeyError: 'x'"),
        (ValueError("3 is no 4 [while running 'Map(f)']"), "3 is no 4"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
    ],
)
def test_an_error_in_one_line(error, said):
    assert last_line(error) == said


@pytest.mark.parametrize(
    ("do", "said"),
    [
        (lambda folder: (folder / "none").read_text(), "none: No such file or directory: correct the path"),
        (lambda folder: folder.read_text(), "Is a directory: it is a folder: name a file"),
        (lambda folder: os.mkdir(folder / "file/below"), "Not a directory: a file stands where a folder must be"),
        (lambda folder: os.makedirs(folder / "file"), "File exists: a file stands where a folder must be"),
        (lambda folder: failing(PermissionError(13, "Permission denied", "/x"))(), "/x: Permission denied: give"),
    ],
)
def test_a_path_that_a_person_has_to_put_right_is_a_wrong_call(tmp_path, capsys, do, said):
    (tmp_path / "file").write_text("")
    assert status_of(lambda: do(tmp_path)) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_full_disk_is_none(capsys):
    assert status_of(failing(OSError(28, "No space left on device", "/x"))) == 1
    named_log(capsys.readouterr().err)


def test_argparses_exit_is_left_alone():
    with pytest.raises(SystemExit):
        status_of(failing(SystemExit(2)))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (
            ["--count=x"],
            "melbeam test: argument --count: invalid int value: 'x'; see melbeam test --help [MB103]\n",
        ),
        (["--dry_run"], "melbeam: melbeam test has no --dry_run; see melbeam test --help [MB102]\n"),
        (["--runner=FlinkRunner"], "melbeam: melbeam test has no --runner; see melbeam test --help [MB102]\n"),
    ],
)
def test_a_job_without_a_pipeline_refuses_what_it_has_not_in_one_line(capsys, argv, said):
    try:
        status = status_of(lambda: 0, *argv, takes_beam_options=False)
    except SystemExit as left:
        status = left.code
    assert (status, capsys.readouterr().err) == (2, said)


def test_the_help_tells_defaults_where_there_are_any(capsys):
    with pytest.raises(SystemExit):
        status_of(lambda: 0, "--help")
    said = capsys.readouterr().out
    assert "how many (default: 3)" in said
    assert "None" not in said
    assert "False" not in said


PROGRAM = """
import logging, os, sys
from melbeam.pipelines.command import Command

def run(arguments, beam_arguments):
    os.write(2, b"E0000 a library's own line\\n")
    logging.getLogger("tensorflow").warning("a warning of TensorFlow's")
    logging.getLogger("melbeam").info("what a person reads")
    print("and this", file=sys.stderr)
    os.write(2, b"melbeam: the words of a worker process\\n")
    {end}

sys.exit(Command("test", "", lambda parser: None, run).main(sys.argv[1:]))
"""


def ran(end, *argv):
    command = [sys.executable, "-c", PROGRAM.format(end=end), *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_what_libraries_write_past_python_does_not_reach_the_screen():
    done = ran("return 0")
    assert (done.returncode, done.stderr) == (0, "melbeam: what a person reads\nand this\n")


def test_it_is_in_the_log_of_a_failure_and_what_workers_said_is_told():
    done = ran("raise RuntimeError('so')")
    assert done.returncode == 1
    *first, last = done.stderr.splitlines()
    assert last.startswith("melbeam: the job failed: so (the whole error: ")
    assert first == [
        "melbeam: what a person reads",
        "and this",
        "melbeam: the words of a worker process",
    ]
    log = named_log(done.stderr)
    assert "E0000 a library's own line" in log
    assert "a warning of TensorFlow's" in log


def test_verbose_shows_everything():
    done = ran("raise RuntimeError('so')", "--verbose")
    for said in ("E0000 a library's own line", "a warning of TensorFlow's", "Traceback (most recent call last)"):
        assert said in done.stderr
    named_log(done.stderr)


def test_a_log_that_has_no_room_changes_nothing(tmp_path):
    program = PROGRAM.format(end="raise RuntimeError('x' * 100000)")
    command = ["prlimit", "--fsize=1024", sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "melbeam: the job failed: xxx" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Logging error" not in done.stderr
    Path(re.search(r"\(the whole error: (.+)\)", done.stderr)[1]).unlink()


def test_a_machine_without_a_temporary_folder_runs_jobs_too(monkeypatch, capsys):
    def no_room(**_):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.mkstemp", no_room)
    assert status_of(lambda: 0) == 0
    assert status_of(failing(RuntimeError("so"))) == 1
    assert capsys.readouterr().err == (
        "melbeam: the job failed: so (the whole error: --verbose shows it, for no temporary file could be made)\n"
    )


def test_an_interruption_before_the_job_has_begun_is_told_in_words_too():
    program = (
        "from melbeam.pipelines.exit_status import leave_with\n"
        "def main():\n    raise KeyboardInterrupt\n"
        "leave_with(main)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "melbeam: interrupted\n")
