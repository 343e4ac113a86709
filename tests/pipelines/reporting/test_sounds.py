"""The sound of a pictured clip: it is that clip's, or there is none."""

import pytest

from helpers import clip, run, write
from melbeam.pipelines import extract
from melbeam.pipelines.reporting.clips import read_clips
from melbeam.pipelines.reporting.parts import find_parts
from melbeam.pipelines.reporting.sounds import NotAtHand, Sounds


def test_a_record_that_is_another_by_now_has_no_sound(tmp_path):
    records = [clip(name, seed=seed) for seed, name in enumerate("ab")]
    write(tmp_path / "a.tfrecord", records)
    assert run(extract, f"--input={tmp_path}/a.tfrecord", f"--output={tmp_path}/features").status == 0
    (part,) = find_parts([f"{tmp_path}/features"], ["train"])
    pictured = sorted(read_clips(part).clips, key=lambda one: one.id)
    assert len({Sounds(part).of(one) for one in pictured}) == 2
    write(tmp_path / "a.tfrecord", reversed(records))  # of the same size
    for one, other in zip(pictured, "ba", strict=True):
        with pytest.raises(NotAtHand, match=rf"a\.tfrecord#\d is another record by now: its id is {other}"):
            Sounds(part).of(one)
