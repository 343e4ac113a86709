"""Clips that a source names by their path, whole files or segments of them: rows in, audio records out.

Manifests, Kaldi's and lhotse's folders and folders of audio files all come to rows. A row whose audio is not
there is a damage that keeps the row, so that `melbeam retry-rejects` reads it again.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from glob import escape
from posixpath import normpath
from typing import Any
from unicodedata import normalize
from urllib.parse import unquote

from melbeam.pipelines import files
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources.segments import Recordings
from melbeam.pipelines.sources.units import AudioRecord, Damage, Item, Unit, printable
from melbeam.transforms.folder_layout import file_name, parent
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.rows import keep_row
from melbeam.transforms.records.schema import TEXT
from melbeam.transforms.records.segments import encode_segments
from melbeam.transforms.records.tf_example import kind_and_count, to_example
from melbeam.transforms.records.wire import Values

_FOLDERS_ABOVE = 3  # of a table's folder, in which its recipe may have run
UTF_8 = "utf-8"
_FETCHED_BYTES = 64 << 20  # 64 MiB ahead of what is converted; more only where one file is larger
# What is wrong with one file, of a file system that is there.
OF_ONE_FILE = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, files.NoFileSystem)


@dataclass(frozen=True)
class Row:
    """A clip and what is known of it.

    Attributes:
        audio: path of the file that it lies in.
        id: of the clip.
        start: of the clip in the file, in seconds; None for a whole file.
        end: of the clip in the file, in seconds; None for the file's end.
        seconds: that the clip is said to last; None where nothing is said.
        channel: of the file, counted from 0, that the clip is; None for all of them.
        segments: what is said when in it, as `records.segments` encodes it; empty where the source does not say.
        columns: name to value of what is passed through.
        features: name to `Feature` message of more of that.
        encoding: of the text that names the audio, in which its name may be on a disk.
    """

    audio: str
    id: str
    start: float | None = None
    end: float | None = None
    seconds: float | None = None
    channel: int | None = None
    segments: str = ""
    columns: Mapping[str, Values] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    encoding: str = UTF_8

    @property
    def is_segment(self) -> bool:
        """Whether it is a part of its file."""
        return self.start is not None or self.end is not None or self.channel is not None

    @property
    def texts_with_times(self) -> str:
        """What is said when: as its source says; of a segment with a text, that text throughout."""
        said: Any = self.columns.get(TEXT, [])
        if TEXT in self.features:
            kind, _ = kind_and_count(self.features[TEXT])
            said = list(getattr(self.features[TEXT], kind).value) if kind else []
        texts = [
            one.decode(errors="replace") if isinstance(one, bytes) else str(one)
            for one in (said if isinstance(said, list) else [said])
        ]
        if self.segments or not any(texts) or (self.start is None and self.end is None):
            return self.segments
        return encode_segments([(0.0, None, " ".join(texts))])

    def kept(self, kind: str) -> bytes:
        """The row as a reject keeps it."""
        names = ("audio", "id", "start", "end", "seconds", "channel")
        row = {"kind": kind, **{name: getattr(self, name) for name in names}}
        if self.segments:
            row["segments"] = self.segments
        if self.encoding != UTF_8:
            row["encoding"] = self.encoding
        return keep_row(row, {**self.columns, "id": self.id}, self.features)

    @classmethod
    def of_kept(cls, row: Mapping[str, Any], features: Mapping[str, Any]) -> Row:
        """Inverse of `kept`."""
        fields = {name: value for name, value in row.items() if name != "kind"}
        return cls(**fields, features={name: value for name, value in features.items() if name != "id"})


@dataclass(frozen=True)
class BadRow:
    """A row that says nothing that could be read.

    Attributes:
        detail: what is wrong with it, for a person.
        kept: the row as a reject keeps it.
        id: of the clip, where it is known.
    """

    detail: str
    kept: bytes
    id: str | None = None


def read_rows(rows: Iterable[Row | BadRow | Item], unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """The records that rows name, in order; `unit` gives them their numbers and places.

    Whole files of a store are fetched several at once. What a source has read by itself passes through; its number
    is the one that its place among the rows gives.
    """
    recordings = Recordings(max_record_bytes)
    try:
        for number, (row, fetched) in enumerate(_fetched(rows, max_record_bytes), unit.span.number):
            place = unit.place(number)
            if isinstance(row, BadRow):
                yield Damage(number, place, Reject("bad_row", row.detail, row.id), row.kept)
                continue
            if not isinstance(row, Row):
                yield row
                continue
            try:
                yield AudioRecord(
                    number, place, _record(row, fetched, recordings), row.seconds, row.texts_with_times
                )
            except Reject as reject:
                reject.record_id = row.id
                yield Damage(number, place, reject, row.kept(unit.kind))
    finally:
        recordings.close()


def _record(row: Row, fetched: bytes | Reject | None, recordings: Recordings) -> bytes:
    if isinstance(fetched, Reject):
        raise fetched
    audio = fetched
    if audio is None:
        try:
            audio = recordings.segment(as_on_disk(row.audio, row.encoding), row.start or 0.0, row.end, row.channel)
        except OF_ONE_FILE as error:
            raise _not_found(row.audio, error) from error
    fields = {name: value for name, value in row.columns.items() if name not in ("audio", "id")}
    return to_example({**fields, "id": row.id}, row.features, ("audio", memoryview(audio)))


def _fetched(
    rows: Iterable[Row | BadRow | Item], max_record_bytes: int
) -> Iterator[tuple[Row | BadRow | Item, bytes | Reject | None]]:
    """Rows with their files' bytes; None for those of which nothing is read, or only a segment."""
    waiting: deque[tuple[Row | BadRow | Item, Future[bytes | Reject] | None]] = deque()
    ahead = 0  # bytes
    with ThreadPoolExecutor(files.FETCHES_AT_ONCE, thread_name_prefix="melbeam-fetch") as pool:
        for row in rows:
            if not isinstance(row, Row) or row.is_segment or files.is_local(row.audio):
                if not waiting:
                    yield row, _fetch_local(row, max_record_bytes)
                    continue
                waiting.append((row, None))
            else:
                waiting.append((row, pool.submit(_fetch, row, max_record_bytes)))
            while len(waiting) >= files.FETCHES_AT_ONCE or (waiting and ahead > _FETCHED_BYTES):
                yield _next(waiting, max_record_bytes)
            ahead = sum(_num_bytes(future) for _, future in waiting)
        while waiting:
            yield _next(waiting, max_record_bytes)


def _next(
    waiting: deque[tuple[Row | BadRow | Item, Future[bytes | Reject] | None]], max_record_bytes: int
) -> tuple[Row | BadRow | Item, bytes | Reject | None]:
    row, future = waiting.popleft()
    return row, _fetch_local(row, max_record_bytes) if future is None else future.result()


def _num_bytes(future: Future[bytes | Reject] | None) -> int:
    if future is None or not future.done() or future.exception() is not None:
        return 0
    fetched = future.result()
    return len(fetched) if isinstance(fetched, bytes) else 0


def _fetch_local(row: Row | BadRow | Item, max_record_bytes: int) -> bytes | Reject | None:
    return None if not isinstance(row, Row) or row.is_segment else _fetch(row, max_record_bytes)


def _fetch(row: Row, max_record_bytes: int) -> bytes | Reject:
    """The whole file, or why one file cannot be read; what lies with its file system is raised."""
    path = as_on_disk(row.audio, row.encoding)
    try:
        if files.is_local(path):
            with files.open_file(path) as file:
                size = os.fstat(file.fileno()).st_size
                data = file.read() if size <= max_record_bytes else b""
        else:  # in one request, for each takes tens of milliseconds
            data = files.read_range(path, 0, max_record_bytes + 1)
            size = len(data)
    except OF_ONE_FILE as error:
        return _not_found(path, error)
    except OSError as error:
        if files.is_local(path):  # a bad sector, a link that leads in a circle
            return _not_found(path, error)
        raise
    if size > max_record_bytes:
        size = max(size, dict(files.match(escape(path))).get(path, 0))
        return Reject("over_limit", f"{printable(path)} has {size} bytes, above {max_record_bytes}")
    return data


def _not_found(path: str, error: OSError) -> Reject:
    if isinstance(error, FileNotFoundError):
        detail = f"{printable(path)} is not there"
        if "\\" in path and files.is_local(path):
            detail += ", and its name has backslashes, as paths of Windows: write them as /"
        elif any(part in f"/{path}" for part in ("/~/", "/$")) and files.is_local(path):
            detail += ", and ~ and $ stand for nothing in a path here: write the whole path"
        elif path != "/".join(part.strip() for part in path.split("/")):
            detail += f", and a part of its name begins or ends with a space: {path!r}"
    elif isinstance(error, files.NoFileSystem):
        detail = str(error)
    else:
        detail = f"{printable(path)} cannot be read: {error.strerror or error}"
    return Reject("not_found", f"{detail}; once it can be read, `melbeam retry-rejects` takes it")


def as_on_disk(path: str, encoding: str = UTF_8) -> str:
    """The path by which a file that a table names is there.

    A name with accents may be composed in the table and decomposed on the disk, as macOS has it, or the other way
    round, or lie there in the bytes of the table's encoding. The name as it stands goes first.

    Args:
        path: as the table has it.
        encoding: of the table.
    """
    if path.isascii() or not files.is_local(path) or os.path.lexists(path):
        return path
    there = parent(path)
    while "/" in there and not os.path.exists(there):
        there = parent(there)
    rest = path[len(there) :] if os.path.exists(there) else path
    there = path[: len(path) - len(rest)]
    spellings = [normalize(form, rest) for form in ("NFC", "NFD")]
    if encoding != UTF_8:
        with suppress(UnicodeEncodeError):
            spellings.append(os.fsdecode(rest.encode(encoding)))
    return next((there + other for other in spellings if os.path.lexists(there + other)), path)


def folder_of_relative(first: str | None, folder: str, encoding: str = UTF_8) -> str:
    """What the relative paths of Kaldi and lhotse are meant from, with a slash at its end, or "".

    Both are written relative to where their recipe ran. That is here, if the first file is there; else the folder
    of the table itself, or one of those that it lies in, as of `data/train` in a recipe's folder; which a corpus
    that was moved as a whole has kept.

    Args:
        first: path of the first recording; None where there is none.
        folder: of the table, with a slash at its end, or "".
        encoding: of the table.
    """
    if first is None or is_absolute(first) or files.exists(as_on_disk(first, encoding)):
        return ""
    above = [folder]
    while len(above) <= _FOLDERS_ABOVE and "/" in (inner := above[-1].rstrip("/")) and not inner.endswith(":/"):
        above.append(f"{parent(inner)}/")
    below = first.removeprefix("./")
    return next((one for one in above if files.exists(as_on_disk(one + below, encoding))), folder)


def path_in(folder: str, audio: str) -> str:
    """The path of a file that a table names.

    Args:
        folder: that relative paths are meant from, with a slash at its end, or "".
        audio: a path, or a URI; `file:` ones are local paths with their `%20` and the like undone.

    Raises:
        ValueError: it holds half a surrogate pair, as JSON may, and so is no path.
    """
    try:
        os.fsencode(audio)
    except UnicodeEncodeError as error:
        raise ValueError(f"the path {audio!r} holds half a character") from error
    if audio.startswith("file:/"):  # and one slash, as Java writes it
        return "/" + unquote(audio.removeprefix("file:").removeprefix("//localhost")).lstrip("/")
    if is_absolute(audio):
        return audio
    path = folder + audio.removeprefix("./")
    scheme, is_address, key = path.partition("://")
    # A store has no folders to go up from, so `..` is undone here.
    return f"{scheme}://{normpath(key)}" if is_address and ".." in key else path


def check_can_be_read(path: str, where: str) -> None:
    """Refuses the first of a table's files where it is of a scheme that nothing here reads.

    Raises:
        ValueError: with what to do.
    """
    try:
        files.check_scheme(path)
    except files.NoFileSystem as error:
        raise UsageError(Refusal.NO_FILE_SYSTEM, f"{where} names {error}") from error


def is_absolute(path: str) -> bool:
    """Whether a path says where it is, from wherever it is read."""
    return path.startswith("/") or "://" in path


def as_id(value: Any) -> str | None:
    """A table's value as an id, bytes as the text that they hold; None where it is empty."""
    if isinstance(value, bytes):
        return value.decode(errors="replace") or None
    # Of half a surrogate pair, which JSON may hold, no UTF-8 is made.
    return None if value is None else str(value).encode(errors="replace").decode() or None


def id_of(path: str, root: str, start: float | None = None, end: float | None = None) -> str:
    """The id of a clip that has no other: its file's path below a root, with `@start-end` for a segment."""
    name = printable(path.removeprefix(root) if root else path) or file_name(path)
    if start is None and end is None:
        return name
    return f"{name}@{_in_words(start or 0.0)}-{'' if end is None else _in_words(end)}"


def _in_words(seconds: float) -> str:
    """Seconds to the microsecond, without zeros at the end."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")
