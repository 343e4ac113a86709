"""Audio files as they lie in folders: a unit is a run of the sorted files.

Transcripts that lie beside them are found (`transcripts`, `own_texts`); a manifest there is told of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from melbeam.pipelines import files, words
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources import corpora, manifests, text_lines
from melbeam.pipelines.sources.columns import renamed
from melbeam.pipelines.sources.endings import AUDIO_ENDINGS, MANIFEST_ENDINGS, MEDIA_ENDINGS
from melbeam.pipelines.sources.kinds import AUDIO
from melbeam.pipelines.sources.own_texts import OwnTexts, note_of_times, own_text
from melbeam.pipelines.sources.rows import BadRow, Row, as_id, id_of, read_rows
from melbeam.pipelines.sources.text_lines import NotText
from melbeam.pipelines.sources.transcripts import (
    AISHELL,
    COLUMNS,
    LJSPEECH,
    TRANSCRIPTS,
    Transcripts,
    names_of,
    text_of,
    texts_of,
)
from melbeam.pipelines.sources.units import Found, Item, LeftOut, Planned, SourceOptions, Unit, printable, runs
from melbeam.pipelines.tfrecord import Span
from melbeam.transforms.folder_layout import file_name, folder_of
from melbeam.transforms.records.containers.formats import name_of_beginning
from melbeam.transforms.records.kept_rows import keep_row
from melbeam.transforms.records.schema import TEXT

_NAMED = 3  # files
HEAD = 64 << 10  # 64 KiB of a file, in which an MP3 shows two frames
_TABLES = 20  # beside the clips, that are looked at for texts


def plan(found: Found, options: SourceOptions) -> Planned:
    """Runs of the clips, of about `shard_bytes` or `num_shards` of them.

    Raises:
        ValueError: no file is a clip.
    """
    clips, left_out = clips_among(found.paths)
    own = OwnTexts(clips, found.paths)
    if own.are_there:
        paths = own.paths
        _, left_out = clips_among((path, size) for path, size in found.paths if path not in paths)
    if not clips:  # then the files' own beginnings are asked, which for all files of a large corpus takes long
        clips = [(path, size) for path, size in found.paths if _begins_as_audio(path)]
        left_out = LeftOut() if len(clips) == len(found.paths) else left_out
    if not clips:
        what = "; ".join(left_out.in_words())
        raise UsageError(
            Refusal.UNKNOWN_FORMAT,
            f"--input={found.pattern}: none of the {len(found.paths)} files is audio by its name ({what})",
        )
    text_lines.check_encoding(options.encoding_of_text)
    clips = clips[: options.limit]
    media = [printable(path) for path, _ in clips if path.lower().endswith(MEDIA_ENDINGS)]
    if media:
        named = words.named(media[:_NAMED], len(media))
        left_out.notes.append(
            f"{words.count(len(media), 'clip')} that only the extra melbeam[media] decodes: {named}"
        )
    texts = Transcripts(clips, found.paths)
    if options.limit is None:  # else most texts are those of clips that are not taken
        left_out.notes += texts.note(clips, own, options.encoding_of_text, options.columns)
    has_texts = texts.are_there or own.are_there
    if has_texts:
        left_out.notes += _check_own_text(clips, own, options)
    else:
        left_out.notes += _manifests_among(found, clips[0][0], options)
    _check_columns(options, has_texts=has_texts)
    root = found.root if options.root is None else options.root
    total = sum(size for _, size in clips)
    cut = runs([size for _, size in clips], options)
    units = [
        Unit(
            root.rstrip("/") or printable(found.pattern),
            total,
            part,
            len(cut),
            kind=AUDIO,
            span=Span(number=first),
            num_records=last - first,
            details={
                "files": [list(clip) for clip in clips[first:last]],
                "root": root,
                "texts": texts.beside(path for path, _ in clips[first:last]),
                "encoding": options.encoding_of_text,
                "columns": dict(options.columns),
                # It stands only where there are some, so that the plans of all other corpora stay what they were.
                **({"own": [own.endings(path) for path, _ in clips[first:last]]} if own.are_there else {}),
            },
        )
        for part, (first, last) in enumerate(cut)
    ]
    return Planned(units, left_out)


def _check_own_text(clips: list[tuple[str, int]], own: OwnTexts, options: SourceOptions) -> list[str]:
    """Refuses texts of another encoding, as the first of them shows; one among many is a reject.

    Returns:
        A line for a person where the first one holds times; else none.

    Raises:
        ValueError: with what to do.
    """
    first = next((path for path, _ in clips if own.endings(path)), None)
    if first is None:
        return []
    columns = own_text(first, own.endings(first), options.encoding_of_text)
    return note_of_times(first, columns.get(TEXT, b""))


def _manifests_among(found: Found, first: str, options: SourceOptions) -> list[str]:
    """A line for a person where tables in the input name clips with their texts, which nobody asked for.

    Args:
        found: the input.
        first: path of the first clip; MLS's table may lie above it, outside the input.
        options: how it is taken.
    """
    tables = [path for path, _ in found.paths if path.lower().endswith(MANIFEST_ENDINGS)]
    tables += corpora.mls_tables_above(first)
    with_texts = [path for path in tables[:_TABLES] if manifests.has_texts(path, options)]
    if not with_texts:
        return []
    named = words.named([printable(path) for path in with_texts[:_NAMED]], len(with_texts))
    return [
        f"{words.count(len(with_texts), 'manifest')} beside the clips, with their texts: {named}; "
        f"--input={printable(with_texts[0])} takes clips and texts"
    ]


def clips_among(paths: Iterable[tuple[str, int]]) -> tuple[list[tuple[str, int]], LeftOut]:
    """The audio files, and all others by kind."""
    clips, left_out = [], LeftOut()
    for path, size in paths:
        kind = kind_of_other(path)
        if kind is None:
            clips.append((path, size))
        elif not _is_transcript(path):
            left_out.add(kind, path)
    return clips, left_out


def _begins_as_audio(path: str) -> bool:
    with files.open_file(path) as file:
        return name_of_beginning(file.read(HEAD)) is not None


def kind_of_other(path: str) -> str | None:
    """What a file is that is no clip; None for a clip."""
    name = file_name(path).lower()
    if name.startswith("._"):
        return "file of macOS (._ name)"
    if name.startswith("."):
        return "hidden file"
    if name.endswith(AUDIO_ENDINGS):
        return None
    stem, dot, ending = name.rpartition(".")
    return f".{ending} file" if dot and stem else "file without an ending"


def _is_transcript(path: str) -> bool:
    return path.endswith(TRANSCRIPTS) or file_name(path) in (LJSPEECH, AISHELL)


def _check_columns(options: SourceOptions, *, has_texts: bool) -> None:
    """Refuses to rename columns that are not there.

    Raises:
        ValueError: with the columns that there are.
    """
    columns = COLUMNS if has_texts else ()
    absent = [theirs for theirs in options.columns.values() if theirs not in columns]
    if absent:
        there = f"transcripts with the columns {', '.join(columns)}" if columns else "no transcripts beside them"
        raise UsageError(Refusal.BAD_COLUMNS, f"--columns names {absent[0]!r}, and these audio files have {there}")


def read(unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """The clips, in order."""
    details = unit.details
    names = {name for path, _ in details["files"] for name in names_of(path)}
    of_file = {
        path: dict(texts_of(path, details["encoding"], names))
        for path in dict.fromkeys(path for paths in details["texts"].values() for path in paths)
    }
    texts = {folder: [of_file[path] for path in paths] for folder, paths in details["texts"].items()}
    yield from read_rows(_rows(details, texts), unit, max_record_bytes)


def _rows(
    details: Mapping[str, Any], texts: Mapping[str, list[dict[str, dict[str, bytes]]]]
) -> Iterator[Row | BadRow]:
    own = details.get("own") or [[]] * len(details["files"])
    for (path, _), endings in zip(details["files"], own, strict=True):
        found: dict[str, bytes] = {}
        for of_file in texts.get(folder_of(path), ()):
            found |= text_of(path, of_file)
        try:
            found = own_text(path, endings, details["encoding"]) | found
        except (NotText, OSError) as error:
            named = {"root": details["root"], "columns": details["columns"], "encoding": details["encoding"]}
            beside = {folder: paths for folder, paths in details["texts"].items() if folder == folder_of(path)}
            one = {"files": [[path, 0]], "own": [endings], "texts": beside, **named}
            name = id_of(path, details["root"])
            detail = f"the text of {printable(path)} cannot be read: {error}"
            yield BadRow(detail, keep_row({"kind": AUDIO, "details": one}, {"id": name}, {}), name)
            continue
        columns = renamed(found, details["columns"])
        given = as_id(columns.pop("id", None))
        yield Row(path, given or id_of(path, details["root"]), columns=columns)


def read_again(row: Mapping[str, Any], unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """A clip whose own text could not be read before."""
    yield from read(replace(unit, details=row["details"]), max_record_bytes)
