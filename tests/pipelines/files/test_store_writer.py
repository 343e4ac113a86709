"""What a store's client is given, in which order, and what becomes of its errors."""

import threading

import numpy as np
import pytest

from melbeam.pipelines.files.store_writer import StoreWriter

MIB = 1 << 20


class Client:
    """A client's file, which may be held up, or fail at its second write."""

    def __init__(self, fails=False):
        self.data, self.calls, self.goes_on = b"", [], threading.Event()
        self.goes_on.set()
        self._fails = fails

    def write(self, data):
        assert self.goes_on.wait(30)
        if self._fails and self.data:
            raise OSError("the store is full")
        self.data += data
        self.calls.append(len(data))

    def close(self):
        self.calls.append("closed")

    def close_empty(self):
        self.calls.append("closed empty")


@pytest.mark.parametrize("sizes", [[], [0], [5], [8 * MIB], [MIB] * 20, [3, 40 * MIB, 7]])
def test_all_bytes_in_their_order(sizes):
    parts = [np.random.default_rng(number).bytes(size) for number, size in enumerate(sizes)]
    client = Client()
    writer = StoreWriter(client, client.close_empty)
    assert [writer.write(memoryview(part)) for part in parts] == sizes
    writer.close()
    assert client.data == b"".join(parts)
    assert client.calls[-1] == ("closed" if sum(sizes) else "closed empty")
    assert len(client.calls) <= 2 + sum(sizes) // (8 * MIB)


def test_the_bytes_may_change_once_they_were_given():
    values = np.ones(3 * MIB, np.float32)
    client = Client()
    client.goes_on.clear()
    writer = StoreWriter(client, client.close_empty)
    assert writer.write(memoryview(values)) == values.nbytes
    values[:] = 2
    client.goes_on.set()
    writer.close()
    assert client.data == np.ones(3 * MIB, np.float32).tobytes()


def test_writing_does_not_wait_until_the_store_is_two_blocks_behind():
    client = Client()
    client.goes_on.clear()
    writer = StoreWriter(client, client.close_empty)
    writer.write(bytes(8 * MIB))
    writer.write(bytes(7 * MIB))
    assert client.calls == []
    behind = threading.Thread(target=writer.write, args=[bytes(MIB)])
    behind.start()
    behind.join(0.2)
    assert behind.is_alive()
    client.goes_on.set()
    behind.join(30)
    writer.close()
    assert client.calls == [8 * MIB, 8 * MIB, "closed"]


def test_an_error_is_raised_by_the_next_calls_and_the_file_stays_unfinished():
    client = Client(fails=True)
    writer = StoreWriter(client, client.close_empty)
    writer.write(bytes(8 * MIB))
    writer.write(bytes(8 * MIB))
    for call in (lambda: writer.write(bytes(8 * MIB)), writer.close, writer.close):
        with pytest.raises(OSError, match="the store is full"):
            call()
    assert client.calls == [8 * MIB]
