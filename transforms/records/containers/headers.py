"""Formats of one header and the audio behind it: AU, SPHERE, VOC, HTK, AVR, MPC 2000, Psion WVE.

Those whose header has no length are refused: a cut file of theirs looks whole.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from melbeam.transforms.records.containers import blocks, pcm
from melbeam.transforms.records.containers.contents import Contents, Part, Tolerance, cut
from melbeam.transforms.records.containers.rates import as_integers, check_rate
from melbeam.transforms.records.rejects import Reject

Inspect = Callable[[bytes, Tolerance], Contents]

_AU_BITS = {23: 4, 25: 3, 26: 5}  # of G.721 and G.723, by AU's number
_SPHERE_FIELD = re.compile(rb"^(\w+) -(?:i|r|s\d+) (.*)$", re.MULTILINE)
_VOC_ENCODINGS = {0: pcm.unsigned_bytes(), 4: pcm.integers(2), 6: pcm.ALAW, 7: pcm.MULAW}
_VOC_NEW_SOUND = 9  # a block's kind
_SOX_LEAVES_OUT = 8  # bytes of such a block's own header, in the size that sox writes
_HTK_WAVEFORM = b"\0\2\0\0"  # two bytes a sample, of kind 0
_ADVICE = "convert it to WAV or FLAC, for example with sox IN OUT.wav"


def inspect_au(data: bytes, tolerance: Tolerance) -> Contents:
    """Counts the samples of an AU or SND file.

    Raises:
        Reject: bad_audio.
    """
    order = ">" if data.startswith(b".snd") else "<"
    if len(data) < 24:
        raise Reject("bad_audio", f"a cut AU: {len(data)} bytes, fewer than its header's 24")
    start, size, code, rate, channels = struct.unpack_from(f"{order}IIIII", data, 4)
    there = len(data) - start
    promise = pcm.Promise("AU", start, pcm.size_or_open(size, there))
    if start < 24 or there < 0:
        raise Reject("bad_audio", f"a damaged AU: its audio begins at byte {start} of {len(data)}")
    check_rate("AU", rate, data[16:20], as_integers(4, order))
    encodings = {
        1: pcm.MULAW,
        **{code: pcm.integers(code - 1, order) for code in (2, 3, 4, 5)},
        6: pcm.floats(4, order),
        7: pcm.floats(8, order),
        27: pcm.ALAW,
    }
    if code in encodings:
        return pcm.inspect(data, promise, rate, channels, encodings[code], tolerance)
    if code not in _AU_BITS or channels != 1:
        raise Reject("bad_audio", f"an AU of encoding {code} and {channels} channels is not read; {_ADVICE}")
    if promise.size is not None and promise.size > there:
        raise cut(promise.name, promise.by, promise.size, there)
    if promise.size is not None:
        pcm.check_end(data, promise, start + promise.size, 1)
    audio = data[start : start + (there if promise.size is None else promise.size)]
    codec = blocks.g72x(_AU_BITS[code])
    whole, num_decoded = codec.filled(audio)
    num_samples = codec.count(len(audio))
    head = data[:4] + struct.pack(f"{order}IIIII", 24, len(whole), code, rate, channels)
    part = Part(head + whole, num_samples, num_decoded - num_samples)
    return Contents("AU", rate, channels, num_samples, parts=(part,))


def inspect_sphere(data: bytes, tolerance: Tolerance) -> Contents:
    """Counts the samples of a NIST SPHERE file.

    Raises:
        Reject: bad_audio.
    """
    size_of_header = data[8:16].strip()
    if not data.startswith(b"NIST_1A\n") or not size_of_header.isdigit():
        raise Reject("bad_audio", f"a damaged SPHERE: it begins with {data[:16]!r}")
    start = int(size_of_header)
    head = data[:start].partition(b"end_head")[0]
    raw = {match[1]: match[2] for match in _SPHERE_FIELD.finditer(head)}
    fields = {name: value.strip() for name, value in raw.items()}
    coding = fields.get(b"sample_coding", b"pcm")
    numbers = {}
    for name in (b"sample_count", b"sample_rate", b"channel_count", b"sample_n_bytes"):
        value = fields.get(name, b"1" if name in (b"channel_count", b"sample_n_bytes") else b"")
        if not value.isdigit():
            raise Reject("bad_audio", f"a SPHERE whose header has {value!r} for {name.decode()}; {_ADVICE}")
        numbers[name] = int(value)
    count, rate, channels, num_bytes = numbers.values()
    # One damaged digit turns a multiple of 1000 Hz into another.
    check_rate("SPHERE", rate, raw[b"sample_rate"], lambda usual: b"%d" % usual, also_known=range(0, 10**6, 1000))
    order = ">" if fields.get(b"sample_byte_format") == b"10" else "<"
    if coding in (b"ulaw", b"mu-law"):
        encoding = pcm.MULAW
    elif coding == b"alaw":
        encoding = pcm.ALAW
    elif coding == b"pcm" and 1 <= num_bytes <= 4:
        encoding = pcm.integers(num_bytes, order)
    else:
        named = coding.decode("latin-1")
        advice = "convert it to WAV with sph2pipe -f wav IN OUT.wav"
        raise Reject(
            "bad_audio", f"a SPHERE of coding {named!r} and {num_bytes} bytes a sample is not read; {advice}"
        )
    promise = pcm.Promise("SPHERE", start, count * channels * encoding.num_bytes)
    return pcm.inspect(data, promise, rate, channels, encoding, tolerance)


def inspect_htk(data: bytes, tolerance: Tolerance) -> Contents:
    """Counts the samples of an HTK waveform.

    Raises:
        Reject: bad_audio.
    """
    num_samples, period = struct.unpack_from(">II", data)
    rate = 10_000_000 // period if period else 16000  # of 100 ns; as libsndfile reads it
    check_rate("HTK", rate, data[4:8], lambda usual: (10_000_000 // usual).to_bytes(4, "big"))
    return pcm.inspect(data, pcm.Promise("HTK", 12, 2 * num_samples), rate, 1, pcm.integers(2, ">"), tolerance)


def is_htk(data: bytes) -> bool:
    """Whether the header is an HTK waveform's and its number of samples the file's size."""
    return data[8:12] == _HTK_WAVEFORM and len(data) == 12 + 2 * int.from_bytes(data[:4], "big")


def inspect_avr(data: bytes, tolerance: Tolerance) -> Contents:
    """Counts the samples of an AVR.

    Raises:
        Reject: bad_audio.
    """
    if len(data) < 128:
        raise Reject("bad_audio", f"a cut AVR: {len(data)} bytes, fewer than its header's 128")
    stereo, bits, is_signed = struct.unpack_from(">HHH", data, 12)
    rate, num_samples = struct.unpack_from(">II", data, 22)
    check_rate("AVR", rate, data[22:26], as_integers(4, ">"))
    if bits not in (8, 16):
        raise Reject("bad_audio", f"an AVR of {bits} bits is not read; {_ADVICE}")
    channels = (stereo & 1) + 1
    encoding = pcm.integers(bits // 8, ">") if is_signed or bits == 16 else pcm.unsigned_bytes()
    promise = pcm.Promise("AVR", 128, num_samples * channels * encoding.num_bytes)
    return pcm.inspect(data, promise, rate, channels, encoding, tolerance)


def inspect_mpc2k(data: bytes, tolerance: Tolerance) -> Contents:
    """Counts the samples of an Akai MPC 2000's file.

    Raises:
        Reject: bad_audio.
    """
    if len(data) < 42:
        raise Reject("bad_audio", f"a cut MPC 2000: {len(data)} bytes, fewer than its header's 42")
    channels = 2 if data[21] else 1
    (num_samples,) = struct.unpack_from("<I", data, 30)
    (rate,) = struct.unpack_from("<H", data, 40)
    check_rate("MPC 2000", rate, data[40:42], as_integers(2, "<"))
    promise = pcm.Promise("MPC 2000", 42, num_samples * channels * 2)
    return pcm.inspect(data, promise, rate, channels, pcm.integers(2), tolerance)


def inspect_wve(data: bytes, tolerance: Tolerance) -> Contents:
    """Counts the samples of a Psion's WVE, A-law at 8 kHz.

    Raises:
        Reject: bad_audio.
    """
    if len(data) < 32:
        raise Reject("bad_audio", f"a cut WVE: {len(data)} bytes, fewer than its header's 32")
    promise = pcm.Promise("WVE", 32, int.from_bytes(data[18:22], "big"))
    return pcm.inspect(data, promise, 8000, 1, pcm.ALAW, tolerance)


def inspect_voc(data: bytes, tolerance: Tolerance) -> Contents:
    """Counts the samples of a VOC: blocks of audio of one kind, up to the block that ends the file.

    Raises:
        Reject: bad_audio.
    """
    found = _VocBlocks()
    position = int.from_bytes(data[20:22], "little")
    while True:
        if position == len(data) and data.endswith(b"\0") and found.are_of_a_law:
            # libsndfile counts the byte that ends the file as one of A-law's or mu-law's.
            found.audio[-1] = found.audio[-1][:-1]
            position -= 1
        if position >= len(data):
            raise Reject("bad_audio", f"a cut VOC: no block says that it is the last of the {len(data)} bytes")
        kind, start = data[position], position + 4
        size = int.from_bytes(data[position + 1 : start], "little")
        if not kind:
            break
        if kind == _VOC_NEW_SOUND and start + size + _SOX_LEAVES_OUT == len(data) - 1 and data.endswith(b"\0"):
            size += _SOX_LEAVES_OUT
        if start + size > len(data):
            raise cut("VOC", f"its block at byte {position}", size, max(0, len(data) - start))
        found.add(kind, data[start : start + size], position)
        position = start + size
    if not found.kinds:
        raise Reject("bad_audio", "a VOC without a block of audio")
    rate, channels, encoding = found.kinds[0]
    if len(set(found.kinds)) > 1 or encoding not in _VOC_ENCODINGS:
        raise Reject(
            "bad_audio", f"a VOC of several kinds of audio or of encoding {encoding} is not read; {_ADVICE}"
        )
    pcm.check_end(data, pcm.Promise("VOC", 0, position + 1, "its last block"), position + 1, 1)
    joined = b"".join(found.audio)
    return pcm.inspect(
        joined, pcm.Promise("VOC", 0, len(joined)), rate, channels, _VOC_ENCODINGS[encoding], tolerance
    )


@dataclass
class _VocBlocks:
    """The blocks of a VOC so far.

    Attributes:
        audio: the samples of each that has some.
        kinds: rate, channels and encoding of each that says them.
        extended: those of the next block of audio, where a block in front of it says more of it than it can.
    """

    audio: list[bytes] = field(default_factory=list)
    kinds: list[tuple[int, int, int]] = field(default_factory=list)
    extended: tuple[int, int, int] | None = None

    @property
    def are_of_a_law(self) -> bool:
        """Whether the last samples are of A-law or mu-law."""
        return bool(self.audio) and self.kinds[-1][2] in (6, 7)

    def add(self, kind: int, content: bytes, position: int) -> None:
        """Adds a block that begins at that byte of the file.

        Raises:
            Reject: bad_audio, of a kind that is not read, or whose numbers disagree.
        """
        if kind == 1 and len(content) >= 2:
            self.kinds.append(self.extended or (1_000_000 // (256 - content[0]), 1, content[1]))
            self.audio.append(content[2:])
            self.extended = None
        elif kind == 2 and self.kinds:
            self.audio.append(content)
        elif kind == 8 and len(content) >= 4:
            channels = 2 if content[3] else 1
            rate = 256_000_000 // channels // (65536 - int.from_bytes(content[:2], "little"))
            self.extended = (rate, channels, content[2])
        elif kind == _VOC_NEW_SOUND and len(content) >= 12:
            self.kinds.append(_kind_of_new_sound(content))
            self.audio.append(content[12:])
        elif kind not in (4, 5):
            raise Reject(
                "bad_audio", f"a VOC with a block of kind {kind} at byte {position} is not read; {_ADVICE}"
            )


def _kind_of_new_sound(content: bytes) -> tuple[int, int, int]:
    """Rate, channels and encoding, as a block of VOC's kind 9 begins with them.

    Raises:
        Reject: bad_audio, they disagree.
    """
    rate, bits, channels, encoding = struct.unpack_from("<IBBH", content)
    check_rate("VOC", rate, content[:4], as_integers(4, "<"))
    if bits != 8 * _VOC_ENCODINGS.get(encoding, pcm.MULAW).num_bytes and (bits, encoding) != (16, 0):
        raise Reject("bad_audio", f"a damaged VOC: its samples have {bits} bits and encoding {encoding}")
    return rate, channels, 4 if bits == 16 and encoding == 0 else encoding


def refuse(name: str, why: str) -> Inspect:
    """Makes an `inspect` that refuses a format which libsndfile reads but whose files cannot be checked."""

    def inspect(data: bytes, tolerance: Tolerance) -> Contents:
        raise Reject("bad_audio", f"{name} is not read, for {why}; {_ADVICE}")

    return inspect


_NO_LENGTH = "its header does not say how much audio there is, and a cut file looks whole"
inspect_paf = refuse("Ensoniq PARIS (PAF)", _NO_LENGTH)
inspect_pvf = refuse("Portable Voice Format (PVF)", _NO_LENGTH)
inspect_ircam = refuse("IRCAM SF", _NO_LENGTH)
inspect_matlab = refuse("MATLAB's MAT", "it holds variables, not a clip")
inspect_xi = refuse("FastTracker 2's XI", "it holds an instrument, not a clip")
inspect_sds = refuse("MIDI Sample Dump (SDS)", "it holds a dump for a sampler, not a clip")
