"""Records that kill or hang the process: found, rejected, and every other record's bytes as without them.

The product has no hook for this: a `sitecustomize` on the processes' PYTHONPATH makes soundfile abort or sleep on
clips that say so in a chunk of their own.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from helpers import wav, write
from melbeam.pipelines.extracting.isolation import IsolatedConverter, ProcessLost
from melbeam.pipelines.tfrecord import read_tfrecord_file
from melbeam.transforms import FrontEnd
from melbeam.transforms.records.conversion import convert
from melbeam.transforms.records.converter import RecordConverter
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.tf_example import to_example

pytestmark = pytest.mark.slow

RATE = 16000
SITECUSTOMIZE = """
import ctypes, os, time
import soundfile

init = soundfile.SoundFile.__init__

def poisoned(self, file, *arguments, **options):
    data = b""
    if hasattr(file, "read"):
        data = file.read()
        file.seek(0)
    if b"POISON: abort" in data:
        os.abort()
    if b"POISON: sleep" in data:
        time.sleep(1000)
    if b"POISON: hold the lock" in data:
        ctypes.PyDLL(None).sleep(1000)
    if b"POISON: print" in data:
        os.write(1, b"a library's chatter")
    init(self, file, *arguments, **options)

soundfile.SoundFile.__init__ = poisoned
"""
LIMIT = 20  # seconds for one record: enough for the first one's tracing on a busy machine
# As a runner that retries: the DoFn, in a worker process of its own, one attempt each.
WORKER = """
import json, sys
from melbeam.pipelines.split.commit import commit
from melbeam.pipelines.extracting.pipeline import ExtractShard
from melbeam.pipelines.split.job import Job
from melbeam.pipelines.split.known_ids import KnownIds
from melbeam.pipelines.split.plan import read_plan
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms import FrontEnd
from melbeam.transforms.records.options import RecordOptions

folder = SplitFolder(sys.argv[1], "train")
shards = list(read_plan(folder.plan))
bounds = {"max_reject_fraction": 1.0, "max_convert_seconds": float(sys.argv[2])}
job = Job.of(folder, FrontEnd.load("gemma4"), RecordOptions(), shards, **bounds)
extract = ExtractShard(job)
for shard in shards:
    for attempt in extract.process(shard, KnownIds()):
        commit(folder, attempt)
"""


def clip(name, poison=None):
    data = wav(len(name), 0.5, subtype="PCM_24")  # 16 bits are read without libsndfile
    if poison:
        text = f"POISON: {poison} ".encode()
        data = data[: -len(text)] + text  # its last samples
    return to_example({"audio": data, "id": name})


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    """The environment of poisoned processes."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    return {**os.environ, "PYTHONPATH": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3"}


def write_input(folder, *shards):
    for index, records in enumerate(shards):
        write(folder / f"part-{index}", records)
    return f"{folder}/part-*"


def extract(source, output, environment, *arguments):
    command = [sys.executable, "-m", "melbeam.pipelines.extract", f"--input={source}", f"--output={output}"]
    command += ["--max_reject_fraction=1", f"--max_convert_seconds={LIMIT}", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


def records(folder, pattern):
    return [item.data for path in sorted(folder.glob(pattern)) for item in read_tfrecord_file(str(path))]


def text(record, name):
    return Example.FromString(record).features.feature[name].bytes_list.value[0].decode()


def check_only_the_poison_is_missing(folder, healthy, details):
    """`healthy` is the folder of the same input in processes that nothing poisons."""
    expected = [r for r in records(healthy, "train-*") if not text(r, "id").startswith("poison")]
    assert records(folder, "train-*") == expected
    rejects = records(folder, "_melbeam/train/rejects/*")
    assert [(text(r, "reason"), text(r, "detail")) for r in rejects] == [("converter_error", d) for d in details]
    assert not list((folder / "_melbeam/train/tmp").iterdir())
    summary = json.loads((folder / "_melbeam/train/summary.json").read_text())
    assert summary["records_read"] == summary["records_converted"] + len(details)


KILLED = "it killed the converter: SIGABRT"
HUNG = f"it hung the converter: not converted within {LIMIT} s"


@pytest.mark.parametrize(
    ("poison", "mode", "status", "detail"),
    [
        ("abort", "multi_threading", -6, KILLED),
        ("abort", "multi_processing", 1, KILLED),
        ("sleep", "multi_threading", 1, HUNG),
        ("sleep", "multi_processing", 1, HUNG),
        ("hold the lock", "in_memory", 1, HUNG),
    ],
)
def test_the_next_start_finds_the_record(tmp_path, poisoned, poison, mode, status, detail):
    shards = [[clip("a"), clip("b")], [clip("c"), clip("poison", poison), clip("d" * 9)], [clip("e" * 3)]]
    source = write_input(tmp_path / "in", *shards)
    arguments = [f"--direct_running_mode={mode}", "--direct_num_workers=2"]
    folder = tmp_path / "features"
    first, said = extract(source, folder, poisoned, *arguments)
    assert first == status, said
    if detail == HUNG:
        assert "part-1#1 has not been converted within" in said or "Timeout" in said
    second, said = extract(source, folder, poisoned, *arguments)
    assert second == 0, said
    assert "an earlier attempt never ended" in said
    assert extract(source, tmp_path / "healthy", None)[0] == 0
    check_only_the_poison_is_missing(folder, tmp_path / "healthy", [detail])


def test_a_runner_that_retries_needs_no_second_start(tmp_path, poisoned):
    """Each attempt in a worker of its own; four failures of one bundle end a Dataflow job."""
    shards = [[clip("a")], [clip("poison", "abort"), clip("c"), clip("poison-2", "abort")], [clip("d" * 5)]]
    source = write_input(tmp_path / "in", *shards)
    folder = tmp_path / "features"
    assert extract(source, folder, None, "--dry_run")[0] == 0
    assert extract(source, tmp_path / "healthy", None)[0] == 0
    for name in ("job.json", "plan.jsonl"):
        (folder / "_melbeam/train").mkdir(parents=True, exist_ok=True)
        (folder / f"_melbeam/train/{name}").write_bytes((tmp_path / f"healthy/_melbeam/train/{name}").read_bytes())
    statuses = []
    while statuses[-1:] != [0]:
        command = [sys.executable, "-c", WORKER, str(folder), str(LIMIT)]
        done = subprocess.run(command, env=poisoned, capture_output=True, text=True, timeout=300, check=False)
        statuses.append(done.returncode)
        assert len(statuses) < 4, done.stderr
    assert statuses == [-6, 0]
    assert extract(source, folder, poisoned)[0] == 0  # all shards are done: only the metadata is written
    check_only_the_poison_is_missing(folder, tmp_path / "healthy", [KILLED, KILLED])


def test_isolation_gives_what_the_converter_gives(poisoned, monkeypatch):
    """Conversions to the last byte, rejects to the last word; the process outlives chatter and a kill."""
    monkeypatch.setenv("PYTHONPATH", poisoned["PYTHONPATH"])
    front_end, options = FrontEnd.load("gemma4"), RecordOptions(on_long="chunk")
    here = RecordConverter(front_end, options)
    extras = {"audio": np.zeros(RATE * 31, np.int64), "sampling_rate": 16000, "text": "ü", "many": [1.5, 2.5]}
    with IsolatedConverter(front_end, options, LIMIT) as apart:
        for record in (clip("a"), to_example(extras), clip("poison", "print"), clip("b")):
            assert vars(convert(apart, record, "in#1")) == vars(convert(here, record, "in#1"))
        for record in (b"\xff", to_example({"text": "no audio"}), b""):
            with pytest.raises(Reject) as expected:
                convert(here, record, "in#2")
            with pytest.raises(Reject) as found:
                convert(apart, record, "in#2")
            assert found.value.args == expected.value.args
        apart._other_side._process.kill()  # by somebody else: the record is tried again, and is not to blame
        assert vars(convert(apart, clip("a"), "in#1")) == vars(convert(here, clip("a"), "in#1"))
        process = apart._other_side._process
    assert process.poll() == 0


def test_a_process_that_does_not_start_is_nobodys_reject(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with IsolatedConverter(FrontEnd.load("gemma4"), RecordOptions(), 5) as apart, pytest.raises(ProcessLost):
        convert(apart, clip("a"), "in#1")
