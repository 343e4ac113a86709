"""What the features.json of a TFDS data set says of its audio: its name, rate, channels and encoding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from melbeam.pipelines import files
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources.renaming import DTYPES, ENCODINGS, Renaming
from melbeam.transforms.folder_layout import FEATURES

_AUDIO_CLASS = "audio_feature.Audio"


def tfds_renaming(folder: str, columns: Mapping[str, str]) -> Renaming | None:
    """How the records of a folder become ours; None where it holds no data set of TFDS's with audio.

    Args:
        folder: without a slash at its end.
        columns: that were asked for; `audio` among them chooses one of several.

    Raises:
        ValueError: of several audio features none is chosen, or the shape is none that is known.
    """
    path = f"{folder}/{FEATURES}"
    if not files.exists(path):
        return None
    try:
        features = files.read_json(path)["featuresDict"]["features"]
    except (ValueError, KeyError, TypeError):
        return None
    found = {name: value["audio"] for name, value in _flat(features) if "audio" in value}
    if not found:
        return None
    name = columns.get("audio") or ("audio" if "audio" in found else next(iter(found)))
    if "audio" not in columns and "audio" not in found and len(found) > 1:
        raise UsageError(
            Refusal.BAD_COLUMNS,
            f"{path} names several audio features, {', '.join(found)}: choose with --columns=audio=NAME",
        )
    if name not in found:
        raise UsageError(Refusal.BAD_COLUMNS, f"{path} has no audio feature {name!r}; it has {', '.join(found)}")
    return _renaming(path, name, found[name])


def _flat(features: Mapping[str, Any], before: str = "") -> list[tuple[str, Mapping[str, Any]]]:
    """Names, of nested features with slashes as in records, and what is said of each."""
    flat: list[tuple[str, Mapping[str, Any]]] = []
    for name, value in sorted(features.items()):
        inner = value.get("featuresDict", {}).get("features")
        if inner is not None:
            flat += _flat(inner, f"{before}{name}/")
        else:
            flat.append((before + name, value if _AUDIO_CLASS in value.get("pythonClassName", "") else {}))
    return flat


def _renaming(path: str, name: str, audio: Mapping[str, Any]) -> Renaming:
    dimensions = audio.get("shape", {}).get("dimensions", ["-1"])
    if len(dimensions) not in (1, 2):
        raise ValueError(
            f"{path}: the shape of {name!r} is {dimensions}; [samples] and [samples, channels] are known"
        )
    channels = int(dimensions[1]) if len(dimensions) == 2 else 1
    if channels < 1:
        raise ValueError(f"{path}: the shape of {name!r} is {dimensions}, without the number of channels")
    rate = audio.get("sampleRate")
    encoding = str(audio.get("encoding") or "none").lower()
    if encoding not in ("none", *ENCODINGS):
        raise ValueError(
            f"{path}: the encoding of {name!r} is {encoding!r}; none, {' and '.join(ENCODINGS)} are known"
        )
    if encoding == "none":
        encoding = ""
    dtype = str(audio.get("dtype", "int64"))
    is_file = bool(audio.get("lazyDecode"))  # then it is kept as it was, and says all of this itself
    if is_file:
        return Renaming({"audio": name}, encoding=encoding)
    if encoding and dtype not in DTYPES:
        raise ValueError(f"{path}: the samples of {name!r} are {dtype}; {', '.join(DTYPES)} are known")
    return Renaming(
        {"audio": name}, channels, None if rate is None else int(rate), encoding, dtype if encoding else ""
    )
