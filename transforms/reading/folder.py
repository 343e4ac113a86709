"""What a folder of features says of itself, to whoever reads it: no TensorFlow, no Beam."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from melbeam.transforms.folder_layout import DATASET_INFO, FEATURES, FRONT_END, SplitFolder
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.split_schema import SplitSchema

# Gives a file's bytes, or None where there is no such file.
ReadFile = Callable[[str], "bytes | None"]
_LOG = logging.getLogger("melbeam")
# What there is not in splits that were written with record version 1, which has no schema of each split.
LACKS_OF_VERSION_1 = "it was written with record version 1: it has no levels, no index and no schema of its splits"


@dataclass(frozen=True)
class FeatureFolder:
    """A folder of features, opened for some of its splits.

    Attributes:
        path: of the folder, without a slash at its end.
        front_end: of all its features.
        shard_lengths: records of each shard, by split; of the splits that were asked for.
        schema: the fields that a reader of these splits takes; the same for every split of the folder, unless
            they differ in a field's type.
        dtype: of the stored features.
        encoding: of the stored features: "bytes", "zlib", or "none" for a float list.
    """

    path: str
    front_end: FrontEnd
    shard_lengths: dict[str, tuple[int, ...]]
    schema: SplitSchema
    dtype: str
    encoding: str

    @classmethod
    def open(
        cls, path: str, splits: Sequence[str], expected: FrontEnd | None, read_file: ReadFile
    ) -> FeatureFolder:
        """Opens a folder.

        Args:
            path: of the folder.
            splits: that will be read.
            expected: the front end whose features are wanted; None takes any.
            read_file: how its files are read.

        Raises:
            ValueError: it is no folder of finished features, lacks a split, or holds those of another front end.
        """
        path = path.rstrip("/")

        def read_json(name: str) -> Any:
            content = read_file(f"{path}/{name}")
            if content is None:
                raise ValueError(
                    f"{path}/{name} is missing: {path} is not what a finished `melbeam extract` leaves"
                )
            return json.loads(content)

        front_end = FrontEnd.from_dict(read_json(FRONT_END)["front_end"])
        if expected is not None:
            _check_front_end(path, front_end, expected)
        lengths = {
            entry["name"]: tuple(int(length) for length in entry["shardLengths"])
            for entry in read_json(DATASET_INFO)["splits"]
        }
        for split in splits:
            if split not in lengths:
                raise ValueError(f"{path} has no finished split {split!r}; it has {', '.join(lengths) or 'none'}")
        features_json = read_json(FEATURES)
        tensor = features_json["featuresDict"]["features"]["input_features"]["tensor"]
        own = [read_file(SplitFolder(path, split).schema) for split in splits]
        if None in own:
            _LOG.warning("%s: %s", path, LACKS_OF_VERSION_1)
        schema = _schema_of_readers(SplitSchema.from_tfds(features_json), [s for s in own if s is not None])
        return cls(
            path,
            front_end,
            {split: lengths[split] for split in splits},
            schema,
            tensor["dtype"],
            tensor["encoding"],
        )

    def shards(self, split: str) -> list[str]:
        """The paths of a split's shards, in order."""
        folder, count = SplitFolder(self.path, split), len(self.shard_lengths[split])
        return [folder.shard(index, count) for index in range(count)]

    def columns(self, wanted: Sequence[str] | None) -> SplitSchema:
        """The schema of the columns that are wanted, or of all.

        Raises:
            ValueError: there is no such column, or one has values of several types.
        """
        if wanted is not None:
            unknown = [name for name in wanted if name not in (*self.schema.fields, *self.schema.mixed)]
            if unknown:
                known = ", ".join(["input_features", *sorted(self.schema.fields)])
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
            others = ["input_features", *sorted(self.schema.fields)]
            raise ValueError(
                f"{self.path}: feature {name!r} has not one type in all records: {kinds}. Mend the records and "
                f"extract again, or read without it: features={others}"
            )
        return SplitSchema({name: self.schema.fields[name] for name in names})


def _check_front_end(path: str, written: FrontEnd, expected: FrontEnd) -> None:
    if written.fingerprint == expected.fingerprint:
        return
    differences = [
        f"{name} {value!r} instead of {expected.to_dict()[name]!r}"
        for name, value in written.to_dict().items()
        if value != expected.to_dict()[name]
    ]
    raise ValueError(
        f"{path} holds features of front end {written.name!r} ({written.fingerprint[:16]}), not of "
        f"{expected.name!r} ({expected.fingerprint[:16]}): {'; '.join(differences)}"
    )


def _schema_of_readers(folder_schema: SplitSchema, own: Sequence[bytes]) -> SplitSchema:
    """The fields that a reader of some splits takes: each as all splits have it, where they agree on its type."""
    if not own:
        return folder_schema
    schema = SplitSchema.union(msgspec.json.decode(content, type=SplitSchema) for content in own)
    for name, stored in folder_schema.fields.items():
        if name not in schema.mixed:
            schema.fields[name] = replace(stored, optional=stored.optional or name not in schema.fields)
    return schema
