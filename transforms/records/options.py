"""How audio records are read and feature records are written: values, validated; no TensorFlow."""

from __future__ import annotations

import dataclasses
from typing import Any

import ml_dtypes
import numpy as np

from melbeam.transforms.front_end import FrontEnd

CHOICES: dict[str, tuple[str, ...]] = {
    "precision": ("float64", "float32"),
    "dtype": ("float32", "bfloat16", "float16"),
    "encoding": ("bytes", "float_list"),
    "on_long": ("reject", "truncate", "chunk"),
    "audio_format": ("encoded", "pcm_s16le"),
}


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
        pcm_sampling_rate: Hz of raw samples where the record names no rate.
        max_audio_seconds: a clip that is longer when decoded is a reject.
        max_record_bytes: a larger record is a reject.

    Raises:
        ValueError: a value is out of its bounds, or two contradict each other.
    """

    precision: Any = "float64"
    dtype: str = "float32"
    encoding: str = "bytes"
    on_long: str = "reject"
    pad_to_max_length: bool | str = "auto"
    audio_format: str = "encoded"
    pcm_sampling_rate: int | None = None
    max_audio_seconds: float = 4 * 3600.0
    max_record_bytes: int = 256 << 20  # 256 MiB

    def __post_init__(self) -> None:
        if self.pad_to_max_length in ("on", "off"):
            object.__setattr__(self, "pad_to_max_length", self.pad_to_max_length == "on")
        if not isinstance(self.pad_to_max_length, bool) and self.pad_to_max_length != "auto":
            raise ValueError(f"pad_to_max_length must be 'auto', 'on' or 'off', got {self.pad_to_max_length!r}")
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be one of {choices}, got {getattr(self, field)!r}")
        if self.encoding == "float_list" and self.dtype != "float32":
            raise ValueError(f"encoding 'float_list' stores float32 only, got dtype {self.dtype!r}")
        for field in ("max_audio_seconds", "max_record_bytes"):
            if not getattr(self, field) > 0:
                raise ValueError(f"{field} must be above 0, got {getattr(self, field)!r}")
        if self.pcm_sampling_rate is not None and self.pcm_sampling_rate < 1:
            raise ValueError(f"pcm_sampling_rate must be at least 1 Hz, got {self.pcm_sampling_rate!r}")

    def pads(self, front_end: FrontEnd) -> bool:
        """Whether clips of this front end are stored at the frames of its `max_audio_length`.

        Raises:
            ValueError: they should be, and it has none.
        """
        if self.pad_to_max_length == "auto":
            return front_end.takes_full_length
        if self.pad_to_max_length and front_end.max_samples is None:
            raise ValueError(f"pad_to_max_length: front end {front_end.name!r} has no max_audio_length")
        return bool(self.pad_to_max_length)

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """Of the stored features, little-endian."""
        return np.dtype(ml_dtypes.bfloat16) if self.dtype == "bfloat16" else np.dtype(self.dtype).newbyteorder("<")
