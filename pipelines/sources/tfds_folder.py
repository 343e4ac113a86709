"""Reads what the features.json of a TFDS data set says of its audio: name, rate, shape, type and encoding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from melbeam.pipelines import files
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources.renaming import DTYPES, ENCODINGS, OWN_FULL_SCALE, Renaming
from melbeam.transforms.folder_layout import FEATURES
from melbeam.transforms.plain_json import load_json
from melbeam.transforms.records.decoding.audio import MAX_CHANNELS

_AUDIO_CLASS = "audio_feature.Audio"
# A list of lists of unknown lengths is kept as two features, its values and their lengths.
RAGGED_VALUES = "/ragged_flat_values"
_NOT_SAMPLES = ("string", "object", "bool")


@dataclass(frozen=True)
class _Samples:
    """A feature that may be a clip's audio.

    Attributes:
        dimensions: as they are written; -1 where each clip has its own.
        dtype: of the samples, as NumPy spells it.
        encoding: one of `ENCODINGS`, or "".
        rate: Hz, where it is said.
        is_audio: whether it is of TFDS's class for audio, so that its name need not tell.
        is_file: whether it is kept as the file that it was.
    """

    dimensions: tuple[int, ...]
    dtype: str
    encoding: str = ""
    rate: int | None = None
    is_audio: bool = False
    is_file: bool = False


def tfds_renaming(folder: str, columns: Mapping[str, str]) -> Renaming | None:
    """How the records of a folder become ours; None where it holds no data set of TFDS's with audio.

    Args:
        folder: without a slash at its end.
        columns: that were asked for; `audio` among them chooses one of several.

    Raises:
        ValueError: of several audio features none is chosen, or the shape or the type is none that is known.
    """
    path = f"{folder}/{FEATURES}"
    if not files.exists(path):
        return None
    try:
        features = _as_now(files.read_json(path))["featuresDict"]["features"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    flat = dict(_flat(features))
    found = [name for name, samples in flat.items() if samples is not None and samples.is_audio]
    name = columns.get("audio") or ("audio" if "audio" in flat or not found else found[0])
    if "audio" not in columns and name != "audio" and len(found) > 1:
        raise UsageError(
            Refusal.BAD_COLUMNS,
            f"{path} names several audio features, {', '.join(found)}: choose with --columns=audio=NAME",
        )
    if name.endswith(RAGGED_VALUES):
        flat.setdefault(name, flat.get(name.removesuffix(RAGGED_VALUES)))
    if name not in flat:
        if not found:
            return None
        raise UsageError(Refusal.BAD_COLUMNS, f"{path} has no audio feature {name!r}; it has {', '.join(found)}")
    samples = flat[name]
    return None if samples is None else _renaming(path, name, samples)


def _as_now(feature: Mapping[str, Any]) -> Mapping[str, Any]:
    """A feature as TFDS writes it today, from that or from what its earlier versions wrote.

    There a feature was its class as `type` beside its `content`: its arguments, or later the message that
    features.json holds today, first as a text of JSON.

    Raises:
        KeyError, TypeError, AttributeError or ValueError: it is of no such form.
    """
    if "type" not in feature:
        return feature
    name, content = feature["type"], feature["content"]
    if isinstance(content, str):
        content = load_json(content)
    as_now: dict[str, Any] = {"pythonClassName": name}
    if name.endswith(".FeaturesDict"):
        as_now["featuresDict"] = {"features": {key: _as_now(inner) for key, inner in _inner(content).items()}}
    elif name.endswith(".Sequence"):
        length = content.get("length")
        as_now["sequence"] = {"feature": _as_now(content["feature"]), "length": -1 if length is None else length}
    elif _AUDIO_CLASS in name:
        as_now["audio"] = _message(content)
    elif name.endswith(".Tensor"):
        as_now["tensor"] = _message(content)
    return as_now


def _inner(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The features in a dictionary of them: its content, or a field of the message that this became."""
    features = content.get("features", content)
    return features if all(isinstance(inner, dict) for inner in features.values()) else content


def _message(content: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a feature's class as the message that they became; such a message as it is."""
    if not isinstance(content.get("shape"), list):
        return dict(content)
    dimensions = [-1 if dimension is None else dimension for dimension in content["shape"]]
    names = {"dtype": "dtype", "encoding": "encoding", "sample_rate": "sampleRate", "lazy_decode": "lazyDecode"}
    kept = {now: content[before] for before, now in names.items() if content.get(before) is not None}
    return {"shape": {"dimensions": dimensions}, **kept}


def _flat(features: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, _Samples | None]]:
    """Names, of nested features with slashes as in records, and their samples, where they may be some."""
    for name, value in sorted(features.items()):
        inner = value.get("featuresDict", {}).get("features")
        if inner is not None:
            yield from _flat(inner, f"{before}{name}/")
        else:
            samples = _samples(value)
            yield before + name, samples if samples is not None and samples.dimensions else None


def _samples(feature: Mapping[str, Any]) -> _Samples | None:
    """Reads what a feature says of its samples; gives None for one that holds none. A scalar has no dimensions."""
    if _AUDIO_CLASS in feature.get("pythonClassName", "") and "audio" in feature:
        audio = feature["audio"]
        rate = audio.get("sampleRate")
        return _Samples(
            _dimensions(audio) or (-1,),
            str(audio.get("dtype", "int64")),
            _encoding(audio),
            None if rate is None else int(rate),
            is_audio=True,
            is_file=bool(audio.get("lazyDecode")),  # then it says all of this itself
        )
    if "tensor" in feature:
        tensor = feature["tensor"]
        dtype = str(tensor.get("dtype", ""))
        return None if dtype in _NOT_SAMPLES else _Samples(_dimensions(tensor), dtype, _encoding(tensor))
    if "sequence" in feature:
        inner = _samples(feature["sequence"].get("feature", {}))
        if inner is None or inner.encoding or inner.is_audio:
            return None
        return _Samples((int(feature["sequence"].get("length", -1)), *inner.dimensions), inner.dtype)
    return None


def _dimensions(kept: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(dimension) for dimension in kept.get("shape", {}).get("dimensions", ()))


def _encoding(kept: Mapping[str, Any]) -> str:
    encoding = str(kept.get("encoding") or "none").lower()
    return "" if encoding == "none" else encoding


def _renaming(path: str, name: str, samples: _Samples) -> Renaming:
    num_channels, is_planar = _channels(path, name, samples.dimensions)
    if samples.encoding not in ("", *ENCODINGS):
        raise ValueError(
            f"{path}: the encoding of {name!r} is {samples.encoding!r}; none, {' and '.join(ENCODINGS)} are known"
        )
    if samples.is_file:
        return Renaming({"audio": name}, encoding=samples.encoding)
    if samples.encoding and samples.dtype not in DTYPES:
        raise ValueError(f"{path}: the samples of {name!r} are {samples.dtype}; {', '.join(DTYPES)} are known")
    dtype = samples.dtype if samples.encoding or samples.dtype in OWN_FULL_SCALE else ""
    return Renaming({"audio": name}, num_channels, samples.rate, samples.encoding, dtype, is_planar=is_planar)


def _channels(path: str, name: str, dimensions: Sequence[int]) -> tuple[int, bool]:
    """The number of channels of samples, and whether each stands by itself, `[channels, samples]`.

    Raises:
        ValueError: the shape does not say it.
    """
    if len(dimensions) == 1:
        return 1, False
    if len(dimensions) == 2 and dimensions.count(-1) < 2:
        first, second = dimensions
        # Of two known ones the smaller is the number of channels.
        is_planar = second == -1 or 0 < first < second
        num_channels = first if is_planar else second
        if 1 <= num_channels <= MAX_CHANNELS:
            return num_channels, is_planar
    shown = ", ".join("None" if dimension == -1 else str(dimension) for dimension in dimensions)
    raise ValueError(
        f"{path}: the shape of {name!r} is [{shown}]; known are [samples], [samples, channels] and "
        f"[channels, samples], of 1 to {MAX_CHANNELS} channels"
    )
