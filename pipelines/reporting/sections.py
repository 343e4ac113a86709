"""The sections of a report's page; each takes the splits that are shown, and gives HTML or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from melbeam.pipelines import words
from melbeam.pipelines.reporting.parts import Part
from melbeam.pipelines.reporting.pictures import inline_svg
from melbeam.pipelines.reporting.remarks import Remark, by_count, remarks_on, remarks_on_all
from melbeam.pipelines.split.job_file import short_hash
from melbeam.transforms import plots
from melbeam.transforms.distributions import QUANTITIES, Distribution
from melbeam.transforms.markup import Html, element, listed, of_command, of_data, of_id, with_code
from melbeam.transforms.records.conversion import CHANGES
from melbeam.transforms.records.levels import FLOOR_DBFS
from melbeam.transforms.records.rejects import REASONS

_DECIMALS = {
    "seconds": 2,
    "rms_dbfs": 1,
    "peak_dbfs": 1,
    "num_audio_tokens": 0,
    "characters_per_second": 1,
    "spread": 2,
}
_UNITS = {"seconds": " s", "rms_dbfs": " dBFS", "peak_dbfs": " dBFS"}


def section(key: str, title: str, *children: Any, lead: Any = None) -> Html:
    """A section with its heading, and a line beneath that."""
    heading = element("h2", title, id=f"{key}-title")
    return element(
        "section",
        heading,
        element("p", lead, class_="lead") if lead else None,
        children,
        id=key,
        aria_labelledby=f"{key}-title",
    )


def heading_of(part: Part, parts: Sequence[Part]) -> Html | None:
    """The part's name in its colour, where there are several."""
    return element("h3", _swatch(parts.index(part) + 1), _name_of(part)) if len(parts) > 1 else None


def quantity(name: str, value: float) -> str:
    """A value of a quantity as a person reads it, with its unit."""
    if QUANTITIES[name].unit == "share":
        percent = 100 * value
        return (
            f"{percent:.0f} %"
            if percent in (0, 100)
            else f"{percent:.1f} %"
            if percent >= 1
            else f"{percent:.2g} %"
        )
    if name.endswith("_dbfs") and value <= FLOOR_DBFS:
        return "digital silence"
    decimals = _DECIMALS[name]
    rounded = round(value, decimals) + 0.0  # which takes the sign from a zero
    return f"{rounded:,.{decimals}f}{_UNITS.get(name, '')}".replace("-", "−")


def first_look(parts: Sequence[Part]) -> Html:
    """The warnings, in words."""
    groups: list[Any] = []
    if len(parts) > 1 and (on_all := remarks_on_all(parts)):
        groups.append(_remarks(on_all))
    for part in parts:
        groups.append([heading_of(part, parts), _remarks(remarks_on(part))])
    return section("first", "Look at this first", groups)


def _remarks(remarks: Sequence[Remark]) -> Html:
    if not remarks:
        return element("p", "Nothing stands out.", class_="quiet")
    return element("ul", map(_remark, remarks), class_="remarks")


def _remark(remark: Remark) -> Html:
    return element(
        "li",
        element("p", remark.subject, class_="item"),
        element(
            "div",
            element("p", with_code(remark.text)),
            element("p", "Above all " if remark.has_more else None, _ids(remark.ids), class_="quiet")
            if remark.ids
            else None,
        ),
        class_="warning" if remark.is_warning else "note",
    )


def at_a_glance(parts: Sequence[Part]) -> Html:
    """The figures."""
    rows = [(title, [figure(part) for part in parts], hint) for title, figure, hint in _FIGURES]
    rows = [(title, values, hint) for title, values, hint in rows if any(value is not None for value in values)]
    if len(parts) == 1:
        tiles = [
            element(
                "div", element("dt", title), element("dd", values[0], element("small", hint) if hint else None)
            )
            for title, values, hint in rows
        ]
        return section("glance", "At a glance", element("dl", tiles, class_="tiles"))
    head = element("tr", element("td"), [element("th", _name_of(part), scope="col") for part in parts])
    body = [
        element("tr", element("th", title, scope="row"), [element("td", "–" if v is None else v) for v in values])
        for title, values, _ in rows
    ]
    table = element("table", element("thead", head), element("tbody", body), class_="figures")
    return section("glance", "At a glance", _scrolled(table, "Figures of each split"))


_FIGURES: tuple[tuple[str, Callable[[Part], str | None], str], ...] = (
    ("Clips", lambda part: f"{part.summary.num_features:,}", ""),
    ("Audio", lambda part: _hours(part.seconds), ""),
    ("Audio tokens", lambda part: None if part.num_tokens is None else f"{part.num_tokens:,}", ""),
    ("Frames", lambda part: f"{part.summary.statistics.num_frames:,}", ""),
    ("Shards", lambda part: f"{len(part.summary.shard_features):,}", ""),
    ("Size", lambda part: words.size(part.summary.num_bytes), ""),
    ("Records read", lambda part: f"{part.summary.records_read:,}", ""),
    ("Rejected", lambda part: f"{part.summary.num_rejects:,}", ""),
)


def rejects(parts: Sequence[Part]) -> Html:
    """What was turned away, by reason, with what to do about it."""

    def of(part: Part) -> Any:
        if not part.summary.num_rejects:
            return element("p", "No record was turned away.", class_="quiet")
        rows = [
            _counted_row(
                count,
                part.summary.records_read,
                reason,
                [
                    with_code(f"{_capital(REASONS[reason].meaning)}. "),
                    element("b", "What to do: "),
                    with_code(REASONS[reason].advice),
                    ".",
                ]
                if reason in REASONS
                else None,
                part.summary.named_ids.get(reason, []),
            )
            for reason, count in by_count(part.summary.rejects)
        ]
        command = of_command("melbeam", "rejects", part.folder.output, f"--split={part.folder.split}")
        return [
            element("div", rows, class_="rows"),
            element("p", "Each one with its detail: ", command, class_="quiet"),
        ]

    return section("rejects", "Turned away", _of_each(parts, of))


def changes(parts: Sequence[Part]) -> Html:
    """What was done to clips beyond computing features."""

    def of(part: Part) -> Any:
        if not part.summary.changes:
            return element("p", "No clip was changed.", class_="quiet")
        rows = [
            _counted_row(
                count,
                part.summary.records_converted,
                change.replace("_", " "),
                f"{_capital(CHANGES[change])}." if change in CHANGES else None,
                part.summary.named_ids.get(change, []),
            )
            for change, count in by_count(part.summary.changes)
        ]
        return element("div", rows, class_="rows")

    return section("changes", "Changed on the way", _of_each(parts, of))


def _counted_row(count: int, total: int, name: str, meaning: Any, ids: Sequence[str]) -> Html:
    share = f"{100 * count / total:.3g} %" if total else ""
    return element(
        "div",
        element("div", element("span", f"{count:,}", class_="count"), element("small", share), class_="amount"),
        element(
            "div",
            element("p", of_data(name), class_="item"),
            element("p", meaning) if meaning else None,
            element("p", "For example " if len(ids) < count else None, _ids(ids), class_="quiet") if ids else None,
        ),
        class_="row",
    )


def distributions(parts: Sequence[Part]) -> Html | None:
    """How the quantities are distributed."""
    figures = [_distribution(name, parts) for name in QUANTITIES]
    figures = [figure for figure in figures if figure is not None]
    if not figures:
        return None
    legend = _legend(parts) if len(parts) > 1 else None
    return section("distributions", "How they are distributed", legend, element("div", figures, class_="plots"))


def _distribution(name: str, parts: Sequence[Part]) -> Html | None:
    known = {
        part.label: part.summary.distributions[name]
        for part in parts
        if name in part.summary.distributions and part.summary.distributions[name].count
    }
    if not known:
        return None
    drawn: Distribution | dict[str, Distribution] = (
        next(iter(known.values()))
        if len(parts) == 1
        else {part.label: known.get(part.label, Distribution()) for part in parts}
    )
    title = QUANTITIES[name].title
    figure = plots.histogram(drawn, name, title="", legend=False)  # the page says both
    svg = inline_svg(figure, f"Histogram: {title}", f"h-{name.replace('_', '-')}")
    notes = [
        element("p", _swatch(index) if len(parts) > 1 else None, _range_of(name, known[part.label]))
        for index, part in enumerate(parts, 1)
        if part.label in known
    ]
    return element("figure", element("figcaption", title), svg, element("div", notes, class_="quiet range"))


def _range_of(name: str, of: Distribution) -> list[Any]:
    mean = ["mean ", element("b", quantity(name, of.mean()))]
    if not of.least or not of.largest:
        return mean
    least, largest = of.least[0], of.largest[0]
    if least.value == largest.value:
        return [*mean, ", all alike"]
    return [
        *mean,
        ", from ", element("b", quantity(name, least.value)), " (", of_id(least.id), ")",
        " to ", element("b", quantity(name, largest.value)), " (", of_id(largest.id), ")",
    ]  # fmt: skip


def bins(parts: Sequence[Part]) -> Html | None:
    """Mean and spread of each mel bin."""
    by_front_end: dict[str, list[Part]] = {}
    for part in parts:
        if part.summary.statistics.num_frames:
            by_front_end.setdefault(part.front_end.fingerprint, []).append(part)
    pictures = []
    for number, alike in enumerate(by_front_end.values()):
        # A split keeps its colour, whichever it is drawn with.
        drawn = {
            part.label: part.summary.statistics if part in alike else type(part.summary.statistics)()
            for part in parts
        }
        label = f"Mean and standard deviation of each mel bin: {', '.join(part.label for part in alike)}"
        front_end = alike[0].front_end
        # Once for a screen's width and once for a phone's: the page shows one of them.
        svg = [
            element(
                "div",
                inline_svg(plots.bins(drawn, front_end, legend=False, size=size), label, f"{kind}-{number}"),
                class_=kind,
            )
            for kind, size in (("wide", (11.4, 2.8)), ("narrow", (3.5, 2.1)))
        ]
        caption = element("figcaption", listed(map(_name_of, alike)))
        pictures.append(element("figure", caption if len(by_front_end) > 1 else None, svg))
    if not pictures:
        return None
    return section(
        "bins",
        "The features, bin by bin",
        _legend(parts) if len(parts) > 1 else None,
        pictures,
        lead="The line is each mel bin's mean over all frames, the band one standard deviation to either side.",
    )


def made_of(parts: Sequence[Part]) -> Html:
    """What each split was made of, so that it can be made again."""

    def of(part: Part) -> Any:
        inputs = part.inputs
        more = inputs.num_files - len(inputs.first)
        facts: dict[str, Any] = {
            "Folder": element("code", of_data(part.folder.output)),
            "Front end": [of_data(part.front_end.name), " ", element("code", part.front_end.short_fingerprint)],
            "Sources": [
                f"{inputs.num_files:,} {'file' if inputs.num_files == 1 else 'files'}, "
                + words.size(inputs.num_bytes)
                + (f" ({', '.join(inputs.kinds)})" if inputs.kinds else ""),
                element(
                    "ul",
                    [element("li", element("code", of_data(path))) for path in inputs.first],
                    element("li", f"and {more:,} more") if more > 0 else None,
                    class_="paths",
                ),
            ],
            "Software": "; ".join(f"{name} {' and '.join(found)}" for name, found in part.summary.versions.items())
            or "not recorded, before record version 2",
            "Record version": part.summary.record_version,
            "Job": element("code", of_data(short_hash(part.job_hash))),
        }
        return [
            _facts(facts),
            _more("Options", part.options),
            _more("The front end's numbers", part.front_end.to_dict()),
        ]

    return section("made-of", "Made of", _of_each(parts, of))


def _more(title: str, values: Mapping[str, Any]) -> Html:
    return element(
        "details",
        element("summary", title),
        _facts({name: element("code", of_data(_plain(value))) for name, value in values.items()}, of_names=True),
    )


def _facts(facts: Mapping[str, Any], *, of_names: bool = False) -> Html:
    rows = [
        element("div", element("dt", element("code", of_data(name)) if of_names else name), element("dd", value))
        for name, value in facts.items()
    ]
    return element("dl", rows, class_="facts")


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _of_each(parts: Sequence[Part], of: Callable[[Part], Any]) -> Any:
    if len(parts) == 1:
        return of(parts[0])
    columns = [element("div", heading_of(part, parts), of(part), class_="part") for part in parts]
    return element("div", columns, class_="parts")


def _name_of(part: Part) -> Html:
    return of_data(part.label, kind="data part-name")


def _legend(parts: Sequence[Part]) -> Html:
    items = [element("li", _swatch(index), _name_of(part)) for index, part in enumerate(parts, 1)]
    return element("ul", items, class_="legend")


def _swatch(index: int) -> Html:
    return element("span", class_=f"swatch series-{index}", aria_hidden="true")


def _ids(ids: Sequence[str]) -> Html:
    return listed(map(of_id, ids))


def _scrolled(table: Html, label: str) -> Html:
    """A table that may be wider than a phone, by itself."""
    return element("div", table, class_="scrolled", role="region", tabindex="0", aria_label=label)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h" if seconds >= 10 * 3600 else words.duration(seconds)
