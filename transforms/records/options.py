"""How audio records are read and feature records are written: values, validated; no NumPy and no TensorFlow."""

from __future__ import annotations

import dataclasses
import math
import numbers
from typing import TYPE_CHECKING, Any

from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.precision import DTYPES, PRECISIONS, numpy_dtype
from melbeam.transforms.records.schema import MAX_EXAMPLE_BYTES

if TYPE_CHECKING:
    import numpy as np

CHOICES: dict[str, tuple[str, ...]] = {
    "precision": PRECISIONS,
    "dtype": DTYPES,
    "encoding": ("bytes", "float_list"),
    "on_long": ("reject", "truncate", "chunk"),
    "audio_format": ("encoded", "pcm_s16le"),
}
# What `pad_to_max_length` may be on a command line.
PADDING = ("auto", "on", "off")

MIN_PCM_RATE, MAX_PCM_RATE = 1000, 768_000  # Hz: what decoding takes; below it is a number of something else
MAX_RECORD_BYTES = 256 << 20  # 256 MiB
_LONGEST_AUDIO = 366 * 24 * 3600.0  # seconds, a year


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """Options of one record's conversion, with the defaults of every job.

    Args:
        precision: of window, FFT and spectrum.
        dtype: of the stored features.
        encoding: "bytes" (raw little-endian), or "float_list" for old readers.
        on_long: what becomes of a clip longer than the front end takes: "reject", "truncate" or "chunk".
        pad_to_max_length: store every clip at the frames of `max_audio_length`: True ("on"), False ("off"), or
            "auto", where the model takes the full length.
        audio_format: "encoded" (WAV, FLAC, MP3, Ogg) or "pcm_s16le".
        pcm_sampling_rate: Hz of raw samples where the record names no rate, 1000 to 768000.
        max_audio_seconds: a clip that is longer when decoded is a reject.
        max_record_bytes: a larger record is a reject; at most 2 GiB - 1, the most that protobuf parses.

    Raises:
        ValueError: a value is out of its bounds, or two contradict each other; the message names the field, its
            bounds and the value.
    """

    precision: Any = "float64"
    dtype: str = "float32"
    encoding: str = "bytes"
    on_long: str = "reject"
    pad_to_max_length: bool | str = "auto"
    audio_format: str = "encoded"
    pcm_sampling_rate: int | None = None
    max_audio_seconds: float = 4 * 3600.0
    max_record_bytes: int = MAX_RECORD_BYTES

    def __post_init__(self) -> None:
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be one of {choices}, got {getattr(self, field)!r}")
        if self.encoding == "float_list" and self.dtype != "float32":
            raise ValueError(f"encoding 'float_list' stores float32 only, got dtype {self.dtype!r}")
        if self.pad_to_max_length in ("on", "off"):
            object.__setattr__(self, "pad_to_max_length", self.pad_to_max_length == "on")
        if not isinstance(self.pad_to_max_length, bool) and self.pad_to_max_length != "auto":
            raise ValueError(f"pad_to_max_length must be 'auto', 'on' or 'off', got {self.pad_to_max_length!r}")
        check_number("max_audio_seconds", self.max_audio_seconds, above=0, at_most=_LONGEST_AUDIO, unit="seconds")
        check_integer(
            "max_record_bytes", self.max_record_bytes, at_least=1, at_most=MAX_EXAMPLE_BYTES, unit="bytes"
        )
        if self.pcm_sampling_rate is not None:
            check_integer(
                "pcm_sampling_rate",
                self.pcm_sampling_rate,
                at_least=MIN_PCM_RATE,
                at_most=MAX_PCM_RATE,
                unit="Hz",
            )

    def pads(self, front_end: FrontEnd) -> bool:
        """Whether clips of this front end are stored at the frames of its `max_audio_length`.

        Raises:
            ValueError: they should be, and it has none.
        """
        if self.pad_to_max_length == "auto":
            return front_end.takes_full_length
        if self.pad_to_max_length and front_end.max_samples is None:
            raise ValueError(
                f"pad_to_max_length: front end {front_end.name!r} has no max_audio_length to pad to; leave it off"
            )
        return bool(self.pad_to_max_length)

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """Of the stored features, little-endian."""
        return numpy_dtype(self.dtype)


def check_integer(name: str, value: Any, *, at_least: int, at_most: int | None = None, unit: str = "") -> None:
    """Refuses what is no whole number within bounds.

    Raises:
        ValueError: with the name, the bounds and the value.
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < at_least or (at_most is not None and value > at_most):
        bounds = f"at least {at_least}" if at_most is None else f"in [{at_least}, {at_most}]"
        kind = "" if whole else "a whole number, "
        raise ValueError(f"{name} must be {kind}{bounds}{unit and ' ' + unit}, got {value!r}")


def check_number(
    name: str,
    value: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float = math.inf,
    unit: str = "",
) -> None:
    """Refuses what is no finite number within bounds.

    Raises:
        ValueError: with the name, the bounds and the value.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    enough = is_number and (at_least is None or value >= at_least) and (above is None or value > above)
    if not enough or value > at_most:
        bounds = _bounds(at_least, above, at_most) + (unit and f" {unit}")
        kind = "" if is_number else "a finite number, "
        raise ValueError(f"{name} must be {kind}{bounds}, got {value!r}")


def _bounds(at_least: float | None, above: float | None, at_most: float) -> str:
    if above is not None:
        return f"above {above:g}" + ("" if math.isinf(at_most) else f" and at most {at_most:g}")
    if at_least is not None:
        return f"at least {at_least:g}" if math.isinf(at_most) else f"in [{at_least:g}, {at_most:g}]"
    return f"at most {at_most:g}"
