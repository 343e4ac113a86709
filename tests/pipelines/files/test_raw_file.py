"""Files for Python's own buffering."""

import gzip
import io

import pytest

from melbeam.pipelines.files.raw_file import RawFile, begins_as_gzip


class WithoutReadinto:
    """A file as stores' clients give it."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)
        self.read, self.seek, self.tell, self.close = (
            self._file.read,
            self._file.seek,
            self._file.tell,
            self._file.close,
        )


@pytest.mark.parametrize("kind", [io.BytesIO, WithoutReadinto])
def test_it_reads_and_seeks_as_a_file_does(kind):
    content = bytes(range(256)) * 10
    with io.BufferedReader(RawFile(kind(content)), 100) as file:
        assert file.read(5) == content[:5]
        assert file.seek(1000) == 1000
        assert file.tell() == 1000
        assert file.read(300) == content[1000:1300]
        assert file.read() == content[1300:]


def test_gzip_is_told_and_nothing_is_read():
    for content, is_gzip in ((gzip.compress(b"x"), True), (b"x", False), (b"", False), (b"\x1f", False)):
        file = io.BufferedReader(RawFile(io.BytesIO(content)))
        assert begins_as_gzip(file) is is_gzip
        assert file.read() == content
