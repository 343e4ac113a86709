"""One syntax of globs, whatever the file system."""

import warnings
from glob import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from melbeam.pipelines.files.globs import compile_glob, literal_path, literal_prefix, with_literal_brackets


@pytest.mark.parametrize(
    ("glob", "named", "not_named"),
    [
        ("a/*.wav", ["a/b.wav", "a/.wav", "a/.b.wav"], ["a/b/c.wav", "b.wav", "a/b.wave"]),
        ("**", ["a", "a/b/c", ""], []),
        ("a/**", ["a/b", "a/b/c"], ["a", "b/c"]),
        ("a/**/*.wav", ["a/b.wav", "a/b/c/d.wav"], ["a/b/c/d.mp3", "ab/c.wav"]),
        ("a**/b", ["a/b", "ax/b", "ax/y/b"], ["a", "b"]),
        ("a?", ["ab", "a?"], ["a", "a/", "abc"]),
        ("[ab]x[!0-9]", ["axy", "bx-"], ["cxy", "ax1", "ax/"]),
        ("[]x]", ["]", "x"], ["[", "[]x]"]),
        ("[^x]", ["^", "x"], ["y"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[z-a] [] [", ["[z-a] [] ["], ["z"]),
        ("a[/]b", ["a[/]b"], ["a/b"]),
        ("a[[]1]", ["a[1]"], ["a1"]),
    ],
)
def test_what_a_glob_names(glob, named, not_named):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = [path for path in (*named, *not_named) if compile_glob(glob).fullmatch(path)]
    assert found == named


@given(st.text())
def test_an_escaped_path_names_itself_alone(path):
    assert literal_path(escape(path)) == literal_prefix(escape(path)) == path
    assert compile_glob(escape(path)).fullmatch(path)
    assert literal_prefix(escape(path) + "*") == path


@given(st.text(alphabet="ab[]!^-*?/\\&", max_size=12), st.text(alphabet="ab[]!^-*?/\\&", max_size=12))
def test_any_text_is_a_glob(glob, path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if compile_glob(glob).fullmatch(path):
            assert path.startswith(literal_prefix(glob))
            assert literal_path(glob) in (None, path)


def test_brackets_can_be_meant_literally():
    assert compile_glob(with_literal_brackets("features [v1]/train-*")).fullmatch("features [v1]/train-0")
