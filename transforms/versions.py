"""The versions of melbeam and of the libraries that decide the bytes of features."""

from __future__ import annotations

import functools
from importlib import metadata

_DISTRIBUTIONS = {
    "melbeam": ("melbeam",),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos"),
    "numpy": ("numpy",),
    "soundfile": ("soundfile",),
    "soxr": ("soxr",),
    "av": ("av",),
}


def melbeam_version() -> str:
    """The version of melbeam, as the installed package's metadata have it."""
    return metadata.version("melbeam")


@functools.cache
def _versions() -> dict[str, str]:
    import soundfile

    found = {"libsndfile": soundfile.__libsndfile_version__}
    for name, distributions in _DISTRIBUTIONS.items():
        for distribution in distributions:
            try:
                found[name] = metadata.version(distribution)
                break
            except metadata.PackageNotFoundError:
                continue
    return dict(sorted(found.items()))


def versions() -> dict[str, str]:
    """The version of each that is installed, by its name; nothing is imported that is not needed anyway."""
    return dict(_versions())
