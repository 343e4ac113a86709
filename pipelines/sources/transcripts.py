"""Transcripts that lie beside audio files: LibriSpeech's `*.trans.txt`, LJSpeech's `metadata.csv`, and `a.txt`.

LibriSpeech's name an utterance by its file's name; LJSpeech's table, which has no header and `|` between its
columns, also by a path, with or without its ending. A text by the clip's own name, as LibriTTS has two of each, is
that clip's; TIMIT's begins with where the clip does, in samples, and VCTK's lies in a folder of its own.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping
from glob import escape
from itertools import groupby, islice
from unicodedata import normalize

from melbeam.pipelines import files, words
from melbeam.pipelines.sources import text_lines
from melbeam.pipelines.sources.columns import SPELLINGS
from melbeam.pipelines.sources.endings import AUDIO_ENDINGS
from melbeam.pipelines.sources.rows import is_absolute
from melbeam.pipelines.sources.text_lines import Lines, open_text
from melbeam.pipelines.sources.units import printable
from melbeam.transforms.folder_layout import file_name, folder_of, parent
from melbeam.transforms.records.schema import TEXT

TRANSCRIPTS, LJSPEECH = ".trans.txt", "metadata.csv"
_NORMALIZED, SPEAKER = "normalized_text", "speaker"
COLUMNS = ("id", TEXT, _NORMALIZED, SPEAKER)  # the third is LJSpeech's, the last LibriSpeech's, TIMIT's and VCTK's
# The ending that a clip's own text has in place of the clip's; the first one of a column wins.
_OWN = {".txt": TEXT, ".TXT": TEXT, ".original.txt": TEXT, ".normalized.txt": _NORMALIZED}
# TIMIT's clips have their phones beside them, and begin their texts with two numbers: of the first sample, and of
# the one behind the last.
_PHONES = (".phn", ".PHN")
_TEXTS_OR_PHONES = "*.[tTpP][xXhH][tTnN]"  # and a few that nobody writes
_TIMIT = re.compile(rb"\d+ +\d+ +(?P<text>.*)", re.DOTALL)
_TIMES = re.compile(rb"\s*(?P<start>\d+(\.\d+)?)[ \t]+(?P<end>\d+(\.\d+)?)[ \t]+\S")
# Stands among a clip's endings for the text that VCTK has in another folder: `txt/p225/p225_001.txt`, for
# `wav48/p225/p225_001.wav` or `wav48_silence_trimmed/p225/p225_001_mic1.flac`.
_VCTK = "/txt"
_CLIP_OF_VCTK = re.compile(r"(?P<above>(?:.*/)?)[^/]+/(?P<speaker>[^/]+)/(?P<name>(?P=speaker)_[^/]+)")
_MICROPHONE = re.compile(r"_mic\d$")
_LARGEST_TEXT = 1 << 20  # 1 MiB; more is no transcript of a clip
_FOLDERS = 64  # more of them are searched for transcripts by one listing of what they lie in
_COMPARED = 64  # files of transcripts whose names are held against those of the clips before any work
_DEPTH = 4  # names of folders by which LJSpeech's table may tell clips apart
_NAMED = 3
_SHOWN = 60  # characters of a text
_MANY = 5  # normalised forms, or more, of each text: one text has one


class OwnTexts:
    """The texts that lie beside clips under their own names, `a.txt` beside `a.wav`.

    Args:
        clips: paths and sizes, sorted by path.
        listed: all files of the input, where the texts are searched; else in the clips' folders, of which few are.
    """

    def __init__(self, clips: list[tuple[str, int]], listed: list[tuple[str, int]]) -> None:
        texts = [(path, size) for path, size in listed if path.endswith((".txt", ".TXT", *_PHONES))]
        folders = sorted({folder_of(path) for path, _ in clips})
        if not texts and len(folders) <= _FOLDERS:
            texts = [found for folder in folders for found in files.match(f"{escape(folder)}/{_TEXTS_OR_PHONES}")]
        # A folder that is called `.` is in none of the paths that are written without it.
        there = {path.removeprefix("./") for path, size in texts if size <= _LARGEST_TEXT}
        self._of_clip: dict[str, list[str]] = {}
        for path, _ in clips if there else ():
            stem = _without_ending(path)
            found = [ending for ending in (*_OWN, *_PHONES) if f"{stem}{ending}".removeprefix("./") in there]
            if any(ending in _OWN for ending in found):
                self._of_clip[path] = found
        if not self._of_clip:
            self._of_clip = _of_vctk(clips, there)

    @property
    def are_there(self) -> bool:
        """Whether some clip has one."""
        return bool(self._of_clip)

    @property
    def paths(self) -> set[str]:
        """All of them."""
        named = ((path, ending) for path, found in self._of_clip.items() for ending in found)
        return {_own_path(path, ending) for path, ending in named if ending not in _PHONES}

    def endings(self, path: str) -> list[str]:
        """The endings that follow a clip's name in those of its texts, and what else says how they are read."""
        return self._of_clip.get(path, [])


def own_text(path: str, endings: Iterable[str], encoding: str) -> dict[str, bytes]:
    """The columns of a clip's own texts, without the line feeds around them.

    Args:
        path: of the clip.
        endings: of its texts, as `OwnTexts.endings` gives them.
        encoding: of them.

    Raises:
        NotText: one is of another encoding.
        OSError: one cannot be read.
    """
    found: dict[str, bytes] = {}
    endings = list(endings)
    for ending in endings:
        if ending in _PHONES:
            continue
        name = _own_path(path, ending)
        with open_text(name) as file:
            data = file.read().removeprefix(codecs.BOM_UTF8)
        text = text_lines.decode(data, name, encoding).strip("\r\n").encode()
        of_timit = _TIMIT.fullmatch(text) if any(phones in endings for phones in _PHONES) else None
        found.setdefault(_OWN.get(ending, TEXT), text if of_timit is None else of_timit["text"])
        if of_timit is not None or ending == _VCTK:
            found[SPEAKER] = printable(file_name(folder_of(path))).encode()
    return found


def note_of_times(path: str, text: bytes) -> list[str]:
    """A line for a person where all lines of a text begin with two times, as those of labels do; else none.

    Args:
        path: of the clip that it is the own text of.
        text: as the clip gets it.
    """
    lines = text.splitlines()
    times = [found for line in lines if (found := _TIMES.match(line))]
    if not lines or len(times) < len(lines) or any(float(one["start"]) > float(one["end"]) for one in times):
        return []
    return [
        f"the text of {printable(path)} begins with two numbers, which stay in it "
        f'("{words.harmless(lines[0][:_SHOWN])}"): if they are times, a manifest with the columns audio, start, '
        "end and text cuts the clip there"
    ]


def _own_path(path: str, ending: str) -> str:
    """The path of a text of a clip's own."""
    return _path_of_vctk(path) or "" if ending == _VCTK else f"{_without_ending(path)}{ending}"


def _path_of_vctk(path: str) -> str | None:
    """Where the text of a clip of VCTK's lies; None for a clip that is not called as one."""
    clip = _CLIP_OF_VCTK.fullmatch(path)
    if clip is None:
        return None
    stem = _MICROPHONE.sub("", _without_ending(clip["name"]))
    return f"{clip['above']}txt/{clip['speaker']}/{stem}.txt"


def _of_vctk(clips: list[tuple[str, int]], listed: set[str]) -> dict[str, list[str]]:
    """The clips that have a text where VCTK has it.

    Args:
        clips: paths and sizes, sorted by path.
        listed: the texts of the input; where none of theirs is among them, the folder beside the clips' is asked.
    """
    texts = {path: text for path, _ in clips if (text := _path_of_vctk(path)) is not None}
    folders = {parent(parent(text)) for text in texts.values()}
    if listed.isdisjoint(texts.values()) and len(folders) <= _FOLDERS:
        found = [named for folder in sorted(folders) for named in files.match(f"{escape(folder)}/**.txt")]
        listed = {path for path, size in found if size <= _LARGEST_TEXT}
    return {path: [_VCTK] for path, text in texts.items() if text in listed}


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
        if not found and len(folders) <= _FOLDERS:
            for folder in folders:
                found.update(path for path, _ in files.match(f"{escape(folder)}/*{TRANSCRIPTS}"))
        elif not found:
            above = _common_folder(folders)
            found.update(path for path, _ in files.match(f"{escape(above)}**{TRANSCRIPTS}"))
        self._of_folder: dict[str, list[str]] = {}
        for path in sorted(found):
            self._of_folder.setdefault(parent(path), []).append(path)
        self._note_tables(folders, [path for path, _ in listed if file_name(path) == LJSPEECH])

    def _note_tables(self, folders: list[str], listed: list[str]) -> None:
        """Gives each folder LJSpeech's table of it, of the one that it lies in, or of any above in the input."""
        tables = dict.fromkeys(path for path in listed if is_ljspeech(path))
        for folder in folders:
            near = (f"{folder}/{LJSPEECH}", f"{folder_of(folder)}/{LJSPEECH}")
            if not listed and len(folders) <= _FOLDERS:
                tables |= dict.fromkeys(path for path in near if files.exists(path) and is_ljspeech(path))
            for path in tables:
                if path in near or _lies_in(folder, folder_of(path)):
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
    return "/".join(_without_ending(path).split("/")[-2:])


def _may_be_speakers(texts: Iterable[Mapping[str, bytes]]) -> bool:
    """Whether what stands for texts says much less than what stands for their normalised forms."""
    normalized = [columns.get(_NORMALIZED, b"") for columns in texts]
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
    return name not in SPELLINGS["audio"] or _without_ending(clip := second[0].decode("latin-1").strip()) == clip


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
            name = _without_ending(given.strip().removeprefix("./")) if is_table else given
            composed = normalize("NFC", name)
            if name and (names is None or composed in names):
                columns = dict(zip(COLUMNS, (name, *texts), strict=False)) | _speaker_of(path, name)
                yield composed, {key: value.encode() for key, value in columns.items()}


def _speaker_of(path: str, name: str) -> dict[str, str]:
    """Who speaks, where file and clip are called as LibriSpeech's, `84-121123.trans.txt` and `84-121123-0000`."""
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
    parts = normalize("NFC", _without_ending(printable(path))).split("/")[-_DEPTH:]
    return ["/".join(parts[first:]) for first in range(len(parts))]


def _without_ending(name: str) -> str:
    stem, _, ending = name.rpartition(".")
    return stem if stem and f".{ending.lower()}" in AUDIO_ENDINGS else name
