"""One feature record, read by the schema and held against the split's job."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from google.protobuf.message import DecodeError

from melbeam.pipelines.verifying.splits import Split
from melbeam.transforms.records.conversion import FeatureRecord
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.levels import LEVELS, check_levels
from melbeam.transforms.records.measures import is_empty_text, measures_of
from melbeam.transforms.records.record_ids import parts_of_channel, without_chunk
from melbeam.transforms.records.schema import (
    BYTES,
    CONSUMED,
    FEATURE_RECORD,
    FLOAT,
    REJECT,
    TAIL,
    TENSOR,
    TEXT,
    Field,
)
from melbeam.transforms.records.split_schema import CONDITIONAL
from melbeam.transforms.records.table import row_of
from melbeam.transforms.records.tf_example import kind_and_count, one_value
from melbeam.transforms.statistics import ClipSums

# Until record version 2 a record's list of no values was kept, and made readers take a list from them all.
_COUNTED_FOR_NONE = 2
_WHOLE = "text_is_of_whole_clip"


@dataclass(frozen=True)
class Feature:
    """A feature record whose fields agree with the schema, with each other and with the split's job.

    Attributes:
        record: as the job counts it.
        clip_id: of the clip that it is, or is a chunk of; or of the clip's channel, where each is a clip.
        audio_id: of the audio record that it was made of.
        source: input file and record number.
        num_samples: at the front end's rate.
        start: of its first sample in the clip.
        chunk: its number in the clip, or None.
        channel: its number in the clip, where each channel became records; else None.
        is_truncated: whether the clip was cut; never known before record version 2.
        is_between_texts: whether it is a chunk of a clip that was cut between its texts, and may begin anywhere.
        levels: the clip's, by their names; none before record version 2.
        rows: of the stored dtype, `[rows, num_mels]`: the frames, and what the record holds of what lies behind.
        values: the frames alone, `[num_frames, num_mels]`.
    """

    record: FeatureRecord
    clip_id: str
    audio_id: str
    source: str
    num_samples: int
    start: int
    chunk: int | None
    channel: int | None
    is_truncated: bool
    is_between_texts: bool
    levels: dict[str, float]
    rows: np.ndarray
    values: np.ndarray


def read_feature(record: bytes, split: Split) -> Feature:
    """Reads a feature record and checks all that can be checked of one on its own.

    Raises:
        ValueError: it is not what the split's job would write; the message says where.
    """
    try:
        features = Example.FromString(record).features.feature
        fields = _known_fields(features, split)
        rows = _rows(_stored_tensor(features, split), split)
        tail = _rows(fields.pop(TAIL, b""), split)
    except (DecodeError, ValueError) as error:
        raise ValueError(f"it is no feature record: {error}") from error
    wrong = _wrong_numbers(fields, split) or _wrong_others(features, fields, split)
    wrong = wrong or _wrong_rows(fields, rows, tail, split) or _wrong_levels(fields)
    if wrong:
        raise ValueError(f"id {fields['id']!r} has {wrong}, which is not what this split's job gives")
    values = rows[: fields["num_frames"]]
    sums, chunk = ClipSums.of(values), fields.get("chunk_index")
    counted = {name: kind_and_count(feature) for name, feature in features.items() if _is_counted(name, split)}
    clip_id = without_chunk(fields["id"], chunk)
    audio_id, channel = _audio_id_and_channel(clip_id, split)
    return Feature(
        record=FeatureRecord(
            parts=(record,),
            id=fields["id"],
            num_frames=fields["num_frames"],
            sums=sums,
            kinds={name: kind for name, (kind, _) in counted.items()},
            lengths={name: count or _COUNTED_FOR_NONE for name, (_, count) in counted.items()},
            has_text_of_whole_clip=fields.get(_WHOLE) == 1,
            has_empty_text=TEXT in features and is_empty_text(features[TEXT]),
            measures=measures_of(fields, features.get(TEXT), sums),
            row=row_of(fields, features.get(TEXT)),
        ),
        clip_id=clip_id,
        audio_id=audio_id,
        source=fields["source"],
        num_samples=fields["num_samples"],
        start=fields.get("start_sample", 0),
        chunk=chunk,
        channel=channel,
        is_truncated="truncated" in fields,
        is_between_texts=fields.get(_WHOLE) == 0,
        levels={name: fields[name] for name in LEVELS if name in fields},
        rows=np.concatenate([rows, tail]) if len(tail) else rows,
        values=values,
    )


def _audio_id_and_channel(clip_id: str, split: Split) -> tuple[str, int | None]:
    """The id of the audio record, and the number of the channel where each became records."""
    found = parts_of_channel(clip_id) if split.options.channels == "split" else None
    return (clip_id, None) if found is None else found


def _known_fields(features: Any, split: Split) -> dict[str, Any]:
    """The values of the schema's fields, but for the tensor: text, numbers, and the tail's bytes.

    Raises:
        ValueError: one is missing, or of another type, or has more values than one.
    """
    fields: dict[str, Any] = {}
    for known in _fields_of(split.record_version).values():
        if known.name == TENSOR or (known.when and known.name not in features):
            continue
        if known.name not in features:
            raise ValueError(f"it has no {known.name}")
        fields[known.name] = one_value(features, known, raw=known.name == TAIL)
    return fields


def _stored_tensor(features: Any, split: Split) -> Any:
    expected = FLOAT if split.options.encoding == "float_list" else BYTES
    kind, count = kind_and_count(features[TENSOR]) if TENSOR in features else ("", 0)
    if kind != expected or (kind == BYTES and count != 1):
        raise ValueError(f"{TENSOR} must be in a {expected}, got {count} values in {kind or 'no list'}")
    values = getattr(features[TENSOR], kind).value
    return values[0] if kind == BYTES else values


def _rows(stored: Any, split: Split) -> np.ndarray:
    """`[rows, num_mels]` of bytes, or of a list of floats.

    Raises:
        ValueError: they are no whole number of rows.
    """
    if isinstance(stored, bytes):
        flat = np.frombuffer(stored, split.options.numpy_dtype)
    else:
        flat = np.array(stored, np.float32)
    return flat.reshape(-1, split.front_end.num_mels)


def _wrong_numbers(fields: Mapping[str, Any], split: Split) -> str | None:
    """What of the lengths, the tokens and the place in a chunked clip is wrong, in words."""
    front_end, options, chunking = split.front_end, split.options, split.chunking
    samples, frames = fields["num_samples"], fields["num_frames"]
    if samples < 1 or (front_end.max_samples is not None and samples > front_end.max_samples):
        return f"num_samples {samples}"
    tokens, chunk = fields.get("num_audio_tokens"), fields.get("chunk_index")
    clip_id = without_chunk(fields["id"], chunk)
    # A clip whose texts have their times is cut between two of them: a chunk may begin and end anywhere.
    is_between = chunk is not None and fields.get(_WHOLE) == 0
    is_cut = options.on_long == "truncate" and samples == front_end.max_samples
    for is_wrong, what in (
        (fields["front_end"] != front_end.short_fingerprint, f"front_end {fields['front_end']}"),
        (fields["sampling_rate"] != front_end.sampling_rate, f"sampling_rate {fields['sampling_rate']}"),
        (frames != front_end.num_frames(samples), f"num_frames {frames}"),
        (tokens != front_end.num_audio_tokens(samples), f"num_audio_tokens {tokens}"),
        (
            ("start_sample" in fields) != (chunk is not None),
            "chunk_index or start_sample alone",
        ),
        (chunk is not None and options.on_long != "chunk", f"chunk_index {chunk}"),
        (fields.get(_WHOLE, 1) not in (0, 1), f"{_WHOLE} {fields.get(_WHOLE)}"),
        (
            fields.get("start_sample", 0) != (chunk or 0) * chunking.step and not (chunk and is_between),
            f"start_sample {fields.get('start_sample')}",
        ),
        (chunk is not None and not fields["id"].endswith(f"#{chunk}"), f"chunk_index {chunk}"),
        (options.channels == "split" and parts_of_channel(clip_id) is None, "an id of no channel"),
        (
            chunking.is_too_long(samples) and options.on_long == "chunk" and not is_between,
            f"num_samples {samples}",
        ),
        ("truncated" in fields and not is_cut, "truncated"),
        (fields.get("truncated", 1) != 1, f"truncated {fields.get('truncated')}"),
    ):
        if is_wrong:
            return what
    return None


def _wrong_rows(fields: Mapping[str, Any], rows: np.ndarray, tail: np.ndarray, split: Split) -> str | None:
    """What of the stored rows is wrong, in words: their number, their values, and what lies behind the frames."""
    front_end, frames = split.front_end, fields["num_frames"]
    pads = split.options.pads(front_end)
    if len(rows) != (front_end.padded_frames if pads else frames):
        return f"{TENSOR} of {len(rows)} rows"
    if not (np.isfinite(rows.astype(np.float32)).all() and np.isfinite(tail.astype(np.float32)).all()):
        return "values that are not finite"
    if pads and not _is_silent(rows[frames + _num_frames_that_hear_the_end(split) :]):
        return f"{TENSOR} that is no silence behind its {frames} frames"
    if front_end.takes_full_length and not pads and split.record_version >= 2:
        missing = front_end.padded_frames - frames
        if not min(1, missing) <= len(tail) <= missing:
            return f"{TAIL} of {len(tail)} rows"
        if len(tail) > 1 and tail[-1].tobytes() == tail[-2].tobytes():
            return f"{TAIL} that goes on behind its first silent row"
    return None


def _num_frames_that_hear_the_end(split: Split) -> int:
    """The frames behind the valid ones that may overlap with the clip, and one more for a partial hop."""
    front_end = split.front_end
    return -(-max(front_end.frame_length, front_end.fft_length) // front_end.hop_length) + 1


def _is_silent(rows: np.ndarray) -> bool:
    """Whether the rows are all the same, but for the last bit of a value."""
    if not len(rows):
        return True
    values = rows.astype(np.float32)
    last_bit = float(ml_dtypes.finfo(rows.dtype).eps) * np.maximum(1, np.abs(values[-1]))
    return bool((np.abs(values - values[-1]) <= last_bit).all())


def _wrong_levels(fields: Mapping[str, Any]) -> str | None:
    try:
        if LEVELS[0] in fields:
            check_levels(fields, fields["num_samples"], fields["sampling_rate"])
    except ValueError as error:
        return str(error)
    return None


def _wrong_others(features: Any, fields: Mapping[str, Any], split: Split) -> str | None:
    """What of the fields that only some records have is wrong, in words."""
    known = _fields_of(split.record_version)
    reserved = [name for name in (*CONSUMED, REJECT) if name in features and name not in known]
    if reserved:
        return f"{reserved[0]}, a field that no feature record has"
    if split.record_version < 2:
        return None
    needs_tail = split.front_end.takes_full_length and not split.options.pads(split.front_end)
    if (TAIL in features) != needs_tail:
        return f"{'no' if needs_tail else 'an'} {TAIL}"
    # It is 0 in chunks that were cut between texts, with a text of their own or none.
    must_say = "chunk_index" in fields and TEXT in features
    if (fields.get(_WHOLE) == 1 and not must_say) or (must_say and _WHOLE not in fields):
        return f"{'no ' if must_say else ''}{_WHOLE}"
    if _WHOLE in fields and "chunk_index" not in fields:
        return _WHOLE
    empty = [name for name, feature in features.items() if not kind_and_count(feature)[1] and name != TENSOR]
    return f"{empty[0]} without a value" if empty else None


def _is_counted(name: str, split: Split) -> bool:
    """Whether a report counts the records that have a field: what was passed through, and what some lack."""
    return name not in _fields_of(split.record_version) or name in CONDITIONAL


@functools.cache
def _fields_of(record_version: int) -> dict[str, Field]:
    """The fields that a version of melbeam writes itself, by name."""
    return {field.name: field for field in FEATURE_RECORD if field.since <= record_version}
