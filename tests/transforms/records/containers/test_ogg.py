"""Ogg: checksums, numbers, ends and positions of pages; chained and multiplexed streams."""

import zlib

import making
import numpy as np
import pytest

from melbeam.transforms.records.containers import inspect
from melbeam.transforms.records.containers.checksums import flac_crc16, ogg_crc, reversed_bits

SUBTYPES = ["VORBIS", "OPUS"]
FIRST, LAST = 2, 4  # flags


def made(subtype, seconds=4.0, rate=making.RATE, serial=None, seed=5):
    data = making.encode(making.noise(seconds, rate, seed=seed), rate, "OGG", subtype)
    if serial is not None:
        data = b"".join(making.with_page_fields(page, serial=serial) for page in making.ogg_pages(data))
    return data


@pytest.mark.parametrize("subtype", SUBTYPES)
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_the_last_position_is_the_length(subtype, rate):
    for seconds in (0.01, 0.3, 2.5):
        data = made(subtype, seconds, rate)
        contents = inspect(data)
        assert contents.format.upper() == f"OGG {subtype}"
        assert (contents.sampling_rate, contents.num_samples, contents.tolerance) == (rate, int(rate * seconds), 0)
        assert len(making.decode(contents)) == int(rate * seconds)


def test_opus_is_decoded_at_the_next_rate():
    """The header names the source's rate, which may be none of Opus' own."""
    pages = making.ogg_pages(made("OPUS", 1.0, 48000))
    for named, rate in ((44100, 48000), (22050, 24000), (11025, 12000), (0, 8000), (96000, 48000)):
        first = making.sealed(making.with_value(pages[0], 28 + 12, "<I", named))
        contents = inspect(first + b"".join(pages[1:]))
        assert (contents.sampling_rate, contents.num_samples) == (rate, rate)
        assert len(making.decode(contents)) == rate


@pytest.mark.parametrize("subtype", SUBTYPES)
def test_damaged_pages(subtype):
    pages = making.ogg_pages(made(subtype))
    middle = len(pages) // 2
    whole = b"".join(pages)
    at = sum(map(len, pages[:middle]))
    assert f"the checksum of the page at byte {at} does not hold" in making.reject_of(
        making.flipped(whole, 8 * at + 800)
    )
    without = b"".join(pages[:middle] + pages[middle + 1 :])
    assert f"page {middle} is missing, {middle + 1} is at byte {at}" in making.reject_of(without)
    swapped = [*pages[:middle], pages[middle + 1], pages[middle], *pages[middle + 2 :]]
    assert "is missing" in making.reject_of(b"".join(swapped))
    assert "is missing" in making.reject_of(b"".join([*pages[: middle + 1], *pages[middle:]]))
    assert "no page says that it is the last" in making.reject_of(b"".join(pages[:-1]))
    assert "ends beyond" in making.reject_of(whole[:-1])
    assert "no page begins" in making.reject_of(whole + b"more")
    backwards = making.with_page_fields(pages[middle], granule=7)
    assert "the position" in making.reject_of(b"".join([*pages[:middle], backwards, *pages[middle + 1 :]]))


def test_a_page_taken_out_and_the_others_renumbered():
    """Opus' packets say how long they are; Vorbis' decode gives fewer samples than the last page promises."""
    for subtype in SUBTYPES:
        pages = making.ogg_pages(made(subtype))
        del pages[len(pages) // 2]
        data = b"".join(making.with_page_fields(page, number=i) for i, page in enumerate(pages))
        assert making.length(data) is None


@pytest.mark.parametrize("subtype", SUBTYPES)
def test_a_last_page_without_a_position_does_not_cut(subtype):
    pages = making.ogg_pages(made(subtype))
    pages[-1] = making.with_page_fields(pages[-1], granule=-1)
    assert "packets end on the page at byte" in making.reject_of(b"".join(pages))


@pytest.mark.parametrize("subtype", SUBTYPES)
def test_positions_that_do_not_begin_at_0(subtype):
    """A stream cut out of a longer one keeps its positions."""
    data = made(subtype)
    pages = making.ogg_pages(data)
    for i, page in enumerate(pages[2:], 2):
        granule = int.from_bytes(page[6:14], "little", signed=True)
        if granule > 0:
            pages[i] = making.with_page_fields(page, granule=granule + 1_000_000)
    moved = inspect(b"".join(pages))
    assert moved.num_samples == 4 * making.RATE
    assert len(making.decode(moved)) == 4 * making.RATE


@pytest.mark.parametrize("subtype", SUBTYPES)
def test_chained_streams_are_all_read(subtype):
    first, second = made(subtype), made(subtype, 2.0, serial=77, seed=6)
    contents = inspect(first + second)
    assert (contents.num_samples, len(contents.parts)) == (6 * making.RATE, 2)
    expected = np.concatenate([making.decode(inspect(first)), making.decode(inspect(second))])
    np.testing.assert_array_equal(making.decode(contents), expected)
    assert "8000 Hz" in making.reject_of(first + made(subtype, 1.0, 8000, serial=77))
    cut = b"".join(making.ogg_pages(first)[:-1])
    assert "no page says that it is the last" in making.reject_of(cut + second)


@pytest.mark.parametrize("subtype", SUBTYPES)
def test_multiplexed_streams(subtype):
    pages = making.ogg_pages(made(subtype))
    skeleton = making.page_of(b"fishead\0" + bytes(56), flags=FIRST, serial=5, number=0)
    bones = making.page_of(b"fisbone\0" + bytes(30), flags=LAST, serial=5, number=1)
    contents = inspect(b"".join([skeleton, *pages[:2], bones, *pages[2:]]))
    assert contents.num_samples == 4 * making.RATE
    np.testing.assert_array_equal(making.decode(contents), making.decode(inspect(b"".join(pages))))
    other = making.ogg_pages(made(subtype, serial=77))
    both = [pages[0], other[0], *pages[1:], *other[1:]]
    assert "2 streams of audio side by side" in making.reject_of(b"".join(both))
    assert "no audio that is known" in making.reject_of(
        skeleton + making.page_of(b"", flags=LAST, serial=5, number=1)
    )
    assert "belongs to no stream" in making.reject_of(b"".join([*pages[:3], bones, *pages[3:]]))


@pytest.mark.parametrize("name", ["flac.oga", "speexenc.spx"])
def test_codecs_that_libsndfile_does_not_read(name):
    contents = inspect(making.read(name))
    if name == "flac.oga":  # its packets are a FLAC
        np.testing.assert_array_equal(making.decode(contents), making.decode(inspect(making.read("flac.flac"))))
    else:
        assert (contents.format, contents.num_samples, contents.parts) == ("Ogg Speex", 51 * 320, None)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 1000])
def test_checksums_by_their_definition(size):
    """Bit by bit, with the polynomials of RFC 3533 and RFC 9639."""
    data = np.random.default_rng(3).bytes(size)
    for found, polynomial, bits in (
        (ogg_crc(reversed_bits(data)), 0x04C11DB7, 32),
        (flac_crc16(data), 0x8005, 16),
    ):
        register = 0
        for byte in data:
            register ^= byte << (bits - 8)
            for _ in range(8):
                top = register >> (bits - 1)
                register = (register << 1 & (1 << bits) - 1) ^ (polynomial if top else 0)
        assert found == register
    half = size // 2
    assert flac_crc16(data[half:], flac_crc16(data[:half])) == flac_crc16(data)
    pieces = (reversed_bits(data[:half]), reversed_bits(data[half:]))
    assert ogg_crc(*pieces) == ogg_crc(b"".join(pieces))
    assert zlib.crc32(b"123456789") == 0xCBF43926
