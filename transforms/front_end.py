"""The front end: the frozen set of numbers that decides the features, and its fingerprint.

A front end is data. It is read from YAML, never from code, and it travels beside every feature that was
computed with it as a fingerprint: two front ends with the same fingerprint give the same frames.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import operator
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from melbeam.transforms.front_end_checks import check_together
from melbeam.transforms.front_end_values import finite, flag, per_bin, positive_integer
from melbeam.transforms.plain_yaml import load_yaml

# Raised whenever the mathematics behind the same numbers changes.
ALGORITHM_VERSION = 1

# The front end of every job and function that is not told another: the published Gemma 4 checkpoints'.
DEFAULT_FRONT_END = "gemma4"

_CHOICES: dict[str, tuple[str | None, ...]] = {
    "window": ("hann",),
    "padding": ("semicausal", "semicausal_hops", "center", "right"),
    "spectrum": ("magnitude", "power"),
    "mel_scale": ("htk", "slaney"),
    "mel_norm": (None, "slaney"),
    "compression": ("log_add", "log_max", "log10_clamp"),
    "model_takes": ("mask", "full_length"),
}
# The paddings whose frames are counted by hops.
COUNT_HOPS = ("center", "semicausal_hops")
_BOOLEANS = ("count_partial_hop", "preemphasis_htk_flavor")
_INTEGERS = ("sampling_rate", "frame_length", "hop_length", "fft_length", "num_mels", "pad_to_multiple_of")
_OPTIONAL_INTEGERS = ("frames_per_token", "max_audio_tokens")
_FLOATS = ("min_frequency", "max_frequency", "mel_floor", "preemphasis", "input_scale_factor")
_PER_BIN = ("per_bin_mean", "per_bin_stddev")
# What these hold does not change the value of any frame.
_NOT_IN_FINGERPRINT = ("name", "max_audio_length", "frames_per_token", "max_audio_tokens", "model_takes")
_CHANGED = "-changed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontEnd:
    """A log-mel front end.

    Args:
        name: how people call it; decides nothing.
        sampling_rate: Hz of the waveform.
        frame_length: samples under the window.
        hop_length: samples from one frame to the next (the stride).
        fft_length: points of the FFT; a frame is zero-padded to it on the right.
        window: "hann", periodic.
        padding: "semicausal" puts frame_length // 2 zeros before the first sample; "semicausal_hops" does too, and
            has a frame for each whole hop of the clip, the last of which may reach beyond it into silence;
            "center" reflects fft_length // 2 samples at each end of the clip, zero-padded to
            `max_audio_length` first; "right" puts zeros behind the last sample, up to a multiple of
            `pad_to_multiple_of`.
        spectrum: "magnitude" or "power" (its square).
        num_mels: mel bins.
        min_frequency: Hz, the lower edge of the first triangle.
        max_frequency: Hz, the upper edge of the last one; at most half the sampling rate, but with "log10_clamp",
            whose filters above it are empty.
        mel_scale: "htk", 2595 log10(1 + f / 700); or "slaney", linear below 1 kHz, logarithmic above.
        mel_norm: None, or "slaney" for triangles of unit area in Hz.
        compression: "log_add", ln(mel + mel_floor); "log_max", ln(max(mel, mel_floor)); or "log10_clamp",
            Whisper's: x = log10(max(mel, mel_floor)), raised to the clip's largest x less 8, then (x + 4) / 4.
        mel_floor: of the compression.
        count_partial_hop: with "center", whether samples behind the last whole hop count as a frame.
        pad_to_multiple_of: samples; with "right".
        preemphasis: p of x[n] - p x[n-1], taken inside each frame; 0 for none.
        preemphasis_htk_flavor: True scales a frame's first sample by 1 - p, as HTK does; False lets the frame
            begin one sample later, and take the one before it.
        input_scale_factor: multiplies the samples.
        per_bin_mean: subtracted from each of the log-mel bins, or None.
        per_bin_stddev: divides each of them afterwards, or None.
        max_audio_length: seconds that the model takes at most, or None for any length.
        frames_per_token: frames that the model's encoder joins into one token, or None.
        max_audio_tokens: tokens of one clip at most; those of every clip where `frames_per_token` is None.
        model_takes: "mask", where the model is told which frames are valid, so that what lies behind them does not
            count; or "full_length", where it always hears `max_audio_length` seconds, and silence has a value of
            its own. None stands for "full_length" with compression "log10_clamp", whose models are Whisper's, and
            else for "mask".

    Raises:
        ValueError: a field is out of its bounds; the message names field, value and bound.
        TypeError: an argument that is no field.
    """

    name: str
    sampling_rate: int
    frame_length: int
    hop_length: int
    fft_length: int
    num_mels: int
    min_frequency: float
    max_frequency: float
    mel_floor: float
    padding: str
    spectrum: str
    compression: str
    window: str = "hann"
    mel_scale: str = "htk"
    mel_norm: str | None = None
    count_partial_hop: bool = False
    pad_to_multiple_of: int = 1
    preemphasis: float = 0.0
    preemphasis_htk_flavor: bool = True
    input_scale_factor: float = 1.0
    per_bin_mean: tuple[float, ...] | None = None
    per_bin_stddev: tuple[float, ...] | None = None
    max_audio_length: float | None = None
    frames_per_token: int | None = None
    max_audio_tokens: int | None = None
    model_takes: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name must be a non-empty string, got {self.name!r}")
        for field in _INTEGERS:
            self._set(field, positive_integer(field, getattr(self, field)))
        for field in _OPTIONAL_INTEGERS:
            if getattr(self, field) is not None:
                self._set(field, positive_integer(field, getattr(self, field)))
        for field in _FLOATS:
            self._set(field, finite(field, getattr(self, field)))
        for field in _BOOLEANS:
            self._set(field, flag(field, getattr(self, field)))
        if self.model_takes is None:
            self._set("model_takes", usually_taken(self.compression))
        for field, choices in _CHOICES.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be one of {choices}, got {getattr(self, field)!r}")
        for field in _PER_BIN:
            if getattr(self, field) is not None:
                self._set(field, per_bin(field, getattr(self, field), self.num_mels))
        check_together(self)
        if self.max_audio_length is not None:
            self._set("max_audio_length", finite("max_audio_length", self.max_audio_length))
            shortest = (self.fft_length + 1 + self.hop_length) / self.sampling_rate
            if self.max_audio_length < shortest:
                raise ValueError(
                    f"max_audio_length must be at least {shortest:.6g} seconds (one frame), "
                    f"got {self.max_audio_length}"
                )

    def _set(self, field: str, value: Any) -> None:
        object.__setattr__(self, field, value)

    @property
    def max_samples(self) -> int | None:
        """Samples of the longest clip, or None where any length is taken."""
        if self.max_audio_length is None:
            return None
        # 0.7 s at 22,050 Hz are 15,435 samples, of which floating point makes 15,434.999999999998.
        return int(round(self.sampling_rate * self.max_audio_length, 6))

    @property
    def takes_full_length(self) -> bool:
        """Whether the model hears every clip at the frames of `max_audio_length`, and takes no mask."""
        return self.model_takes == "full_length"

    @property
    def left_padding(self) -> int:
        """Samples in front of the first one of the clip that the first frame covers."""
        return 0 if self.padding == "right" else self.frame_length // 2

    @property
    def frame_span(self) -> int:
        """Samples that one frame is made of: with the other flavor of pre-emphasis, one more than its length."""
        return self.frame_length + (self.preemphasis > 0 and not self.preemphasis_htk_flavor)

    @property
    def padded_frames(self) -> int:
        """Frames of a clip padded to `max_audio_length`.

        Raises:
            ValueError: the front end has no `max_audio_length`.
        """
        if self.max_samples is None:
            raise ValueError(f"front end {self.name!r} has no max_audio_length, so no padded length")
        valid = self.num_frames(self.max_samples)
        return valid if self.padding == "right" else max(valid, self.max_samples // self.hop_length)

    def num_frames(self, num_samples: int) -> int:
        """Valid frames of a clip of `num_samples` samples.

        semicausal: the frames that end before the clip does, transformers' mask,
        max(0, ceil((n + left_padding - frame_length) / hop_length)); semicausal_hops: n // hop_length, as
        keras-hub's preprocessor for Gemma 4 counts; center: n // hop_length, or ceil(n / hop_length) with
        `count_partial_hop`, but no more than the longest clip has whole hops; right: those of frame_length + 1
        samples that fit into the padded clip and begin in the clip itself, as in transformers.
        A clip longer than `max_audio_length` has the frames of one that long.

        Raises:
            ValueError: `num_samples` is negative.
            TypeError: `num_samples` is no integer.
        """
        num_samples = operator.index(num_samples)
        if num_samples < 0:
            raise ValueError(f"num_samples must be at least 0, got {num_samples}")
        if self.max_samples is not None:
            num_samples = min(num_samples, self.max_samples)
        begun = -(-num_samples // self.hop_length)
        if self.padding in COUNT_HOPS:
            if not self.count_partial_hop:
                return num_samples // self.hop_length
            return begun if self.max_samples is None else min(begun, self.max_samples // self.hop_length)
        if self.padding == "right":
            padded = -(-num_samples // self.pad_to_multiple_of) * self.pad_to_multiple_of
            return min(begun, max(0, (padded - self.frame_length - 1) // self.hop_length + 1))
        return max(0, -((self.frame_length - self.left_padding - num_samples) // self.hop_length))

    def num_audio_tokens(self, num_samples: int) -> int | None:
        """Tokens that the model's encoder makes of the clip, or None where the front end names none."""
        if self.frames_per_token is None:
            return self.max_audio_tokens
        tokens = -(-self.num_frames(num_samples) // self.frames_per_token)
        return tokens if self.max_audio_tokens is None else min(tokens, self.max_audio_tokens)

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of what decides the value of a frame, in a canonical form.

        Floats are written in hexadecimal and fields in alphabetical order, so that neither the spelling
        of a number nor the order of a file shows. A field at its default is left out, so that a field
        added later changes no fingerprint of before; for the same reason no default ever changes.
        """
        canonical: dict[str, Any] = {"algorithm_version": ALGORITHM_VERSION}
        for field in dataclasses.fields(self):
            name, value = field.name, getattr(self, field.name)
            if name in _NOT_IN_FINGERPRINT or value == field.default:
                continue
            if isinstance(value, float):
                value = value.hex()
            elif isinstance(value, tuple):
                value = [x.hex() for x in value]
            canonical[name] = value
        text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def short_fingerprint(self) -> str:
        """The first 16 hex digits of the fingerprint: what each feature record, and every message, says of it."""
        return shortened(self.fingerprint)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON and YAML hold them."""
        fields = dataclasses.asdict(self)
        for field in _PER_BIN:
            if fields[field] is not None:
                fields[field] = list(fields[field])
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> FrontEnd:
        """Inverse of `to_dict`; an unknown or a missing field is a ValueError that names it."""
        known = {f.name: f for f in dataclasses.fields(cls)}
        unknown = sorted(map(str, set(fields) - set(known)))
        if unknown:
            raise ValueError(f"unknown front end field {', '.join(unknown)}; the fields are {', '.join(known)}")
        missing = sorted(k for k, f in known.items() if f.default is dataclasses.MISSING and k not in fields)
        if missing:
            raise ValueError(f"front end field {', '.join(missing)} is missing")
        return cls(**fields)

    def _repr_html_(self) -> str:
        """The front end as a notebook shows it: its fields, in the order in which they are given."""
        from melbeam.transforms.markup import joined, of_data  # which only a notebook needs
        from melbeam.transforms.notebook import table

        title = joined(["Front end ", of_data(self.name), f", fingerprint {self.short_fingerprint}"])
        return table(title, {name: value for name, value in self.to_dict().items() if name != "name"})

    def to_yaml(self) -> str:
        """The front end as a YAML document."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    @classmethod
    def from_yaml(cls, text: str) -> FrontEnd:
        """Inverse of `to_yaml`; JSON is YAML too."""
        fields = load_yaml(text)
        if not isinstance(fields, dict):
            raise ValueError(f"a front end is a mapping of fields, got {type(fields).__name__}")
        return cls.from_dict(fields)

    @classmethod
    def load(cls, name_or_path: str | Path) -> FrontEnd:
        """A shipped front end by its name (`FrontEnd.shipped()`), or one from a YAML or JSON file.

        Raises:
            ValueError: neither a shipped name nor a readable file, or the file's content is wrong.
        """
        if str(name_or_path) in cls.shipped():
            file = resources.files("melbeam.configs") / "front_ends" / f"{name_or_path}.yaml"
            return cls.from_yaml(file.read_text(encoding="utf-8"))
        path = Path(name_or_path)
        if not path.is_file():
            raise ValueError(
                f"no front end {str(name_or_path)!r}: it is neither a file nor a shipped name "
                f"({', '.join(cls.shipped())})"
            )
        try:
            return cls.from_yaml(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise ValueError(f"front end file {path}: {error}") from error

    @staticmethod
    def shipped() -> tuple[str, ...]:
        """Names of the front ends that come with the package."""
        folder = resources.files("melbeam.configs") / "front_ends"
        return tuple(sorted(f.name[: -len(".yaml")] for f in folder.iterdir() if f.name.endswith(".yaml")))

    def normalized_by(self, folder: str | Path, split: str = "train") -> FrontEnd:
        """A copy that subtracts the mean of each bin, and divides by its standard deviation, as a split has them.

        The two are of the features as this front end computes them. A bin that never changes is divided by 1, and
        a warning names it. The fingerprint is another one, and readers refuse a mixture.

        Args:
            folder: of features that were extracted with this front end, or the statistics.json in it.
            split: whose statistics are taken.

        Raises:
            ValueError: there are no such statistics, they are those of another front end, or this one normalises
                already.
            OSError: a store refused, or its client is not installed.
        """
        from melbeam.transforms.normalization import normalized  # which imports this module

        return normalized(self, str(folder), split)

    def replace(self, **changes: Any) -> FrontEnd:
        """A copy with some fields changed, validated again.

        A copy that differs is called NAME-changed, unless `name` is given: its features are not those that the
        name stands for. What its model takes goes with another compression, where it is what that stands for.
        """
        if self.model_takes == usually_taken(self.compression):
            changes = {"model_takes": None, **changes}
        changed = FrontEnd.from_dict({**self.to_dict(), **changes})
        if "name" in changes or changed == self or self.name.endswith(_CHANGED):
            return changed
        return FrontEnd.from_dict({**changed.to_dict(), "name": self.name + _CHANGED})


def shortened(fingerprint: str) -> str:
    """The first 16 hex digits of a fingerprint, which tell front ends apart in records and messages."""
    return fingerprint[:16]


def usually_taken(compression: str) -> str:
    """What models take whose features are compressed so: those of "log10_clamp" are Whisper's."""
    return "full_length" if compression == "log10_clamp" else "mask"
