"""What a report shows: splits, each with all that its own reports say of it. No feature is read here."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from melbeam.pipelines import files, words
from melbeam.pipelines.refusals import Refusal, UsageError, refused_as
from melbeam.pipelines.split.finding import has_no_split, splits_of, why_no_features
from melbeam.pipelines.split.job_file import read_job
from melbeam.pipelines.split.plan import read_plan
from melbeam.pipelines.split.reports import ShardReport, SplitSummary, UnusableSummary
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.front_end import FrontEnd

MOST_PARTS = 4  # side by side
_NAMED_FILES = 5
_TOLD_ELSEWHERE = ("fingerprint", "input", "num_shards", "rejects")  # of a job's identity


@dataclass(frozen=True)
class Inputs:
    """What a split was made of.

    Attributes:
        num_files: audio files, or the files that hold many records.
        num_bytes: of all of them.
        kinds: of their sources.
        first: paths of the first ones.
    """

    num_files: int = 0
    num_bytes: int = 0
    kinds: tuple[str, ...] = ()
    first: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """A split, as a report shows it.

    Attributes:
        folder: where it lies.
        label: what the page calls it.
        summary: of its shards, those that are done.
        front_end: of its features.
        options: that it was made with, by name.
        job_hash: of the job that made it.
        num_shards: of its plan.
        inputs: what it was made of.
        is_finished: whether all its shards are done.
    """

    folder: SplitFolder
    label: str
    summary: SplitSummary
    front_end: FrontEnd
    options: dict[str, Any]
    job_hash: str
    num_shards: int
    inputs: Inputs = field(default_factory=Inputs)
    is_finished: bool = True

    @property
    def seconds(self) -> float:
        """Seconds of audio, in all."""
        return self.summary.num_samples / self.front_end.sampling_rate

    @property
    def num_tokens(self) -> int | None:
        """Audio tokens, in all; None where that was not counted or the model has none."""
        tokens = self.summary.distributions.get("num_audio_tokens")
        return None if tokens is None else round(tokens.sum())

    @property
    def has_levels(self) -> bool:
        """Whether its records hold their levels, and its reports how these are distributed."""
        return self.summary.record_version > 1


def find_parts(folders: Sequence[str], splits: Sequence[str]) -> list[Part]:
    """The splits that are to be shown: those that are named, of each folder; or all of which a shard is done.

    Raises:
        UsageError: a folder holds no features or not such a split, or there are more than can be shown together.
        ValueError: a report or a summary is not as melbeam writes it.
    """
    outputs = list(dict.fromkeys(files.folder_path(folder, "FOLDER") for folder in folders))
    found = [folder for output in outputs for folder in _splits_of(output, splits)]
    if len(found) > MOST_PARTS:
        names = ", ".join(dict.fromkeys(folder.split for folder in found))
        raise UsageError(
            Refusal.BAD_VALUE,
            f"{len(found)} splits are more than {MOST_PARTS} to show side by side: --split names one of {names}",
        )
    return [_read(folder, _label(folder, found)) for folder in found]


def _splits_of(output: str, wanted: Sequence[str]) -> list[SplitFolder]:
    found = splits_of(output)
    by_name = {folder.split: folder for folder in found}
    missing = [name for name in wanted if name not in by_name]
    if missing:
        raise UsageError(Refusal.NO_SPLIT, has_no_split(output, missing[0]))
    if wanted:
        return [by_name[name] for name in dict.fromkeys(wanted)]
    begun = [folder for folder in found if _has_shards(folder)]
    for folder in found if begun else ():
        if folder not in begun:
            words.say(f"split {folder.split!r} of {output} is left out: no shard of it is done yet")
    return begun or found  # of which none can be shown: `_read` says why


def _has_shards(folder: SplitFolder) -> bool:
    return files.exists(folder.summary) or bool(files.match(folder.reports_glob))


def _label(folder: SplitFolder, among: Sequence[SplitFolder]) -> str:
    """The shortest name that tells it from the others: its split, or its folder below what all folders lie in."""
    outputs = {other.output for other in among}
    if len(outputs) == 1:
        return folder.split
    parents = [output.split("/")[:-1] for output in outputs]
    levels = list(zip(*parents, strict=False))
    shared = next((level for level, names in enumerate(levels) if len(set(names)) > 1), len(levels))
    below = "/".join(folder.output.split("/")[shared:])
    return below if len({other.split for other in among}) == 1 else f"{below}, {folder.split}"


def _read(folder: SplitFolder, label: str) -> Part:
    with refused_as(Refusal.UNUSABLE_JOB_FILE):
        job = read_job(folder)
    if job is None or "front_end" not in job:
        raise UsageError(
            Refusal.NO_FEATURES,
            f"{folder.output}, split {folder.split!r}, holds no features: {why_no_features(folder.output)}",
        )
    is_finished = files.exists(folder.summary)
    try:
        summary = SplitSummary.read(folder.summary) if is_finished else _summary_so_far(folder)
    except UnusableSummary as error:
        raise UsageError(error.refusal, str(error)) from error
    return Part(
        folder,
        label,
        summary,
        FrontEnd.from_dict(job["front_end"]),
        {name: value for name, value in job["identity"].items() if name not in _TOLD_ELSEWHERE},
        str(job["hash"]),
        int(job["identity"]["num_shards"]),
        _inputs(folder),
        is_finished,
    )


def _summary_so_far(folder: SplitFolder) -> SplitSummary:
    """The sum of the reports that there are.

    Raises:
        UsageError: there are none.
    """
    paths = [path for path, _ in files.match(folder.reports_glob)]
    if not paths:
        raise UsageError(
            Refusal.NO_SPLIT,
            f"{folder.output}: no shard of split {folder.split!r} is done yet: the same command goes on",
        )
    summary = SplitSummary()
    with ThreadPoolExecutor(files.REQUESTS_AT_ONCE) as pool:
        for report in pool.map(lambda path: ShardReport.from_dict(files.read_json(path)), paths):
            summary.add_shard(report)
    return summary


def _inputs(folder: SplitFolder) -> Inputs:
    if not files.exists(folder.plan):
        return Inputs()
    sizes: dict[str, int] = {}
    kinds: dict[str, None] = {}
    for shard in read_plan(folder.plan):
        kinds.setdefault(shard.unit.kind)
        if shard.unit.files:
            sizes.update((path, size) for path, size in shard.unit.details["files"])
        else:
            sizes[shard.path] = shard.unit.size
    return Inputs(len(sizes), sum(sizes.values()), tuple(kinds), tuple(sizes)[:_NAMED_FILES])
