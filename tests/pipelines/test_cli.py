"""The `melbeam` command: a word is a job."""

from dataclasses import fields
from importlib import metadata

import pytest

from melbeam.pipelines import cli
from melbeam.transforms.records.options import RecordOptions


def test_the_help_names_every_job(capsys):
    for word in ("--help", "-h", "help"):
        assert cli.main([word]) == 0
        said = capsys.readouterr().out
        assert all(f"melbeam {job} " in said for job in cli.JOBS)


def test_the_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"melbeam {metadata.version('melbeam')}\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "usage: melbeam JOB"),
        (["extrat"], "no job 'extrat': did you mean extract?"),
        (["zzz"], "no job 'zzz' [MB101]\n"),
    ],
)
def test_no_job_is_a_wrong_call(capsys, argv, said):
    assert cli.main(argv) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("job", cli.JOBS)
def test_every_job_has_its_help(capsys, job):
    with pytest.raises(SystemExit) as left:
        cli.main([job, "--help"])
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: melbeam {job} ")
    assert "--verbose" in said
    assert "(default: None)" not in said


@pytest.mark.parametrize("job", cli.JOBS)
def test_every_job_refuses_a_mistyped_option_in_one_line(capsys, job):
    required = {
        "extract": ["--input=x", "--output=y"],
        "ingest": ["--input=x", "--output=y"],
        "demo": [],
        "diff": ["x", "y"],
    }
    assert cli.main([job, *required.get(job, ["x"]), "--dry_rum"]) == 2
    said = capsys.readouterr().err
    assert "--dry_rum" in said
    assert len(said.splitlines()) == 1


_OF_NO_OPTION = "belongs to no option: quote a glob, and write an option that takes several values once for each"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("extract --input=a --outptu=b", "unknown option --outptu: did you mean --output?"),
        ("ingest --imput=a --output=b", "unknown option --imput: did you mean --input?"),
        ("extract a --output=b", f"'a' {_OF_NO_OPTION}"),
        (
            "extract --config=job.yaml --output=b",
            "--config=job.yaml: unknown option --inputs: did you mean --input?",
        ),
        ("show a --spilt=b", "melbeam show has no --spilt: did you mean --split?"),
        ("diff a b --toleranec=1", "melbeam diff has no --toleranec: did you mean --tolerance?"),
        ("verify a b", "melbeam verify has no b; see melbeam verify --help"),
    ],
)
def test_what_may_have_been_meant_is_told(capsys, tmp_path, monkeypatch, call, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.yaml").write_text("inputs: a\n")
    assert cli.main(call.split()) == 2
    assert capsys.readouterr().err == f"melbeam: {said} [MB102]\n"


@pytest.mark.parametrize(
    ("job", "options"),
    [
        ("demo", ["--dry_run", "--limit=1"]),
        ("verify", ["--dry_run", "--limit=1"]),
        ("presets", ["--dry_run", "--limit=1"]),
        ("clean", ["--limit=1"]),
    ],
)
def test_what_a_job_has_no_use_for_is_refused_in_one_line(capsys, tmp_path, job, options):
    for option in options:
        assert cli.main([job, *([] if job == "demo" else [str(tmp_path)]), option]) == 2
        said = capsys.readouterr().err
        assert (
            said == f"melbeam: melbeam {job} has no {option.partition('=')[0]}; see melbeam {job} --help [MB102]\n"
        )


def test_the_defaults_of_retry_rejects_are_the_splits(capsys):
    with pytest.raises(SystemExit):
        cli.main(["retry-rejects", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("(default: as the split was made)") == 1 + len(fields(RecordOptions))  # 1: the front end
    assert "(default: reject)" not in said
    assert "(default: 0.01)" in said
