import pytest

from melbeam.pipelines.split.leftovers import delete_temporaries, half_written, temporaries
from melbeam.transforms.folder_layout import SplitFolder


@pytest.mark.parametrize("name", ["features", "a[1]", "b*", "c?"])
def test_a_splits_leftovers_are_its_own(tmp_path, name):
    splits = {
        place: SplitFolder(str(tmp_path / place[0]), place[1])
        for place in ((name, "train"), (name, "train_long"), ("a1", "train"), ("bb", "train"), ("cc", "train"))
    }
    for folder in splits.values():
        for index in (1, 10):
            (tmp_path / folder.temporary_folder(index)).mkdir(parents=True)
            for kind in ("features", "report"):
                (tmp_path / folder.temporary(index, "abc", kind)).write_text("")
        small = (folder.job, folder.report(3), folder.index(3))
        for path in (folder.lock_guard, *(f"{path}.1f.tmp" for path in small)):
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text("")
    train = splits.pop((name, "train"))
    assert temporaries(train, 1) == [train.temporary(1, "abc", kind) for kind in ("features", "report")]
    assert len(temporaries(train)) == 4
    assert temporaries(train, 2) == []
    assert len(half_written(train)) == 4
    delete_temporaries(train, 1)
    assert [path.name for path in (tmp_path / train.temporary_folder(1)).parent.iterdir()] == ["00010"]
    delete_temporaries(train)
    assert list((tmp_path / train.temporary_folder(1)).parent.iterdir()) == []
    assert all(len(temporaries(other)) == 4 for other in splits.values())
