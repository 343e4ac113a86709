"""A whole folder of features: does it hold what it says, and all that it should?

Every byte is read. Memory grows by eight bytes a record, for the ids, by one shard's index and report, and by a
few lines a file with faults.
"""

from __future__ import annotations

from melbeam.pipelines import files
from melbeam.pipelines.verifying import FILES_OF_A_SPLIT
from melbeam.pipelines.verifying.findings import Findings
from melbeam.pipelines.verifying.ids import check_ids
from melbeam.pipelines.verifying.metadata import check_metadata
from melbeam.pipelines.verifying.shards import check_shards
from melbeam.pipelines.verifying.splits import Split, is_unfinished, read_split
from melbeam.transforms.folder_layout import ShardName, SplitFolder, of_all_splits


def verify_folder(output: str) -> tuple[list[Split], Findings]:
    """Checks a whole folder; gives its splits, and what was found."""
    findings = Findings()
    kept = [path for name in FILES_OF_A_SPLIT for path, _ in files.match(of_all_splits(output, name))]
    names = sorted({SplitFolder.holding(path).split for path in kept})
    folders = [SplitFolder(output, name) for name in names]
    finished = [folder for folder in folders if not is_unfinished(folder, findings)]
    splits = [split for folder in finished if (split := read_split(folder, findings))]
    if not names:
        findings.fault(output, "no split: there is no _melbeam/*/job.json, so melbeam extract did not write it")
    for path, _ in files.match(ShardName.glob(output)):
        named = ShardName.parse(path)
        if names and (named is None or named.split not in names):
            findings.fault(path, f"no shard of the splits {', '.join(names)}, which _melbeam knows; move it away")
    for split in splits:
        check_shards(split, findings)
    check_ids({split.folder.split: split.ids for split in splits}, findings)
    if splits and len(splits) == len(names):  # else they are written anew when the last split is whole
        check_metadata(output, splits, findings)
    return splits, findings
