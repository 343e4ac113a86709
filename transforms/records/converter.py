"""One audio record to its feature records: what the Beam DoFns, and nothing else, run on every record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from melbeam.transforms.audio_inputs import refuse_after_fork
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.log_mel import rows_below
from melbeam.transforms.packing import PackedFeatures
from melbeam.transforms.records.chunking import Chunking
from melbeam.transforms.records.conversion import Conversion, FeatureRecord
from melbeam.transforms.records.examples import AudioExample, read_as_converted
from melbeam.transforms.records.levels import levels
from melbeam.transforms.records.measures import is_empty_text, measures_of
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.record_ids import id_of_piece
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.schema import BYTES, FEATURE_RECORD, MAX_EXAMPLE_BYTES, TAIL, TENSOR, TEXT
from melbeam.transforms.records.segments import Segment, cut_between, parse_segments
from melbeam.transforms.records.split_schema import CONDITIONAL
from melbeam.transforms.records.table import row_of
from melbeam.transforms.records.tf_example import kind_and_count, text_feature, to_example_parts
from melbeam.transforms.statistics import ClipSums

_KINDS = {field.name: field.kind for field in FEATURE_RECORD}
# Bytes that a record's own fields take, without features and columns that are passed through: a generous bound.
_SMALL_FIELDS_BYTES = 1 << 16
_FLOAT_LIST_BYTES = 4  # a value in a packed list


@dataclass(frozen=True)
class _Piece:
    """A run of a clip's samples that becomes one feature record: the clip itself, its beginning, or a chunk.

    Where each channel becomes records of its own, it is of one channel.
    """

    start: int
    stop: int
    chunk: int | None = None
    channel: int | None = None
    text: str | None = None  # of this chunk alone; None where it is the clip's

    @property
    def num_samples(self) -> int:
        return self.stop - self.start

    def samples_of(self, example: AudioExample) -> np.ndarray:
        samples = example.audio.samples[self.start : self.stop]
        return samples if self.channel is None else np.ascontiguousarray(samples[:, self.channel])


@dataclass(frozen=True)
class PreparedRecord:
    """An audio record that is decoded and cut into what becomes its feature records.

    Attributes:
        source: where it came from.
        example: the record.
        pieces: of its samples, each a feature record.
        changes: what was done to the audio.
        num_samples: that it takes of a call of the kernel.
    """

    source: str
    example: AudioExample
    pieces: list[_Piece]
    changes: list[str]
    num_samples: int

    def samples(self) -> list[np.ndarray]:
        """The samples of each piece."""
        return [piece.samples_of(self.example) for piece in self.pieces]


class _Computed(NamedTuple):
    """What is computed of a piece.

    Attributes:
        num_frames: valid frames.
        levels: of its samples, by the names of their fields.
        features: `[rows, num_mels]`, of the stored dtype, valid frames first.
        sums: of the valid frames.
    """

    num_frames: int
    levels: dict[str, float]
    features: np.ndarray
    sums: ClipSums


class RecordConverter:
    """Serialized audio Examples to serialized feature Examples; safe to share between threads.

    Args:
        front_end: of the features.
        options: how records are read and written.

    Raises:
        ValueError: clips are to be padded to a length that the front end has not, or chunked in a way that it
            does not allow.
    """

    def __init__(self, front_end: FrontEnd, options: RecordOptions) -> None:
        self.front_end = front_end
        self.options = options
        self._fingerprint = front_end.short_fingerprint
        self._pads = options.pads(front_end)
        self._chunking = Chunking.of(front_end, options)
        # Stored without what lies behind them, clips of a model that takes its full length need a tail.
        self._needs_tail = front_end.takes_full_length and not self._pads
        self._packed = PackedFeatures(
            front_end, options.precision, pad_to_max_length=self._pads or self._needs_tail
        )
        # A clip's last frames reach into rows of zeros, and its last row may not be full.
        self._samples_between = (1 + rows_below(front_end)) * front_end.hop_length
        self._dtype = options.numpy_dtype

    @property
    def samples_at_once(self) -> int:
        """Samples of one call of the kernel."""
        return round(self._packed.seconds_at_once * self.front_end.sampling_rate)

    def prepare(self, record: bytes, source: str) -> PreparedRecord:
        """Reads, decodes and cuts one record; `source` names where it came from.

        Raises:
            Reject: the record cannot be converted.
        """
        options = self.options
        if len(record) > options.max_record_bytes:
            raise Reject("over_limit", f"a record of {len(record)} bytes, above {options.max_record_bytes}")
        example = read_as_converted(record, options, self.front_end.sampling_rate)
        try:
            self._check_text(example)
            pieces, changes = self._cut(len(example.audio.samples), example.segments)
            if options.channels == "split":
                channels = range(example.audio.samples.shape[1])
                pieces = [replace(piece, channel=channel) for channel in channels for piece in pieces]
            self._check_sizes(pieces, example)
        except Reject as reject:
            reject.record_id = example.given_id
            raise
        of_decoding = [c for c in ("resampled", "mixed_down", "cut_short") if getattr(example.audio, c)]
        num_samples = sum(piece.num_samples + self._samples_between for piece in pieces)
        return PreparedRecord(source, example, pieces, of_decoding + changes, num_samples)

    def finish(self, prepared: Sequence[PreparedRecord]) -> list[Conversion | Reject]:
        """The conversion of each record, or why there is none; a bad record costs itself alone.

        Raises:
            MemoryError: this machine has not the memory, which is no fault of a record.
            RuntimeError: this process was forked after a converter ran: TensorFlow would hang.
        """
        refuse_after_fork()  # which is no fault of a record either
        try:
            found = self._computed(prepared)
        except MemoryError:
            raise
        except Exception:  # whatever TensorFlow raises: which record it is shows when each is computed alone
            return [self._alone(record) for record in prepared]
        return [self._conversion(*each) for each in zip(prepared, found, strict=True)]

    def _alone(self, record: PreparedRecord) -> Conversion | Reject:
        try:
            (found,) = self._computed([record])
        except MemoryError:
            raise
        except Exception as error:
            return Reject("converter_error", f"{type(error).__name__}: {error}"[:1000], record.example.given_id)
        return self._conversion(record, found)

    def _computed(self, prepared: Sequence[PreparedRecord]) -> list[list[_Computed]]:
        """What is computed of the pieces of each record: step by step for all, which costs less than one by one.

        Raises:
            MemoryError: this machine has not the memory.
            ValueError: a feature is not finite.
        """
        pieces = [piece for record in prepared for piece in record.pieces]
        clips = [samples for record in prepared for samples in record.samples()]
        of_samples = [levels(samples, self.front_end.sampling_rate) for samples in clips]
        features = self._features(clips)
        frames = [self.front_end.num_frames(piece.num_samples) for piece in pieces]
        sums = ClipSums.of_clips([of[:count] for of, count in zip(features, frames, strict=True)])
        found = map(_Computed, frames, of_samples, features, sums)
        return [[next(found) for _ in record.pieces] for record in prepared]

    def _features(self, clips: list[np.ndarray]) -> list[np.ndarray]:
        """`[rows, num_mels]` of each clip, of the stored dtype."""
        try:
            return [features.astype(self._dtype, copy=False) for features in self._packed(clips)]
        except (MemoryError, tf.errors.ResourceExhaustedError) as error:
            samples = sum(map(len, clips))
            raise MemoryError(
                f"no memory for {samples} samples: give the workers more, or fewer threads"
            ) from error

    def _conversion(self, record: PreparedRecord, found: list[_Computed]) -> Conversion:
        example = record.example
        return Conversion(
            id=example.id,
            features=[self._feature_record(record, *each) for each in zip(record.pieces, found, strict=True)],
            num_samples=example.audio.samples.size,
            num_channels=1 if example.audio.samples.ndim == 1 else example.audio.samples.shape[1],
            changes=record.changes,
        )

    def _check_text(self, example: AudioExample) -> None:
        """Turns a record without a transcript away, where one is required.

        Raises:
            Reject: no_text.
        """
        if self.options.require != TEXT:
            return
        text = example.passthrough.get(TEXT)
        if is_empty_text(text) or kind_and_count(text)[0] != BYTES:  # numbers are no transcript
            what = "an empty" if text is not None else "no"
            raise Reject("no_text", f"{what} feature {TEXT!r}, which --require={TEXT} asks for")

    def _cut(self, num_samples: int, segments: bytes) -> tuple[list[_Piece], list[str]]:
        """The pieces of a clip, and what cutting it changes.

        Raises:
            Reject: it is too short, or too long.
        """
        front_end, longest, chunking = self.front_end, self.front_end.max_samples, self._chunking
        if front_end.num_frames(num_samples) == 0:
            raise Reject(
                "too_short",
                f"{num_samples} samples at {front_end.sampling_rate} Hz, "
                f"which is no frame of front end {front_end.name!r}",
            )
        if num_samples < self.options.min_seconds * front_end.sampling_rate:
            seconds = num_samples / front_end.sampling_rate
            raise Reject("too_short", f"{seconds:.3f} s, below --min_seconds={self.options.min_seconds:g}")
        if not chunking.is_too_long(num_samples):
            return [_Piece(0, num_samples)], []
        if self.options.on_long == "truncate" and longest is not None:
            return [_Piece(0, longest)], ["truncated"]
        if self.options.on_long == "reject":
            raise Reject(
                "too_long",
                f"{num_samples / front_end.sampling_rate:.3f} s, the front end takes "
                f"{front_end.max_audio_length} s: pass --on_long=truncate or --on_long=chunk",
            )
        if segments and (said := parse_segments(segments, num_samples, front_end.sampling_rate)):
            return self._cut_between(said, num_samples)
        chunks = [_Piece(*bounds, chunk) for chunk, bounds in enumerate(chunking.bounds(num_samples))]
        if front_end.num_frames(chunks[-1].stop - chunks[-1].start):
            return chunks, ["chunked"]
        return chunks[:-1], ["chunked", "trimmed"]

    def _cut_between(self, segments: list[Segment], num_samples: int) -> tuple[list[_Piece], list[str]]:
        """The chunks of a clip whose texts have their times; where a text is required, those without one go.

        Raises:
            Reject: a segment is too long.
        """
        found = cut_between(segments, num_samples, self._chunking, self.front_end)
        kept = [chunk for chunk in found if chunk.text or self.options.require != TEXT]
        pieces = [_Piece(part.start, part.stop, chunk, text=part.text) for chunk, part in enumerate(kept)]
        is_whole = sum(part.stop - part.start for part in kept) == num_samples
        return pieces, ["chunked"] if is_whole else ["chunked", "trimmed"]

    def _check_sizes(self, pieces: list[_Piece], example: AudioExample) -> None:
        """Sees to it before any work that no record is larger than a reader takes.

        Raises:
            Reject: over_limit.
        """
        value_bytes = _FLOAT_LIST_BYTES if self.options.encoding == "float_list" else self._dtype.itemsize
        others = sum(feature.ByteSize() for feature in example.passthrough.values()) + _SMALL_FIELDS_BYTES
        for piece in pieces:
            frames = self.front_end.num_frames(piece.stop - piece.start)
            frames = self.front_end.padded_frames if self._pads else frames
            num_bytes = frames * self.front_end.num_mels * value_bytes + others
            if num_bytes > MAX_EXAMPLE_BYTES:
                raise Reject(
                    "over_limit",
                    f"{frames} frames would make a record of {num_bytes} bytes, and no reader of "
                    f"tf.train.Example takes more than {MAX_EXAMPLE_BYTES}: cut the clip, store 16-bit values, or "
                    "take a front end with max_audio_length and --on_long=chunk",
                )

    def _fields(self, record: PreparedRecord, piece: _Piece, num_frames: int) -> dict[str, Any]:
        """The small fields of a feature record, but for its levels."""
        example = record.example
        fields: dict[str, Any] = {
            "id": id_of_piece(example.id, piece.channel, piece.chunk),
            "num_frames": num_frames,
            "num_samples": piece.num_samples,
            "sampling_rate": self.front_end.sampling_rate,
            "source": record.source,
            "front_end": self._fingerprint,
        }
        tokens = self.front_end.num_audio_tokens(piece.num_samples)
        if tokens is not None:
            fields["num_audio_tokens"] = tokens
        if "truncated" in record.changes:
            fields["truncated"] = 1
        if piece.chunk is not None:
            fields |= {"chunk_index": piece.chunk, "start_sample": piece.start}
            if piece.text is not None:
                fields["text_is_of_whole_clip"] = 0
            elif TEXT in example.passthrough:
                fields["text_is_of_whole_clip"] = 1
        return fields

    def _feature_record(self, record: PreparedRecord, piece: _Piece, found: _Computed) -> FeatureRecord:
        frames, features = found.num_frames, found.features
        fields = {**self._fields(record, piece, frames), **found.levels}
        passthrough = _with_text_of(piece, record.example.passthrough)
        if self._needs_tail:
            features, fields[TAIL] = features[:frames], _tail(features, frames)
        kinds = {name: _KINDS[name] for name in CONDITIONAL if name in fields}
        lengths = dict.fromkeys(kinds, 1)
        for name, feature in passthrough.items():
            kinds[name], lengths[name] = kind_and_count(feature)
        return FeatureRecord(
            parts=self._parts(fields, features, passthrough),
            id=fields["id"],
            num_frames=frames,
            has_text_of_whole_clip=fields.get("text_is_of_whole_clip") == 1,
            has_empty_text=TEXT in passthrough and is_empty_text(passthrough[TEXT]),
            sums=found.sums,
            kinds=kinds,
            lengths=lengths,
            measures=measures_of(fields, passthrough.get(TEXT), found.sums),
            row=row_of(fields, passthrough.get(TEXT)),
        )

    def _parts(
        self, fields: dict[str, Any], features: np.ndarray, passthrough: dict[str, Any]
    ) -> tuple[bytes | memoryview, ...]:
        content: Any
        if self.options.encoding == "float_list":
            content = features.astype(np.float32, copy=False).ravel()
        else:  # as bytes, for bfloat16 has no memoryview
            content = np.ascontiguousarray(features).view(np.uint8).data
        return to_example_parts({**fields, TENSOR: content}, passthrough)

    def __reduce__(self) -> tuple[Any, ...]:
        return RecordConverter, (self.front_end, self.options)

    def __repr__(self) -> str:
        return f"RecordConverter({self.front_end.name!r}, {asdict(self.options)})"


def _with_text_of(piece: _Piece, passthrough: dict[str, Any]) -> dict[str, Any]:
    """What a piece's record passes through: in a chunk with a text of its own, that one, or none."""
    if piece.text is None:
        return passthrough
    others = {name: feature for name, feature in passthrough.items() if name != TEXT}
    return {**others, TEXT: text_feature(piece.text)} if piece.text else others


def _tail(features: np.ndarray, frames: int) -> bytes:
    """The rows of a padded clip behind its valid frames, up to the first of those that equal the last one."""
    rows = features[frames:].view(np.uint8)
    if not len(rows):
        return b""
    differing = np.flatnonzero((rows != rows[-1]).any(axis=1))
    end = int(differing[-1]) + 2 if len(differing) else 1
    return np.ascontiguousarray(features[frames : frames + end]).tobytes()
