"""The page itself: one file, with no script, that loads nothing from a network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from melbeam.pipelines.reporting import cards, sections
from melbeam.pipelines.reporting.parts import Part
from melbeam.transforms.markup import Html, element, joined, listed, of_data
from melbeam.transforms.versions import melbeam_version

# A browser runs no script and fetches nothing, whatever the page holds.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; base-uri 'none'; "
    "form-action 'none'"
)


def make_page(parts: Sequence[Part], *, with_audio: bool) -> str:
    """The page of some splits, as HTML.

    Args:
        parts: what is shown.
        with_audio: whether the pictured clips can be heard, where their source is at hand.
    """
    shown = [
        sections.first_look(parts),
        sections.at_a_glance(parts),
        sections.rejects(parts),
        sections.changes(parts),
        sections.distributions(parts),
        sections.bins(parts),
        cards.clips(parts, with_audio=with_audio),
        sections.made_of(parts),
    ]
    style = (resources.files("melbeam.pipelines.reporting") / "page.css").read_text(encoding="utf-8")
    title = " and ".join(dict.fromkeys(part.folder.output for part in parts))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title}: melbeam report"),
        element("style", Html(style)),
    )
    body = element(
        "body",
        element("header", _title(parts)),
        element("main", shown),
        element("footer", element("p", f"melbeam {melbeam_version()}, melbeam report.")),
    )
    return joined([Html("<!doctype html>\n"), element("html", head, body, lang="en"), "\n"])


def _title(parts: Sequence[Part]) -> Sequence[Html]:
    outputs = list(dict.fromkeys(part.folder.output for part in parts))
    splits = list(dict.fromkeys(part.folder.split for part in parts))
    front_ends = ", ".join(dict.fromkeys(part.front_end.name for part in parts))
    return [
        element("p", "melbeam report", class_="eyebrow"),
        element("h1", listed(map(of_data, outputs), element("span", " and ", class_="and"))),
        element(
            "p",
            "split " if len(splits) == 1 else "splits ",
            listed(map(of_data, splits)),
            ", front end ",
            of_data(front_ends),
            class_="lead",
        ),
    ]
