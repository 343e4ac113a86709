"""Records of a folder one at a time, or one after the other: by the index beside a shard, or without one.

No TensorFlow and no Beam. An index is read of the shard at hand alone, so that one record of a large split is
there at once; where a folder of before has none, the frames of the shard are walked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from melbeam.transforms.reading.arrays import RecordParser
from melbeam.transforms.reading.folder import FeatureFolder
from melbeam.transforms.reading.splits import ShardRange
from melbeam.transforms.reading.storage import read_file, read_range
from melbeam.transforms.records.index import INDEX_DTYPE
from melbeam.transforms.records.tfrecord_frame import FOOTER, HEADER, data_of, length_of

Parsed = TypeVar("Parsed")
# Bytes that are read of a shard at a time where all its records are wanted.
_READ_AT_ONCE = 8 << 20  # 8 MiB


class Place(NamedTuple):
    """Where a record lies.

    Attributes:
        path: of its shard.
        record: its number in the shard.
        offset: of its frame in the shard, in bytes.
        size: of its payload, in bytes.
    """

    path: str
    record: int
    offset: int
    size: int


class FolderRecords:
    """The records of finished splits, read when they are asked for.

    Args:
        folder: opened for them.
        features: the columns to read, "input_features" among them or not; None reads all.
        for_a_model: as `RecordParser` has it.

    Raises:
        ValueError: there is no such column, or one has values of several types.
    """

    def __init__(
        self, folder: FeatureFolder, features: Sequence[str] | None = None, *, for_a_model: bool = True
    ) -> None:
        self.folder = folder
        self._parser = RecordParser(folder, features, for_a_model=for_a_model)
        self._shards = self.folder.shards()
        # Number of the first record of each shard.
        self._starts = np.cumsum([0, *map(len, self._shards)])[:-1]
        # The rows of the shard that was read from last: records that follow each other are mostly in one.
        self._last: tuple[int, np.ndarray] = (-1, np.zeros(0, INDEX_DTYPE))

    def __len__(self) -> int:
        return len(self.folder)

    def read(self, number: int) -> dict[str, Any]:
        """The record of that number, from 0, as `FeatureSource` gives it.

        Raises:
            ValueError: the shard is damaged there, or is another one than its index was made of.
            OSError: it cannot be read.
        """
        index = int(np.searchsorted(self._starts, number, side="right")) - 1
        shard, inside = self._shards[index], number - int(self._starts[index])
        if self._last[0] != index:
            self._last = (index, rows_of(self.folder, shard))
        place = place_of(self.folder, shard, inside, self._last[1][inside])
        return parse_at(self.folder, place, self._parser.parse, read_frame(place))

    def __iter__(self) -> Iterator[tuple[Place, dict[str, Any]]]:
        """Yields each record with its place, in order; some megabytes of one shard are held at a time."""
        for shard in self._shards:
            rows = rows_of(self.folder, shard)
            for block in blocks_of(rows):
                for place, frame in frames_in(self.folder, shard, block.start, rows[block]):
                    yield place, parse_at(self.folder, place, self._parser.parse, frame)


def rows_of(folder: FeatureFolder, shard: ShardRange) -> np.ndarray:
    """The index of a shard's records, `INDEX_DTYPE` `[records]`; without `num_frames` where it has no index.

    Raises:
        ValueError: the index is that of other records, or the shard has none and is damaged.
        OSError: it cannot be read.
    """
    content = read_file(folder.index_path(shard))
    if content is not None:
        return folder.read_index(shard, lambda _: content)
    path, offset, rows = folder.shard_path(shard), 0, []
    for number in range(shard.stop):
        length = length_of(read_range(path, offset, HEADER))
        if length is None:
            raise ValueError(
                f"{path}: record {number} does not begin at byte {offset}, where it must. `melbeam verify "
                f"{folder.path}` looks at every byte"
            )
        rows.append((offset, length, 0))
        offset += HEADER + length + FOOTER
    return np.array(rows, INDEX_DTYPE)[shard.start :]


def place_of(folder: FeatureFolder, shard: ShardRange, inside: int, row: Any) -> Place:
    """Where a record lies, by its number among the shard's that were asked for, and by its row of the index."""
    return Place(folder.shard_path(shard), shard.start + inside, int(row["offset"]), int(row["size"]))


def read_frame(place: Place) -> bytes:
    """The bytes of a record with its frame, unchecked."""
    return read_range(place.path, place.offset, HEADER + place.size + FOOTER)


def parse_at(folder: FeatureFolder, place: Place, parse: Callable[[bytes], Parsed], frame: bytes) -> Parsed:
    """Parses a record that was read, once its checksums are found right.

    Raises:
        ValueError: it is damaged, or another one than its index was made of; the message says where.
    """
    try:
        return parse(data_of(frame))
    except ValueError as error:
        raise ValueError(
            f"{place.path}, record {place.record} (at byte {place.offset}): {error}. `melbeam verify "
            f"{folder.path}` looks at every byte"
        ) from error


def blocks_of(rows: np.ndarray) -> Iterator[slice]:
    """Yields which rows of an index are read at once: some megabytes of records that lie behind one another."""
    ends = rows["offset"].astype(np.int64) + HEADER + rows["size"] + FOOTER
    begin = 0
    for number in range(1, len(rows) + 1):
        if number < len(rows):
            follows = rows["offset"][number] == ends[number - 1]
            if follows and ends[number] - int(rows["offset"][begin]) <= _READ_AT_ONCE:
                continue
        yield slice(begin, number)
        begin = number


def frames_in(
    folder: FeatureFolder, shard: ShardRange, first: int, rows: np.ndarray
) -> Iterator[tuple[Place, bytes]]:
    """Yields the records of a block with their frames, unchecked, from one reading.

    Args:
        folder: that they lie in.
        shard: that they lie in.
        first: the number of the block's first record, among the shard's that were asked for.
        rows: the block's rows of the index.
    """
    places = [place_of(folder, shard, first + number, row) for number, row in enumerate(rows)]
    begin = places[0].offset
    block = read_range(places[0].path, begin, _end(places[-1]) - begin)
    for place in places:
        yield place, block[place.offset - begin : _end(place) - begin]


def _end(place: Place) -> int:
    return place.offset + HEADER + place.size + FOOTER
