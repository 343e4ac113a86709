"""The launcher of `melbeam ingest`: from parsed arguments to a plan, its pipeline, and its last words."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby

import apache_beam as beam

from melbeam.pipelines import files, words
from melbeam.pipelines.beam_options import choose_runner
from melbeam.pipelines.command_line import check_split, list_of
from melbeam.pipelines.exit_status import EXIT_OK, UsageError
from melbeam.pipelines.process import prepare_process
from melbeam.pipelines.split.plan import Shard, plan_shards, read_plan, write_plan
from melbeam.pipelines.tfrecord import TFRecordWriter
from melbeam.transforms.bounds import check_integer
from melbeam.transforms.folder_layout import AudioFolder
from melbeam.transforms.records.examples import to_example


def read_plan_by_shard(plan: str, num_shards: int) -> Iterator[tuple[int, list[Shard]]]:
    """The clips of each output shard."""
    for index, clips in groupby(read_plan(plan), lambda clip: shard_of(clip, num_shards)):
        yield index, list(clips)


class WriteAudioShard(beam.DoFn):
    """Numbers of shards, with their clips, to the numbers of records written."""

    def __init__(self, folder: AudioFolder, num_shards: int, root: str) -> None:
        super().__init__()
        self._folder, self._num_shards, self._root = folder, num_shards, root

    def process(self, element: tuple[int, list[Shard]]) -> Iterator[int]:
        """Writes one shard."""
        index, clips = element
        temporary = self._folder.temporary(index, self._num_shards)
        with files.create_file(temporary) as file:
            writer = TFRecordWriter(file)
            for clip in clips:
                clip_id = clip.path.removeprefix(self._root)
                writer.write(to_example({"audio": files.read_bytes(clip.path), "id": clip_id}))
        files.rename(temporary, self._folder.shard(index, self._num_shards))
        yield writer.num_records


def shard_of(clip: Shard, num_shards: int) -> int:
    """The output shard that a clip of the plan goes to: each takes a contiguous run of the sorted clips."""
    return clip.index * num_shards // clip.num_shards


def run(arguments: argparse.Namespace, beam_arguments: list[str], extensions: Sequence[str]) -> int:
    """Runs the job; gives the exit status.

    Args:
        arguments: those of `melbeam ingest`.
        beam_arguments: Beam's.
        extensions: how the name of an audio file ends, in lower case.

    Raises:
        UsageError: the call was wrong, or the split is there already.
    """
    choice = choose_runner(beam_arguments)
    prepare_process(choice)
    try:
        check_split(arguments.split)
        check_integer("--num_shards", arguments.num_shards, at_least=1)
        if arguments.limit is not None:
            check_integer("--limit", arguments.limit, at_least=1)
        folder = AudioFolder(files.folder_path(arguments.output, "--output"), arguments.split)
        files.check_writable(folder.output, given=f"--output={arguments.output}")
        found = plan_shards(list_of(arguments.input))
    except (ValueError, *files.REFUSALS) as error:
        raise UsageError(str(error)) from error
    named_so = [clip for clip in found if clip.path.lower().endswith(tuple(extensions))]
    if not named_so:
        raise UsageError(f"none of the {len(found)} files is audio by its name ({', '.join(extensions)})")
    taken = named_so[: arguments.limit]
    clips = [Shard(i, len(taken), clip.path, clip.size) for i, clip in enumerate(taken)]
    num_shards = min(arguments.num_shards, len(clips))
    size = words.size(sum(clip.size for clip in clips))
    print(f"melbeam: {words.count(len(clips), 'clip')}, {size}, on {choice.runner}", file=sys.stderr)
    if arguments.dry_run:
        for clip in clips:
            print(f"{clip.path} -> {folder.shard(shard_of(clip, num_shards), num_shards)}")
        return EXIT_OK
    present = [path for path, _ in files.match(folder.shards_glob)]
    if present and not arguments.overwrite:
        raise UsageError(f"{folder.output} has split {folder.split!r} already: pass --overwrite to replace it")
    files.delete(present)
    write_plan(folder.plan, clips)
    with beam.Pipeline(options=choice.options) as pipeline:
        _ = (
            pipeline
            | beam.Create([folder.plan])
            | beam.FlatMap(read_plan_by_shard, num_shards)
            | beam.Reshuffle()
            | beam.ParDo(WriteAudioShard(folder, num_shards, _common_folder(clips)))
        )
    files.delete([folder.plan])
    others = len(found) - len(named_so)
    skipped = f", {words.count(others, 'other file')} skipped" if others else ""
    print(
        f"{folder.output}, split {folder.split}: {words.count(len(clips), 'clip')} in "
        f"{words.count(num_shards, 'shard')}{skipped}"
    )
    return EXIT_OK


def _common_folder(clips: list[Shard]) -> str:
    """The folder, with its slash, that all clips lie in: ids are paths below it."""
    prefix = os.path.commonprefix([clip.path for clip in clips])  # noqa: RUF071 (cut at a slash below)
    return prefix[: prefix.rfind("/") + 1]
