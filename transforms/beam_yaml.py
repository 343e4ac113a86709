"""`ExtractLogMel` for Beam YAML, whose elements are rows: deploy/beam_yaml_provider.yaml names it."""

from __future__ import annotations

from typing import Any

import apache_beam as beam

from melbeam.transforms.beam import FEATURES, REJECTS, ExtractLogMel


class ExtractLogMelRows(beam.PTransform):
    """Rows of one field, `record`, to rows of `record` under the outputs "features" and "rejects".

    Args and errors are those of `LogMelDoFn`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._extract = ExtractLogMel(**options)

    def expand(self, pcoll: beam.PCollection) -> dict[str, beam.PCollection]:
        """Unpacks, extracts and packs."""
        records = pcoll | "Records" >> beam.Map(lambda row: row.record).with_output_types(bytes)
        extracted = records | self._extract
        return {
            name: extracted[name] | f"Rows of {name}" >> beam.Map(lambda record: beam.Row(record=bytes(record)))
            for name in (FEATURES, REJECTS)
        }
