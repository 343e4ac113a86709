"""Audio records read, and reject records written and read: what the features of a tf.train.Example mean there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from melbeam.transforms.records.audio_bounds import MEAN
from melbeam.transforms.records.decoding import (
    Audio,
    check_is_no_file,
    decode_audio,
    decode_pcm_s16le,
    from_samples,
    of_one_channel,
)
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.rejects import REASONS, Reject
from melbeam.transforms.records.schema import (
    BYTES,
    CONSUMED,
    FLOAT,
    INT64,
    REJECT,
    RESERVED,
    SEGMENTS,
)
from melbeam.transforms.records.tf_example import kind_and_count, parse_features, single_value, to_example
from melbeam.transforms.records.wire import Values

# In place of audio: how a source reads a row again (`records.kept_rows`).
ROW = "melbeam_row"
# Until record version 2, the reject of a retried reject held that one, whole.
_MAX_NESTED_REJECTS = 16
# Kept of a record whose reject would be larger than any reader takes.
_KEPT_OF_TOO_LARGE = 64 << 10  # 64 KiB


def to_reject(record: bytes, reject: Reject, source: str) -> bytes:
    """A reject record: the bytes as they were read, and why they were turned away.

    The reject of a reject, which was tried again, holds the first one's record. A record so large that no reader
    could parse its reject is kept by its beginning, and the detail says so.
    """
    record = rejected_record(record) or record
    fields: dict[str, Values] = {REJECT: 1, "reason": reject.reason, "source": source}
    if reject.record_id is not None:
        fields["id"] = reject.record_id
    try:
        return to_example({**fields, "detail": reject.detail, "record": record})
    except (Reject, ValueError):  # ours, or protobuf's own
        kept = record[:_KEPT_OF_TOO_LARGE]
        detail = f"{reject.detail}; of its {len(record)} bytes the first {len(kept)} are kept"
        return to_example({**fields, "detail": detail, "record": kept})


def rejected_record(record: bytes) -> bytes | None:
    """The record in a reject; None where this is no reject."""
    if REJECT.encode() not in record:
        return None
    try:
        features = parse_features(record)
        return single_value(features, "record", BYTES) if REJECT in features else None
    except Reject:
        return None


@dataclass(frozen=True)
class AudioExample:
    """One audio record, read.

    Attributes:
        id: the record's own, or the SHA-256 of its audio.
        given_id: the record's own, or None.
        audio: decoded.
        passthrough: name to `Feature` message of everything else.
        segments: JSON of what is said when, as a source wrote it; empty where none did.
    """

    id: str
    given_id: str | None
    audio: Audio
    passthrough: dict[str, Any] = field(default_factory=dict)
    segments: bytes = b""


def read_audio_example(
    record: bytes,
    *,
    sampling_rate: int,
    audio_format: str = "encoded",
    pcm_sampling_rate: int | None = None,
    max_seconds: float | None = None,
    cut_tolerance_seconds: float = 0.0,
    check_md5: bool = False,
    channel: int | str = MEAN,
) -> AudioExample:
    """Parses an audio record and decodes its audio to float32 at `sampling_rate` Hz, mono unless told otherwise.

    Args:
        record: a serialized tf.train.Example; or a reject record, whose own record, unless damaged, is then read.
        sampling_rate: Hz of the samples that come out.
        audio_format: "encoded" (WAV, FLAC, MP3, Ogg), or "pcm_s16le" for raw samples.
        pcm_sampling_rate: Hz of raw samples and of lists, where the record names none.
        max_seconds: a longer clip is a reject, `over_limit`.
        cut_tolerance_seconds: of a file that lacks no more than this, what is there is taken.
        check_md5: whether the MD5 of its samples that a FLAC may carry is checked.
        channel: "mean", "each", which gives samples `[num_samples, num_channels]`, or a channel's number, from 0.

    Raises:
        Reject: with the reason.
    """
    features = audio_features(record)
    try:
        _check_names(features)
        declared, given_id = single_value(features, "sampling_rate", INT64), _id_of(features)
        values = _audio_values(features)
        if isinstance(values, bytes) and audio_format != "pcm_s16le":
            audio = decode_audio(
                values,
                sampling_rate=sampling_rate,
                declared_rate=declared,
                max_seconds=max_seconds,
                cut_tolerance_seconds=cut_tolerance_seconds,
                check_md5=check_md5,
                channel=channel,
            )
        else:
            rate = _rate_of_samples(declared, pcm_sampling_rate)
            audio = _of_samples(values, source_rate=rate, sampling_rate=sampling_rate, max_seconds=max_seconds)
            audio = of_one_channel(audio, channel)
        segments = single_value(features, SEGMENTS, BYTES) or b""
        return AudioExample(given_id or _hash_of(values), given_id, audio, _others(features), segments)
    except Reject as reject:
        reject.record_id = _readable_id(features)
        raise


def read_as_converted(record: bytes, options: RecordOptions, sampling_rate: int) -> AudioExample:
    """Parses an audio record and decodes its audio as a job with these options does, at `sampling_rate` Hz.

    Raises:
        Reject: with the reason.
    """
    return read_audio_example(
        record,
        sampling_rate=sampling_rate,
        audio_format=options.audio_format,
        pcm_sampling_rate=options.pcm_sampling_rate,
        max_seconds=options.max_audio_seconds,
        cut_tolerance_seconds=options.cut_tolerance_seconds,
        check_md5=options.check_md5,
        channel=options.decoded_channel,
    )


def _check_names(features: Any) -> None:
    """Refuses a record with names that melbeam writes itself, or that is a row in place of a record.

    Raises:
        Reject: bad_field or not_found.
    """
    collisions = [name for name in RESERVED if name in features]
    if collisions:
        raise Reject("bad_field", f"features {collisions} have names that melbeam writes itself: rename them")
    if ROW in features:
        raise Reject(
            "not_found",
            "the record is a row that names its audio and does not hold it: melbeam extract and retry-rejects "
            "read such rows again, where they are read from files",
        )


def _of_samples(values: bytes | np.ndarray, **how: Any) -> Audio:
    """Raw samples, bytes of 16 bits or a list's; `how` is what both decoders take."""
    return decode_pcm_s16le(values, **how) if isinstance(values, bytes) else from_samples(values, **how)


def _id_of(features: Any) -> str | None:
    """The id that the record gives itself, or None.

    Raises:
        Reject: it is no id.
    """
    given = single_value(features, "id", BYTES)
    if given is None:
        return None
    try:
        name = given.decode()
    except UnicodeDecodeError as error:
        raise Reject("bad_field", f"id must be UTF-8, got {given[:64]!r}") from error
    if not name:
        raise Reject("bad_field", "id is empty: leave it out for the SHA-256 of the audio")
    return name


def _readable_id(features: Any) -> str | None:
    """The id that the record gives itself, or None where it has none that can be read."""
    try:
        return _id_of(features)
    except Reject:
        return None


def id_in(record: bytes) -> str | None:
    """The id of an audio record, or of the one in a reject; None where it has none, or cannot be read."""
    try:
        return _readable_id(audio_features(record))
    except Reject:
        return None


def undecoded(record: bytes) -> tuple[bytes, str, dict[str, Any]]:
    """The bytes of an audio record's file, its id or their SHA-256, and what is passed through.

    Raises:
        Reject: with the reason; also where its audio is no file's bytes but samples.
    """
    features = audio_features(record)
    given = _id_of(features)
    audio = single_value(features, "audio", BYTES)
    if audio is None:
        raise _no_audio(features)
    return audio, given or _hash_of(audio), _others(features)


def passed_through(record: bytes) -> dict[str, Any]:
    """Name to `Feature` message of what an audio record has beside its audio; nothing is decoded.

    Raises:
        Reject: it is no Example.
    """
    return _others(audio_features(record))


def _others(features: Any) -> dict[str, Any]:
    """What is passed through, but for lists of no values: readers of scalars need these to be missing."""
    consumed = (*CONSUMED, SEGMENTS)
    return {name: value for name, value in features.items() if name not in consumed and kind_and_count(value)[1]}


def colliding_names(record: bytes) -> list[str]:
    """The features of an audio record whose names melbeam writes itself; none where it cannot be parsed."""
    try:
        features = parse_features(record)
    except Reject:
        return []
    return [] if REJECT in features else [name for name in RESERVED if name in features]


def check_raw_audio(record: bytes) -> None:
    """Refuses a record whose `audio` holds a whole file where raw 16-bit samples are asked for.

    Raises:
        Reject: bad_audio.
    """
    try:
        features = audio_features(record)
    except Reject:
        return  # bad in another way, which is no sign of a wrong option
    values: Any = features["audio"].bytes_list.value if "audio" in features else ()
    if len(values) == 1:
        check_is_no_file(values[0])


def audio_features(record: bytes) -> Any:
    """The features of an audio record, or of the one in a reject.

    Raises:
        Reject: it is no Example, or was damaged when it was read first.
    """
    features = parse_features(record)
    return _parse_rejected(features) if REJECT in features else features


def features_if_any(record: bytes) -> Any:
    """The features of an audio record; none of one that cannot be parsed, which `melbeam extract` turns away."""
    try:
        return audio_features(record)
    except Reject:
        return {}


def clip_id_in(features: Any) -> str:
    """The id of the clip in an audio record's features: its own, or the SHA-256 of its audio.

    Raises:
        Reject: its own is no id, or it has none and no audio either.
    """
    given = _id_of(features)
    if given is not None:
        return given
    return _hash_of(_audio_values(features))


def _no_audio(features: Any) -> Reject:
    """The reject of a record without audio, or whose audio is an empty list."""
    return Reject("no_audio", f"'audio' is not among the features {sorted(features)}, or is an empty list")


def _audio_values(features: Any) -> bytes | np.ndarray:
    """The bytes of a file, or samples as int64 or float32.

    Raises:
        Reject: no_audio or bad_field.
    """
    kind, count = kind_and_count(features["audio"]) if "audio" in features else ("", 0)
    if count == 0:
        raise _no_audio(features)
    values: Any = getattr(features["audio"], kind).value
    if kind != BYTES:
        return np.asarray(values, np.float32 if kind == FLOAT else np.int64)
    if count != 1:
        raise Reject("bad_field", f"audio must be one bytes value, got {count}")
    return bytes(values[0])


def _hash_of(audio: bytes | np.ndarray) -> str:
    """SHA-256, in hex, of a file's bytes, or of samples as little-endian ones."""
    data = audio if isinstance(audio, bytes) else audio.astype(audio.dtype.newbyteorder("<")).tobytes()
    return hashlib.sha256(data).hexdigest()


def _parse_rejected(reject: Any) -> Any:
    """The features of the record in a reject, or in the reject in it, where a retried record was rejected again.

    Raises:
        Reject: also where the record was damaged or cut when it was read: its audio may still decode, to noise.
    """
    for _ in range(_MAX_NESTED_REJECTS):
        record = single_value(reject, "record", BYTES)
        if record is None:
            raise Reject("bad_field", "a reject record without its feature 'record'")
        reason = (single_value(reject, "reason", BYTES) or b"").decode(errors="replace")
        if reason in ("bad_checksum", "bad_framing"):
            raise Reject(
                reason, "the record was damaged when it was read first: copy its file again from its source"
            )
        try:
            features = parse_features(record)
        except Reject as error:
            if reason == "over_limit":
                detail = (
                    "only the record's beginning was kept: extract its file again with a larger --max_record_bytes"
                )
                raise Reject("over_limit", detail) from error
            raise
        if ROW in features and reason in REASONS:
            detail = (single_value(reject, "detail", BYTES) or b"").decode(errors="replace")
            raise Reject(reason, detail, _readable_id(features))
        if REJECT not in features:
            return features
        reject = features
    raise Reject("bad_field", f"rejects nested more than {_MAX_NESTED_REJECTS} deep, which melbeam never writes")


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
