"""Makes the demo clips: short sentences spoken by espeak-ng, in the formats and at the rates that people have.

    apt-get install espeak-ng
    python scripts/make_demo_clips.py pipelines/demo_clips

The clips are synthesised speech of sentences written for this project; they are under its licence.
"""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr

# name, voice, rate in Hz, channels, format, subtype, sentence
CLIPS = [
    ("01-morning.wav", "en-us", 16000, 1, "WAV", "PCM_16", "Good morning. These features were computed once."),
    ("02-river.flac", "en-gb", 16000, 1, "FLAC", "PCM_16", "The river runs quietly under the old stone bridge."),
    ("03-numbers.flac", "en-us", 44100, 2, "FLAC", "PCM_16", "Seven, twenty three, one hundred and five."),
    ("04-telephone.wav", "en-us", 8000, 1, "WAV", "PCM_16", "This is how a voice sounds over the telephone."),
    ("05-weather.mp3", "en-gb", 22050, 1, "MP3", "MPEG_LAYER_III", "Tomorrow there will be rain in the north."),
    ("06-station.mp3", "en-us", 44100, 2, "MP3", "MPEG_LAYER_III", "The next train leaves from platform nine."),
    ("07-market.ogg", "en-gb", 48000, 1, "OGG", "VORBIS", "Apples, pears and plums are sold at the market."),
    ("08-evening.ogg", "en-us", 48000, 1, "OGG", "OPUS", "Nothing is lost, and the evening is calm."),
]


def speak(sentence: str, voice: str) -> tuple[np.ndarray, int]:
    """The sentence as float64 samples, and their rate in Hz."""
    command = ["espeak-ng", "-v", voice, "-s", "150", "--stdout", sentence]
    wav = subprocess.run(command, check=True, capture_output=True).stdout
    return soundfile.read(io.BytesIO(wav))


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["file,text"]
    for name, voice, rate, channels, kind, subtype, sentence in CLIPS:
        samples, spoken_rate = speak(sentence, voice)
        samples = soxr.resample(samples, spoken_rate, rate)
        if channels == 2:
            # A little to the left, so that the channels differ.
            samples = np.stack([samples, 0.7 * samples], axis=1)
        soundfile.write(folder / name, samples, rate, format=kind, subtype=subtype)
        lines.append(f'{name},"{sentence}"')
    (folder / "transcripts.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
