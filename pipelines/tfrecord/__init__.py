"""TFRecord files: a reader that survives bad records, and a writer that knows its checksums."""

from melbeam.pipelines.tfrecord.reader import (
    WHOLE,
    Damage,
    Record,
    Span,
    find_spans,
    is_compressed,
    read_tfrecord_file,
    read_tfrecords,
)
from melbeam.pipelines.tfrecord.writer import TFRecordWriter, file_crc32c

__all__ = [
    "WHOLE",
    "Damage",
    "Record",
    "Span",
    "TFRecordWriter",
    "file_crc32c",
    "find_spans",
    "is_compressed",
    "read_tfrecord_file",
    "read_tfrecords",
]
