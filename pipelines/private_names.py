"""Every name that another package keeps private, or does not promise to keep, is used in this module alone.

A release of theirs may move or drop such a name without a word. `MADE_FOR` says which release each was read in;
a test resolves them all, so that a newer release breaks there and not in a job. Beam is imported where it is asked
for: the parsers import this room, and not Beam.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from melbeam import pipelines, transforms
from melbeam.transforms.reading import storage
from melbeam.transforms.reading.storage import is_of_a_store

LOGGER_OF_LOCAL_WORKERS = "apache_beam.runners.portability.local_job_service"
# The local runner says this of a worker process, before its status.
_END_OF_WORKER = "Worker subprocess exited with return code"
_ASKED_TO_END = {str(-number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
_LOG = logging.getLogger("melbeam")
_OUR_FOLDERS = (*pipelines.__path__, *transforms.__path__)
# Module, name in it, and the package and the release in whose source it was read.
MADE_FOR = (
    ("apache_beam.options.pipeline_options", "PipelineOptions._add_argparse_args", "apache-beam", "2.77.0"),
    ("apache_beam.io.filesystems", "FileSystems._pipeline_options", "apache-beam", "2.77.0"),
    (
        "apache_beam.runners.portability.fn_api_runner.worker_handlers",
        "DATA_BUFFER_TIME_LIMIT_MS",
        "apache-beam",
        "2.77.0",
    ),
    ("apache_beam.io.filesystem", "FileSystem._list", "apache-beam", "2.77.0"),
    ("apache_beam.io.gcp.gcsio", "GcsIO.delete_batch", "apache-beam[gcp]", "2.77.0"),
    ("apache_beam.io.gcp.gcsio", "create_storage_client", "apache-beam[gcp]", "2.77.0"),
    ("apache_beam.io.gcp.gcsio", "parse_gcs_path", "apache-beam[gcp]", "2.77.0"),
    ("apache_beam.io.aws.s3io", "parse_s3_path", "apache-beam[aws]", "2.77.0"),
    ("apache_beam.io.aws.clients.s3.boto3_client", "Client", "apache-beam[aws]", "2.77.0"),
    ("apache_beam.io.aws.clients.s3.boto3_client", "boto3", "apache-beam[aws]", "2.77.0"),
)

# A store's client: for how many seconds it is kept, its connections, and the variables of which it is made.
_CLIENT_SECONDS = 300
_CONNECTIONS = 64
_CLIENT_VARIABLES = ("AWS_", "BOTO_", "GOOGLE_", "CLOUDSDK_", "STORAGE_EMULATOR_HOST")
_schemes_kept: set[str] = set()


def beam_options() -> dict[str, bool]:
    """The names of Beam's options, without their dashes, and whether each takes a value.

    Beam parses leniently and drops what it does not know; this is how a mistyped option is found.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    options = _RecordedOptions()
    for option_class in _subclasses(PipelineOptions):
        option_class._add_argparse_args(options)
    return options.takes_value


class _RecordedOptions:
    """Stands for the parser that Beam's option classes add their arguments to, and writes their names down."""

    _WITHOUT_VALUE = ("store_true", "store_false", "store_const", "append_const", "count")

    def __init__(self) -> None:
        self.takes_value: dict[str, bool] = {}

    def add_argument(self, *names: str, **settings: Any) -> None:
        action = settings.get("action")
        without = action in self._WITHOUT_VALUE or settings.get("nargs") == 0
        if isinstance(action, type):  # Beam's own actions, which decide it at construction
            without = action(option_strings=list(names), dest="", nargs=settings.get("nargs")).nargs == 0
        for name in names:
            self.takes_value.setdefault(name.lstrip("-"), not without)

    add_value_provider_argument = add_argument

    def add_mutually_exclusive_group(self, **_: Any) -> _RecordedOptions:
        return self


def _subclasses(cls: Any) -> list[Any]:
    return [cls, *(deeper for sub in cls.__subclasses__() for deeper in _subclasses(sub))]


def silence_local_workers() -> None:
    """Keeps the local runner from printing tracebacks: the job tells what went wrong itself.

    They are those of failed bundles, and of the threads that wait for worker processes, which a terminal's Ctrl-C
    ends with the job.
    """
    import grpc
    from apache_beam.runners.worker import sdk_worker

    vars(sdk_worker)["print"] = lambda *_, **__: None
    if not isinstance(threading.excepthook, _EndsOfWorkers):
        threading.excepthook = _EndsOfWorkers(threading.excepthook, grpc.RpcError)


class _EndsOfWorkers:
    """A hook for what threads raise: of a worker process that ends, it has a line, unless a signal asked for it.

    Args:
        hook: for all else.
        lost: what is raised where the connection to such a process ends, of which nothing is said.
    """

    def __init__(self, hook: Callable[[threading.ExceptHookArgs], Any], lost: type[BaseException]) -> None:
        self._hook, self._lost = hook, lost

    def __call__(self, raised: threading.ExceptHookArgs) -> None:
        message = str(raised.exc_value)
        if issubclass(raised.exc_type, self._lost):
            return
        if raised.exc_type is not RuntimeError or not message.startswith(_END_OF_WORKER):
            self._hook(raised)
        elif message.removeprefix(_END_OF_WORKER).strip() not in _ASKED_TO_END:
            _LOG.warning("a worker process has ended: %s", message)


def keep_elements_whole() -> None:
    """Keeps the local runner from sending elements by the clock: they go when there are 10 MB, or no more.

    Its clock is a thread that once a second takes what is in a buffer, also while another thread is writing an
    element into it. The element then comes in two pieces, which are read as something else, or what was written
    between the thread's two steps, taking and emptying, is gone. Runners elsewhere have no such clock by default.
    """
    from apache_beam.runners.portability.fn_api_runner import worker_handlers

    vars(worker_handlers)["DATA_BUFFER_TIME_LIMIT_MS"] = 0


def words_of_local_worker(record: logging.LogRecord) -> str | None:
    """What melbeam said in a local worker process; None for a log line that is no such words.

    The local runner logs the entries that its worker processes send in their text format.
    """
    if record.name != LOGGER_OF_LOCAL_WORKERS:
        return None
    from apache_beam.portability.api import beam_fn_api_pb2
    from google.protobuf import text_format

    try:
        entry = text_format.Parse(record.getMessage().removeprefix("Worker: "), beam_fn_api_pb2.LogEntry())
    except text_format.ParseError:
        return None
    return entry.message if entry.log_location.startswith(_OUR_FOLDERS) else None


def prepare_store(path: str) -> None:
    """Gives Beam's file systems options where no pipeline has, and the path's a client that is used again.

    S3's options have no default, and it would fail without. Beam makes a client for each file and each request:
    boto3's takes 50 ms of a processor to make, twenty times what the features of a clip of 10 s take, and every
    client has connections of its own to open.
    """
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    if FileSystems._pipeline_options is None:
        FileSystems.set_options(PipelineOptions([]))
    scheme = path.partition("://")[0]
    if scheme not in _schemes_kept:
        _keep_client(scheme)
        _schemes_kept.add(scheme)


def _keep_client(scheme: str) -> None:
    if scheme == "s3":
        from apache_beam.io.aws.clients.s3 import boto3_client

        if boto3_client.boto3 is not None:  # else Beam tells that the extra `aws` is not there
            # All that Beam calls of it is `boto3.session.Session().client(...)`.
            session = SimpleNamespace(client=_kept(_s3_client))
            boto3_client.boto3 = SimpleNamespace(session=SimpleNamespace(Session=lambda: session))
    elif scheme == "gs":
        with suppress(ImportError):  # the extra `gcp` is not there
            from apache_beam.io.gcp import gcsio

            gcsio.create_storage_client = _kept(gcsio.create_storage_client)


def _s3_client(**settings: Any) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(**settings, config=Config(max_pool_connections=_CONNECTIONS))


def _kept(make: Callable[..., Any]) -> Callable[..., Any]:
    """Gives what `make` gave for equal arguments, to all threads.

    It is kept for a process, since no client survives a fork, and for some minutes and an environment, so that
    credentials that change meanwhile are read.
    """
    made = lru_cache(maxsize=4)(lambda _, arguments, settings: make(*arguments, **dict(settings)))

    def kept(*arguments: Any, **settings: Any) -> Any:
        environment = sorted(item for item in os.environ.items() if item[0].startswith(_CLIENT_VARIABLES))
        period = (os.getpid(), time.monotonic() // _CLIENT_SECONDS, *environment)
        return made(period, arguments, tuple(sorted(settings.items())))

    return kept


def list_files(file_system: Any, start: str) -> Iterator[Any]:
    """Metadata of the files whose paths begin so, or that lie below that folder where there are folders.

    Beam's public `match` ends the beginning that it lists by at the first `[`, `*` or `?`, literal ones too.
    """
    return file_system._list(start)


def delete_from_gcs(paths: list[str]) -> None:
    """Deletes gs:// objects by their literal names; one that is gone is no error.

    Raises:
        OSError: with a status of the store as its cause's `code`.
    """
    for path, status in _gcs().delete_batch(paths):
        if status is not None:
            raise _StatusError(f"{path} was not deleted: status {status}", status)


def put_empty_s3_object(path: str) -> None:
    """Writes an object of no bytes: Beam would upload it in parts, and S3 refuses an upload of no parts."""
    client, place = _s3(path)
    client.put_object(**place, Body=b"")


def size_version_and_checksum(path: str) -> tuple[int, Any, str]:
    """A gs:// or s3:// object's size in bytes, its generation or ETag, and its CRC32C or ETag, in one request.

    Raises:
        NotImplementedError: it is another store.
    """
    if path.startswith("gs://"):
        blob = _gcs_blob(path)
        blob.reload()
        return blob.size, blob.generation, str(blob.crc32c)
    if path.startswith("s3://"):
        client, place = _s3(path)
        head = client.head_object(**place)
        return head["ContentLength"], head["ETag"], head["ETag"]
    raise NotImplementedError(path)


def read_object(path: str, part: tuple[int, int] | None = None, version: Any = None) -> bytes:
    """A gs:// or s3:// object, or `(offset, size)` of it, in one request; only if it has that version.

    Beam's own files ask for the object's size first, and read 16 MiB at a time, however little is asked for.

    Raises:
        NotImplementedError: it is another store.
    """
    if not is_of_a_store(path):
        raise NotImplementedError(path)
    client = _gcs().client if path.startswith("gs://") else _s3(path)[0]
    return storage.read_object(path, client, part, version)


def read_version(path: str) -> tuple[bytes, Any] | None:
    """A gs:// or s3:// object's bytes, and its generation or ETag; None where there is none.

    Raises:
        NotImplementedError: it is another store.
    """
    if path.startswith("gs://"):
        from google.cloud.exceptions import NotFound

        blob = _gcs_blob(path)
        try:
            blob.reload()
            generation = blob.generation  # this one is downloaded, by an answer that need not name it
            return blob.download_as_bytes(), generation
        except NotFound:
            return None
    if path.startswith("s3://"):
        client, place = _s3(path)
        try:
            answer = client.get_object(**place)
        except client.exceptions.NoSuchKey:
            return None
        return answer["Body"].read(), answer["ETag"]
    raise NotImplementedError(path)


def write_version(path: str, data: bytes, version: Any) -> None:
    """Writes a gs:// or s3:// object if it still has that generation or ETag, or, for None, if there is none.

    Raises:
        NotImplementedError: it is another store, or its client knows no conditions.
        Exception: the client's own, status 412, where the condition does not hold.
    """
    if path.startswith("gs://"):
        # With a condition a request that was tried again may meet its own first try, and be refused.
        _gcs_blob(path).upload_from_string(data, if_generation_match=version or 0)
    elif path.startswith("s3://"):
        client, place = _s3(path)
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        from botocore.exceptions import ParamValidationError

        try:
            client.put_object(**place, Body=data, **condition)
        except ParamValidationError as error:
            raise NotImplementedError(f"this boto3 knows no {', '.join(condition)}") from error
    else:
        raise NotImplementedError(path)


class _StatusError(OSError):
    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def _gcs() -> Any:
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.io.gcp.gcsio import GcsIO  # part of the extra `gcp`

    return GcsIO(pipeline_options=FileSystems._pipeline_options)


def _gcs_blob(path: str) -> Any:
    from apache_beam.io.gcp.gcsio import parse_gcs_path  # part of the extra `gcp`

    bucket, name = parse_gcs_path(path)
    return _gcs().client.bucket(bucket).blob(name)


def _s3(path: str) -> tuple[Any, dict[str, str]]:
    """The client of boto3 that Beam's options give, and where the object lies."""
    from apache_beam.io.aws.clients.s3.boto3_client import Client  # part of the extra `aws`
    from apache_beam.io.aws.s3io import parse_s3_path
    from apache_beam.io.filesystems import FileSystems

    bucket, key = parse_s3_path(path)
    return Client(FileSystems._pipeline_options).client, {"Bucket": bucket, "Key": key}
