"""From `--input` to units, and from a unit to records: the two functions that jobs call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from melbeam.pipelines import files, words
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources import tfrecord
from melbeam.pipelines.sources.audio_files import HEAD
from melbeam.pipelines.sources.columns import as_another
from melbeam.pipelines.sources.finding import find_inputs, find_kind, is_lhotse
from melbeam.pipelines.sources.kinds import (
    AUDIO,
    CUT_AT_FILES,
    KALDI,
    LHOTSE,
    MANIFEST,
    TFRECORD,
    WEBDATASET,
    source_of,
)
from melbeam.pipelines.sources.own_files import without_own
from melbeam.pipelines.sources.several_splits import note_of_splits
from melbeam.pipelines.sources.tfds_folder import RAGGED_VALUES
from melbeam.pipelines.sources.units import (
    AudioRecord,
    Damage,
    Found,
    Item,
    LeftOut,
    Planned,
    SourceOptions,
    Unit,
    printable,
)
from melbeam.transforms.records.containers.formats import name_of_beginning
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.examples import check_raw_audio, colliding_names, features_if_any
from melbeam.transforms.records.options import MAX_RECORD_BYTES
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.schema import BYTES, FLOAT, INT64, RESERVED
from melbeam.transforms.records.tf_example import kind_and_count, names_in

_SEQUENCE_FIELD = 2  # feature_lists, of a SequenceExample; an Example has none
_OF_MANY = re.compile(r"^(?P<name>.*)-(?P<index>\d{5,})-of-(?P<count>\d{5,})(?P<ending>\.[\w.]+)?$")
_NAMED_MISSING = 3  # of the missing shards
_SAMPLES = 400  # at least, of a list of numbers that may be audio: 25 ms at 16 kHz
_RATES = range(4000, 384_001)  # Hz
# --columns cannot name these: clips of these kinds are whole, or their source says their audio and times.
_WITHOUT_COLUMNS_OF_AUDIO = {
    **dict.fromkeys((AUDIO, KALDI, LHOTSE), ("audio", "start", "end")),
    **dict.fromkeys((TFRECORD, WEBDATASET), ("start", "end")),
}
_LOOKED_AT = 100  # records in which a name of --columns must be found


def plan_units(patterns: Sequence[str], options: SourceOptions) -> Planned:
    """The units of all that is named, and the files that are left out.

    The order is that of the files' full paths, whatever that of the patterns; a file that two of them name, in
    whatever spelling, is read once, by the first one's.

    Raises:
        ValueError: a pattern names no file, or what it names cannot be taken; the message says what to do.
        OSError: the input cannot be read.
    """
    by_kind: dict[str, list[Found]] = {}
    left_out = LeftOut()
    for pattern in patterns:
        for found in (without_own(one, options.own) for one in find_inputs(pattern)):
            kind, mine, others = find_kind(found, options)
            if (
                kind == MANIFEST
                and options.input_format is None
                and all(is_lhotse(path) for path, _ in mine.paths)
            ):
                kind = LHOTSE
            left_out.add_all(others)
            by_kind.setdefault(kind, []).append(mine)
    if len(by_kind) > 1:
        named = ", ".join(f"{kind} ({found[0].pattern})" for kind, found in by_kind.items())
        raise UsageError(
            Refusal.SEVERAL_KINDS, f"--input names several kinds of sources, {named}: give each a job of its own"
        )
    units: list[Unit] = []
    for kind, inputs in by_kind.items():
        if options.num_shards is not None and kind in CUT_AT_FILES:
            raise UsageError(
                Refusal.CONTRADICTION,
                f"--num_shards={options.num_shards}: {kind} input ({inputs[0].pattern}) is cut at its files, or "
                "by --shard_bytes: leave --num_shards out",
            )
        _check_columns(kind, inputs[0].pattern, options.columns)
        merged = _merged(inputs)
        planned = source_of(kind).plan(merged, options)
        units += planned.units
        left_out.add_all(planned.left_out)
        left_out.notes += note_of_splits(kind, merged)
    return Planned(units, left_out)


def _check_columns(kind: str, pattern: str, asked: Mapping[str, str]) -> None:
    """Refuses names of `--columns` that no column may be given.

    They are those that melbeam writes itself, and those of what a source says without a column: which part of
    which audio a clip is.

    Raises:
        UsageError: with what to do.
    """
    for ours in sorted(asked.keys() & set(RESERVED)):
        raise UsageError(
            Refusal.RESERVED_NAME,
            f"--columns={ours}={asked[ours]} gives a column a name that melbeam writes itself: choose another, "
            f"my_{ours} for example",
        )
    for ours in sorted(asked.keys() & set(_WITHOUT_COLUMNS_OF_AUDIO.get(kind, ()))):
        raise UsageError(
            Refusal.BAD_COLUMNS,
            f"--columns={ours}={asked[ours]}: in {kind} input ({printable(pattern)}) no column says which part of "
            f"which audio a clip is: choose another name, my_{ours} for example",
        )


def _merged(inputs: list[Found]) -> Found:
    paths = inputs[0].paths
    if len(inputs) > 1:  # one alone spells no file in two ways
        by_place: dict[str, tuple[str, int]] = {}
        for found in inputs:
            for path, size in found.paths:
                place = files.full_path(path)
                by_place.setdefault(place, (path, size))
        paths = list(by_place.values())
    root = inputs[0].root
    for found in inputs[1:]:
        while not found.root.startswith(root):
            root = root[: root.rstrip("/").rfind("/") + 1]
    clips = sorted({path for found in inputs for path in found.clips})
    return Found(inputs[0].pattern, root, sorted(set(paths)), clips=clips)


def find_parts(units: list[Unit], max_record_bytes: int = MAX_RECORD_BYTES) -> list[Unit]:
    """The units of one file, with the records that each has, where the plan does not say so already.

    Raises:
        OSError: the file cannot be read.
    """
    return tfrecord.find_parts(units, max_record_bytes) if units[0].kind == TFRECORD else units


def read_unit(unit: Unit, max_record_bytes: int = MAX_RECORD_BYTES) -> Iterator[Item]:
    """Everything in a unit, in order.

    Raises:
        OSError: what cannot be read is no single record of it.
    """
    return source_of(unit.kind).read(unit, max_record_bytes)


def count_records(unit: Unit, limit: int) -> int:
    """How many records a unit has, up to a limit."""
    if unit.num_records is not None:
        return min(unit.num_records, limit)
    return sum(1 for _ in islice(read_unit(unit), limit))


def check_first_record(
    units: Iterable[Unit], *, must_be_tfrecord: bool = False, raw_samples: bool = False
) -> None:
    """Looks at one record before any work: what would make every record a reject is refused at the start.

    Args:
        units: of the input.
        must_be_tfrecord: whether a file that begins with nothing that is known is refused, too, and not taken for
            a TFRecord whose beginning is damaged.
        raw_samples: whether records are said to hold samples, not files.

    Raises:
        ValueError: it holds a file where it is said to hold samples, has features that melbeam writes itself, is
            no Example but a SequenceExample, or has no audio, as have none of those behind it.
    """
    units = iter(units)
    unit = next((one for one in units if one.size), None)
    if unit is None:
        return
    first = next(read_unit(unit), None)
    _check_asked_columns(unit, units)
    if must_be_tfrecord and isinstance(first, Damage) and first.reject.reason == "bad_framing":
        raise UsageError(
            Refusal.UNKNOWN_FORMAT,
            f"{printable(unit.path)} is nothing that melbeam reads, by its name and its first bytes: name "
            "audio files, a manifest, or another source; --input_format says which",
        )
    if not isinstance(first, AudioRecord):
        return
    if unit.kind == TFRECORD and _is_sequence_example(first.data):
        raise UsageError(
            Refusal.UNKNOWN_FORMAT,
            f"{printable(unit.path)} holds tf.train.SequenceExamples, which melbeam does not read: write each "
            "clip as a tf.train.Example with its samples in one list",
        )
    names = colliding_names(first.data)
    if names:
        raise UsageError(
            Refusal.RESERVED_NAME,
            f"the first record of {printable(unit.path)} has features {', '.join(names)}, names that melbeam "
            f"writes itself: rename them ({as_another(names[0])}), or is this --input the output "
            "of an earlier extract?",
        )
    if unit.kind == TFRECORD:
        _check_has_audio(unit)
    if raw_samples:
        try:
            check_raw_audio(first.data)
        except Reject as reject:
            raise UsageError(
                Refusal.NOT_RAW_SAMPLES, f"the first record of {printable(unit.path)}: {reject.detail}"
            ) from reject


def _check_asked_columns(unit: Unit, behind: Iterable[Unit]) -> None:
    """Refuses names of `--columns` that no record has, of sources that have no table of their names.

    Args:
        unit: the first one with records.
        behind: the units behind it, which are looked into where it has few.

    Raises:
        ValueError: with the name that is missing.
    """
    if unit.kind not in (TFRECORD, WEBDATASET) or not unit.details.get("columns"):
        return
    missing = dict(unit.details["columns"])
    seen = 0
    for item in islice(chain.from_iterable(map(read_unit, chain([unit], behind))), _LOOKED_AT):
        if isinstance(item, AudioRecord):
            missing = {ours: theirs for ours, theirs in missing.items() if ours not in names_in(item.data)}
        elif item.reject.reason != "no_audio":
            continue  # what could not be read has no names
        seen += 1
        if not missing:
            return
    if seen:
        raise UsageError(
            Refusal.BAD_COLUMNS,
            f"none of the first {seen} records, from {printable(unit.path)} on, has "
            f"{next(iter(missing.values()))!r}, which --columns or features.json names",
        )


def _check_has_audio(unit: Unit) -> None:
    """Refuses records whose audio, or the rate of whose samples, stands under another name than ours.

    Where nothing in the first records looks like it, each record is told by itself.

    Raises:
        ValueError: with the names that there are.
    """
    lacking: set[str] = set()
    could_be: dict[str, None] = {}
    names: set[str] = set()
    for item in islice(read_unit(unit), _LOOKED_AT):
        features = features_if_any(item.data) if isinstance(item, AudioRecord) else {}
        if "audio" not in features:
            lacking.add("audio")
            could_be.update(dict.fromkeys(name for name in features if _looks_like_audio(name, features[name])))
        elif kind_and_count(features["audio"])[0] in (INT64, FLOAT) and "sampling_rate" not in features:
            lacking.add("sampling_rate")
            could_be.update(dict.fromkeys(name for name in features if _looks_like_a_rate(features[name])))
        else:
            return
        names.update(features)
    if len(lacking) == 1 and could_be:
        (name,) = lacking
        what = ", the Hz of its samples" if name == "sampling_rate" else ""
        raise UsageError(
            Refusal.BAD_COLUMNS,
            f"none of the first records of {printable(unit.path)} has a feature {name!r}{what}; they have "
            f"{', '.join(sorted(names))}: name it with --columns={name}={next(iter(could_be))}",
        )


def _looks_like_audio(name: str, feature: Any) -> bool:
    if name.endswith(RAGGED_VALUES):  # of several lists, which may be channels
        return False
    kind, count = kind_and_count(feature)
    if kind == BYTES and count == 1:
        return name_of_beginning(feature.bytes_list.value[0][:HEAD]) is not None
    return kind in (INT64, FLOAT) and count >= _SAMPLES


def _looks_like_a_rate(feature: Any) -> bool:
    return kind_and_count(feature) == (INT64, 1) and feature.int64_list.value[0] in _RATES


def _is_sequence_example(record: bytes) -> bool:
    try:
        unknown = UnknownFieldSet(Example.FromString(record))
    except DecodeError:
        return False
    return any(field.field_number == _SEQUENCE_FIELD for field in unknown)


def check_shards_are_complete(units: Iterable[Unit]) -> None:
    """Refuses a set of NAME-00000-of-00016 files of which some are missing.

    Raises:
        ValueError: with the first of those that are missing.
    """
    missing = missing_shards(units)
    if missing is not None:
        raise UsageError(
            Refusal.INCOMPLETE_SET,
            f"--input: {missing}. Was what writes them interrupted? Start it again, correct the glob, or pass "
            "--allow_missing_shards to extract what is there",
        )


def missing_shards(units: Iterable[Unit]) -> str | None:
    """Says which files are missing of a set of NAME-00000-of-00016; None where each set is whole."""
    found: dict[tuple[str, str, str], set[int]] = {}
    for unit in units:
        if named := _OF_MANY.match(unit.path):
            sets = found.setdefault((named["name"], named["count"], named["ending"] or ""), set())
            sets.add(int(named["index"]))
    for (name, count, ending), indices in found.items():
        missing = [index for index in range(int(count)) if index not in indices]
        if missing:
            names = [f"{name}-{index:0{len(count)}d}-of-{count}{ending}" for index in missing]
            return (
                f"of a set of {int(count)} files {len(missing)} are missing: "
                f"{words.first_few(names, _NAMED_MISSING)}"
            )
    return None
