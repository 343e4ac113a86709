"""TFRecord files, written with known checksums."""

from __future__ import annotations

from typing import BinaryIO, cast

import google_crc32c
import numpy as np

from melbeam.pipelines.tfrecord.crc32c import combined_crc32c
from melbeam.pipelines.tfrecord.framing import BLOCK
from melbeam.transforms.records.tfrecord_frame import frame_footer, frame_header

# From this size on a record's checksum is worked into the file's; below it is quicker to read the record again.
_COMBINED = 64 << 10  # 64 KiB


class TFRecordWriter:
    """Writes records to an open file, which stays its caller's.

    Attributes:
        num_records: written so far.
        num_bytes: written so far, frames included.
        crc32c: of all those bytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.num_records = 0
        self.num_bytes = 0
        self.crc32c = 0

    def write(self, *parts: bytes | memoryview) -> None:
        """Writes one record, which may come in parts: a large one is then not copied before it is written."""
        checked = [_as_checked(part) for part in parts]
        size, crc = sum(map(len, checked)), 0
        header = frame_header(size)
        self._file.write(header)
        for part, bytes_of_part in zip(parts, checked, strict=True):
            self._file.write(part)
            crc = google_crc32c.extend(crc, bytes_of_part)
        footer = frame_footer(crc)
        self._file.write(footer)
        self.crc32c = google_crc32c.extend(self.crc32c, header)
        if size < _COMBINED:
            for bytes_of_part in checked:
                self.crc32c = google_crc32c.extend(self.crc32c, bytes_of_part)
        else:
            self.crc32c = combined_crc32c(self.crc32c, crc, size)
        self.crc32c = google_crc32c.extend(self.crc32c, footer)
        self.num_bytes += len(header) + size + len(footer)
        self.num_records += 1


def _as_checked(part: bytes | memoryview) -> bytes:
    """What google_crc32c takes: no memoryview, whose memory may be taken back, but an array in its place."""
    return part if isinstance(part, bytes) else cast(bytes, np.frombuffer(part, np.uint8))


def file_crc32c(file: BinaryIO) -> tuple[int, int]:
    """CRC32C and size, in bytes, of all that the file holds from here on."""
    crc, size = 0, 0
    while block := file.read(BLOCK):
        crc, size = google_crc32c.extend(crc, block), size + len(block)
    return crc, size
