"""melbeam ingest: a folder of audio files to audio TFRecords, the bytes of each file unchanged."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from itertools import groupby

import apache_beam as beam

from melbeam.pipelines import files
from melbeam.pipelines.beam_options import choose_runner
from melbeam.pipelines.command import Command
from melbeam.pipelines.command_line import check_split, list_of
from melbeam.pipelines.exit_status import EXIT_OK, UsageError
from melbeam.pipelines.process import prepare_process
from melbeam.pipelines.split.plan import Shard, plan_shards, read_plan, write_plan
from melbeam.pipelines.tfrecord import TFRecordWriter
from melbeam.transforms.folder_layout import AudioFolder
from melbeam.transforms.records.examples import to_example

DESCRIPTION = "Audio files in, audio TFRecords out; `melbeam extract` reads them."
EXTENSIONS = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus")


def read_plan_by_shard(plan: str, num_shards: int) -> Iterator[tuple[int, list[Shard]]]:
    """The clips of each output shard: contiguous runs of the sorted clips."""
    for index, clips in groupby(read_plan(plan), lambda clip: clip.index * num_shards // clip.num_shards):
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ingest."""
    parser.add_argument(
        "--input", required=True, action="append", help="glob of audio files, 'clips/**'; may be repeated"
    )
    parser.add_argument("--output", required=True, help="folder of the audio TFRecords")
    parser.add_argument("--split", default="train", help="name of the split")
    parser.add_argument("--num_shards", type=int, default=16, help="files to write, at most one a clip")
    parser.add_argument("--overwrite", action="store_true", help="replace the split if it is there already")


def run(arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    """Runs the job; gives the exit status.

    Raises:
        UsageError: the call was wrong, or the split is there already.
    """
    choice = choose_runner(beam_arguments)
    prepare_process(choice)
    check_split(arguments.split)
    if arguments.num_shards < 1:
        raise UsageError(f"--num_shards must be at least 1, got {arguments.num_shards}")
    try:
        found = plan_shards(list_of(arguments.input))
    except (ValueError, *files.REFUSALS) as error:
        raise UsageError(str(error)) from error
    clips = [clip for clip in found if clip.path.lower().endswith(EXTENSIONS)]
    if not clips:
        raise UsageError(f"none of the {len(found)} files is audio by its name ({', '.join(EXTENSIONS)})")
    clips = [Shard(i, len(clips), clip.path, clip.size) for i, clip in enumerate(clips)]
    folder = AudioFolder(arguments.output.rstrip("/"), arguments.split)
    present = [path for path, _ in files.match(folder.shards_glob)]
    if present and not arguments.overwrite:
        raise UsageError(f"{folder.output} has split {folder.split!r} already: pass --overwrite to replace it")
    files.delete(present)
    num_shards = min(arguments.num_shards, len(clips))
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
    skipped = f", {len(found) - len(clips)} other files skipped" if len(found) > len(clips) else ""
    print(f"{folder.output}, split {folder.split}: {len(clips)} clips in {num_shards} shards{skipped}")
    return EXIT_OK


def _common_folder(clips: list[Shard]) -> str:
    """The folder, with its slash, that all clips lie in: ids are paths below it."""
    prefix = os.path.commonprefix([clip.path for clip in clips])  # noqa: RUF071 (cut at a slash below)
    return prefix[: prefix.rfind("/") + 1]


COMMAND = Command("ingest", DESCRIPTION, add_arguments, run)
main = COMMAND.main


if __name__ == "__main__":
    sys.exit(main())
