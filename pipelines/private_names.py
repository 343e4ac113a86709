"""The one room for names that other packages keep private.

A release of theirs may move or drop such a name without a word. `MADE_FOR` says which release each was read in;
a test resolves them all, so that a newer release breaks there and not in a job.
"""

from __future__ import annotations

import logging
from typing import Any

from melbeam import pipelines, transforms

LOGGER_OF_LOCAL_WORKERS = "apache_beam.runners.portability.local_job_service"
_OUR_FOLDERS = (*pipelines.__path__, *transforms.__path__)
# Module, name in it, and the package and the release in whose source it was read.
MADE_FOR = (
    ("apache_beam.options.pipeline_options", "PipelineOptions._add_argparse_args", "apache-beam", "2.77.0"),
    ("apache_beam.io.filesystems", "FileSystems._pipeline_options", "apache-beam", "2.77.0"),
)


def beam_options() -> dict[str, bool]:
    """Names of Beam's options, without their dashes, and whether each takes a value.

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
    """Keeps the local runner from printing a failed bundle's traceback: the job tells what went wrong itself."""
    from apache_beam.runners.worker import sdk_worker

    vars(sdk_worker)["print"] = lambda *_, **__: None


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


def ensure_store_options() -> None:
    """Gives Beam's file systems options where no pipeline has: S3's has no default and would fail without."""
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    if FileSystems._pipeline_options is None:
        FileSystems.set_options(PipelineOptions([]))


def put_empty_s3_object(bucket: str, key: str) -> None:
    """Writes an object of no bytes: Beam would upload it in parts, and S3 refuses an upload of no parts."""
    from apache_beam.io.aws.clients.s3.boto3_client import Client  # part of the extra `aws`
    from apache_beam.io.filesystems import FileSystems

    Client(FileSystems._pipeline_options).client.put_object(Bucket=bucket, Key=key, Body=b"")
