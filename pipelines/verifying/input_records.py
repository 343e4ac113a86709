"""This checks that shards account for all records of their input, as far as a split's plan and reports tell."""

from __future__ import annotations

from melbeam.pipelines.sources.kinds import PARQUET
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.split.reports import ShardReport
from melbeam.pipelines.verifying.findings import Findings
from melbeam.transforms.folder_layout import SplitFolder


class InputRecords:
    """Follows the records of the input from shard to shard.

    Args:
        folder: of the split.
        findings: that get what is wrong.
        job: "extract" or "ingest", which made it.
        leaves_out: whether its job leaves clips out, those of other splits.
    """

    def __init__(self, folder: SplitFolder, findings: Findings, *, job: str, leaves_out: bool) -> None:
        self._folder, self._findings, self._leaves_out = folder, findings, leaves_out
        self._again = f"{job} again, with --overwrite"
        self._next: int | None = 0  # of the file that the shard at hand is a part of

    def check(self, shard: Shard, report: ShardReport | None) -> None:
        """Holds a shard's report against the plan, and against that of the shard before it."""
        unit = shard.unit
        # Parts of TFRecords are found by reading; other sources say in the plan where each begins.
        first = unit.span.number if unit.part == 0 or unit.num_records is not None else self._next
        if report is None:
            self._next = None
            return
        path = self._folder.report(shard.index)
        if first not in (None, report.first_record):
            begins = f"{shard.name} begins with record {report.first_record}, the one before ends at {first}"
            self._findings.fault(path, f"{begins}: {self._again}")
        if report.left_out and not self._leaves_out:
            self._findings.fault(
                path, f"{report.left_out} records are left out, and the job leaves none out: {self._again}"
            )
        taken, there = report.records_read + report.left_out, records_in(shard, report)
        if there is not None and taken != there:
            self._findings.fault(
                path,
                f"{report.records_read} records read and {report.left_out} left out are not the {there} of "
                f"{unit.source}: {self._again}",
            )
        self._next = report.first_record + taken


def check_outcomes(
    path: str, report: ShardReport, findings: Findings, *, clips: str, kept: str, again: str
) -> None:
    """Sees to it that every record that a shard's report counts as read was kept or rejected.

    Args:
        path: of the report.
        report: of the shard.
        findings: that get what is wrong.
        clips: what the job reads, in a word.
        kept: what it does with one that is no reject, in a word.
        again: what to do, in words.
    """
    num_read, num_kept, num_rejected = report.records_read, report.records_converted, sum(report.rejects.values())
    if num_read != num_kept + num_rejected:
        findings.fault(
            path, f"{num_read} {clips} read are not {num_kept} {kept} + {num_rejected} rejected: {again}"
        )


def records_in(shard: Shard, report: ShardReport | None = None) -> int | None:
    """The records of a shard's input, damages too, as the plan says; None where only the input itself tells.

    Args:
        shard: of the plan.
        report: of the shard; a row group of Parquet that could not be read is one reject of many rows.
    """
    unit = shard.unit
    if unit.kind == PARQUET and (report is None or "bad_row" in report.rejects):
        return None
    if shard.limit is not None:
        return shard.limit
    return unit.num_records
