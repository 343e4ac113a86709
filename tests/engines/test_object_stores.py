"""Input and output on gs:// and s3://, against the stores' emulators: `make test-cloud`."""

import glob
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from apache_beam.io.filesystems import FileSystems

from corpora import Corpus
from melbeam.pipelines import demo_clips, files, index
from melbeam.pipelines.split.lock import Locked, SplitLock
from melbeam.pipelines.tfrecord import Record, read_tfrecord_file
from melbeam.transforms import FeatureSource, read_features
from melbeam.transforms.folder_layout import SplitFolder

pytestmark = pytest.mark.cloud

BUCKET = "melbeam-test"
FOLDER_OF_VERSION_1 = Path(__file__).parents[1] / "data" / "folder_of_version_1"
SOURCE_FOLDER = "audio"
JOB_SECONDS = 240
TRANSIENT = (503, 429, "drop")


def module(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


faulty_proxy = module("faulty_proxy").faulty_proxy
fake_google = module("fake_google")


def without_store_checksums(found):
    """The files as a local job leaves them: a report on a store has the store's own checksums too."""
    for name in [name for name in found if "/reports/" in name]:
        report = json.loads(found[name])
        files = {"features": "features", "rejects": "rejected", "index": "index_file", "table": "table"}
        kinds = {kind for kind, field in files.items() if report[field]}  # ingest makes no index and no table
        assert "features" in kinds
        assert set(report["store_checksums"]) == kinds
        report["store_checksums"] = {}
        found[name] = (json.dumps(report, indent=1, sort_keys=True) + "\n").encode()
    return found


class Store:
    """A bucket of an emulated store, seen with the store's own client."""

    def __init__(self, port):
        self.port = port
        os.environ.update(self.environment(port))
        self._connect()

    def url(self, key):
        return f"{self.scheme}://{BUCKET}/{key}"

    def put_folder(self, folder, key):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{key}/{path.relative_to(folder)}", path.read_bytes())


class GoogleStore(Store):
    scheme = "gs"

    @staticmethod
    def command(port):
        folder = Path(sys.executable).parent
        return [folder / "gcp-storage-emulator", "start", "--host=127.0.0.1", f"--port={port}", "--in-memory"]

    @staticmethod
    def environment(port):
        # Without NO_GCE_CHECK the search for credentials asks a metadata server that is not there.
        return {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}", "NO_GCE_CHECK": "true"}

    def _connect(self):
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        client = storage.Client(project="test", credentials=AnonymousCredentials())
        client.create_bucket(BUCKET)
        self._bucket = client.bucket(BUCKET)

    def put(self, key, data):
        self._bucket.blob(key).upload_from_string(data, content_type="application/octet-stream")

    def names(self, key):
        return [blob.name.removeprefix(f"{key}/") for blob in self._bucket.list_blobs(prefix=f"{key}/")]

    def files(self, key):
        blobs = self._bucket.list_blobs(prefix=f"{key}/")
        return without_store_checksums(
            {blob.name.removeprefix(f"{key}/"): blob.download_as_bytes() for blob in blobs}
        )

    def delete(self, key):
        self._bucket.delete_blob(key)


class AmazonStore(Store):
    scheme = "s3"

    @staticmethod
    def command(port):
        return [Path(sys.executable).parent / "moto_server", "-H", "127.0.0.1", "-p", str(port)]

    @staticmethod
    def environment(port):
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def _connect(self):
        import boto3

        self._client = boto3.client("s3")
        self._client.create_bucket(Bucket=BUCKET)

    def put(self, key, data):
        self._client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def names(self, key):
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{key}/")
        return [entry["Key"].removeprefix(f"{key}/") for page in pages for entry in page.get("Contents", [])]

    def files(self, key):
        def read(name):
            return self._client.get_object(Bucket=BUCKET, Key=f"{key}/{name}")["Body"].read()

        return without_store_checksums({name: read(name) for name in self.names(key)})

    def delete(self, key):
        self._client.delete_object(Bucket=BUCKET, Key=key)


@pytest.fixture(scope="module", params=[GoogleStore, AmazonStore], ids=["gs", "s3"])
def store(request, serving, free_port, tmp_path_factory):
    port, kind = free_port(), request.param
    before = dict(os.environ)
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    google = fake_google.Recorder()
    account = tmp_path_factory.mktemp("account") / "account.json"
    fake_google.service_account(account, f"{google.url}/token")
    os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = str(account)  # without one, Beam searches for it for long
    try:
        with serving(kind.command(port), port, tmp_path_factory.mktemp(kind.scheme) / "emulator.log"):
            yield kind(port)
    finally:
        google.shutdown()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def stored_source(store, source):
    """The input on the store, with the empty object by which a store's console shows a folder."""
    store.put_folder(Path(source).parent, SOURCE_FOLDER)
    store.put(f"{SOURCE_FOLDER}/part-folder/", b"")
    return store.url(f"{SOURCE_FOLDER}/part-*")


@pytest.fixture(scope="module")
def expected_of_stored(stored_source, extract, files_of, tmp_path_factory):
    """The files that a job writes into a local folder from the input on the store."""
    job = extract(stored_source, tmp_path_factory.mktemp("from_store") / "features")
    ended = job.end()
    assert ended.status == 0, ended.text
    return files_of(job.output)


@pytest.fixture
def to_store(store):
    """Runs a job as a user does; gives what it said."""

    def run(*command, status=0, **environment):
        ran = subprocess.run(
            [sys.executable, "-m", "melbeam.pipelines.cli", *command],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=JOB_SECONDS,
            check=False,
        )
        assert ran.returncode == status, ran.stdout[-2000:] + ran.stderr[-4000:]
        return ran.stdout + ran.stderr

    return run


def extracting(source, output, *options):
    return ["extract", f"--input={source}", f"--output={output}", "--max_reject_fraction=0.1", *options]


def key_of(request):
    return f"features/{request.node.name.translate(str.maketrans('[]', '--'))}"


def test_output_on_a_store_is_the_local_one(store, source, expected, to_store, request):
    key = key_of(request)
    to_store(*extracting(source, store.url(key)))
    assert store.files(key) == expected


def test_input_and_output_on_a_store(
    store, stored_source, source, expected, expected_of_stored, to_store, request, tmp_path
):
    key = key_of(request)
    to_store(*extracting(stored_source, store.url(key)))
    found = store.files(key)
    assert found == expected_of_stored
    # Against the input on this machine: each record is equal, but for where it came from.
    assert set(found) == set(expected)
    local_folder, stored_folder = str(Path(source).parent), store.url(SOURCE_FOLDER)
    compared = 0
    for name in (name for name in expected if name.endswith(".tfrecord")):
        ours, theirs = (records(tmp_path, files[name]) for files in (found, expected))
        assert without_source(ours, stored_folder) == without_source(theirs, local_folder)
        compared += len(ours)
    assert compared == 62
    for name in ("statistics.json", "features.json", "front_end.json"):
        assert found[name].replace(stored_folder.encode(), local_folder.encode()) == expected[name]


@pytest.mark.parametrize("kind", ["manifest", "parquet", "webdataset"])
def test_other_sources_on_a_store(store, to_store, request, tmp_path, kind):
    """As they are on a disk; a manifest's relative paths lead to the store, whose objects are fetched."""
    key = key_of(request)
    local, options = Corpus(tmp_path / "corpus", 12, 0.5, num_files=2).write(kind)
    store.put_folder(tmp_path / "corpus", key)
    stored = local.replace(str(tmp_path / "corpus"), store.url(key))
    for name, source in (("here", local), ("there", stored)):
        to_store("extract", f"--input={source}", f"--output={tmp_path}/{name}", *options)
    here, there = (
        [record for path in sorted((tmp_path / name).glob("train-*")) for record in read_tfrecord_file(str(path))]
        for name in ("here", "there")
    )
    assert len(here) == 12
    assert without_source(there, store.url(key)) == without_source(here, str(tmp_path / "corpus"))


def test_parts_of_a_large_file_on_a_store(store, stored_source, expected_of_stored, to_store, request):
    """The reader begins in the middle of an object, and the walk over the headers leaves the data out."""
    key = key_of(request)
    to_store(*extracting(stored_source, store.url(key), "--max_shard_bytes=800000"))
    found = store.files(key)
    features = [
        [data for name, data in files.items() if name.startswith("train-")]
        for files in (found, expected_of_stored)
    ]
    assert len(features[0]) > 2 * len(features[1])
    assert b"".join(features[0]) == b"".join(features[1])
    assert found["statistics.json"] == expected_of_stored["statistics.json"]


def records(folder, data):
    path = folder / "records.tfrecord"
    path.write_bytes(data)
    return list(read_tfrecord_file(str(path)))


def without_source(found, folder):
    """The records' features, and each source's end behind the input's folder."""
    from tensorflow.train import Example

    contents = []
    for record in found:
        assert isinstance(record, Record)
        features = Example.FromString(record.data).features.feature
        source = features["source"].bytes_list.value[0].decode()
        assert source.startswith(f"{folder}/")
        features["source"].bytes_list.value[0] = source.removeprefix(folder).encode()
        contents.append({name: value.SerializeToString() for name, value in features.items()})
    return contents


def test_a_killed_job_goes_on(store, stored_source, expected_of_stored, to_store, request):
    key = key_of(request)
    command = extracting(stored_source, store.url(key))
    process = subprocess.Popen(
        [sys.executable, "-m", "melbeam.pipelines.cli", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + JOB_SECONDS
    while not any(name.endswith(".report") for name in store.names(f"{key}/_melbeam/train/tmp")):
        assert process.poll() is None, "it ended before there was a report"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "_melbeam/train/summary.json" not in store.names(key)
    to_store(*command)
    assert store.files(key) == expected_of_stored


def test_what_is_done_is_not_done_again_and_what_is_damaged_is(
    store, stored_source, expected_of_stored, to_store, request
):
    key = key_of(request)
    command = extracting(stored_source, store.url(key))
    to_store(*command)
    # It has the same size: the store's own checksum tells them apart, and nothing is read.
    damaged = bytearray(expected_of_stored["train-00003-of-00006.tfrecord"])
    damaged[-1] ^= 1
    store.put(f"{key}/train-00003-of-00006.tfrecord", bytes(damaged))
    store.delete(f"{key}/_melbeam/train/summary.json")
    to_store(*command)
    assert store.files(key) == expected_of_stored


def test_another_job_is_refused_and_overwrite_replaces(store, stored_source, source, to_store, request):
    key = key_of(request)
    to_store(*extracting(stored_source, store.url(key), "--limit=20"))
    again = extracting(stored_source, store.url(key), "--dtype=float16", "--limit=3")
    assert "dtype was 'float32' and is now 'float16'" in to_store(*again, status=2)
    to_store(*again, "--overwrite")
    assert [name for name in store.names(key) if name.startswith("train-")] == ["train-00000-of-00001.tfrecord"]


def test_verify_and_clean_on_a_store(store, stored_source, to_store, request):
    key = key_of(request)
    to_store(*extracting(stored_source, store.url(key)))
    assert "no faults" in to_store("verify", store.url(key))
    store.put(f"{key}/_melbeam/train/tmp/00001/abc.features", b"left")
    assert "1 temporary file removed" in to_store("clean", store.url(key))
    assert "no faults" in to_store("verify", store.url(key))


def test_ingest_on_a_store_is_the_local_one(store, to_store, files_of, request, tmp_path):
    clips = tmp_path / "clips/deeper"
    shutil.copytree(Path(demo_clips.__path__[0]), clips, ignore=shutil.ignore_patterns("*.py*", "__pycache__"))
    key = key_of(request)
    store.put_folder(clips.parent, f"{key}/clips")
    to_store("ingest", f"--input={clips.parent}/**", f"--output={tmp_path}/audio", "--num_shards=3")
    to_store("ingest", f"--input={store.url(key)}/clips/**", f"--output={store.url(key)}/out", "--num_shards=3")
    here, there = files_of(tmp_path / "audio"), store.files(f"{key}/out")
    assert sorted(there) == sorted(here)
    # What a split says of itself names its input, which lies elsewhere; the clips are the same.
    shards = [name for name in here if name.startswith("train-")]
    assert len(shards) == 3
    assert {name: there[name] for name in shards} == {name: here[name] for name in shards}


def test_ingest_divides_on_a_store_as_it_does_here(store, to_store, files_of, request, tmp_path):
    """Each clip is fetched by its range of what was gathered, and what was gathered goes at the end."""
    clips = tmp_path / "clips"
    shutil.copytree(Path(demo_clips.__path__[0]), clips, ignore=shutil.ignore_patterns("*.py*", "__pycache__"))
    key = key_of(request)
    options = ["--split=train=0.7,test=0.3", "--shuffle_seed=7", "--num_shards=2"]
    to_store("ingest", f"--input={clips}/*.wav", f"--output={tmp_path}/audio", *options)
    to_store("ingest", f"--input={clips}/*.wav", f"--output={store.url(key)}/out", *options)
    assert store.files(f"{key}/out") == files_of(tmp_path / "audio")
    left = [name for name in store.names(f"{key}/out") if "gathered" in name]
    assert left == []
    more = ["--split=more", "--not_in=train+test", "--max_reject_fraction=1"]
    said = to_store("ingest", f"--input={clips}/0*", f"--output={store.url(key)}/out", *more)
    assert "left out (in train, test already)" in said


def test_what_passes_is_tried_again(store, stored_source, expected_of_stored, to_store, request):
    """Of the first requests of each kind and object, a quarter fail as overloaded stores and networks do."""
    seen, lock, ended = {}, threading.Lock(), threading.Event()

    def fault(method, path):
        with lock:
            number = seen.setdefault((method, path), len(seen))
            seen[method, path] = -1
        if ended.is_set() or number < 0 or number % 4:
            return None
        return TRANSIENT[number // 4 % len(TRANSIENT)]

    key = key_of(request)
    with faulty_proxy(store.port, fault) as (port, faults):
        to_store(*extracting(stored_source, store.url(key)), **store.environment(port))
        ended.set()
        found = store.files(key)  # here, since the emulator's links lead through the proxy
    assert len(faults) >= 20
    assert {what for _, _, what in faults} == set(TRANSIENT)
    assert found == expected_of_stored


def test_an_answer_that_breaks_off_is_read_again(store, request, monkeypatch):
    key, data = key_of(request), bytes(range(256)) * 400
    store.put(key, data)
    path = store.url(key)

    first = iter(range(2))

    def fault(method, path):
        return "cut" if method == "GET" and next(first, None) is not None else None

    with faulty_proxy(store.port, fault) as (port, faults):
        for name, value in store.environment(port).items():
            monkeypatch.setenv(name, value)
        assert files.read_range(path, 100, 50_000) == data[100:50_100]
        assert len(faults) == 2


def test_a_range_ends_with_its_object(store, request):
    key = key_of(request)
    store.put(f"{key}/some", b"0123456789")
    store.put(f"{key}/none", b"")
    ranges = [(0, 10), (0, 1 << 31), (8, 5), (9, 1), (10, 1), (20, 5), (3, 0)]
    for name, data in (("some", b"0123456789"), ("none", b"")):
        found = [files.read_range(store.url(f"{key}/{name}"), offset, size) for offset, size in ranges]
        assert found == [data[offset : offset + size] for offset, size in ranges]
    with pytest.raises(FileNotFoundError, match="no such bucket or object"):
        files.read_range(store.url(f"{key}/absent"), 0, 1)


def test_a_files_size_and_checksum_are_one_request_and_the_checksum_is_that_of_beam(store, request, monkeypatch):
    key, asked = key_of(request), []
    store.put(key, b"0123456789")
    path = store.url(key)
    checksum = str(FileSystems.get_filesystem(path).checksum(path))
    with faulty_proxy(store.port, lambda method, _: asked.append(method)) as (port, _):
        for name, value in store.environment(port).items():
            monkeypatch.setenv(name, value)
        assert files.state(path) == (10, checksum)
        assert len(asked) == 1
        assert files.state(f"{path}/absent") is None


def test_what_is_replaced_while_it_is_read_is_no_mixture(store, request):
    if store.scheme == "gs":
        pytest.skip("this emulator keeps no generations")
    key = key_of(request)
    store.put(key, b"1" * (3 << 20))
    with files.open_file(store.url(key)) as file:
        assert file.read(10) == b"1" * 10
        store.put(key, b"2" * (3 << 20))
        with pytest.raises(OSError, match="it was replaced or deleted while it was read, up to byte 1048576"):
            file.read()


def test_a_process_uses_one_client_again(store, request, monkeypatch):
    """Whatever it asks for, in whatever thread, until what the client is made of changes."""
    if store.scheme == "s3":
        from boto3.session import Session as maker

        variable, method = "AWS_EXECUTION_ENV", "client"
    else:
        from google.cloud.storage import Client as maker

        variable, method = "GOOGLE_CLOUD_QUOTA_PROJECT", "__init__"
    made, make = [], getattr(maker, method)

    def counted(*arguments, **settings):
        made.append(arguments)
        return make(*arguments, **settings)

    monkeypatch.setattr(maker, method, counted)
    path = store.url(f"{key_of(request)}/file")
    for value in ("one", "two"):
        monkeypatch.setenv(variable, value)
        made.clear()
        files.write_bytes(path, b"1")
        assert len(made) == 1
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(files.read_bytes, [path] * 8)) == [b"1"] * 8
        with files.open_file(path) as file:
            assert file.read() == b"1"
        assert files.match(path) == [(path, 1)]
        assert (files.read_range(path, 0, 5), files.exists(path)) == (b"1", True)
        files.rename(path, f"{path}2")
        files.delete([f"{path}2"])
        assert len(made) == 1


@pytest.mark.parametrize(("what", "status"), [("input", 2), ("output", 2), ("shard", 1)])
def test_a_permanent_refusal_says_what_to_grant(store, stored_source, to_store, request, what, status):
    key = key_of(request)
    refused = {
        "input": lambda method, path: SOURCE_FOLDER in path,
        "output": lambda method, path: method in ("PUT", "POST") and "features" in path,
        "shard": lambda method, path: "part-4" in path,
    }[what]
    with faulty_proxy(store.port, lambda *request: 403 if refused(*request) else None) as (port, faults):
        said = to_store(*extracting(stored_source, store.url(key)), status=status, **store.environment(port))
    assert faults
    last = [line for line in said.splitlines() if line.startswith("melbeam: ")]
    grant = {"gs": "roles/storage.objectUser", "s3": "s3:GetObject"}[store.scheme]
    assert any(grant in line and store.url("")[:-1] in line and "403" in line for line in last), said
    assert "Traceback" not in said


def test_a_bucket_that_is_not_there(store, stored_source, to_store):
    nowhere = f"{store.scheme}://melbeam-nowhere"
    said = to_store(*extracting(f"{nowhere}/audio/part-*", f"{nowhere}/features"), status=2)
    assert nowhere in said
    assert "check the path" in said or "correct the path" in said
    said = to_store(*extracting(stored_source, f"{nowhere}/features"), status=2)
    assert f"make {nowhere}" in said


LITERAL = ["a[1]", "b*", "c?d", "[!x]", "new [x]", "é", "a#b", "a%20b", "a+b"]


@pytest.mark.parametrize("name", LITERAL)
def test_every_path_is_literal(store, request, name):
    """Beside what these names would find as globs."""
    if store.scheme == "gs" and set(name) & set("?#%"):
        pytest.skip("this emulator does not percent-encode the links that it gives for downloads")
    key = key_of(request)
    folder = store.url(f"{key}/{name}")
    beside = [f"{key}/{other}/file" for other in ("a1", "bb", "cxd", "y", "new x", "a b")]
    for other in beside:
        store.put(other, b"x")
    path = f"{folder}/{name}"
    files.write_bytes(path, b"1")
    assert files.match(f"{glob.escape(folder)}/*") == files.match(glob.escape(path)) == [(path, 1)]
    files.rename(path, f"{path}2")
    assert (files.exists(path), files.read_bytes(f"{path}2")) == (False, b"1")
    files.delete([f"{path}2", path])
    assert files.match(f"{glob.escape(folder)}/*") == []
    assert sorted(store.names(key)) == sorted(other.removeprefix(f"{key}/") for other in beside)


def test_a_glob_finds_the_same_on_a_store_as_on_a_disk(store, request, tmp_path):
    key = key_of(request)
    for name in ("train-1", ".train-2", "deep/train-3", "deep/deeper/train-4", "o[1]/a", "o1/a"):
        store.put(f"{key}/{name}", b"x")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    for pattern in (
        "train*",
        "*train*",
        "**",
        "**/train*",
        "*/train*",
        "deep/",
        "deep",
        "o[1]/*",
        "o[!2]/a",
        "train-1",
    ):
        found = [
            [path.removeprefix(root) for path, _ in files.find_input(f"{root}/{pattern}")]
            for root in (store.url(key), str(tmp_path))
        ]
        assert found[0] == found[1], pattern


RACING = (
    "import sys\n"
    "from melbeam.pipelines.split.lock import Locked, SplitLock\n"
    "from melbeam.transforms.folder_layout import SplitFolder\n"
    "print('ready', flush=True); input()\n"
    "try:\n"
    "    with SplitLock(SplitFolder(sys.argv[1], 'train')): print('held', flush=True); input()\n"
    "except Locked: print('refused', flush=True)"
)


def who_gets_the_lock(url, environment, num_jobs=4):
    """What jobs say that ask for a lock at once."""
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", RACING, url],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(num_jobs)
    ]
    try:
        assert [job.stdout.readline() for job in jobs] == ["ready\n"] * num_jobs
        for job in jobs:
            job.stdin.write("\n")
            job.stdin.flush()
        return sorted(job.stdout.readline().strip() for job in jobs)
    finally:
        for job in jobs:
            job.communicate("\n")


DEAD = {"token": "x", "host": "elsewhere", "pid": 1, "started": 0.0, "beat": 0.0}


class Conditions:
    """Heeds GCS' condition in front of an emulator that does not: a generation is written over once."""

    def __init__(self, is_there):
        self._mutex, self._is_there, self._written_over = threading.Lock(), is_there, set()

    def __call__(self, method, path):
        condition = parse_qs(urlsplit(path).query).get("ifGenerationMatch")
        if method != "POST" or condition is None:
            return None
        with self._mutex:
            if self._is_there if condition == ["0"] else condition[0] in self._written_over:
                return 412
            self._is_there = True
            self._written_over.add(condition[0])
        return None


@pytest.mark.parametrize("left", [None, DEAD])
def test_of_many_jobs_one_gets_the_lock_by_the_stores_own_condition(store, request, left, monkeypatch):
    """S3's emulator heeds its condition; in front of GCS' stands a proxy that does."""
    key = key_of(request)
    lock = f"{key}/_melbeam/train/lock.json"
    if left is not None:
        store.put(lock, json.dumps(left).encode())
    conditions = Conditions(left is not None) if store.scheme == "gs" else lambda *_: None
    with faulty_proxy(store.port, conditions) as (port, faults):
        said = who_gets_the_lock(store.url(key), store.environment(port))
        names = store.names(key)
    assert said == ["held", *["refused"] * 3]
    assert names == []
    if store.scheme == "gs":
        assert len(faults) >= 1


def test_of_many_jobs_one_gets_the_lock_where_the_store_heeds_no_condition(store, request):
    """GCS' emulator takes the condition and writes all the same."""
    if store.scheme == "s3":
        pytest.skip("its emulator heeds conditions")
    said = who_gets_the_lock(store.url(key_of(request)), {})
    assert said == ["held", *["refused"] * 3]


def test_a_living_jobs_lock_is_not_touched(store, request):
    key = key_of(request)
    lock = f"{key}/_melbeam/train/lock.json"
    content = json.dumps({**DEAD, "beat": time.time() + 600}).encode()
    store.put(lock, content)
    with pytest.raises(Locked, match="process 1 on elsewhere"), SplitLock(SplitFolder(store.url(key), "train")):
        pass
    assert store.files(key)["_melbeam/train/lock.json"] == content


def test_an_output_with_characters_of_globs(store, source, expected, to_store, request):
    key = f"{key_of(request)}/features [v1]*"
    beside = f"{key_of(request)}/features v1x/train-00000-of-00006.tfrecord"
    store.put(beside, b"another's")
    to_store(*extracting(source, store.url(key)))
    to_store(*extracting(source, store.url(key), "--overwrite"))
    assert store.files(key) == expected
    assert "no faults" in to_store("verify", store.url(key))
    assert beside.rpartition("/")[2] in store.names(beside.rpartition("/")[0])


def test_s3_options_of_beam(store, stored_source, to_store, expected_of_stored, request):
    """The store that Beam's own options name, before there is a pipeline too."""
    if store.scheme != "s3":
        pytest.skip("options of s3:// alone")
    key, environment = key_of(request), store.environment(store.port)
    options = [
        f"--s3_endpoint_url={environment['AWS_ENDPOINT_URL']}",
        "--s3_access_key_id=test",
        "--s3_secret_access_key=test",
        "--s3_region_name=us-east-1",
    ]
    to_store(*extracting(stored_source, store.url(key), *options), **dict.fromkeys(environment, ""))
    assert store.files(key) == expected_of_stored


def test_features_by_number_on_a_store(store, to_store, request, tmp_path):
    """A folder without an index, which gets one on the store; read without TensorFlow, in processes too."""
    local = tmp_path / "f"
    shutil.copytree(FOLDER_OF_VERSION_1, local)
    assert index.main([str(local)]) == 0
    key = f"{request.node.originalname}/[1] f"
    store.put_folder(FOLDER_OF_VERSION_1, key)
    with pytest.raises(ValueError, match=r"00000.npy is missing: `melbeam index"):
        FeatureSource(store.url(key))
    to_store("index", store.url(key))
    script = f"""
import multiprocessing, sys
import numpy as np
from melbeam.transforms import FeatureSource

def check(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert set(ours) == set(theirs)
        for name in theirs:
            np.testing.assert_array_equal(ours[name], theirs[name])

if __name__ == "__main__":
    source, local = (FeatureSource(folder, "train+train_retried") for folder in {(store.url(key), str(local))!r})
    expected = list(local)
    assert source.num_frames.tolist() == local.num_frames.tolist()
    check(source, expected)  # so that there is a client before the fork
    for start in ("fork", "spawn"):
        with multiprocessing.get_context(start).Pool(2) as pool:
            check(pool.map(source.__getitem__, range(len(source))), expected)
    print(sorted({{name.split(".")[0] for name in sys.modules}} & {{"tensorflow", "apache_beam"}}))
"""
    path = tmp_path / "read.py"
    path.write_text(script)
    ran = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=JOB_SECONDS, check=False)
    assert (ran.returncode, ran.stdout) == (0, "[]\n"), ran.stderr
    source = FeatureSource(store.url(key))
    store.delete(f"{key}/train-00000-of-00002.tfrecord")
    with pytest.raises(FileNotFoundError, match=r"train-00000-of-00002.tfrecord: the store has no such object"):
        source[0]
    with pytest.raises(ValueError, match=r"front_end.json is missing"):
        FeatureSource(store.url("nothing"))


def test_features_in_tf_data_on_a_store(store, request, tmp_path):
    """By the store's own client, with the same values as from a disk."""
    local = tmp_path / "f"
    shutil.copytree(FOLDER_OF_VERSION_1, local)
    assert index.main([str(local)]) == 0
    key = f"{request.node.originalname}/[1] f"
    store.put_folder(local, key)
    options = {"split": "train+train_retried", "shuffle": True, "seed": 1, "batch_size": 2, "mask": True}
    found, expected = (
        list(read_features(folder, **options).as_numpy_iterator()) for folder in (store.url(key), local)
    )
    assert len(found) == len(expected) > 1
    for ours, theirs in zip(found, expected, strict=True):
        assert set(ours) == set(theirs)
        for name in theirs:
            np.testing.assert_array_equal(ours[name], theirs[name])
    store.delete(f"{key}/train-00000-of-00002.tfrecord")
    with pytest.raises(ValueError, match=r"1 of 2 shards are missing, the first is .*train-00000-of-00002"):
        read_features(store.url(key))
    with pytest.raises(ValueError, match=r"front_end.json is missing"):
        read_features(store.url("nothing"))
