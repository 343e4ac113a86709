"""How long a clip is, by what its record says: nothing is decoded."""

from __future__ import annotations

from typing import Any

from melbeam.transforms.records.containers import inspect
from melbeam.transforms.records.decoding.media import media_of
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.schema import BYTES, INT64
from melbeam.transforms.records.tf_example import kind_and_count


def microseconds_of(features: Any) -> int | None:
    """The length of the clip in an audio record's features; None where only a decoder could tell, or nobody.

    Args:
        features: of a tf.train.Example, name to `Feature`.

    A file's own bytes are counted, as they are before a decode; samples in a list are counted by the record's
    `sampling_rate`. A file that is cut or damaged has no length: `melbeam extract` says what is wrong with it.
    """
    kind, count = kind_and_count(features["audio"]) if "audio" in features else ("", 0)
    if not count:
        return None
    if kind != BYTES:
        return _of_samples(count, features)
    data = features["audio"].bytes_list.value[0]
    try:
        contents = inspect(data)
        if contents is not None:
            return round(1_000_000 * contents.num_samples / contents.sampling_rate)
        media = media_of(data)
    except Reject:
        return None
    return None if media is None or media.seconds is None else round(1_000_000 * media.seconds)


def _of_samples(count: int, features: Any) -> int | None:
    kind, given = kind_and_count(features["sampling_rate"]) if "sampling_rate" in features else ("", 0)
    if (kind, given) != (INT64, 1):
        return None
    rate = features["sampling_rate"].int64_list.value[0]
    return round(1_000_000 * count / rate) if rate > 0 else None
