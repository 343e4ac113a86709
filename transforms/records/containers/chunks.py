"""Files of chunks: a name, a size, so many bytes, and the next one. RIFF, IFF, W64 and CAF."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from melbeam.transforms.records.containers import tags
from melbeam.transforms.records.containers.pcm import is_no_audio
from melbeam.transforms.records.rejects import Reject

_OTHER_NAMES = (b"(c) ", b"_PMX")  # of a copyright, and of the XMP that Adobe puts into a WAV
_MAX_JUNK = 8  # bytes behind all chunks that are no chunk and too few to be audio
# The rest of a GUID whose first four bytes are a name, of the chunks by which a W64 is read.
_W64_NAMES = (b"fmt ", b"fact", b"data")
_W64_REST = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_OTHER_FILES = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"riff", b"caff", b"data", b"SSND", b"BODY")


@dataclass(frozen=True)
class Chunk:
    """A chunk of a file.

    Attributes:
        name: four bytes.
        start: the byte of its content.
        size: of its content, as it says.
    """

    name: bytes
    start: int
    size: int

    @property
    def end(self) -> int:
        """The byte behind its content."""
        return self.start + self.size


@dataclass(frozen=True)
class Layout:
    """How a kind of file names its chunks.

    Attributes:
        name: of the format, for people.
        order: of bytes, as struct names it.
        kind: "iff" for names and sizes of 4 bytes, each chunk at an even byte; "w64" for names of 16 bytes and
            sizes of 8, which count both, each chunk at a byte that 8 divides; "caf" for names of 4 and sizes of 8
            bytes.
    """

    name: str
    order: str
    kind: str = "iff"

    def chunk_at(self, data: bytes, position: int) -> Chunk | None:
        """The chunk that begins there, or None where there is no room for one."""
        if position + {"iff": 8, "w64": 24, "caf": 12}[self.kind] > len(data):
            return None
        if self.kind == "w64":
            (size,) = struct.unpack_from("<Q", data, position + 16)
            name = data[position : position + 4]
            is_damaged = name in _W64_NAMES and data[position + 4 : position + 16] != _W64_REST
            return Chunk(name, position + 24, size - 24) if size >= 24 and not is_damaged else None
        if self.kind == "caf":
            name, size = struct.unpack_from(">4sQ", data, position)
            return Chunk(name, position + 12, size)
        name, size = struct.unpack_from(f"{self.order}4sI", data, position)
        return Chunk(name, position + 8, size)

    def behind(self, data: bytes, chunk: Chunk) -> int:
        """The byte where the next chunk begins; some writers leave out the byte that makes it an even one."""
        if self.kind == "w64":
            return (chunk.end + 7) // 8 * 8
        if self.kind == "caf" or chunk.size % 2 == 0:
            return chunk.end
        padded = chunk.end + 1
        if not _is_name(data[padded : padded + 4]) and _is_name(data[chunk.end : chunk.end + 4]):
            return chunk.end
        return padded

    def walk(self, data: bytes, position: int) -> Iterator[Chunk]:
        """The chunks from there on, as far as their names are some."""
        while (chunk := self.chunk_at(data, position)) is not None and _is_name(chunk.name):
            yield chunk
            position = self.behind(data, chunk)

    def reaches(self, data: bytes, position: int, end: int) -> bool:
        """Whether chunks from a byte on end at another, or where it makes an odd one even."""
        return any(end in (chunk.end, chunk.end + chunk.size % 2) for chunk in self.walk(data, position))

    def is_end(self, data: bytes, audio: Chunk, file_end: int | None) -> bool:
        """Whether what lies behind the audio is known not to be audio: nothing, other chunks, or tags.

        Args:
            data: a whole file.
            audio: the chunk that holds the audio, with its true size.
            file_end: the byte where the file says that it ends, if it does.
        """
        if audio.end >= len(data) or (len(data) - audio.end == 1 and audio.size % 2):
            return True
        position = self.behind(data, audio)
        ends = {audio.end, position}
        for other in self.walk(data, position):
            if other.name in _OTHER_FILES or other.end > len(data):
                break
            position = self.behind(data, other)
            ends |= {other.end, position}
            if position >= len(data):
                return True
        left = len(data) - position
        if left < _MAX_JUNK and len(ends) > 2:
            return True
        # Behind the end that the file's header names, something other than audio may lie.
        is_named = file_end in ends and audio.size > 0
        return is_named and (left < _MAX_JUNK or is_no_audio(data, position) or _is_zero(data, position))

    def raise_more_behind(self, data: bytes, audio: Chunk) -> None:
        """Says what lies behind audio where `is_end` is false.

        Raises:
            Reject: bad_audio.
        """
        behind = data[self.behind(data, audio) :][:4]
        if behind in _OTHER_FILES:
            told = f"{behind.decode()!r} begins there: two were joined; split them"
            raise Reject("bad_audio", f"a {self.name} whose audio ends at byte {audio.end}, and another {told}")
        told = (
            f"its {audio.name.decode()!r} chunk promises {audio.size} bytes, {len(data) - audio.start} are there"
        )
        raise Reject("bad_audio", f"a damaged {self.name}: {told}, and those behind are no chunks")


def _is_zero(data: bytes, position: int) -> bool:
    return tags.size_of_zeros(data, position, len(data)) == len(data) - position


def _is_name(name: bytes) -> bool:
    return (
        len(name) == 4
        and all(0x20 <= byte < 0x7F for byte in name)
        and (name[:1].isalnum() or name in _OTHER_NAMES)
    )
