"""The element-wise form for somebody's own Beam pipeline: serialized audio Examples in, feature Examples out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam

from melbeam.transforms.beam_worker import RecordMetrics, SharedRecordConverter
from melbeam.transforms.front_end import DEFAULT_FRONT_END, FrontEnd
from melbeam.transforms.presets import find_front_end
from melbeam.transforms.records.conversion import convert
from melbeam.transforms.records.examples import to_reject
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.rejects import Reject

FEATURES, REJECTS = "features", "rejects"


class LogMelDoFn(beam.DoFn):
    """Serialized audio Examples to serialized feature Examples; rejects go to the output "rejects".

    Args:
        front_end: a `FrontEnd`, the name of a shipped one, a path of a YAML file, or a preset's handle.
        **options: fields of `RecordOptions`.

    Raises:
        ValueError: no such front end, or an option is out of its bounds; at construction, not on the workers.
        TypeError: an unknown option.
    """

    def __init__(self, front_end: FrontEnd | str | Path = DEFAULT_FRONT_END, **options: Any) -> None:
        super().__init__()
        loaded, record_options = find_front_end(front_end), RecordOptions(**options)
        record_options.pads(loaded)  # what cannot be padded is refused here, not on the workers
        self._front_end = loaded
        self._shared = SharedRecordConverter(loaded, record_options)
        self._metrics = RecordMetrics()

    def setup(self) -> None:
        """Loads TensorFlow and traces nothing yet."""
        self._converter = self._shared.acquire()

    def process(self, element: bytes) -> Iterator[Any]:
        """Yields the record's feature Examples, or its reject."""
        start = time.perf_counter()
        try:
            conversion = convert(self._converter, element, source="")
        except Reject as reject:
            self._metrics.rejected(reject.reason)
            yield beam.pvalue.TaggedOutput(REJECTS, to_reject(element, reject, source=""))
            return
        seconds = conversion.num_samples / self._front_end.sampling_rate
        self._metrics.converted(len(conversion.features), seconds, time.perf_counter() - start)
        for record in conversion.features:
            yield record.example


class ExtractLogMel(beam.PTransform):
    """`records | ExtractLogMel(front_end="gemma4")`: bytes in; `.features` and `.rejects`, bytes, out.

    Args and errors are those of `LogMelDoFn`.
    """

    def __init__(self, front_end: FrontEnd | str | Path = DEFAULT_FRONT_END, **options: Any) -> None:
        super().__init__()
        self._fn = LogMelDoFn(front_end, **options)

    def expand(self, pcoll: beam.PCollection) -> Any:
        """Applies the DoFn."""
        return pcoll | beam.ParDo(self._fn).with_outputs(REJECTS, main=FEATURES)
