"""Audio files as they lie in folders: a unit is a run of the sorted files.

Transcripts that lie beside them are found: LibriSpeech's `*.trans.txt`, where the utterance's id is its file's
name, and LJSpeech's `metadata.csv`, which has no header and `|` between its columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from glob import escape
from itertools import groupby
from typing import Any

from melbeam.pipelines import files, words
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources import text_lines
from melbeam.pipelines.sources.endings import ENDINGS, MEDIA_ENDINGS
from melbeam.pipelines.sources.kinds import AUDIO
from melbeam.pipelines.sources.rows import Row, id_of, read_rows
from melbeam.pipelines.sources.text_lines import Lines, open_text
from melbeam.pipelines.sources.units import Found, Item, LeftOut, Planned, SourceOptions, Unit, printable, runs
from melbeam.pipelines.tfrecord import Span
from melbeam.transforms.folder_layout import file_name, parent
from melbeam.transforms.records.containers.formats import name_of_beginning
from melbeam.transforms.records.schema import TEXT

TRANSCRIPTS, LJSPEECH = ".trans.txt", "metadata.csv"
_COLUMNS = ("id", TEXT, "normalized_text")  # of transcripts; LibriSpeech's have the first two
_NAMED = 3  # files
HEAD = 64 << 10  # 64 KiB of a file, in which an MP3 shows two frames
_FOLDERS = 64  # more of them are searched for transcripts by one listing of what they lie in


def plan(found: Found, options: SourceOptions) -> Planned:
    """Runs of the clips, of about `shard_bytes` or `num_shards` of them.

    Raises:
        ValueError: no file is a clip.
    """
    clips, left_out = clips_among(found.paths)
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
    texts = _Transcripts(clips, found.paths)
    _check_columns(options, has_texts=texts.are_there)
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
            },
        )
        for part, (first, last) in enumerate(cut)
    ]
    return Planned(units, left_out)


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
    if name.endswith((*ENDINGS, *MEDIA_ENDINGS)):
        return None
    stem, dot, ending = name.rpartition(".")
    return f".{ending} file" if dot and stem else "file without an ending"


def _is_transcript(path: str) -> bool:
    return path.endswith(TRANSCRIPTS) or file_name(path) == LJSPEECH


class _Transcripts:
    """The transcripts that lie beside clips, by the clips' folder."""

    def __init__(self, clips: list[tuple[str, int]], listed: list[tuple[str, int]]) -> None:
        folders = [folder for folder, _ in groupby(_folder_of(path) for path, _ in clips)]
        found = {path for path, _ in listed if path.endswith(TRANSCRIPTS)}
        folders = sorted(set(folders))
        if not found and len(folders) <= _FOLDERS:
            for folder in folders:
                found.update(path for path, _ in files.match(f"{escape(folder)}/*{TRANSCRIPTS}"))
        elif not found:
            above = _common_folder(folders)
            found.update(path for path, _ in files.match(f"{escape(above)}**{TRANSCRIPTS}"))
        self._of_folder: dict[str, list[str]] = {}
        for path in sorted(found):
            self._of_folder.setdefault(parent(path), []).append(path)
        for folder in folders if len(folders) <= _FOLDERS else ():
            for path in (f"{folder}/{LJSPEECH}", f"{_folder_of(folder)}/{LJSPEECH}"):  # in it, or beside it
                if files.exists(path) and is_ljspeech(path):
                    self._of_folder.setdefault(folder, []).append(path)

    @property
    def are_there(self) -> bool:
        """Whether a file of transcripts is among the input's."""
        return bool(self._of_folder)

    def beside(self, paths: Iterable[str]) -> dict[str, list[str]]:
        """The files of transcripts that lie in the folders of some clips, by folder."""
        folders = dict.fromkeys(_folder_of(path) for path in paths)
        return {folder: self._of_folder[folder] for folder in folders if folder in self._of_folder}


def _folder_of(path: str) -> str:
    return parent(path) if "/" in path else "."


def _check_columns(options: SourceOptions, *, has_texts: bool) -> None:
    """Refuses to rename what there is not.

    Raises:
        ValueError: with the columns that there are.
    """
    columns = _COLUMNS if has_texts else ()
    absent = [theirs for theirs in options.columns.values() if theirs not in columns]
    if absent:
        there = f"transcripts with the columns {', '.join(columns)}" if columns else "no transcripts beside them"
        raise UsageError(Refusal.BAD_COLUMNS, f"--columns names {absent[0]!r}, and these audio files have {there}")


def _common_folder(folders: list[str]) -> str:
    """The folder, with its slash, that all of them lie in."""
    first, last = folders[0].split("/"), folders[-1].split("/")
    common = []
    for one, other in zip(first, last, strict=False):
        if one != other:
            break
        common.append(one)
    return "".join(f"{name}/" for name in common)


def is_ljspeech(path: str) -> bool:
    """Whether a metadata.csv is LJSpeech's: no header, and an id, a text and its normalised form in each line."""
    with open_text(path) as file:
        line = next(Lines(file), b"")
    first = line.split(b"|")
    return len(first) in (2, 3) and b"," not in first[0] and first[0].strip().lower() not in (b"id", b"file_name")


def _texts_of(path: str, encoding: str, stems: set[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Names and columns of the transcripts of some clips."""
    is_table = file_name(path) == LJSPEECH
    with open_text(path) as file:
        for line in Lines(file):
            text = text_lines.decode(line, path, encoding).rstrip("\r\n")
            name, *texts = text.split("|") if is_table else text.split(" ", 1)
            if name in stems:
                yield name, {key: value.encode() for key, value in zip(_COLUMNS, (name, *texts), strict=False)}


def _stem(path: str) -> str:
    return printable(file_name(path)).rpartition(".")[0]


def read(unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """The clips, in order."""
    details = unit.details
    stems = {_stem(path) for path, _ in details["files"]}
    of_file = {
        path: dict(_texts_of(path, details["encoding"], stems))
        for path in dict.fromkeys(path for paths in details["texts"].values() for path in paths)
    }
    texts = {folder: [of_file[path] for path in paths] for folder, paths in details["texts"].items()}
    yield from read_rows(_rows(details, texts), unit, max_record_bytes)


def _rows(details: Mapping[str, Any], texts: Mapping[str, list[dict[str, dict[str, bytes]]]]) -> Iterator[Row]:
    for path, _ in details["files"]:
        found: dict[str, bytes] = {}
        for of_file in texts.get(_folder_of(path), ()):
            found |= of_file.get(_stem(path), {})
        renamed = {ours: found[theirs] for ours, theirs in details["columns"].items() if theirs in found}
        columns = {
            name: value for name, value in found.items() if name not in details["columns"].values()
        } | renamed
        name = columns.pop("id", None)
        yield Row(path, id_of(path, details["root"]) if name is None else name.decode(), columns=columns)
