"""The shards of a folder in `tf.data`: by TensorFlow's own reader, or by a store's client.

TensorFlow reads no `s3://`, and its `gs://` asks Google alone, whatever the client is told of endpoints and
credentials. So both are read as `FeatureSource` reads them: the index says where records lie, some megabytes of
them come at a time, and each record's checksums are checked.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from melbeam.transforms.reading.folder import FeatureFolder
from melbeam.transforms.reading.records import blocks_of, frames_in, parse_at
from melbeam.transforms.reading.splits import ShardRange
from melbeam.transforms.reading.storage import is_of_a_store, list_names, read_file

# Blocks of a shard that are asked of a store at a time: two, so that one is on its way while another is parsed.
_BLOCKS_AT_ONCE = 2
# Indexes of shards that are held, of the 16 that a shuffled data set reads at a time.
_INDEXES_HELD = 32


def read_any_file(path: str) -> bytes | None:
    """The whole file, local, of a store, or of what else TensorFlow reads; None where there is none.

    Raises:
        OSError: a store refused, or its client is not installed.
        ValueError: a path that nothing reads.
    """
    if is_of_a_store(path):
        return read_file(path)
    try:
        if not tf.io.gfile.exists(path):
            return None
        with tf.io.gfile.GFile(path, "rb") as file:
            return bytes(file.read())
    except tf.errors.UnimplementedError as error:
        raise ValueError(
            f"{path}: local files, gs:// and s3:// are read, and TensorFlow here knows no such paths: copy the "
            "folder to one of these"
        ) from error


def names_in(folder: str) -> set[str]:
    """The names of the files in a folder."""
    if is_of_a_store(folder):
        return list_names(folder)
    return {name.rstrip("/") for name in tf.io.gfile.listdir(folder)}


def shards_and_records(
    folder: FeatureFolder, shards: Sequence[ShardRange]
) -> tuple[tf.data.Dataset, Callable[..., tf.data.Dataset]]:
    """The shards as elements of a data set, and what makes the serialized records of one of them."""
    return _of_a_store(folder, shards) if is_of_a_store(folder.path) else _of_tensorflow(folder, shards)


def _of_tensorflow(
    folder: FeatureFolder, shards: Sequence[ShardRange]
) -> tuple[tf.data.Dataset, Callable[..., tf.data.Dataset]]:
    """The path of each shard, the records to skip in it, and those to take: -1 where it is all that follow."""
    paths = [folder.shard_path(shard) for shard in shards]
    lengths = [folder.shard_lengths[shard.split][shard.shard] for shard in shards]
    takes = [-1 if shard.stop == length else len(shard) for shard, length in zip(shards, lengths, strict=True)]
    skips = tf.constant([shard.start for shard in shards], tf.int64)
    files = (tf.constant(paths, tf.string), skips, tf.constant(takes, tf.int64))

    def records(path: tf.Tensor, skip: tf.Tensor, take: tf.Tensor) -> tf.data.Dataset:
        return tf.data.TFRecordDataset(path).skip(skip).take(take)

    return tf.data.Dataset.from_tensor_slices(files), records


def _of_a_store(
    folder: FeatureFolder, shards: Sequence[ShardRange]
) -> tuple[tf.data.Dataset, Callable[..., tf.data.Dataset]]:
    """The number of each shard; its index is read when its turn comes, and then its records, by blocks.

    Raises:
        ValueError: the first shard has no index; without one, each record would be a question to the store.
    """

    @functools.lru_cache(_INDEXES_HELD)
    def index_of(number: int) -> np.ndarray:
        return np.asarray(folder.read_index(shards[number], read_file))

    def blocks_in(number: np.ndarray) -> np.ndarray:
        blocks = [(block.start, block.stop) for block in blocks_of(index_of(int(number)))]
        return np.array(blocks, np.int64).reshape(-1, 2)

    def read(number: np.ndarray, block: np.ndarray) -> np.ndarray:
        first, behind = block.tolist()
        frames = frames_in(folder, shards[int(number)], first, index_of(int(number))[first:behind])
        return np.array([parse_at(folder, place, bytes, frame) for place, frame in frames], object)

    if shards:
        index_of(0)

    def records(number: tf.Tensor) -> tf.data.Dataset:
        # They say the same whenever they are asked: a data set of them may be saved in the middle of an epoch.
        blocks = tf.ensure_shape(tf.numpy_function(blocks_in, [number], tf.int64, stateful=False), [None, 2])
        found = tf.data.Dataset.from_tensor_slices(blocks).map(
            lambda block: tf.numpy_function(read, [number, block], tf.string, stateful=False),
            num_parallel_calls=_BLOCKS_AT_ONCE,
            deterministic=True,
        )
        return found.flat_map(
            lambda payloads: tf.data.Dataset.from_tensor_slices(tf.ensure_shape(payloads, [None]))
        )

    return tf.data.Dataset.range(len(shards)), records
