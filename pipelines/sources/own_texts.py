"""Texts of one clip each that lie beside audio files under the clips' own names: `a.txt` beside `a.wav`.

LibriTTS has two of each clip. TIMIT's begins with where the clip does, in samples, and VCTK's lies in a folder of
its own.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterable
from glob import escape

from melbeam.pipelines import files, words
from melbeam.pipelines.sources import text_lines
from melbeam.pipelines.sources.endings import without_ending
from melbeam.pipelines.sources.text_lines import open_text
from melbeam.pipelines.sources.units import printable
from melbeam.transforms.folder_layout import file_name, folder_of, parent
from melbeam.transforms.records.schema import TEXT

NORMALIZED, SPEAKER = "normalized_text", "speaker"
FOLDERS = 64  # more of them are searched for transcripts by one listing of what they lie in, or not at all
# The ending that a clip's own text has in place of the clip's; the first one of a column wins.
_OWN = {".txt": TEXT, ".TXT": TEXT, ".original.txt": TEXT, ".normalized.txt": NORMALIZED}
# TIMIT's clips have their phones beside them, and begin their texts with the numbers of two samples: of the first,
# which is 0, and of the one behind the last.
_PHONES = (".phn", ".PHN")
_TEXTS_OR_PHONES = "*.[tTpP][xXhH][tTnN]"  # and a few that nobody writes
_TIMIT = re.compile(rb"0 +\d{4,} +(?P<text>.*)", re.DOTALL)
_TIMES = re.compile(rb"\s*(?P<start>\d+(\.\d+)?)[ \t]+(?P<end>\d+(\.\d+)?)[ \t]+\S")
# Stands among a clip's endings for the text that VCTK has in another folder: `txt/p225/p225_001.txt`, for
# `wav48/p225/p225_001.wav` or `wav48_silence_trimmed/p225/p225_001_mic1.flac`.
_VCTK = "/txt"
_MICROPHONE = re.compile(r"_mic\d$")
_LARGEST_TEXT = 1 << 20  # 1 MiB; more is no transcript of a clip
_SHOWN = 60  # characters of a text


class OwnTexts:
    """The texts that lie beside clips under their own names, `a.txt` beside `a.wav`.

    Args:
        clips: paths and sizes, sorted by path.
        listed: all files of the input, where the texts are searched; else in the clips' folders, of which few are.
    """

    def __init__(self, clips: list[tuple[str, int]], listed: list[tuple[str, int]]) -> None:
        texts = [(path, size) for path, size in listed if path.endswith((".txt", ".TXT", *_PHONES))]
        folders = sorted({folder_of(path) for path, _ in clips})
        if not texts and len(folders) <= FOLDERS:
            texts = [found for folder in folders for found in files.match(f"{escape(folder)}/{_TEXTS_OR_PHONES}")]
        # A folder that is called `.` is in none of the paths that are written without it.
        there = {path.removeprefix("./") for path, size in texts if size <= _LARGEST_TEXT}
        self._of_clip: dict[str, list[str]] = {}
        for path, _ in clips if there else ():
            stem = without_ending(path)
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
            found[SPEAKER] = printable(name_of_folder(folder_of(path))).encode()
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
    return _path_of_vctk(path) or "" if ending == _VCTK else f"{without_ending(path)}{ending}"


def _path_of_vctk(path: str) -> str | None:
    """This says where the text of a clip of VCTK's lies; None for a clip that is not called as one."""
    folder, name = folder_of(path), file_name(path)
    speaker = name_of_folder(folder)
    if not name.startswith(f"{speaker}_"):
        return None
    above = folder_above(folder_above(folder))
    stem = _MICROPHONE.sub("", without_ending(name))
    return f"{'' if above == '.' else f'{above}/'}txt/{speaker}/{stem}.txt"


def folder_above(folder: str) -> str:
    """The folder that a folder lies in, which is outside the working directory where that is meant by `.`."""
    return os.path.normpath(f"{folder}/..") if file_name(folder) in (".", "..") else folder_of(folder)


def name_of_folder(folder: str) -> str:
    """The name of a folder; of `.` too, the working directory."""
    return file_name(files.full_path(folder))


def _of_vctk(clips: list[tuple[str, int]], listed: set[str]) -> dict[str, list[str]]:
    """The clips that have a text where VCTK has it.

    Args:
        clips: paths and sizes, sorted by path.
        listed: the texts of the input; where none of theirs is among them, the folder beside the clips' is asked.
    """
    texts = {path: text for path, _ in clips if (text := _path_of_vctk(path)) is not None}
    folders = {parent(parent(text)) for text in texts.values()}
    if listed.isdisjoint(texts.values()) and len(folders) <= FOLDERS:
        found = [named for folder in sorted(folders) for named in files.match(f"{escape(folder)}/**.txt")]
        listed = {path for path, size in found if size <= _LARGEST_TEXT}
    return {path: [_VCTK] for path, text in texts.items() if text in listed}
