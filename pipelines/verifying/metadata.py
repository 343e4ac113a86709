"""What a folder and its splits say in sum: summaries, schemas and the files at the top, against the reports."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec

from melbeam.pipelines import files
from melbeam.pipelines.split.card import card, is_edited
from melbeam.pipelines.split.metadata import dataset_name, description, metadata
from melbeam.pipelines.split.mixed_fields import mixed_field_lines
from melbeam.pipelines.split.reports import SplitSummary, UnusableSummary
from melbeam.pipelines.verifying.differences import differences
from melbeam.pipelines.verifying.findings import Findings
from melbeam.pipelines.verifying.splits import UNREADABLE, Split
from melbeam.transforms.folder_layout import CARD, CROISSANT, DATASET_INFO, FEATURES, FRONT_END
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.reading.arrays import LACKS_TAIL
from melbeam.transforms.reading.folder import LACKS_OF_VERSION_1
from melbeam.transforms.records.split_schema import SplitSchema

# When TFDS converts a folder, it writes shards in another format, and adds these to dataset_info.json.
_ADDED_BY_TFDS = "alternativeFileFormats"


def check_metadata(output: str, splits: list[Split], findings: Findings) -> None:
    """Checks all files that were made of the splits' reports; a split that lacks a report is told of elsewhere."""
    summaries = {split.folder.split: split.summary for split in splits if _check_summary(split, findings)}
    _tell_what_is_lacking(output, splits, findings)
    if not _share_a_folder(splits, findings):
        return  # there is nothing that the metadata could say of them all
    finished = [split for split in splits if split.folder.split in summaries]
    if finished and all(split.has_all_reports for split in finished):
        for line in mixed_field_lines(summaries, splits[0].front_end).values():
            findings.warn(output, line)
        _check_folder(output, finished, summaries, findings)


def _check_summary(split: Split, findings: Findings) -> bool:
    """Holds a split's summary and schema against the sum of its reports; False where it is not finished."""
    folder = split.folder
    try:
        kept = SplitSummary.read(folder.summary)
    except UnusableSummary as error:
        findings.fault(folder.summary, str(error).removeprefix(f"{folder.summary}: "))
        return False
    except UNREADABLE as error:
        findings.fault(folder.summary, f"it cannot be read ({error}): the split is not finished")
        return False
    if not split.has_all_reports:
        return True
    said, summed = kept.to_dict(), split.summary.to_dict()
    if split.record_version < 2:  # whose counts of audio records do not add up to counts of feature records
        for fields, summary in ((said, kept), (summed, split.summary)):
            fields["fields"] = msgspec.to_builtins(summary.schema(split.front_end).fields)
    for difference in differences(said, summed):
        findings.fault(folder.summary, f"it is not the sum of the reports: {difference}; extract again")
    if split.record_version >= 2 or files.exists(folder.schema):
        _check_schema(split, findings)
    return True


def _check_schema(split: Split, findings: Findings) -> None:
    path = split.folder.schema
    try:
        found = files.read_json(path)
    except (OSError, ValueError) as error:
        findings.fault(path, f"it cannot be read ({error}): extract again, which writes it anew")
        return
    for difference in differences(found, msgspec.to_builtins(split.summary.schema(split.front_end))):
        findings.fault(path, f"{difference}: extract again, which writes it anew")


def _tell_what_is_lacking(output: str, splits: list[Split], findings: Findings) -> None:
    old = [split for split in splits if split.record_version < 2]
    if old:
        names = ", ".join(split.folder.split for split in old)
        findings.warn(f"{output}, {'split' if len(old) == 1 else 'splits'} {names}", LACKS_OF_VERSION_1)
    for split in old:
        if split.front_end.takes_full_length and not split.options.pads(split.front_end):
            findings.warn(f"{output}, split {split.folder.split}", f"it {LACKS_TAIL}")


def _share_a_folder(splits: list[Split], findings: Findings) -> bool:
    """Whether all splits have one front end and are stored alike, as the files at the top say of them all."""
    first, all_alike = splits[0], True
    for split in splits[1:]:
        for what, found, said in (
            ("fingerprint", split.front_end.fingerprint, first.front_end.fingerprint),
            ("dtype", split.options.dtype, first.options.dtype),
            ("encoding", split.options.encoding, first.options.encoding),
            ("model's length", _taken(split.front_end), _taken(first.front_end)),
        ):
            if found != said:
                what = f"{what} {found} is not that of split {first.folder.split!r}, {said}, and a folder has one"
                findings.fault(split.folder.job, f"{what}: extract the split into a folder of its own")
                all_alike = False
    return all_alike


def _taken(front_end: FrontEnd) -> str:
    """The frames at which the model hears every clip, in words."""
    return f"{front_end.padded_frames} frames" if front_end.takes_full_length else "each clip's own"


def _check_folder(
    output: str, splits: list[Split], summaries: dict[str, SplitSummary], findings: Findings
) -> None:
    """Holds the files at the top against what the splits' summaries come to."""
    found: dict[str, Any] = {}
    # Splits of one front end may give it different names and lengths, and be stored padded or not: the files say
    # what the last one to end wrote.
    name_of_all = dataset_name(output)
    candidates = [metadata(summaries, split.front_end, split.options, name_of_all) for split in splits]
    if all(split.record_version < 2 for split in splits):
        candidates += [_as_version_1_wrote(split, candidates[i]) for i, split in enumerate(splits)]
    for name in candidates[0]:
        path = f"{output}/{name}"
        try:
            found[name] = _as_now_written(name, files.read_json(path), path, findings)
            if name == CROISSANT and isinstance(found[name], dict):  # the rest is its owner's
                found[name] = {key: value for key, value in found[name].items() if key in candidates[0][name]}
        except (OSError, ValueError) as error:
            findings.fault(path, f"it cannot be read ({error}): extract again")
    differing = [{name: differences(found[name], candidate[name]) for name in found} for candidate in candidates]
    for name, lines in min(differing, key=lambda of_files: sum(map(len, of_files.values()))).items():
        for line in lines:
            findings.fault(f"{output}/{name}", f"{line}: extract again, which writes it anew")
    path, cards = f"{output}/{CARD}", [card(summaries, s.front_end, s.options, name_of_all) for s in splits]
    if files.exists(path) and not is_edited(written := files.read_bytes(path)) and written not in cards:
        findings.fault(path, "its figures are not those of the splits: extract again, which writes it anew")


def _as_now_written(name: str, found: Any, path: str, findings: Findings) -> Any:
    """A file's content with what is written since, and without what TFDS has added to it."""
    if name == FRONT_END:
        with suppress(*UNREADABLE):  # else it is no front end, which the differences tell
            return {**found, "front_end": FrontEnd.from_dict(found["front_end"]).to_dict()}
    if name == DATASET_INFO and isinstance(found, dict) and _ADDED_BY_TFDS in found:
        formats = ", ".join(map(str, found[_ADDED_BY_TFDS]))
        findings.warn(path, f"TFDS has converted the folder to {formats} too: those copies are not checked")
        return {key: value for key, value in found.items() if key != _ADDED_BY_TFDS}
    return found


def _as_version_1_wrote(split: Split, content: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What record version 1 wrote of the same splits: lists of what some record lacks, and no word of padding."""
    schema = SplitSchema.from_tfds(content[FEATURES])
    listed = {name: replace(f, is_list=f.is_list or f.optional) for name, f in schema.fields.items()}
    if split.front_end.frames_per_token is None:
        listed.pop("num_audio_tokens", None)
    info = content[DATASET_INFO]
    return {
        **content,
        FEATURES: SplitSchema(listed).to_tfds(split.front_end, split.options),
        DATASET_INFO: {**info, "description": description(split.front_end)},
    }
