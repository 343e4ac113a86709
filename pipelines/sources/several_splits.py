"""Tells that an input is of several splits, which become one: a test set would be trained on."""

from __future__ import annotations

import re
from functools import lru_cache

from melbeam.pipelines.sources.kinds import AUDIO, TFRECORD
from melbeam.pipelines.sources.units import Found, printable
from melbeam.transforms.folder_layout import ShardName, file_name

# A file's name as TFDS writes it by itself: `librispeech-train_clean100.tfrecord-00000-of-00100`.
_OF_TFDS = re.compile(r"(.*-)?(\w+)\.tfrecord-\d+-of-\d+")
# What people call splits, and those of one meaning by one name.
_SPLITS = {name: name for name in ("train", "validation", "test", "dev", "eval")} | {
    "training": "train",
    "valid": "validation",
    "val": "validation",
    "testing": "test",
    "evaluation": "eval",
}
# In the name of a file a split may stand anywhere, as in `cuts_train.jsonl.gz`; a folder's begins with it, or is
# that of a column, as Spark divides tables.
_IN_A_FILE = re.compile(rf"(?<![a-z])({'|'.join(_SPLITS)})(?![a-z])")
_IN_A_FOLDER = re.compile(rf"(^|/)(?:split=)?({'|'.join(_SPLITS)})(?![a-z])[^/]*(?=/)")


def note_of_splits(kind: str, found: Found) -> list[str]:
    """A line for a person where the files of an input are of several splits, by their names; else none.

    Args:
        kind: of the source.
        found: its files. Those of clips are called what people like, and only their folders tell.
    """
    globs: dict[str, str] = {}  # of the files of one split, from its first one, by its name
    for path, _ in found.paths:
        named = (_of_records(path) if kind == TFRECORD else None) or _of_names(kind, path, found.root)
        if named is not None:
            globs.setdefault(*named)
    if len(globs) < 2:
        return []
    first, of_first = min(globs.items())
    return [
        f"{printable(found.pattern)} has the splits {', '.join(sorted(globs))}, and their records become one; "
        f"--input='{printable(of_first)}' takes those of {first} alone"
    ]


def _of_records(path: str) -> tuple[str, str] | None:
    """The split of TFRecords, whose name has it where melbeam or TFDS writes it, and the glob of its files."""
    name, of_tfds = ShardName.parse(path), _OF_TFDS.fullmatch(file_name(path))
    folder = path.removesuffix(file_name(path))
    if name is not None:
        return name.split, f"{folder}{name.split}-*"
    return None if of_tfds is None else (of_tfds[2], f"{folder}{of_tfds[1] or ''}{of_tfds[2]}.tfrecord-*")


def _of_names(kind: str, path: str, root: str) -> tuple[str, str] | None:
    """The split that the name of a file or of a folder below the root tells, and what names its files."""
    name = file_name(path)
    folder = path.removesuffix(name)
    in_file = None if kind == AUDIO else _IN_A_FILE.search(name.lower())
    if in_file is not None:
        return _SPLITS[in_file[1]], f"{folder}{name[: in_file.end()]}*"
    return _of_folder(folder, root)


@lru_cache(maxsize=1)  # files come sorted, and a folder may have a million of them
def _of_folder(folder: str, root: str) -> tuple[str, str] | None:
    below = folder.removeprefix(root)
    found = _IN_A_FOLDER.search(below.lower())
    return None if found is None else (_SPLITS[found[2]], f"{root}{below[: found.end()]}")
