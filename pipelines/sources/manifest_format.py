"""How a manifest's bytes are rows: JSON lines, or columns between delimiters with a header.

The tables of `corpora` may have none, and name their clips otherwise.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from melbeam.pipelines.sources import corpora, text_lines
from melbeam.pipelines.sources.endings import AUDIO_ENDINGS
from melbeam.pipelines.sources.rows import is_absolute
from melbeam.pipelines.sources.text_lines import Lines, NotText, open_text, skip_to
from melbeam.pipelines.sources.units import printable

PATH = "path"  # the column of Common Voice's clips
_DELIMITERS = (",", "\t", ";", "|")
_LINES_OF_A_HEADER = 100  # at most, where quotes hold line feeds
csv.field_size_limit(1 << 30)  # a transcript may be long


@dataclass(frozen=True)
class Format:
    """How a manifest's bytes are rows.

    Attributes:
        header: the names of the columns; None for JSON lines, where each row has its own. A column without a name,
            as of pandas's row numbers or of a comma at the end, is none.
        delimiter: between columns.
        quoted: whether quotes may enclose a column; Common Voice's are literal.
        encoding: of the text.
        skips_spaces: whether a space behind a delimiter is none of the column, as in `audio, text`.
        audio: template of the path of a row's clip, of `corpora`; empty where a column has the path.
    """

    header: tuple[str, ...] | None
    delimiter: str = ""
    quoted: bool = True
    encoding: str = "utf-8"
    skips_spaces: bool = False
    audio: str = ""

    def _csv(self, lines: Iterable[str], *, strict: bool = False) -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=self.delimiter, skipinitialspace=self.skips_spaces, strict=strict)

    def rows(self, lines: Lines) -> Iterator[tuple[int, bytes]]:
        """Offset and bytes of each row; a quoted line feed is inside its row."""
        if self.header is None or not self.quoted:
            yield from ((offset, line) for offset, line in lines.with_offsets() if line.strip())
            return
        taken: list[bytes] = []

        def texts() -> Iterator[str]:
            for line in lines:
                taken.append(line)
                yield line.decode("latin-1")  # byte for byte: where rows end is the same in every encoding

        start = lines.offset
        reader = self._csv(texts())
        while True:
            try:
                is_row = bool(next(reader))
            except StopIteration:
                return
            except csv.Error:  # `values` says what it is
                is_row = True
            if is_row:
                yield start, b"".join(taken)
            taken.clear()
            start = lines.offset

    def values(self, row: bytes, path: str) -> dict[str, Any]:
        """A row's columns by name.

        Raises:
            ValueError: it is no row of this manifest; the message says why.
        """
        text = text_lines.decode(row, path, self.encoding)
        if self.header is None:
            try:
                values = text_lines.json_of(text)
            except ValueError as error:
                raise ValueError(f"no JSON: {error}") from error
            if not isinstance(values, dict):
                raise ValueError(f"a JSON {type(values).__name__}, not an object")
            return values
        fields = self._fields(text)
        if len(fields) != len(self.header):
            raise ValueError(f"{len(fields)} columns, the header has {len(self.header)}")
        values = {name: field for name, field in zip(self.header, fields, strict=True) if name}
        return corpora.with_audio(self.audio, path, values) if self.audio else values

    def leaves_out(self, row: bytes) -> bool:
        """Whether a row says nothing of a clip, and is none."""
        return corpora.leaves_out(self.header, row)

    def _fields(self, text: str) -> list[str]:
        if corpora.is_stm(self.header):
            return corpora.fields_of_stm(text)
        if not self.quoted:
            return text.rstrip("\r\n").split(self.delimiter)
        try:
            return next(self._csv(_lines_of(text), strict=True), [])
        except csv.Error as error:
            raise ValueError(f"{error}: a quote inside a quoted value must be doubled") from error


def _lines_of(text: str) -> Iterator[str]:
    """The lines as `csv` wants them; `str.splitlines` would end some in the middle of a text, at U+2028."""
    return iter(io.StringIO(text, newline="\n"))


def check_last_quote(path: str, format: Format, last: bytes, num_rows: int) -> None:
    """Refuses a quote that is never closed: it takes all rows behind it into one.

    Raises:
        ValueError: with the row.
    """
    if format.header is None or not format.quoted or not last:
        return
    text = list(_lines_of(last.decode("latin-1")))
    try:
        list(format._csv(text, strict=True))
    except csv.Error as error:
        if "end of data" in str(error):
            raise ValueError(
                f"{printable(path)}: a quote in row {num_rows} is never closed, and takes the {len(text)} lines "
                f"up to the end of the file: {last[:60]!r}"
            ) from error


def find_format(path: str, encoding: str) -> tuple[Format, int]:
    """The format, and where the first row begins.

    Raises:
        ValueError: it is empty, of another encoding, or one JSON value.
    """
    if text_lines.looks_wide(path):
        raise ValueError(f"{printable(path)} is UTF-16: convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)")
    with open_text(path) as file:
        lines = Lines(file)
        head = corpora.first_row(path, lines)
        if not head:
            raise ValueError(f"{printable(path)} is empty: a manifest has one row for each clip")
        if head.lstrip()[:1] == b"{":
            return Format(None, encoding=encoding), 0
        if head.lstrip()[:1] == b"[":
            raise ValueError(f"{printable(path)} is one JSON list: write one object a line (jq -c '.[]')")
        text = text_lines.decode(head, path, encoding).rstrip("\r\n")
        if "\r" in text:
            raise ValueError(
                f"{printable(path)} ends its lines with a carriage return alone, as old Macs did: convert it "
                "first (tr '\\r' '\\n')"
            )
        if (corpus := corpora.of_first_row(path, text)) is not None:
            template = corpora.template_of(corpus, path, text)
            return Format(corpus.columns, "\t", quoted=False, encoding=encoding, audio=template), 0
        delimiter = max(_DELIMITERS, key=text.count)
        end = lines.offset
        later = (text_lines.decode(line, path, encoding) for line in islice(lines, _LINES_OF_A_HEADER))
        try:  # a quoted name may hold line feeds
            header = next(csv.reader(chain([f"{text}\n"], later), delimiter=delimiter, strict=True))
            end = lines.offset
        except (csv.Error, NotText):
            header = next(csv.reader([text], delimiter=delimiter))
    skips_spaces = len(header) > 1 and all(name.startswith(" ") for name in header[1:])
    names = tuple(name.strip() for name in header)
    _check_header(path, names)
    if (corpus := corpora.of_header(names)) is not None:
        # VoxPopuli's own TSV has literal quotes; other programs write it with commas, and enclose what has some.
        return Format(names, delimiter, delimiter != "\t", encoding, audio=corpus.audio[0]), end
    quoted = not is_common_voice(names) and (delimiter != "\t" or _quotes_enclose(path, end))
    return Format(names, delimiter, quoted, encoding, skips_spaces and quoted), end


def _check_header(path: str, header: tuple[str, ...]) -> None:
    """Refuses a first row that names two columns alike, or is a row like any other.

    Raises:
        ValueError: with what to do.
    """
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{printable(path)} has two columns {twice!r}: rename one of them")
    clip = next((name for name in header if name.lower().endswith(AUDIO_ENDINGS)), None)
    if clip is not None:
        raise ValueError(
            f"{printable(path)} has no header: its first row, which must name the columns (audio, text, ...), "
            f"holds {clip!r}"
        )


def _quotes_enclose(path: str, start: int) -> bool:
    """Whether all quotes of a TSV enclose columns; if one does not, as in `"Yes," he said`, all are literal."""
    with open_text(path) as file:
        lines = Lines(file)
        skip_to(lines, start)
        try:
            for _ in csv.reader((line.decode("latin-1") for line in lines), delimiter="\t", strict=True):
                pass
        except csv.Error:
            return False
    return True


def is_common_voice(names: Iterable[str]) -> bool:
    """Whether columns are those of a Common Voice table: its paths lie below `clips/`, its quotes are literal."""
    return {"client_id", PATH} <= set(names)


def path_of_common_voice(path: Any) -> Any:
    """The path of a clip from the table's folder: below `clips/`, and an MP3 where its name has no ending.

    So it is in the first releases. What is no relative path is left as it is.
    """
    if not isinstance(path, str) or not path or is_absolute(path):
        return path
    path = path.removeprefix("./")
    if "." not in path.rpartition("/")[2]:
        path += ".mp3"
    return path if path.startswith("clips/") else f"clips/{path}"
