"""The pictured clips of a report's page: each its spectrogram, its text and its numbers."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from melbeam.pipelines.reporting.clips import Clip, Pictured, limits_of, read_clips
from melbeam.pipelines.reporting.parts import Part
from melbeam.pipelines.reporting.pictures import inline_svg
from melbeam.pipelines.reporting.sections import heading_of, quantity, section
from melbeam.pipelines.reporting.sounds import NotAtHand, Sounds
from melbeam.transforms import plots
from melbeam.transforms.markup import Html, element, of_data, with_code
from melbeam.transforms.records.schema import TEXT

_SIZE = (3.5, 1.55)  # inches of a spectrogram
_MOST_COLUMNS = 900  # of pixels; frames beyond are averaged
_MAX_OF_ID, _MAX_OF_TEXT, _MAX_OF_OTHERS = 96, 240, 120  # characters
_LEVELS = (("Level", "rms_dbfs"), ("Peak", "peak_dbfs"), ("Silence", "silent_fraction"))


def clips(parts: Sequence[Part], *, with_audio: bool) -> Html:
    """The section of all of them."""
    pictured = [read_clips(part) for part in parts]
    alike: dict[str, list[Clip]] = {}
    for part, found in zip(parts, pictured, strict=True):
        alike.setdefault(part.front_end.fingerprint, []).extend(found.clips)
    limits = {fingerprint: limits_of(found) for fingerprint, found in alike.items() if found}
    groups = []
    for number, (part, found) in enumerate(zip(parts, pictured, strict=True)):
        heading = heading_of(part, parts)
        faults = [element("p", "Not pictured: ", with_code(fault), class_="quiet") for fault in found.faults]
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


def _card(clip: Clip, part: Part, limits: tuple[float, float] | None, sounds: Sounds | None, key: str) -> Html:
    figure = plots.spectrogram(
        _at_most(clip.features, _MOST_COLUMNS), part.front_end, limits=limits, colour_bar=False, size=_SIZE,
        seconds=_seconds_of_frames(clip, part),
    )  # fmt: skip
    roles = [element("li", role) for role in clip.roles]
    text = clip.text
    said = (text or "").strip()
    return element(
        "article",
        element("ul", roles, class_="roles"),
        element("p", of_data(clip.id, most=_MAX_OF_ID), class_="item"),
        inline_svg(figure, f"Log-mel features of {clip.id[:100]}", key),
        _player(clip, sounds) if sounds else None,
        element("p", of_data(text, most=_MAX_OF_TEXT), class_="text")
        if text and said
        else element("p", "no text" if text is None else "an empty text", class_="text quiet"),
        element("dl", _numbers(clip, said), class_="numbers"),
        _others(clip),
        class_="card",
    )


def _seconds_of_frames(clip: Clip, part: Part) -> float:
    """The time that the clip's frames cover."""
    return len(clip.features) * part.front_end.hop_length / part.front_end.sampling_rate


def _numbers(clip: Clip, said: str) -> list[Html]:
    fields = clip.fields
    numbers = [("Length", quantity("seconds", clip.seconds))]
    if "num_audio_tokens" in fields:
        numbers.append(("Tokens", quantity("num_audio_tokens", float(fields["num_audio_tokens"]))))
    if said and "text_is_of_whole_clip" not in fields:
        pace = len(said) / clip.seconds
        numbers.append(("Pace", f"{quantity('characters_per_second', pace)} char/s"))
    numbers += [(title, quantity(name, float(fields[name]))) for title, name in _LEVELS if name in fields]
    if fields.get("full_scale_fraction"):
        numbers.append(("Full scale", quantity("full_scale_fraction", float(fields["full_scale_fraction"]))))
    return [element("div", element("dt", title), element("dd", value)) for title, value in numbers]


def _others(clip: Clip) -> Html:
    shown: Mapping[str, Any] = {
        "source": clip.fields["source"],
        **{
            name: clip.fields[name] for name in ("chunk_index", "start_sample", "truncated") if name in clip.fields
        },
        **{name: value for name, value in clip.others.items() if name != TEXT},
    }
    rows = [
        element("div", element("dt", of_data(name)), element("dd", of_data(_plain(value), most=_MAX_OF_OTHERS)))
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
