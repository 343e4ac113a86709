"""melbeam diff: two folders of features, held against each other record by record."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

from melbeam.pipelines import words
from melbeam.pipelines.command import Command
from melbeam.pipelines.exit_status import EXIT_FAILED, EXIT_OK, leave_with
from melbeam.pipelines.folder_names import folder_path
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.split.arguments import add_folder
from melbeam.transforms.front_end import shortened

if TYPE_CHECKING:
    from melbeam.pipelines.diffing.splits import SplitDifference
    from melbeam.transforms.reading.folder import FeatureFolder

DESCRIPTION = (
    "Compares two folders of features by the ids of their records, in whatever order and shards they lie: what is "
    "missing, what differs, and how far apart. Exit status 1 where they differ, 2 where they cannot be compared."
)
_NAMED = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of diff."""
    add_folder(parser, "a")
    parser.add_argument("b", help="the folder to compare it with")
    parser.add_argument(
        "--split",
        help="the name of a split, or a slice of one, train[0:100] (default: all that either folder has)",
    )
    parser.add_argument(
        "--tolerance", type=float, default=0.0, help="how far apart features and other floats may be"
    )
    parser.add_argument(
        "--limit", type=int, default=_NAMED, help="how many ids to name for each kind of difference"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace, _: list[str]) -> int:
    """Compares and prints; gives the exit status.

    Raises:
        UsageError: the two cannot be compared.
    """
    from melbeam.pipelines.showing.finding import split_names_or_refusal

    if not arguments.tolerance >= 0 or arguments.tolerance == float("inf"):
        raise UsageError(
            Refusal.BAD_VALUE, f"--tolerance must be a number of at least 0, got {arguments.tolerance}"
        )
    if arguments.limit < 0:
        raise UsageError(Refusal.BAD_VALUE, f"--limit must be at least 0, got {arguments.limit}")
    paths = folder_path(arguments.a, "A"), folder_path(arguments.b, "B")
    names = [split_names_or_refusal(path) for path in paths]
    try:
        report = _compare(arguments, paths, *names)
    except (UsageError, FileNotFoundError, PermissionError):
        raise
    except (ValueError, OSError) as error:
        raise UsageError(Refusal.NOT_COMPARABLE, str(error)) from error
    print(json.dumps(report, indent=1, ensure_ascii=True) if arguments.json else "\n".join(_in_words(report)))
    return EXIT_OK if report["equal"] else EXIT_FAILED


def _compare(
    arguments: argparse.Namespace, paths: tuple[str, str], names_of_a: list[str], names_of_b: list[str]
) -> dict[str, Any]:
    """What was found, as JSON values.

    Raises:
        ValueError: a folder has no such split, features of another number of mel bins, or damage.
    """
    from melbeam.pipelines.diffing.splits import compare_splits
    from melbeam.pipelines.showing.finding import open_split

    common = [name for name in names_of_a if name in names_of_b]
    asked = common if arguments.split is None else [arguments.split]
    if not asked:
        raise ValueError(
            f"no split is in both: {paths[0]} has {', '.join(names_of_a) or 'none'}, {paths[1]} has "
            f"{', '.join(names_of_b) or 'none'}"
        )
    report: dict[str, Any] = {"a": paths[0], "b": paths[1], "tolerance": arguments.tolerance, "splits": {}}
    for name in asked:
        a, b = (open_split(path, name) for path in paths)
        if not report["splits"]:
            report |= _front_ends(a, b)
        if a.front_end.num_mels != b.front_end.num_mels:
            raise ValueError(
                f"{a.front_end.num_mels} and {b.front_end.num_mels} mel bins: features of front ends "
                f"{a.front_end.name} and {b.front_end.name} cannot be compared"
            )
        found = compare_splits(a, b, tolerance=arguments.tolerance, most_named=arguments.limit)
        report["splits"][name] = _to_json(found)
    if arguments.split is None:
        report["splits_only_in_a"] = [name for name in names_of_a if name not in names_of_b]
        report["splits_only_in_b"] = [name for name in names_of_b if name not in names_of_a]
    report["equal"] = (
        report["fingerprints"][0] == report["fingerprints"][1]
        and not report.get("splits_only_in_a")
        and not report.get("splits_only_in_b")
        and all(split["equal"] for split in report["splits"].values())
    )
    return report


def _front_ends(a: FeatureFolder, b: FeatureFolder) -> dict[str, Any]:
    ours, theirs = a.front_end.to_dict(), b.front_end.to_dict()
    return {
        "front_ends": [a.front_end.name, b.front_end.name],
        "fingerprints": [a.front_end.fingerprint, b.front_end.fingerprint],
        "front_end_differences": {
            name: [value, theirs[name]] for name, value in ours.items() if value != theirs[name] and name != "name"
        },
        "dtypes": [a.dtype, b.dtype],
    }


def _to_json(found: SplitDifference) -> dict[str, Any]:
    content = asdict(found)
    content.pop("sum_of_squares")
    if found.farthest is not None:  # JSON knows no infinity and no NaN
        content["farthest"] = {
            name: value if not isinstance(value, float) or isfinite(value) else str(value)
            for name, value in content["farthest"].items()
        }
    return {"equal": found.is_none, **content, "root_mean_square": found.root_mean_square}


def _in_words(report: dict[str, Any]) -> list[str]:
    """The report for a person, the front ends first."""
    lines = []
    if report["fingerprints"][0] != report["fingerprints"][1]:
        whats = "; ".join(f"{name} {a!r} and {b!r}" for name, (a, b) in report["front_end_differences"].items())
        names = " and ".join(
            f"{name} ({shortened(fingerprint)})"
            for name, fingerprint in zip(report["front_ends"], report["fingerprints"], strict=True)
        )
        lines.append(f"the front ends differ: {names}: {whats}")
    if report["dtypes"][0] != report["dtypes"][1]:
        lines.append(f"stored as {report['dtypes'][0]} and {report['dtypes'][1]}: compared as float64")
    for side in ("a", "b"):
        for name in report.get(f"splits_only_in_{side}", []):
            lines.append(f"split {name}: only in {report[side]}")
    for name, split in report["splits"].items():
        lines += _split_in_words(name, split, report)
    lines.append("they are equal" if report["equal"] else "they differ")
    return lines


def _split_in_words(name: str, split: dict[str, Any], report: dict[str, Any]) -> list[str]:
    a, b = split["num_records"]
    lines = [f"split {name}: {a} and {b} records, {split['num_equal']} of them equal"]
    for side, repeated in zip("ab", split["repeated"], strict=True):
        if repeated:
            lines.append(
                f"  {report[side]} has {words.count(repeated, 'id')} more than once: paired in their order"
            )
    for side in ("a", "b"):
        lines += _named(f"only in {report[side]}", split[f"only_in_{side}"])
        if split[f"columns_only_in_{side}"]:
            lines.append(f"  fields only in {report[side]}: {_names(split[f'columns_only_in_{side}'])}")
    if split["not_compared"]:
        lines.append(f"  fields of several types, not compared: {_names(split['not_compared'])}")
    lines += _named("other number of frames", split["other_frames"])
    lines += _named("other features", split["other_features"])
    for field, named in split["other_fields"].items():
        lines += _named(f"other {words.harmless(field)}", named)
    far = split["farthest"]
    if far is not None:
        lines.append(
            f"  farthest apart: {float(far['difference']):.6g}, id {words.harmless(far['id'])}, frame "
            f"{far['frame']}, bin {far['bin']} ({float(far['a']):.6g} and {float(far['b']):.6g}); root mean "
            f"square of all {split['root_mean_square']:.3g}"
        )
    if split["not_restored"]:
        count = words.count(split["not_restored"], "pair")
        lines.append(f"  {count} compared by their frames alone: one of the two lacks what lies behind them")
    return lines


def _names(fields: list[str]) -> str:
    return ", ".join(map(words.harmless, fields))


def _named(what: str, named: dict[str, Any]) -> list[str]:
    count, ids = named["count"], named["ids"]
    if not count:
        return []
    return [f"  {what}: {count}" + (f": {words.named(ids, count)}" if ids else "")]


COMMAND = Command("diff", DESCRIPTION, add_arguments, run, takes_beam_options=False)
main = COMMAND.main

if __name__ == "__main__":
    leave_with(main)
