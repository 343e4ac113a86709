"""A whole folder of features, or of audio: does it hold what it says, and all that it should?

Every byte is read. Memory grows by eight bytes a record, for the ids, by one shard's index and report, and by a
few lines a file with faults.
"""

from __future__ import annotations

from dataclasses import dataclass

from melbeam.pipelines import files
from melbeam.pipelines.verifying import FILES_OF_A_SPLIT
from melbeam.pipelines.verifying.audio_splits import (
    AudioSplit,
    check_audio_split,
    check_made_together,
    read_audio_split,
)
from melbeam.pipelines.verifying.findings import Findings
from melbeam.pipelines.verifying.ids import check_ids
from melbeam.pipelines.verifying.metadata import check_metadata
from melbeam.pipelines.verifying.shards import check_shards
from melbeam.pipelines.verifying.splits import Split, is_unfinished, read_split
from melbeam.transforms.folder_layout import ShardName, SplitFolder, of_all_splits
from melbeam.transforms.reading.not_features import is_of_ingest


@dataclass
class Verified:
    """A folder that was checked: its splits, and what was found.

    Attributes:
        splits: of features.
        audio: splits of audio, as `melbeam ingest` writes them.
        findings: faults and warnings.
    """

    splits: list[Split]
    audio: list[AudioSplit]
    findings: Findings


def verify_folder(output: str) -> Verified:
    """Checks a whole folder."""
    findings = Findings()
    kept = [path for name in FILES_OF_A_SPLIT for path, _ in files.match(of_all_splits(output, name))]
    names = sorted({SplitFolder.holding(path).split for path in kept})
    folders = [SplitFolder(output, name) for name in names]
    finished = [folder for folder in folders if not is_unfinished(folder, findings)]
    of_audio = [folder for folder in finished if is_of_ingest(folder)]
    of_features = [folder for folder in finished if folder not in of_audio]
    splits = [split for folder in of_features if (split := read_split(folder, findings)) is not None]
    audio = [found for folder in of_audio if (found := read_audio_split(folder, findings)) is not None]
    if not names:
        findings.fault(output, "no split: there is no _melbeam/*/job.json, so melbeam extract did not write it")
    for path, _ in files.match(ShardName.glob(output)):
        named = ShardName.parse(path)
        if names and (named is None or named.split not in names):
            findings.fault(path, f"no shard of the splits {', '.join(names)}, which _melbeam knows; move it away")
    for split in splits:
        check_shards(split, findings)
    for found in audio:
        check_audio_split(found, findings)
    if len(finished) == len(folders):
        check_made_together(audio, findings)
    ids = {split.folder.split: split.ids for split in splits}
    check_ids(ids | {found.folder.split: found.ids for found in audio}, findings)
    if splits and len(splits) == len(names):  # else they are written anew when the last split is whole
        check_metadata(output, splits, findings)
    return Verified(splits, audio, findings)
