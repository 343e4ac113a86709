"""YAML as data only: no tags that make objects, no aliases, one kind of error."""

from __future__ import annotations

from typing import Any

import yaml


class _PlainLoader(yaml.SafeLoader):
    """Safe YAML without aliases, by which a few hundred bytes become a value of any size."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="an alias: write the value itself")
        return super().compose_node(parent, index)


def load_yaml(text: str) -> Any:
    """The value of a YAML or JSON document.

    Raises:
        ValueError: it is no YAML, or has tags, aliases or a depth that plain data has not.
    """
    try:
        return yaml.load(text, _PlainLoader)  # a SafeLoader
    except RecursionError as error:
        raise ValueError("this is no YAML of ours: it is nested too deep") from error
    except (
        Exception
    ) as error:  # beside its own, PyYAML lets out what a wrong tag's value raises: KeyError and others
        raise ValueError(f"this is no YAML: {error}") from error
