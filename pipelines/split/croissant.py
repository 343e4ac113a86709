"""croissant.json: the data set in MLCommons' Croissant, the JSON-LD that catalogues and loaders read.

The format is that of http://mlcommons.org/croissant/1.0. Its loaders read no TFRecords, so its record set is made
of the tables beside the features; the TFRecords are described as files. There is no licence, creator, address or
date in it, which nobody but the owner of the data knows: what is added under other names than ours stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms.folder_layout import TFDS_VERSION, shards_of, tables_of
from melbeam.transforms.records.table import COLUMNS, INTEGER, NUMBER, STRING

_TYPES = {STRING: "sc:Text", INTEGER: "sc:Integer", NUMBER: "sc:Float"}
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def tabled_splits(summaries: Mapping[str, SplitSummary]) -> list[str]:
    """The splits that have tables; those that were made before there were any have none."""
    return sorted(name for name, summary in summaries.items() if summary.has_tables)


def croissant(summaries: Mapping[str, SplitSummary], name: str, description: str) -> dict[str, Any]:
    """What croissant.json says of a folder.

    Args:
        summaries: of its finished splits, at least one of which has tables.
        name: of the data set.
        description: of it.
    """
    splits = tabled_splits(summaries)
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": description,
        "version": TFDS_VERSION,
        "distribution": [
            _file_set("tables", "application/x-parquet", [tables_of(split) for split in splits]),
            _file_set("features", "application/octet-stream", [shards_of(split) for split in sorted(summaries)]),
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "records",
                "name": "records",
                "description": "The records of the features, in the order of their files.",
                "field": [
                    {
                        "@type": "cr:Field",
                        "@id": f"records/{column.name}",
                        "name": column.name,
                        "description": column.meaning,
                        "dataType": _TYPES[column.type],
                        "source": {"fileSet": {"@id": "tables"}, "extract": {"column": column.name}},
                    }
                    for column in COLUMNS
                ],
            }
        ],
    }


def _file_set(name: str, media_type: str, globs: list[str]) -> dict[str, Any]:
    described = {"@type": "cr:FileSet", "@id": name, "name": name, "encodingFormat": media_type}
    return {**described, "includes": globs if len(globs) > 1 else globs[0]}
