"""Two minutes of mutations of the corpus, with other seeds on every run; --fuzz_seconds=3600 goes on longer.

What it finds becomes a file in tests/data/fuzz, which the quick test runs. `coverage_guided.py` is for the hunt.
"""

import importlib.util
import resource
import struct
import sys
import time
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

spec = importlib.util.spec_from_file_location("targets", Path(__file__).parent / "targets.py")
targets = importlib.util.module_from_spec(spec)
spec.loader.exec_module(targets)

NUMBERS = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**60, 2**63, 2**64 - 1]
WORDS = b"null|[]|{}|-1|1e999|.nan|true|'x'|*a|&a |\n- |: |[|<<: |!!timestamp |!!bool |!!int |!!binary ".split(
    b"|"
)
WORDS += [b"9" * 40, b"9" * 5000]
MAX_GROWTH = 300  # MiB
SLOWEST = 20  # seconds for one input, on a machine that does much else


@st.composite
def mutated(draw, corpus):
    """One of the corpus with a few bytes changed, put in, taken out, repeated or taken from another."""
    data = bytearray(draw(st.sampled_from(corpus)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(1, 64))
        match draw(st.integers(0, 7)):
            case 0 if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case 1:
                width = draw(st.sampled_from([1, 2, 4, 8]))
                number = draw(st.sampled_from(NUMBERS)) % 2 ** (8 * width)
                data[at : at + width] = number.to_bytes(width, draw(st.sampled_from(["little", "big"])))
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = data[at : at + size] * draw(st.integers(1, 20))
            case 4:
                del data[at:]
            case 5:
                other = draw(st.sampled_from(corpus))
                start = draw(st.integers(0, len(other)))
                data[at : at + size] = other[start : start + size]
            case 6:
                data[at:at] = draw(st.sampled_from(WORDS))
            case _:
                data[at : at + 1] = draw(st.binary(max_size=8))
    return bytes(data)


def with_checksums(data: bytes) -> bytes:
    """The same bytes as one TFRecord that holds, so that the fuzzer comes behind the checksums."""
    from melbeam.transforms.records.tfrecord_frame import masked_crc32c

    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


@pytest.mark.parametrize("target", targets.TARGETS)
def test_the_corpus(target):
    seeds = targets.seeds(target)
    assert seeds
    for data in seeds:
        assert len(data) < 4096
        targets.TARGETS[target](data)


@pytest.mark.slow
@pytest.mark.parametrize("target", targets.TARGETS)
def test_mutations(target, request, tmp_path):
    corpus, run = targets.seeds(target), targets.TARGETS[target]
    last = tmp_path / "last-input"  # where native code ends the process, it is there
    end = time.monotonic() + request.config.getoption("--fuzz_seconds") / len(targets.TARGETS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def one(data):
        last.write_bytes(data)
        start = time.process_time()
        run(data)
        if target == "tfrecord":
            run(with_checksums(data[:2000]) + data)
        assert time.process_time() - start < SLOWEST

    number = int(time.time())
    while time.monotonic() < end:
        number += 1
        settings = hypothesis.settings(
            max_examples=50,
            derandomize=False,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        hypothesis.seed(number)(settings(hypothesis.given(mutated(corpus))(one)))()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / (
        1 << 20 if sys.platform == "darwin" else 1 << 10
    )
    assert grown < MAX_GROWTH, f"{grown:.0f} MiB more than before"
