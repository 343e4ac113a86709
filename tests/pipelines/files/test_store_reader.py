"""What a store is asked for, and that the bytes are the object's, wherever one reads."""

import io
import threading

import numpy as np
import pytest

from melbeam.pipelines.files.store_reader import StoreReader

MIB = 1 << 20


class Stored:
    """An object, and what of it was asked for."""

    def __init__(self, size):
        self.data = np.random.default_rng(size).bytes(size)
        self.asked = []

    def fetch(self, offset, size):
        self.asked.append((offset, size))
        return self.data[offset : offset + size]

    def open(self):
        return StoreReader(len(self.data), self.fetch)


@pytest.mark.parametrize("size", [0, 1, MIB, MIB + 1, 7 * MIB, 40 * MIB + 3])
def test_all_of_it_in_the_order_asked_for_once(size):
    stored = Stored(size)
    with stored.open() as file:
        assert file.read() == stored.data
        assert (file.read(), file.read(5), file.tell()) == (b"", b"", size)
    assert [offset for offset, _ in stored.asked] == [
        sum(asked for _, asked in stored.asked[:number]) for number in range(len(stored.asked))
    ]
    wanted, left = [], size
    for request in (MIB, 4 * MIB, 4 * MIB, *[16 * MIB] * 3):
        wanted, left = [*wanted, min(request, left)], left - min(request, left)
    assert [asked for _, asked in stored.asked] == [asked for asked in wanted if asked]


def test_reads_and_seeks_are_those_of_a_file():
    stored, random = Stored(30 * MIB), np.random.default_rng(1)
    size = len(stored.data)
    with stored.open() as file, io.BytesIO(stored.data) as expected:
        for _ in range(300):
            place, count = int(random.integers(-10, size + 10)), int(random.choice([0, 1, 100, MIB, 5 * MIB]))
            match random.integers(5):
                case 0:
                    where = (max(0, place), io.SEEK_SET)
                case 1:
                    where = (min(MIB, size - expected.tell()), io.SEEK_CUR)
                case 2:
                    where = (-min(size, abs(place)), io.SEEK_END)
                case _:
                    where = (0, io.SEEK_CUR)
            assert file.seek(*where) == expected.seek(*where) == file.tell()
            if random.integers(2):
                assert file.read(count) == expected.read(count)
            else:
                ours, theirs = bytearray(count), bytearray(count)
                assert file.readinto(ours) == expected.readinto(theirs)
                assert ours == theirs
        assert file.seekable()
        assert file.readable()


def test_the_beginning_alone_is_one_small_request():
    stored = Stored(40 * MIB)
    with stored.open() as file:
        assert file.read(16) == stored.data[:16]
        file.seek(0)
        assert file.read(64 << 10) == stored.data[: 64 << 10]
    assert stored.asked == [(0, MIB)]


def test_the_next_bytes_come_while_the_last_are_worked_on():
    stored, asked = Stored(40 * MIB), threading.Event()

    def fetch(offset, size):
        if offset >= 5 * MIB:
            asked.set()
        return stored.fetch(offset, size)

    with StoreReader(len(stored.data), fetch) as file:
        file.read(MIB)
        assert not asked.wait(0.2)
        file.read(1)
        assert asked.wait(30)
        assert file.read(10 * MIB) == stored.data[MIB + 1 : 11 * MIB + 1]


@pytest.mark.parametrize(("every", "share"), [(MIB // 4, 1), (20 * MIB, 0.1)])
def test_who_looks_at_headers_alone_reads_on_or_leaves_out(every, share):
    """Records far below a request are read through, in few requests; of larger ones the data is left out."""
    stored = Stored(64 * MIB)
    with stored.open() as file:
        for place in range(0, len(stored.data), every):
            file.seek(place)
            assert file.read(12) == stored.data[place : place + 12]
    assert sum(size for _, size in stored.asked) <= share * len(stored.data)
    assert len(stored.asked) <= 20


def test_what_the_store_says_is_raised_where_it_is_read():
    stored = Stored(40 * MIB)

    def fetch(offset, size):
        if offset >= 5 * MIB:
            raise OSError("the store is gone")
        return stored.fetch(offset, size)

    with StoreReader(len(stored.data), fetch) as file:
        assert file.read(5 * MIB) == stored.data[: 5 * MIB]
        with pytest.raises(OSError, match="the store is gone"):
            file.read(1)


def test_too_few_bytes_are_an_error():
    with (
        StoreReader(100, lambda offset, size: b"x" * (size - 1)) as file,
        pytest.raises(OSError, match="of 100 bytes from byte 0 on, 99 came"),
    ):
        file.read()
