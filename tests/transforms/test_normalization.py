"""A split's statistics in the front end: features of mean 0 and deviation 1, and another fingerprint."""

import json

import numpy as np
import pytest

from helpers import write
from melbeam.pipelines import extract, verify
from melbeam.transforms import AudioConverter, FeatureSource, FrontEnd
from melbeam.transforms.records.tf_example import to_example

NEVER_CHANGES = "mel bin 0 never changes, and is divided by 1"


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    path = tmp_path_factory.mktemp("audio") / "audio"
    random = np.random.default_rng(8)
    clips = [(1000 * (number + 1) * random.standard_normal(16000)).astype(np.int16) for number in range(3)]
    records = [{"audio": clip, "sampling_rate": 16000, "id": f"{number}"} for number, clip in enumerate(clips)]
    write(path, map(to_example, records))
    return path


@pytest.fixture(scope="module")
def plain(audio, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain") / "f"
    assert extract.main([f"--input={audio}", f"--output={folder}"]) == 0
    return folder


def frames_of(folder):
    return np.concatenate([clip["input_features"] for clip in FeatureSource(folder)])


@pytest.mark.filterwarnings("ignore:.*never changes")
def test_a_job_normalises_by_a_file(audio, plain, tmp_path):
    assert (
        extract.main([f"--input={audio}", f"--output={tmp_path}/f", f"--normalize_by={plain}/statistics.json"])
        == 0
    )
    values = frames_of(tmp_path / "f").astype(np.float64)
    # Means and deviations of float32 values of a few units, by sums that are exact to 2**-32.
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(axis=0)[1:], 1, atol=1e-5)
    assert not values[:, 0].any()
    before = frames_of(plain).astype(np.float64)
    expected = (before - before.mean(axis=0)) / np.where(before.std(axis=0) > 0, before.std(axis=0), 1)
    np.testing.assert_allclose(values[:, 1:], expected[:, 1:], atol=1e-4)
    assert verify.main([f"{tmp_path}/f"]) == 0
    with pytest.raises(ValueError, match=r"holds features of front end 'gemma4-changed'.*not of 'gemma4'"):
        FeatureSource(tmp_path / "f", front_end="gemma4")
    with pytest.warns(UserWarning, match=NEVER_CHANGES):
        front_end = FrontEnd.load("gemma4").normalized_by(plain)
    assert FeatureSource(tmp_path / "f", front_end=front_end).front_end == front_end
    again = [f"--input={audio}", f"--output={tmp_path}/f", "--split=more", f"--normalize_by={plain}#train"]
    assert extract.main(again) == 0  # of the same front end, so it joins the folder
    assert extract.main([f"--input={audio}", f"--output={tmp_path}/f", "--split=other"]) == 2


def test_the_converter_gives_the_same(plain):
    with pytest.warns(UserWarning, match=NEVER_CHANGES):
        front_end = FrontEnd.load("gemma4").normalized_by(plain, split="train")
    assert front_end.name == "gemma4-changed"
    assert front_end.fingerprint != FrontEnd.load("gemma4").fingerprint
    assert front_end.per_bin_stddev[0] == 1
    clip = (2000 * np.random.default_rng(1).standard_normal(8000)).astype(np.int16)
    plainly, normally = (AudioConverter(f, pad_to_max_length=False)(clip) for f in ("gemma4", front_end))
    expected = (plainly - np.array(front_end.per_bin_mean)) / np.array(front_end.per_bin_stddev)
    np.testing.assert_allclose(normally, expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*never changes")
def test_what_is_refused(audio, plain, tmp_path, capsys):
    gemma4 = FrontEnd.load("gemma4")
    with pytest.raises(ValueError, match=r"has no split 'test'; it has train"):
        gemma4.normalized_by(plain, split="test")
    with pytest.raises(ValueError, match=r"nothing/statistics.json is not there: name a folder of features"):
        gemma4.normalized_by(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"statistics of front end 'gemma4' .*, not of 'gemma3n'"):
        FrontEnd.load("gemma3n").normalized_by(plain)
    with pytest.raises(ValueError, match="has per_bin_mean or per_bin_stddev already"):
        gemma4.normalized_by(plain).normalized_by(plain)
    for content in ("[]", "{}", "nothing", '{"splits": {"train": {}}}'):
        (tmp_path / "statistics.json").write_text(content)
        with pytest.raises(ValueError, match=r"is no statistics.json as melbeam extract writes it"):
            gemma4.normalized_by(tmp_path)
    empty = {"splits": {"train": {"num_frames": 0, "per_bin_mean": None, "per_bin_stddev": None}}}
    (tmp_path / "statistics.json").write_text(json.dumps(empty))
    with pytest.raises(ValueError, match="split 'train' has no frames"):
        gemma4.normalized_by(tmp_path)
    assert extract.main([f"--input={audio}", f"--output={tmp_path}/f", f"--normalize_by={plain}#dev"]) == 2
    assert "has no split 'dev'" in capsys.readouterr().err
