"""A split ends with all its shards and clips, while it is this job's; the lock that was left to the job goes."""

import pytest

from melbeam.pipelines import files
from melbeam.pipelines.sources.units import Unit
from melbeam.pipelines.split.ending import Incomplete, check_is_whole, finish_split, finish_whole_split
from melbeam.pipelines.split.job import Job, claim_splits
from melbeam.pipelines.split.job_file import TakenOver
from melbeam.pipelines.split.lock import SplitLock
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms import FrontEnd
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.records.options import RecordOptions

PLAN = [Shard(0, 2, Unit("/in/a", 10)), Shard(1, 2, Unit("/in/b", 10))]


@pytest.fixture
def job(tmp_path):
    """A job of two shards, to which the split belongs."""
    made = Job.of(SplitFolder(str(tmp_path), "train"), FrontEnd.load("gemma4"), RecordOptions(), PLAN)
    claim_splits([made], PLAN, overwrite=False)
    return made


def summary(shards=2, clips=5):
    return SplitSummary(shard_features=dict.fromkeys(range(shards), 3), records_converted=clips)


class Written:
    """Stands for what a job writes: remembers its calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, folder, summary):
        self.calls.append((folder, summary))


@pytest.mark.parametrize("shards", [0, 1, 3])
def test_shards_that_are_missing_or_too_many(job, shards):
    with pytest.raises(Incomplete, match=f"split 'train': {shards} of 2 shards came to the end of the job"):
        check_is_whole(job.folder, summary(shards), 2)


@pytest.mark.parametrize("clips", [0, 4, 6])
def test_clips_that_are_missing_or_too_many(job, clips):
    with pytest.raises(Incomplete, match=f"{clips} of 5 clips came to their shards.*--overwrite"):
        check_is_whole(job.folder, summary(clips=clips), 2, 5)


def test_a_whole_split(job):
    check_is_whole(job.folder, summary(), 2, 5)
    check_is_whole(job.folder, summary(clips=0), 2)  # of clips that nobody counted nothing is known
    check_is_whole(job.folder, summary(0, 0), 0, 0)


def test_the_last_step_writes_once_and_only_of_a_whole_split(job):
    write, whole = Written(), summary()
    with pytest.raises(Incomplete):
        finish_whole_split(summary(1), job, 2, write)
    assert write.calls == []
    finish_whole_split(whole, job, 2, write)
    assert write.calls == [(job.folder, whole)]


def test_a_split_that_is_another_jobs_or_nobodys(job):
    write = Written()
    files.write_json(job.folder.job, {**job.to_json(), "hash": "0" * 64})
    with pytest.raises(TakenOver, match="is another job's by now"):
        finish_split(job, summary(), write)
    files.delete([job.folder.job])
    with pytest.raises(TakenOver, match="was removed while this job was at work"):
        finish_split(job, summary(), write)
    assert write.calls == []


@pytest.mark.parametrize(("left_to", "stays"), [("this job", False), ("another", True)])
def test_the_lock_that_was_left_to_the_job_goes_when_all_is_written(job, left_to, stays):
    with SplitLock(job.folder) as lock:
        lock.leave_to(job.hash if left_to == "this job" else "0" * 64)

    def write(folder, summary):
        assert files.exists(folder.lock)

    finish_split(job, summary(), write)
    assert files.exists(job.folder.lock) == stays
