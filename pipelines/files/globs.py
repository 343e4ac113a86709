"""The globs that users write and that name a folder's files: one syntax on every file system.

`*` and `?` stand for characters of one name, `**` for any path, `**/` for any folders or none, `[abc]`, `[a-c]`
and `[!abc]` for one character. `[*]`, `[?]` and `[[]` are how `glob.escape` writes these characters themselves:
a set of one character is that character. Beam's own globs have no escape, match no file of the folder itself
with `**/`, and are applied to paths that are meant literally; so none are handed to Beam.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKENS = re.compile(r"\*\*/|\*\*|\*|\?|\[[!^]?\]?[^\]/]*\]|.", re.DOTALL)
_ANYTHING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
_NAMED_AS_ITSELF = 3  # the length of `[x]`


def compile_glob(glob: str) -> re.Pattern[str]:
    """The regular expression of the whole paths that a glob names."""
    expression, before = "", "/"
    for token in _tokens(glob):
        # "a**/b" says "anything that begins with a, then a slash"; only a whole segment may be no folder at all.
        if token == "**/" and before[-1] != "/":
            expression += ".*/"
        else:
            expression += _ANYTHING.get(token) or _expression_of(token)
        before = token
    return re.compile(expression, re.DOTALL)


def literal_prefix(glob: str) -> str:
    """What all paths that a glob names begin with; the whole path where it names one."""
    prefix = ""
    for token in _tokens(glob):
        if token in _ANYTHING or (len(token) > 1 and _literal(token) is None):
            break
        prefix += _literal(token) or token
    return prefix


def literal_path(glob: str) -> str | None:
    """The one path that a glob names, or None where it may name several."""
    prefix = literal_prefix(glob)
    return prefix if compile_glob(glob).pattern == re.escape(prefix) else None


def with_literal_brackets(glob: str) -> str:
    """The glob in which `[` stands for itself, as in the name of a folder `features [v1]`."""
    return glob.replace("[", "[[]")


def _tokens(glob: str) -> Iterator[str]:
    return (found[0] for found in _TOKENS.finditer(glob))


def _literal(token: str) -> str | None:
    """The character that a set of one character stands for."""
    return token[1] if len(token) == _NAMED_AS_ITSELF and token[0] == "[" and token[1] not in "!^" else None


def _expression_of(token: str) -> str:
    if len(token) == 1 or _literal(token) is not None:
        return re.escape(_literal(token) or token)
    negated, characters = token[1] == "!", token[1:-1].removeprefix("!")
    inside = "-".join(re.escape(part) for part in characters.split("-"))
    try:
        re.compile(one := f"[{'^' if negated else ''}{inside}]")
    except re.error:  # a range that ends before it begins, or no character at all
        return re.escape(token)
    return f"(?!/){one}"
