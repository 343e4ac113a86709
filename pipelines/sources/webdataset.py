"""WebDataset's tar files: members of one stem are one sample; also NeMo's tarred sets, with their manifest.

A sample's key is its members' path up to the first dot of the name. The audio is the member whose ending is an
audio file's; other members pass through under their endings, in small letters, as webdataset itself has them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from melbeam.pipelines.sources.audio_files import HEAD
from melbeam.pipelines.sources.columns import SPELLINGS, passed_through
from melbeam.pipelines.sources.endings import MEDIA_ENDINGS, SNDFILE_ENDINGS
from melbeam.pipelines.sources.kinds import WEBDATASET
from melbeam.pipelines.sources.nemo_tarred import NEMO_MANIFEST, NemoRow, NemoRows, manifests_in, shard_of
from melbeam.pipelines.sources.nested import lifted
from melbeam.pipelines.sources.rows import OF_ONE_FILE, as_id
from melbeam.pipelines.sources.segments import NEAR, Recordings
from melbeam.pipelines.sources.tar_members import Lost, members_of
from melbeam.pipelines.sources.text_lines import json_of
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
from melbeam.transforms.folder_layout import file_name, folder_of
from melbeam.transforms.records.containers.formats import name_of_beginning
from melbeam.transforms.records.kept_rows import keep_row
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.schema import RESERVED, TEXT
from melbeam.transforms.records.tf_example import to_example
from melbeam.transforms.records.values import as_feature
from melbeam.transforms.records.wire import Values

_AUDIO = tuple(ending.removeprefix(".") for ending in SNDFILE_ENDINGS)
_MEDIA = tuple(ending.removeprefix(".") for ending in MEDIA_ENDINGS)
_KEY = re.compile(r"((?:.*/|)[^./]+)[.]([^/]*)")  # webdataset's own rule


@dataclass
class _Sample:
    """Members of one key.

    Attributes:
        key: of them; empty for bytes that belong to no member.
        start: offset of the first of them in the tar file.
        end: offset of what comes behind them; None where nothing does that could be read.
        members: ending to content.
        reject: why they cannot be used.
        damaged_bytes: of the tar file, that are no members, within it or in its place.
    """

    key: str
    start: int
    end: int | None = None
    members: dict[str, bytes] = field(default_factory=dict)
    reject: Reject | None = None
    damaged_bytes: int = 0


def plan(found: Found, options: SourceOptions) -> Planned:
    """A unit for each tar file, with NeMo's manifest where one lies beside it."""
    units = []
    manifests: dict[str, dict[int | None, str]] = {}  # by folder
    columns = {ours: _in_small_letters(theirs) for ours, theirs in options.columns.items()}
    for path, size in found.paths:
        if file_name(path) == NEMO_MANIFEST:
            continue
        details: dict[str, Any] = {"columns": columns}
        if (folder := folder_of(path)) not in manifests:
            manifests[folder] = manifests_in(folder)
        if (manifest := manifests[folder].get(None) or manifests[folder].get(shard_of(path))) is not None:
            details["manifest"] = manifest
        units.append(Unit(path, size, kind=WEBDATASET, details=details))
    return Planned(units)


def _in_small_letters(member: str) -> str:
    """The name of a member; of a field of the member `json`, that part of it."""
    ending, dot, name = member.partition(".")
    return f"json.{name}" if dot and ending.lower() == "json" else member.lower()


def read(unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """The samples, in order; a broken member is one damage."""
    yield from _Part(unit.path, unit.details, unit, max_record_bytes).items()


def read_again(row: Mapping[str, Any], unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """What could not be read before: a part of a tar file, which may be whole by now."""
    number = unit.span.number
    try:
        is_there = False
        part = (row["start"], row["end"], row["only"])
        for item in _Part(row["path"], row["details"], unit, max_record_bytes, *part).items():
            is_there = True
            yield item
        if is_there:
            return
        why = f"no sample begins there in {printable(row['path'])}"
    except OF_ONE_FILE as error:
        why = str(error)
    reject = Reject("bad_row", f"{why}: copy {printable(row['path'])} again from its source")
    yield Damage(number, unit.place(number), reject, keep_row(row, {}, {}))


@dataclass(frozen=True)
class _Part:
    """A part of a tar file; its samples are those that begin in it.

    Attributes:
        tar: path of the file.
        details: of the unit that the file is read for.
        unit: which numbers and places are of.
        max_record_bytes: of a member.
        start: offset of the first sample.
        end: offset behind the last; None for the file's end.
        only: the one row of NeMo's manifest that is wanted.
    """

    tar: str
    details: Mapping[str, Any]
    unit: Unit
    max_record_bytes: int
    start: int = 0
    end: int | None = None
    only: str | None = None

    def items(self) -> Iterator[Item]:
        """The records and damages, numbered and placed as in the unit."""
        nemo = NemoRows(self.details["manifest"], self.tar) if "manifest" in self.details else None
        numbers = count(self.unit.span.number)
        for sample in _samples(self.tar, self.max_record_bytes, self.start, self.end):
            # A fault of another sample than that of the wanted row is a reject of its own.
            if self.only is None or nemo is None or _is_of_member(sample, nemo.member_of(self.only)):
                yield from self._of_sample(sample, nemo, numbers)
        if nemo is not None and self.start == 0 and self.end is None and self.only is None:
            for row in nemo.missing():
                detail = f"{row.path} of the set's {nemo.name} is not in {printable(self.tar)}"
                lacking = _Sample(row.id, 0)
                yield self._damage(next(numbers), Reject("not_found", detail, row.id), lacking, row.path)

    def _of_sample(self, sample: _Sample, nemo: NemoRows | None, numbers: Iterator[int]) -> Iterator[Item]:
        columns, key = self.details["columns"], printable(sample.key) or None
        try:
            if sample.reject is not None:
                raise sample.reject
            name = _name_of_audio(sample, columns)
            rows: Sequence[NemoRow | None] = [None] if nemo is None else _rows_of(nemo, f"{sample.key}.{name}")
        except Reject as reject:
            reject.record_id = key
            yield self._damage(next(numbers), reject, sample)
            return
        recordings = Recordings(self.max_record_bytes, partial(_member, sample))
        for row in rows:
            if self.only is not None and (row is None or row.path != self.only):
                continue
            try:
                record, seconds = _record(sample, name, columns, row, recordings)
            except Reject as reject:
                reject.record_id = key if row is None else row.id
                yield self._damage(next(numbers), reject, sample, None if row is None else row.path)
                continue
            number = next(numbers)
            yield AudioRecord(number, self.unit.place(number), record, seconds)
        recordings.close()

    def _damage(self, number: int, reject: Reject, sample: _Sample, only: str | None = None) -> Damage:
        row = {"kind": WEBDATASET, "path": self.tar, "start": sample.start, "end": sample.end, "only": only}
        kept = keep_row({**row, "details": dict(self.details)}, _fields_of_damage(sample), {})
        return Damage(number, self.unit.place(number), reject, kept, sample.damaged_bytes)


def _member(sample: _Sample, name: str) -> io.BytesIO:
    return io.BytesIO(sample.members[name])


def _is_of_member(sample: _Sample, member: str) -> bool:
    """Whether a member that NeMo's manifest names is of this sample; by all of its path, or by its end alone."""
    match = _KEY.fullmatch(member)
    return match is not None and match[1] in (sample.key, file_name(sample.key))


def _rows_of(nemo: NemoRows, member: str) -> list[NemoRow]:
    rows = nemo.of_member(member)
    if not rows:
        raise Reject("bad_row", f"{printable(member)} is not in the set's {nemo.name}")
    return rows


def _fields_of_damage(sample: _Sample) -> dict[str, Values]:
    fields: dict[str, Values] = {
        name.replace(".", "_"): value for name, value in sample.members.items() if name not in RESERVED
    }
    return {**fields, "id": printable(sample.key)} if sample.key else fields


def _name_of_audio(sample: _Sample, columns: Mapping[str, str]) -> str:
    """The member that is the sample's audio.

    Raises:
        Reject: no_audio; or bad_row, where several could be it.
    """
    members = sample.members
    if "audio" in columns:
        found = [columns["audio"]] if columns["audio"] in members else []
    else:
        by_ending = (
            [name for name in members if name in _AUDIO],
            [name for name in members if name in _MEDIA],
            [name for name in members if name.rpartition(".")[2] in _AUDIO],
            [name for name in members if name.rpartition(".")[2] in _MEDIA],
            [name for name in SPELLINGS["audio"] if name in members][:1],
        )
        found = next((names for names in by_ending if names), [])
    if not found:
        raise Reject("no_audio", f"no audio among the members {', '.join(members)} of {printable(sample.key)!r}")
    if len(found) > 1:
        raise Reject(
            "bad_row",
            f"{printable(sample.key)!r} has {len(found)} members that are audio, {', '.join(found[:3])}, for "
            "WebDataset's key of a name ends at its first dot: choose one with "
            f"--columns=audio={found[0]}, or pack clips of their own under names without further dots",
        )
    return found[0]


def _record(
    sample: _Sample, name: str, columns: Mapping[str, str], row: NemoRow | None, recordings: Recordings
) -> tuple[bytes, float | None]:
    """The sample, or a row's part of it, as an audio record; and the seconds that a manifest says.

    Raises:
        Reject: its metadata cannot be read, or a segment does not lie in its audio.
    """
    audio, seconds = sample.members[name], None
    values: dict[str, Any] = {
        other: _value(other, data) for other, data in sample.members.items() if other != name
    }
    if row is not None:
        audio, seconds = _segment(audio, name, row, recordings)
        values |= row.passed_through
    for ours, theirs in columns.items():
        if theirs not in values and theirs.startswith("json.") and ours != "audio":
            values[theirs] = _field_of_json(sample.members.get("json", b"{}"), theirs.removeprefix("json."))
    if isinstance(text := values.get(columns.get(TEXT, "")), bytes):
        values[columns[TEXT]] = _without_line_feed(text)
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise Reject(
                "bad_row",
                f"the member {columns[TEXT]} is not UTF-8: {error.reason} at {text[error.start :][:4]!r}",
            ) from error
    fields = passed_through(values, {ours: theirs for ours, theirs in columns.items() if ours != "audio"})
    given = values.get(columns["id"]) if "id" in columns else None
    given = _without_line_feed(given) if isinstance(given, bytes) else given
    fields["id"] = as_id(given) or printable(sample.key if row is None else row.id)
    return to_example(fields, None, ("audio", memoryview(audio))), seconds


def _segment(audio: bytes, name: str, row: NemoRow, recordings: Recordings) -> tuple[bytes, float | None]:
    """What a row takes of its member, and the seconds that are only compared.

    Without an offset that is all of it; NeMo cuts where there is one.

    Raises:
        Reject: it does not lie in the audio, or this cannot be decoded.
    """
    offset, duration = row.times()
    if offset is None:
        return audio, duration
    end = None if duration is None else round(offset + duration, 9)
    if not offset and (end is None or abs(end - recordings.seconds(name)) < NEAR):
        return audio, duration
    return recordings.segment(name, offset, end), None


def _without_line_feed(text: bytes) -> bytes:
    """A file's text without the line feed at the end, which is none of it."""
    return text.removesuffix(b"\n").removesuffix(b"\r")


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
        fields = json_of(data)
        return as_feature(lifted(fields, [name]).get(name))
    except (ValueError, TypeError, AttributeError) as error:
        raise Reject("bad_row", f"the member json is no JSON object: {data[:60]!r}") from error


def _samples(path: str, max_record_bytes: int, start: int, end: int | None) -> Iterator[_Sample]:
    """The samples that begin between two offsets.

    Bytes that belong to no member are a sample without a key, unless they lie within one.
    """
    sample: _Sample | None = None
    lost: _Sample | None = None  # behind the last member
    for member in members_of(path, max_record_bytes, start):
        if isinstance(member.content, Lost):
            if end is not None and member.start >= end:
                break
            lost = _Sample("", member.start, None, {}, member.content.reject, member.content.size)
            continue
        content, match = member.content, _KEY.fullmatch(member.name)
        if match is not None and not file_name(member.name).startswith("."):
            key, ending = match[1], match[2].lower()
        elif match is None and isinstance(content, bytes) and name_of_beginning(content[:HEAD]) is not None:
            key, ending = member.name, ""
            content = Reject(
                "bad_row",
                f"{printable(member.name)} is audio, and its name has no ending, which WebDataset wants: pack it "
                "under a name with one",
            )
        else:
            continue  # a folder's own file, such as README, is of no sample
        if sample is None or sample.key != key or ending in sample.members:
            if sample is not None:
                sample.end = member.start if lost is None else lost.start
                yield sample
            if lost is not None:
                lost.end = member.start
                yield lost
            sample = lost = None
            if end is not None and member.start >= end:
                return
            sample = _Sample(key, member.start)
        elif lost is not None:  # a member of it is lost
            sample.reject, sample.damaged_bytes = lost.reject, lost.damaged_bytes
            lost = None
        if isinstance(content, Reject):
            sample.reject = sample.reject or content
        else:
            sample.members[ending] = content
    if sample is not None:
        sample.end = None if lost is None else lost.start
        yield sample
    if lost is not None:
        yield lost
