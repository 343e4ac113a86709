"""Audio bytes or samples in, mono float32 at the front end's rate out.

files.py         whole files: what the container holds is counted, and the decode must agree
libsndfile.py    the first decoder
libav.py         the second one, FFmpeg's libraries through PyAV, with the extra `media`
media/           what M4A, WebM, WMA and other files that only the second one takes say of themselves
raw_samples.py   bytes and lists without a header
audio.py         the checks, the mix and the resampling that all of these share, block by block
quiet.py         threads in which a library's printing leads nowhere
"""

from __future__ import annotations

from melbeam.transforms.records.decoding.audio import Audio, of_one_channel
from melbeam.transforms.records.decoding.files import decode_audio
from melbeam.transforms.records.decoding.raw_samples import check_is_no_file, decode_pcm_s16le, from_samples

__all__ = [
    "Audio",
    "check_is_no_file",
    "decode_audio",
    "decode_pcm_s16le",
    "from_samples",
    "of_one_channel",
]
