"""The options by which a job's input is taken, the same in every job that takes one; no Beam and no NumPy."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from melbeam.pipelines.defaults import ENCODING_OF_TEXT, SHARD_BYTES
from melbeam.pipelines.sources.kinds import KINDS

if TYPE_CHECKING:
    from melbeam.pipelines.command_line import Parser
    from melbeam.pipelines.sources.units import SourceOptions
    from melbeam.transforms.folder_layout import SplitFolder

_INPUT = (
    "files, a folder or a glob: audio TFRecords, audio files, a manifest (.jsonl, .csv, .tsv), Kaldi's folder, "
    "lhotse's cuts, Parquet or WebDataset's tars; may be repeated"
)


def add_source_arguments(parser: Parser) -> None:
    """Adds what names the input and says how it is to be read."""
    parser.add_argument("--input", required=True, action="append", help=_INPUT)
    parser.add_argument(
        "--input_format", choices=KINDS, help="the kind of source (default: as names and bytes tell)"
    )
    parser.add_argument("--columns", help="OURS=THEIRS,...: which column is what, audio=speech,id=key for example")
    parser.add_argument("--root", help="the folder that ids of files are relative to (default: up to a wildcard)")
    parser.add_argument(
        "--encoding_of_text", default=ENCODING_OF_TEXT, help="the encoding of manifests and transcripts"
    )
    parser.add_argument(
        "--allow_missing_shards",
        action="store_true",
        help="take what is there of a set of NAME-00000-of-00016 files",
    )


def add_shard_bytes(parser: Parser, help: str) -> None:
    """Adds the size of a shard, under its older name too."""
    parser.add_argument("--shard_bytes", "--max_shard_bytes", type=int, default=SHARD_BYTES, help=help)


def source_options(
    arguments: argparse.Namespace,
    own: Sequence[SplitFolder],
    *,
    shard_bytes: int | None,
    num_shards: int | None = None,
) -> SourceOptions:
    """Gathers what the arguments say of the source of the splits that are to be made.

    Raises:
        ValueError: `--columns` is written in another way, or an option contradicts another.
    """
    from melbeam.pipelines.sources.columns import (
        parse_columns,  # imports NumPy, which the parser must not wait for
    )
    from melbeam.pipelines.sources.units import SourceOptions

    root = arguments.root
    return SourceOptions(
        input_format=arguments.input_format,
        columns=parse_columns(arguments.columns),
        root=root if not root or root.endswith("/") else f"{root}/",
        shard_bytes=shard_bytes,
        num_shards=num_shards,
        encoding_of_text=arguments.encoding_of_text,
        limit=arguments.limit,
        pcm_sampling_rate=getattr(arguments, "pcm_sampling_rate", None),  # ingest has no such option
        own=own,
    )
