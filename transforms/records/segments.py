"""What is said when in a clip, and so where one that is too long is cut: between two segments, never within one.

Where a source knows the times of a clip's texts, of lhotse's supervisions or of a manifest's segment, jobs write
them into the audio record (`schema.SEGMENTS`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.chunking import Chunking
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.schema import SEGMENTS
from melbeam.transforms.records.tf_example import to_example


@dataclass(frozen=True)
class Segment:
    """A run of a clip's samples, `[start, stop)`, in which a text is said."""

    start: int
    stop: int
    text: str


@dataclass(frozen=True)
class SegmentChunk:
    """A chunk of a clip, `[start, stop)` in samples, and the text that is said in it, which may be none."""

    start: int
    stop: int
    text: str


def encode_segments(segments: Iterable[tuple[float, float | None, str]]) -> str:
    """Start and end in seconds, and text, as a record holds them; no end stands for the clip's."""
    return _as_utf8(json.dumps([list(segment) for segment in segments], ensure_ascii=False))


def with_segments(record: bytes, segments: str) -> bytes:
    """A serialized audio record with what is said when; as it is where nothing is known."""
    # Serialized messages that follow one another are one message: protobuf merges them.
    return record + to_example({SEGMENTS: segments}) if segments else record


def parse_segments(encoded: bytes, num_samples: int, rate: int) -> list[Segment]:
    """The segments of a clip, in order; inverse of `encode_segments`.

    Args:
        encoded: as a record holds them.
        num_samples: of the clip.
        rate: Hz of the samples.

    Raises:
        Reject: bad_field, they are none.
    """
    try:
        found = [
            Segment(
                max(0, round(float(start) * rate)),
                num_samples if end is None else min(round(float(end) * rate), num_samples),
                _as_utf8(text),
            )
            for start, end, text in json.loads(encoded)
        ]
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise Reject("bad_field", f"{SEGMENTS} must be JSON, [[start, end, text], ...]: {error}") from error
    return sorted((s for s in found if s.start < s.stop), key=lambda segment: (segment.start, segment.stop))


def _as_utf8(text: str) -> str:
    """The text without halves of surrogate pairs, which JSON may hold and UTF-8 cannot."""
    return text.encode(errors="replace").decode()


def cut_between(
    segments: list[Segment], num_samples: int, chunking: Chunking, front_end: FrontEnd
) -> list[SegmentChunk]:
    """The chunks of a clip that is too long: as long as they may be, and each segment whole in one of them.

    Together they are the clip, but for silence that is no frame. A segment that is longer than a chunk is a chunk
    of its own, where the front end takes it. Chunks do not overlap.

    Raises:
        Reject: too_long, a segment is longer than the front end takes.
    """
    blocks = _without_overlaps(segments)
    longest, length = front_end.max_samples, chunking.length or num_samples
    chunks: list[SegmentChunk] = []
    position = 0
    while position < num_samples:
        end = _end_of_chunk(blocks, position, min(position + length, num_samples), num_samples)
        if longest is not None and end - position > longest:
            rate = front_end.sampling_rate
            raise Reject(
                "too_long",
                f"a text is said from {position / rate:.3f} s to {end / rate:.3f} s, the front end takes "
                f"{front_end.max_audio_length} s, and no chunk ends within one: cut it in the corpus, or pass "
                "--on_long=truncate",
            )
        said = [s.text.strip() for s in segments if position <= s.start < end]
        if front_end.num_frames(end - position):
            chunks.append(SegmentChunk(position, end, " ".join(text for text in said if text)))
        position = end
    return chunks


def _without_overlaps(segments: list[Segment]) -> list[tuple[int, int]]:
    """First sample and end of each run of segments that overlap, in order."""
    blocks: list[tuple[int, int]] = []
    for segment in segments:
        if blocks and segment.start < blocks[-1][1]:
            blocks[-1] = (blocks[-1][0], max(blocks[-1][1], segment.stop))
        else:
            blocks.append((segment.start, segment.stop))
    return blocks


def _end_of_chunk(blocks: list[tuple[int, int]], position: int, limit: int, num_samples: int) -> int:
    """Where the chunk that begins at a position ends: at the limit, or before the block that lies across it."""
    if limit == num_samples:
        return limit
    before = position  # the end of the last block that lies in the chunk
    for start, stop in blocks:
        if stop <= position:
            continue
        if stop > limit:
            if start >= limit:
                break
            if start <= position:
                return stop  # a block that is longer than a chunk
            # In the middle of the pause; of silence alone, up to the block, which needs the room.
            return start if before == position else (before + start) // 2
        before = stop
    return limit
