"""melbeam index: the index of each shard of features, where a folder has none."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from melbeam.pipelines import words
from melbeam.pipelines.command import Command
from melbeam.pipelines.exit_status import EXIT_FAILED, EXIT_OK, leave_with
from melbeam.pipelines.refusals import Refusal, UsageError, refused_as
from melbeam.pipelines.split.arguments import add_folder
from melbeam.transforms.folder_layout import DATASET_INFO, SplitFolder

DESCRIPTION = (
    "Writes the index of each shard of features, by which FeatureSource finds records, where there is none. "
    "Extract writes it too, from record version 2 on. Every byte of those shards is read."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of index."""
    add_folder(parser)
    parser.add_argument("--overwrite", action="store_true", help="also write anew the indexes that are there")


def run(arguments: argparse.Namespace, _: list[str]) -> int:
    """Writes them and says what; gives the exit status.

    Raises:
        UsageError: the folder has no finished split, or its metadata are not what melbeam writes.
    """
    from melbeam.pipelines import files  # imports Beam, which the parser must not wait for
    from melbeam.pipelines.split.finding import why_no_features
    from melbeam.pipelines.split.lock import Locked, SplitLock
    from melbeam.transforms.reading.folder import shard_lengths

    output = files.folder_path(arguments.folder, "FOLDER")
    info = f"{output}/{DATASET_INFO}"
    if not files.exists(info):
        raise UsageError(Refusal.NO_FEATURES, f"{info} is missing: {why_no_features(output)}")
    status = EXIT_OK
    with refused_as(Refusal.NO_FEATURES):
        splits = shard_lengths(output, files.read_bytes)
    for name, lengths in splits.items():
        folder = SplitFolder(output, name)
        try:
            with SplitLock(folder):
                print(f"split {folder.split}: {_index_split(folder, lengths, overwrite=arguments.overwrite)}")
        except Locked as error:
            print(f"split {folder.split}: left alone: {error}")
            status = EXIT_FAILED
    return status


def _index_split(folder: SplitFolder, lengths: Sequence[int], *, overwrite: bool) -> str:
    """Writes the indexes of a split that are missing, or all; says in words how many.

    What starts that were killed were writing is removed.

    Raises:
        ValueError: a shard is damaged, or holds other records than the metadata say.
    """
    from melbeam.pipelines import files
    from melbeam.pipelines.split.leftovers import half_written

    there = set() if overwrite else {path for path, _ in files.match(folder.index_glob)}
    missing = [shard for shard in range(len(lengths)) if folder.index(shard) not in there]

    def write(shard: int) -> None:
        files.write_bytes(folder.index(shard), _index_of(folder.shard(shard, len(lengths)), lengths[shard]))

    if missing:
        files.ensure_folder(folder.index(missing[0]))
    with ThreadPoolExecutor(files.FETCHES_AT_ONCE) as pool:
        for _ in pool.map(write, missing):
            pass
    files.delete(half_written(folder))
    kept = len(lengths) - len(missing)
    return f"the index of {words.count(len(missing), 'shard')} written" + (f", {kept} were there" if kept else "")


def _index_of(path: str, length: int) -> bytes:
    """The index of a shard that the metadata give so many records.

    Raises:
        ValueError: the shard is damaged, or holds other records.
    """
    from melbeam.pipelines.tfrecord import Damage, read_tfrecord_file
    from melbeam.transforms.records.example_proto import Example
    from melbeam.transforms.records.index import encode_index
    from melbeam.transforms.records.schema import MAX_EXAMPLE_BYTES

    rows = []
    for item in read_tfrecord_file(path, max_record_bytes=MAX_EXAMPLE_BYTES):
        where = f"{path}, record {item.number} (at byte {item.offset})"
        if isinstance(item, Damage):
            raise ValueError(f"{where}: {item.reason}: {item.detail}: extract the split again, with --overwrite")
        try:
            features = Example.FromString(item.data).features.feature
            (frames,) = features["num_frames"].int64_list.value
        except Exception as error:  # protobuf's DecodeError, in a module that differs with its release
            raise ValueError(f"{where} is no feature record with its num_frames: {error}") from error
        rows.append((item.offset, len(item.data), frames))
    if len(rows) != length:
        raise ValueError(
            f"{path} holds {len(rows)} records, and {DATASET_INFO} says {length}: extract the split again, with "
            "--overwrite"
        )
    return encode_index(rows)


COMMAND = Command("index", DESCRIPTION, add_arguments, run, takes_beam_options=False)
main = COMMAND.main


if __name__ == "__main__":
    leave_with(main)
