"""Files that are no source, known by their first bytes, and what a person does with them."""

from __future__ import annotations

from melbeam.pipelines import files
from melbeam.pipelines.sources.kaldi import PARTS
from melbeam.transforms.folder_layout import file_name

_BYTES_LOOKED_AT = 512
_ENDS_OF_LINES = b"\t\n\r\f"
_UNPACK = "unpack it first"
_BY_BEGINNING: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", f"a ZIP archive, or a workbook: {_UNPACK}, or save the workbook as CSV"),
    (b"BZh", f"compressed with bzip2: {_UNPACK}, or compress it with gzip"),
    (b"\xfd7zXZ\0", f"compressed with xz: {_UNPACK}, or compress it with gzip"),
    (b"\x28\xb5\x2f\xfd", f"compressed with zstd: {_UNPACK}, or compress it with gzip"),
    (b"7z\xbc\xaf\x27\x1c", f"a 7z archive: {_UNPACK}"),
    (b"Rar!", f"a RAR archive: {_UNPACK}"),
    (
        b"\xff\xff\xff\xff",
        "an Arrow file, as `datasets` saves it: load_from_disk(FOLDER).to_parquet(FILE) converts it",
    ),
    (b"ARROW1", "an Arrow or Feather file: pyarrow.feather.read_table and pyarrow.parquet.write_table convert it"),
    (
        b"\x83\xafp\xd1\r\x88J?",
        "an ArrayRecord or another Riegeli file: write its records as TFRecords (tfds convert_format)",
    ),
    (b"\x89HDF\r\n", "an HDF5 file: write its clips as files with a manifest, or as Parquet"),
    (b"\x93NUMPY", "a NumPy file: write its clips as files with a manifest, or as Parquet"),
    (b"SQLite format 3", "an SQLite database: write its clips as files with a manifest, or as Parquet"),
    (b"%PDF", "a PDF"),
)


def of_beginning(head: bytes) -> str | None:
    """Says what a file of no source is that begins so, and what to do; returns None where that tells nothing."""
    return next((what for beginning, what in _BY_BEGINNING if head.startswith(beginning)), None)


def what_it_is(path: str) -> str | None:
    """Says what a file is that no source reads, and what to do; returns None where nothing tells it.

    Raises:
        OSError: it cannot be read.
    """
    if file_name(path) in PARTS:
        return "a table of Kaldi's, whose recordings a wav.scp beside it names: name the folder that has one"
    with files.open_file(path) as file:
        head = file.read(_BYTES_LOOKED_AT)
    if (what := of_beginning(head)) is not None:
        return what
    if head and not any(byte < 0x20 and byte not in _ENDS_OF_LINES for byte in head):
        return (
            f"text, and begins with {head.splitlines()[0][:60]!r}: a manifest names its columns in its first row "
            "(audio, text, start, end, ...), or has a JSON object a line; its name ends with .csv, .tsv or "
            ".jsonl, or --input_format=manifest says so"
        )
    return None
