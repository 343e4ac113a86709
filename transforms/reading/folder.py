"""The metadata of a folder of features, for every reader; this module needs neither TensorFlow nor Beam."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from melbeam.transforms.folder_layout import DATASET_INFO, FEATURES, FRONT_END, SplitFolder
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.reading.not_features import why_no_features
from melbeam.transforms.reading.splits import ShardRange, SplitRange, parse_split, shards_of
from melbeam.transforms.reading.storage import is_local
from melbeam.transforms.records.index import decode_index
from melbeam.transforms.records.schema import TENSOR, why_newer
from melbeam.transforms.records.split_schema import SplitSchema, dtype_and_encoding

# Gives a file's bytes, or None where there is no such file.
ReadFile = Callable[[str], "bytes | None"]
_LOG = logging.getLogger("melbeam")
# Indexes that are asked of a store at a time, which takes some 50 ms for each.
_REQUESTS_AT_ONCE = 16
# What readers say of splits of record version 1.
LACKS_OF_VERSION_1 = (
    "it was written with record version 1: it has no levels and no schema of its splits, and an index only where "
    "`melbeam index` wrote one"
)


class NotAsWritten(ValueError):
    """The metadata of a folder are JSON, but not what melbeam writes."""


@dataclass(frozen=True)
class FeatureFolder:
    """A folder of features, opened for some of its records.

    Attributes:
        path: of the folder, without a slash at its end.
        front_end: of all its features.
        ranges: the records that were asked for, in order.
        shard_lengths: records of each shard, by split; of all finished splits.
        num_bytes: of the shards, by split.
        schema: the fields that a reader of these splits takes; the same for every split of the folder, unless
            they differ in a field's type.
        names: of the fields that some record of these splits has; where a split has no schema of its own, of those
            that some record of the folder has.
        dtype: of the stored features.
        encoding: of the stored features: "bytes", "zlib", or "none" for a float list.
    """

    path: str
    front_end: FrontEnd
    ranges: tuple[SplitRange, ...]
    shard_lengths: dict[str, tuple[int, ...]]
    num_bytes: dict[str, int]
    schema: SplitSchema
    names: frozenset[str]
    dtype: str
    encoding: str

    @classmethod
    def open(cls, path: str | Path, split: str, expected: FrontEnd | None, read_file: ReadFile) -> FeatureFolder:
        """Opens a folder.

        Args:
            path: of the folder.
            split: what will be read of it, "train+test[:90%]" for example.
            expected: the front end whose features are wanted; None takes any.
            read_file: how its files are read.

        Raises:
            NotAsWritten: its metadata are not what melbeam writes.
            ValueError: it is no folder of finished features, lacks a split or what a slice asks for, or holds
                features of another front end.
        """
        path = _checked_path(path)
        with _as_written(f"{path}/{FRONT_END}"):
            front_end = FrontEnd.from_dict(_read_json(path, FRONT_END, read_file)["front_end"])
        if expected is not None:
            _check_front_end(path, front_end, expected)
        lengths, num_bytes = _splits_of(path, read_file)
        try:
            ranges = tuple(parse_split(split, lengths))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        with _as_written(f"{path}/{FEATURES}"):
            features_json = _read_json(path, FEATURES, read_file)
            folder_schema = SplitSchema.from_tfds(features_json)
            dtype, encoding = dtype_and_encoding(features_json)
        splits = dict.fromkeys(part.split for part in ranges)
        for name in splits:
            _check_version(SplitFolder(path, name).job, read_file)
        own = [_own_schema(SplitFolder(path, name).schema, read_file) for name in splits]
        if None in own:
            _LOG.warning("%s: %s", path, LACKS_OF_VERSION_1)
        of_splits = [found for found in own if found is not None]
        schema = _schema_of_readers(folder_schema, of_splits)
        known = [schema] if None in own else of_splits
        return cls(
            path,
            front_end,
            ranges,
            lengths,
            num_bytes,
            schema,
            frozenset(name for one in known for name in (*one.fields, *one.mixed)),
            dtype,
            encoding,
        )

    def __len__(self) -> int:
        """The records that were asked for."""
        return sum(map(len, self.ranges))

    def shards(self) -> list[ShardRange]:
        """The shards that hold the records that were asked for, in order, with the records of each."""
        return list(shards_of(self.ranges, self.shard_lengths))

    def shard_path(self, shard: ShardRange) -> str:
        """The path of a shard."""
        return SplitFolder(self.path, shard.split).shard(shard.shard, len(self.shard_lengths[shard.split]))

    def index_path(self, shard: ShardRange) -> str:
        """The path of a shard's index."""
        return SplitFolder(self.path, shard.split).index(shard.shard)

    def read_index(self, shard: ShardRange, read_file: ReadFile) -> Any:
        """The index of the shard's records that were asked for: `INDEX_DTYPE` `[records]`.

        Raises:
            ValueError: there is none, or it is that of other records.
        """
        path = self.index_path(shard)
        content = read_file(path)
        if content is None:
            raise ValueError(f"{path} is missing: `melbeam index {self.path}` writes the index of every shard")
        try:
            rows = decode_index(content)
        except ValueError as error:
            raise ValueError(f"{path}: {error}: write it anew, melbeam index {self.path} --overwrite") from error
        length = self.shard_lengths[shard.split][shard.shard]
        if len(rows) != length:
            raise ValueError(
                f"{path} is an index of {len(rows)} records, and {self.shard_path(shard)} has {length}: write it "
                f"anew, melbeam index {self.path} --overwrite"
            )
        return rows[shard.start : shard.stop]

    def read_indexes(self, read_file: ReadFile) -> list[Any]:
        """Reads the index of each shard, in order; many are read at a time where they lie on a store.

        Raises:
            ValueError: one is missing, or it is that of other records.
        """
        if is_local(self.path):
            return [self.read_index(shard, read_file) for shard in self.shards()]
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            return list(pool.map(lambda shard: self.read_index(shard, read_file), self.shards()))

    def frames(self, read_file: ReadFile) -> Any:
        """Valid frames of the records that were asked for, in order, int64 `[records]`, from the indexes alone.

        Raises:
            ValueError: an index is missing, or it is that of other records.
        """
        rows = [index["num_frames"] for index in self.read_indexes(read_file)]
        return np.concatenate([np.zeros(0, np.int64), *rows]).astype(np.int64)

    def columns(self, wanted: Sequence[str] | None) -> SplitSchema:
        """The schema of the columns that are wanted, or of all.

        Raises:
            ValueError: there is no such column, or one has values of several types.
        """
        if wanted is not None:
            unknown = [name for name in wanted if name not in (*self.schema.fields, *self.schema.mixed)]
            if unknown:
                known = ", ".join([TENSOR, *sorted(self.schema.fields)])
                raise ValueError(f"{self.path} has no feature {', '.join(unknown)}; it has {known}")
        names = [*self.schema.fields, *self.schema.mixed] if wanted is None else wanted
        for name in names:
            counts = self.schema.mixed.get(name)
            if counts is None:
                continue
            kinds = ", ".join(
                f"{count} {kind}" + (f" (id {', '.join(counts.ids[kind])})" if counts.ids.get(kind) else "")
                for kind, count in counts.kinds.items()
            )
            others = [TENSOR, *sorted(self.schema.fields)]
            raise ValueError(
                f"{self.path}: feature {name!r} has not one type in all records: {kinds}. Mend the records and "
                f"extract again, or read without it: features={others}"
            )
        return SplitSchema({name: self.schema.fields[name] for name in names})


def split_names(path: str, read_file: ReadFile) -> list[str]:
    """The names of a folder's finished splits.

    Raises:
        NotAsWritten: its metadata are not what melbeam writes.
        ValueError: it is no folder of finished features.
    """
    return list(shard_lengths(path, read_file))


def shard_lengths(path: str, read_file: ReadFile) -> dict[str, tuple[int, ...]]:
    """The records of each shard of a folder's finished splits, by the split's name.

    Raises:
        NotAsWritten: its metadata are not what melbeam writes.
        ValueError: it is no folder of finished features.
    """
    return _splits_of(_checked_path(path), read_file)[0]


def checked_columns(wanted: Sequence[str] | None) -> list[str] | None:
    """The columns that somebody asks for, as a list; None for all.

    Raises:
        ValueError: they are no list of names, or none at all.
    """
    if wanted is None:
        return None
    names = [] if isinstance(wanted, str | bytes) else list(wanted)
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"features must be a list of names, got {wanted!r}; None reads all")
    return [str(name) for name in names]


def _check_version(job: str, read_file: ReadFile) -> None:
    """Refuses a split of a later melbeam's, whose records may mean something else.

    Raises:
        ValueError: its job.json says so; where that is gone or torn, nothing does.
    """
    try:
        version = json.loads(read_file(job) or b"{}")["identity"]["record_version"]
    except (ValueError, LookupError, TypeError):
        return
    if newer := why_newer(version):
        raise ValueError(f"{job}: {newer}")


def _own_schema(path: str, read_file: ReadFile) -> SplitSchema | None:
    """The schema that a split keeps in a file; None where there is no such file.

    Raises:
        NotAsWritten: the file holds something else.
    """
    content = read_file(path)
    try:
        return None if content is None else msgspec.json.decode(content, type=SplitSchema)
    except msgspec.DecodeError as error:
        raise NotAsWritten(f"{path} is not what melbeam writes ({error}): verify the folder") from error


def _checked_path(path: Any) -> str:
    """The path of one folder, without a slash at its end.

    Raises:
        ValueError: it is none, or several.
    """
    if isinstance(path, str | os.PathLike):
        return os.fspath(path).rstrip("/")
    several = ""
    if isinstance(path, list | tuple):
        several = (
            ": read each folder by itself, and join what comes of them: read_features(a).concatenate("
            "read_features(b)) or tf.data.Dataset.sample_from_datasets, torch.utils.data.ConcatDataset of sources"
        )
    raise ValueError(f"folder must be the path of one folder, got {path!r}{several}")


def _splits_of(path: str, read_file: ReadFile) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """The records of each shard, and the bytes of all, by split."""
    with _as_written(f"{path}/{DATASET_INFO}"):
        info = {entry["name"]: entry for entry in _read_json(path, DATASET_INFO, read_file)["splits"]}
        lengths = {name: tuple(map(int, entry["shardLengths"])) for name, entry in info.items()}
        return lengths, {name: int(entry.get("numBytes", 0)) for name, entry in info.items()}


@contextmanager
def _as_written(path: str) -> Iterator[None]:
    """Makes the errors of its block, which reads JSON of another form than melbeam writes, say so.

    Raises:
        NotAsWritten: it stumbled.
    """
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise NotAsWritten(f"{path} is not what melbeam writes ({error!r}): verify the folder") from error


def _read_json(path: str, name: str, read_file: ReadFile) -> Any:
    content = read_file(f"{path}/{name}")
    if content is None:
        raise ValueError(f"{path}/{name} is missing: {why_no_features(path)}")
    try:
        return json.loads(content)
    except ValueError as error:
        raise NotAsWritten(f"{path}/{name} is no JSON ({error}): verify the folder") from error


def _check_front_end(path: str, written: FrontEnd, expected: FrontEnd) -> None:
    if written.fingerprint == expected.fingerprint:
        _check_what_the_model_takes(path, written, expected)
        return
    differences = [
        f"{name} {value!r} instead of {expected.to_dict()[name]!r}"
        for name, value in written.to_dict().items()
        if value != expected.to_dict()[name]
    ]
    raise ValueError(
        f"{path} holds features of front end {written.name!r} ({written.short_fingerprint}), not of "
        f"{expected.name!r} ({expected.short_fingerprint}): {'; '.join(differences)}"
    )


def _check_what_the_model_takes(path: str, written: FrontEnd, expected: FrontEnd) -> None:
    """Refuses clips of another length than the model hears, where it takes the full one."""
    if not expected.takes_full_length:
        return
    stored = written.padded_frames if written.takes_full_length else None
    if stored != expected.padded_frames:
        has = "clips at their own length, for a model that takes a mask" if stored is None else f"{stored} frames"
        raise ValueError(
            f"{path} holds {has}, and the model of front end {expected.name!r} takes every clip at "
            f"{expected.padded_frames} frames: extract them with that front end (model_takes and max_audio_length "
            "are in no fingerprint)"
        )


def _schema_of_readers(folder_schema: SplitSchema, own: Sequence[SplitSchema]) -> SplitSchema:
    """The fields that a reader of some splits takes: each as all splits have it, where they agree on its type."""
    if not own:
        return folder_schema
    schema = SplitSchema.union(own)
    for name, stored in folder_schema.fields.items():
        if name not in schema.mixed:
            schema.fields[name] = replace(stored, optional=stored.optional or name not in schema.fields)
    return schema
