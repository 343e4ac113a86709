"""`melbeam rejects`: why records were turned away, for people and for programs."""

import contextlib
import csv
import io
import json
import shutil

import numpy as np
import pytest

from helpers import write
from melbeam.pipelines import extract, rejects, report
from melbeam.transforms import audio_example

KEYS = ["id", "reason", "detail", "source", "advice"]


def printed(job, *arguments):
    """This gives a job's exit status, and its stdout alone."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = job.main([str(argument) for argument in arguments])
    return status, said.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of seven records two are features: one without text, one that is short, one that is no Example."""
    folder = tmp_path_factory.mktemp("rejects")
    second = np.random.default_rng(0).integers(-9000, 9000, 16000).astype(np.int16)
    records = [
        audio_example(second, id="a", sampling_rate=16000, text="said"),
        audio_example(second, id="no text", sampling_rate=16000),
        audio_example(second, id="blank", sampling_rate=16000, text=" "),
        audio_example(second[:8000], id="short", sampling_rate=16000, text="said"),
        b"\xff\xff",
        audio_example(second, id='é, "quoted"', text="said"),
        audio_example(second, id="b", sampling_rate=16000, text="said"),
    ]
    write(folder / "in.tfrecord", records)
    options = ["--require=text", "--min_seconds=0.75", "--max_reject_fraction=1", "--runner=FnApiRunner"]
    assert printed(extract, f"--input={folder}/in.tfrecord", f"--output={folder}/out", *options)[0] == 0
    return folder


def test_as_json(folder):
    status, said = printed(rejects, f"{folder}/out", "--json")
    found = json.loads(said)
    assert status == 0
    assert [list(reject) for reject in found] == [KEYS] * 5
    assert [(reject["id"], reject["reason"]) for reject in found] == [
        ("no text", "no_text"),
        ("blank", "no_text"),
        ("short", "too_short"),
        ("", "not_an_example"),
        ('é, "quoted"', "bad_field"),
    ]
    assert [reject["source"] for reject in found] == [f"{folder}/in.tfrecord#{number}" for number in range(1, 6)]
    assert "0.500 s, below --min_seconds=0.75" in found[2]["detail"]
    assert all(reject["advice"] for reject in found)


def test_as_csv(folder):
    status, said = printed(rejects, f"{folder}/out", "--csv", "--split=train")
    assert status == 0
    assert list(csv.DictReader(io.StringIO(said))) == json.loads(printed(rejects, f"{folder}/out", "--json")[1])


def test_for_people(folder):
    status, said = printed(rejects, f"{folder}/out")
    assert status == 0
    assert said.startswith(
        f"{folder}/out: 5 rejects\n  1 bad_field\n  2 no_text\n  1 not_an_example\n  1 too_short\n"
    )
    assert f"\nshort\n  too_short: 0.500 s, below --min_seconds=0.75\n  source: {folder}/in.tfrecord#3\n" in said


@pytest.mark.parametrize("is_finished", [True, False])
def test_a_later_melbeams_are_listed_and_told(folder, tmp_path, capsys, is_finished):
    """Also where its summary has other fields, which is not torn therefore."""
    later = tmp_path / "out/_melbeam/train"
    shutil.copytree(folder / "out/_melbeam/train", later)
    for name in ("job.json", "summary.json"):
        content = json.loads((later / name).read_text())
        content.get("identity", content)["record_version"] = 9
        (later / name).write_text(json.dumps({**content, "rejects": [1, 2]}))
    if not is_finished:
        (later / "summary.json").unlink()
    status, said = printed(rejects, tmp_path / "out", "--json")
    told = capsys.readouterr().err
    assert (status, len(json.loads(said))) == (1, 5)
    assert f"{later}/job.json: record_version is 9, this melbeam knows 1 to 2: take the melbeam that" in told
    if is_finished:  # where each job that needs the counts stops
        shutil.copy(folder / "out/front_end.json", tmp_path / "out")
        assert report.main([str(tmp_path / "out")]) == 2
        told += capsys.readouterr().err
        assert f"{later}/summary.json: record_version is 9" in told
    assert "remove it" not in told


def test_none_is_an_empty_list(folder, tmp_path):
    assert printed(extract, f"--input={folder}/in.tfrecord", f"--output={tmp_path}/out", "--limit=1")[0] == 0
    assert printed(rejects, f"{tmp_path}/out", "--json") == (0, "[\n]\n")
    assert printed(rejects, f"{tmp_path}/out") == (0, f"{tmp_path}/out: 0 rejects\n")


def flipped(data):
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    ("change", "left", "told"),
    [
        (lambda path: path.unlink(), 0, ["0 rejects can be read, and its summary counts 5"]),
        (lambda path: path.write_bytes(b""), 0, ["0 rejects can be read, and its summary counts 5"]),
        (
            lambda path: path.write_bytes(flipped(path.read_bytes())),
            4,
            ["record 4: bad_checksum", "4 rejects can be read, and its summary counts 5"],
        ),
        (lambda path: write(path, [b"\xff"]), 0, ["record 0: it is no reject record"]),
    ],
    ids=["missing", "empty", "damaged", "of no Examples"],
)
def test_rejects_that_cannot_be_read_are_told(folder, tmp_path, capsys, change, left, told):
    damaged = tmp_path / "out"
    shutil.copytree(folder / "out", damaged)
    change(damaged / "_melbeam/train/rejects/00000.tfrecord")
    status, said = printed(rejects, damaged, "--json")
    assert (status, len(json.loads(said))) == (1, left)
    told_of = capsys.readouterr().err
    assert all(words in told_of for words in told), told_of


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{}/nowhere"], "nowhere has no split that melbeam made"),
        (["{}/out", "--split=test"], "has no split 'test'; it has train"),
        (["{}/out", "--csv", "--json"], "--csv and --json contradict each other"),
    ],
)
def test_a_wrong_call_is_refused(folder, arguments, told, capsys):
    status = rejects.main([argument.format(folder) for argument in arguments])
    assert (status, told in capsys.readouterr().err) == (2, True)
