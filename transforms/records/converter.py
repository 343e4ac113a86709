"""One audio record to its feature records: what the Beam DoFns, and nothing else, run on every record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from melbeam.transforms.converters import AudioConverter
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.conversion import Conversion, FeatureRecord
from melbeam.transforms.records.examples import AudioExample, kind_and_count, read_audio_example, to_example
from melbeam.transforms.records.levels import levels
from melbeam.transforms.records.measures import measures_of
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.schema import FEATURE_RECORD, MAX_EXAMPLE_BYTES, TEXT
from melbeam.transforms.records.split_schema import CONDITIONAL
from melbeam.transforms.statistics import BinStatistics

_KINDS = {field.name: field.kind for field in FEATURE_RECORD}
# What a record's fields take beside features and what is passed through, generously.
_SMALL_FIELDS_BYTES = 1 << 16
_FLOAT_LIST_BYTES = 4  # a value in a packed list


@dataclass(frozen=True)
class _Piece:
    """A run of a clip's samples that becomes one feature record: the clip itself, its beginning, or a chunk."""

    start: int
    stop: int
    chunk: int | None = None


class RecordConverter:
    """Serialized audio Examples to serialized feature Examples.

    Args:
        front_end: of the features.
        options: how records are read and written.

    Raises:
        ValueError: clips are to be padded to a length that the front end has not.
    """

    def __init__(self, front_end: FrontEnd, options: RecordOptions) -> None:
        self.front_end = front_end
        self.options = options
        self._fingerprint = front_end.fingerprint[:16]
        self._pads = options.pads(front_end)
        # Stored without what lies behind them, clips of a model that takes its full length need a tail.
        self._needs_tail = front_end.takes_full_length and not self._pads
        self._converter = AudioConverter(
            front_end, pad_to_max_length=self._pads or self._needs_tail, precision=options.precision
        )
        self._dtype = options.numpy_dtype

    def convert(self, record: bytes, source: str) -> Conversion:
        """Converts one record; `source` names where it came from.

        Raises:
            Reject: the record cannot be converted; nothing else is raised because of a record.
            MemoryError: this machine has not the memory, which is no fault of the record.
        """
        options = self.options
        if len(record) > options.max_record_bytes:
            raise Reject("over_limit", f"a record of {len(record)} bytes, above {options.max_record_bytes}")
        example = read_audio_example(
            record,
            sampling_rate=self.front_end.sampling_rate,
            audio_format=options.audio_format,
            pcm_sampling_rate=options.pcm_sampling_rate,
            max_seconds=options.max_audio_seconds,
        )
        try:
            return self._convert(example, source)
        except Reject as reject:
            reject.record_id = example.given_id
            raise

    def _convert(self, example: AudioExample, source: str) -> Conversion:
        num_samples = len(example.audio.samples)
        pieces, changes = self._cut(num_samples)
        self._check_sizes(pieces, example)
        conversion = Conversion(
            id=example.id,
            features=[],
            num_samples=num_samples,
            changes=[c for c in ("resampled", "mixed_down") if getattr(example.audio, c)] + changes,
            statistics=BinStatistics(),
        )
        for piece in pieces:
            samples = example.audio.samples[piece.start : piece.stop]
            features = self._features(samples)
            frames = self.front_end.num_frames(len(samples))
            try:
                statistics = BinStatistics.of(features[:frames])
            except ValueError as error:
                raise Reject("converter_error", str(error)) from error
            conversion.statistics.add(statistics)
            fields = self._fields(example, piece, samples, frames, source, truncated="truncated" in changes)
            conversion.features.append(self._feature_record(fields, features, example, statistics))
        return conversion

    def _cut(self, num_samples: int) -> tuple[list[_Piece], list[str]]:
        """The pieces of a clip, and what cutting it changes.

        Raises:
            Reject: it is too short, or too long.
        """
        front_end, longest = self.front_end, self.front_end.max_samples
        if front_end.num_frames(num_samples) == 0:
            raise Reject(
                "too_short",
                f"{num_samples} samples at {front_end.sampling_rate} Hz, "
                f"which is no frame of front end {front_end.name!r}",
            )
        if longest is None or num_samples <= longest:
            return [_Piece(0, num_samples)], []
        if self.options.on_long == "truncate":
            return [_Piece(0, longest)], ["truncated"]
        if self.options.on_long == "reject":
            raise Reject(
                "too_long",
                f"{num_samples / front_end.sampling_rate:.3f} s, the front end takes "
                f"{front_end.max_audio_length} s: pass --on_long=truncate or --on_long=chunk",
            )
        chunks = [
            _Piece(start, min(start + longest, num_samples), chunk)
            for chunk, start in enumerate(range(0, num_samples, longest))
        ]
        if front_end.num_frames(chunks[-1].stop - chunks[-1].start):
            return chunks, ["chunked"]
        return chunks[:-1], ["chunked", "trimmed"]

    def _check_sizes(self, pieces: list[_Piece], example: AudioExample) -> None:
        """Sees to it before any work that no record is larger than a reader takes.

        Raises:
            Reject: over_limit.
        """
        value_bytes = _FLOAT_LIST_BYTES if self.options.encoding == "float_list" else self._dtype.itemsize
        others = sum(feature.ByteSize() for feature in example.passthrough.values()) + _SMALL_FIELDS_BYTES
        for piece in pieces:
            frames = self.front_end.num_frames(piece.stop - piece.start)
            num_bytes = frames * self.front_end.num_mels * value_bytes + others
            if num_bytes > MAX_EXAMPLE_BYTES:
                raise Reject(
                    "over_limit",
                    f"{frames} frames would make a record of {num_bytes} bytes, and no reader of "
                    f"tf.train.Example takes more than {MAX_EXAMPLE_BYTES}: cut the clip, store 16-bit values, or "
                    "take a front end with max_audio_length and --on_long=chunk",
                )

    def _features(self, samples: np.ndarray) -> np.ndarray:
        """`[rows, num_mels]`, of the stored dtype."""
        try:
            # NumPy adds and takes off an axis without a copy; a tensor's memoryview, unlike its numpy(), is none.
            batch = np.asarray(memoryview(self._converter(samples[np.newaxis])))
        except (MemoryError, tf.errors.ResourceExhaustedError) as error:
            raise MemoryError(
                f"no memory for {len(samples)} samples: give the workers more, or fewer threads"
            ) from error
        except Exception as error:  # whatever TensorFlow raises: one record must not end the job
            raise Reject("converter_error", f"{type(error).__name__}: {error}"[:1000]) from error
        return batch[0].astype(self._dtype, copy=False)

    def _fields(
        self,
        example: AudioExample,
        piece: _Piece,
        samples: np.ndarray,
        frames: int,
        source: str,
        *,
        truncated: bool,
    ) -> dict[str, Any]:
        """The small fields of a feature record."""
        fields: dict[str, Any] = {
            "id": example.id,
            "num_frames": frames,
            "num_samples": len(samples),
            "sampling_rate": self.front_end.sampling_rate,
            "source": source,
            "front_end": self._fingerprint,
            **levels(samples, self.front_end.sampling_rate),
        }
        tokens = self.front_end.num_audio_tokens(len(samples))
        if tokens is not None:
            fields["num_audio_tokens"] = tokens
        if truncated:
            fields["truncated"] = 1
        if piece.chunk is not None:
            fields["id"] = f"{example.id}#{piece.chunk}"
            fields |= {"chunk_index": piece.chunk, "start_sample": piece.start}
            if TEXT in example.passthrough:
                fields["text_is_of_whole_clip"] = 1
        return fields

    def _feature_record(
        self, fields: dict[str, Any], features: np.ndarray, example: AudioExample, statistics: BinStatistics
    ) -> FeatureRecord:
        frames = fields["num_frames"]
        if self._needs_tail:
            features, fields["input_features_tail"] = features[:frames], _tail(features, frames)
        kinds = {name: _KINDS[name] for name in CONDITIONAL if name in fields}
        lengths = dict.fromkeys(kinds, 1)
        for name, feature in example.passthrough.items():
            kinds[name], lengths[name] = kind_and_count(feature)
        return FeatureRecord(
            example=self._example(fields, features, example),
            id=fields["id"],
            num_frames=frames,
            kinds=kinds,
            lengths=lengths,
            measures=measures_of(fields, example.passthrough.get(TEXT), statistics),
        )

    def _example(self, fields: dict[str, Any], features: np.ndarray, example: AudioExample) -> bytes:
        if self.options.encoding == "float_list":
            fields = {**fields, "input_features": features.astype(np.float32).ravel()}
            return to_example(fields, example.passthrough)
        # As bytes, for bfloat16 has no memoryview.
        content = np.ascontiguousarray(features).view(np.uint8).data
        return to_example(fields, example.passthrough, ("input_features", content))

    def __reduce__(self) -> tuple[Any, ...]:
        return RecordConverter, (self.front_end, self.options)

    def __repr__(self) -> str:
        return f"RecordConverter({self.front_end.name!r}, {asdict(self.options)})"


def _tail(features: np.ndarray, frames: int) -> bytes:
    """The rows of a padded clip behind its valid frames, up to the first of those that equal the last one."""
    rows = features[frames:].view(np.uint8) if len(features) > frames else features[frames:]
    if not len(rows):
        return b""
    differing = np.flatnonzero((rows != rows[-1]).any(axis=1))
    end = int(differing[-1]) + 2 if len(differing) else 1
    return np.ascontiguousarray(features[frames : frames + end]).tobytes()
