"""Tables of published corpora that name their clips by another thing than a path, most of them without a header.

A table is known by its first row. Where a clip lies is a template of `str.format`, from the table's folder on, of
what its row says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from melbeam.pipelines import files
from melbeam.pipelines.sources.columns import SPELLINGS
from melbeam.pipelines.sources.endings import STM_ENDING
from melbeam.pipelines.sources.text_lines import Lines, open_text
from melbeam.transforms.folder_layout import file_name, folder_prefix

MLS_TABLE = "transcripts.txt"
_AUDIO, _SPEAKER = "audio", "speaker"
_CLIP_OF_MLS = re.compile(r"(?P<split>(?:.*/)?)audio/[^/]+/[^/]+/[^/]+")
_MLS_ID = re.compile(r"(?P<speaker>\d+)_(?P<book>\d+)_\d+")


class Corpus(NamedTuple):
    """How the tables of a corpus are to be understood.

    Attributes:
        columns: of a table without a header; of one with a header, some by which it is known.
        audio: templates of a clip's path; of several, the first that names a file for the first row.
    """

    columns: tuple[str, ...]
    audio: tuple[str, ...]


_MLS = Corpus(("id", "text"), tuple(f"audio/{{speaker}}/{{book}}/{{id}}.{end}" for end in ("flac", "opus")))
# A sentence has several clips, so that its number is no id; what is called `num_samples` there is a name of ours.
_FLEURS = Corpus(
    ("sentence_id", "file", "raw_transcription", "transcription", "characters", "samples", "gender"),
    ("audio/{table}/{file}", "{table}/{file}"),
)
_VOXPOPULI = Corpus(("id", "raw_text", "normalized_text", "speaker_id", "split"), ("{id:.4}/{id}.ogg",))
# A label may be left out, and then has no column of its own.
_STM = Corpus(
    ("file", "channel", "speaker", "start", "end", "label", "text"),
    ("../sph/{file}.sph", "{file}.sph", "../wav/{file}.wav", "{file}.wav"),
)
_LABEL = re.compile(r"<[^>\s]*>")  # `<o,f0,male>`, `<NA>`
_BEGINS_AS_STM = re.compile(r"\S+\s+\S+\s+\S+\s+[\d.]+\s+[\d.]+(\s|$)")
_COMMENT = b";;"
NOT_SCORED = "ignore_time_segment_in_scoring"


def is_stm(columns: Iterable[str] | None) -> bool:
    """Whether columns are those of an STM, NIST's table of segments, which TED-LIUM has one of for each talk."""
    return columns is not None and tuple(columns) == _STM.columns


def fields_of_stm(row: str) -> list[str]:
    """The columns of a row of an STM, which blanks divide; the last is the text, with blanks in it.

    Raises:
        ValueError: it has fewer columns.
    """
    fields = row.split(None, 5)
    if len(fields) < 5:
        raise ValueError("a row of an STM has a file, a channel, a speaker, a start, an end and a text")
    text = fields[5].strip() if len(fields) > 5 else ""
    label = None if text.startswith("<unk>") else _LABEL.match(text)
    return [*fields[:5], label[0] if label else "", text[label.end() :].lstrip() if label else text]


def leaves_out(columns: Iterable[str] | None, row: bytes) -> bool:
    """Whether a row of an STM is a comment, or a part of the recording that nobody transcribed."""
    return is_stm(columns) and (row.startswith(_COMMENT) or row.split()[-1].lower() == NOT_SCORED.encode())


def first_row(path: str, lines: Iterable[bytes]) -> bytes:
    """The first line of a table that is no blank one and, of an STM, no comment; b"" where there is none."""
    comment = _COMMENT if _is_called_stm(path) else b"\n"  # which only a blank line begins with
    return next((line for line in lines if line.strip() and not line.startswith(comment)), b"")


def of_first_row(path: str, row: str) -> Corpus | None:
    """The corpus whose table begins with a row, where that names no columns; None for other tables."""
    if _is_called_stm(path):
        return _STM if _BEGINS_AS_STM.match(row) else None
    fields = row.split("\t")
    if file_name(path) == MLS_TABLE and len(fields) == len(_MLS.columns) and _MLS_ID.fullmatch(fields[0]):
        return _MLS
    if len(fields) == len(_FLEURS.columns) and fields[0].isdigit() and fields[5].isdigit():
        return _FLEURS if fields[1].endswith(".wav") else None
    return None


def of_header(names: Iterable[str]) -> Corpus | None:
    """The corpus whose tables have such columns, none of which names audio; None for other tables."""
    there = set(names)
    names_audio = not {name.lower() for name in there}.isdisjoint(SPELLINGS[_AUDIO])
    return None if names_audio or not there.issuperset(_VOXPOPULI.columns) else _VOXPOPULI


def is_mls(path: str) -> bool:
    """Whether a file is a table of Multilingual LibriSpeech's."""
    return file_name(path) == MLS_TABLE and _of_file(path) is _MLS


def is_of_talk(path: str) -> bool:
    """Whether a file is an STM."""
    return path.endswith(STM_ENDING) and _of_file(path) is _STM


def _of_file(path: str) -> Corpus | None:
    with open_text(path) as file:
        return of_first_row(path, first_row(path, Lines(file)).decode("latin-1").rstrip("\r\n"))


def _is_called_stm(path: str) -> bool:
    return path.endswith((STM_ENDING, f"{STM_ENDING}.gz"))


def mls_tables_above(clip: str) -> list[str]:
    """The table of MLS's whose clip a file may be, by where it lies; none where there is none."""
    # The working directory may be one of the folders by which it is known.
    found = _CLIP_OF_MLS.fullmatch(clip) or _CLIP_OF_MLS.fullmatch(files.full_path(clip))
    path = f"{found['split'] if found else ''}{MLS_TABLE}"
    return [path] if found and files.exists(path) and is_mls(path) else []


def template_of(corpus: Corpus, path: str, row: str) -> str:
    """The template of the clips of a table.

    Args:
        corpus: whose table it is.
        path: of the table.
        row: the first one, as text.
    """
    first = corpus.audio[0]
    if len(corpus.audio) == 1:
        return first
    fields = fields_of_stm(row) if corpus is _STM else row.split("\t")
    values = dict(zip(corpus.columns, fields, strict=True))
    there = (one for one in corpus.audio if files.exists(folder_prefix(path) + _audio_of(one, path, values)))
    return next(there, first)


def with_audio(template: str, path: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """A row's columns with the path of its clip, from the table's folder on, and what else its id tells.

    Args:
        template: of the path.
        path: of the table.
        values: the row's columns.

    Raises:
        ValueError: the id is not one of the corpus.
    """
    found = dict(values) | {_AUDIO: _audio_of(template, path, values)}
    if is_stm(values):  # its path leads out of the table's folder
        found["id"] = f"{values['file']}@{values['start']}-{values['end']}"
    return found | {_SPEAKER: _parts_of(values)[_SPEAKER]} if _is_of_parts(template) else found


def _is_of_parts(template: str) -> bool:
    return f"{{{_SPEAKER}}}" in template


def _parts_of(values: Mapping[str, Any]) -> dict[str, str]:
    """This takes the id of a clip of MLS's apart: speaker and book."""
    parts = _MLS_ID.fullmatch(values["id"])
    if parts is None:
        raise ValueError(f"the id must be SPEAKER_BOOK_NUMBER, got {values['id']!r}")
    return parts.groupdict()


def _audio_of(template: str, path: str, values: Mapping[str, Any]) -> str:
    parts = _parts_of(values) if _is_of_parts(template) else {}
    return template.format(table=file_name(path).partition(".")[0], **values, **parts)
