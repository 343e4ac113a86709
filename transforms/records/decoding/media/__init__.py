"""What the files that FFmpeg alone decodes say of their own length: M4A, WebM, WMA, AAC, AMR, AC-3.

mp4.py                the tables of an MP4; mp4_fragments.py those of its fragments
mp4_codecs.py         what its sample description says of the codec
mp4_boxes.py          the boxes that all of these are in
matroska.py           the elements of a WebM or Matroska; matroska_opus.py its packets of Opus
asf.py                WMA
amr.py, frames.py     streams of frames without a container: AMR; AAC and AC-3
stated.py             what each of them gives

FFmpeg takes half a WebM, and a cut M4A, without a word. So the structure of each is walked to its end, and what it
states is what the decode is held against.
"""

from __future__ import annotations

from melbeam.transforms.records.decoding.media import amr, asf, frames, matroska, mp4
from melbeam.transforms.records.decoding.media.stated import Media

__all__ = ["Media", "media_of"]


def media_of(data: bytes) -> Media | None:
    """What a file states, or None for a format that is none of these.

    Raises:
        Reject: bad_audio, for a file that is cut or contradicts itself.
    """
    for read in (mp4.read, matroska.read, asf.read, amr.read, frames.read):
        media = read(data)
        if media is not None:
            return media
    return None
