"""Which column of a table is what: `--columns=OURS=THEIRS`, else the spellings that are in use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources.rows import Row, as_id, id_of, path_in
from melbeam.transforms.records.schema import RESERVED, TEXT
from melbeam.transforms.records.values import as_feature, as_seconds
from melbeam.transforms.records.wire import Values

# Ours, and how others write it: Hugging Face's audiofolder, NeMo, Common Voice, lhotse, and what people write.
SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "audio": (
        *("audio", "audio_filepath", "file_name", "path", "audio_path", "audio_file", "filepath", "file_path"),
        *("file", "filename", "audio_file_name", "wav", "wav_path", "wav_filename", "clip", "uri", "url"),
    ),
    "id": ("id",),
    "start": ("start", "onset", "offset", "start_time", "begin", "begin_time"),
    "end": ("end", "end_time", "stop"),
    "duration": ("duration",),
    TEXT: (TEXT, "sentence", "transcription", "transcript"),
    "sampling_rate": ("sampling_rate", "sample_rate"),
}
# A column that says where a segment starts has one of these in its name, however else it is spelled.
_LIKE_A_START = ("start", "begin", "onset", "offset")
_ONSET, _OFFSET = "onset", "offset"  # of a sound, where the second is its end; alone it is a start, as NeMo has it
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_WORDS_OF_TIMES = ({"start", "begin", _ONSET}, {"end", "stop", _OFFSET, "duration", "dur"})
_LONGEST_PATH = 4096  # characters; more is the file itself, as base64 for example
_SHOWN = 80  # characters of what is no path
_T = TypeVar("_T")
# What says which audio a row is, and is not passed through; a duration is, where it says nothing of a segment.
_OF_THE_AUDIO = ("audio", "id", "start", "end")


def parse_columns(text: str | None) -> dict[str, str]:
    """`--columns=OURS=THEIRS,...` as a mapping of ours to theirs.

    Raises:
        ValueError: it is written in another way, or names a column twice.
    """
    columns: dict[str, str] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        ours, equals, theirs = part.partition("=")
        if not equals or not ours.strip() or not theirs.strip():
            raise UsageError(
                Refusal.BAD_COLUMNS, f"--columns must be OURS=THEIRS,..., as audio=speech,id=key; got {part!r}"
            )
        if ours.strip() in columns:
            raise UsageError(Refusal.BAD_COLUMNS, f"--columns names {ours.strip()!r} twice")
        columns[ours.strip()] = theirs.strip()
    return columns


def as_another(name: str) -> str:
    """The option that has a column pass through under another name, for messages."""
    return f"--columns=my_{name}={name}"


def find_columns(
    present: Iterable[str],
    asked: Mapping[str, str],
    where: str,
    holds_paths: Callable[[str], bool] = lambda _: True,
) -> dict[str, str]:
    """Finds which columns of a table are ours, and gives ours to theirs: what was asked for, and known spellings.

    Args:
        present: the table's columns.
        asked: of `--columns`.
        where: the table, for errors.
        holds_paths: whether a column names files, and does not hold the audio itself. What holds its audio is
            whole: its times are columns like any other, unless they were asked for.

    Raises:
        ValueError: no column names audio, one that was asked for is not there, or one would pass through under a
            name that melbeam writes itself.
    """
    there = list(dict.fromkeys(present))
    absent = [theirs for theirs in asked.values() if theirs not in there]
    if absent:
        raise UsageError(
            Refusal.BAD_COLUMNS,
            f"{where} has no column {absent[0]!r}, which --columns names; it has {', '.join(there)}",
        )
    columns = _with_known_spellings(there, asked)
    if "audio" not in columns:
        raise UsageError(
            Refusal.BAD_COLUMNS,
            f"{where} has no column that names audio; it has {', '.join(there)}: name it with "
            "--columns=audio=COLUMN",
        )
    if not holds_paths(columns["audio"]):
        columns = {ours: name for ours, name in columns.items() if ours not in ("start", "end") or ours in asked}
    left = [name for name in there if name not in columns.values()]
    _refuse_ends_without_starts(left, columns, where)
    refuse_reserved({*columns, *left}, where)
    return columns


def _with_known_spellings(there: list[str], asked: Mapping[str, str]) -> dict[str, str]:
    """Adds to what was asked for the columns that are called as ours are, each for one of ours alone."""
    columns = dict(asked)

    def take(ours: str, spellings: Iterable[str]) -> None:
        left = [name for name in there if name not in columns.values()]
        found = next((name for name in spellings if name in left), None) or next(
            (name for spelling in spellings for name in left if name.lower() == spelling), None
        )
        if ours not in columns and found is not None:
            columns[ours] = found

    for ours, spellings in SPELLINGS.items():
        take(ours, spellings)
    if columns.get("start", "").lower() == _ONSET:
        take("end", (_OFFSET,))
    return columns


def _refuse_ends_without_starts(left: Iterable[str], columns: Mapping[str, str], where: str) -> None:
    """Refuses a table that says where segments end, and where they start in a column that may be called so.

    Args:
        left: theirs, of which nothing is known.
        columns: ours to theirs.
        where: the table.

    Raises:
        ValueError: with what to do.
    """
    starts = [name for name in left if any(word in name.lower() for word in _LIKE_A_START)]
    if starts and "end" in columns and "start" not in columns:
        raise UsageError(
            Refusal.BAD_COLUMNS,
            f"{where} says in {columns['end']!r} where a segment ends, and may say in {starts[0]!r} where it "
            f"starts: name that with --columns=start={starts[0]}, if it is in seconds; if no row is a segment, "
            f"{as_another(columns['end'])} has {columns['end']!r} pass through",
        )


def refuse_reserved(names: Iterable[str], where: str) -> None:
    """Refuses a table that has a column of a name that melbeam writes itself.

    Args:
        names: under which the columns would pass through.
        where: the table.

    Raises:
        ValueError: with what to do.
    """
    reserved = sorted(set(names) & set(RESERVED))
    if reserved:
        raise UsageError(
            Refusal.RESERVED_NAME,
            f"{where} has a column {reserved[0]!r}, a name that melbeam writes itself: rename it with "
            f"{as_another(reserved[0])}",
        )


def note_of_times(present: Iterable[str], columns: Mapping[str, str], where: str) -> list[str]:
    """A line for a person where columns may be the times of segments, and no row is taken for one; else none.

    Args:
        present: the table's columns.
        columns: ours to theirs, as `find_columns` gives them.
        where: the table.
    """
    if "start" in columns or "end" in columns:
        return []
    claimed = {theirs for ours, theirs in columns.items() if ours != "duration"}
    first, last = _times_among(name for name in present if name not in claimed)
    if first is None or last is None:
        return []
    ours = "duration" if _words_of(last) & {"duration", "dur"} else "end"
    return [
        f"{where}: columns {first!r} and {last!r} may say which part of its file a row is, and every row takes "
        f"all of it: --columns=start={first},{ours}={last} cuts, if they are seconds"
    ]


def note_of_lists(lists: Mapping[str, Iterable[str]], columns: Mapping[str, str], where: str) -> list[str]:
    """A line for a person about each column that lists segments of the row's file, which no row is cut into.

    Args:
        lists: the names in the objects that a column lists, by its name.
        columns: ours to theirs, as `find_columns` gives them.
        where: the table.
    """
    if "start" in columns or "end" in columns:
        return []
    audio = columns["audio"]
    return [
        f"{where}: column {name!r} may list segments, and every row takes all of its file: a row for each is "
        f"made by jq -c '. as $row | .{name}[] + {{{audio}: $row.{audio}}}'"
        for name, names in lists.items()
        if name not in columns.values() and None not in _times_among(names)
    ]


def _times_among(names: Iterable[str]) -> list[str | None]:
    """The first names that may be those of a start, and of an end or a duration; None where there is none."""
    given = list(names)
    return [next((name for name in given if _words_of(name) & of_time), None) for of_time in _WORDS_OF_TIMES]


def _words_of(name: str) -> set[str]:
    return {word.lower() for word in _WORDS.findall(name)}


def row_of(values: Mapping[str, Any], columns: Mapping[str, str], *, folder: str, root: str) -> Row:
    """A table's row as a `Row`.

    Args:
        values: theirs, by their names.
        columns: ours to theirs.
        folder: that relative paths of audio are meant from, with a slash at its end, or "".
        root: what ids are relative to.

    Raises:
        ValueError: it names no audio, or its times are none; the message says why.
    """
    audio = values.get(columns["audio"])
    if isinstance(audio, dict):  # as Hugging Face's data sets write it: a path beside bytes
        audio = audio.get("path")
    if not isinstance(audio, str) or not 0 < len(audio) <= _LONGEST_PATH:
        got = repr(audio) if not audio or len(repr(audio)) <= _SHOWN else f"{repr(audio)[:_SHOWN]}..."
        raise ValueError(f"{columns['audio']} must be the path of an audio file, got {got}")
    path = path_in(folder, audio)
    start, end, duration = times_of(values, columns)
    return Row(
        path,
        given_id(values, columns) or id_of(path, root, start, end),
        start,
        end,
        duration if start is None else None,
        columns=passed_through(values, columns),
    )


def given_id(values: Mapping[str, Any], columns: Mapping[str, str]) -> str | None:
    """The id that a row gives its clip; None where no column is the id, or it is empty there."""
    return as_id(values.get(columns["id"])) if "id" in columns else None


def times_of(
    values: Mapping[str, Any], columns: Mapping[str, str]
) -> tuple[float | None, float | None, float | None]:
    """Start and end of a row's segment, None for a whole file, and its duration, in seconds.

    Raises:
        ValueError: they are none; the message says why.
    """
    start, end, duration = (
        as_seconds(values.get(columns[name]), columns[name]) if name in columns else None
        for name in ("start", "end", "duration")
    )
    if start is not None and end is None and duration is not None:
        end = round(start + duration, 9)
    elif start is None and end is not None:
        start = 0.0
    if start is not None and end is not None and end <= start:
        raise ValueError(f"the segment ends at {end:g} s, not behind its start at {start:g} s")
    return start, end, duration


def by_theirs(columns: Mapping[str, str]) -> dict[str, list[str]]:
    """Turns ours to theirs round: one column of theirs may be several of ours, an id and a text."""
    ours_of: dict[str, list[str]] = {}
    for ours, theirs in columns.items():
        ours_of.setdefault(theirs, []).append(ours)
    return ours_of


def names_given(theirs: str, columns: Mapping[str, str], ours_of: Mapping[str, list[str]]) -> list[str]:
    """The names under which a column of theirs is kept.

    They are ours for it; or its own, unless that is ours for another column, to which this one gives way.

    Args:
        theirs: the name of the column.
        columns: ours to theirs.
        ours_of: the same, as `by_theirs` turns it round.
    """
    return ours_of.get(theirs, [] if theirs in columns else [theirs])


def passed_through(values: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Values]:
    """What a row has beside its audio: our names, or theirs where nobody renamed them."""
    ours_of = by_theirs(columns)
    kept: dict[str, Values] = {}
    for theirs, value in values.items():
        for ours in names_given(theirs, columns, ours_of):
            if theirs in ours_of and (ours in _OF_THE_AUDIO or (ours == "duration" and "start" in columns)):
                continue
            feature = as_feature(as_number(value, int) if ours == "sampling_rate" else value)
            if ours == "duration":
                feature = as_number(value, float)
            if feature is not None:
                kept[ours] = feature
    return kept


def renamed(columns: Mapping[str, _T], asked: Mapping[str, str]) -> dict[str, _T]:
    """The columns of a source without spellings of its own, under the names that `--columns` gives them.

    A column gives way to the one that its name is given to, also in a record that does not have that one.
    """
    others = {name: value for name, value in columns.items() if name not in {*asked, *asked.values()}}
    return others | {ours: columns[theirs] for ours, theirs in asked.items() if theirs in columns}


def as_number(value: Any, kind: type[int] | type[float]) -> Any:
    """A value that was written as text, as the number that it is; else as it was, for others to refuse."""
    try:
        number = float(value)
        return kind(number) if number == kind(number) else value
    except (TypeError, ValueError, OverflowError):
        return None if value == "" else value
