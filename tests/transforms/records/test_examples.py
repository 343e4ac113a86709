"""Serialized records: nothing is written that no reader can parse, and rejects in rejects come to an end."""

import os

import numpy as np
import pytest

from melbeam.transforms import FrontEnd, Reject
from melbeam.transforms.records import converter as converter_module
from melbeam.transforms.records import examples, tf_example
from melbeam.transforms.records.converter import RecordConverter
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.examples import id_in, read_audio_example, to_reject
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.schema import MAX_EXAMPLE_BYTES
from melbeam.transforms.records.tf_example import to_example

BOUND = 100_000
MEMORY_FOR_LARGE = 8 << 30  # bytes; the tests take 6.6 GiB at most


@pytest.fixture
def small_bound(monkeypatch):
    """A bound on a record that tests can reach; what it is in truth, the slow tests show."""
    for module in (tf_example, converter_module):
        monkeypatch.setattr(module, "MAX_EXAMPLE_BYTES", BOUND)


@pytest.fixture
def large_memory():
    if os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") < MEMORY_FOR_LARGE:
        pytest.skip("it takes 6.6 GiB of memory")


def fields_of(record):
    return Example.FromString(record).features.feature


def overhead(bulk):
    """Bytes of a record beside its one large value, which is large enough that its sizes take as many digits."""
    size = BOUND // 2
    record = to_example({}, bulk=("f", memoryview(bytes(size)))) if bulk else to_example({"f": bytes(size)})
    return len(record) - size


@pytest.mark.parametrize("bulk", [False, True])
def test_a_record_of_the_bound_is_written_and_one_byte_more_is_not(small_bound, bulk):
    def record(size):
        value = bytes(size)
        return to_example({}, bulk=("f", memoryview(value))) if bulk else to_example({"f": value})

    most = BOUND - overhead(bulk)
    assert len(record(most)) == BOUND
    with pytest.raises(Reject, match="over_limit: a record of 100001 bytes would be written"):
        record(most + 1)


def test_a_record_too_large_for_its_reject_is_kept_by_its_beginning(small_bound):
    record = os.urandom(BOUND)
    reject = to_reject(record, Reject("bad_audio", "why", "clip"), "file#1")
    fields = fields_of(reject)
    assert len(reject) <= BOUND
    assert fields["record"].bytes_list.value[0] == record[: 64 << 10]
    assert fields["detail"].bytes_list.value[0] == b"why; of its 100000 bytes the first 65536 are kept"
    assert fields["id"].bytes_list.value[0] == b"clip"


@pytest.mark.parametrize("encoding", ["bytes", "float_list"])
@pytest.mark.parametrize(("pads", "num_samples"), [(False, 40_000), (True, 1_600)])
def test_features_that_no_reader_could_take_are_a_reject_before_any_work(
    small_bound, monkeypatch, encoding, pads, num_samples
):
    def compute(*_):
        raise AssertionError("nothing should be computed")

    front_end = FrontEnd.load("gemma4").replace(name="short", max_audio_length=3.0)
    converter = RecordConverter(front_end, RecordOptions(encoding=encoding, pad_to_max_length=pads))
    monkeypatch.setattr(RecordConverter, "_features", compute)
    record = to_example({"audio": np.zeros(num_samples, np.int16), "sampling_rate": 16000, "id": "long"})
    with pytest.raises(Reject, match=r"over_limit: [0-9]+ frames would make a record of") as reject:
        converter.prepare(record, "here#0")
    assert reject.value.record_id == "long"


def test_what_is_passed_through_counts(small_bound):
    converter = RecordConverter(FrontEnd.load("gemma4"), RecordOptions())
    fields = {"audio": np.zeros(1600, np.int16), "sampling_rate": 16000, "notes": bytes(BOUND)}
    example = Example()
    for name, value in fields.items():
        if isinstance(value, bytes):
            example.features.feature[name].bytes_list.value.append(value)
        else:
            example.features.feature[name].int64_list.value.extend(np.ravel(value).tolist())
    with pytest.raises(Reject, match="over_limit"):
        converter.prepare(example.SerializeToString(), "here#0")


class TestRejectsInRejects:
    AUDIO = to_example({"audio": [1, 2, 3] * 100, "sampling_rate": 16000, "id": "clip"})

    @staticmethod
    def nested(depth):
        """As record version 1 wrote the reject of a retried reject: with that one in it, whole."""
        record = TestRejectsInRejects.AUDIO
        for _ in range(depth):
            fields = {"melbeam_reject": 1, "reason": "too_short", "detail": "why", "source": "file#0"}
            record = to_example({**fields, "record": record})
        return record

    def test_the_reject_of_a_retried_reject_holds_its_record(self):
        record = self.AUDIO
        for _ in range(50):
            record = to_reject(record, Reject("too_short", "why", "clip"), "file#0")
        assert fields_of(record)["record"].bytes_list.value[0] == self.AUDIO
        assert read_audio_example(record, sampling_rate=16000).id == id_in(record) == "clip"

    @pytest.mark.parametrize("depth", [1, 2, 16])
    def test_nested_ones_are_read(self, depth):
        record = self.nested(depth)
        assert read_audio_example(record, sampling_rate=16000).id == id_in(record) == "clip"

    @pytest.mark.parametrize("depth", [17, 40, 1000])
    def test_deeper_ones_than_were_ever_written_are_rejects(self, depth, monkeypatch):
        """A file of them would otherwise take time by the square of its size."""
        parsed, parse = [], examples.parse_features
        monkeypatch.setattr(examples, "parse_features", lambda record: parsed.append(len(record)) or parse(record))
        record = self.nested(depth)
        with pytest.raises(Reject, match="bad_field: rejects nested more than 16 deep"):
            read_audio_example(record, sampling_rate=16000)
        assert len(parsed) == 17
        assert id_in(record) is None


@pytest.mark.slow
class TestTheRealBound:
    """2 GiB less a byte: what protobuf parses, and no more."""

    def test_of_features(self, large_memory):
        most = MAX_EXAMPLE_BYTES - 46  # of which are the name, the tags and the sizes
        value = memoryview(np.zeros(most + 1, np.uint8))
        with pytest.raises(Reject, match="over_limit: a record of 2147483648 bytes"):
            to_example({}, bulk=("input_features", value))
        record = to_example({}, bulk=("input_features", value[:most]))
        assert len(record) == MAX_EXAMPLE_BYTES
        assert list(fields_of(record)) == ["input_features"]

    def test_of_a_reject(self, large_memory):
        reject = to_reject(bytes(MAX_EXAMPLE_BYTES), Reject("bad_audio", "why"), "file#0")
        assert len(fields_of(reject)["record"].bytes_list.value[0]) == 64 << 10
