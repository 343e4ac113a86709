"""The manifest of NeMo's tarred sets: which rows a member of a tar file has.

A recording with several segments is one member, `x.wav`, and its rows are called `x.wav`, `x-sub1.wav` and so on;
each has the offset and the duration of its segment, which NeMo cuts as it reads. A recording may be called
`x-sub1.wav` itself: its row has no offset then, and the tar file has a member of that name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from glob import escape
from typing import Any

from melbeam.pipelines import files
from melbeam.pipelines.sources.column_types import ColumnTypes, with_one_type
from melbeam.pipelines.sources.tar_members import names_in
from melbeam.pipelines.sources.text_lines import Lines, json_of, open_text
from melbeam.transforms.folder_layout import file_name
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.values import as_feature, as_seconds
from melbeam.transforms.records.wire import Values

NEMO_MANIFEST = "tarred_audio_manifest.json"
# NeMo also writes a manifest for each tar file, `manifest_0.json` in this folder for `audio_0.tar`.
SHARDED = "sharded_manifests"
_SHARD = re.compile(r"(\d+)$")
_SUB = re.compile(r"-sub[1-9]\d*(?=\.[^.]*$)")
_PATHS = ("audio_filepath", "audio_file")
_NOT_PASSED = (*_PATHS, "shard_id", "offset")


@dataclass(frozen=True)
class NemoRow:
    """A row of the manifest.

    Attributes:
        path: its name for its audio; unique in the tar file.
        member: the member of the tar file that it is of.
        values: all of its columns.
        types: what columns of several types become, as `ColumnTypes.of_mixed` gives it.
    """

    path: str
    member: str
    values: Mapping[str, Any]
    types: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The name without its ending."""
        return self.path.rpartition(".")[0] or self.path

    @property
    def passed_through(self) -> dict[str, Any]:
        """Its columns but for those that say which audio it is."""
        return dict(with_one_type(_passed_through(self.values), self.types))

    def times(self) -> tuple[float | None, float | None]:
        """Offset and duration in seconds, None where the row says none.

        Raises:
            Reject: bad_row, they are no such numbers.
        """
        try:
            offset, duration = (as_seconds(self.values.get(name), name) for name in ("offset", "duration"))
        except ValueError as error:
            raise Reject("bad_row", str(error)) from error
        return offset, duration


def _passed_through(values: Mapping[str, Any]) -> dict[str, Values]:
    features = {name: as_feature(value) for name, value in values.items() if name not in _NOT_PASSED}
    return {name: value for name, value in features.items() if value is not None}


def manifests_in(folder: str) -> dict[int | None, str]:
    """The manifests of a folder's tar files, by the numbers that these have; that of the whole set by None."""
    if files.exists(whole := f"{folder}/{NEMO_MANIFEST}"):
        return {None: whole}
    found = files.match(f"{escape(folder)}/{SHARDED}/manifest_*.json")
    return {number: path for path, _ in found if (number := shard_of(path)) is not None}


def shard_of(tar: str) -> int | None:
    """The number at the end of the name of a tar file, or of its own manifest; None where there is none."""
    number = _SHARD.search(file_name(tar).partition(".")[0])
    return int(number[1]) if number else None


class NemoRows:
    """The rows of one tar file, by its members.

    Args:
        manifest: path of the set's manifest, or of the tar file's own.
        tar: path of the tar file, whose number its rows have as `shard_id`.
    """

    def __init__(self, manifest: str, tar: str) -> None:
        shard = shard_of(tar)
        self.name = file_name(manifest)
        self._of_member: dict[str, list[NemoRow]] = {}
        self._of_path: dict[str, NemoRow] = {}
        self._missing: dict[str, NemoRow] = {}
        types: dict[str, str] = {}  # of all rows, also those of other tar files
        seen = ColumnTypes()
        rows: list[tuple[str, dict[str, Any]]] = []
        with open_text(manifest) as file:
            for line in Lines(file):
                try:
                    row = json_of(line)
                    path = next(str(row[name]) for name in _PATHS if name in row)
                    said = row.get("shard_id")
                except (ValueError, StopIteration, TypeError, AttributeError):
                    continue  # its member, if there is one, is a reject
                seen.see(_passed_through(row))
                if said is None or said == shard:
                    rows.append((path, row))
        types.update(seen.of_mixed())
        may_be_members = {path for path, row in rows if _SUB.search(path) and not row.get("offset")}
        members = {file_name(name) for name in names_in(tar)} if may_be_members else set()
        for path, row in rows:
            is_member = path in may_be_members and file_name(path) in members
            found = NemoRow(path, path if is_member else _SUB.sub("", path), row, types)
            self._of_member.setdefault(found.member, []).append(found)
            self._of_path[path] = found
            if row.get("shard_id") is not None:
                self._missing[path] = found

    def of_member(self, name: str) -> list[NemoRow]:
        """The rows of a member; none where the manifest does not know it."""
        found = self._of_member.get(name) or self._of_member.get(file_name(name)) or []
        for row in found:
            self._missing.pop(row.path, None)
        return found

    def member_of(self, path: str) -> str:
        """The member that the row of a path is of; the path itself where there is no such row."""
        return self._of_path[path].member if path in self._of_path else path

    def missing(self) -> list[NemoRow]:
        """The rows of this tar file, by their number, whose member has not been asked for."""
        return list(self._missing.values())
