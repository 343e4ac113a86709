"""Apache Flink, through Beam's job server: `make test-flink`.

The job server is put together from Beam's Flink runner, pinned in flink_job_server.xml: a version whose parts
could all be had. Beam's newer Python SDK runs on it. The Flink is its own: two task managers in its process, and
the workers in a pool beside, as on Kubernetes.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from corpora import Corpus
from helpers import blocks

pytestmark = pytest.mark.flink

PAGE = Path(__file__).parents[2] / "docs/tasks/flink.md"
POM = Path(__file__).parent / "flink_job_server.xml"
JARS_SHA256 = (
    "dcdeff3a17d593ad695e7ee1bec0de448e340d2108a8b7e88aaa1b958c4f29d6"  # of all their checksums and names
)
MAIN_CLASS = "org.apache.beam.runners.flink.FlinkJobServerDriver"
FETCH_SECONDS = 1200
PARALLELISM = 2
FLINK_CONFIG = """\
local.number-taskmanager: 2
taskmanager.numberOfTaskSlots: 1
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 3
restart-strategy.fixed-delay.delay: 1 s
"""
# What Flink's and Beam's serializers reach into; Java 17 shuts it.
JAVA_OPTIONS = [
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in ("java.lang", "java.nio", "java.time", "java.util", "sun.nio.ch")
]


@pytest.fixture(scope="session")
def jars(cache, need):
    """The folder of the jars. Maven asks the mirrors that its settings name, and refuses a wrong checksum."""
    need("java", "Java 17")
    need("mvn", "Maven")
    folder = cache / f"flink-job-server-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache) as fetched:
            command = ["mvn", "-B", "-q", "-C", "-Dstyle.color=never", "-f", POM, "dependency:copy-dependencies"]
            ran = subprocess.run(
                [*command, "-DincludeScope=runtime", f"-DoutputDirectory={fetched}/jars"],
                capture_output=True,
                text=True,
                timeout=FETCH_SECONDS,
            )
            if ran.returncode:
                first = next((line for line in ran.stdout.splitlines() if "ERROR" in line), ran.stdout)
                pytest.fail(f"Maven did not fetch what {POM.name} names: {first}", pytrace=False)
            os.rename(f"{fetched}/jars", folder)
    found = hashlib.sha256()
    for jar in sorted(folder.iterdir()):
        found.update(f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n".encode())
    assert found.hexdigest() == JARS_SHA256, f"{folder} holds other jars than those pinned: remove it"
    return folder


@pytest.fixture
def job_server_log(tmp_path):
    return tmp_path / "job_server.log"


@pytest.fixture
def job_endpoint(jars, serving, free_port, tmp_path, job_server_log):
    """A job server with a Flink of its own inside."""
    port = free_port()
    (tmp_path / "flink").mkdir()
    for name in ("flink-conf.yaml", "config.yaml"):
        (tmp_path / "flink" / name).write_text(FLINK_CONFIG)
    command = [
        "java",
        *JAVA_OPTIONS,
        f"-Djava.io.tmpdir={tmp_path}",
        "-cp",
        f"{jars}/*",
        MAIN_CLASS,
        "--flink-master=[local]",
        f"--flink-conf-dir={tmp_path}/flink",
        "--job-host=127.0.0.1",
        f"--job-port={port}",
        "--artifact-port=0",
        "--expansion-port=0",
        f"--artifacts-dir={tmp_path}/artifacts",
    ]
    with serving(command, port, job_server_log, dict(os.environ)):
        yield f"localhost:{port}"


@pytest.fixture
def page_pool(serving, free_port, tmp_path):
    """The worker pool that the task page starts, on a free port."""
    port = free_port()
    (command,) = [block.code for block in blocks(PAGE) if block.said.get("run") == "flink pool"]
    assert "--service_port=50000" in command
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    started = ["bash", "-c", command.replace("50000", str(port))]
    with serving(started, port, tmp_path / "page_pool.log", environment):
        yield f"localhost:{port}"


@pytest.fixture
def on_flink(on_a_pool):
    return [*on_a_pool, f"--parallelism={PARALLELISM}"]


def test_a_worker_pool_writes_what_the_local_default_does(
    on_flink, source, expected, extract, files_of, tmp_path, job_server_log
):
    job = extract(source, tmp_path / "features", *on_flink)
    ended = job.end()
    assert ended.status == 0, ended.text
    assert files_of(job.output) == expected
    assert job_server_log.read_text().count("Starting TaskManager with ResourceID") == 2


def test_a_manifest_gives_what_it_does_by_the_local_default(on_flink, extract, files_of, tmp_path):
    source, options = Corpus(tmp_path / "corpus", 24, 1.0).write("manifest")
    jobs = [
        extract(source, tmp_path / name, *options, *more) for name, more in (("here", []), ("there", on_flink))
    ]
    for job in jobs:
        ended = job.end()
        assert ended.status == 0, ended.text
    found = files_of(jobs[1].output)
    assert sum(name.startswith("train-") for name in found) == 4
    assert found == files_of(jobs[0].output)


def test_a_corpus_is_divided_as_it_is_by_the_local_default(on_flink, files_of, tmp_path):
    """Flink itself groups by split and shard, in a random order, rejects too; and then what --not_in leaves."""
    source, options = Corpus(tmp_path / "corpus", 48, 0.5).write("manifest")
    with open(source, "a") as manifest:
        manifest.write('{"audio": "gone.wav", "text": "not there"}\n')
    later = source.replace(".jsonl", "-later.jsonl")
    more = [json.dumps({"audio": f"clips/clip-{k:05d}.wav", "id": f"new-{k}"}) for k in range(3)]
    Path(later).write_text(Path(source).read_text() + "\n".join(more) + "\n")
    found = []
    for name, engine in (("here", []), ("there", on_flink)):
        output = tmp_path / name
        calls = [
            [f"--input={source}", "--split=train=0.5,dev=0.25,test=0.25", "--shuffle_seed=7", "--num_shards=3"],
            [f"--input={later}", "--split=train_2", "--not_in=train+dev+test"],
        ]
        for call in calls:
            command = [sys.executable, "-m", "melbeam.pipelines.ingest", f"--output={output}", *call, *options]
            ran = subprocess.run(
                [*command, "--max_reject_fraction=0.5", *engine], capture_output=True, text=True, timeout=600
            )
            assert ran.returncode == 0, ran.stdout + ran.stderr
        found.append(files_of(output))
    shards = [name for name in found[0] if name.endswith(".tfrecord") and "/" not in name]
    assert len(shards) == 3 * 3 + 5  # of the divided input three each; of the later one its units
    assert found[1] == found[0]
    checked = subprocess.run(
        [sys.executable, "-m", "melbeam.pipelines.verify", tmp_path / "there"], capture_output=True, text=True
    )
    assert (checked.returncode, "no faults" in checked.stdout) == (0, True), checked.stdout


def test_the_task_pages_command(page_pool, job_endpoint, source, expected, files_of, tmp_path):
    """As it stands, but for the machine's ports and folders."""
    (command,) = [block.code for block in blocks(PAGE) if block.said.get("run") == "flink"]
    places = {
        "localhost:8099": job_endpoint,
        "localhost:50000": page_pool,
        "/shared/audio/train-*": source,
        "/shared/features/1.0.0": f"{tmp_path}/features",
    }
    for there, here in places.items():
        assert there in command
        command = command.replace(there, here)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-eu", "-c", command], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 3, done.stdout + done.stderr  # two damaged records of 62 are more than 1 %
    assert files_of(f"{tmp_path}/features") == expected


def test_a_killed_worker_is_replaced(on_flink, worker_pool, source, expected, extract, files_of, tmp_path):
    """Flink's own restart strategy, as its configuration has it, does the failed tasks again."""
    job = extract(source, tmp_path / "features", *on_flink)
    job.wait_for("_melbeam/train/tmp/*/*.report")
    worker_pool.kill_a_worker()
    ended = job.end()
    assert ended.status == 0, ended.text
    assert files_of(job.output) == expected


def test_it_gives_the_metrics(on_flink, check_metrics):
    check_metrics(*on_flink)
