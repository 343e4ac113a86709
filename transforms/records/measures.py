"""What the distributions of a split measure of each feature record, by what the record itself holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from melbeam.transforms.records.levels import LEVELS
from melbeam.transforms.records.schema import BYTES
from melbeam.transforms.records.tf_example import kind_and_count
from melbeam.transforms.statistics import ClipSums

# The last bits of a spread may differ between types of CPU.
_DECIMALS = 6


def is_empty_text(text: Any | None) -> bool:
    """Whether a transcript, a `Feature` message, says nothing: it is none, has no value, or only blanks."""
    if text is None:
        return True
    kind, count = kind_and_count(text)
    if kind == BYTES:
        return not any(value.decode(errors="replace").strip() for value in text.bytes_list.value)
    return not count


def measures_of(fields: Mapping[str, Any], text: Any | None, sums: ClipSums) -> dict[str, float]:
    """The quantities of `distributions.BIN_WIDTHS` that a feature record has.

    Levels are taken as the float32 values that a record holds, so that a reader comes to the same sums.

    Args:
        fields: the small fields of the record, by their names.
        text: the record's transcript, a `Feature` message; None where there is none.
        sums: of the record's features, valid frames only.
    """
    seconds = fields["num_samples"] / fields["sampling_rate"]
    measures = {name: float(np.float32(fields[name])) for name in LEVELS if name in fields}
    measures |= {"seconds": seconds, "spread": round(sums.spread, _DECIMALS)}
    if "num_audio_tokens" in fields:
        measures["num_audio_tokens"] = float(fields["num_audio_tokens"])
    if text is not None and "text_is_of_whole_clip" not in fields and kind_and_count(text) == (BYTES, 1):
        characters = len(text.bytes_list.value[0].decode(errors="replace").strip())
        if characters:  # an empty text has no pace
            measures["characters_per_second"] = characters / seconds
    return measures
