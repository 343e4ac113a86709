"""A runner that loses an element on its way from step to step: the job says so, and finishes nothing."""

import pytest

from helpers import clip, run, tree, write
from melbeam.pipelines import extract, ingest
from melbeam.pipelines.ingesting.pipeline import RouteUnit
from melbeam.pipelines.split import beam_steps
from melbeam.pipelines.split.plan import read_plan_by_file


@pytest.fixture
def source(tmp_path):
    for name in "ab":
        write(tmp_path / f"{name}.tfrecord", [clip(name)])
    return f"--input={tmp_path}/*.tfrecord"


@pytest.mark.parametrize("job", [extract, ingest])
def test_a_lost_shard(source, tmp_path, monkeypatch, job):
    monkeypatch.setattr(beam_steps, "read_plan_by_file", lambda path: list(read_plan_by_file(path))[:1])
    folder = tmp_path / "out"
    status, said = run(job, source, f"--output={folder}")
    assert (status, "split 'train': 1 of 2 shards came to the end of the job" in said) == (1, True), said
    assert "_melbeam/train/summary.json" not in tree(folder)
    monkeypatch.undo()
    status, said = run(job, source, f"--output={folder}")
    assert (status, "2 records read = 2" in said or "2 clips read = 2" in said) == (0, True), said


def test_clips_that_were_lost_on_their_way_to_a_shard(source, tmp_path, monkeypatch):
    routed = RouteUnit.process
    monkeypatch.setattr(
        RouteUnit, "process", lambda self, unit, counted: () if unit.index else routed(self, unit, counted)
    )
    job = (source, f"--output={tmp_path}/out", "--shuffle_seed=1")
    status, said = run(ingest, *job)
    assert (status, "split 'train': 1 of 2 clips came to their shards" in said) == (1, True), said
    monkeypatch.undo()
    assert run(ingest, *job).status == 1
    status, said = run(ingest, *job, "--overwrite")
    assert (status, "2 clips read = 2 written + 0 rejected" in said) == (0, True), said
