"""TFRecord files, written with known checksums."""

from __future__ import annotations

import struct
from typing import BinaryIO

import google_crc32c

from melbeam.pipelines.tfrecord.framing import BLOCK
from melbeam.transforms.records.tfrecord_frame import masked_crc32c


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

    def write(self, data: bytes) -> None:
        """Writes one record."""
        length = struct.pack("<Q", len(data))
        header = length + struct.pack("<I", masked_crc32c(length))
        for part in (header, data, struct.pack("<I", masked_crc32c(data))):
            self._file.write(part)
            self.crc32c = google_crc32c.extend(self.crc32c, part)
            self.num_bytes += len(part)
        self.num_records += 1


def file_crc32c(file: BinaryIO) -> tuple[int, int]:
    """CRC32C and size, in bytes, of all that the file holds from here on."""
    crc, size = 0, 0
    while block := file.read(BLOCK):
        crc, size = google_crc32c.extend(crc, block), size + len(block)
    return crc, size
