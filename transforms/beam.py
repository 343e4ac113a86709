"""The element-wise form for somebody's own Beam pipeline: serialized audio Examples in, feature Examples out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.utils.shared import Shared

from melbeam.transforms.front_end import DEFAULT_FRONT_END, FrontEnd
from melbeam.transforms.presets import find_front_end
from melbeam.transforms.records.examples import to_reject
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.rejects import REASONS, Reject

NAMESPACE = "melbeam"
FEATURES, REJECTS = "features", "rejects"


class SharedRecordConverter:
    """One `RecordConverter` a process, whatever the number of harness threads; TensorFlow comes with it."""

    def __init__(self, front_end: FrontEnd, options: RecordOptions) -> None:
        self._front_end = front_end
        self._options = options
        self._shared = Shared()

    def acquire(self) -> Any:
        """The process's `RecordConverter`, made at the first call."""
        return self._shared.acquire(self._make)

    def _make(self) -> Any:
        from melbeam.transforms.records.converter import RecordConverter  # imports TensorFlow: workers only

        return RecordConverter(self._front_end, self._options)


class RecordMetrics:
    """What one step counts, in Beam's metrics.

    Counters: records, features, audio_milliseconds, and rejects_REASON for each reason. Distributions, over the
    records that were converted: clip_milliseconds, of their audio, and convert_microseconds, that it took.
    """

    def __init__(self) -> None:
        self._records = Metrics.counter(NAMESPACE, "records")
        self._features = Metrics.counter(NAMESPACE, "features")
        self._audio = Metrics.counter(NAMESPACE, "audio_milliseconds")
        self._rejects = {reason: Metrics.counter(NAMESPACE, f"rejects_{reason}") for reason in REASONS}
        self._clips = Metrics.distribution(NAMESPACE, "clip_milliseconds")
        self._times = Metrics.distribution(NAMESPACE, "convert_microseconds")

    def rejected(self, reason: str) -> None:
        """Counts a record that became a reject."""
        self._records.inc()
        self._rejects[reason].inc()

    def converted(self, num_features: int, seconds: float, elapsed: float) -> None:
        """Counts a record of so many seconds of audio that became features, which took `elapsed` seconds."""
        milliseconds = round(1000 * seconds)
        self._records.inc()
        self._features.inc(num_features)
        self._audio.inc(milliseconds)
        self._clips.update(milliseconds)
        self._times.update(round(1e6 * elapsed))


class LogMelDoFn(beam.DoFn):
    """Serialized audio Examples to serialized feature Examples; rejects go to the output "rejects".

    Args:
        front_end: a `FrontEnd`, the name of a shipped one, a path of a YAML file, or a preset's handle.
        **options: those of `RecordOptions.of`.

    Raises:
        ValueError: no such front end, or an option is out of its bounds; at construction, not on the workers.
        TypeError: an unknown option.
    """

    def __init__(self, front_end: FrontEnd | str | Path = DEFAULT_FRONT_END, **options: Any) -> None:
        super().__init__()
        loaded = find_front_end(front_end)
        self._front_end = loaded
        self._shared = SharedRecordConverter(loaded, RecordOptions.of(loaded, **options))
        self._metrics = RecordMetrics()

    def setup(self) -> None:
        """Loads TensorFlow and traces nothing yet."""
        self._converter = self._shared.acquire()

    def process(self, element: bytes) -> Iterator[Any]:
        """Yields the record's feature Examples, or its reject."""
        start = time.perf_counter()
        try:
            conversion = self._converter.convert(element, source="")
        except Reject as reject:
            self._metrics.rejected(reject.reason)
            yield beam.pvalue.TaggedOutput(REJECTS, to_reject(element, reject.reason, reject.detail, source=""))
            return
        seconds = conversion.num_samples / self._front_end.sampling_rate
        self._metrics.converted(len(conversion.examples), seconds, time.perf_counter() - start)
        yield from conversion.examples


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
