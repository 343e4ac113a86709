"""HTML in which what is not `Html` already can only be text."""

import html.parser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from melbeam.transforms.markup import element, escaped, of_command, of_data, of_id, with_code


class Text(html.parser.HTMLParser):
    """The text of some HTML, and the names of its elements."""

    def __init__(self, markup):
        super().__init__()
        self.found, self.names, self.attributes = "", [], []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.names.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.found += data


@given(st.text(max_size=40))
def test_any_text_is_text(text):
    for made in (element("p", text), element("p", of_data(text)), element("p", of_id(text))):
        parsed = Text(made)
        assert set(parsed.names) <= {"p", "bdi", "wbr"}
    assert not [name for name, _ in Text(element("p", title=text)).attributes if name != "title"]


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn", "Co"]), max_size=40))
def test_it_comes_back_as_it_was(text):
    assert Text(of_data(text)).found == text
    assert dict(Text(element("p", title=text or "-")).attributes) == {"title": text or "-"}


@pytest.mark.parametrize("text", ["\x00", "\x1b", "\x7f", "\ud800", "\ufffe"])
def test_what_html_cannot_hold_is_replaced(text):
    assert escaped(f"a{text}b") == "a\ufffdb"
    escaped(text).encode()


def test_a_long_text_says_how_long_it_is():
    assert Text(of_data("x" * 700)).found == "x" * 600 + "… (700 characters)"
    assert Text(of_id("a" * 40 + "b" * 40)).found == "a" * 24 + "…" + "b" * 24


def test_a_command_is_quoted_for_a_shell():
    assert Text(of_command("melbeam", "rejects", "my features; rm -rf ~")).found == (
        "melbeam rejects 'my features; rm -rf ~'"
    )


def test_backticks_are_code():
    assert with_code("pass `--x` <b>") == 'pass <code class="short">--x</code> &lt;b&gt;'
