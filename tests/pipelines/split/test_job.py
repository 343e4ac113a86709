"""Who may write into a folder."""

import pytest

from melbeam.pipelines.files import local
from melbeam.pipelines.split.job import FolderRefused, Job, claim_folder
from melbeam.pipelines.split.plan import Shard
from melbeam.transforms import FrontEnd
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.records.options import RecordOptions

GEMMA = FrontEnd.load("gemma4")


def a_job(output, split="train", front_end=GEMMA, shards=1, fraction=0.01, **options):
    plan = [Shard(i, shards, f"/in-{i}", 10) for i in range(shards)]
    return Job.of(SplitFolder(str(output), split), front_end, RecordOptions(**options), fraction, plan)


def test_the_hash_covers_all_that_decides_the_bytes():
    jobs = [
        a_job("/a"),
        a_job("/a", front_end=GEMMA.replace(mel_floor=1e-4)),
        a_job("/a", front_end=GEMMA.replace(max_audio_length=20.0)),
        a_job("/a", precision="float32"),
        a_job("/a", on_long="chunk"),
        a_job("/a", pad_to_max_length=True),
        a_job("/a", shards=2),
    ]
    assert len({job.hash for job in jobs}) == len(jobs)


def test_the_hash_leaves_out_what_does_not():
    same = [a_job("/b"), a_job("/a", split="dev"), a_job("/a", fraction=1.0)]
    assert {job.hash for job in same} == {a_job("/a").hash}


def test_the_same_job_is_resumed(tmp_path):
    assert claim_folder(a_job(tmp_path), overwrite=False) is False
    assert claim_folder(a_job(tmp_path), overwrite=False) is True


def test_another_job_is_refused_and_changes_nothing(tmp_path):
    claim_folder(a_job(tmp_path), overwrite=False)
    before = (tmp_path / "_melbeam/train/job.json").read_bytes()
    with pytest.raises(FolderRefused, match="precision was 'float64' and is now 'float32'") as refused:
        claim_folder(a_job(tmp_path, precision="float32"), overwrite=False)
    assert "on_long" not in str(refused.value)
    assert (tmp_path / "_melbeam/train/job.json").read_bytes() == before


@pytest.mark.parametrize("step", range(6))
def test_an_overwrite_that_was_cut_off_can_be_started_again(tmp_path, monkeypatch, step):
    old, new = a_job(tmp_path, shards=2), a_job(tmp_path, shards=1)
    claim_folder(old, overwrite=False)
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
            claim_folder(new, overwrite=True)
        except OSError:
            # Without the word again, nothing: what is left is of neither job.
            with pytest.raises(FolderRefused):
                claim_folder(new, overwrite=False)
        else:
            assert step >= 4  # summary, reports, shards, job.json
    claim_folder(new, overwrite=True)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["job.json"]
    assert claim_folder(new, overwrite=False) is True
