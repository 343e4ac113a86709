"""Files of a split that belong to no shard of its plan, and what attempts have left."""

from __future__ import annotations

from itertools import starmap

from melbeam.pipelines import files
from melbeam.pipelines.split.leftovers import gathered, half_written, temporaries
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.verifying.findings import Findings
from melbeam.transforms.folder_layout import SplitFolder


def check_strays(folder: SplitFolder, shards: list[Shard], findings: Findings) -> None:
    """Looks for files of a split that belong to none of its shards, and for what attempts have left."""
    numbers = [shard.index for shard in shards]
    names = [(shard.index, shard.num_shards) for shard in shards]
    for glob, expected, what in (
        (
            folder.like_shards_glob,
            starmap(folder.shard, names),
            "no shard of this split's plan: readers that glob will take it",
        ),
        (folder.rejects_glob, map(folder.rejects, numbers), "rejects of no shard of the plan"),
        (folder.index_glob, map(folder.index, numbers), "an index of no shard of the plan"),
        (folder.tables_glob, starmap(folder.table, names), "a table of no shard of the plan"),
        (folder.reports_glob, map(folder.report, numbers), "a report of no shard of the plan"),
    ):
        known = set(expected)
        for path, _ in files.match(glob):
            if path not in known:
                findings.fault(path, f"{what}; remove it")
    for path in (*temporaries(folder), *gathered(folder), *half_written(folder)):
        findings.warn(path, "left by an attempt that did not end; `melbeam clean` removes it")
