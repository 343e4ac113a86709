"""From an attempt to a finished shard.

An attempt writes temporary files and, last, its report. The commit renames them to their final names and then
writes the report to its final place: that report is the mark that the shard is done. Every step can be done
twice, and whatever happens between two of them, the next start finds either a finished shard, or an attempt
whose files hold what its report says, or nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import NamedTuple

from melbeam.pipelines import files
from melbeam.pipelines.split.job_file import check_owner
from melbeam.pipelines.split.leftovers import delete_temporaries, temporaries
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.split.reports import FileMark, ShardReport
from melbeam.transforms.folder_layout import SplitFolder, TemporaryName

_LOG = logging.getLogger("melbeam")


@dataclass(frozen=True)
class Attempt:
    """A finished attempt at a shard; `name` is None where the shard is committed already."""

    name: str | None
    report: ShardReport


def done_before(folder: SplitFolder, shard: Shard, job_hash: str, *, recheck: bool = False) -> Attempt | None:
    """Returns what an earlier start made of a shard, committed or not yet; None where the shard is to be done.

    The arguments are those of `committed`.
    """
    done = committed(folder, shard, job_hash, recheck=recheck) or finished_attempt(folder, shard, job_hash)
    if done is not None:
        _LOG.info("%s: done by an earlier start", shard.name)
    return done


def committed(folder: SplitFolder, shard: Shard, job_hash: str, *, recheck: bool = False) -> Attempt | None:
    """The shard's report, if it is there and the shard's files seem to hold what it says.

    Args:
        folder: of the split.
        shard: of its plan.
        job_hash: of the job that it must be done by.
        recheck: whether its files are read, which for a large corpus takes hours.
    """
    report = _committed_report(folder, shard.index, shard.num_shards, job_hash, recheck=recheck)
    return Attempt(None, report) if report is not None and _is_of(report, shard) else None


def _committed_report(
    folder: SplitFolder, index: int, num_shards: int, job_hash: str, *, recheck: bool
) -> ShardReport | None:
    report = _load(folder.report(index), job_hash)
    if report is None or (report.index, report.num_shards) != (index, num_shards):
        return None
    for place in _places(folder, "", report):
        if recheck:
            holds = place.mark.confirms(place.final)
        else:
            holds = place.mark.seems_to_be(place.final, report.store_checksums.get(place.kind))
        if not holds:
            return None
    return report


def finished_attempt(folder: SplitFolder, shard: Shard, job_hash: str) -> Attempt | None:
    """An earlier attempt that ended and was not committed, if its files hold what its report says.

    Its files may be under their final names already, where a commit was cut off.
    """
    attempt = _finished_attempt(folder, shard.index, job_hash)
    return attempt if attempt is not None and _is_of(attempt.report, shard) else None


def _is_of(report: ShardReport, shard: Shard) -> bool:
    """Whether a report names a shard's input, which may have been moved with the folder that it lies in."""
    return report.input == (shard.path, shard.unit.size)


def files_to_take_over(folder: SplitFolder, job_hash: str) -> set[str]:
    """The temporary files that the next start of the split's job takes over: a finished attempt's, one a shard."""
    by_shard: dict[int, list[str]] = {}
    for path in temporaries(folder):
        by_shard.setdefault(TemporaryName.parse(path).shard, []).append(path)
    taken: set[str] = set()
    for index, paths in by_shard.items():
        done = _load(folder.report(index), job_hash)
        if (
            done is not None
            and _committed_report(folder, index, done.num_shards, job_hash, recheck=False) is not None
        ):
            continue
        attempt = _finished_attempt(folder, index, job_hash)
        if attempt is not None:
            taken.update(path for path in paths if TemporaryName.parse(path).attempt == attempt.name)
    return taken


def _finished_attempt(folder: SplitFolder, index: int, job_hash: str) -> Attempt | None:
    for path in temporaries(folder, index):
        name = TemporaryName.parse(path)
        report = _load(path, job_hash) if name.kind == "report" else None
        if report is None:
            continue
        places = _places(folder, name.attempt, report)
        if all(place.mark.confirms(place.temporary) or place.mark.confirms(place.final) for place in places):
            return Attempt(name.attempt, report)
    return None


def commit(folder: SplitFolder, attempt: Attempt) -> ShardReport:
    """Gives an attempt's files their final names, and marks the shard as done. May be called twice.

    The first attempt to be committed stays: a late one, of a worker or a job that was taken for dead, changes
    nothing, even if its bytes differ, as those of another type of CPU may. So does one of another job than the
    split's own by now.

    Returns:
        The report of the shard as it is committed.

    Raises:
        TakenOver: the split is another job's.
        RuntimeError: neither the attempt's files nor the final ones hold what the report says.
    """
    report = attempt.report
    check_owner(folder, report.job_hash)
    if attempt.name is not None:
        done = _committed_report(folder, report.index, report.num_shards, report.job_hash, recheck=True)
        if done is None or done.input != report.input:
            places = _places(folder, attempt.name, report)
            _rename(places)
            report = replace(report, store_checksums=_store_checksums(places))
            files.write_json(folder.report(report.index), report.to_dict())
        else:
            report = done
    delete_temporaries(folder, report.index)
    return report


class _Place(NamedTuple):
    """Where one of an attempt's files lies: as it was written, and for good."""

    kind: str
    mark: FileMark
    temporary: str
    final: str


def _places(folder: SplitFolder, name: str, report: ShardReport) -> list[_Place]:
    marks = (
        ("features", report.features, folder.shard(report.index, report.num_shards)),
        ("rejects", report.rejected, folder.rejects(report.index)),
        ("index", report.index_file, folder.index(report.index)),
        ("table", report.table, folder.table(report.index, report.num_shards)),
    )
    return [
        _Place(kind, mark, folder.temporary(report.index, name, kind), final)
        for kind, mark, final in marks
        if mark is not None
    ]


def _rename(places: list[_Place]) -> None:
    for _, mark, temporary, final in places:
        if files.exists(temporary):
            files.ensure_folder(final)
            files.rename(temporary, final)
        elif not mark.confirms(final):
            raise RuntimeError(
                f"{temporary} is gone and {final} does not hold what its report says "
                f"({mark.num_records} records, {mark.size} bytes, CRC32C {mark.crc32c:08x}): "
                "another job may be writing into this folder; start the job again when it is alone"
            )


def _store_checksums(places: list[_Place]) -> dict[str, str]:
    """The store's own checksums of what was just committed; none on a disk, which keeps none."""
    states = {place.kind: files.state(place.final) for place in places if not files.is_local(place.final)}
    return {kind: state[1] for kind, state in states.items() if state is not None}


def _load(path: str, job_hash: str) -> ShardReport | None:
    """The report, if there is a whole one, of this job."""
    if not files.exists(path):
        return None
    try:
        report = ShardReport.from_dict(files.read_json(path))
    except ValueError:
        return None
    return report if report.job_hash == job_hash else None
