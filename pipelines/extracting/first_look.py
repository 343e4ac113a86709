"""A look at the input before any work: what would make every record a reject, or a split a part of a corpus."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from melbeam.pipelines import files
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.tfrecord import Record, read_tfrecord_file
from melbeam.transforms.records.examples import colliding_names

_NAMED_MISSING = 3  # of the missing shards
_OF_MANY = re.compile(r"^(?P<name>.*)-(?P<index>\d{5,})-of-(?P<count>\d{5,})(?P<ending>\.[\w.]+)?$")
_FIRST_BYTES = 12
# How an audio file begins; a TFRecord begins with its record's size, which none of these words can be.
_SIGNATURES = (
    (re.compile(rb"RI(FF|FX)....WAVE|RF64....WAVE|riff", re.DOTALL), "WAV"),
    (re.compile(rb"fLaC"), "FLAC"),
    (re.compile(rb"OggS"), "Ogg"),
    (re.compile(rb"ID3|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]"), "MP3"),
    (re.compile(rb"FORM....AIF[FC]", re.DOTALL), "AIFF"),
    (re.compile(rb"\.snd|dns\."), "AU"),
    (re.compile(rb"caff"), "CAF"),
    (re.compile(rb"NIST_1A"), "SPHERE"),
    (re.compile(rb"....ftyp", re.DOTALL), "M4A or MP4"),
    (re.compile(rb"\x1a\x45\xdf\xa3"), "WebM or Matroska"),
    (re.compile(rb"#!AMR"), "AMR"),
)


def check_input(shards: Sequence[Shard]) -> None:
    """Refuses input that can be seen to be none from its first file's beginning.

    Raises:
        ValueError: the file is an audio file, or its first record has features that melbeam writes itself.
    """
    for shard in shards:
        if shard.size == 0:
            continue
        with files.open_file(shard.path) as file:
            found = audio_format(file.read(_FIRST_BYTES))
        if found is not None:
            raise ValueError(
                f"--input: {shard.path} is an audio file ({found}), no TFRecord: `melbeam ingest` makes audio "
                "TFRecords of such files, and extract reads those"
            )
        first = next(read_tfrecord_file(shard.path), None)
        names = colliding_names(first.data) if isinstance(first, Record) else []
        if names:
            raise ValueError(
                f"the first record of {shard.path} has features {', '.join(names)}, names that melbeam writes "
                "itself: rename them, or is this --input the output of an earlier extract?"
            )
        return


def audio_format(first_bytes: bytes) -> str | None:
    """The format of an audio file by its first bytes; None for what begins like none."""
    return next((name for pattern, name in _SIGNATURES if pattern.match(first_bytes)), None)


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
