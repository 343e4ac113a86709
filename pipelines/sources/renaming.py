"""Records whose features have other names, or whose audio has a shape that no record says, as ours."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from melbeam.pipelines.sources.segments import wav_bytes
from melbeam.transforms.records.audio_example import bytes_or_floats
from melbeam.transforms.records.decoding.raw_samples import check_are_16_bit
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.schema import BYTES, FLOAT, INT64
from melbeam.transforms.records.tf_example import kind_and_count, parse_features

# How TFDS keeps a tensor's bytes, and which samples they may be.
ENCODINGS = ("bytes", "zlib")
DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "int64", "float16", "float32", "float64")
# These hold no 16-bit samples: the largest number of the type is full scale, and unsigned ones are silent in the
# middle.
OWN_FULL_SCALE = ("int8", "uint8", "uint16")


@dataclass(frozen=True)
class Renaming:
    """What becomes of a record's features.

    Attributes:
        columns: our name to theirs.
        num_channels: of lists of samples.
        sampling_rate: Hz of samples, where no record says it.
        encoding: one of `ENCODINGS`, where the audio is kept so; else "".
        dtype: one of `DTYPES`, of samples that are kept as bytes or have a full scale of their own; else "", and
            bytes are a file then.
        is_planar: whether lists hold all samples of a channel, then those of the next; else they are interleaved.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    num_channels: int = 1
    sampling_rate: int | None = None
    encoding: str = ""
    dtype: str = ""
    is_planar: bool = False

    def to_json(self) -> dict[str, Any]:
        """The renaming as a unit's details hold it; nothing where there is nothing to do."""
        # `is_planar` is left out where it is false, so that the plans of all such corpora stay what they were.
        details = {name: value for name, value in asdict(self).items() if name != "is_planar" or value}
        return {} if self == Renaming() else details

    @classmethod
    def from_json(cls, details: Mapping[str, Any]) -> Renaming:
        """Inverse of `to_json`."""
        return cls(**details)

    def apply(self, record: bytes) -> bytes:
        """The record as ours.

        Raises:
            Reject: it is no Example, or its audio does not have the shape that it should have.
        """
        features = parse_features(record)
        missing = self.columns.get("audio")
        if missing is not None and missing not in features:
            raise Reject(
                "no_audio", f"no {missing!r}, which --columns or features.json names, in {sorted(features)}"
            )
        renamed = Example()
        target = renamed.features.feature
        taken = set(self.columns.values())
        for name, feature in features.items():
            # A feature makes way for one that is given its name.
            if name not in taken and name not in self.columns:
                target[name].CopyFrom(feature)
        for ours, theirs in self.columns.items():
            if theirs in features:
                target[ours].CopyFrom(features[theirs])
        if "id" in self.columns and "id" in target and kind_and_count(target["id"]) == (INT64, 1):
            number = target["id"].int64_list.value[0]
            target["id"].bytes_list.value.append(str(number).encode())
        self._shape_audio(target)
        return renamed.SerializeToString(deterministic=True)

    def _shape_audio(self, features: Any) -> None:
        """Gives lists of samples their channels, and samples their rate.

        Raises:
            Reject: bad_field, where the list is not a whole number of frames.
        """
        if self.encoding and "audio" in features:
            self._decode(features["audio"])
        kind, count = kind_and_count(features["audio"]) if "audio" in features else ("", 0)
        if kind not in (INT64, FLOAT):
            # A file's own header has its rate; TFDS's metadata have the rate that it would be resampled to.
            return
        if kind == INT64 and self.dtype in OWN_FULL_SCALE:
            _scale(features["audio"], np.iinfo(self.dtype))
            kind = kind_and_count(features["audio"])[0]
            if kind == BYTES:
                return
        if self.sampling_rate is not None and "sampling_rate" not in features:
            features["sampling_rate"].int64_list.value.append(self.sampling_rate)
        if self.num_channels == 1 or not count:
            return
        if count % self.num_channels:
            raise Reject(
                "bad_field", f"{count} samples are no whole number of frames of {self.num_channels} channels"
            )
        rate = kind_and_count(features["sampling_rate"]) if "sampling_rate" in features else ("", 0)
        if rate != (INT64, 1):
            told = "name theirs with --columns=sampling_rate=NAME, or pass --pcm_sampling_rate"
            raise Reject("bad_field", f"samples of several channels need one sampling_rate: {told}")
        samples = _samples(getattr(features["audio"], kind).value, kind)
        if self.is_planar:
            samples = np.ascontiguousarray(samples.reshape(self.num_channels, -1).T)
        else:
            samples = samples.reshape(-1, self.num_channels)
        data = wav_bytes(samples, features["sampling_rate"].int64_list.value[0])
        features["audio"].Clear()
        features["audio"].bytes_list.value.append(data)

    def _decode(self, audio: Any) -> None:
        """Undoes TFDS's encoding of the audio, in place.

        Raises:
            Reject: bad_audio, where the bytes are none of that encoding.
        """
        if kind_and_count(audio) != (BYTES, 1):
            return  # written without it, whatever features.json says
        data = audio.bytes_list.value[0]
        try:
            data = zlib.decompress(data) if self.encoding == "zlib" else data
            samples = np.frombuffer(data, np.dtype(self.dtype).newbyteorder("<")) if self.dtype else None
        except (zlib.error, ValueError) as error:
            what = f"{self.encoding} of {self.dtype or 'a file'}"
            raise Reject("bad_audio", f"{len(data)} bytes that are no {what}: {error}") from error
        audio.Clear()
        if samples is None:
            audio.bytes_list.value.append(data)
        elif samples.dtype.kind in "iu":
            audio.int64_list.value.extend(samples.tolist())
        else:
            audio.float_list.value.extend(samples.tolist())


def _scale(audio: Any, info: np.iinfo[Any]) -> None:
    """Makes integers of a type floats of full scale 1, or the file whose bytes they are, in place.

    Raises:
        Reject: bad_audio, where they are not of that type.
    """
    samples = np.asarray(audio.int64_list.value, np.int64)
    if len(samples) and (samples.min() < info.min or samples.max() > info.max):
        found = f"{samples.min()} to {samples.max()}"
        raise Reject("bad_audio", f"samples of {info.dtype} must be {info.min} to {info.max}, got {found}")
    content = bytes_or_floats(samples.astype(info.dtype))
    audio.Clear()
    if isinstance(content, bytes):
        audio.bytes_list.value.append(content)
    else:
        audio.float_list.value.extend(content.tolist())


def _samples(values: Any, kind: str) -> np.ndarray:
    if kind == FLOAT:
        return np.asarray(values, np.float32)
    samples = np.asarray(values, np.int64)
    check_are_16_bit(samples)
    return samples.astype(np.int16)
