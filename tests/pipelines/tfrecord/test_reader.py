"""A damaged record costs itself alone, and every byte of a file is accounted for."""

import gzip
import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from melbeam.pipelines.tfrecord import (
    Damage,
    Record,
    TFRecordWriter,
    file_crc32c,
    find_spans,
    is_compressed,
    read_tfrecord_file,
    read_tfrecords,
    reader,
)
from melbeam.pipelines.tfrecord.framing import BLOCK
from melbeam.transforms.records.tfrecord_frame import masked_crc32c

RECORDS = [b"first", b"", b"the third record", bytes(40), b"last"]


def written(records):
    file = io.BytesIO()
    writer = TFRecordWriter(file)
    for record in records:
        writer.write(record)
    assert (writer.num_records, writer.num_bytes) == (len(records), len(file.getvalue()))
    assert file_crc32c(io.BytesIO(file.getvalue())) == (writer.crc32c, writer.num_bytes)
    return file.getvalue()


def read(data, **options):
    return list(read_tfrecords(io.BytesIO(data), **options))


def size_of(item):
    return item.size if isinstance(item, Damage) else 16 + len(item.data)


def covered(items):
    """Bytes that the items account for; they must follow one another, numbered from 0."""
    end = 0
    for number, item in enumerate(items):
        assert (item.number, item.offset) == (number, end)
        end += size_of(item)
    return end


def good(items):
    return [item.data for item in items if isinstance(item, Record)]


def bad(items):
    return [item for item in items if isinstance(item, Damage)]


def header(length):
    packed = struct.pack("<Q", length)
    return packed + struct.pack("<I", masked_crc32c(packed))


def flipped(data, position, mask=0x5A):
    return data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :]


class Stream:
    """A file that cannot seek."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def read(self, size):
        return self._file.read(size)


def test_bytes_are_tensorflows(tmp_path):
    path = str(tmp_path / "a.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for record in RECORDS:
            writer.write(record)
    data = (tmp_path / "a.tfrecord").read_bytes()
    assert written(RECORDS) == data
    assert [item.data for item in read(data)] == RECORDS


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_compressed_files_are_read(tmp_path, compression):
    path = str(tmp_path / "a")
    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions(compression_type=compression)) as writer:
        for record in RECORDS:
            writer.write(record)
    assert [item.data for item in read((tmp_path / "a").read_bytes())] == RECORDS


def test_a_path_is_read_through_beam(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(written(RECORDS)))  # the name must not make Beam inflate it too
    (tmp_path / "b").write_bytes(written(RECORDS))
    for name in ("a.gz", "b"):
        assert good(read_tfrecord_file(str(tmp_path / name))) == RECORDS
    with pytest.raises(OSError, match="absent"):
        list(read_tfrecord_file(str(tmp_path / "absent")))


class KeepsBuffers(io.BytesIO):
    """A file that holds on to what it read into, as an error that a store's client caught makes one do."""

    def readinto(self, buffer):
        self.kept = [*getattr(self, "kept", []), buffer]
        return super().readinto(buffer)


def test_a_file_may_hold_on_to_the_buffer(tmp_path):
    records = [bytes([number]) * (BLOCK // 2 * number) for number in range(6)]
    file = KeepsBuffers(written(records))
    assert [item.data for item in read_tfrecords(file)] == records
    assert len(file.kept) > 3


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_a_cut_compressed_file_keeps_what_came_before(compress):
    random = np.random.default_rng(0)
    records = [random.bytes(3000) for _ in range(5)]
    data = compress(written(records))
    items = read(data[: len(data) // 2])
    assert [item.data for item in items if isinstance(item, Record)] == records[:2]
    assert [item.reason for item in items[2:]] == ["bad_framing"]
    assert f"compressed file is cut at its byte {len(data) // 2}" in items[-1].detail
    assert items[-1].data == written(records)[2 * 3016 :][: items[-1].size]


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_a_compressed_file_cut_anywhere(compress):
    data = compress(written(RECORDS))
    counts = []
    for cut in range(2, len(data)):
        items = read(data[:cut])
        assert len(bad(items)) == 1, cut
        assert good(items) == RECORDS[: len(items) - 1]
        # Too little to be sure that it is compressed is kept as it is.
        assert "compressed file is cut" in items[-1].detail or items[-1].data == data[:cut]
        covered(items)
        counts.append(len(items) - 1)
    assert counts == sorted(counts)
    assert counts[-1] == len(RECORDS)  # only the checksum behind the stream is cut
    assert (items[-1].size, items[-1].data) == (0, b"")


def test_a_damaged_compressed_file_keeps_what_came_before():
    random = np.random.default_rng(1)
    records = [random.integers(0, 16, 3000, np.uint8).tobytes() for _ in range(50)]
    data = gzip.compress(written(records))
    middle = len(data) // 2
    items = read(data[:middle] + b"\xff" * 40 + data[middle + 40 :])
    assert len(good(items)) >= 20
    assert good(items)[:20] == records[:20]
    assert "compressed file is damaged" in items[-1].detail


def test_gzip_members_and_padding_are_read():
    parts = [gzip.compress(written([record])) for record in RECORDS]
    assert good(read(b"".join(parts) + bytes(3000))) == RECORDS
    assert len(read(b"".join(parts) + bytes(3000))) == len(RECORDS)


def test_padding_of_several_blocks_between_gzip_members_is_read_over():
    first, second = (gzip.compress(written([record])) for record in (b"first", b"second"))
    for padding in (1, BLOCK - len(first), BLOCK, 3 * BLOCK + 1):
        items = read(first + bytes(padding) + second + bytes(padding))
        assert (good(items), bad(items)) == ([b"first", b"second"], [])


def test_a_gzip_object_is_a_stream():
    data = gzip.compress(written(RECORDS))
    assert good(read_tfrecords(gzip.GzipFile(fileobj=io.BytesIO(data)))) == RECORDS
    items = list(read_tfrecords(gzip.GzipFile(fileobj=io.BytesIO(data[:-4]))))
    assert "cut" in items[-1].detail


@pytest.mark.parametrize("length", [0x0178, 0x5E78, 0x9C78, 0xDA78, 0x8B1F, 0x088B1F])
def test_a_damaged_length_that_looks_like_compression_costs_one_record(length):
    data = written([np.random.default_rng(length).bytes(length), b"b", b"c"])
    for position in (8, 9, 10, 11):
        items = read(flipped(data, position))
        assert good(items) == [b"b", b"c"]
        assert covered(items) == len(data)


@pytest.mark.parametrize("make", [io.BytesIO, Stream])
def test_every_flipped_byte_costs_one_record(make):
    data = written(RECORDS)
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x5A
        items = list(read_tfrecords(make(bytes(damaged))))
        assert len(bad(items)) == 1, position
        number = bad(items)[0].number
        assert good(items) == RECORDS[:number] + RECORDS[number + 1 :], position
        assert items[number].size == 16 + len(RECORDS[number])
        assert covered(items) == len(data)


@pytest.mark.parametrize("make", [io.BytesIO, Stream])
def test_every_truncation_keeps_what_is_whole(make):
    data = written(RECORDS)
    ends = np.cumsum([16 + len(record) for record in RECORDS])
    for cut in range(len(data)):
        items = list(read_tfrecords(make(data[:cut])))
        whole = int((ends <= cut).sum())
        assert [item.data for item in items if isinstance(item, Record)] == RECORDS[:whole]
        assert covered(items) == cut


@pytest.mark.parametrize("make", [io.BytesIO, Stream])
def test_a_header_that_claims_far_more_than_there_is(make):
    before, after = written([b"before"]), written([b"after"])
    items = list(read_tfrecords(make(before + header(1 << 60) + after), max_record_bytes=1 << 61))
    assert [type(item) for item in items] == [Record, Damage, Record]
    assert items[1].data == header(1 << 60)


@pytest.mark.parametrize("make", [io.BytesIO, Stream])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zlib.compress])
def test_a_header_of_2_to_the_60_costs_itself_alone(make, pack):
    before, after = written([b"before"]), written([b"after"])
    items = list(read_tfrecords(make(pack(before + header(1 << 60) + after))))
    assert [type(item) for item in items] == [Record, Damage, Record]
    assert (items[1].reason, items[1].data) == ("bad_framing", header(1 << 60))


@pytest.mark.parametrize("make", [io.BytesIO, Stream])
@pytest.mark.parametrize("claimed", [1 << 60, 200 << 20, 100 << 20])
def test_memory_is_bounded_by_the_file(make, claimed):
    data = written([b"a"]) + header(claimed) + np.random.default_rng(2).bytes(4 << 20)
    file = make(data)
    tracemalloc.start()
    items = list(read_tfrecords(file))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert good(items) == [b"a"]
    assert covered(items) == len(data)
    assert peak < 24 << 20  # the file, the damage, their copies and a block's scan


def test_a_compressed_bomb_is_inflated_in_steps():
    deflater = zlib.compressobj(9)
    bomb = deflater.compress(header(96 << 20))
    bomb += b"".join(deflater.compress(bytes(1 << 20)) for _ in range(96))
    bomb += deflater.compress(struct.pack("<I", 0) + written([b"after"])) + deflater.flush()
    file = io.BytesIO(bomb)
    tracemalloc.start()
    items = list(read_tfrecords(file, max_record_bytes=64 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [item.reason for item in bad(items)] == ["over_limit"]
    assert good(items) == [b"after"]
    assert peak < 16 << 20


def test_over_limit_keeps_its_own_bytes_only():
    items = read(written([b"a", b"b" * 200, b"c"]), max_record_bytes=100)
    assert good(items) == [b"a", b"c"]
    assert (items[1].reason, items[1].size, items[1].data) == ("over_limit", 216, b"b" * 200)
    assert "200 bytes" in items[1].detail


def test_a_cut_record_over_the_limit_is_lost_framing():
    data = written([b"a", b"b" * 200])[:-5]
    for make in (io.BytesIO, Stream):
        items = list(read_tfrecords(make(data), max_record_bytes=100))
        assert [item.reason for item in bad(items)] == ["bad_framing"]
        assert covered(items) == len(data)


def test_bytes_of_lost_framing_are_capped():
    items = read(b"\xff" * 5000 + written([b"a"]), max_record_bytes=100)
    assert (items[0].size, items[0].data) == (5000, b"\xff" * 100)
    assert "5000 bytes the first 100" in items[0].detail
    assert good(items) == [b"a"]


def test_bad_checksum_gives_the_payload():
    data = written(RECORDS)
    items = read(flipped(data, 16 + len(RECORDS[0]) + 16 + 12 + 3))
    assert items[2].reason == "bad_checksum"
    assert items[2].data == flipped(RECORDS[2], 3)


def test_records_inside_a_record_stay_inside_while_its_length_holds():
    inner = written([b"inner", b"inner too"])
    data = written([b"a", inner, b"c"])
    at = 17  # of the outer record's header
    for position in (*range(at + 8, at + 12), at + 12 + len(inner)):  # the length's checksum, the data's
        items = read(flipped(data, position))
        assert good(items) == [b"a", b"c"], position
        assert bad(items)[0].size == 16 + len(inner)
    assert good(read(flipped(data, at))) == [
        b"a",
        b"inner",
        b"inner too",
        b"c",
    ]


def test_a_header_by_chance_is_rejected_by_its_data():
    garbage = b"\xff" * 20 + header(8) + b"not its data" + b"\xff" * 20
    items = read(garbage + written([b"a"]))
    assert [size_of(item) for item in items] == [len(garbage), 17]


@pytest.mark.parametrize("size", [*range((4 << 10) - 14, (4 << 10) + 3), (1 << 20) - 1, 1 << 20])
def test_a_header_across_scans_is_found(size):
    items = read(b"\xff" * size + written([b"", b"b"]))
    assert good(items) == [b"", b"b"]
    assert items[0].size == size


def test_many_damages_take_no_quadratic_time(monkeypatch):
    scanned = 0

    def counted(block, max_length):
        nonlocal scanned
        scanned += len(block)
        return plausible_headers(block, max_length)

    plausible_headers = reader._plausible_headers
    monkeypatch.setattr(reader, "_plausible_headers", counted)
    data = bytearray(written([bytes(60)] * 2000))
    data[:: 2 * 76] = b"\x01" * 1000  # every second length
    items = read(bytes(data))
    assert len(good(items)) == len(bad(items)) == 1000
    assert scanned <= 1000 * (4 << 10)  # a block's scan for each would be twenty times as much


def test_files_are_asked_for_bounded_blocks():
    asked = []

    class Asked(Stream):
        def read(self, size):
            asked.append(size)
            return super().read(size)

    list(read_tfrecords(Asked(written([b"a"]) + header(200 << 20) + b"cut"), max_record_bytes=256 << 20))
    assert max(asked) <= 16 << 20


def test_a_negative_limit_is_refused():
    with pytest.raises(ValueError, match="-1"):
        read(b"", max_record_bytes=-1)


def test_a_record_over_the_limit_is_skipped():
    items = read(written([b"a", bytes(200_000), b"c"]), max_record_bytes=1000)
    assert [item.data for item in (items[0], items[2])] == [b"a", b"c"]
    assert (items[1].reason, items[1].size, len(items[1].data)) == ("over_limit", 200_016, 64 << 10)


def test_resynchronises_across_blocks():
    # More than one block of zeros, which are headers with plausible lengths and wrong checksums.
    garbage = bytes((1 << 20) + 5) + b"\x01" * 100
    items = read(written([b"a"]) + garbage + written([b"b", b"c"]))
    assert [item.data for item in items if isinstance(item, Record)] == [b"a", b"b", b"c"]
    assert (items[1].reason, items[1].data) == ("bad_framing", garbage)


@pytest.mark.parametrize(
    "data", [b"x", b"no TFRecord at all, by far", bytes(5000), b"\x1f\x8b is no gzip", b"\x1f\x8b"]
)
def test_what_is_no_tfrecord_is_one_damage(data):
    items = read(data)
    assert [item.reason for item in items] == ["bad_framing"]
    assert (items[0].data, covered(items)) == (data, len(data))


def test_an_empty_file_holds_nothing():
    assert read(b"") == []


@settings(deadline=None, max_examples=200)
@given(st.lists(st.binary(max_size=60), max_size=6), st.binary(max_size=80), st.data())
def test_garbage_anywhere_is_accounted_for(records, garbage, data):
    position = data.draw(st.integers(0, len(records)))
    file = written(records[:position]) + garbage + written(records[position:])
    items = read(file)
    assert covered(items) == len(file)
    assert good(items)[:position] == records[:position]
    assert good(items)[len(good(items)) - len(records[position:]) :] == records[position:]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=6), st.data())
def test_a_flip_costs_at_most_one_record(records, data):
    file = written(records)
    position = data.draw(st.integers(0, len(file) - 1))
    items = read(flipped(file, position, data.draw(st.integers(1, 255))))
    hit = bad(items)[0].number
    assert len(bad(items)) == 1
    assert good(items) == records[:hit] + records[hit + 1 :]
    assert covered(items) == len(file)
    assert items[hit].offset <= position < items[hit].offset + items[hit].size


def in_spans(path, num_spans, **options):
    """What each span of the file holds."""
    spans = find_spans(str(path), num_spans, **options)
    assert len(spans) == num_spans
    return [list(read_tfrecord_file(str(path), span=span, **options)) for span in spans]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.binary(max_size=60), max_size=12), st.binary(max_size=80), st.integers(1, 7), st.data())
def test_spans_together_are_the_file(tmp_path_factory, records, garbage, num_spans, data):
    position = data.draw(st.integers(0, len(records)))
    options = {"max_record_bytes": data.draw(st.sampled_from([20, 1 << 20]))}
    path = tmp_path_factory.mktemp("spans") / "file"
    path.write_bytes(written(records[:position]) + garbage + written(records[position:]))
    found = in_spans(path, num_spans, **options)
    assert [item for span in found for item in span] == list(read_tfrecord_file(str(path), **options))


def test_spans_are_of_about_the_same_size_and_cut_nothing_in_two(tmp_path):
    inner = written([b"a record inside a record's data"] * 40)
    records = [bytes([i]) * (50_000 + 1000 * i) if i % 2 else inner * 30 for i in range(60)]
    path = tmp_path / "file"
    path.write_bytes(written(records))
    found = in_spans(path, 4)
    assert [item.data for span in found for item in span] == records
    sizes = [sum(map(size_of, span)) for span in found]
    assert max(sizes) - min(sizes) < 2 * max(map(len, records))


def test_a_span_may_hold_nothing(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(written([b"a" * 1000, b"b"]))
    assert [len(span) for span in in_spans(path, 5)] == [1, 0, 0, 0, 1]


def test_the_walk_reads_headers_alone(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(written([bytes(1 << 20)] * 16))
    num_read, opened = 0, reader.files.open_file

    class Counted:
        def __init__(self, file):
            self.file = file
            self.seek, self.tell = file.seek, file.tell

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def read(self, size):
            nonlocal num_read
            data = self.file.read(size)
            num_read += len(data)
            return data

    monkeypatch.setattr(reader.files, "open_file", lambda name: Counted(opened(name)))
    spans = find_spans(str(path), 4)
    assert num_read < path.stat().st_size / 100
    assert [span.number for span in spans] == [0, 4, 8, 12]
    num_read = 0
    assert len(list(read_tfrecord_file(str(path), span=spans[3]))) == 4
    assert num_read < path.stat().st_size / 2


@pytest.mark.parametrize(("compress", "expected"), [(gzip.compress, True), (zlib.compress, True), (bytes, False)])
def test_is_compressed(tmp_path, compress, expected):
    (tmp_path / "file").write_bytes(compress(written(RECORDS)))
    assert is_compressed(str(tmp_path / "file")) is expected
