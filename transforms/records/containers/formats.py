"""Which format a file is, by its first bytes, and who counts it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from melbeam.transforms.records.containers import flac, headers, iff, mpeg, mpeg_frames, ogg, riff, tags
from melbeam.transforms.records.containers.headers import Inspect


@dataclass(frozen=True)
class Format:
    """A format that libsndfile takes.

    Attributes:
        libsndfile: its name there, as `soundfile.available_formats` lists it; several for one format here.
        name: for people.
        begins: whether a file that has no tags or zeros in front begins as this format does.
        inspect: counts what it holds.
    """

    libsndfile: tuple[str, ...]
    name: str
    begins: Callable[[bytes], bool]
    inspect: Inspect


def _magic(*magics: bytes, at: int = 0) -> Callable[[bytes], bool]:
    return lambda head: any(head.startswith(magic, at) for magic in magics)


def _form(*kinds: bytes) -> Callable[[bytes], bool]:
    return lambda head: head[:4] == b"FORM" and head[8:12] in kinds


def _is_ircam(head: bytes) -> bool:
    return len(head) >= 4 and (
        (head[:2] == b"\x64\xa3" and head[2] & 0xF8 == 0 and head[3] == 0)
        or (head[0] == 0 and head[1] & 0xF8 == 0 and head[2:4] == b"\xa3\x64")
    )


def _is_sds(head: bytes) -> bool:
    return head[:2] == b"\xf0\x7e" and len(head) >= 4 and head[2] & 0x80 == 0 and head[3] == 1


def _is_mat4(head: bytes) -> bool:
    return head[:12] in (b"\0\0\x03\xe8\0\0\0\1\0\0\0\1", b"\0\0\0\0\1\0\0\0\1\0\0\0")


FORMATS = (
    Format(("WAV", "WAVEX", "RF64", "W64"), "WAV", lambda head: riff.is_wav(head, 0), riff.inspect),
    Format(("FLAC",), "FLAC", _magic(b"fLaC"), flac.inspect),
    Format(("OGG",), "Ogg", _magic(b"OggS"), ogg.inspect),
    Format(("AIFF",), "AIFF", _form(b"AIFF", b"AIFC"), iff.inspect_aiff),
    Format(("SVX",), "SVX", _form(b"8SVX", b"16SV"), iff.inspect_svx),
    Format(("CAF",), "CAF", lambda head: head[:4] == b"caff" and head[8:12] == b"desc", iff.inspect_caf),
    Format(("AU",), "AU", _magic(b".snd", b"dns."), headers.inspect_au),
    Format(("NIST",), "SPHERE", _magic(b"NIST"), headers.inspect_sphere),
    Format(("VOC",), "VOC", _magic(b"Creative Voice File\x1a"), headers.inspect_voc),
    Format(("AVR",), "AVR", _magic(b"2BIT"), headers.inspect_avr),
    Format(("WVE",), "WVE", _magic(b"ALawSoundFile"), headers.inspect_wve),
    Format(("PAF",), "PAF", _magic(b" paf", b"fap "), headers.inspect_paf),
    Format(("PVF",), "PVF", _magic(b"PVF1"), headers.inspect_pvf),
    Format(("MAT5",), "MAT5", _magic(b"MATLAB 5"), headers.inspect_matlab),
    Format(("MAT4",), "MAT4", _is_mat4, headers.inspect_matlab),
    Format(("XI",), "XI", _magic(b"Extended Ins"), headers.inspect_xi),
    Format(("IRCAM",), "IRCAM", _is_ircam, headers.inspect_ircam),
    Format(("SDS",), "SDS", _is_sds, headers.inspect_sds),
    # The first bytes of these formats say little, so they come last.
    Format(("HTK",), "HTK", headers.is_htk, headers.inspect_htk),
    Format(("MPC2K",), "MPC 2000", _magic(b"\1\4"), headers.inspect_mpc2k),
)
MPEG = Format(("MP3",), "MP3", lambda head: mpeg.is_mpeg(head, behind_tag=False), mpeg.inspect)
_MIN_MAGIC = 4  # bytes that no samples are by chance
UNRECOGNISABLE = ("RAW", "SD2")  # nothing in the file tells them; libsndfile does not find them either

_OTHERS = (  # that libsndfile does not take; the byte where the magic is, the magic, the name
    (4, b"ftyp", "M4A or MP4"),
    (0, b"\x1a\x45\xdf\xa3", "WebM or Matroska"),
    (0, b"#!AMR", "AMR"),
    (0, bytes.fromhex("3026b2758e66cf11"), "WMA"),
    (0, b"\x0b\x77", "AC-3"),
    (0, b"ADIF", "AAC"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"TTA1", "True Audio"),
    (0, b"ajkg", "Shorten"),
    (0, b"DSD ", "DSD"),
    (0, b"MThd", "MIDI"),
    (8, b"AVI ", "AVI"),
    (0, b"FLV", "FLV"),
    (0, b".RMF", "RealAudio"),
    (0, b".ra\xfd", "RealAudio"),
    (0, b"#EXTM3U", "a playlist (M3U)"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"PK\3\4", "ZIP"),
    (0, b"\x93NUMPY", "NumPy"),
    (0, b"<!DOCTYPE", "HTML"),
    (0, b"<html", "HTML"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the file"),
)
_AUDIO = ("M4A or MP4", "WebM or Matroska", "AMR", "WMA")


def format_of(data: bytes) -> Format | None:
    """The format of a file that libsndfile takes, also behind tags, zeros or, for MPEG, the rest of a frame."""
    if data[:1] == b"\xff" and MPEG.begins(data):
        return MPEG
    for format in FORMATS:
        if format.begins(data):
            return format
    start = tags.start_of_content(data)
    if start:
        head = data[start : start + 64]
        for format in FORMATS[:3]:
            if format.begins(head):
                return format
    if other_name_of(data) is None and mpeg.is_mpeg(data, behind_tag=data[:3] == b"ID3"):
        return MPEG
    return None


def name_of_beginning(head: bytes) -> str | None:
    """The name of a format that shows in bytes with which no quiet recording of 16-bit samples begins.

    Magics of less than four bytes, or of small numbers, are left out but for ID3, as a sample a loud one.
    """
    name = name_of_audio(head)
    if name is not None:
        return name
    for at, magic, name in _OTHERS:
        if len(magic) >= _MIN_MAGIC and head.startswith(magic, at):
            return name
    if head.startswith(b"ID3"):
        return "ID3 tag"
    return MPEG.name if mpeg_frames.begins_with_two_frames(head) else None


def name_of_audio(head: bytes) -> str | None:
    """The name of a format of audio that begins with four letters or more, which are nothing else by chance."""
    for format in FORMATS:
        if not {"HTK", "MPC2K", "IRCAM", "SDS", "MAT4"} & set(format.libsndfile) and format.begins(head):
            return format.name
    return next((name for at, magic, name in _OTHERS if name in _AUDIO and head.startswith(magic, at)), None)


def other_name_of(data: bytes) -> str | None:
    """The name of a format that libsndfile does not take."""
    for at, magic, name in _OTHERS:
        if data.startswith(magic, at):
            return name
    if len(data) > 2 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:
        return "AAC"
    if len(data) > 2 and data[0] == 0x56 and data[1] & 0xE0 == 0xE0:
        return "AAC in LATM"
    return None
