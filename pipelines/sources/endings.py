"""The endings of files' names, by what the files hold; this module imports nothing."""

from __future__ import annotations

# libsndfile takes files of these endings.
SNDFILE_ENDINGS = (
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus"),
    *(".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64", ".sph", ".nist"),
)
# PyAV alone takes these, with the extra `media`.
MEDIA_ENDINGS = (".m4a", ".mp4", ".m4b", ".aac", ".webm", ".mka", ".mkv", ".wma", ".amr", ".3gp", ".mov", ".ac3")
AUDIO_ENDINGS = (*SNDFILE_ENDINGS, *MEDIA_ENDINGS)
TAR_ENDINGS = (".tar", ".tar.gz", ".tgz")
STM_ENDING = ".stm"
TABLE_ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", STM_ENDING)
MANIFEST_ENDINGS = (*TABLE_ENDINGS, *(f"{ending}.gz" for ending in TABLE_ENDINGS))


def without_ending(name: str) -> str:
    """A name, or a path, without an ending of audio."""
    stem, _, ending = name.rpartition(".")
    return stem if stem and f".{ending.lower()}" in AUDIO_ENDINGS else name
