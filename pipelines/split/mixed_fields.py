"""Fields that are not of one type in all records of a split, or in all splits of a folder, told to a person."""

from __future__ import annotations

from collections.abc import Mapping

from melbeam.pipelines import words
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.split_schema import FieldCounts, SplitSchema

_OF_ONE_TYPE = "no reader gets it until all records hold one type: mend the audio records and extract again"


def mixed_field_lines(summaries: Mapping[str, SplitSummary], front_end: FrontEnd) -> dict[str, str]:
    """A sentence for each field of mixed type, by the field's name, with the number and some ids of each type.

    Args:
        summaries: of the finished splits of a folder, by the split's name.
        front_end: of their features.
    """
    schemas = {split: summary.schema(front_end) for split, summary in summaries.items()}
    lines = {}
    for name in sorted(SplitSchema.union(schemas.values()).mixed):
        of_splits = [
            f"split {split} has {_in_words(counts)}"
            for split in sorted(schemas)
            if (counts := _counts(name, schemas[split], summaries[split])) is not None
        ]
        lines[name] = f"field {name!r} is not of one type: {'; '.join(of_splits)}; {_OF_ONE_TYPE}"
    return lines


def _counts(name: str, schema: SplitSchema, summary: SplitSummary) -> FieldCounts | None:
    """How a split's records hold a field; None where none has it."""
    if name in summary.fields:
        return summary.fields[name]
    if name in schema.fields:  # every record has it, as every split of this record version
        return FieldCounts(kinds={schema.fields[name].kind: summary.num_features})
    return None


def _in_words(counts: FieldCounts) -> str:
    """The records of each type; what was written with record version 1 knows the types alone."""
    of_types = []
    for kind, number in sorted(counts.kinds.items()):
        in_records = words.count(number, "record") if number else "some records"
        ids = counts.ids.get(kind, [])
        of_types.append(
            f"{kind.removesuffix('_list')} in {in_records}" + (f" (id {words.named(ids, number)})" if ids else "")
        )
    return " and ".join(of_types)
