"""lhotse's cuts (`cuts.jsonl.gz`): recording, start, duration, and the text of the supervisions.

A cut is read from its own JSON, so lhotse is not needed.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from typing import Any

from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources.column_types import ColumnTypes, with_one_type, with_types
from melbeam.pipelines.sources.columns import refuse_reserved, renamed
from melbeam.pipelines.sources.kinds import LHOTSE
from melbeam.pipelines.sources.repeated_ids import RepeatedIds
from melbeam.pipelines.sources.rows import (
    BadRow,
    Row,
    as_id,
    check_can_be_read,
    folder_of_relative,
    path_in,
    read_rows,
)
from melbeam.pipelines.sources.segments import NEAR
from melbeam.pipelines.sources.text_lines import Lines, json_of, open_text
from melbeam.pipelines.sources.units import (
    BYTES_A_SECOND,
    SECONDS_OF_A_RECORD,
    Found,
    Item,
    LeftOut,
    Planned,
    SourceOptions,
    Unit,
    printable,
    runs,
    units_of_lines,
)
from melbeam.transforms.folder_layout import folder_prefix
from melbeam.transforms.records.kept_rows import keep_row
from melbeam.transforms.records.schema import TEXT
from melbeam.transforms.records.segments import encode_segments
from melbeam.transforms.records.values import as_feature, as_seconds
from melbeam.transforms.records.wire import Values

_PARTS_OF_CUTS = {
    "recordings": ("id", "sources", "num_samples"),
    "supervisions": ("id", "recording_id", "start", "duration"),
}
# Reading a cut raises these where its JSON has another shape.
_NO_CUT = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


def plan(found: Found, options: SourceOptions) -> Planned:
    """Ranges of cuts of about `shard_bytes` of audio.

    Raises:
        ValueError: the file is empty, or none of its lines is a cut that can be read.
    """
    types, ids = ColumnTypes(), RepeatedIds()
    units = [unit for path, size in found.paths for unit in _plan_file(path, size, options, types, ids)]
    where = printable(found.pattern)
    return Planned(
        with_types(units, types.of_mixed()),
        LeftOut(notes=[*types.note(where), *ids.note(where, "give each cut one of its own")]),
    )


def _plan_file(path: str, size: int, options: SourceOptions, types: ColumnTypes, ids: RepeatedIds) -> list[Unit]:
    starts: list[int] = []
    weights: list[int] = []
    columns: set[str] = set()
    first: str | None = None
    first_error: Exception | None = None
    with open_text(path) as file:
        lines = Lines(file)
        for offset, line in lines.with_offsets():
            if not line.strip():
                continue
            starts.append(offset)
            seconds = SECONDS_OF_A_RECORD
            try:
                cut = _cut_of(line)
                seconds = as_seconds(cut.get("duration"), "duration") or seconds
                found_columns = _columns_of(cut)
                columns.update(found_columns)
                name, renamed_columns = _id_and_columns(cut, found_columns, options.columns)
                types.see(renamed_columns)
                ids.see(name)
                first = first or _source_of(cut["recording"])
            except _NO_CUT as error:  # a reject of its own, where others can be read
                first_error = first_error or error
            weights.append(round(seconds * BYTES_A_SECOND))
        end, digest = lines.offset, lines.digest.hexdigest()
    if not starts:
        raise ValueError(f"{printable(path)} is empty")
    if first is None:
        raise ValueError(f"{printable(path)} holds no cuts that can be read: {first_error}") from first_error
    absent = [theirs for theirs in options.columns.values() if theirs not in columns]
    if absent:
        raise UsageError(
            Refusal.BAD_COLUMNS,
            f"{printable(path)} has no {absent[0]!r}; its cuts have {', '.join(sorted(columns))}",
        )
    refuse_reserved(columns - {*options.columns.values()}, printable(path))
    found = runs(weights, options)
    starts.append(end)
    folder = folder_prefix(path)
    check_can_be_read(first, printable(path))
    folder = folder_of_relative(first, folder)
    details = {"sha256": digest, "columns": dict(options.columns), "folder": folder}
    return units_of_lines(path, size, LHOTSE, found, starts, [details] * len(found))


def _cut_of(line: bytes) -> dict[str, Any]:
    """A cut's JSON.

    Raises:
        ValueError: it is no cut of one recording, or is of several channels.
    """
    try:
        cut = json_of(line)
    except ValueError as error:
        raise ValueError(f"no JSON: {error}") from error
    if isinstance(cut, dict):
        refuse_parts_of_cuts(cut, "a line")
    if not isinstance(cut, dict) or as_id(cut.get("id")) is None:
        raise ValueError("no cut: an object with an id, a recording, a start and a duration")
    if "recording" not in cut:
        kind = cut.get("type", "a cut without a recording")
        raise ValueError(f"{kind}: only cuts of one recording can be read; lhotse's save_audios makes them")
    if isinstance(cut.get("channel"), list) and len(cut["channel"]) > 1:
        # What is said in each of them is lost in their mean.
        raise ValueError(
            f"{cut.get('type', 'MultiCut')} {cut['id']!r} is of the channels {cut['channel']}, and cuts of one "
            "are read: lhotse's to_mono makes one of each"
        )
    return cut


def refuse_parts_of_cuts(names: Container[str], where: str) -> None:
    """Refuses lhotse's recordings and supervisions, which only together are clips with texts.

    Raises:
        ValueError: an object with these names is one of them.
    """
    for kind, of_kind in _PARTS_OF_CUTS.items():
        if all(name in names for name in of_kind):
            raise ValueError(
                f"{where} holds lhotse's {kind} alone: join them to cuts first (lhotse cut simple "
                "-r recordings.jsonl.gz -s supervisions.jsonl.gz cuts.jsonl.gz)"
            )


def _columns_of(cut: Mapping[str, Any]) -> dict[str, Values]:
    """Gathers what passes through: `custom`, and the supervisions' own fields, joined where there are several."""
    columns: dict[str, Any] = {}
    supervisions = sorted(cut.get("supervisions") or (), key=lambda supervision: supervision.get("start", 0.0))
    for supervision in supervisions if len(supervisions) == 1 else ():
        columns |= supervision.get("custom") or {}
    columns |= cut.get("custom") or {}
    texts = [supervision["text"] for supervision in supervisions if supervision.get("text")]
    if texts:
        columns[TEXT] = " ".join(texts)
    for name in ("speaker", "language", "gender"):
        values = list(dict.fromkeys(s[name] for s in supervisions if s.get(name) is not None))
        if values:
            columns[name] = " ".join(map(str, values))
    features = {name: as_feature(value) for name, value in columns.items()}
    return {name: value for name, value in features.items() if value is not None}


def _id_and_columns(
    cut: Mapping[str, Any], found: Mapping[str, Values], asked: Mapping[str, str]
) -> tuple[str, dict[str, Values]]:
    """The id of a cut, and what passes through with it.

    The id is in the column that `--columns=id=` names, else its own; a field `id` of `custom` is not asked.
    """
    columns = renamed(found, asked)
    given = columns.pop("id", None)
    return (as_id(given) if "id" in asked else None) or str(as_id(cut["id"])), columns


def _segments_of(cut: Mapping[str, Any], duration: float) -> list[tuple[float, float, str]]:
    """Start and end in the cut, in seconds, and text of each supervision that has one."""
    return [
        (
            max(0.0, round(float(said.get("start", 0.0)), 9)),
            min(round(float(said.get("start", 0.0)) + float(said.get("duration", duration)), 9), duration),
            str(said["text"]),
        )
        for said in cut.get("supervisions") or ()
        if said.get("text")
    ]


def read(unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """The cuts' audio, in order."""

    def rows() -> Iterator[Row | BadRow]:
        with open_text(unit.path) as file:
            file.seek(unit.span.start)
            for line in Lines(file, unit.span.start, unit.span.end):
                if line.strip():
                    yield _row(line, unit.details)

    yield from read_rows(rows(), unit, max_record_bytes)


def _row(line: bytes, details: Mapping[str, Any]) -> Row | BadRow:
    try:
        cut = _cut_of(line)
        recording = cut["recording"]
        audio = path_in(details["folder"], _source_of(recording))
        start = as_seconds(cut.get("start"), "start") or 0.0
        duration = as_seconds(cut["duration"], "duration")
        if duration is None:
            raise ValueError("a cut without a duration")
        whole = start < NEAR and abs(duration - float(recording["duration"])) < NEAR
        name, found = _id_and_columns(cut, _columns_of(cut), details["columns"])
        columns = with_one_type(found, details.get("types", {}))
        # The supervisions' times are those of their own texts, not of another column's.
        said = _segments_of(cut, duration) if details["columns"].get(TEXT, TEXT) == TEXT else []
        segments = encode_segments(said) if said and TEXT in columns else ""
        channel = _channel_of(cut, recording)
        if whole:
            return Row(audio, name, seconds=duration, channel=channel, segments=segments, columns=columns)
        end = round(start + duration, 9)
        return Row(audio, name, start, end, channel=channel, segments=segments, columns=columns)
    except _NO_CUT as error:
        detail = f"no {error} in the cut" if isinstance(error, KeyError) else str(error)
        kept = {"kind": LHOTSE, "line": line.decode("latin-1"), "details": dict(details)}
        return BadRow(f"{detail}: {line[:80]!r}", keep_row(kept, {}, {}), _id_in(line))


def _source_of(recording: Mapping[str, Any]) -> str:
    """The one file that a recording is.

    Raises:
        ValueError: it is another, or of several, or is changed as it is read.
    """
    sources = recording["sources"]
    if any(source["type"] == "shar" for source in sources):
        raise ValueError(
            "a recording whose samples lie in a tar file of lhotse's Shar: lhotse's save_audios writes them as "
            "files, and --input='recording.*.tar' takes the clips without what the cuts say"
        )
    if len(sources) != 1 or sources[0]["type"] not in ("file", "url"):
        kinds = ", ".join(source["type"] for source in sources)
        raise ValueError(f"a recording of {len(sources)} sources ({kinds}); one file is read")
    if recording.get("transforms"):
        raise ValueError("a recording with transforms, which lhotse applies as it reads: save the audio first")
    return str(sources[0]["source"])


def _id_in(line: bytes) -> str | None:
    """The id of a cut, also of one that cannot be read; None where there is none."""
    with suppress(*_NO_CUT):
        return as_id(json_of(line).get("id"))
    return None


def _channel_of(cut: Mapping[str, Any], recording: Mapping[str, Any]) -> int | None:
    """The channel that a cut is of a recording with several; None where there is one.

    Raises:
        ValueError: the recording has no such channel.
    """
    there = recording.get("channel_ids") or recording["sources"][0].get("channels") or [0]
    channels = cut.get("channel", there)
    channels = channels if isinstance(channels, list) else [channels]
    return None if len(there) == 1 or len(channels) > 1 else there.index(channels[0])


def read_again(row: Mapping[str, Any], unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """A cut that could not be read before."""
    yield from read_rows([_row(row["line"].encode("latin-1"), row["details"])], unit, max_record_bytes)
