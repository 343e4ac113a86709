"""These are the encoders and decoders with which compare_decoders.py makes and reads files, as shell commands.

A command reads `clip.wav`, of 16 bits, and writes `out`; a decoder reads `out` and writes `decoded.wav`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

AAC_FRAME, AAC_DELAY = 1024, 2112  # samples; the longest delay that an encoder is known to have
# Speech of the demo's clips, music-like chords, or noise; Hz; channels.
S8, S16, S22, S24, S32 = (("speech", rate, 1) for rate in (8000, 16000, 22050, 24000, 32000))
S44, S48, S44x2, S16x2 = ("speech", 44100, 1), ("speech", 48000, 1), ("speech", 44100, 2), ("speech", 16000, 2)
N16, N12, M44x2, M48x2, M32 = (
    ("noise", 16000, 1),
    ("noise", 12000, 1),
    ("music", 44100, 2),
    ("music", 48000, 2),
    ("music", 32000, 1),
)
ALL = (S8, S16, S24, M44x2, S48)


@dataclass(frozen=True)
class Way:
    """One way to make a file.

    Attributes:
        command: for the shell; the first word is the encoder's name. "python: ..." is for compare_decoders.make.
        clips: of which one file each is made.
        longer: samples a channel by which the file may be longer than the clip, where nothing in it states its
            encoder's delay or how much of its last frame is audio.
        edit: what is done to the bytes afterwards.
        shorter: samples a channel that the encoder leaves out, as some do with what does not fill a last frame.
    """

    command: str
    clips: tuple[tuple[str, int, int], ...]
    longer: int = 0
    edit: Callable[[bytes], bytes] | None = None
    shorter: int = 0


@dataclass(frozen=True)
class Reader:
    """An independent decoder.

    Attributes:
        command: for the shell; the first word is its name.
        bound: of the difference of a sample: float decoders round each in their own way; 16 bits are 1 / 32768.
    """

    command: str
    bound: float = 4e-6


@dataclass(frozen=True)
class Family:
    """A format, with two encoders at least and two decoders."""

    name: str
    ways: tuple[Way, ...]
    readers: tuple[Reader, ...]


def ffmpeg(options: str) -> str:
    """A command of ffmpeg."""
    return f"ffmpeg -y -loglevel error -i clip.wav {options} out"


def gst(elements: str) -> str:
    """A command of GStreamer."""
    source, sink = "filesrc location=clip.wav ! wavparse ! audioconvert", "filesink location=out"
    return f"gst-launch-1.0 -q {source} ! {elements} ! {sink}"


def padded(front: bytes = b"", behind: bytes = b"") -> Callable[[bytes], bytes]:
    """An edit that puts bytes around a file."""
    return lambda data: front + data + behind


def with_bytes(at: int, content: bytes) -> Callable[[bytes], bytes]:
    """An edit that puts bytes in place of others."""
    return lambda data: data[:at] + content + data[at + len(content) :]


def _with_chunks(data: bytes) -> bytes:
    """JUNK and an odd note in front of a WAV's data, LIST and a peak of an unknown kind behind it."""
    junk = b"JUNK\x1c\0\0\0" + bytes(28) + b"note\3\0\0\0odd\0"
    behind = b"LIST\x10\0\0\0INFOICMT\4\0\0\0abc\0" + b"lev0\4\0\0\0\1\2\3\4"
    body = data[12:]
    return (
        b"RIFF" + (4 + len(junk) + len(body) + len(behind)).to_bytes(4, "little") + b"WAVE" + junk + body + behind
    )


FFMPEG = "ffmpeg -y -loglevel error -i out -c:a pcm_f32le decoded.wav"
GST = (
    "gst-launch-1.0 -q filesrc location=out ! decodebin ! audioconvert ! audio/x-raw,format=F32LE ! wavenc "
    "! filesink location=decoded.wav"
)
EXACT, BITS_16 = 0.0, 1.01 / 32768
ID3V1 = b"TAG" + b"a title".ljust(125, b"\0")
ID3V2 = b"ID3\3\0\0\0\0\2\0" + b"TIT2\0\0\0\2\0\0\0x".ljust(256, b"\0")
APE = b"APETAGEX" + (2000).to_bytes(4, "little") + (32).to_bytes(4, "little") + bytes(16)


def _sox(options: str) -> str:
    return f"sox -D clip.wav {options} out"


def _sox_reader(kind: str, bound: float = EXACT) -> Reader:
    return Reader(f"sox -D -t {kind} out -e float -b 32 decoded.wav", bound)


WAV = Family(
    "WAV, extensible, RF64, BW64",
    (
        *(Way(ffmpeg(f"-c:a {codec} -f wav"), (S16, M44x2)) for codec in ("pcm_u8", "pcm_s16le", "pcm_s24le")),
        *(Way(ffmpeg(f"-c:a {codec} -f wav"), (S16, M48x2)) for codec in ("pcm_s32le", "pcm_f32le", "pcm_f64le")),
        *(Way(ffmpeg(f"-c:a {codec} -f wav"), (S8, S16x2)) for codec in ("pcm_alaw", "pcm_mulaw")),
        Way(ffmpeg("-rf64 always -f wav"), (S16, M44x2)),
        *(Way(_sox(f"-t wav -e {kind}"), (S8, S44x2)) for kind in ("a-law", "mu-law", "float -b 32")),
        Way(_sox("-t wav -e signed -b 24"), (S24, M32)),
        Way(_sox("-t wav -e signed -b 16"), ALL, edit=_with_chunks),
        Way("sh -c 'sox -D clip.wav -t wav - | cat > out'", (S16, M44x2)),
        Way("sh -c 'ffmpeg -loglevel error -i clip.wav -f wav - | cat > out'", (S16, M44x2)),
        Way(_sox("-t wav -b 16"), (S16,), edit=with_bytes(40, b"\0\0\0\0")),
        Way(_sox("-t wav -b 16"), (S16,), edit=padded(behind=ID3V1)),
        Way(_sox("-t wav -b 16"), (S16,), edit=padded(front=ID3V2)),
        Way(gst("wavenc"), (S16, M44x2)),
        Way("python: libsndfile WAV PCM_U8", (S16,)),
        Way("python: libsndfile WAVEX PCM_24", (S16, M44x2)),
        Way("python: libsndfile RF64 PCM_16", (S16, M44x2)),
        Way("python: valid bits 12", (S16, S44)),
        Way("python: valid bits 20", (S16, S44)),
    ),
    (Reader(FFMPEG, EXACT), _sox_reader("wav")),
)
ADPCM = Family(
    "WAV of ADPCM and GSM 6.10",
    (
        Way(_sox("-t wav -e ima-adpcm"), ALL, 1020),
        Way(_sox("-t wav -e ms-adpcm"), ALL, 1020),
        Way(_sox("-t wav -e gsm"), (S8, N16), 320),
        *(Way(ffmpeg(f"-c:a {codec} -f wav"), ALL, 2041) for codec in ("adpcm_ima_wav", "adpcm_ms")),
        Way(ffmpeg("-c:a libgsm_ms -f wav"), (S8,), 320),
        Way("python: libsndfile WAV IMA_ADPCM", (S16, M44x2), 1020),
        Way("python: libsndfile WAV MS_ADPCM", (S16, M44x2), 1020),
        Way("python: libsndfile WAV GSM610", (S8,), 320),
    ),
    # Of IMA ADPCM, decoders round a step's four parts one by one or at once.
    (Reader(FFMPEG, 0.01), _sox_reader("wav", 0.01)),
)
OTHERS = Family(
    "AIFF, AIFC, AU, CAF, W64, SPHERE, VOC, 8SVX, AVR",
    (
        *(Way(ffmpeg(f"-c:a {codec} -f aiff"), (S16, M44x2)) for codec in ("pcm_s16be", "pcm_s24be", "pcm_f32be")),
        *(Way(ffmpeg(f"-c:a {codec} -f aiff"), (S8,)) for codec in ("pcm_alaw", "pcm_mulaw", "pcm_s16le")),
        *(
            Way(_sox(f"-t {kind}"), (S16, M44x2))
            for kind in ("aiff", "aifc", "au", "sph", "voc", "8svx -b 8", "avr")
        ),
        *(Way(ffmpeg(f"-c:a {codec} -f au"), (S16, M44x2)) for codec in ("pcm_s16be", "pcm_f32be", "pcm_mulaw")),
        Way("sh -c 'sox -D clip.wav -t au - | cat > out'", (S16, S44x2)),
        Way("sh -c 'sox -D clip.wav -t aiff - | cat > out'", (S16, S44x2)),
        *(Way(ffmpeg(f"-c:a {codec} -f caf"), (S16, M44x2)) for codec in ("pcm_s16be", "pcm_s24le", "pcm_mulaw")),
        # Its data's size counts what fills the last 8 bytes.
        *(Way(ffmpeg(f"-c:a {codec} -f w64"), (S16, M44x2), 3) for codec in ("pcm_s16le", "pcm_f32le")),
        *(
            Way(f"python: libsndfile {kind} {subtype}", (S16, M44x2))
            for kind in ("AIFF", "AU", "CAF", "W64", "NIST")
            for subtype in ("PCM_16", "PCM_24")
        ),
        *(Way(f"python: libsndfile {kind} PCM_16", (S16,)) for kind in ("AVR", "SVX", "MPC2K", "HTK", "VOC")),
        Way("python: libsndfile CAF ALAC_16", (S16, M44x2)),
        Way("python: libsndfile WVE ALAW", (S8,)),
    ),
    (Reader(FFMPEG, EXACT), Reader("sox -D out -e float -b 32 decoded.wav", EXACT)),
)
FLAC = Family(
    "FLAC of 8, 16 and 24 bits",
    (
        *(Way(f"flac --silent {level} -o out clip.wav", ALL) for level in ("-0", "-5", "-8 -b 1152")),
        Way("flac --silent --picture=picture.png -T TITLE=x -o out clip.wav", (S16, M44x2)),
        Way("sh -c 'flac --silent -c - < clip.wav | cat > out'", (S16, M44x2)),
        Way("flac --silent --padding=70000 -o out clip.wav", (S16,)),
        Way(ffmpeg("-c:a flac -f flac"), ALL),
        Way(ffmpeg("-c:a flac -sample_fmt s32 -f flac"), (S16, M48x2)),
        Way(_sox("-t flac -b 8"), (S16, S44x2)),
        Way(_sox("-t flac -b 24"), (S16, S44x2)),
        Way(gst("flacenc"), (S16, M44x2)),
        Way("python: libsndfile FLAC PCM_S8", (S16,)),
        Way("python: libsndfile FLAC PCM_16", ALL),
        Way("python: libsndfile FLAC PCM_24", (S16, M44x2)),
        Way("flac --silent -o out clip.wav", (S16,), edit=padded(front=ID3V2, behind=ID3V1)),
    ),
    (Reader(FFMPEG, EXACT), Reader("flac --silent -f -d -o decoded.wav out", EXACT)),
)
FLAC_OTHERS = Family(
    "Ogg FLAC; FLAC of 12, 20 and 32 bits",
    (
        *(Way(f"flac --silent --ogg {level} -o out clip.wav", ALL) for level in ("-0", "-5")),
        Way(ffmpeg("-c:a flac -f ogg"), ALL),
        Way(gst("flacenc ! oggmux"), (S16, M44x2)),
        *(
            Way(f"python: valid bits {bits}, flac --silent {ogg} -o out clip.wav", (S16, S44))
            for bits in (12, 20, 32)
            for ogg in ("", "--ogg")
        ),
    ),
    (
        Reader(FFMPEG, EXACT),
        Reader(
            "sh -c 'flac --silent -f -d -o decoded.wav out || flac --silent --ogg -f -d -o decoded.wav out'", EXACT
        ),
    ),
)
MP3_LONGER = 576 + 2 * 1152  # the encoder's delay, a last frame, and one that flushes
MP3 = Family(
    "MP3",
    (
        *(Way(f"lame --quiet {rate} clip.wav out", ALL) for rate in ("-V2", "--abr 96", "-V6")),
        *(Way(f"lame --quiet {rate} -t clip.wav out", (S16, M44x2), MP3_LONGER) for rate in ("-V4", "-b 64")),
        Way("lame --quiet -b 128 clip.wav out", (S8, S16, M44x2, S48), MP3_LONGER),
        Way("lame --quiet -b 64 -p clip.wav out", (S44, S16x2), MP3_LONGER),
        Way("lame --quiet --add-id3v2 --id3v1-only --tt title clip.wav out", (S44,)),
        Way("lame --quiet --id3v2-only --tt title --ti picture.jpg clip.wav out", (S44,)),
        Way("lame --quiet -V3 clip.wav out", (S44,), edit=padded(behind=APE)),
        Way("lame --quiet -V3 clip.wav out", (S44,), edit=padded(front=bytes(1000))),
        Way("lame --quiet --freeformat -b 400 clip.wav out", (S44,), MP3_LONGER),
        Way(ffmpeg("-c:a libmp3lame -q:a 4 -f mp3"), ALL),
        Way(ffmpeg("-c:a libmp3lame -b:a 64k -f mp3"), ALL),
        Way(ffmpeg("-c:a libmp3lame -write_xing 0 -q:a 4 -f mp3"), (S16, M44x2), MP3_LONGER),
        Way(ffmpeg("-c:a libshine -f mp3"), (S44, M48x2, M32), MP3_LONGER),
        Way(ffmpeg("-c:a libmp3lame -id3v2_version 4 -write_id3v1 1 -metadata title=x -f mp3"), (S24,)),
        Way(_sox("-t mp3 -C 64"), (S16, M44x2), MP3_LONGER),
        Way(gst("lamemp3enc ! xingmux"), (S16, M44x2), MP3_LONGER),
        Way("python: libsndfile MP3 MPEG_LAYER_III", (S16, M44x2)),
    ),
    (
        Reader("mpg123 -q -e f32 -w decoded.wav out"),
        Reader(FFMPEG),
        Reader("madplay -Q -b 24 -d -o wave:decoded.wav out", 1e-4),
    ),
)
MP2 = Family(
    "MPEG layer II",
    (
        *(Way(f"twolame --quiet -b {rate} clip.wav out", (S16, S24), 1152 * 2) for rate in (32, 64)),
        Way("twolame --quiet -b 128 clip.wav out", (S44, S48, M44x2, M48x2, M32), 1152 * 2),
        *(
            Way(ffmpeg(f"-c:a {codec} -b:a 64k -f mp2"), (S16, S24, S44), 1152 * 2)
            for codec in ("mp2", "libtwolame")
        ),
        Way(ffmpeg("-c:a mp2 -b:a 192k -f mp2"), (M44x2, M48x2), 1152 * 2),
        Way(gst("twolamemp2enc bitrate=128"), (S44, M44x2, M48x2), 1152 * 2),
    ),
    (Reader("mpg123 -q -e f32 -w decoded.wav out"), Reader(FFMPEG)),
)
VORBIS = Family(
    "Ogg Vorbis",
    (
        *(Way(f"oggenc -Q -q {quality} -o out clip.wav", ALL) for quality in (0, 4, 9)),
        Way("oggenc -Q --managed -b 64 -t title -c GENRE=x -o out clip.wav", (S22, M44x2)),
        Way(ffmpeg("-c:a libvorbis -q:a 3 -f ogg"), ALL),
        Way(ffmpeg("-c:a vorbis -strict -2 -ac 2 -f ogg"), (S16x2, M44x2), 1024),
        Way(_sox("-t ogg"), (S16, M44x2)),
        Way(gst("audio/x-raw,format=S16LE ! audioconvert ! vorbisenc ! oggmux"), (S16, M44x2), 256),
        Way("python: libsndfile OGG VORBIS", (S8, S16, M44x2)),
        Way("python: chained oggenc -Q -o out clip.wav", (S16, S44)),
    ),
    (Reader("oggdec -Q -o decoded.wav out", BITS_16), Reader(FFMPEG)),
)
OPUS = Family(
    "Ogg Opus",
    (
        *(
            Way(f"opusenc --quiet {options} clip.wav out", ALL)
            for options in ("--bitrate 24", "--framesize 60", "")
        ),
        Way("opusenc --quiet --hard-cbr --title x --picture picture.jpg clip.wav out", (S16, M44x2)),
        Way("opusenc --quiet clip.wav out", (S48,)),
        Way(ffmpeg("-c:a libopus -f ogg"), (S8, S16, S24, S48, M48x2)),
        Way(ffmpeg("-c:a opus -strict -2 -f ogg"), (S48, M48x2), 120),
        Way(gst("audioresample ! opusenc ! oggmux"), (S16, M48x2), 960),
        Way("python: libsndfile OGG OPUS", (S8, S16, S48)),
        Way("python: chained opusenc --quiet clip.wav out", (S16, S48)),
    ),
    (Reader("opusdec --quiet --float --rate 48000 out decoded.wav"), Reader(FFMPEG, 1e-3)),
)
SPEEX = Family(
    "Ogg Speex",
    (
        *(Way(f"speexenc --quality {quality} clip.wav out", (S8, S16, S32), 640 * 2) for quality in (4, 8)),
        Way("speexenc --vbr clip.wav out", (S8, S16), 640 * 2),
        Way("speexenc --quality 10 --comp 8 --dtx --vad clip.wav out", (S8, S16), 640 * 2),
        Way("speexenc --abr 12000 --title x clip.wav out", (S16, N16), 640 * 2),
        Way("speexenc --nframes 3 clip.wav out", (S8, S16), 640 * 4),
        *(Way(ffmpeg(f"-c:a libspeex {options} -f ogg"), (S8, S16, S32), 640 * 2) for options in ("", "-q:a 8")),
        Way(gst("speexenc ! oggmux"), (S8, S16, S32), 640 * 2),
    ),
    (Reader(FFMPEG, 1e-3), Reader("speexdec out decoded.wav", 1e-3)),
)
# Without an edit list, AAC's delay and the last frame's rest stay.
AAC_LONGER = AAC_DELAY + 2 * AAC_FRAME
M4A = Family(
    "M4A, MP4, MOV, 3GP of AAC and ALAC",
    (
        Way(ffmpeg("-c:a aac -f ipod"), ALL, 1, shorter=3),
        Way(ffmpeg("-c:a aac -movflags +faststart -metadata title=x -f mp4"), (S16, M44x2), 1),
        Way(ffmpeg("-c:a aac -f mov"), (S16, M44x2), 1),
        Way(ffmpeg("-c:a aac -f 3gp"), (S16,), 1),
        Way(ffmpeg("-c:a aac -movflags frag_keyframe+empty_moov -f mp4"), (S16, M44x2), AAC_LONGER),
        Way(
            ffmpeg("-c:a aac -movflags frag_keyframe+empty_moov+default_base_moof -frag_duration 300000 -f mp4"),
            (S16, M44x2),
            AAC_LONGER,
        ),
        Way(ffmpeg("-c:a aac -movflags dash -f mp4"), (S16,), AAC_LONGER),
        Way(
            ffmpeg("-i picture.jpg -map 0 -map 1 -c:a aac -c:v copy -disposition:v attached_pic -f ipod"),
            (S44,),
            1,
        ),
        Way(gst("voaacenc ! mp4mux"), (S16, S44, M44x2, M48x2), AAC_LONGER, shorter=AAC_FRAME),
        Way(gst("voaacenc ! qtmux"), (S16, M44x2), AAC_LONGER, shorter=AAC_FRAME),
        Way(gst("voaacenc ! mp4mux fragment-duration=500"), (S16, M44x2), AAC_LONGER, shorter=AAC_FRAME),
        Way(ffmpeg("-c:a alac -f ipod"), ALL),
        Way(ffmpeg("-c:a alac -sample_fmt s32p -f mov"), (S16, M44x2)),
        Way(ffmpeg("-c:a libopus -strict -2 -f mp4"), (S48, M48x2)),
        Way("python: PyAV ipod aac", (S16, M44x2), 1),
        Way(ffmpeg("-c:a libopencore_amrnb -f 3gp"), (S8,), 400),
    ),
    (Reader(FFMPEG, 1e-5), Reader(GST, 2e-3)),
)
WEBM = Family(
    "WebM, Matroska of Opus, Vorbis, AAC and FLAC",
    (
        Way(ffmpeg("-c:a libopus -f webm"), (S16, S24, S48, M48x2), 960),
        Way(ffmpeg("-c:a libopus -f webm -live 1"), (S48,), 960),
        Way(ffmpeg("-c:a libvorbis -f webm"), (S16, M44x2), 2048),
        Way(ffmpeg("-c:a libvorbis -f matroska"), (S16, M44x2), 2048),
        Way(ffmpeg("-c:a aac -f matroska"), (S16, M44x2), AAC_LONGER),
        Way(ffmpeg("-c:a flac -f matroska"), (S16, M44x2)),
        Way("sh -c 'ffmpeg -loglevel error -i clip.wav -c:a libopus -f webm - | cat > out'", (S48, M48x2), 960),
        Way(gst("audioresample ! opusenc ! webmmux"), (S16, M48x2), 960),
        Way(gst("audioresample ! opusenc ! webmmux streamable=true"), (S48,), 960),
        Way(gst("vorbisenc ! webmmux"), (S16, M44x2), 2048),
        Way(gst("flacenc ! matroskamux"), (S16, M44x2), 0),
        Way("sh -c 'opusenc --quiet clip.wav in.opus && mkvmerge -q -w -o out in.opus'", (S16, M48x2), 960),
        Way("sh -c 'oggenc -Q -o in.ogg clip.wav && mkvmerge -q -o out in.ogg'", (S16, M44x2), 2048),
        Way("sh -c 'flac --silent -f -o in.flac clip.wav && mkvmerge -q -o out in.flac'", (S16, M44x2)),
    ),
    (Reader(FFMPEG, 1e-3), Reader(GST, 2e-3)),
)
AAC = Family(
    "AAC (ADTS)",
    (
        *(Way(ffmpeg(f"-c:a aac -b:a {rate}k -f adts"), ALL, AAC_LONGER) for rate in (32, 96)),
        Way(ffmpeg("-c:a aac -profile:a aac_low -write_id3v2 1 -metadata title=x -f adts"), (S44,), AAC_LONGER),
        *(
            Way(
                gst(f"voaacenc bitrate={rate} ! audio/mpeg,stream-format=adts"),
                (S16, S24, S44, M44x2, M48x2),
                AAC_LONGER,
                shorter=AAC_FRAME,
            )
            for rate in (32000, 64000)
        ),
        Way("python: PyAV adts aac", (S16, M44x2), AAC_LONGER),
        Way(ffmpeg("-c:a aac -f latm"), (S44,), AAC_LONGER),
    ),
    (Reader(FFMPEG, 1e-5), Reader("faad -q -b 4 -o decoded.wav out", 2e-4)),
)
AMR_RATES = ("4.75k", "5.9k", "7.95k", "12.2k")
AMR = Family(
    "AMR, AMR-WB",
    (
        *(
            Way(ffmpeg(f"-c:a libopencore_amrnb -b:a {rate} -f amr"), (S8, ("noise", 8000, 1)), 400)
            for rate in AMR_RATES
        ),
        Way(ffmpeg("-c:a libopencore_amrnb -dtx 1 -f amr"), (S8,), 400),
        *(
            Way(ffmpeg(f"-c:a libvo_amrwbenc -b:a {rate} -f amr"), (S16, N16), 720)
            for rate in ("6.6k", "12.65k", "23.85k")
        ),
        *(Way(_sox(f"-t amr-nb -C {rate}"), (S8,), 400) for rate in (0, 3, 7)),
        *(Way(_sox(f"-t amr-wb -C {rate}"), (S16,), 720) for rate in (0, 4, 8)),
        Way("python: PyAV amr libopencore_amrnb 10200", (S8, ("noise", 8000, 1)), 400),
        Way("python: PyAV amr libopencore_amrnb 6700", (S8, ("music", 8000, 1)), 400),
        *(
            Way(gst(f"amrnbenc band-mode={mode}"), (S8,), 400, edit=padded(front=b"#!AMR\n"), shorter=160)
            for mode in (1, 7)
        ),
        *(
            Way(
                gst(f"voamrwbenc band-mode={mode}"), (S16, N16), 720, edit=padded(front=b"#!AMR-WB\n"), shorter=320
            )
            for mode in (2, 7)
        ),
    ),
    (Reader(FFMPEG, 2e-3), Reader(GST, 2e-3)),
)
AC3 = Family(
    "AC-3, E-AC-3",
    (
        *(
            Way(ffmpeg(f"-c:a ac3 -b:a {rate}k -f ac3"), (M32, S44, S48, M44x2, M48x2), 256 + 1536)
            for rate in (96, 192)
        ),
        Way(ffmpeg("-c:a ac3_fixed -f ac3"), (S44, S48, M44x2, M48x2), 256 + 1536),
        *(
            Way(ffmpeg(f"-c:a eac3 -b:a {rate}k -f eac3"), (M32, S44, S48, M44x2, M48x2), 256 + 1536)
            for rate in (64, 192)
        ),
    ),
    (Reader(FFMPEG, 1e-5), Reader(GST, 2e-3)),
)
WMA = Family(
    "WMA",
    (
        *(
            Way(ffmpeg(f"-c:a {codec} -b:a {rate}k -f asf"), ALL, 4096, shorter=2048)
            for codec in ("wmav1", "wmav2")
            for rate in (48, 96)
        ),
        Way("python: PyAV asf wmav2", (S16, M44x2), 4096, shorter=2048),
    ),
    (Reader(FFMPEG, 1e-5),),
)
FAMILIES = (
    WAV, ADPCM, OTHERS, FLAC, FLAC_OTHERS, MP3, MP2, VORBIS, OPUS, SPEEX, M4A, WEBM, AAC, AMR, AC3, WMA
)  # fmt: skip
