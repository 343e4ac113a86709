"""The element-wise form for somebody's own Beam pipeline: audio records in, feature Examples out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.typehints import typehints

from melbeam.transforms.beam_worker import RecordMetrics, SharedRecordConverter
from melbeam.transforms.front_end import DEFAULT_FRONT_END, FrontEnd
from melbeam.transforms.presets import find_front_end
from melbeam.transforms.records.audio_example import audio_example
from melbeam.transforms.records.chunking import Chunking
from melbeam.transforms.records.conversion import convert
from melbeam.transforms.records.examples import to_reject
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.rejects import Reject

FEATURES, REJECTS = "features", "rejects"
_DICTS = typehints.Dict[typehints.Any, typehints.Any]
_WRONG_ELEMENTS = (
    "records must be serialized tf.train.Examples (bytes) or dicts, {{'audio': ..., 'id': ...}}, got {}: "
    "melbeam.transforms.audio_example makes one of a clip"
)


class LogMelDoFn(beam.DoFn):
    """Audio records to serialized feature Examples; rejects go to the output "rejects".

    A record is a serialized audio Example, or a dict of what `audio_example` takes: {"audio": ..., "id": ...,
    "text": ...}, of which only "audio" is needed.

    Args:
        front_end: a `FrontEnd`, the name of a shipped one, a path of a YAML file, or a preset's handle.
        **options: fields of `RecordOptions`.

    Raises:
        ValueError: no such front end, or an option is out of its bounds; at construction, not on the workers.
        TypeError: an unknown option.
    """

    def __init__(self, front_end: FrontEnd | str | Path = DEFAULT_FRONT_END, **options: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        loaded, record_options = find_front_end(front_end), RecordOptions(**options)
        record_options.pads(loaded)  # what cannot be padded or chunked is refused here, not on the workers
        Chunking.of(loaded, record_options)
        self._front_end = loaded
        self._shared = SharedRecordConverter(loaded, record_options)
        self._metrics = RecordMetrics()

    def setup(self) -> None:
        """Loads TensorFlow and traces nothing yet."""
        self._converter = self._shared.acquire()

    def process(self, element: Any) -> Iterator[Any]:
        """Yields the record's feature Examples, or its reject."""
        start = time.perf_counter()
        record = b""
        try:
            record = _record_of(element)
            conversion = convert(self._converter, record, source="")
        except Reject as reject:
            self._metrics.rejected(reject.reason)
            yield beam.pvalue.TaggedOutput(REJECTS, to_reject(record, reject, source=""))
            return
        seconds = conversion.num_samples / self._front_end.sampling_rate
        self._metrics.converted(len(conversion.features), seconds, time.perf_counter() - start)
        for feature_record in conversion.features:
            yield feature_record.example


def _record_of(element: Any) -> bytes:
    """A record as it is serialized.

    Raises:
        Reject: bad_field, it is a dict that makes no record.
        TypeError: it is neither bytes nor a dict, which no record is.
    """
    if isinstance(element, bytes):
        return element
    if not isinstance(element, dict):
        raise TypeError(_WRONG_ELEMENTS.format(type(element).__name__))
    try:
        # Audio that is not there is the reject of audio that is empty.
        return audio_example(**{"audio": []} | {name: v for name, v in element.items() if v is not None})
    except (TypeError, ValueError) as error:
        given = element.get("id")
        raise Reject("bad_field", str(error), given if isinstance(given, str) else None) from error


def _may_be_records(hint: Any) -> bool:
    """Whether elements of a type can be bytes or dicts: they are, or bytes or dicts are of that type."""
    of_dicts = isinstance(hint, type) and issubclass(hint, dict)  # which Beam takes for a class of its own
    is_hinted = typehints.is_consistent_with(hint, typehints.Union[bytes, _DICTS])
    return of_dicts or is_hinted or any(typehints.is_consistent_with(one, hint) for one in (bytes, _DICTS))


class ExtractLogMel(beam.PTransform[Any, Any]):
    """`records | ExtractLogMel(front_end="gemma4")`: bytes or dicts in; `.features` and `.rejects`, bytes, out.

    Args and errors are those of `LogMelDoFn`.

    Raises:
        TypeError: when it is applied, to elements that are known to be neither bytes nor dicts.
    """

    def __init__(self, front_end: FrontEnd | str | Path = DEFAULT_FRONT_END, **options: Any) -> None:
        super().__init__()
        self._fn = LogMelDoFn(front_end, **options)

    def expand(self, pcoll: PCollection[Any]) -> Any:
        """Applies the DoFn."""
        found = pcoll.element_type
        if found is not None and not _may_be_records(found):
            raise TypeError(_WRONG_ELEMENTS.format(getattr(found, "__name__", found)))
        return pcoll | beam.ParDo(self._fn).with_outputs(REJECTS, main=FEATURES)
