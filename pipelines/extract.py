"""melbeam extract: audio in, feature TFRecords out.

Its options are here; what it does with them is in `extracting`, which is imported once they are parsed.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from melbeam.pipelines.command import Command
from melbeam.pipelines.defaults import MAX_CONVERT_SECONDS
from melbeam.pipelines.exit_status import leave_with
from melbeam.pipelines.sources.arguments import add_shard_bytes, add_source_arguments
from melbeam.pipelines.split.arguments import add_dry_run, add_max_reject_fraction, add_not_in
from melbeam.transforms.front_end import DEFAULT_FRONT_END
from melbeam.transforms.records.options import CHOICES, PADDING, REQUIRED, RecordOptions

if TYPE_CHECKING:
    from melbeam.pipelines.command_line import Parser

DESCRIPTION = (
    "Audio in, from whatever it is kept in; log-mel feature TFRecords out. Beam's own options are taken too."
)


def add_arguments(parser: Parser) -> None:
    """The options of extract."""
    add_source_arguments(parser)
    parser.add_argument("--output", required=True, help="folder of the features, features/1.0.0 for example")
    parser.add_argument(
        "--dataset_name",
        metavar="NAME",
        help="of the data set, as TFDS spells names: the features go to OUTPUT/NAME/1.0.0, where "
        "tfds.load(NAME, data_dir=OUTPUT) finds them",
    )
    parser.add_argument(
        "--normalize_by",
        metavar="FILE[#SPLIT]",
        help="normalise by the per-bin mean and deviation in a statistics.json, or in the folder with it; of "
        "split train unless named. They are of the same --front_end, extracted before",
    )
    add_not_in(parser)
    add_split_arguments(parser)


def add_split_arguments(parser: Parser) -> None:
    """The options that say how a split is made; what it is made of and where it goes are not among them."""
    parser.add_argument("--split", default="train", help="name of the split")
    parser.add_argument(
        "--front_end",
        default=DEFAULT_FRONT_END,
        help="a shipped name, a YAML file, or a preset (melbeam presets)",
    )
    defaults = RecordOptions.defaults()
    helps = {
        "precision": "of window and FFT",
        "dtype": "of the stored features",
        "encoding": "of the stored features; float_list for old readers",
        "on_long": "what becomes of a clip longer than the front end takes",
        "audio_format": "encoded (WAV, FLAC, MP3, Ogg and others), or raw 16-bit samples",
    }
    for name, text in helps.items():
        parser.add_argument(f"--{name}", choices=CHOICES[name], default=defaults[name], help=text)
    parser.add_argument(
        "--pad_to_max_length",
        nargs="?",
        const="on",
        choices=PADDING,
        default=defaults["pad_to_max_length"],
        help="store every clip at one frame count; auto: where the model takes the full length; alone: on",
    )
    parser.add_argument(
        "--chunk_seconds",
        type=float,
        help="chunk clips that are longer (default, with --on_long=chunk: what the front end takes)",
    )
    parser.add_argument(
        "--chunk_overlap_seconds",
        type=float,
        default=defaults["chunk_overlap_seconds"],
        help="of a chunk with the one before it",
    )
    parser.add_argument(
        "--channel",
        default=defaults["channel"],
        help="of clips of several: mean, of them all, or the number of one, from 0; a clip without it is a reject",
    )
    parser.add_argument(
        "--channels",
        choices=CHOICES["channels"],
        default=defaults["channels"],
        help="split: one record a channel, id@0, id@1; mix: one a clip, of what --channel says",
    )
    parser.add_argument("--pcm_sampling_rate", type=int, help="Hz of raw samples")
    parser.add_argument(
        "--max_audio_seconds", type=float, default=defaults["max_audio_seconds"], help="longer clips are rejects"
    )
    parser.add_argument("--require", choices=REQUIRED, help="turn records away that have no transcript")
    parser.add_argument(
        "--min_seconds", type=float, default=defaults["min_seconds"], help="shorter clips are rejects"
    )
    parser.add_argument(
        "--max_record_bytes", type=int, default=defaults["max_record_bytes"], help="larger records are rejects"
    )
    parser.add_argument(
        "--cut_tolerance_seconds",
        type=float,
        default=defaults["cut_tolerance_seconds"],
        help="what a file may lack of what its header promises; more is a reject",
    )
    parser.add_argument(
        "--check_md5", action="store_true", help="check the MD5 that a FLAC carries of its samples"
    )
    add_shard_bytes(
        parser,
        "of input that become a shard, about: a larger TFRecord file becomes several, unless it is compressed or "
        "--limit is given; small clips and rows are put together",
    )
    parser.add_argument(
        "--max_convert_seconds",
        type=float,
        default=MAX_CONVERT_SECONDS,
        help="a record that takes longer ends the process, and is a reject at the next attempt",
    )
    add_max_reject_fraction(parser)
    parser.add_argument("--limit", type=int, help="records to read at most, of the whole input")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the split if it is there already, and what was retried of its rejects",
    )
    add_dry_run(parser)
    parser.add_argument("--gpu", action="store_true", help="let workers use a GPU, which is hidden from them else")
    parser.add_argument(
        "--recheck", action="store_true", help="read the shards that are done again, before taking them as done"
    )


def run(arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    """Runs the job; gives the exit status.

    Raises:
        UsageError: the call was wrong, or the output folder was refused.
    """
    from melbeam.pipelines.extracting import launcher  # imports Beam, which the parser must not wait for

    return launcher.run(arguments, beam_arguments)


COMMAND = Command("extract", DESCRIPTION, add_arguments, run)
main = COMMAND.main

if __name__ == "__main__":
    leave_with(main)
