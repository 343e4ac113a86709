"""What a person should look at first, in words: found in the sums of a split's reports; no record is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from melbeam.pipelines.defaults import MAX_REJECT_FRACTION
from melbeam.pipelines.reporting.parts import Part
from melbeam.pipelines.split.tally import EMPTY_TEXT
from melbeam.transforms.distributions import BIN_WIDTHS, Distribution, Extreme
from melbeam.transforms.reading.folder import LACKS_OF_VERSION_1
from melbeam.transforms.records.levels import SILENCE_DBFS
from melbeam.transforms.records.schema import TEXT

# Each bound lies between two bins of its quantity's histogram, so that what is beyond it can be counted.
_MOSTLY_SILENT = 0.9
_CLIPPED = 0.001  # of the samples at full scale: heard as a crackle
_SHORT_SECONDS = 0.5
_FASTEST_TEXT = 30.0  # characters a second: twice what people read aloud, in alphabets
_SLOWEST_TEXT = 2.0  # less than any language that is written in few characters
_CONSTANT = 0.1  # of a natural logarithm: white noise has 0.6, speech 2 to 3


@dataclass(frozen=True)
class Remark:
    """Something to look at.

    Attributes:
        subject: what of, in a word or two.
        text: one or two sentences; words in backticks are code.
        ids: of records that show it, those that show it most.
        has_more: whether there are others.
        is_warning: whether something may be wrong; else it is only good to know.
    """

    subject: str
    text: str
    ids: tuple[str, ...] = ()
    has_more: bool = False
    is_warning: bool = True


def remarks_on(part: Part) -> list[Remark]:
    """What there is to say of a split, the gravest first."""
    found = [*_on_completeness(part), *_on_rejects(part), *_on_levels(part), *_on_text(part), *_on_changes(part)]
    return sorted([*found, *_on_versions(part)], key=lambda remark: not remark.is_warning)


def remarks_on_all(parts: Sequence[Part]) -> list[Remark]:
    """What there is to say of several splits together."""
    if len({part.front_end.fingerprint for part in parts}) == 1:
        return []
    names = "; ".join(f"{part.label}: {part.front_end.name}" for part in parts)
    return [
        Remark(
            "Front ends",
            f"These are features of different front ends ({names}), and no model takes both. Their values and how "
            "much they change cannot be compared; levels, durations and texts can.",
        )
    ]


def by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Returns what was counted, each with its number, the largest number first."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _on_completeness(part: Part) -> Iterator[Remark]:
    summary = part.summary
    if not part.is_finished:
        done = len(summary.shard_features)
        yield Remark(
            "Unfinished",
            f"{done:,} of {part.num_shards:,} shards are done, and only these are counted here. The same "
            "command goes on where it stopped.",
        )
    if not summary.num_features:
        yield Remark("Empty", "There is no clip in it.")
    if summary.damaged_bytes:
        yield Remark(
            "Damage",
            f"{summary.damaged_bytes:,} bytes of the input belong to no record. Copy the files that the rejects "
            "`bad_framing` name again from their source.",
        )


def _on_rejects(part: Part) -> Iterator[Remark]:
    summary = part.summary
    if not summary.num_rejects:
        return
    reasons = ", ".join(f"{count:,} `{reason}`" for reason, count in by_count(summary.rejects))
    yield Remark(
        "Rejects",
        f"{summary.num_rejects:,} of {summary.records_read:,} records were turned away: {reasons}.",
        is_warning=summary.reject_fraction > MAX_REJECT_FRACTION,
    )


def _on_levels(part: Part) -> Iterator[Remark]:
    if not part.has_levels:
        yield Remark(
            "Levels", f"Of levels, silence and pace nothing is known: {LACKS_OF_VERSION_1}.", is_warning=False
        )
        return
    yield from _counted(
        "Near silence",
        _below(part, "rms_dbfs", SILENCE_DBFS),
        _least(part, "rms_dbfs"),
        "are near silence, below −60 dBFS",
        "is near silence, below −60 dBFS",
        "A muted channel, or a recording that failed?",
    )
    yield from _counted(
        "Mostly silent",
        _above(part, "silent_fraction", _MOSTLY_SILENT),
        _largest(part, "silent_fraction"),
        "are silent for nine tenths of their length, or more",
        "is silent for nine tenths of its length, or more",
        "Cut the silence away: the model pays for it in tokens.",
    )
    yield from _counted(
        "Clipping",
        _above(part, "full_scale_fraction", _CLIPPED),
        _largest(part, "full_scale_fraction"),
        "have a thousandth of their samples or more at full scale: they are clipped",
        "has a thousandth of its samples or more at full scale: it is clipped",
        "Record them at a lower gain, or leave them out.",
    )
    if _is_natural_logarithm(part):
        constant = _below(part, "spread", _CONSTANT)
        yield from _counted(
            "Constant sound",
            constant,
            _least(part, "spread"),
            "hardly change from beginning to end: silence, or one tone",
            "hardly changes from beginning to end: silence, or one tone",
            "Nothing is spoken there.",
        )
    yield from _counted(
        "Very short",
        _below(part, "seconds", _SHORT_SECONDS),
        _least(part, "seconds"),
        "are shorter than half a second",
        "is shorter than half a second",
        "`--min_seconds` turns such clips away.",
    )


def _on_text(part: Part) -> Iterator[Remark]:
    summary = part.summary
    with_text = _records_with(part, TEXT)
    if whole := summary.whole_texts:
        yield Remark(
            "Text of chunks",
            f"{whole:,} {'chunk carries' if whole == 1 else 'chunks carry'} the text of "
            f"{'its' if whole == 1 else 'their'} whole clip, since nothing says where it was to be cut. "
            "Don't train on them as they are.",
        )
    if summary.num_features and not with_text:
        yield Remark("No text", "No clip has a text.", is_warning=False)
    elif without := summary.num_features - with_text:
        yield Remark(
            "No text",
            f"{without:,} of {summary.num_features:,} clips {'has' if without == 1 else 'have'} no text. "
            "`--require=text` turns such clips away.",
        )
    if empty := summary.empty_texts:
        ids = tuple(summary.named_ids.get(EMPTY_TEXT, ()))
        yield Remark(
            "Empty text",
            f"{empty:,} {_clips(empty)} {'has' if empty == 1 else 'have'} a text that is empty. "
            "`--require=text` turns such clips away.",
            ids,
            len(ids) < empty,
        )
    yield from _counted(
        "Fast text",
        _above(part, "characters_per_second", _FASTEST_TEXT),
        _largest(part, "characters_per_second"),
        "have more than 30 characters of text a second, faster than anybody speaks",
        "has more than 30 characters of text a second, faster than anybody speaks",
        "Is it the text of another clip, or was the clip cut?",
    )
    yield from _counted(
        "Slow text",
        _below(part, "characters_per_second", _SLOWEST_TEXT),
        _least(part, "characters_per_second"),
        "have fewer than 2 characters of text a second",
        "has fewer than 2 characters of text a second",
        "Is the text whole?",
    )


def _on_changes(part: Part) -> Iterator[Remark]:
    summary = part.summary
    if cut := summary.changes.get("truncated"):
        yield Remark(
            "Cut",
            f"{cut:,} {_clips(cut)} longer than the model takes {_were(cut)} cut, and their text was not. "
            "`--on_long=chunk` keeps all of them.",
            tuple(summary.named_ids.get("truncated", ())),
        )
    if cut := summary.changes.get("cut_short"):
        yield Remark(
            "Cut",
            f"{cut:,} {_clips(cut)} ended before the file's header said, within the tolerance that was asked for.",
            tuple(summary.named_ids.get("cut_short", ())),
        )


def _on_versions(part: Part) -> Iterator[Remark]:
    mixed = {name: found for name, found in part.summary.versions.items() if len(found) > 1}
    if mixed:
        listed = "; ".join(f"{name} {' and '.join(found)}" for name, found in mixed.items())
        yield Remark(
            "Versions",
            f"Its shards were made with different software: {listed}. Values agree within 1e-6 at the default "
            "precision, bytes may not.",
            is_warning=False,
        )


def _counted(
    subject: str, count: int, extremes: Sequence[Extreme], many: str, one: str, advice: str
) -> Iterator[Remark]:
    if count:
        ids = tuple(extreme.id for extreme in extremes[:count])
        yield Remark(
            subject, f"{count:,} {_clips(count)} {one if count == 1 else many}. {advice}", ids, len(ids) < count
        )


def _clips(count: int) -> str:
    return "clip" if count == 1 else "clips"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _records_with(part: Part, name: str) -> int:
    counts = part.summary.fields.get(name)
    return min(counts.num_records, part.summary.num_features) if counts else 0


def _is_natural_logarithm(part: Part) -> bool:
    """Whether a spread of the features is one of natural logarithms, which the bound is of."""
    return part.front_end.compression.startswith("log_") and part.front_end.per_bin_stddev is None


def _distribution(part: Part, name: str) -> Distribution:
    return part.summary.distributions.get(name, Distribution())


def _below(part: Part, name: str, bound: float) -> int:
    return _distribution(part, name).count_below(bound, BIN_WIDTHS[name])


def _above(part: Part, name: str, bound: float) -> int:
    return _distribution(part, name).count - _below(part, name, bound)


def _least(part: Part, name: str) -> list[Extreme]:
    return _distribution(part, name).least


def _largest(part: Part, name: str) -> list[Extreme]:
    return _distribution(part, name).largest
