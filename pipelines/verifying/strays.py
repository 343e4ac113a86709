"""Files of a split that belong to no shard of its plan, and what attempts have left."""

from __future__ import annotations

from melbeam.pipelines import files
from melbeam.pipelines.split.leftovers import temporaries
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.verifying.findings import Findings
from melbeam.transforms.folder_layout import SplitFolder


def check_strays(folder: SplitFolder, shards: list[Shard], findings: Findings) -> None:
    """Looks for files of a split that belong to none of its shards, and for what attempts have left."""
    for glob, expected, what in (
        (
            folder.shards_glob,
            {folder.shard(shard.index, shard.num_shards) for shard in shards},
            "no shard of this split's plan: readers that glob will take it; remove it",
        ),
        (
            folder.rejects_glob,
            {folder.rejects(shard.index) for shard in shards},
            "rejects of no shard of the plan; remove it",
        ),
        (
            folder.index_glob,
            {folder.index(shard.index) for shard in shards},
            "an index of no shard of the plan; remove it",
        ),
        (
            folder.tables_glob,
            {folder.table(shard.index, shard.num_shards) for shard in shards},
            "a table of no shard of the plan; remove it",
        ),
        (
            folder.reports_glob,
            {folder.report(shard.index) for shard in shards},
            "a report of no shard of the plan; remove it",
        ),
    ):
        for path, _ in files.match(glob):
            if path not in expected:
                findings.fault(path, what)
    for path in temporaries(folder):
        findings.warn(path, "left by an attempt that did not end; `melbeam clean` removes it")
