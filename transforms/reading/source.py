"""A split of features as a sequence of NumPy arrays: no TensorFlow and no Beam.

It is a PyTorch map-style data set, a random-access source of grain, and what `Dataset.from_generator` of Hugging
Face's `datasets` takes.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np

from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.presets import find_front_end
from melbeam.transforms.reading.arrays import RecordParser
from melbeam.transforms.reading.folder import FeatureFolder, checked_columns
from melbeam.transforms.reading.records import parse_at, place_of, read_frame
from melbeam.transforms.reading.storage import read_file
from melbeam.transforms.records.index import INDEX_DTYPE


class FeatureSource:
    """The features of finished splits, by number, in the order of their shards.

    A record is read when it is asked for, from its place in its shard, and its checksums are checked. The source
    may be pickled, and used in threads and in processes made by fork or by spawn.

    Args:
        folder: what `melbeam extract --output` wrote: a local path, `gs://...` or `s3://...`.
        split: "train", "train+train_retried" for one behind the other, or TFDS's slices, "train[:90%]".
        front_end: the one that your model takes; features of another one are refused. None takes those of any.
        features: the columns to read, "input_features" among them or not; None reads all.

    Attributes:
        front_end: of the features.

    Raises:
        ValueError: the folder holds no such split, no index of it (`melbeam index FOLDER` writes it), or features
            of another front end; a column has values of several types.
        OSError: a store refused, or its client is not installed.
    """

    def __init__(
        self,
        folder: str | Path,
        split: str = "train",
        *,
        front_end: FrontEnd | str | Path | None = None,
        features: Sequence[str] | None = None,
    ) -> None:
        expected = None if front_end is None else find_front_end(front_end)
        self._folder = FeatureFolder.open(folder, split, expected, read_file)
        self._split = split
        self._parser = RecordParser(self._folder, checked_columns(features))
        self._shards = self._folder.shards()
        self._rows = np.concatenate([np.zeros(0, INDEX_DTYPE), *self._folder.read_indexes(read_file)])
        # Number of the first record of each shard, in the source.
        self._starts = np.cumsum([0, *map(len, self._shards)])[:-1]
        self.front_end = self._folder.front_end

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def num_frames(self) -> np.ndarray:
        """Valid frames of each record, int64 `[len(self)]`, known without reading the records."""
        return self._rows["num_frames"].astype(np.int64)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        """A record, with the values that `read_features` gives, but as NumPy arrays.

        Returns:
            "input_features" `[frames, num_mels]`, of the dtype that is stored (bfloat16 is ml_dtypes'), and at the
            full length where the model takes that; scalars, `bytes`, and arrays `[values]`.

        Raises:
            IndexError: there is no such record.
            TypeError: it is no whole number.
            ValueError: the shard is damaged there, or is another one than its index was made of.
            OSError: it cannot be read.
        """
        try:
            number = operator.index(index)
        except TypeError as error:
            raise TypeError(
                f"a FeatureSource is indexed by whole numbers, got {index!r}: FeatureSource(folder, 'train[:10]') "
                "is a slice, and `melbeam show FOLDER ID` finds a record by its id"
            ) from error
        if not -len(self) <= number < len(self):
            raise IndexError(f"record {number} of {self!r}, which has {len(self)}")
        number %= len(self)
        place = int(np.searchsorted(self._starts, number, side="right")) - 1
        shard, row = self._shards[place], self._rows[number]
        found = place_of(self._folder, shard, number - int(self._starts[place]), row)
        record = parse_at(self._folder, found, self._parser.parse, read_frame(found))
        if record.get("num_frames", row["num_frames"]) != row["num_frames"]:
            raise ValueError(
                f"{found.path}, record {found.record}: it has {record['num_frames']} frames, and "
                f"{row['num_frames']} in its index: write it anew, melbeam index {self._folder.path} --overwrite"
            )
        return record

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self.__getitem__, range(len(self)))

    def __repr__(self) -> str:
        return f"FeatureSource({self._folder.path!r}, split={self._split!r})"
