"""README.md of a folder of features: the card that hubs show, made of the splits' own figures.

Its form is that of Hugging Face's cards (https://huggingface.co/docs/hub/datasets-cards): YAML between two lines
of dashes, then Markdown. Its last line holds the hash of all that stands above, by which a card that somebody has
edited is known; such a one is never written over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from melbeam.pipelines import words
from melbeam.pipelines.split.croissant import tabled_splits
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms.folder_layout import CROISSANT, STATISTICS, TABLES, tables_of
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.options import RecordOptions

_SECONDS = "seconds"
# The hubs' words for the number of records, by their upper bounds.
_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**12, "1B<n<10B"),
)


def is_edited(card: bytes) -> bool:
    """Whether somebody has changed a card since it was written, or wrote it."""
    text, _, last = card.rstrip(b"\n").rpartition(b"\n")
    return last != _mark(text + b"\n")


def card(
    summaries: Mapping[str, SplitSummary], front_end: FrontEnd, options: RecordOptions, name: str | None
) -> bytes:
    """The card of a folder.

    Args:
        summaries: of its finished splits.
        front_end: of the features.
        options: how they are stored.
        name: that TFDS finds the folder by, where it has one.
    """
    lines = [*_front_matter(summaries, name), "", *_body(summaries, front_end, options, name), ""]
    text = "\n".join(lines).encode()
    return text + _mark(text) + b"\n"


def _mark(text: bytes) -> bytes:
    """The last line of a card with this text above it."""
    digest = hashlib.sha256(text).hexdigest()
    return f"<!-- melbeam writes this card anew with each split, until somebody edits it: {digest} -->".encode()


def _front_matter(summaries: Mapping[str, SplitSummary], name: str | None) -> list[str]:
    num_records = sum(summary.num_features for summary in summaries.values())
    size = next(word for bound, word in _SIZES if num_records < bound or bound == _SIZES[-1][0])
    lines = [
        "---",
        "# Fill in, which melbeam cannot know:",
        "# license: the licence of the recordings and texts, cc-by-4.0 for example",
        "# language: of the speech, [en] for example",
        f"pretty_name: {name or 'log-mel features'}",
        "tags: [audio, log-mel, melbeam]",
        f"size_categories: [{size}]",
    ]
    tabled = tabled_splits(summaries)
    if tabled:
        lines += ["configs:", "- config_name: records", "  data_files:"]
    for split in tabled:
        lines += [f"  - split: {split}", f"    path: {tables_of(split)}"]
    return [*lines, "---"]


def _body(
    summaries: Mapping[str, SplitSummary], front_end: FrontEnd, options: RecordOptions, name: str | None
) -> list[str]:
    takes = "the full length" if front_end.takes_full_length else "a mask"
    model = words.harmless(front_end.name).replace("`", "'")
    lines = [
        f"# {name or 'Log-mel features'}",
        "",
        f"Log-mel features of speech, as the models of front end `{model}` take them, made by melbeam.",
        "",
        "**To be filled in:** whose recordings these are, how they were made, their licence and their language. "
        "melbeam does not know them; hubs read `license` and `language` from the lines at the top. Once you have "
        "edited this card, melbeam never writes over it.",
        "",
        "| split | records | audio | shortest, mean, longest | read | rejected | shards | size |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(split, summary, front_end) for split, summary in sorted(summaries.items())),
        "",
        "| features | |",
        "|---|---|",
        f"| shape of a record | `[frames, {front_end.num_mels}]`, {options.dtype} |",
        f"| frames | every {front_end.hop_length} samples at {front_end.sampling_rate} Hz |",
        f"| fingerprint of the front end | `{front_end.fingerprint}` |",
        f"| the model takes | {takes} |",
        *(f"| {library} | {', '.join(versions)} |" for library, versions in sorted(_versions(summaries).items())),
        "",
    ]
    for title, counts in (
        ("Rejected", _sums(summary.rejects for summary in summaries.values())),
        ("Changed", _sums(summary.changes for summary in summaries.values())),
    ):
        if counts:
            lines += [f"{title}: " + ", ".join(f"{count} `{what}`" for what, count in counts.items()) + ".", ""]
    return lines + _how_to_read(summaries, name)


def _row(split: str, summary: SplitSummary, front_end: FrontEnd) -> str:
    lengths = summary.distributions.get(_SECONDS)
    shown = ""
    if lengths is not None and lengths.count:
        seconds = lengths.least[0].value, lengths.mean(), lengths.largest[0].value
        shown = ", ".join(words.duration(value) for value in seconds)
    cells = (
        split,
        str(summary.num_features),
        words.duration(summary.num_samples / front_end.sampling_rate),
        shown,
        str(summary.records_read),
        str(summary.num_rejects),
        str(len(summary.shard_features)),
        words.size(summary.num_bytes),
    )
    return f"| {' | '.join(cells)} |"


def _how_to_read(summaries: Mapping[str, SplitSummary], name: str | None) -> list[str]:
    split = "train" if "train" in summaries else min(summaries, default="train")
    lines = [
        "```python",
        "from melbeam.transforms import FeatureSource, read_features",
        "",
        f'dataset = read_features("FOLDER", "{split}", batch_size=8)  # tf.data',
        f'source = FeatureSource("FOLDER", "{split}")  # NumPy, PyTorch',
    ]
    if name is None:
        lines += ["", "import tensorflow_datasets as tfds", 'builder = tfds.builder_from_directory("FOLDER")']
    else:
        lines += ["", "import tensorflow_datasets as tfds"]
        lines += [f'dataset = tfds.load("{name}", data_dir="FOLDER/../..", split="{split}")']
    lines += ["```", ""]
    if tabled_splits(summaries):
        lines += [
            f"`{CROISSANT}` describes the folder to catalogues; `{TABLES}/` has a table of the records, with ids, "
            f"texts, lengths and sources; `{STATISTICS}` the statistics of each mel bin.",
            "",
        ]
    return lines


def _sums(all_counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in all_counts:
        for what, count in counts.items():
            total[what] = total.get(what, 0) + count
    return dict(sorted(total.items()))


def _versions(summaries: Mapping[str, SplitSummary]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for summary in summaries.values():
        for library, versions in summary.versions.items():
            found.setdefault(library, set()).update(versions)
    return {library: sorted(versions) for library, versions in found.items()}
