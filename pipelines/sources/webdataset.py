"""WebDataset's tar files: members of one stem are one sample; also NeMo's tarred sets, with their manifest.

A sample's key is its members' path up to the first dot of the name. The audio is the member whose ending is an
audio file's; other members pass through under their endings.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from melbeam.pipelines import files
from melbeam.pipelines.sources.columns import SPELLINGS, passed_through
from melbeam.pipelines.sources.endings import ENDINGS, MEDIA_ENDINGS
from melbeam.pipelines.sources.kinds import WEBDATASET
from melbeam.pipelines.sources.text_lines import Lines, RawFile, open_text
from melbeam.pipelines.sources.units import (
    AudioRecord,
    Damage,
    Found,
    Item,
    Planned,
    SourceOptions,
    Unit,
    printable,
)
from melbeam.transforms.folder_layout import file_name, parent
from melbeam.transforms.records.examples import Values, to_example
from melbeam.transforms.records.rejects import Reject, with_place
from melbeam.transforms.records.schema import RESERVED
from melbeam.transforms.records.values import as_feature

NEMO_MANIFEST = "tarred_audio_manifest.json"
_AUDIO = tuple(ending.removeprefix(".") for ending in (*ENDINGS, *MEDIA_ENDINGS))
_KEY = re.compile(r"((?:.*/|)[^./]+)[.]([^/]*)")  # webdataset's own rule
_SHARD = re.compile(r"(\d+)$")
_GZIP = b"\x1f\x8b"
_BLOCK = 512  # bytes, of tar


@dataclass
class _Sample:
    """Members of one key.

    Attributes:
        key: of them.
        members: ending to content.
        reject: why they cannot be used.
        damaged_bytes: of the tar file, that are no members, within it or in its place.
    """

    key: str
    members: dict[str, bytes] = field(default_factory=dict)
    reject: Reject | None = None
    damaged_bytes: int = 0


@dataclass(frozen=True)
class _Lost:
    """Bytes of a tar file that are no members.

    Attributes:
        reject: what is said of them.
        size: how many they are; 0 where only the end is missing.
    """

    reject: Reject
    size: int = 0

    @classmethod
    def between(cls, start: int, end: int) -> _Lost:
        """The bytes between two members."""
        detail = "bytes that are no members of the tar file"
        return cls(Reject("bad_framing", with_place(detail, end - start, start)), end - start)


def plan(found: Found, options: SourceOptions) -> Planned:
    """A unit for each tar file.

    Raises:
        ValueError: a number of shards was asked for, which whole tar files cannot give.
    """
    units = []
    for path, size in found.paths:
        if file_name(path) == NEMO_MANIFEST:
            continue
        manifest = f"{parent(path) if '/' in path else '.'}/{NEMO_MANIFEST}"
        details: dict[str, Any] = {"columns": dict(options.columns)}
        if files.exists(manifest):
            details["manifest"] = manifest
        units.append(Unit(path, size, kind=WEBDATASET, details=details))
    return Planned(units)


def read(unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """The samples, in order; a broken member is one damage."""
    rows = _nemo_rows(unit) if "manifest" in unit.details else None
    for number, sample in enumerate(_samples(unit.path, max_record_bytes)):
        place = unit.place(number)
        try:
            if sample.reject is not None:
                raise sample.reject
            record, seconds = _record(sample, unit.details["columns"], rows)
            yield AudioRecord(number, place, record, seconds)
        except Reject as reject:
            reject.record_id = printable(sample.key) or None
            data = b"".join(sample.members.values()) if not sample.key else _kept(sample)
            yield Damage(number, place, reject, data, sample.damaged_bytes)


def _kept(sample: _Sample) -> bytes:
    fields = {name.replace(".", "_"): value for name, value in sample.members.items() if name not in RESERVED}
    return to_example({**fields, "id": printable(sample.key)})


def _record(
    sample: _Sample, columns: Mapping[str, str], rows: Mapping[str, dict[str, Any]] | None
) -> tuple[bytes, float | None]:
    """The sample as an audio record, and the seconds that a manifest says.

    Raises:
        Reject: it has no audio, or none of one name.
    """
    name = columns.get("audio") or _audio_among(sample.members)
    if name is None or name not in sample.members:
        raise Reject("no_audio", f"no audio among the members {', '.join(sample.members)} of {sample.key!r}")
    values: dict[str, Any] = {
        other: _value(other, data) for other, data in sample.members.items() if other != name
    }
    seconds = None
    if rows is not None:
        row = rows.get(f"{sample.key}.{name}") or rows.get(file_name(f"{sample.key}.{name}"))
        if row is None:
            raise Reject("bad_row", f"{sample.key}.{name} is not in the set's {NEMO_MANIFEST}")
        values |= {key: value for key, value in row.items() if key not in ("audio_filepath", "shard_id")}
        duration = row.get("duration")
        seconds = float(duration) if isinstance(duration, int | float) else None
    for ours, theirs in columns.items():
        if theirs not in values and theirs.startswith("json.") and ours != "audio":
            values[theirs] = _field_of_json(sample.members.get("json", b"{}"), theirs.removeprefix("json."))
    fields = passed_through({**values}, {ours: theirs for ours, theirs in columns.items() if ours != "audio"})
    given = values.get(columns["id"]) if "id" in columns else None
    fields = {name: value for name, value in fields.items() if not (rows is not None and name in _TIMES)}
    key = given.decode(errors="replace") if isinstance(given, bytes) else given
    fields["id"] = printable(sample.key) if key is None else str(key)
    return to_example(fields, None, ("audio", memoryview(sample.members[name]))), seconds


_TIMES = ("offset",)


def _audio_among(members: Mapping[str, bytes]) -> str | None:
    return next((name for name in members if name.lower().rpartition(".")[2] in _AUDIO), None) or next(
        (name for name in SPELLINGS["audio"] if name in members), None
    )


def _value(name: str, data: bytes) -> Values | None:
    """A member's content: a class number as an integer, anything else as it is."""
    if name.rpartition(".")[2] in ("cls", "cls2", "index", "inx"):
        try:
            return int(data)
        except ValueError:
            return data
    return data


def _field_of_json(data: bytes, name: str) -> Values | None:
    """One field of the member `json`.

    Raises:
        Reject: bad_row, it is no JSON object.
    """
    try:
        return as_feature(json.loads(data).get(name))
    except (ValueError, AttributeError) as error:
        raise Reject("bad_row", f"the member json is no JSON object: {data[:60]!r}") from error


def _samples(path: str, max_record_bytes: int) -> Iterator[_Sample]:
    """The samples; bytes that belong to no member are a sample without a key, unless they lie within one."""
    sample: _Sample | None = None
    damage: _Lost | None = None  # behind the last member
    for name, content in _members(path, max_record_bytes):
        if isinstance(content, _Lost):
            damage = content
            continue
        match = _KEY.fullmatch(name)
        if match is None or file_name(name).startswith("."):
            continue  # a folder's own file, such as README, is of no sample
        key, ending = match[1], match[2]
        if sample is None or sample.key != key or ending in sample.members:
            if sample is not None:
                yield sample
            if damage is not None:
                yield _Sample("", reject=damage.reject, damaged_bytes=damage.size)
            sample = _Sample(key)
        elif damage is not None:  # a member of it is lost
            sample.reject, sample.damaged_bytes = damage.reject, damage.size
        damage = None
        if isinstance(content, Reject):
            sample.reject = sample.reject or content
        else:
            sample.members[ending] = content
    if sample is not None:
        yield sample
    if damage is not None:
        yield _Sample("", reject=damage.reject, damaged_bytes=damage.size)


def _members(path: str, max_record_bytes: int) -> Iterator[tuple[str, bytes | Reject | _Lost]]:
    """Names and contents, and what lies between the members and is none."""
    with files.open_file(path) as opened:
        compressed = opened.read(2) == _GZIP
        opened.seek(0)
        file: io.BufferedIOBase = io.BufferedReader(RawFile(opened), 1 << 20)
        if compressed:
            file = gzip.GzipFile(fileobj=file)
        try:
            # Where a header does not hold, the next block that is one goes on.
            tar = tarfile.open(fileobj=file, mode="r:", ignore_zeros=True)  # noqa: SIM115
        except (tarfile.ReadError, EOFError, OSError) as error:
            yield "", _Lost(Reject("bad_framing", f"no tar file: {error}"))
            return
        end, content = 0, None
        while True:
            try:
                member = tar.next()
            except (tarfile.TarError, EOFError, OSError, ValueError) as error:
                if not isinstance(content, Reject):  # a cut member has said so itself
                    detail = f"the tar file is cut or damaged behind byte {end}: {error}"
                    yield "", _Lost(Reject("bad_framing", detail))
                return
            if member is None:
                break
            if member.offset > end and _has_content(file, end, member.offset):
                yield "", _Lost.between(end, member.offset)
            vars(tar)["members"] = []  # which tarfile would keep all of
            end = member.offset_data + -(-member.size // _BLOCK) * _BLOCK if member.isreg() else member.offset_data
            if member.isreg():
                content = _content(tar, member, max_record_bytes)
                yield member.name, content
        there = file.seek(0, 2) if not compressed else end
        if there > end and _has_content(file, end, there):
            yield "", _Lost.between(end, there)


def _has_content(file: io.BufferedIOBase, start: int, end: int) -> bool:
    """Whether bytes between two members are no zeros, as at the end of each tar of several in one file."""
    position = file.tell()
    try:
        file.seek(start)
        left = end - start
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            if block.strip(b"\0"):
                return True
            left -= len(block)
        return False
    finally:
        file.seek(position)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, max_record_bytes: int) -> bytes | Reject:
    if member.size > max_record_bytes:
        return Reject("over_limit", f"{printable(member.name)} has {member.size} bytes, above {max_record_bytes}")
    try:
        opened = tar.extractfile(member)
        data = b"" if opened is None else opened.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        return Reject("bad_row", f"{printable(member.name)} cannot be read: {error}")
    if len(data) < member.size:
        return Reject(
            "bad_row", f"{printable(member.name)} is cut: {len(data)} of its {member.size} bytes are there"
        )
    return data


def _nemo_rows(unit: Unit) -> dict[str, dict[str, Any]]:
    """The manifest's rows of one tar file, by the members' names."""
    number = _SHARD.search(file_name(unit.path).partition(".")[0])
    shard = int(number[1]) if number else None
    rows: dict[str, dict[str, Any]] = {}
    with open_text(unit.details["manifest"]) as file:
        for line in Lines(file):
            try:
                row = json.loads(line)
                if row.get("shard_id") in (None, shard):
                    rows[str(row["audio_filepath"])] = row
            except (ValueError, KeyError, AttributeError):
                continue  # its member, if there is one, is a reject
    return rows
