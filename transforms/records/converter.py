"""One audio record to its feature records: what the Beam DoFns, and nothing else, run on every record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from melbeam.transforms.converters import AudioConverter
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.examples import AudioExample, read_audio_example, to_example
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.statistics import BinStatistics


@dataclass
class Conversion:
    """What became of one audio record.

    Attributes:
        id: of the record.
        examples: serialized feature Examples, one, or one a chunk.
        num_samples: at the front end's rate, before truncation.
        changes: what was done to the audio beyond computing features: "resampled", "mixed_down",
            "cut_short", "truncated", "chunked", and "trimmed" where the last chunk was too short for a frame.
        statistics: of the features as they were written, valid frames only.
        passthrough: kind and number of values of each feature that was passed through.
    """

    id: str
    examples: list[bytes]
    num_samples: int
    changes: list[str]
    statistics: BinStatistics
    passthrough: dict[str, tuple[str, int]] = field(default_factory=dict)


class RecordConverter:
    """Serialized audio Examples to serialized feature Examples.

    Args:
        front_end: of the features.
        options: how records are read and written.
    """

    def __init__(self, front_end: FrontEnd, options: RecordOptions) -> None:
        self.front_end = front_end
        self.options = options
        self._fingerprint = front_end.fingerprint[:16]
        self._converter = AudioConverter(
            front_end, pad_to_max_length=options.pad_to_max_length, precision=options.precision
        )
        self._dtype = options.numpy_dtype

    def convert(self, record: bytes, source: str) -> Conversion:
        """Converts one record; `source` names where it came from.

        Raises:
            Reject: the record cannot be converted; nothing else is raised because of a record.
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
            cut_tolerance_seconds=options.cut_tolerance_seconds,
            check_md5=options.check_md5,
        )
        num_samples = len(example.audio.samples)
        conversion = Conversion(
            id=example.id,
            examples=[],
            num_samples=num_samples,
            changes=[c for c in ("resampled", "mixed_down", "cut_short") if getattr(example.audio, c)],
            statistics=BinStatistics(),
            passthrough={name: _kind_and_count(feature) for name, feature in example.passthrough.items()},
        )
        if self.front_end.num_frames(num_samples) == 0:
            raise Reject(
                "too_short",
                f"{num_samples} samples at {self.front_end.sampling_rate} Hz, "
                f"which is no frame of front end {self.front_end.name!r}",
            )
        longest = self.front_end.max_samples
        chunked = False
        if longest is not None and num_samples > longest:
            if options.on_long == "reject":
                raise Reject(
                    "too_long",
                    f"{num_samples / self.front_end.sampling_rate:.3f} s, the front end takes "
                    f"{self.front_end.max_audio_length} s: pass --on_long=truncate or --on_long=chunk",
                )
            chunked = options.on_long == "chunk"
            conversion.changes.append("chunked" if chunked else "truncated")
            if chunked and num_samples % longest > 0 and not self.front_end.num_frames(num_samples % longest):
                conversion.changes.append("trimmed")
        for chunk_index, start in self._starts(num_samples, chunked):
            samples = example.audio.samples[start : None if longest is None else start + longest]
            features = self._features(samples)
            frames = self.front_end.num_frames(len(samples))
            try:
                conversion.statistics.add(BinStatistics.of(features[:frames]))
            except ValueError as error:
                raise Reject("converter_error", str(error)) from error
            record_id = f"{example.id}#{chunk_index}" if chunked else example.id
            fields = {"id": record_id, "num_frames": frames, "num_samples": len(samples), "source": source}
            if chunked:
                fields |= {"chunk_index": chunk_index, "start_sample": start}
            conversion.examples.append(self._example(fields, features, example))
        return conversion

    def _starts(self, num_samples: int, chunked: bool) -> Iterator[tuple[int, int]]:
        """Index and first sample of each piece that gives a frame."""
        if not chunked:
            yield 0, 0
            return
        longest = self.front_end.max_samples or num_samples
        for index, start in enumerate(range(0, num_samples, longest)):
            if self.front_end.num_frames(num_samples - start):
                yield index, start

    def _features(self, samples: np.ndarray) -> np.ndarray:
        try:
            # NumPy adds and takes off an axis without a copy; a tensor's memoryview, unlike its numpy(), is none.
            batch = np.asarray(memoryview(self._converter(samples[np.newaxis])))
            return batch[0].astype(self._dtype, copy=False)
        except Exception as error:  # whatever TensorFlow raises: one record must not end the job
            raise Reject("converter_error", f"{type(error).__name__}: {error}"[:1000]) from error

    def _example(self, fields: dict[str, Any], features: np.ndarray, example: AudioExample) -> bytes:
        fields["sampling_rate"] = self.front_end.sampling_rate
        fields["front_end"] = self._fingerprint
        tokens = self.front_end.num_audio_tokens(fields["num_samples"])
        if tokens is not None:
            fields["num_audio_tokens"] = tokens
        if self.options.encoding == "float_list":
            fields["input_features"] = features.astype(np.float32).ravel()
            return to_example(fields, example.passthrough)
        # As bytes, for bfloat16 has no memoryview.
        content = np.ascontiguousarray(features).view(np.uint8).data
        return to_example(fields, example.passthrough, ("input_features", content))

    def __reduce__(self) -> tuple[Any, ...]:
        return RecordConverter, (self.front_end, self.options)

    def __repr__(self) -> str:
        return f"RecordConverter({self.front_end.name!r}, {asdict(self.options)})"


def _kind_and_count(feature: Any) -> tuple[str, int]:
    kind = feature.WhichOneof("kind")
    return (kind, len(getattr(feature, kind).value)) if kind else ("", 0)
