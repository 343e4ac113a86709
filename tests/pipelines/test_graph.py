"""What grows with the number of shards, and what does not."""

import tracemalloc

import apache_beam as beam
import pytest

from melbeam.pipelines.extracting.pipeline import ExtractDataset
from melbeam.pipelines.sources.units import Unit
from melbeam.pipelines.split.beam_steps import SummariseReports
from melbeam.pipelines.split.job import Job
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.split.reports import FileMark, ShardReport, SplitSummary
from melbeam.transforms.distributions import Distribution
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.split_schema import FieldCounts
from melbeam.transforms.statistics import BinStatistics

MAX_SUBMITTED = 1 << 20  # bytes, of a job of any size
MAX_OF_A_SHARD = 300  # bytes that one shard adds to the summary of a split: an entry of a dict of two numbers


def graph_size(num_shards):
    shards = [Shard(0, num_shards, Unit("/audio", 1))] * num_shards
    job = Job.of(
        SplitFolder("/features", "train"),
        FrontEnd.load("gemma4"),
        RecordOptions(),
        max_reject_fraction=0.01,
        shards=shards,
    )
    pipeline = beam.Pipeline()
    pipeline | ExtractDataset(job)
    return len(pipeline.to_runner_api().SerializeToString())


def test_the_graph_of_a_million_shards_is_that_of_one():
    one, million = graph_size(1), graph_size(1_000_000)
    assert million < MAX_SUBMITTED
    assert abs(million - one) < 200  # the digits of their number, and how well they compress


def distribution(index):
    values = Distribution()
    for record in range(3):
        values.add_value(0.3 * record + index % 100, 0.5, f"{index}-{record}", index, record)
    return values


def report(index, num_shards):
    return ShardReport(
        job_hash="0" * 64,
        index=index,
        num_shards=num_shards,
        input_path=f"/audio/{index}",
        input_size=1000,
        features=FileMark(3, 1000 + index, index),
        rejected=None,
        records_read=4,
        records_converted=3,
        num_features=3,
        num_samples=16000,
        rejects={"too_short": 1},
        named_ids={"too_short": [f"/audio/{index}#0"]},
        fields={
            "speaker": FieldCounts(
                {"bytes_list": 3}, 1 + index, {"bytes_list": [f"{index}-{i}" for i in range(3)]}
            )
        },
        distributions={"seconds": distribution(index)},
        statistics=BinStatistics(300, [2**40 + index] * 128, [2**50 - index] * 128),
    )


@pytest.mark.slow
@pytest.mark.parametrize("of_a_bundle", [1, 100])
def test_reports_are_combined_in_memory_that_a_few_numbers_a_shard_take(of_a_bundle):
    num_shards, combine = 10_000, SummariseReports()

    def bundles():
        for first in range(0, num_shards, of_a_bundle):
            accumulator = combine.create_accumulator()
            for index in range(first, first + of_a_bundle):
                accumulator = combine.add_input(accumulator, report(index, num_shards))
            yield accumulator

    tracemalloc.start()
    try:
        summary = combine.extract_output(combine.merge_accumulators(bundles()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MAX_OF_A_SHARD * num_shards
    assert SplitSummary.from_dict(summary.to_dict()) == summary
    assert (summary.num_features, summary.records_read) == (3 * num_shards, 4 * num_shards)
    assert summary.statistics.sums[0] == 2**40 * num_shards + num_shards * (num_shards - 1) // 2
    assert summary.fields["speaker"].most == num_shards
    assert summary.fields["speaker"].kinds == {"bytes_list": 3 * num_shards}
    assert [extreme.id for extreme in summary.distributions["seconds"].least] == ["0-0", "100-0", "1000-0"]
    assert len(summary.named_ids["too_short"]) == 5
