"""Who may write into a folder."""

from dataclasses import replace

import pytest

from helpers import tree, which_file
from melbeam.pipelines import files
from melbeam.pipelines.files import local
from melbeam.pipelines.sources.units import Unit
from melbeam.pipelines.split.job import FolderRefused, Job, claim_splits
from melbeam.pipelines.split.plan import Shard, write_plan
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms import FrontEnd
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.records.options import RecordOptions

GEMMA, WHISPER = FrontEnd.load("gemma4"), FrontEnd.load("whisper")


def a_plan(shards):
    return [Shard(i, shards, Unit(f"/in-{i}", 10)) for i in range(shards)]


def a_job(output, split="train", front_end=GEMMA, shards=1, fraction=0.01, plan=None, **options):
    folder, plan = SplitFolder(str(output), split), a_plan(shards) if plan is None else plan
    return Job.of(folder, front_end, RecordOptions(**options), plan, max_reject_fraction=fraction)


def claim(job, plan=None, *, overwrite=False):
    claim_splits([job], a_plan(job.num_shards) if plan is None else plan, overwrite=overwrite)


def test_the_hash_covers_all_that_decides_the_bytes():
    jobs = [
        a_job("/a"),
        a_job("/a", front_end=GEMMA.replace(mel_floor=1e-4)),
        a_job("/a", front_end=GEMMA.replace(max_audio_length=20.0)),
        a_job("/a", precision="float32"),
        a_job("/a", on_long="chunk"),
        a_job("/a", pad_to_max_length=True),
        a_job("/a", shards=2),
        a_job("/a", front_end=WHISPER, pad_to_max_length=False),
        a_job("/a", front_end=WHISPER.replace(model_takes="mask"), pad_to_max_length=False),
    ]
    assert len({job.hash for job in jobs}) == len(jobs)


def test_the_hash_leaves_out_what_does_not():
    same = [a_job("/b"), a_job("/a", split="dev"), a_job("/a", fraction=1.0)]
    assert {job.hash for job in same} == {a_job("/a").hash}


def test_the_same_job_is_resumed(tmp_path):
    claim(a_job(tmp_path))
    before = which_file(tmp_path / "_melbeam/train/job.json")
    claim(a_job(tmp_path))
    assert which_file(tmp_path / "_melbeam/train/job.json") == before  # it may have been read


def test_another_job_is_refused_and_changes_nothing(tmp_path):
    claim(a_job(tmp_path))
    before = (tmp_path / "_melbeam/train/job.json").read_bytes()
    with pytest.raises(FolderRefused, match="precision was 'float64' and is now 'float32'") as refused:
        claim(a_job(tmp_path, precision="float32"))
    assert "on_long" not in str(refused.value)
    assert (tmp_path / "_melbeam/train/job.json").read_bytes() == before


@pytest.mark.parametrize("step", range(6))
def test_an_overwrite_that_was_cut_off_can_be_started_again(tmp_path, monkeypatch, step):
    old, new = a_job(tmp_path, shards=2), a_job(tmp_path, shards=1)
    claim(old)
    left_over = [old.folder.shard(0, 2), old.folder.shard(1, 2), old.folder.report(0), old.folder.summary]
    for path in left_over:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("{}")
    delete, left = local.delete, [step]

    def cut_off_after_steps(paths):
        if left[0] == 0:
            raise OSError("the machine is gone")
        left[0] -= 1
        delete(paths)

    with monkeypatch.context() as patch:
        patch.setattr(local, "delete", cut_off_after_steps)
        try:
            claim(new, overwrite=True)
        except OSError:
            # Without the word again, nothing: what is left is of neither job.
            with pytest.raises(FolderRefused):
                claim(new)
        else:
            assert step >= 3  # summary, reports, shards
    claim(new, overwrite=True)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["job.json"]
    claim(new)


@pytest.mark.parametrize("step", range(13))
def test_what_was_retried_goes_with_its_split_wherever_that_was_cut_off(tmp_path, monkeypatch, step):
    """Readers who glob would else take clips of rejects that are no more, and no command would remove them."""
    old, new = a_job(tmp_path, shards=2), a_job(tmp_path, shards=1)
    retried = replace(old, folder=old.folder.retried, rejects="a hash")
    for job in (old, retried):
        claim(job)
        for path in (job.folder.shard(0, 1), job.folder.report(0), job.folder.schema):
            files.write_bytes(path, b"{}")
        files.write_json(job.folder.summary, SplitSummary().to_dict())
    left = [step]

    def cut_off_after_steps(name):
        real = getattr(local, name)

        def method(*arguments, **options):
            if left[0] == 0:
                raise OSError("the machine is gone")
            left[0] -= 1
            return real(*arguments, **options)

        return method

    with monkeypatch.context() as patch:
        for name in ("delete", "rename"):
            patch.setattr(local, name, cut_off_after_steps(name))
        with pytest.raises(OSError, match="the machine is gone"):
            claim(new, overwrite=True)
    files.delete([retried.folder.lock])  # which is a dead job's
    claim(new, overwrite=True)
    left = [name for name in tree(tmp_path) if not name.endswith(".tmp")]  # which goes when the job ends well
    assert left == ["_melbeam/train/job.json", "_melbeam/train/schema.json"]


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        (
            [Shard(0, 2, Unit("/in-0", 10)), Shard(1, 2, Unit("/new", 5))],
            "only now in the input: /new; not in the input any more: /in-1",
        ),
        (
            [Shard(0, 2, Unit("/in-0", 10)), Shard(1, 2, Unit("/in-1", 12))],
            r"of another size: /in-1 \(10 bytes, now 12\)",
        ),
        ([Shard(0, 2, Unit("/in-0", 10, p, 2)) for p in (0, 1)], "not in the input any more: /in-1"),
        ([Shard(0, 2, Unit("/in-0", 10), limit=3), Shard(1, 2, Unit("/in-1", 10))], "cut into shards otherwise"),
    ],
)
def test_another_input_is_told_by_its_files(tmp_path, plan, named):
    old = a_job(tmp_path, shards=2)
    claim(old)
    write_plan(old.folder.plan, a_plan(2))
    with pytest.raises(FolderRefused, match=named) as refused:
        claim(a_job(tmp_path, plan=plan), plan)
    assert old.plan_hash not in str(refused.value)


def test_of_many_files_the_first_are_named(tmp_path):
    claim(a_job(tmp_path, shards=1))
    write_plan(SplitFolder(str(tmp_path), "train").plan, a_plan(1))
    with pytest.raises(FolderRefused, match="only now in the input: /in-1, /in-2, /in-3 and 6 more"):
        claim(a_job(tmp_path, shards=10))


@pytest.mark.parametrize("content", [None, "", "[1", '["a"]\n'])
def test_a_plan_that_was_never_written_whole_is_another_one(tmp_path, content):
    claim(a_job(tmp_path, shards=1))
    if content is not None:
        (tmp_path / "_melbeam/train/plan.jsonl").write_text(content)
    with pytest.raises(FolderRefused, match="num_shards was 1 and is now 2; "):
        claim(a_job(tmp_path, shards=2))


@pytest.mark.parametrize(
    ("bound", "value", "message"),
    [
        ("max_reject_fraction", 1.5, r"--max_reject_fraction must be in \[0, 1\], got 1.5"),
        ("max_reject_fraction", None, "--max_reject_fraction must be a finite number, .*got None"),
        ("max_reject_fraction", True, "got True"),
        ("max_reject_fraction", float("nan"), "got nan"),
        ("max_convert_seconds", 0, "--max_convert_seconds must be above 0 and at most 1e[+]06 seconds, got 0"),
        ("max_convert_seconds", "10", "got '10'"),
    ],
)
def test_a_bound_that_is_none_is_refused_by_name(bound, value, message):
    with pytest.raises(ValueError, match=message):
        Job.of(SplitFolder("/a", "train"), GEMMA, RecordOptions(), a_plan(1), **{bound: value})


@pytest.mark.parametrize(
    "other",
    [WHISPER.replace(max_audio_length=20.0), WHISPER.replace(model_takes="mask")],
    ids=["max_audio_length", "model_takes"],
)
def test_splits_of_one_folder_are_of_one_full_length(tmp_path, request, other):
    assert other.fingerprint == WHISPER.fingerprint
    for first, second in ((WHISPER, other), (other, WHISPER)):
        output = tmp_path / second.model_takes / str(second.max_audio_length)
        claim(a_job(output, front_end=first))
        with pytest.raises(FolderRefused, match=f"split 'train' with {request.node.callspec.id} "):
            claim(a_job(output, "dev", front_end=second))
        claim(a_job(output, "test", front_end=first, pad_to_max_length=False))


def test_splits_of_a_model_that_takes_a_mask_may_be_of_several_lengths(tmp_path):
    claim(a_job(tmp_path))
    claim(a_job(tmp_path, "long", front_end=GEMMA.replace(max_audio_length=60.0)))
