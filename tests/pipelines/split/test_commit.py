"""An attempt becomes a finished shard, wherever it is cut off."""

import json
from dataclasses import replace

import pytest

from helpers import tree, which_file, write
from melbeam.pipelines import files
from melbeam.pipelines.files import local
from melbeam.pipelines.sources.units import Unit
from melbeam.pipelines.split.commit import Attempt, commit, committed, files_to_take_over, finished_attempt
from melbeam.pipelines.split.job_file import TakenOver, write_job
from melbeam.pipelines.split.leftovers import temporaries
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.split.reports import FileMark, ShardReport
from melbeam.transforms.distributions import Distribution, Extreme
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.records.split_schema import FieldCounts
from melbeam.transforms.statistics import BinStatistics

SHARD = Shard(3, 9, Unit("/audio/in", 1000))
JOB = "the job's hash"


class CutOff(BaseException):
    """The machine is gone: nothing catches this."""


def attempted(folder, name="abc", job=JOB, first=b"one"):
    """Writes an attempt's files as the extractor leaves them."""
    report = ShardReport(
        job_hash=job,
        index=SHARD.index,
        num_shards=SHARD.num_shards,
        input_path=SHARD.path,
        input_size=SHARD.unit.size,
        index_file=FileMark(**write(folder.temporary(SHARD.index, name, "index"), [b"where they lie"])),
        table=FileMark(**write(folder.temporary(SHARD.index, name, "table"), [b"what they say"])),
        features=FileMark(**write(folder.temporary(SHARD.index, name, "features"), [first, b"two"])),
        rejected=FileMark(**write(folder.temporary(SHARD.index, name, "rejects"), [b"bad"])),
        records_read=3,
        records_converted=2,
        num_features=2,
        rejects={"bad_audio": 1},
        named_ids={"bad_audio": ["/audio/in#2"]},
        fields={"speaker": FieldCounts({"bytes_list": 2}, 1, {"bytes_list": ["a", "b"]})},
        statistics=BinStatistics(5, [1 << 80, -3], [7, 8], [None, -1.5]),
        distributions={"rms_dbfs": Distribution(2, -3 << 90, {-35: 2}, *[[Extreme(-34.5, "a", 3, 0)]] * 2)},
        versions={"melbeam": "1.0"},
    )
    files.write_json(folder.temporary(SHARD.index, name, "report"), report.to_dict())
    return Attempt(name, report)


@pytest.fixture
def folder(tmp_path):
    return SplitFolder(str(tmp_path), "train")


@pytest.fixture
def attempt(folder):
    return attempted(folder)


def finals(folder):
    return folder.shard(3, 9), folder.rejects(3), folder.index(3), folder.table(3, 9), folder.report(3)


def test_a_report_comes_back_from_json(attempt):
    assert ShardReport.from_dict(json.loads(json.dumps(attempt.report.to_dict()))) == attempt.report


def test_a_mark_confirms_these_bytes_only(tmp_path):
    path = str(tmp_path / "a")
    mark = FileMark(**write(path, [b"one", b"two"]))
    assert mark.confirms(path)
    assert not replace(mark, size=mark.size + 1).confirms(path)
    assert not replace(mark, crc32c=mark.crc32c ^ 1).confirms(path)
    assert not mark.confirms(path + "b")


def test_commit(folder, attempt):
    files.ensure_folder(folder.report(3))
    report = commit(folder, attempt)
    assert report == attempt.report
    assert report.features.confirms(finals(folder)[0])
    assert report.rejected.confirms(finals(folder)[1])
    assert temporaries(folder) == []
    assert committed(folder, SHARD, JOB) == Attempt(None, report)


def test_committing_twice_changes_nothing(folder, attempt):
    commit(folder, attempt)
    before = [(files.read_bytes(path), which_file(path)) for path in finals(folder)[:4]]
    commit(folder, attempt)
    assert [(files.read_bytes(path), which_file(path)) for path in finals(folder)[:4]] == before
    commit(folder, committed(folder, SHARD, JOB))
    assert committed(folder, SHARD, JOB).report == attempt.report


def test_an_attempt_whose_files_are_gone_is_not_committed(folder, attempt):
    files.delete([folder.temporary(3, "abc", "features")])
    with pytest.raises(RuntimeError, match=r"is gone and .*train-00003-of-00009.tfrecord does not hold"):
        commit(folder, attempt)
    assert not files.exists(folder.report(3))


@pytest.mark.parametrize("step", range(10))
def test_cut_off_anywhere_the_shard_is_finished_by_the_next_start(folder, attempt, monkeypatch, step):
    """The next start finds the shard done, or the attempt; here never nothing, as the attempt had ended."""
    left = [step]

    def cut_off_after_steps(name):
        real = getattr(local, name)

        def method(*arguments, **options):
            if left[0] == 0:
                raise CutOff
            left[0] -= 1
            return real(*arguments, **options)

        return method

    with monkeypatch.context() as patch:
        for name in ("rename", "create_file", "delete"):
            patch.setattr(local, name, cut_off_after_steps(name))
        try:
            commit(folder, attempt)
        except CutOff:
            pass
        else:
            assert step >= 7  # four renames, the report written and renamed, the temporaries deleted
    found = committed(folder, SHARD, JOB) or finished_attempt(folder, SHARD, JOB)
    assert found.report == attempt.report
    commit(folder, found)
    assert committed(folder, SHARD, JOB) == Attempt(None, attempt.report)
    assert temporaries(folder) == []


def test_another_jobs_work_is_not_taken(folder, attempt):
    assert finished_attempt(folder, SHARD, "another hash") is None
    commit(folder, attempt)
    assert committed(folder, SHARD, "another hash") is None


@pytest.mark.parametrize("done", [False, True])
def test_a_late_attempt_of_another_job_changes_nothing(folder, done):
    """A job on a runner elsewhere, say, went on when its launcher had given up."""
    write_job(folder, {"hash": "the new job's hash", "identity": {}})
    if done:
        commit(folder, attempted(folder, "new", job="the new job's hash"))
    late = attempted(folder, "late", first=b"uno")
    before = tree(folder.output)
    with pytest.raises(TakenOver, match=r"split 'train' is another job's by now \(the new job's"):
        commit(folder, late)
    assert tree(folder.output) == before
    mine = attempted(folder, "new", job="the new job's hash")
    assert commit(folder, mine) == mine.report
    assert committed(folder, SHARD, "the new job's hash").report == mine.report


def test_what_a_next_start_takes_over(folder):
    attempted(folder, "whole")
    attempted(folder, "other", job="another hash")
    files.write_bytes(folder.temporary(4, "begun", "features"), b"x")
    files.write_bytes(folder.temporary(4, "begun", "progress"), b"x")
    kept = {folder.temporary(3, "whole", kind) for kind in ("features", "rejects", "index", "table", "report")}
    assert files_to_take_over(folder, JOB) == kept
    commit(folder, finished_attempt(folder, SHARD, JOB))
    attempted(folder, "late")
    assert files_to_take_over(folder, JOB) == set()


def test_an_attempt_that_did_not_end_is_nothing(folder, attempt):
    files.delete([folder.temporary(3, "abc", "report")])
    assert finished_attempt(folder, SHARD, JOB) is None


@pytest.mark.parametrize("kind", ["features", "rejects", "index", "table"])
def test_a_damaged_attempt_is_nothing(folder, attempt, kind):
    with open(folder.temporary(3, "abc", kind), "r+b") as file:
        file.write(b"x")
    assert finished_attempt(folder, SHARD, JOB) is None


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_a_damaged_shard_is_not_done(folder, attempt, index):
    commit(folder, attempt)
    with open(finals(folder)[index], "r+b") as file:
        file.write(b"x")
    assert committed(folder, SHARD, JOB, recheck=True) is None
    # A local file that was written through before its report has its size, or a disk that lies.
    assert committed(folder, SHARD, JOB) is not None
    with open(finals(folder)[index], "ab") as file:
        file.write(b"x")
    assert committed(folder, SHARD, JOB) is None


def test_a_shard_of_an_input_that_was_moved_is_done_again(folder):
    """Its records say where their audio lies; a folder's rejects are moved with it."""
    here = replace(SHARD, unit=replace(SHARD.unit, path="/moved/in"))
    assert finished_attempt(folder, SHARD, JOB) is None
    commit(folder, attempted(folder))
    assert (committed(folder, SHARD, JOB) is None, committed(folder, here, JOB)) == (False, None)
    attempted(folder, "left")
    assert finished_attempt(folder, here, JOB) is None
    again = attempted(folder, "again", first=b"uno")
    again = replace(again, report=replace(again.report, input_path="/moved/in"))
    assert commit(folder, again) == again.report
    assert committed(folder, here, JOB).report == again.report


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"rejected": null}'])
def test_a_torn_report_is_no_report(folder, attempt, content):
    commit(folder, attempt)
    files.write_bytes(folder.report(3), content)
    assert committed(folder, SHARD, JOB) is None


def test_of_two_attempts_the_committed_one_sweeps_the_other_away(folder):
    first, second = attempted(folder, "aaa"), attempted(folder, "bbb")
    commit(folder, second)
    assert temporaries(folder) == []
    commit(folder, first)  # its bytes are the same, so it is done too
    assert committed(folder, SHARD, JOB).report == first.report


def test_a_late_attempt_of_other_bytes_changes_nothing(folder):
    """A worker of another type of CPU, say, was taken for dead."""
    first = commit(folder, attempted(folder))
    before = tree(folder.output)
    late = attempted(folder, "late", first=b"uno")
    assert commit(folder, late) == first
    assert tree(folder.output) == before
    assert committed(folder, SHARD, JOB).report == first
    assert temporaries(folder) == []


def test_a_late_attempt_mends_a_shard_that_was_damaged(folder):
    commit(folder, attempted(folder))
    files.write_bytes(finals(folder)[0], b"damaged")
    late = attempted(folder, "late")
    assert commit(folder, late) == late.report
    assert committed(folder, SHARD, JOB).report == late.report
