"""What the launcher makes of its arguments before it looks at any input."""

import pytest

from melbeam.pipelines.extracting.launcher import _statistics_and_split


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("features", ("features", "")),
        ("features#test", ("features", "test")),
        ("a#b", ("a#b", "")),
        ("a#b#test", ("a#b", "test")),
        ("a#b/statistics.json", ("a#b/statistics.json", "")),
        ("a#b/statistics.json#test", ("a#b/statistics.json", "test")),
    ],
)
def test_a_split_stands_behind_the_last_number_sign_that_is_not_of_the_path(
    tmp_path, monkeypatch, given, expected
):
    monkeypatch.chdir(tmp_path)
    for folder in ("features", "a#b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "statistics.json").touch()
    assert _statistics_and_split(given) == expected
