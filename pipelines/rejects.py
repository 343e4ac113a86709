"""melbeam rejects: the rejects of a folder, with why each was turned away and what to do about it."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from melbeam.pipelines import words
from melbeam.pipelines.command import Command
from melbeam.pipelines.exit_status import EXIT_FAILED, EXIT_OK, leave_with
from melbeam.pipelines.refusals import Refusal, UsageError

if TYPE_CHECKING:
    from melbeam.pipelines.command_line import Parser
    from melbeam.transforms.folder_layout import SplitFolder

DESCRIPTION = (
    "Lists the rejects of a folder of features or of audio TFRecords: counts by reason, then each of them."
)
COLUMNS = ("id", "reason", "detail", "source", "advice")


def add_arguments(parser: Parser) -> None:
    """The options of rejects."""
    parser.add_argument("folder", help="what melbeam extract --output, or ingest --output, wrote")
    parser.add_argument("--split", help="the name of a split (default: all of them)")
    parser.add_argument("--csv", action="store_true", help="print CSV, with a header")
    parser.add_argument("--json", action="store_true", help="print one JSON list of objects")


def run(arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    """Prints the rejects; gives the exit status, 1 where some of them cannot be read.

    Raises:
        UsageError: there is no such folder or split, or two forms are asked for.
    """
    if arguments.csv and arguments.json:
        raise UsageError(Refusal.CONTRADICTION, "--csv and --json contradict each other")
    faults: list[str] = []
    rejects = read_rejects(arguments.folder, arguments.split, faults)
    if arguments.json:
        print("[", end="")
        for number, reject in enumerate(rejects):
            print(",\n " if number else "\n ", json.dumps(reject, ensure_ascii=False), sep="", end="")
        print("\n]")
    elif arguments.csv:
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rejects)
    else:
        _print_for_people(list(rejects), arguments.folder)
    for fault in faults:
        words.say(fault)
    return EXIT_FAILED if faults else EXIT_OK


def _print_for_people(rejects: list[dict[str, str]], folder: str) -> None:
    print(f"{folder}: {words.count(len(rejects), 'reject')}")
    for reason, count in sorted(Counter(reject["reason"] for reject in rejects).items()):
        print(f"  {count} {words.harmless(reason)}")
    for reject in rejects:
        shown = {name: words.harmless(text) for name, text in reject.items()}
        print(f"\n{shown['id'] or shown['source']}\n  {shown['reason']}: {shown['detail']}")
        if shown["id"]:
            print(f"  source: {shown['source']}")
        print(f"  advice: {shown['advice']}")


def read_rejects(folder: str, split: str | None, faults: list[str]) -> Iterator[dict[str, str]]:
    """The rejects of a folder's splits, in the order of their shards, with the keys of `COLUMNS`.

    Args:
        folder: that the splits are in.
        split: name of one; else all of them.
        faults: gets what cannot be read, in words for people, while the rejects are taken.

    Raises:
        UsageError: there is no such folder or split.
    """
    from melbeam.pipelines import files  # imports Beam, which the parser must not wait for
    from melbeam.pipelines.split.finding import has_no_split, splits_of

    output = files.folder_path(folder, "FOLDER")
    splits = [one for one in splits_of(output) if split in (None, one.split)]
    if not splits:
        raise UsageError(Refusal.NO_SPLIT, has_no_split(output, str(split)))
    for one in splits:
        if not files.exists(one.summary):
            words.say(f"split {one.split} is not finished: these are of the shards that are done")
    return (reject for one in splits for reject in _of_split(one, faults))


def _of_split(split: SplitFolder, faults: list[str]) -> Iterator[dict[str, str]]:
    """Yields a split's rejects; notes those that its summary counts and that are not there."""
    from melbeam.pipelines import files
    from melbeam.pipelines.split.reports import SplitSummary
    from melbeam.pipelines.verifying.splits import identity_of
    from melbeam.transforms.records.schema import why_newer

    newer = why_newer(identity_of(split).get("record_version"))
    if newer is not None:
        faults.append(f"{split.job}: {newer}")
    num_read = 0
    for path, _ in files.match(split.rejects_glob):
        for reject in _of_file(path, faults):
            num_read += 1
            yield reject
    if newer is not None or not files.exists(split.summary):
        return
    try:
        num_rejects = SplitSummary.read(split.summary).num_rejects
    except ValueError as error:
        faults.append(str(error))
        return
    if num_read != num_rejects:
        faults.append(
            f"split {split.split}: {words.count(num_read, 'reject')} can be read, and its summary counts "
            f"{num_rejects}: `melbeam verify {split.output}` names the files"
        )


def _of_file(path: str, faults: list[str]) -> Iterator[dict[str, str]]:
    from google.protobuf.message import DecodeError

    from melbeam.pipelines.tfrecord import Record, read_tfrecord_file
    from melbeam.transforms.records.example_proto import Example
    from melbeam.transforms.records.rejects import REASONS
    from melbeam.transforms.records.schema import MAX_EXAMPLE_BYTES

    for item in read_tfrecord_file(path, max_record_bytes=MAX_EXAMPLE_BYTES):
        if not isinstance(item, Record):
            faults.append(f"{path}, record {item.number}: {item.reason}: {item.detail}")
            continue
        try:
            features = Example.FromString(item.data).features.feature
        except DecodeError as error:
            faults.append(f"{path}, record {item.number}: it is no reject record: {error}")
            continue
        fields = {name: _text(features, name) for name in COLUMNS[:-1]}
        reason = REASONS.get(fields["reason"])
        yield {**fields, "advice": reason.advice.replace("`", "") if reason else ""}


def _text(features: Any, name: str) -> str:
    values = features[name].bytes_list.value if name in features else ()
    return values[0].decode(errors="replace") if values else ""


COMMAND = Command("rejects", DESCRIPTION, add_arguments, run, takes_beam_options=False)
main = COMMAND.main

if __name__ == "__main__":
    leave_with(main)
