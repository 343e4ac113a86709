"""A wrong folder is told from the right one beside it, by every job that reads folders, and by readers."""

import shutil
from pathlib import Path

import pytest

from helpers import clip, run, write
from melbeam.pipelines import clean, diff, index, ingest, rejects, report, retry_rejects, show, verify
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms import FeatureSource

FEATURES = Path(__file__).parents[2] / "data/folder_of_version_1"
JOBS = {"clean": clean, "index": index, "rejects": rejects, "report": report, "retry-rejects": retry_rejects,
        "show": show, "verify": verify}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project's folder: of audio that was ingested, of features, and of features that are not finished."""
    folder = tmp_path_factory.mktemp("project")
    write(folder / "in.tfrecord", [clip("one")])
    assert run(ingest, f"--input={folder}/in.tfrecord", f"--output={folder}/audio/1.0.0").status == 0
    shutil.copytree(FEATURES, folder / "features/1.0.0")
    shutil.copytree(FEATURES, folder / "half")
    for path in (*folder.glob("half/_melbeam/*/summary.json"), folder / "half/dataset_info.json"):
        path.unlink()
    return folder


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
@pytest.mark.parametrize(
    ("place", "meant"),
    [
        (".", "{0}/half"),
        ("features", "{0}/features/1.0.0"),
        ("features/1.0.0/_melbeam", "{0}/features/1.0.0"),
        ("features/1.0.0/_melbeam/train", "{0}/features/1.0.0"),
        ("features/1.0.0/train-00000-of-00002.tfrecord", None),
        ("nowhere", None),
    ],
)
def test_a_folder_beside_the_right_one_names_that(project, job, place, meant):
    path = str(project) if place == "." else f"{project}/{place}"
    ran = run(job, path)
    assert ran.status == 2, ran.text
    assert str(path) in ran.text
    if meant is not None:
        assert meant.format(project) in ran.text.replace(path, "", 1).replace(f"{path}/dataset_info.json", "")
    assert ran.text.count("\n") == 1


@pytest.mark.parametrize("job", [index, report, retry_rejects, show], ids=lambda job: job.__name__)
def test_audio_that_was_ingested_is_told_from_features(project, job):
    ran = run(job, f"{project}/audio/1.0.0")
    assert ran.status == 2
    assert "melbeam ingest" in ran.text


@pytest.mark.parametrize("job", [index, show, retry_rejects], ids=lambda job: job.__name__)
def test_a_job_that_was_interrupted_is_told(project, job):
    ran = run(job, f"{project}/half")
    assert ran.status == 2
    assert "train, train_retried is not finished: the same `melbeam extract` goes on where it stopped" in ran.text


def test_rejects_of_what_is_not_finished_are_not_all(project):
    assert (
        "split train is not finished: these are of the shards that are done"
        in run(rejects, f"{project}/half", "--split=train").text
    )
    assert "not finished" not in run(rejects, f"{project}/features/1.0.0").text


def test_diff_says_which_of_the_two_is_wrong(project):
    right = f"{project}/features/1.0.0"
    for arguments in ((right, f"{project}/features"), (f"{project}/features", right)):
        ran = run(diff, *arguments)
        assert ran.status == 2
        assert f"did you mean {right}?" in ran.text


def test_readers_say_the_same(project):
    with pytest.raises(ValueError, match=r"did you mean .*features/1\.0\.0\?$"):
        FeatureSource(f"{project}/features")
    with pytest.raises(ValueError, match=r"there is no folder .*/nowhere$"):
        FeatureSource(f"{project}/nowhere")
    with pytest.raises(ValueError, match=r"which `melbeam ingest` wrote: `melbeam extract --input='.*/audio/"):
        FeatureSource(f"{project}/audio/1.0.0")


def test_a_summary_that_is_not_there_is_told_with_what_is(project):
    for folder, split, told in (
        ("features/1.0.0", "test", "has no finished split 'test': it has train, train_retried"),
        ("half", "train", "goes on where it stopped"),
        ("features", "train", "did you mean .*features/1.0.0"),
        ("nowhere", "train", "there is no folder"),
    ):
        with pytest.raises(FileNotFoundError, match=told):
            SplitSummary.load(project / folder, split)
