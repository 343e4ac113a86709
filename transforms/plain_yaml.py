"""YAML as data only: no tags that make objects, no aliases, one kind of error."""

from __future__ import annotations

from typing import Any

import yaml

_MAX_DEPTH = 20  # a job has 3; PyYAML's time grows with the square of it


class _PlainLoader(yaml.SafeLoader):
    """Safe YAML without aliases, by which a few hundred bytes become a value of any size."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="an alias: write the value itself")
        if self._depth == _MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested more than {_MAX_DEPTH} deep")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.MappingNode):
            _refuse_doubles([key for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
        return node


def _refuse_doubles(keys: list[yaml.ScalarNode]) -> None:
    """Refuses a mapping that says two things of one key: PyYAML would take the last."""
    seen: set[str] = set()
    for key in keys:
        if key.value in seen:
            raise yaml.MarkedYAMLError(problem=f"{key.value!r} is there twice", problem_mark=key.start_mark)
        seen.add(key.value)


def load_yaml(text: str) -> Any:
    """The value of a YAML or JSON document.

    Raises:
        ValueError: it is no YAML, or has tags, aliases, doubled keys or a depth that plain data has not.
    """
    try:
        return yaml.load(text, _PlainLoader)  # a SafeLoader
    except Exception as error:  # not only YAMLError: a wrong tag's value raises KeyError and others
        raise ValueError(f"this is no YAML: {error}") from error
