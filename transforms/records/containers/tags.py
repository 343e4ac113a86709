"""Tags that people's programs put in front of and behind audio of any format: ID3, APE, Lyrics3."""

from __future__ import annotations

import struct

_ID3V1_SIZE = 128
_ID3V1_EXTENDED_SIZE = 227
_APE_SIZE = 32  # of its header and of its footer


def end_of_tags_in_front(data: bytes, start: int = 0) -> int:
    """The byte behind the ID3v2 and APE tags that begin at `start`, of which there may be several."""
    while True:
        size = _size_of_tag(data, start)
        if not size:
            return start
        start = min(start + size, len(data))


def start_of_content(data: bytes, end: int | None = None) -> int:
    """The byte behind the tags in front of a file and the zeros behind those; no further than `end`."""
    start = end_of_tags_in_front(data)
    return start + size_of_zeros(data, start, len(data) if end is None else end)


def _size_of_tag(data: bytes, start: int) -> int:
    head = data[start : start + 10]
    # Four bytes of 7 bits, without the tag's header of 10 bytes nor its footer (ID3v2.4, section 3.1).
    if len(head) == 10 and head[:3] == b"ID3" and head[3] != 0xFF and head[4] != 0xFF and max(head[6:]) < 0x80:
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        return 10 + size + (10 if head[5] & 0x10 else 0)
    if head[:8] == b"APETAGEX" and len(data) >= start + _APE_SIZE:
        size, _, flags = struct.unpack_from("<III", data, start + 12)
        if flags >> 29 & 1:  # a header, whose size leaves out itself
            return _APE_SIZE + size
    return 0


def is_whole_id3(data: bytes, front: int) -> bool:
    """Whether the file begins with one ID3v2.3 or 2.4 tag whose frames, and zeros behind them, end where it does.

    Args:
        data: a whole file.
        front: the byte behind its tags and the zeros that follow them.
    """
    size = _size_of_tag(data, 0)
    if data[:3] != b"ID3" or data[3] not in (3, 4) or data[5] or not 10 < size <= front:
        return False
    position = 10
    while position + 10 <= size and data[position]:
        name, sizes = data[position : position + 4], data[position + 4 : position + 8]
        if not name.isalnum() or name != name.upper() or (data[3] == 4 and max(sizes) >= 0x80):
            return False
        bits = 7 if data[3] == 4 else 8  # ID3v2.4, section 4; ID3v2.3, section 3.3
        position += 10 + (sizes[0] << 3 * bits | sizes[1] << 2 * bits | sizes[2] << bits | sizes[3])
    return position <= size and size_of_zeros(data, position, size) == size - position


def start_of_tags_behind(data: bytes) -> int:
    """The byte where the ID3v1, Lyrics3 and APE tags at the end begin, or the size of the file."""
    end = len(data)
    while True:
        start = _start_of_last_tag(data, end)
        if start == end:
            return end
        end = start


def _start_of_last_tag(data: bytes, end: int) -> int:
    if data[max(0, end - _ID3V1_SIZE) : end].startswith(b"TAG") and end >= _ID3V1_SIZE:
        end -= _ID3V1_SIZE
        if data[max(0, end - _ID3V1_EXTENDED_SIZE) : end].startswith(b"TAG+"):
            end -= _ID3V1_EXTENDED_SIZE
        return end
    if data[max(0, end - 9) : end] == b"LYRICS200" and data[max(0, end - 15) : end - 9].isdigit():
        start = end - 15 - int(data[end - 15 : end - 9])
        if start >= 0 and data.startswith(b"LYRICSBEGIN", start):
            return start
    if end >= _APE_SIZE and data.startswith(b"APETAGEX", end - _APE_SIZE):
        size, _, flags = struct.unpack_from("<III", data, end - _APE_SIZE + 12)
        start = end - size - (_APE_SIZE if flags >> 31 & 1 else 0)
        if 0 <= start <= end - _APE_SIZE:
            return start
    if data.startswith(b"3DI", end - 10) and end >= 10:  # the footer of an ID3v2.4 tag at the end
        size = data[end - 4] << 21 | data[end - 3] << 14 | data[end - 2] << 7 | data[end - 1]
        start = end - 20 - size
        if start >= 0 and data.startswith(b"ID3", start):
            return start
    return end


def size_of_zeros(data: bytes, start: int, end: int) -> int:
    """The number of zero bytes from `start` on."""
    step = 1 << 12
    position = start
    while position < end:
        piece = data[position : min(position + step, end)]
        left = piece.lstrip(b"\0")
        if left:
            return position + len(piece) - len(left) - start
        position += len(piece)
    return end - start
