"""The sources in somebody's own pipeline: a PTransform and a `tf.data` dataset."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources.columns import parse_columns
from melbeam.pipelines.sources.planning import (
    check_first_record,
    find_parts,
    missing_shards,
    plan_units,
    read_unit,
)
from melbeam.pipelines.sources.units import AudioRecord, Item, SourceOptions, Unit
from melbeam.pipelines.words import harmless
from melbeam.transforms.reading.arrays import DEFAULTS
from melbeam.transforms.records.examples import passed_through, read_audio_example, to_reject, undecoded
from melbeam.transforms.records.options import MAX_RECORD_BYTES
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.schema import BYTES, FLOAT, INT64
from melbeam.transforms.records.tf_example import kind_and_count

if TYPE_CHECKING:
    import tensorflow as tf

Pattern = str | os.PathLike[str]
_LOOKED_AT = 100  # records whose features are taken for those of all


class ReadAudio(beam.PTransform[Any, Any]):
    """`pipeline | ReadAudio("clips/**") | ExtractLogMel()`: any source as serialized audio Examples.

    What cannot be read becomes a reject record in its place, which `ExtractLogMel` passes on to its rejects. What
    `melbeam extract` says of the input before it starts is a warning when the pipeline is built: files that are
    left out, or are missing in a set of `-00000-of-00016`; several splits; clips without a text.

    Args:
        pattern: what `melbeam extract --input` takes, as text or as a path, or several of them.
        columns: our names to theirs.
        input_format: the kind of source, where it is not to be found by itself.

    Raises:
        ValueError: the input cannot be taken; when the pipeline is built.
    """

    def __init__(
        self,
        pattern: Pattern | Sequence[Pattern],
        *,
        columns: Mapping[str, str] | str | None = None,
        input_format: str | None = None,
    ) -> None:
        super().__init__()
        self._units = _units(pattern, columns, input_format)

    def expand(self, pcoll: Any) -> PCollection[bytes]:
        """Reads the units, spread over the workers."""
        lines = [unit.to_json() for unit in self._units]
        records: PCollection[bytes] = (
            pcoll
            | "Units" >> beam.Create(lines, reshuffle=False)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(_read_line)
        )
        return records


def _read_line(line: Any) -> Iterator[bytes]:
    for item in read_unit(Unit.from_json(line)):
        if isinstance(item, AudioRecord):
            yield item.whole.data
        else:
            yield to_reject(item.data, item.reject, item.place)


def _units(
    pattern: Pattern | Sequence[Pattern], columns: Mapping[str, str] | str | None, input_format: str | None
) -> list[Unit]:
    if not isinstance(columns, str | Mapping | None):
        raise UsageError(
            Refusal.BAD_VALUE,
            f"columns must be a dict of our names to theirs, {{'text': 'sentence'}} for example, got {columns!r}",
        )
    asked = parse_columns(columns) if isinstance(columns, str) else dict(columns or {})
    patterns = [pattern] if isinstance(pattern, str | os.PathLike) else pattern
    if not isinstance(patterns, list | tuple) or not all(isinstance(one, str | os.PathLike) for one in patterns):
        raise UsageError(
            Refusal.BAD_VALUE, f"pattern must be a path or a glob, or a list of them, got {pattern!r}"
        )
    options = SourceOptions(input_format=input_format, columns=asked)
    paths = [os.fspath(one) for one in patterns]
    planned = plan_units(paths, options)
    units = planned.units
    check_first_record(units)
    notes = planned.left_out.in_words()
    # Whoever names each file by itself, as the shards of one host, has left the others out.
    if not {unit.path for unit in units}.issubset(paths) and (missing := missing_shards(units)) is not None:
        notes.append(f"{missing}: was what writes them interrupted?")
    for line in notes:
        warnings.warn(harmless(line), stacklevel=3)
    by_path: dict[str, list[Unit]] = {}
    for unit in units:
        by_path.setdefault(unit.path, []).append(unit)
    return [part for together in by_path.values() for part in find_parts(together)]


def read_audio(
    pattern: Pattern | Sequence[Pattern],
    *,
    columns: Mapping[str, str] | str | None = None,
    input_format: str | None = None,
    sampling_rate: int = 16_000,
    in_graph: bool = False,
) -> tf.data.Dataset:
    """`read_audio("clips/**").map(log_mel_map())`: any source as a `tf.data` dataset.

    Elements are {"audio": float32 `[num_samples]`, mono, "id": string, and what is passed through}: scalars where
    every record of the first hundred has one value, else lists. Where a record lacks a scalar, it is b"", the
    smallest int64 or the smallest float32. What `melbeam extract` says of the input before it starts is a warning.

    Args:
        pattern: what `melbeam extract --input` takes, as text or as a path, or several of them.
        columns: our names to theirs.
        input_format: the kind of source, where it is not to be found by itself.
        sampling_rate: Hz of the samples.
        in_graph: whether files are decoded and resampled by operations of TensorFlow, several at once, and not by
            this process's Python: WAV alone, or with the extra `tfio` FLAC, MP3 and Ogg Vorbis too
            (`transforms.graph_audio`). Files that are cut or damaged are not told then.

    Raises:
        ValueError: the input cannot be taken, or holds nothing.
        tf.errors.InvalidArgumentError: a record cannot be read or decoded, when it is its turn; the message names
            it. `Dataset.ignore_errors()` leaves it out, and the clips behind it come. `melbeam extract` keeps such
            records as rejects.
    """
    import tensorflow as tf

    units = _units(pattern, columns, input_format)
    specs = _specs(units)
    nothing = _nothing(specs, in_graph=in_graph)

    def elements() -> Iterator[tuple[dict[str, Any], str]]:
        # A generator that raises has ended, and `ignore_errors` would drop all clips behind a bad one: the error
        # travels as a word, and is raised behind the generator.
        for unit in units:
            for item in read_unit(unit, MAX_RECORD_BYTES):
                try:
                    yield {**nothing, **_element(item, sampling_rate, specs, in_graph=in_graph)}, ""
                except ValueError as error:
                    yield nothing, str(error)

    def raise_errors(element: dict[str, Any], error: Any) -> dict[str, Any]:
        with tf.control_dependencies([tf.debugging.Assert(tf.equal(error, ""), [error])]):
            return {name: tf.identity(value) for name, value in element.items()}

    signature = {
        "audio": tf.TensorSpec([], tf.string) if in_graph else tf.TensorSpec([None], tf.float32),
        "id": tf.TensorSpec([], tf.string),
        **{
            name: tf.TensorSpec([] if is_scalar else [None], _dtypes()[kind])
            for name, (kind, is_scalar) in specs.items()
        },
    }
    said = tf.TensorSpec([], tf.string)
    dataset = tf.data.Dataset.from_generator(elements, output_signature=(signature, said)).map(raise_errors)
    if not in_graph:
        return dataset
    from melbeam.transforms.graph_audio import decode_in_graph

    def decode(element: dict[str, Any]) -> dict[str, Any]:
        return {**element, "audio": decode_in_graph(element["audio"], sampling_rate)}

    return dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _dtypes() -> dict[str, Any]:
    import tensorflow as tf

    return {BYTES: tf.string, INT64: tf.int64, FLOAT: tf.float32}


def _specs(units: list[Unit]) -> dict[str, tuple[str, bool]]:
    """Kind of each feature that is passed through, and whether it is one value."""
    specs: dict[str, tuple[str, bool]] = {}
    seen = 0
    for unit in units:
        for item in read_unit(unit, MAX_RECORD_BYTES):
            if not isinstance(item, AudioRecord):
                continue
            for name, feature in _passthrough(item).items():
                kind, count = kind_and_count(feature)
                before = specs.get(name, (kind, True))
                specs[name] = (kind, before[1] and count == 1)
            seen += 1
            if seen == _LOOKED_AT:
                return specs
    if not seen:
        raise ValueError("the input holds no record that can be read")
    return specs


def _passthrough(item: AudioRecord) -> dict[str, Any]:
    try:
        return passed_through(item.data)
    except Reject:
        return {}


def _element(
    item: Item, sampling_rate: int, specs: Mapping[str, tuple[str, bool]], *, in_graph: bool
) -> dict[str, Any]:
    """The element of a record, without what the record has no value of.

    Raises:
        ValueError: it cannot be read or decoded, or has a feature of another type than the first records.
    """
    if not isinstance(item, AudioRecord):
        raise ValueError(f"{item.place}: {item.reject}")
    audio: Any
    try:
        if in_graph:
            audio, name_of_clip, passthrough = undecoded(item.data)
        else:
            example = read_audio_example(item.data, sampling_rate=sampling_rate)
            audio, name_of_clip, passthrough = example.audio.samples, example.id, example.passthrough
    except Reject as reject:
        raise ValueError(f"{item.place}: {reject}") from reject
    element: dict[str, Any] = {"audio": audio, "id": name_of_clip}
    for name, (kind, is_scalar) in specs.items():
        feature = passthrough.get(name)
        found, count = kind_and_count(feature) if feature is not None else ("", 0)
        if count and (found != kind or (is_scalar and count != 1)):
            raise ValueError(
                f"{item.place}: feature {name!r} is of another type or number than in the first records"
            )
        if count:
            values = list(getattr(feature, found).value)
            element[name] = values[0] if is_scalar else values
    return element


def _nothing(specs: Mapping[str, tuple[str, bool]], *, in_graph: bool) -> dict[str, Any]:
    """An element that has no value: what TFDS gives for a scalar that is missing, and empty lists."""
    import numpy as np

    return {
        "audio": b"" if in_graph else np.zeros(0, np.float32),
        "id": b"",
        **{name: DEFAULTS[kind] if is_scalar else [] for name, (kind, is_scalar) in specs.items()},
    }
