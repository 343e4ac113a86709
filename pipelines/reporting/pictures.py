"""Figures as SVG inside a page, in the page's own colours, so that they follow its light and dark looks."""

from __future__ import annotations

import io
import re

from matplotlib import rc_context
from matplotlib.figure import Figure

from melbeam.transforms.markup import Html, escaped
from melbeam.transforms.plots import GRID, INK, SERIES

# The page's names of the colours that figures are drawn in.
_COLOURS = {INK: "--ink", GRID: "--grid", **{colour: f"--series-{n}" for n, colour in enumerate(SERIES, 1)}}
_HEAD = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_OPENING = re.compile(r"<svg[^>]*?(?P<size> viewBox=\"[^\"]*\")[^>]*>", re.DOTALL)
_REFERENCE = re.compile(r"(?:url\(|href=\")#([^)\"]+)")
_ID = re.compile(r" id=\"([^\"]*)\"")


def inline_svg(figure: Figure, label: str, key: str) -> Html:
    """The figure as an SVG element.

    It has no reference to anything outside, and no id that another figure of the page has.

    Args:
        figure: as a function of `transforms.plots` draws it.
        label: what it shows, for who cannot see it.
        key: another one for each figure of a page; letters, digits and dashes.
    """
    file = io.StringIO()
    # Text stays text, in the page's font; the salt makes the same figure the same bytes.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": key, "svg.image_inline": True}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = _METADATA.sub("", _HEAD.sub("", file.getvalue()))
    svg = _OPENING.sub(
        lambda found: f'<svg{found["size"]} role="img" aria-label="{escaped(label)}">', svg, count=1
    )
    referred_to = set(_REFERENCE.findall(svg))
    svg = _ID.sub(lambda found: f' id="{key}-{found[1]}"' if found[1] in referred_to else "", svg)
    svg = _REFERENCE.sub(lambda found: found[0].replace("#", f"#{key}-"), svg)
    for colour, name in _COLOURS.items():
        svg = svg.replace(colour, f"var({name})")
    return Html(svg)
