"""Transcripts of many clips that lie beside audio files: LibriSpeech's, LJSpeech's and AISHELL's.

LibriSpeech's `*.trans.txt` name an utterance by its file's name; LJSpeech's `metadata.csv`, which has no header
and `|` between its columns, also by a path, with or without its ending. AISHELL's table, written as LibriSpeech's,
is one for all splits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from glob import escape
from itertools import groupby, islice
from unicodedata import normalize

from melbeam.pipelines import files, words
from melbeam.pipelines.sources import text_lines
from melbeam.pipelines.sources.columns import SPELLINGS
from melbeam.pipelines.sources.endings import without_ending
from melbeam.pipelines.sources.own_texts import FOLDERS, NORMALIZED, SPEAKER, OwnTexts, folder_above
from melbeam.pipelines.sources.rows import is_absolute
from melbeam.pipelines.sources.text_lines import Lines, open_text
from melbeam.pipelines.sources.units import printable
from melbeam.transforms.folder_layout import file_name, folder_of, parent
from melbeam.transforms.records.schema import TEXT

TRANSCRIPTS, LJSPEECH, AISHELL = ".trans.txt", "metadata.csv", "aishell_transcript_v0.8.txt"
COLUMNS = ("id", TEXT, NORMALIZED, SPEAKER)  # of all corpora; none has the last two both
_FOLDER_OF_AISHELL = re.compile(r"(?P<above>(?:.*/)?)wav/[^/]+/[^/]+")  # wav/train/S0002
_CLIP_OF_AISHELL = re.compile(r"BAC\d+(?P<speaker>S\d+)W\d+")
_COMPARED = 64  # files of transcripts whose names are held against those of the clips before any work
_DEPTH = 4  # names of folders by which LJSpeech's table may tell clips apart
_NAMED = 3
_MANY = 5  # normalised forms, or more, of each text: one text has one


class Transcripts:
    """The transcripts that lie beside clips, by the clips' folder.

    Args:
        clips: paths and sizes, sorted by path.
        listed: all files of the input.
    """

    def __init__(self, clips: list[tuple[str, int]], listed: list[tuple[str, int]]) -> None:
        folders = [folder for folder, _ in groupby(folder_of(path) for path, _ in clips)]
        found = {path for path, _ in listed if path.endswith(TRANSCRIPTS)}
        folders = sorted(set(folders))
        if not found and len(folders) <= FOLDERS:
            for folder in folders:
                found.update(path for path, _ in files.match(f"{escape(folder)}/*{TRANSCRIPTS}"))
        elif not found:
            above = _common_folder(folders)
            found.update(path for path, _ in files.match(f"{escape(above)}**{TRANSCRIPTS}"))
        self._of_folder: dict[str, list[str]] = {}
        for path in sorted(found):
            self._of_folder.setdefault(parent(path), []).append(path)
        self._note_tables(folders, [path for path, _ in listed if file_name(path) == LJSPEECH])
        self._note_aishell(folders)

    def _note_tables(self, folders: list[str], listed: list[str]) -> None:
        """Gives each folder LJSpeech's table of it, of the one that it lies in, or of any above in the input."""
        tables = dict.fromkeys(path for path in listed if is_ljspeech(path))
        for folder in folders:
            near = (f"{folder}/{LJSPEECH}", f"{folder_above(folder)}/{LJSPEECH}")
            if not listed and len(folders) <= FOLDERS:
                tables |= dict.fromkeys(path for path in near if files.exists(path) and is_ljspeech(path))
            for path in tables:
                if path in near or _lies_in(folder, folder_of(path)):
                    self._of_folder.setdefault(folder, []).append(path)

    def _note_aishell(self, folders: list[str]) -> None:
        """Gives each folder AISHELL's table where it is called as one of its folders."""
        of_aishell = _FOLDER_OF_AISHELL.fullmatch
        # The working directory may be one of the folders by which it is known.
        called = {folder: of_aishell(folder) or of_aishell(files.full_path(folder)) for folder in folders}
        named = {folder: found for folder, found in called.items() if found}
        tables = {folder: f"{found['above']}transcript/{AISHELL}" for folder, found in named.items()}
        paths = set(tables.values())
        there = {path for path in paths if files.exists(path)} if len(paths) <= FOLDERS else set()
        for folder, path in tables.items():
            if path in there:
                self._of_folder.setdefault(folder, []).append(path)

    @property
    def are_there(self) -> bool:
        """Whether a file of transcripts is among the input's."""
        return bool(self._of_folder)

    def beside(self, paths: Iterable[str]) -> dict[str, list[str]]:
        """The files of transcripts that lie in the folders of some clips, by folder."""
        folders = dict.fromkeys(folder_of(path) for path in paths)
        return {folder: self._of_folder[folder] for folder in folders if folder in self._of_folder}

    def note(
        self, clips: list[tuple[str, int]], own: OwnTexts, encoding: str, asked: Mapping[str, str]
    ) -> list[str]:
        """Lines for a person: clips without a transcript, and transcripts without a clip, of the first files.

        Also told are clips that one transcript names alike, and a table whose texts are none, unless `--columns`
        (`asked`) says which column is the text.
        """
        of_file: dict[str, dict[str, dict[str, bytes]]] = {}
        again: list[str] = []
        for path in islice(dict.fromkeys(p for paths in self._of_folder.values() for p in paths), _COMPARED):
            of_file[path] = {}
            for of_clip, columns in texts_of(path, encoding, None):
                if of_file[path].get(of_clip, columns) != columns:
                    again.append(f"{of_clip} of {printable(path)}")
                of_file[path][of_clip] = columns
        used = {path: set[str]() for path in of_file}
        num_compared, without, shared = 0, [], []
        for path, _ in clips:
            of_folder = self._of_folder.get(folder_of(path), [])
            if not (of_folder or own.are_there) or any(name not in of_file for name in of_folder):
                continue
            num_compared += 1
            found = [(name, key) for name in of_folder if (key := _key_of(path, of_file[name])) is not None]
            if any(key in used[name] for name, key in found):
                shared.append(path)
            for name, key in found:
                used[name].add(key)
            if not found and not own.endings(path):
                without.append(printable(path))
        left = [
            f"{key} of {printable(name)}" for name in of_file for key in of_file[name] if key not in used[name]
        ]
        notes = []
        if without:
            named = words.named(without[:_NAMED], len(without))
            notes.append(f"{len(without)} of {words.count(num_compared, 'clip')} have no transcript: {named}")
        if shared:
            named = words.named(map(printable, shared[:_NAMED]), len(shared))
            is_table = any(file_name(name) == LJSPEECH for name in self._of_folder.get(folder_of(shared[0]), ()))
            todo = (
                f"; a path in the table, as {_as_path(printable(shared[0]))}, tells them apart" if is_table else ""
            )
            have = "has" if len(shared) == 1 else "have"
            notes.append(
                f"{words.count(len(shared), 'clip')} {have} the transcript, and the id, of an earlier clip of the "
                f"same name: {named}{todo}"
            )
        if again:
            named = words.named(again[:_NAMED], len(again))
            notes.append(
                f"{words.count(len(again), 'transcript')} of a clip that an earlier line has, which the later one "
                f"replaces: {named}"
            )
        if left:
            named = words.named(left[:_NAMED], len(left))
            notes.append(f"{words.count(len(left), 'transcript')} without a clip in the input: {named}")
        for name, texts in of_file.items():
            if TEXT not in asked and _may_be_speakers(texts.values()):
                one = next(iter(texts.values()))[TEXT].decode()
                notes.append(
                    f"{printable(name)}: the texts are few ({one!r}), and their normalised forms many, as where a "
                    "speaker stands between a clip and its text: --columns=text=normalized_text,speaker=text"
                )
        return notes


def _as_path(path: str) -> str:
    """The name by which a table tells a clip apart from those in other folders."""
    return "/".join(without_ending(path).split("/")[-2:])


def _may_be_speakers(texts: Iterable[Mapping[str, bytes]]) -> bool:
    """Whether what stands for texts says much less than what stands for their normalised forms."""
    normalized = [columns.get(NORMALIZED, b"") for columns in texts]
    given = {columns.get(TEXT, b"") for columns in texts}
    return all(normalized) and 0 < len(given) * _MANY <= len(set(normalized))


def _lies_in(folder: str, above: str) -> bool:
    return f"{folder}/".startswith(f"{above}/") or (above == "." and not is_absolute(folder))


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
        lines = Lines(file)
        first, second = (next(lines, b"").split(b"|") for _ in range(2))
    name = first[0].decode("latin-1").strip().lower()
    if len(first) not in (2, 3) or "," in name or name in ("id", "file_name"):
        return False
    # Coqui's has a header, and files in the column that it calls so.
    return name not in SPELLINGS["audio"] or without_ending(clip := second[0].decode("latin-1").strip()) == clip


def texts_of(path: str, encoding: str, names: set[str] | None) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Names, their accents composed, and columns of the transcripts in a file.

    Args:
        path: of the file.
        encoding: of it.
        names: of the clips that are wanted, as `names_of` gives them; None for all.
    """
    is_table = file_name(path) == LJSPEECH
    with open_text(path) as file:
        for line in Lines(file):
            text = text_lines.decode(line, path, encoding).rstrip("\r\n")
            given, *texts = text.split("|") if is_table else text.split(" ", 1)
            name = without_ending(given.strip().removeprefix("./")) if is_table else given
            composed = normalize("NFC", name)
            if name and (names is None or composed in names):
                columns = dict(zip(COLUMNS, (name, *texts), strict=False)) | _speaker_of(path, name)
                yield composed, {key: value.encode() for key, value in columns.items()}


def _speaker_of(path: str, name: str) -> dict[str, str]:
    """Who speaks, where file and clip are called as LibriSpeech's or AISHELL's.

    LibriSpeech has `84-121123-0000` in `84-121123.trans.txt`, AISHELL `BAC009S0002W0122` of `S0002`.
    """
    if file_name(path) == AISHELL:
        clip = _CLIP_OF_AISHELL.fullmatch(name)
        return {} if clip is None else clip.groupdict()
    stem = file_name(path).removesuffix(TRANSCRIPTS)
    speaker, *chapter = stem.split("-")
    is_librispeech = path.endswith(TRANSCRIPTS) and len(chapter) == 1 and name.startswith(f"{stem}-")
    return {SPEAKER: speaker} if is_librispeech and speaker else {}


def text_of(path: str, texts: Mapping[str, dict[str, bytes]]) -> dict[str, bytes]:
    """The columns of a clip's transcript; none where it has none."""
    key = _key_of(path, texts)
    return {} if key is None else texts[key]


def _key_of(path: str, texts: Mapping[str, dict[str, bytes]]) -> str | None:
    return next((name for name in names_of(path) if name in texts), None)


def names_of(path: str) -> list[str]:
    """The names that transcripts may give a clip: its path without the ending, from the longest part on.

    Their accents are composed; a disk may have them decomposed, as macOS has it.
    """
    parts = normalize("NFC", without_ending(printable(path))).split("/")[-_DEPTH:]
    return ["/".join(parts[first:]) for first in range(len(parts))]
