"""The kinds of sources, by the names that `--input_format` takes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from melbeam.pipelines.sources.units import Source

TFRECORD, AUDIO, MANIFEST, KALDI = "tfrecord", "audio", "manifest", "kaldi"
LHOTSE, PARQUET, WEBDATASET = "lhotse", "parquet", "webdataset"
# The modules of this package that read them.
_MODULES = {
    TFRECORD: "tfrecord",
    AUDIO: "audio_files",
    MANIFEST: "manifests",
    KALDI: "kaldi",
    LHOTSE: "lhotse",
    PARQUET: "parquet",
    WEBDATASET: "webdataset",
}
KINDS = tuple(_MODULES)
# Those that come in files of many records, which become shards as they are, or by `shard_bytes`.
CUT_AT_FILES = (TFRECORD, PARQUET, WEBDATASET)
# Those whose units are one file each, or a part of one, whose size is the unit's.
OF_ONE_FILE = (*CUT_AT_FILES, MANIFEST, LHOTSE)


def source_of(kind: str) -> Source:
    """The module that reads a kind; one that needs a library of its own is imported only now."""
    return cast("Source", import_module(f"melbeam.pipelines.sources.{_MODULES[kind]}"))
