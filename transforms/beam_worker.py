"""What the steps of a Beam worker share: one converter a process, and what is counted."""

from __future__ import annotations

from apache_beam.metrics import Metrics
from apache_beam.utils.shared import Shared

from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.conversion import ConfiguredConverter
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.rejects import REASONS

NAMESPACE = "melbeam"


class SharedRecordConverter:
    """One `RecordConverter` a process, whatever the number of harness threads; TensorFlow comes with it."""

    def __init__(self, front_end: FrontEnd, options: RecordOptions) -> None:
        self._front_end = front_end
        self._options = options
        self._shared = Shared()

    def acquire(self) -> ConfiguredConverter:
        """The process's `RecordConverter`, made at the first call."""
        return self._shared.acquire(self._make)

    def _make(self) -> ConfiguredConverter:
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
