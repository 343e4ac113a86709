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
from melbeam.transforms.records.options import CHOICES, NOTHING, PADDING, REQUIRED, RecordOptions

if TYPE_CHECKING:
    from melbeam.pipelines.command_line import Parser

DESCRIPTION = (
    "Computes the log-mel features of a corpus, whatever it is kept in, and writes them as TFRecords. Takes "
    "Beam's own options too."
)


def add_arguments(parser: Parser) -> None:
    """The options of extract."""
    add_source_arguments(parser)
    parser.add_argument("--output", required=True, help="the folder of the features, features/1.0.0 for example")
    parser.add_argument(
        "--dataset_name",
        metavar="NAME",
        help="the data set's name, as TFDS spells names: the features go to OUTPUT/NAME/1.0.0, where "
        "tfds.load(NAME, data_dir=OUTPUT) finds them",
    )
    parser.add_argument(
        "--normalize_by",
        metavar="FILE[#SPLIT]",
        help="normalise each bin by its mean and deviation in this statistics.json, or in "
        "that of this folder, which "
        "must be of the same --front_end; without #SPLIT, those of split train are taken",
    )
    add_not_in(parser)
    add_split_arguments(parser)


def add_split_arguments(parser: Parser) -> None:
    """The options that say how a split is made; what it is made of and where it goes are not among them."""
    parser.add_argument("--split", default="train", help="the name of the split")
    parser.add_argument(
        "--front_end",
        default=DEFAULT_FRONT_END,
        help="the front end: a shipped name, a YAML file, or a preset (melbeam presets lists them)",
    )
    defaults = RecordOptions.defaults()
    helps = {
        "precision": "the precision of window, FFT and spectrum",
        "dtype": "the dtype of the stored features",
        "encoding": "how features are stored: as bytes, or as a float list for old readers",
        "on_long": "what becomes of a clip that is longer than the front end takes",
        "audio_format": "what records hold: encoded files (WAV, FLAC, MP3, Ogg and others), or raw 16-bit samples",
    }
    for name, text in helps.items():
        parser.add_argument(f"--{name}", choices=CHOICES[name], default=defaults[name], help=text)
    parser.add_argument(
        "--pad_to_max_length",
        nargs="?",
        const="on",
        choices=PADDING,
        default=defaults["pad_to_max_length"],
        help="store all clips at one number of frames; auto: where the model takes the full "
        "length; without a value: on",
    )
    parser.add_argument(
        "--chunk_seconds",
        type=float,
        help="cut clips that are longer than this into chunks; --on_long=chunk alone cuts "
        "at what the front end takes",
    )
    parser.add_argument(
        "--chunk_overlap_seconds",
        type=float,
        default=defaults["chunk_overlap_seconds"],
        help="how much a chunk has in common with the one before it",
    )
    parser.add_argument(
        "--channel",
        default=defaults["channel"],
        help="which channel of a clip is taken: its number, from 0, or the mean of all; a "
        "clip without it is a reject",
    )
    parser.add_argument(
        "--channels",
        choices=CHOICES["channels"],
        default=defaults["channels"],
        help="split: a record for each channel, id@0, id@1; mix: one for each clip, of what --channel says",
    )
    parser.add_argument(
        "--pcm_sampling_rate", type=int, help="the rate in Hz of raw samples whose record names none"
    )
    parser.add_argument(
        "--max_audio_seconds", type=float, default=defaults["max_audio_seconds"], help="a longer clip is a reject"
    )
    parser.add_argument(
        "--require",
        choices=(*REQUIRED, NOTHING),
        help="text: records without a transcript are rejects; none: they are taken, as without this option",
    )
    parser.add_argument(
        "--min_seconds", type=float, default=defaults["min_seconds"], help="a shorter clip is a reject"
    )
    parser.add_argument(
        "--max_record_bytes", type=int, default=defaults["max_record_bytes"], help="a larger record is a reject"
    )
    parser.add_argument(
        "--cut_tolerance_seconds",
        type=float,
        default=defaults["cut_tolerance_seconds"],
        help="how much a file may lack of what its header promises; one that lacks more is a reject",
    )
    parser.add_argument("--check_md5", action="store_true", help="check the MD5 that a FLAC holds of its samples")
    add_shard_bytes(
        parser,
        "about how many bytes of input become a shard: a larger TFRecord file becomes several, unless it is "
        "compressed or --limit is given; small clips and rows are put together",
    )
    parser.add_argument(
        "--max_convert_seconds",
        type=float,
        default=MAX_CONVERT_SECONDS,
        help="a record that takes longer ends the process, and is a reject at the next attempt",
    )
    add_max_reject_fraction(parser)
    parser.add_argument("--limit", type=int, help="how many records to read at most, of the whole input")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the split if it is there already, and what was retried of its rejects",
    )
    add_dry_run(parser)
    parser.add_argument(
        "--gpu", action="store_true", help="let workers use a GPU; otherwise it is hidden from them"
    )
    parser.add_argument(
        "--recheck",
        action="store_true",
        help="read the shards that an earlier start finished, before taking them as done",
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
