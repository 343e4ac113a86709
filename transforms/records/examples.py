"""The record schemas: audio Examples in, feature Examples and reject Examples out.

`tf.train.Example` is built here from its published definition (tensorflow/core/example/example.proto and
feature.proto), in a descriptor pool of its own: so records are read and written without importing TensorFlow,
and TensorFlow may still be imported in the same process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from melbeam.transforms.records.decoding import (
    Audio,
    check_is_no_file,
    decode_audio,
    decode_pcm_s16le,
    from_samples,
)
from melbeam.transforms.records.rejects import Reject

# What `read_audio_example` takes out of a record; everything else is passed through.
CONSUMED = ("audio", "id", "sampling_rate")
# What a feature record adds; a passed-through feature may not have such a name.
RESERVED = (
    "input_features",
    "num_frames",
    "num_audio_tokens",
    "num_samples",
    "source",
    "front_end",
    "chunk_index",
    "start_sample",
    "melbeam_reject",
)


def _example_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="melbeam/example.proto", package="tensorflow", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    lists = (
        ("BytesList", kinds.TYPE_BYTES, False),
        ("FloatList", kinds.TYPE_FLOAT, True),
        ("Int64List", kinds.TYPE_INT64, True),
    )
    for name, kind, packed in lists:
        value = file.message_type.add(name=name).field.add(
            name="value", number=1, type=kind, label=kinds.LABEL_REPEATED
        )
        if packed:
            value.options.packed = True
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, _, _) in enumerate(lists, start=1):
        feature.field.add(
            name=name.replace("List", "_list").lower(),
            number=number,
            type=kinds.TYPE_MESSAGE,
            type_name=f".tensorflow.{name}",
            label=kinds.LABEL_OPTIONAL,
            oneof_index=0,
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    entry.field.add(
        name="value",
        number=2,
        type=kinds.TYPE_MESSAGE,
        type_name=".tensorflow.Feature",
        label=kinds.LABEL_OPTIONAL,
    )
    features.field.add(
        name="feature",
        number=1,
        type=kinds.TYPE_MESSAGE,
        type_name=".tensorflow.Features.FeatureEntry",
        label=kinds.LABEL_REPEATED,
    )
    file.message_type.add(name="Example").field.add(
        name="features",
        number=1,
        type=kinds.TYPE_MESSAGE,
        type_name=".tensorflow.Features",
        label=kinds.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))


Example = _example_class()

Values = bytes | str | int | float | np.ndarray | list[Any]


def to_example(
    features: Mapping[str, Values],
    passthrough: Mapping[str, Any] | None = None,
    bulk: tuple[str, memoryview] | None = None,
) -> bytes:
    """Serializes features, in a fixed order of names, so that equal features are equal bytes.

    Args:
        features: name to bytes, a string, an int, a float, or a list or an array of one of them.
        passthrough: name to `Feature` message, copied unchanged.
        bulk: name and bytes of one more feature, a large one, which is copied once; protobuf would do so thrice.
    """
    if bulk is None:
        return _example_of(features, passthrough or {}).SerializeToString(deterministic=True)
    name, value = bulk
    before, after = (
        _example_of(
            *({key: of[key] for key in of if (key < name) is is_before} for of in (features, passthrough or {}))
        ).features.SerializeToString(deterministic=True)
        for is_before in (True, False)
    )
    # In front of the value, from the inside out, each message begins with its tag and its size.
    key = name.encode()
    front = b""
    for field_tags in (b"\x0a", b"\x0a", b"\x0a" + _varint(len(key)) + key + b"\x12", b"\x0a"):
        front = field_tags + _varint(len(front) + value.nbytes) + front
    size = _varint(len(before) + len(front) + value.nbytes + len(after))
    return b"".join((b"\x0a", size, before, front, value, after))


def _varint(number: int) -> bytes:
    """As protobuf writes sizes: 7 bits a byte, the lowest first, the highest bit of all but the last set."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _example_of(features: Mapping[str, Values], passthrough: Mapping[str, Any]) -> Any:
    example = Example()
    target = example.features.feature
    for name, value in features.items():
        values: Any = value if isinstance(value, list | np.ndarray) else [value]
        first = values[0] if len(values) else 0.0
        if isinstance(first, str):
            target[name].bytes_list.value.extend(v.encode() for v in values)
        elif isinstance(first, bytes):
            target[name].bytes_list.value.extend(values)
        elif isinstance(first, int | np.integer):
            target[name].int64_list.value.extend(values)
        else:
            # A list is several times quicker to take in than an array.
            target[name].float_list.value.extend(values.tolist() if isinstance(values, np.ndarray) else values)
    for name, message in passthrough.items():
        target[name].CopyFrom(message)
    return example


def to_reject(record: bytes, reason: str, detail: str, source: str) -> bytes:
    """A reject record: the bytes as they were read, and why they were turned away."""
    return to_example(
        {"melbeam_reject": 1, "record": record, "reason": reason, "detail": detail, "source": source}
    )


@dataclass(frozen=True)
class AudioExample:
    """One audio record, read."""

    id: str
    audio: Audio
    passthrough: dict[str, Any] = field(default_factory=dict)


def read_audio_example(
    record: bytes,
    *,
    sampling_rate: int,
    audio_format: str = "encoded",
    pcm_sampling_rate: int | None = None,
    max_seconds: float | None = None,
    cut_tolerance_seconds: float = 0.0,
    check_md5: bool = False,
) -> AudioExample:
    """Parses an audio record and decodes its audio to mono float32 at `sampling_rate` Hz.

    Args:
        record: a serialized tf.train.Example; or a reject record, whose own record, unless damaged, is then read.
        sampling_rate: Hz of the samples that come out.
        audio_format: "encoded" (WAV, FLAC, MP3, Ogg), or "pcm_s16le" for raw samples.
        pcm_sampling_rate: Hz of raw samples and of lists, where the record names none.
        max_seconds: a longer clip is a reject, `over_limit`.
        cut_tolerance_seconds: of a file that lacks no more than this, what is there is taken.
        check_md5: whether the MD5 of its samples that a FLAC may carry is checked.

    Raises:
        Reject: with the reason.
    """
    features = _parse(record)
    while "melbeam_reject" in features:  # one in another, where a reject was retried
        features = _parse_rejected(features)
    passthrough = {name: value for name, value in features.items() if name not in CONSUMED}
    collisions = [name for name in RESERVED if name in passthrough]
    if collisions:
        raise Reject("bad_field", f"features {collisions} have names that melbeam writes itself: rename them")
    declared = _single(features, "sampling_rate", "int64_list")
    given_id = _single(features, "id", "bytes_list")
    kind = features["audio"].WhichOneof("kind") if "audio" in features else None
    values: Any = getattr(features["audio"], kind).value if kind else ()
    if len(values) == 0:
        raise Reject("no_audio", f"no audio among the features {sorted(features)}: expected 'audio'")
    if kind == "bytes_list":
        if len(values) != 1:
            raise Reject("bad_field", f"audio must be one bytes value, got {len(values)}")
        data = values[0]
        if audio_format == "pcm_s16le":
            rate = _rate_of_samples(declared, pcm_sampling_rate)
            audio = decode_pcm_s16le(data, source_rate=rate, sampling_rate=sampling_rate, max_seconds=max_seconds)
        else:
            audio = decode_audio(
                data,
                sampling_rate=sampling_rate,
                declared_rate=declared,
                max_seconds=max_seconds,
                cut_tolerance_seconds=cut_tolerance_seconds,
                check_md5=check_md5,
            )
    else:
        samples = np.asarray(values, np.float32 if kind == "float_list" else np.int64)
        data = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
        rate = _rate_of_samples(declared, pcm_sampling_rate)
        audio = from_samples(samples, source_rate=rate, sampling_rate=sampling_rate, max_seconds=max_seconds)
    if given_id is None:
        name = hashlib.sha256(data).hexdigest()
    else:
        try:
            name = given_id.decode()
        except UnicodeDecodeError as error:
            raise Reject("bad_field", f"id must be UTF-8, got {given_id[:64]!r}") from error
        if not name:
            raise Reject("bad_field", "id is empty: leave it out for the SHA-256 of the audio")
    return AudioExample(name, audio, passthrough)


def colliding_names(record: bytes) -> list[str]:
    """The features of an audio record whose names melbeam writes itself; none where it cannot be parsed."""
    try:
        features = _parse(record)
    except Reject:
        return []
    return [] if "melbeam_reject" in features else [name for name in RESERVED if name in features]


def check_raw_audio(record: bytes) -> None:
    """Refuses a record whose `audio` holds a whole file where raw 16-bit samples are asked for.

    Raises:
        Reject: bad_audio.
    """
    try:
        features = _parse(record)
        while "melbeam_reject" in features:
            features = _parse_rejected(features)
    except Reject:
        return  # bad in another way, which is no sign of a wrong option
    values: Any = features["audio"].bytes_list.value if "audio" in features else ()
    if len(values) == 1:
        check_is_no_file(values[0])


def _parse(record: bytes) -> Any:
    try:
        return Example.FromString(record).features.feature
    except DecodeError as error:
        raise Reject("not_an_example", f"{len(record)} bytes that are no tf.train.Example") from error


def _parse_rejected(reject: Any) -> Any:
    """The features of the record in a reject.

    Raises:
        Reject: also where the record was damaged or cut when it was read: its audio may still decode, to noise.
    """
    record = _single(reject, "record", "bytes_list")
    if record is None:
        raise Reject("bad_field", "a reject record without its feature 'record'")
    reason = (_single(reject, "reason", "bytes_list") or b"").decode(errors="replace")
    if reason in ("bad_checksum", "bad_framing"):
        raise Reject(reason, "the record was damaged when it was read first: copy its file again from its source")
    try:
        return _parse(record)
    except Reject as error:
        if reason == "over_limit":
            detail = (
                "only the record's beginning was kept: extract its file again with a larger --max_record_bytes"
            )
            raise Reject("over_limit", detail) from error
        raise


def _single(features: Any, name: str, kind: str) -> Any:
    """The one value of an optional feature, or None."""
    if name not in features or features[name].WhichOneof("kind") is None:
        return None
    found = features[name].WhichOneof("kind")
    values = getattr(features[name], found).value
    if found != kind or len(values) != 1:
        raise Reject("bad_field", f"{name} must be one value in a {kind}, got {len(values)} in a {found}")
    return values[0]


def _rate_of_samples(declared: int | None, pcm_sampling_rate: int | None) -> int:
    if declared is None and pcm_sampling_rate is None:
        raise Reject(
            "bad_field",
            "raw samples without a sampling rate: add a sampling_rate feature, or pass --pcm_sampling_rate",
        )
    if declared is not None and pcm_sampling_rate is not None and declared != pcm_sampling_rate:
        raise Reject(
            "rate_mismatch",
            f"the record says {declared} Hz, --pcm_sampling_rate says {pcm_sampling_rate} Hz",
        )
    return int(declared if declared is not None else pcm_sampling_rate or 0)
