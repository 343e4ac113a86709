"""The frames of MPEG audio: their headers, their sizes, and chains of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from melbeam.transforms.records.rejects import Reject

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # Hz, by the version's bits
VERSION_1 = 3
LAYER_1 = 3
LAYER_NAMES = {3: "MPEG layer I", 2: "MPEG layer II", 1: "MP3"}
_KBPS = {  # by whether the version is 1, and the layer's bits
    (True, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SYNC = re.compile(rb"\xff[\xe2-\xff]")
_LOUD_HEADER = re.compile(rb"\xff[\xe2-\xe5\xf2-\xf5\xfa-\xfd][\x10-\xef]")
_MAX_START = 2048  # bytes, more than the longest frame of a stated bit rate has
_MAX_FREE_FRAME = 4608  # bytes; as far as mpg123 looks for the next frame of a free bit rate
_MAX_FREE_TRIES = 8  # places that look like that frame; chance gives one in some dozens of frames
_MIN_CHAIN = 4  # frames one behind the other that are no chance: of each, 20 bits or so are known


@dataclass(frozen=True)
class Kind:
    """What all frames of a stream have in common.

    Attributes:
        version: as its two bits say it.
        layer: as its two bits say it: 3 for layer I, 1 for layer III.
        rate: Hz.
        channels: 1 or 2.
    """

    version: int
    layer: int
    rate: int
    channels: int

    @property
    def samples_a_frame(self) -> int:
        """Samples a channel that each frame gives."""
        if self.layer == LAYER_1:
            return 384
        return 1152 if self.layer == 2 or self.version == VERSION_1 else 576

    def __str__(self) -> str:
        return f"{self.rate} Hz and {self.channels} channel{'s' * (self.channels > 1)}"


def kind_at(data: bytes, at: int) -> Kind | None:
    """What the frame's header at a byte says, or None where there is none."""
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE0:
        return None
    version, layer, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 2 & 3
    if version == 1 or layer == 0 or rate == 3 or head[2] >> 4 == 15:
        return None
    return Kind(version, layer, _RATES[version][rate], 1 if head[3] >= 0xC0 else 2)


@lru_cache(maxsize=64)
def sizes_of(version: int, layer: int, rate: int, free_size: int = 0) -> dict[int, int]:
    """Bytes of a frame by its second and third byte; one of a free bit rate has `free_size` and its padding."""
    sizes = {}
    for index, kbps in enumerate(((0,) if free_size else _KBPS[version == VERSION_1, layer]), not free_size):
        for padding in range(2):
            if layer == 3:
                size = free_size + 4 * padding if free_size else (12000 * kbps // rate + padding) * 4
            else:
                slots = 72000 if layer == 1 and version != VERSION_1 else 144000
                size = (free_size or slots * kbps // rate) + padding
            for private in range(2):
                for unprotected in range(2):
                    second = 0xE0 | version << 3 | layer << 1 | unprotected
                    third = index << 4 | _RATES[version].index(rate) << 2 | padding << 1 | private
                    sizes[second << 8 | third] = size
    return sizes


def sizes_at(data: bytes, at: int, kind: Kind) -> dict[int, int]:
    """The sizes of the frames of the stream that begins at `at`; none, where its free bit rate cannot be told."""
    if data[at + 2] >> 4:
        return sizes_of(kind.version, kind.layer, kind.rate)
    sync, third = data[at : at + 2], data[at + 2] & 0xFC
    position = at + 4
    for _ in range(_MAX_FREE_TRIES):
        position = data.find(sync, position + 1, at + _MAX_FREE_FRAME)
        if position < 0:
            break
        if data[position + 2 : position + 3] and data[position + 2] & 0xFC == third:
            padding = (data[at + 2] >> 1 & 1) * (4 if kind.layer == 3 else 1)
            sizes = sizes_of(kind.version, kind.layer, kind.rate, position - at - padding)
            if follow(data, position, len(data), sizes, kind.channels, limit=1)[0]:
                return sizes
    return {}


def follow(
    data: bytes,
    start: int,
    end: int,
    sizes: dict[int, int],
    channels: int,
    limit: int = 1 << 62,
    starts: list[int] | None = None,
) -> tuple[int, int]:
    """How many whole frames of one kind follow each other from `start` on, and the byte behind them.

    At most `limit` are; where each begins is put into `starts`.
    """
    is_mono = channels == 1
    count, position, last = 0, start, end - 4
    while position <= last and count < limit:
        size = sizes.get(data[position + 1] << 8 | data[position + 2], 0)
        if (
            not size
            or data[position] != 0xFF
            or (data[position + 3] >= 0xC0) is not is_mono
            or position + size > end
        ):
            break
        if starts is not None:
            starts.append(position)
        position += size
        count += 1
    return count, position


def check_lengths(data: bytes, starts: list[int], sizes: dict[int, int], kind: Kind) -> None:
    """Refuses a frame that would be a chain of frames if one bit of its bit rate were flipped.

    A stream of one bit rate goes on behind a frame whose flipped bit makes it as long as several, and nothing but
    a count would show those.

    Args:
        data: a whole file.
        starts: bytes where frames of one kind begin.
        sizes: of such frames.
        kind: of these.

    Raises:
        Reject: bad_audio.
    """
    if not starts:
        return
    second = data[starts[0] + 1]
    size_of = np.array([sizes.get(second << 8 | third, 0) for third in range(256)])
    values, places = np.frombuffer(data, np.uint8), np.array(starts)
    thirds = values[places + 2]
    for bit in (4, 5, 6, 7):
        shorter = size_of[thirds ^ (1 << bit)]
        inner = np.minimum(places + shorter, len(data) - 4)
        is_frame = (values[inner] == 0xFF) & (values[inner + 1] == second) & (shorter > 0)
        for index in np.flatnonzero(is_frame & (shorter < size_of[thirds])).tolist():
            start, end = starts[index], starts[index] + int(size_of[thirds[index]])
            count, behind = follow(data, start + int(shorter[index]), end, sizes, kind.channels)
            if count and behind == end:
                told = f"the frame at byte {start} is as long as {count + 1}, which lie in it"
                raise Reject("bad_audio", f"a damaged {LAYER_NAMES[kind.layer]}: {told}")


def begins_with_two_frames(data: bytes) -> bool:
    """Whether MPEG audio of layer II or III begins at the first byte, and its second frame where the first ends.

    Layer I is left out: its first two bytes are FF FF or FF FE, and the former is also -1 as a 16-bit sample. So
    are free bit rates, whose frames do not say where they end.
    """
    kind = kind_at(data, 0)
    if kind is None or kind.layer == LAYER_1:
        return False
    size = sizes_of(kind.version, kind.layer, kind.rate).get(data[1] << 8 | data[2], 0)
    return size > 0 and kind_at(data, size) == kind


def is_cut_from_stream(data: bytes) -> bool:
    """Whether data that begin within a frame of layer II or III are no samples: a chain of frames follows.

    Headers are taken whose third byte no sample has in its upper half that is not loud, so that a quiet recording
    has none; free bit rates are left out.
    """
    return any(count == _MIN_CHAIN for _, count, _ in _chains(data, _LOUD_HEADER, 0, _MAX_START, len(data)))


def find_chain(data: bytes, start: int, end: int) -> int:
    """The byte where the first chain of frames begins, at or behind `start`, or -1.

    Fewer frames make one too where they end with the file: two of them, or a single one that begins at `start`.
    """
    for at, count, behind in _chains(data, _SYNC, start, end, end):
        if count == _MIN_CHAIN or (count and behind == end and (at == start or count > 1)):
            return at
    return -1


def _chains(
    data: bytes, headers: re.Pattern[bytes], start: int, stop: int, end: int
) -> Iterator[tuple[int, int, int]]:
    """Yields where frames may begin, how many follow each other there, and the byte behind them.

    Args:
        data: bytes that may hold frames.
        headers: what a header begins with.
        start: the first byte that one is looked for at.
        stop: the byte behind the last one.
        end: the byte at which the frames end at the latest.
    """
    for found in headers.finditer(data, start, stop):
        at = found.start()
        kind = kind_at(data, at)
        if kind is not None:
            yield at, *follow(data, at, end, sizes_at(data, at, kind), kind.channels, limit=_MIN_CHAIN)
