"""Sends a job's messages where they belong: to the screen what a person should read, to a log file everything.

TensorFlow, absl, CUDA and the decoders' libraries write to the process's standard error themselves, past Python.
While a job runs, that descriptor is the log file, which the processes that it starts inherit, and Python's
`sys.stderr` goes on writing to the screen. The file is removed when the job ends well; when it fails, it lies
beside the split's bookkeeping, or stays where temporary files are, and the job's last words name it.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from melbeam.pipelines.private_names import LOGGER_OF_LOCAL_WORKERS, words_of_local_worker
from melbeam.pipelines.words import harmless_lines

_STDERR = 2
_BEAM = "apache_beam"
# Warnings of these loggers mean nothing to a person; the job itself says what follows from them.
_QUIET = (_BEAM, "tensorflow", "absl", "h5py", "py.warnings", "botocore", "google")
# Beam logs an error of S3's with its traceback on the root logger.
_MODULES = ("s3io",)

_active: list[JobLog] = []


class JobLog:
    """The log file of a job at work.

    Attributes:
        path: of the file.
        goes_on: what would find what this command has finished, in words, "the same command" for example; nothing
            until the job says so.
        home: where the file belongs once the job has failed, on this machine's file system; or None.
        failed: whether the file is to be kept.
    """

    def __init__(self, path: str, screen: int) -> None:
        self.path = path
        self.goes_on = ""
        self.home: str | None = None
        self.failed = False
        self.screen = screen

    def shows(self, record: logging.LogRecord) -> bool:
        """Whether a log line is for the screen."""
        words = words_of_local_worker(record)
        if words is not None:  # the file has them as they came, for its handler is asked first
            record.name, record.msg, record.args = "melbeam", words, ()
        package = record.name.partition(".")[0]
        if package == "melbeam":
            return record.levelno >= logging.INFO
        return (
            record.levelno >= logging.WARNING
            and package not in _QUIET
            and record.name not in _QUIET
            and record.module not in _MODULES
        )

    def keep(self) -> str:
        """Keeps the file, in its home where it has one; says where the whole error is."""
        self.failed = True
        if self.path == os.devnull:
            return "--verbose shows it, for no temporary file could be made"
        if self.home is not None:
            with suppress(OSError):  # the disk may be full, which may be why the job failed
                self.path = shutil.move(self.path, self.home)
        return self.path

    def words_of_workers(self) -> list[str]:
        """The lines that worker processes wrote for a person, which they could only write into the file."""
        with open(self.path, encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in file if line.startswith("melbeam: ")]


class _ForPeople(logging.Formatter):
    """Shows melbeam's own lines as `words.say` does, and those of other packages with their names."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name.partition(".")[0] != "melbeam":
            return harmless_lines(f"{record.levelname} {record.name}: {super().format(record)}")
        warning = "warning: " if record.levelno == logging.WARNING else ""
        return harmless_lines(f"melbeam: {warning}{super().format(record)}")


if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:  # which Python 3.10 gives no types
    _StreamHandler = logging.StreamHandler


class _FileHandler(_StreamHandler):
    """Writes log lines to the file; on a full disk it drops them, and the screen still shows its own."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Does without the line."""


class _ScreenHandler(_StreamHandler):
    """Writes log lines to whatever `sys.stderr` is at the moment."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


@contextmanager
def job_log(*, verbose: bool = False) -> Iterator[JobLog]:
    """The log of a job while the `with` block runs; inside another job's, it is that job's.

    Args:
        verbose: everything goes to the screen, the libraries' own words too.
    """
    if _active:
        yield _active[-1]
        return
    with ExitStack() as undo:
        descriptor, path = _open_file()
        undo.callback(os.close, descriptor)
        screen = _STDERR if verbose else _redirect(descriptor, undo)
        log = JobLog(path, screen)
        _active.append(log)
        undo.callback(_active.remove, log)
        in_file = _FileHandler(os.fdopen(os.dup(descriptor), "a", encoding="utf-8", buffering=1))
        undo.callback(_close, in_file.stream)
        in_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        on_screen = _ScreenHandler()
        on_screen.setFormatter(_ForPeople("%(message)s"))
        if not verbose:
            on_screen.addFilter(log.shows)
        root = logging.getLogger()
        for handler in (in_file, on_screen):
            root.addHandler(handler)
            undo.callback(root.removeHandler, handler)
        levels = {"": logging.INFO, "melbeam": logging.DEBUG, "botocore": logging.WARNING}
        levels[LOGGER_OF_LOCAL_WORKERS] = logging.INFO  # among its lines are melbeam's own
        levels[_BEAM] = logging.INFO if verbose else logging.WARNING  # Beam has several lines a second below
        for name, level in levels.items():
            logger = logging.getLogger(name)
            undo.callback(logger.setLevel, logger.level)
            logger.setLevel(level)
        if not verbose:
            undo.enter_context(warnings.catch_warnings())
            logging.captureWarnings(True)
            undo.callback(logging.captureWarnings, False)
        try:
            yield log
        finally:
            if not log.failed and log.path != os.devnull:
                os.remove(log.path)


def _open_file() -> tuple[int, str]:
    """The log file, its descriptor and path; the null device where no temporary file can be made."""
    try:
        return tempfile.mkstemp(prefix="melbeam-", suffix=".log")
    except OSError:
        return os.open(os.devnull, os.O_RDWR), os.devnull


def _close(stream: TextIO) -> None:
    with suppress(OSError):  # a full disk, on which what was not yet written has no place
        stream.close()


def current_log() -> JobLog | None:
    """The log of the job at work in this process, if there is one."""
    return _active[-1] if _active else None


def screen_descriptor() -> int:
    """The descriptor by which native code and a dying process reach the screen."""
    return _active[-1].screen if _active else _STDERR


def _redirect(descriptor: int, undo: ExitStack) -> int:
    """Makes standard error another file's descriptor, for all but Python; gives the screen's."""
    sys.stderr.flush()
    screen = os.dup(_STDERR)
    undo.callback(os.close, screen)
    os.dup2(descriptor, _STDERR)
    undo.callback(os.dup2, screen, _STDERR)
    given = sys.stderr
    if _descriptor_of(given) == _STDERR:  # else it writes elsewhere already, as under pytest
        ours = open(os.dup(screen), "w", buffering=1, encoding=given.encoding, errors=given.errors)  # noqa: SIM115
        sys.stderr = ours
        undo.callback(_give_back, given, ours)
    return screen


def _descriptor_of(stream: TextIO) -> int | None:
    with suppress(OSError, AttributeError):  # a stream without a descriptor
        return stream.fileno()
    return None


def _give_back(given: TextIO, ours: TextIO) -> None:
    ours.flush()
    if sys.stderr is ours:
        sys.stderr = given
