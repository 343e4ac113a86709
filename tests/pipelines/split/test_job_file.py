"""job.json decides whose a split is, and is no obstacle where a power cut has torn it."""

import pytest

from helpers import tree
from melbeam.pipelines import files
from melbeam.pipelines.refusals import Refusal
from melbeam.pipelines.sources.units import Unit
from melbeam.pipelines.split.ending import finish_split
from melbeam.pipelines.split.job import FolderRefused, Job, claim_splits
from melbeam.pipelines.split.job_file import (
    TakenOver,
    UnusableJobFile,
    check_owner,
    mark_as_being_replaced,
    read_job,
)
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms import FrontEnd
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.records.options import RecordOptions

PLAN = [Shard(0, 1, Unit("/in", 10))]
GEMMA = FrontEnd.load("gemma4")
TORN = [b"", b"\0" * 100, b'{"hash": "12', b"[]", b"{}", b'{"hash": "12"}', b"\xff"]


def a_job(output, split="train", **options):
    return Job.of(SplitFolder(str(output), split), GEMMA, RecordOptions(**options), PLAN)


def claim(job, *, overwrite=False):
    claim_splits([job], PLAN, overwrite=overwrite)


@pytest.mark.parametrize("content", TORN)
def test_overwrite_mends_a_torn_one_and_the_message_says_so(tmp_path, content):
    job = a_job(tmp_path)
    claim(job)
    files.write_bytes(job.folder.job, content)
    for path in (job.folder.shard(0, 3), job.folder.report(0)):
        files.write_bytes(path, b"of the job before")
    before = tree(tmp_path)
    with pytest.raises(FolderRefused, match=r"_melbeam/train/job.json .*--overwrite"):
        claim(job)
    assert tree(tmp_path) == before
    claim(job, overwrite=True)
    assert list(tree(tmp_path)) == ["_melbeam/train/job.json"]
    assert read_job(job.folder)["hash"] == job.hash


@pytest.mark.parametrize("kept", ["plan", "summary", "report"])
def test_overwrite_mends_one_that_is_gone_and_the_message_says_so(tmp_path, kept):
    """What melbeam keeps beside it says that the shards are its own."""
    job = a_job(tmp_path)
    paths = {"plan": job.folder.plan, "summary": job.folder.summary, "report": job.folder.report(0)}
    for path in (job.folder.shard(0, 3), paths[kept]):
        files.write_bytes(path, b"of the job before")
    before = tree(tmp_path)
    with pytest.raises(FolderRefused, match=r"_melbeam/train/job.json is missing: --overwrite makes") as refused:
        claim(job)
    assert (refused.value.refusal, tree(tmp_path)) == (Refusal.UNUSABLE_JOB_FILE, before)
    claim(job, overwrite=True)
    assert not list(tmp_path.glob("train-*"))
    assert read_job(job.folder)["hash"] == job.hash


def test_overwrite_deletes_no_shard_that_nothing_says_is_ours(tmp_path):
    job = a_job(tmp_path)
    files.write_bytes(job.folder.shard(0, 3), b"somebody's")
    files.write_bytes(job.folder.lock, b"{}")  # which the job itself has made by then
    for overwrite in (False, True):
        with pytest.raises(FolderRefused, match="that melbeam did not write"):
            claim(job, overwrite=overwrite)


def test_a_start_writes_anew_what_somebody_edited(tmp_path):
    """What the hash is of, or the front end beside it: the hash says whose the split is."""
    job = a_job(tmp_path)
    claim(job)
    whole = tree(tmp_path)
    content = files.read_json(job.folder.job)
    files.write_json(job.folder.job, {**content, "front_end": {}, "identity": {"dtype": "float16"}})
    claim(job)
    assert tree(tmp_path) == whole


@pytest.mark.parametrize("content", TORN)
def test_two_torn_splits_can_both_be_mended(tmp_path, content):
    jobs = [a_job(tmp_path, split) for split in ("dev", "train")]
    for job in jobs:
        claim(job)
    for job in jobs:
        files.write_bytes(job.folder.job, content)
    for job in jobs:
        claim(job, overwrite=True)
        assert read_job(job.folder)["hash"] == job.hash


def test_a_finished_split_of_which_nothing_can_be_told_is_not_joined(tmp_path):
    other, mine = a_job(tmp_path, "dev"), a_job(tmp_path)
    claim(other)
    files.write_bytes(other.folder.job, b"")
    files.write_bytes(other.folder.summary, b"{}")
    with pytest.raises(FolderRefused, match=r"finished split 'dev'.*extract it again first"):
        claim(mine)
    claim(other, overwrite=True)
    claim(mine)


@pytest.mark.parametrize("content", TORN)
def test_a_finished_split_without_a_usable_summary_is_found_before_any_work(tmp_path, content):
    other, mine = a_job(tmp_path, "dev"), a_job(tmp_path)
    claim(other)
    files.write_bytes(other.folder.summary, content)
    with pytest.raises(FolderRefused, match=r"dev/summary.json: it is no summary.*remove it and run that split's"):
        claim(mine)
    files.delete([other.folder.summary])
    claim(mine)


def test_while_a_split_is_being_replaced_it_is_nobodys(tmp_path):
    job = a_job(tmp_path)
    claim(job)
    mark_as_being_replaced(job.folder)
    with pytest.raises(UnusableJobFile, match="--overwrite again"):
        read_job(job.folder)
    with pytest.raises(TakenOver):
        check_owner(job.folder, job.hash)


def test_a_job_that_lost_its_split_writes_no_metadata(tmp_path):
    old, new = a_job(tmp_path), a_job(tmp_path, dtype="float16")
    claim(old)
    claim(new, overwrite=True)
    before = tree(tmp_path)

    def write_summary(folder, summary):
        files.write_json(folder.summary, summary.to_dict())

    with pytest.raises(TakenOver, match="is another job's by now"):
        finish_split(old, SplitSummary(), write_summary)
    assert tree(tmp_path) == before
    files.delete([new.folder.job])
    with pytest.raises(TakenOver, match="was removed"):
        finish_split(new, SplitSummary(), write_summary)
    assert tree(tmp_path) == {}
