"""A pipeline of somebody's own, with Beam's options as given; prints what its result says was counted, as JSON."""

import json
import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from melbeam.transforms import ExtractLogMel
from melbeam.transforms.records.tf_example import to_example

SECONDS = [1, 2, 4]


def main():
    records = [to_example({"audio": [100, -100] * 8000 * n, "sampling_rate": 16000}) for n in SECONDS]
    # No `with`: its wait is the same, and gives no result back.
    pipeline = beam.Pipeline(options=PipelineOptions(sys.argv[1:]))
    pipeline | beam.Create([*records, b"\xff\xff"]) | ExtractLogMel()
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(beam.metrics.MetricsFilter().with_namespace("melbeam"))
    counted = {c.key.metric.name: c.result for c in found["counters"] if c.result}
    for distribution in found["distributions"]:
        values = distribution.result
        counted[distribution.key.metric.name] = [values.count, values.sum, values.min, values.max]
    print(json.dumps(counted))


if __name__ == "__main__":
    main()
