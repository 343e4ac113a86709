"""What an audio file holds, by its bytes alone: how many samples, and bytes that libsndfile reads to their end.

A decoder's end of stream is no proof that a clip is whole: libsndfile stops at an estimate, at a join, at a
damaged page, and reads past the end of a block codec. So the container is counted here, and the decode must agree:

    contents = inspect(data)                # raises Reject("bad_audio", ...) for what is provably cut or damaged
    if contents is None:                    # no format that libsndfile takes; do not hand it to libsndfile
        ...                                 # another decoder, or a reject that names `name_of(data)`
    elif contents.parts is None:            # counted, but libsndfile has no decoder for it (Speex, 20-bit FLAC)
        ...                                 # another decoder, whose count must agree with contents.num_samples
    else:
        for part in contents.parts:         # part.num_samples + part.num_filled must come of part.data, within
            ...                             # contents.tolerance; the first part.num_samples are the audio

`inspect` never decodes and knows nothing of limits: it is linear in the file's size, and costs a few per cent of a
decode. Where a WAV is too large to be read for a part of it, `samples_in_place` says where its samples lie.
`flac_digest` gives the MD5 check that a FLAC offers of its decoded samples.
"""

from __future__ import annotations

from melbeam.transforms.records.containers.contents import Contents, Part, Tolerance
from melbeam.transforms.records.containers.flac_md5 import FlacDigest
from melbeam.transforms.records.containers.formats import format_of, name_of_beginning, other_name_of
from melbeam.transforms.records.containers.riff import InPlace, samples_in_place

__all__ = [
    "Contents",
    "FlacDigest",
    "InPlace",
    "Part",
    "flac_digest",
    "inspect",
    "name_of",
    "name_of_beginning",
    "samples_in_place",
]


def inspect(data: bytes, *, cut_tolerance_seconds: float = 0.0) -> Contents | None:
    """Counts what a file holds.

    Args:
        data: a whole file.
        cut_tolerance_seconds: a file that lacks no more than this of what its header promises is taken, and
            `Contents.cut_tolerated` says so.

    Returns:
        What it holds, or None for a format that this package does not know; libsndfile does not know it either.

    Raises:
        Reject: bad_audio, for a file that is provably cut or damaged, that holds what libsndfile would misread, or
            whose format has no length to check it by (the detail names it and what to convert it to).
    """
    format = format_of(data)
    return None if format is None else format.inspect(data, Tolerance(cut_tolerance_seconds))


def name_of(data: bytes) -> str | None:
    """The name of a file's format by its first bytes, also where `inspect` does not know it (M4A, WebM, ...)."""
    format = format_of(data)
    return other_name_of(data) if format is None else format.name


def flac_digest(data: bytes) -> FlacDigest | None:
    """The MD5 check of a FLAC, or None for another format or a FLAC without one.

    The object has `update(block)`, for each block of decoded samples (float32 or left-justified int32
    `[num_samples, num_channels]`, before mixing down), and `check()`, which raises Reject("bad_audio", ...) where
    the digest of all blocks is another than the file's.
    """
    return FlacDigest.of(data)
