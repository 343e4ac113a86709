"""How many threads or processes of this machine extract features, where the command does not say.

Threads share one Python interpreter, which one of them has at a time. Much of what is not the kernel needs it, so
that a few threads are as fast as any number, and many are slower (`benchmarks/interpreter.py`). Processes take
memory, and seconds to start, and then a core each.
"""

from __future__ import annotations

from collections.abc import Sequence

from apache_beam.options.pipeline_options import DirectOptions

from melbeam.pipelines import words
from melbeam.pipelines.beam_options import RunnerChoice
from melbeam.pipelines.split.job import Job
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.this_machine import memory_bytes, num_cores

_PROCESSES = "multi_processing"
MAX_THREADS = 4
MEMORY_OF_A_PROCESS = 1 << 30
# Bytes of input, some hours of audio, that take threads longer than processes take to start.
WORTH_PROCESSES = 512 << 20


def set_local_workers(choice: RunnerChoice, job: Job, shards: Sequence[Shard], num_done: int) -> None:
    """Sets how many workers a job has on this machine, and of which kind, as far as its command does not say so.

    Args:
        choice: whose options are set.
        job: to be run.
        shards: its plan.
        num_done: of these, how many are finished.
    """
    if choice.gives_workers:
        return
    options = choice.options.view_as(DirectOptions)
    num_left, memory = len(shards) - num_done, memory_bytes()
    num_bytes = sum(shard.unit.num_bytes for shard in shards) * num_left // max(1, len(shards))
    processes = min(num_cores(), num_left)
    if memory is not None:
        processes = min(processes, memory // MEMORY_OF_A_PROCESS)
    # Processes would fight for a GPU.
    if not (choice.gives_mode or job.gpu) and processes > MAX_THREADS and num_bytes >= WORTH_PROCESSES:
        options.direct_running_mode = _PROCESSES
        words.say(
            f"{processes} processes: count {words.size(MEMORY_OF_A_PROCESS)} of memory for each; "
            "--direct_running_mode=multi_threading takes one process"
        )
    of_threads = min(num_cores(), MAX_THREADS)
    options.direct_num_workers = max(1, processes) if options.direct_running_mode == _PROCESSES else of_threads
