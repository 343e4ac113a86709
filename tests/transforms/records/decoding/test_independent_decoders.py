"""Which samples come out, beside decoders that are not ours, where they are installed: what docs/audio.md says.

The files are made by encoders that are not ours either: ffmpeg, lame, oggenc, opusenc and flac.
"""

import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from melbeam.transforms.records.decoding import decode_audio

pytestmark = pytest.mark.slow
RATES = [16000, 44100, 48000]
NUM_SECONDS = 2.61734  # ends within a frame of every codec, and within a millisecond
# The commands that encode {clip} to {file}, by the file's ending.
ENCODERS = {
    "flac": ["flac --silent -o {file} {clip}", "ffmpeg -loglevel error -i {clip} -c:a flac {file}"],
    "mp3": [
        "lame --quiet {clip} {file}",
        "lame --quiet -V2 {clip} {file}",
        "lame --quiet --abr 90 {clip} {file}",
        "ffmpeg -loglevel error -i {clip} -c:a libmp3lame {file}",
    ],
    "ogg": ["oggenc -Q -o {file} {clip}", "ffmpeg -loglevel error -i {clip} -c:a libvorbis {file}"],
    "opus": ["opusenc --quiet {clip} {file}", "ffmpeg -loglevel error -i {clip} -c:a libopus {file}"],
    "m4a": [
        "ffmpeg -loglevel error -i {clip} -c:a aac {file}",
        "ffmpeg -loglevel error -i {clip} -c:a alac {file}",
    ],
}
# Those that decode {file} to {out}, a WAV of floats or of 16 bits.
DECODERS = {
    "flac": ["flac --silent -d -o {out} {file}", "ffmpeg -loglevel error -i {file} -c:a pcm_f32le {out}"],
    "mp3": ["mpg123 -q -e f32 -w {out} {file}", "ffmpeg -loglevel error -i {file} -c:a pcm_f32le {out}"],
    "ogg": ["oggdec -Q -o {out} {file}", "ffmpeg -loglevel error -i {file} -c:a pcm_f32le {out}"],
    "opus": ["opusdec --quiet --float --rate 48000 {file} {out}"],
    "m4a": ["ffmpeg -loglevel error -i {file} -c:a pcm_f32le {out}"],
}
# Float decoders round each in their own way; oggdec writes 16 bits.
TOLERANCE = {"ogg": 1.01 / 32768}
WAYS = [
    pytest.param(ending, encoder, decoder, id=f"{encoder.split(' {')[0]}, {decoder.split()[0]}".replace(" ", "_"))
    for ending in ENCODERS
    for encoder in ENCODERS[ending]
    for decoder in DECODERS[ending]
]


@pytest.fixture(scope="module", params=RATES)
def clip(request, tmp_path_factory):
    rate = request.param
    time = np.arange(round(NUM_SECONDS * rate)) / rate
    noise = 0.03 * np.random.default_rng(4).standard_normal(len(time))
    samples = 0.2 * np.sin(2 * np.pi * (300 + 400 * time) * time) + noise
    path = tmp_path_factory.mktemp("clip") / f"{rate}.wav"
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return rate, path


def runs(command, **names):
    program, *arguments = command.split()
    if shutil.which(program) is None:
        pytest.skip(f"no {program} is installed")
    ran = subprocess.run(
        [program, *(argument.format(**names) for argument in arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    if "Unknown encoder" in ran.stderr:
        pytest.skip(ran.stderr)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(("ending", "encoder", "decoder"), WAYS)
def test_the_samples_are_those_of_another_decoder(ending, encoder, decoder, clip, tmp_path):
    _, path = clip
    if ending == "m4a":
        pytest.importorskip("av", reason="the extra media is not installed")
    file, out = tmp_path / f"clip.{ending}", tmp_path / "out.wav"
    runs(encoder, clip=path, file=file)
    if ending == "opus" and soundfile.info(file).samplerate != 48000:
        pytest.skip("libsndfile has libopus decode at 16 kHz, opusdec decodes at 48 kHz and resamples")
    runs(decoder, file=file, out=out)
    expected, expected_rate = soundfile.read(out, dtype="float32")
    audio = decode_audio(file.read_bytes(), sampling_rate=expected_rate)
    assert (audio.source_rate, audio.resampled) == (expected_rate, False)
    samples = audio.samples
    if (
        ending == "m4a" and "aac" in encoder
    ):  # to the end of the clip, where ffmpeg gives the last frame's rest too
        assert 0 <= len(expected) - len(samples) < 1024
        expected = expected[: len(samples)]
    if ending == "mp3" and len(expected) != len(samples):
        # Where no header names the encoder's delay, the decoder's own, which is known, is left out all the same.
        assert (len(expected) - len(samples), "lame" in encoder) == (529, True)
        expected = expected[529:]
    assert len(samples) == len(expected)
    np.testing.assert_allclose(samples, expected, rtol=0, atol=TOLERANCE.get(ending, 2e-6))
    if ending == "flac" or "alac" in encoder:
        original, _ = soundfile.read(path, dtype="float32")
        np.testing.assert_array_equal(samples, original)


@pytest.mark.parametrize(("ending", "encoder"), [(end, encoder) for end in ENCODERS for encoder in ENCODERS[end]])
def test_the_clip_comes_out_at_its_length_and_place(ending, encoder, clip, tmp_path):
    """What an encoder adds in front and behind is left out, as far as the file says what that is."""
    if ending == "m4a":
        pytest.importorskip("av", reason="the extra media is not installed")
    rate, path = clip
    file = tmp_path / f"clip.{ending}"
    runs(encoder, clip=path, file=file)
    original, _ = soundfile.read(path, dtype="float32")
    samples = decode_audio(file.read_bytes(), sampling_rate=rate).samples
    # lame writes no delay for a constant bit rate below 32 kHz: its 576 samples, and a last frame that is full.
    has_delay = not (encoder == "lame --quiet {clip} {file}" and rate < 32000)
    assert abs(len(samples) - len(original)) <= (1 if has_delay else 2 * 576)
    length = min(len(samples), len(original))
    ours, theirs = np.fft.rfft(samples[:length], 2 * length), np.fft.rfft(original[:length], 2 * length)
    delay = int(np.argmax(np.fft.irfft(ours * np.conj(theirs))))
    assert delay == (0 if has_delay else 576)
