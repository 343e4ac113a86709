"""What a corpus is kept in: TFRecords, audio files, manifests, Kaldi, lhotse, Parquet, WebDataset.

Every source names its units of work, which become output shards one for one, and reads one unit as a stream of
audio records and damages (`units`). The launcher plans, with `plan_units`; a worker reads, with `read_unit`.

    units.py         the protocol, and the plan's line
    finding.py       which kind an input is; foreign.py: what is none
    tfrecord.py audio_files.py manifests.py kaldi.py lhotse.py parquet.py webdataset.py     one a kind
    tar_members.py   a damaged tar file as far as it can be read; nemo_tarred.py: which rows a member has
    rows.py          clips named by their path; segments.py: of long recordings; kept.py: rows of rejects, again
    preview.py       what was understood of it, for --dry_run
    in_pipelines.py  ReadAudio and read_audio, for somebody's own pipeline
    transcripts.py   LibriSpeech's and LJSpeech's texts; manifest_format.py: how a manifest's bytes are rows
    columns.py       which column is what; column_types.py: one type each; nested.py: fields inside of others
    renaming.py      features of other names; repeated_ids.py: ids that a table has twice
    several_splits.py  files of several splits in one input
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from melbeam.pipelines.sources.in_pipelines import ReadAudio, read_audio

__all__ = ["ReadAudio", "read_audio"]


def __getattr__(name: str) -> Any:
    """Loads Beam or TensorFlow for what needs them, when it is asked for."""
    if name in __all__:
        from melbeam.pipelines.sources import in_pipelines

        return getattr(in_pipelines, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
