"""Runs FFmpeg's libraries in a separate process: they take many formats, and so are a large target for attacks.

The two sides speak over a `multiprocessing.connection`. What comes back is JSON and samples, never a pickle. The
other side is a fresh interpreter, not a fork of a process that has threads; it ends when this one does. A process
serves one call at a time, and waits for the next; there are as many as calls ran at once.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, replace
from fractions import Fraction
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from melbeam.transforms import fresh_interpreter
from melbeam.transforms.fresh_interpreter import ending_in_words
from melbeam.transforms.records.decoding.audio import Audio, DecoderError, Request
from melbeam.transforms.records.decoding.media.stated import Media
from melbeam.transforms.records.rejects import Reject

_TRIES = 2  # a file is to blame where it kills a fresh process too
_lock = threading.Lock()
_idle: list[_Process] = []


@functools.cache
def is_installed() -> bool:
    """Whether PyAV is there; it is not loaded here."""
    return importlib.util.find_spec("av") is not None


def decode_apart(data: bytes, media: Media, request: Request) -> Audio:
    """Decodes a whole file with FFmpeg, in another process, and holds it against what it states.

    Raises:
        Reject: bad_audio, empty_audio, not_finite, out_of_range, rate_mismatch or over_limit; converter_error,
            where the file kills the process.
        DecoderError: FFmpeg fails, or gives another number of samples than the file holds.
        MemoryError: the other process had not the memory, over a small file.
    """
    status = 0
    for _ in range(_TRIES):
        process = _take()
        try:
            audio = process.decode(data, media, request)
        except (OSError, EOFError):  # it is gone
            status = process.end()
            continue
        except BaseException as error:
            # After an answer the process is ready for the next file; after an interruption of this side it is not.
            if isinstance(error, (Reject, DecoderError, MemoryError)):
                _give_back(process)
            else:
                process.end()
            raise
        _give_back(process)
        return audio
    why = ending_in_words(status)
    raise Reject("converter_error", f"{media.name}: it ended the process that decodes with PyAV: {why}")


class _Process:
    """The process that decodes, and this side's end of the connection to it."""

    def __init__(self) -> None:
        self._process, self._connection = fresh_interpreter.start(
            __name__,
            stdin=subprocess.PIPE,  # which closes when this process is gone, however that comes about
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def decode(self, data: bytes, media: Media, request: Request) -> Audio:
        """What `libav.decode` gives or raises there.

        Raises:
            OSError, EOFError: the process is gone.
        """
        described = asdict(media) | {
            "seconds": None if media.seconds is None else str(media.seconds),
            "tolerance": str(media.tolerance),
        }
        self._connection.send_bytes(json.dumps([described, asdict(request)]).encode())
        self._connection.send_bytes(data)
        answer = json.loads(self._connection.recv_bytes())
        if "reject" in answer:
            raise Reject(*answer["reject"])
        if "error" in answer:
            raise DecoderError(answer["error"])
        if "memory" in answer:
            raise MemoryError(answer["memory"])
        samples, shape = bytearray(answer.pop("num_bytes")), answer.pop("shape")
        self._connection.recv_bytes_into(samples)
        return Audio(np.frombuffer(samples, np.float32).reshape(shape), **answer)

    def end(self) -> int:
        """Ends the process; gives its exit status, negative for a signal."""
        self._connection.close()
        if self._process.stdin is not None:
            self._process.stdin.close()
        return self._process.wait()


def _take() -> _Process:
    with _lock:
        if _idle:
            return _idle.pop()
    return _Process()


def _give_back(process: _Process) -> None:
    with _lock:
        _idle.append(process)


def _forget_processes() -> None:
    """A forked child leaves its parent's processes to it, and the lock may be held by a thread that it has not."""
    global _lock
    _lock = threading.Lock()
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_processes)


def serve(handle: int) -> None:
    """The other side: decodes what comes over the connection, until that is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, whose end is this one's
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    connection = Connection(handle)
    with suppress(EOFError, OSError):
        while True:
            described, asked = json.loads(connection.recv_bytes())
            media = Media(**described)
            media = replace(
                media,
                seconds=None if media.seconds is None else Fraction(media.seconds),
                tolerance=Fraction(media.tolerance),
            )
            answer, samples = _answer(connection.recv_bytes(), media, Request(**asked))
            connection.send_bytes(json.dumps(answer).encode())
            if samples is not None:
                connection.send_bytes(samples)


def _answer(data: bytes, media: Media, request: Request) -> tuple[dict[str, Any], memoryview | None]:
    from melbeam.transforms.records.decoding.libav import decode

    try:
        audio = decode(data, media, request)
    except Reject as reject:
        return {"reject": [reject.reason, reject.detail]}, None
    except DecoderError as error:
        return {"error": str(error)}, None
    except MemoryError as error:
        return {"memory": str(error)}, None
    except ImportError as error:
        return {"error": f"PyAV does not load: {error}"}, None
    others = {
        "shape": audio.samples.shape,
        "source_rate": audio.source_rate,
        "resampled": audio.resampled,
        "mixed_down": audio.mixed_down,
        "cut_short": audio.cut_short,
    }
    return {"num_bytes": audio.samples.nbytes} | others, audio.samples.data.cast("B")


def _end_with_the_parent() -> None:
    """Standard input holds nothing and ends when the parent does, also while a decoder hangs."""
    sys.stdin.buffer.read()
    os._exit(0)
