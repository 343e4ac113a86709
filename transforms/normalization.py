"""The statistics of a split as a front end's normalisation: per-bin mean and standard deviation."""

from __future__ import annotations

import warnings
from typing import Any

from melbeam.transforms.folder_layout import FRONT_END, STATISTICS, file_name, folder_of
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.plain_json import load_json
from melbeam.transforms.reading.storage import read_file


def normalized(front_end: FrontEnd, source: str, split: str) -> FrontEnd:
    """`FrontEnd.normalized_by`, of a folder of features or the statistics.json in it."""
    if front_end.per_bin_mean is not None or front_end.per_bin_stddev is not None:
        raise ValueError(
            f"front end {front_end.name!r} has per_bin_mean or per_bin_stddev already, and statistics of its "
            "features are no longer those of the log-mel values: normalise the front end without them"
        )
    is_file = file_name(source).endswith(".json")
    path = source if is_file else f"{source.rstrip('/')}/{STATISTICS}"
    found = _statistics_of(path, split)
    _check_front_end(front_end, path)
    mean, deviations = found["per_bin_mean"], [float(deviation) for deviation in found["per_bin_stddev"]]
    constant = [str(number) for number, deviation in enumerate(deviations) if deviation == 0]
    if constant:
        warnings.warn(
            f"{path}, split {split!r}: mel bin {', '.join(constant)} never changes, and is divided by 1",
            stacklevel=3,
        )
    return front_end.replace(per_bin_mean=mean, per_bin_stddev=[deviation or 1.0 for deviation in deviations])


def _statistics_of(path: str, split: str) -> dict[str, Any]:
    """What the file says of a split.

    Raises:
        ValueError: there is no such file or split, or it has no frames.
    """
    content = read_file(path)
    if content is None:
        raise ValueError(f"{path} is not there: name a folder of features, or the {STATISTICS} in it")
    try:
        splits = dict(load_json(content)["splits"])
        found = splits.get(split)
        has_frames = found is None or found["num_frames"] > 0
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no {STATISTICS} as melbeam extract writes it: {error!r}") from error
    if found is None:
        raise ValueError(f"{path} has no split {split!r}; it has {', '.join(splits) or 'none'}")
    if not has_frames:
        raise ValueError(f"{path}: split {split!r} has no frames, and so no mean")
    return found


def _check_front_end(front_end: FrontEnd, path: str) -> None:
    """Refuses statistics of features of another front end, where the file beside them says whose they are."""
    content = read_file(f"{folder_of(path)}/{FRONT_END}")
    if content is None:
        return
    other = FrontEnd.from_dict(load_json(content)["front_end"])
    if other.fingerprint != front_end.fingerprint:
        raise ValueError(
            f"{path} holds statistics of front end {other.name!r} ({other.short_fingerprint}), not of "
            f"{front_end.name!r} ({front_end.short_fingerprint})"
        )
