"""The ids of feature records: the audio record's own, `id@c` of its channel c, and `id#k` of chunk k of a clip."""

from __future__ import annotations

import re

_OF_A_CHANNEL = re.compile(r"(.*)@(\d+)", re.DOTALL)


def id_of_piece(audio_id: str, channel: int | None, chunk: int | None) -> str:
    """Gives the id of a feature record.

    Args:
        audio_id: the id of the audio record that it was made of.
        channel: its number in the clip, where each channel became records of its own; else None.
        chunk: its number in the clip, or in the clip's channel, where that was chunked; else None.
    """
    clip_id = audio_id if channel is None else f"{audio_id}@{channel}"
    return clip_id if chunk is None else f"{clip_id}#{chunk}"


def without_chunk(record_id: str, chunk: int | None) -> str:
    """Gives the id of the clip, or of the clip's channel, that a feature record is, or is a chunk of."""
    return record_id if chunk is None else record_id.removesuffix(f"#{chunk}")


def parts_of_channel(clip_id: str) -> tuple[str, int] | None:
    """Gives the id of the audio record and the channel's number; None where it is no id of a channel."""
    found = _OF_A_CHANNEL.fullmatch(clip_id)
    return (found[1], int(found[2])) if found else None
