"""How audio records are read and feature records are written: values, validated; no NumPy and no TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from melbeam.transforms.bounds import check_integer, check_number
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.precision import DTYPES, PRECISIONS, Precision, numpy_dtype
from melbeam.transforms.records.audio_bounds import EACH, MAX_CHANNELS, MAX_RATE, MEAN, MIN_RATE
from melbeam.transforms.records.schema import MAX_EXAMPLE_BYTES, TEXT

if TYPE_CHECKING:
    import numpy as np

CHOICES: dict[str, tuple[str, ...]] = {
    "precision": PRECISIONS,
    "dtype": DTYPES,
    "encoding": ("bytes", "float_list"),
    "on_long": ("reject", "truncate", "chunk"),
    "audio_format": ("encoded", "pcm_s16le"),
    "channels": ("mix", "split"),
}
# Features that may be required of a record, and what takes a record without them, as None does.
REQUIRED, NOTHING = (TEXT,), "none"
# What `pad_to_max_length` may be on a command line.
PADDING = ("auto", "on", "off")

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
        audio_format: "encoded" (files: WAV, FLAC, MP3, Ogg and what docs/audio.md lists) or "pcm_s16le".
        pcm_sampling_rate: Hz of raw samples where the record names no rate, 1000 to 768000.
        max_audio_seconds: a clip that is longer when decoded is a reject.
        max_record_bytes: a larger record is a reject; at most 2 GiB - 1, the most that protobuf parses.
        cut_tolerance_seconds: a file that lacks no more than this of what its header promises is taken, and
            counted as a change, "cut_short"; 0 takes none.
        check_md5: whether the MD5 of its samples that a FLAC may carry is checked.
        require: "text" turns records without a transcript away, `no_text`; None, or "none", takes them.
        min_seconds: a clip that is shorter when decoded is a reject, `too_short`.
        channel: what becomes of a clip of several channels: "mean" of them all, or the number of one, from 0; a
            clip that does not have it is a reject, `no_channel`.
        channels: "mix" for one record a clip, of what `channel` says; "split" for one a channel, `id@0`, `id@1`.
        chunk_seconds: clips that are longer are chunked; None chunks, with `on_long`, by what the front end takes.
        chunk_overlap_seconds: of a chunk with the one before it.

    Raises:
        ValueError: a value is out of its bounds, or two contradict each other; the message names the field, its
            bounds and the value.
    """

    precision: Precision = "float64"
    dtype: str = "float32"
    encoding: str = "bytes"
    on_long: str = "reject"
    pad_to_max_length: bool | str = "auto"
    audio_format: str = "encoded"
    pcm_sampling_rate: int | None = None
    max_audio_seconds: float = 4 * 3600.0
    max_record_bytes: int = MAX_RECORD_BYTES
    cut_tolerance_seconds: float = 0.0
    check_md5: bool = False
    require: str | None = None
    min_seconds: float = 0.0
    channel: int | str = MEAN
    channels: str = "mix"
    chunk_seconds: float | None = None
    chunk_overlap_seconds: float = 0.0

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Every option's name and its default."""
        return {field.name: field.default for field in dataclasses.fields(cls)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> RecordOptions:
        """The options among these values, and the defaults of those that are not. Other names are ignored.

        Raises:
            ValueError: as of the class.
        """
        return cls(**{name: values[name] for name in cls.defaults() if name in values})

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
                at_least=MIN_RATE,
                at_most=MAX_RATE,
                unit="Hz",
            )
        check_number("cut_tolerance_seconds", self.cut_tolerance_seconds, at_least=0, unit="seconds")
        if self.require == NOTHING:
            object.__setattr__(self, "require", None)
        if self.require not in (None, *REQUIRED):
            raise ValueError(f"require must be one of {REQUIRED}, got {self.require!r}")
        check_number("min_seconds", self.min_seconds, at_least=0, unit="seconds")
        self._check_channel()
        self._check_chunks()

    def _check_channel(self) -> None:
        channel = self.channel
        if isinstance(channel, str) and channel.isascii() and channel.isdigit():
            object.__setattr__(self, "channel", int(channel))
        elif channel != MEAN and (isinstance(channel, bool) or not isinstance(channel, int)):
            raise ValueError(f"channel must be {MEAN!r} or the number of a channel, from 0, got {channel!r}")
        if self.channel != MEAN:
            check_integer("channel", self.channel, at_least=0, at_most=MAX_CHANNELS - 1)
            if self.channels == "split":
                raise ValueError(
                    f"channels='split' makes a record of each channel, and channel={self.channel} takes one: "
                    "leave one of the two out"
                )

    def _check_chunks(self) -> None:
        if self.chunk_seconds is not None:
            check_number("chunk_seconds", self.chunk_seconds, above=0, at_most=_LONGEST_AUDIO, unit="seconds")
            if self.on_long == "truncate":
                raise ValueError("chunk_seconds chunks clips, and on_long='truncate' cuts them: leave one out")
            object.__setattr__(self, "on_long", "chunk")
        check_number("chunk_overlap_seconds", self.chunk_overlap_seconds, at_least=0, unit="seconds")
        if self.chunk_overlap_seconds and self.on_long != "chunk":
            raise ValueError(
                f"chunk_overlap_seconds={self.chunk_overlap_seconds:g}, but nothing is chunked: add chunk_seconds "
                "or on_long='chunk'"
            )
        if self.chunk_seconds is not None and self.chunk_overlap_seconds >= self.chunk_seconds:
            raise ValueError(
                f"chunk_overlap_seconds must be below chunk_seconds, {self.chunk_seconds:g}, got "
                f"{self.chunk_overlap_seconds:g}"
            )

    @property
    def decoded_channel(self) -> int | str:
        """What is asked of a decoder: "mean", a channel's number, or "each"."""
        return EACH if self.channels == "split" else self.channel

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
        """The dtype of the stored features, little-endian."""
        return numpy_dtype(self.dtype)
