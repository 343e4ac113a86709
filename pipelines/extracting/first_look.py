"""A look at the input before any work: what would make every record a reject, or a split a part of a corpus."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from melbeam.pipelines import files
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.tfrecord import Record, read_tfrecord_file
from melbeam.pipelines.tfrecord.framing import HEADER, length_of
from melbeam.transforms.records.containers import name_of
from melbeam.transforms.records.examples import check_raw_audio, colliding_names
from melbeam.transforms.records.rejects import Reject

_NAMED_MISSING = 3  # of the missing shards
_OF_MANY = re.compile(r"^(?P<name>.*)-(?P<index>\d{5,})-of-(?P<count>\d{5,})(?P<ending>\.[\w.]+)?$")
_FIRST_BYTES = 64 << 10  # 64 KiB, in which an MP3 shows two frames
# A TFRecord may be compressed; and of the others the first bytes say so little that a damaged one may have them.
_NO_PROOF = ("gzip", "HTK", "MPC 2000", "IRCAM", "AC-3", "MAT4")


def check_input(shards: Sequence[Shard], *, raw_samples: bool) -> None:
    """Refuses input that can be seen to be none from its first file's beginning.

    Args:
        shards: the plan.
        raw_samples: whether records are said to hold samples, not files.

    Raises:
        ValueError: the file is an audio file, or its first record has features that melbeam writes itself, or it
            holds a file where it is said to hold samples.
    """
    for shard in shards:
        if shard.size == 0:
            continue
        with files.open_file(shard.path) as file:
            found = audio_format(file.read(_FIRST_BYTES))
        if found is not None:
            raise ValueError(
                f"--input: {shard.path} is no TFRecord but {found}, by its first bytes: `melbeam ingest` makes "
                "audio TFRecords of audio files, and extract reads those"
            )
        first = next(read_tfrecord_file(shard.path), None)
        if not isinstance(first, Record):
            return
        names = colliding_names(first.data)
        if names:
            raise ValueError(
                f"the first record of {shard.path} has features {', '.join(names)}, names that melbeam writes "
                "itself: rename them, or is this --input the output of an earlier extract?"
            )
        if raw_samples:
            try:
                check_raw_audio(first.data)
            except Reject as reject:
                raise ValueError(f"the first record of {shard.path}: {reject.detail}") from reject
        return


def audio_format(first_bytes: bytes) -> str | None:
    """The format of a file that is no TFRecord but audio, or another kind that is kept beside it; else None."""
    name = None if length_of(first_bytes[:HEADER]) is not None else name_of(first_bytes)
    return None if name in _NO_PROOF else name


def check_shards_are_complete(paths: Iterable[str]) -> None:
    """Refuses a set of NAME-00000-of-00016 files of which some are missing.

    Raises:
        ValueError: with the first of those that are missing.
    """
    found: dict[tuple[str, str, str], set[int]] = {}
    for path in paths:
        if named := _OF_MANY.match(path):
            sets = found.setdefault((named["name"], named["count"], named["ending"] or ""), set())
            sets.add(int(named["index"]))
    for (name, count, ending), indices in found.items():
        missing = [index for index in range(int(count)) if index not in indices]
        if missing:
            first = ", ".join(
                f"{name}-{index:0{len(count)}d}-of-{count}{ending}" for index in missing[:_NAMED_MISSING]
            )
            more = f" and {len(missing) - _NAMED_MISSING} more" if len(missing) > _NAMED_MISSING else ""
            raise ValueError(
                f"--input: of a set of {int(count)} files {len(missing)} are missing: {first}{more}. "
                "Was what writes them interrupted? Start it again, correct the glob, or pass "
                "--allow_missing_shards to extract what is there"
            )
