"""One corpus in every kind of source: the same features by id, and the same bytes whatever kills the job."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from corpora import KINDS, Corpus
from helpers import run, tree
from melbeam.pipelines import extract
from melbeam.pipelines.tfrecord import read_tfrecord_file
from melbeam.transforms.records.example_proto import Example

JOB_SECONDS = 300


def features_by_id(folder):
    """The records, but for where each came from, by id."""
    found = {}
    for path in sorted(folder.glob("train-*")):
        for record in read_tfrecord_file(str(path)):
            features = Example.FromString(record.data).features.feature
            name = features["id"].bytes_list.value[0].decode()
            assert name not in found
            found[name] = {key: value.SerializeToString() for key, value in features.items() if key != "source"}
    return found


@pytest.mark.parametrize("num_clips", [40, pytest.param(10_000, marks=pytest.mark.slow)])
def test_short_clips_give_the_same_features_by_id_from_every_source(tmp_path, num_clips):
    corpus = Corpus(tmp_path, num_clips, 0.05)
    expected = None
    for kind in KINDS if num_clips < 100 else ("tfrecord", "manifest", "parquet", "webdataset"):
        source, options = corpus.write(kind)
        output = tmp_path / f"features-{kind}"
        runner = ["--runner=FnApiRunner"] if num_clips < 100 else []
        status, said = run(extract, f"--input={source}", f"--output={output}", *options, *runner)
        assert (status, f"{num_clips:,} records read" in said or f"{num_clips} records read" in said) == (
            0,
            True,
        ), said
        found = features_by_id(output)
        assert list(found) == [corpus.clip(number)[0] for number in range(num_clips)]
        assert found[corpus.clip(7)[0]]["text"].endswith(b"text 7")
        expected = expected or found
        assert found == expected, kind


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_job_that_is_killed_goes_on_to_the_same_bytes(tmp_path, kind):
    source, options = Corpus(tmp_path, 240, 1.0, num_files=8).write(kind)
    arguments = [f"--input={source}", *options]
    status, said = run(extract, *arguments, f"--output={tmp_path}/undisturbed")
    assert status == 0, said
    output = tmp_path / "killed"
    command = [sys.executable, "-m", "melbeam.pipelines.extract", *arguments, f"--output={output}"]
    job = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + JOB_SECONDS
    while not list(output.glob("_melbeam/train/tmp/*/*.features")):
        assert job.poll() is None, "it ended before a shard was begun"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(job.pid, signal.SIGKILL)
    assert job.wait() == -signal.SIGKILL
    assert not (output / "_melbeam/train/summary.json").exists()
    status, said = run(extract, *arguments, f"--output={output}")
    assert status == 0, said
    assert tree(output) == tree(tmp_path / "undisturbed")
