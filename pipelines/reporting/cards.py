"""The pictured clips of a report's page: each its spectrogram, its text and its numbers."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from melbeam.pipelines.reporting.clips import Clip, Pictured, limits_of, read_clips
from melbeam.pipelines.reporting.markup import Html, element, of_data, with_code
from melbeam.pipelines.reporting.parts import Part
from melbeam.pipelines.reporting.pictures import inline_svg
from melbeam.pipelines.reporting.sections import quantity, section
from melbeam.pipelines.reporting.sounds import NotAtHand, Sounds
from melbeam.transforms import plots
from melbeam.transforms.records.schema import TEXT

_SIZE = (4.6, 1.7)  # inches of a spectrogram
_MOST_COLUMNS = 900  # of pixels; frames beyond are averaged
_NUMBERS = (
    ("Level", "rms_dbfs"),
    ("Peak", "peak_dbfs"),
    ("At full scale", "full_scale_fraction"),
    ("Silence", "silent_fraction"),
    ("Tokens", "num_audio_tokens"),
)


def clips(parts: Sequence[Part], *, with_audio: bool) -> Html:
    """The section of all of them."""
    pictured = [read_clips(part) for part in parts]
    limits = {}
    for part in parts:
        alike = [
            clip
            for other, found in zip(parts, pictured, strict=True)
            if other.front_end.fingerprint == part.front_end.fingerprint
            for clip in found.clips
        ]
        if alike:
            limits[part.front_end.fingerprint] = limits_of(alike)
    groups = []
    for number, (part, found) in enumerate(zip(parts, pictured, strict=True)):
        heading = element("h3", of_data(part.label, kind="data part-name")) if len(parts) > 1 else None
        faults = [element("p", with_code("Not pictured: "), of_data(fault), class_="quiet") for fault in found.faults]
        sounds = Sounds(part) if with_audio else None
        scale = limits.get(part.front_end.fingerprint)
        cards = [
            _card(clip, part, scale, sounds, f"clip-{number}-{place}") for place, clip in enumerate(found.clips)
        ]
        groups.append([heading, faults, element("div", cards, class_="cards") if cards else None])
    return section("clips", "Clips", groups, lead=_lead(pictured))


def _lead(pictured: Sequence[Pictured]) -> str | None:
    if not any(found.clips for found in pictured):
        return None
    return (
        "Log-mel features: time to the right, low to high pitch upwards, all on one scale from dark to bright. "
        "The extremes of the corpus, and clips chosen at random."
    )


def _card(
    clip: Clip, part: Part, limits: tuple[float, float] | None, sounds: Sounds | None, key: str
) -> Html:
    figure = plots.spectrogram(
        _at_most(clip.features, _MOST_COLUMNS), part.front_end, limits=limits, colour_bar=False, size=_SIZE,
        seconds=clip_seconds(clip, part),
    )  # fmt: skip
    roles = [element("li", role) for role in clip.roles]
    text = clip.text
    return element(
        "article",
        element("ul", roles, class_="roles"),
        element("h4", of_data(clip.id)),
        inline_svg(figure, f"Log-mel features of {clip.id[:100]}", key),
        _player(clip, sounds) if sounds else None,
        element("p", of_data(text), class_="text") if text else element("p", "no text", class_="text quiet"),
        element("dl", _numbers(clip, text), class_="numbers"),
        _others(clip),
        class_="card",
    )


def clip_seconds(clip: Clip, part: Part) -> float:
    """The time that the clip's frames cover."""
    return len(clip.features) * part.front_end.hop_length / part.front_end.sampling_rate


def _numbers(clip: Clip, text: str | None) -> list[Html]:
    numbers = [("Length", quantity("seconds", clip.seconds))]
    numbers += [(title, quantity(name, float(clip.fields[name]))) for title, name in _NUMBERS if name in clip.fields]
    if text is not None and "text_is_of_whole_clip" not in clip.fields:
        pace = len(text.strip()) / clip.seconds
        numbers.append(("Pace", f"{quantity('characters_per_second', pace)} characters/s"))
    return [element("div", element("dt", title), element("dd", value)) for title, value in numbers]


def _others(clip: Clip) -> Html:
    shown: Mapping[str, Any] = {
        "source": clip.fields["source"],
        **{name: clip.fields[name] for name in ("chunk_index", "start_sample", "truncated") if name in clip.fields},
        **{name: value for name, value in clip.others.items() if name != TEXT},
    }
    rows = [
        element("div", element("dt", of_data(name)), element("dd", of_data(_plain(value))))
        for name, value in shown.items()
    ]
    return element("dl", rows, class_="others")


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, np.ndarray):
        return ", ".join(_plain(one) for one in value[:20]) + (", …" if len(value) > 20 else "")
    return f"{value:.6g}" if isinstance(value, (float, np.floating)) else str(value)


def _player(clip: Clip, sounds: Sounds) -> Html:
    try:
        sound = sounds.of(clip)
    except NotAtHand as error:
        return element("p", "No sound: ", of_data(str(error)), class_="quiet")
    data = base64.b64encode(sound).decode()
    return element("audio", controls=True, preload="none", src=f"data:audio/flac;base64,{data}")


def _at_most(features: np.ndarray, columns: int) -> np.ndarray:
    """The features, neighbouring frames averaged where there are more than can be seen."""
    if len(features) <= columns:
        return features
    edges = np.linspace(0, len(features), columns + 1).astype(int)[:-1]
    sums = np.add.reduceat(features, edges, axis=0)
    return sums / np.diff([*edges, len(features)])[:, None]
