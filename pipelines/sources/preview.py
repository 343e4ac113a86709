"""Says for a person how a source was understood: which column is what, and what the first clips have."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice
from typing import Any

from melbeam.pipelines import words
from melbeam.pipelines.sources.planning import read_unit
from melbeam.pipelines.sources.units import AudioRecord, Item, Unit, printable
from melbeam.transforms.records.clip_length import microseconds_of
from melbeam.transforms.records.examples import clip_id_in, features_if_any
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.schema import BYTES, SEGMENTS, TEXT
from melbeam.transforms.records.tf_example import kind_and_count

_CLIPS = 3
_CHARACTERS = 60  # of a value
_VALUES = 3  # of a list
_NOT_SHOWN = ("audio", "id", SEGMENTS)


def preview(units: Iterable[Unit]) -> list[str]:
    """Lines for a person; of the first clips alone anything is read, and nothing is decoded.

    Raises:
        OSError: the input cannot be read.
    """
    units = list(units)
    if not units:
        return []
    first = units[0]
    columns = first.details.get("columns") or {}
    named = ", ".join(f"{ours} from {theirs!r}" for ours, theirs in columns.items() if ours != theirs)
    lines = [words.harmless(f"{first.kind} {printable(first.path)}{f': {named}' if named else ''}")]
    shown: list[Item] = list(islice(chain.from_iterable(read_unit(unit) for unit in units), _CLIPS))
    lines += [f"  {words.harmless(_in_words(item))}" for item in shown]
    if texts := _texts_under_other_names(shown):
        lines.append(
            f"  none of these has a text: --columns={TEXT}=NAME takes it from where it is "
            f"({words.harmless(', '.join(texts))})"
        )
    return lines


def _texts_under_other_names(items: Iterable[Item]) -> list[str]:
    """Returns the names of what is text in some records, where none of them has a text; else nothing."""
    named = set()
    for item in items:
        features = features_if_any(item.data) if isinstance(item, AudioRecord) else {}
        if TEXT in features:
            return []
        named |= {name for name, feature in features.items() if name not in _NOT_SHOWN and _is_text(feature)}
    return sorted(named)


def _is_text(feature: Any) -> bool:
    kind, count = kind_and_count(feature)
    return kind == BYTES and count == 1 and _one(feature.bytes_list.value[0], kind)[:1] == '"'


def _in_words(item: Item) -> str:
    if not isinstance(item, AudioRecord):
        return f"{item.reject.record_id or item.place}: a reject, {item.reject.reason}: {item.reject.detail}"
    features = features_if_any(item.data)
    try:
        name = clip_id_in(features)
    except Reject as reject:
        return f"{item.place}: a reject, {reject.reason}: {reject.detail}"
    length = microseconds_of(features)
    seconds = "of unknown length" if length is None else words.duration(length / 1e6)
    others = sorted((key for key in features if key not in _NOT_SHOWN), key=lambda key: (key != TEXT, key))
    values = {key: _value(features[key]) for key in others}
    return ", ".join([f"{name}: {seconds}", *(f"{key} {value}" for key, value in values.items() if value != '""')])


def _value(feature: Any) -> str:
    kind, count = kind_and_count(feature)
    values = [_one(value, kind) for value in getattr(feature, kind).value[:_VALUES]] if kind else []
    if count == 1:
        return values[0]
    return f"[{', '.join(values)}{', ...' if count > _VALUES else ''}]"


def _one(value: Any, kind: str) -> str:
    if kind != BYTES:
        return f"{value:g}" if isinstance(value, float) else str(value)
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return f"of {len(value)} bytes"
    return f'"{text[:_CHARACTERS]}{"..." if len(text) > _CHARACTERS else ""}"'
