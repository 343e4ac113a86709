"""Measures what it brings that a shard of a store is read and written while it is computed.

    python benchmarks/store.py          # at most 3 minutes

A store is made of a local folder: each request takes 50 ms, and the time that its bytes take at 100 MB/s. One
process takes the same shard from it, and writes its features to it, over and over: with the threads that fetch and
write, and with each request waited for. Both ways write the same bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from unittest import mock

from claims import Claim, report
from corpus import Corpus

REQUEST_SECONDS, BYTES_PER_SECOND = 0.05, 100e6
URL = "s3://bench"


class Waiting:
    """Stands for a pool of threads: what it is given is done at once."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        """Calls the function."""
        done: Future[Any] = Future()
        done.set_result(function(*arguments))
        return done

    def shutdown(self, **_: Any) -> None:
        """Does nothing."""


class Upload:
    """An object that is being written, in parts."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "wb")  # noqa: SIM115

    def write(self, data: bytes) -> None:
        """A request for a part."""
        request(len(data))
        self._file.write(data)

    def close(self) -> None:
        """The request that names the object."""
        request(0)
        self._file.close()


def request(num_bytes: int) -> None:
    """Takes the time of a request."""
    time.sleep(REQUEST_SECONDS + num_bytes / BYTES_PER_SECOND)


@contextlib.contextmanager
def store(folder: Path) -> Iterator[None]:
    """Has `s3://bench/` lie in a folder."""
    from apache_beam.io.filesystems import FileSystems

    from melbeam.pipelines import private_names
    from melbeam.pipelines.files import stores

    def local(url: str) -> Path:
        return folder / url.removeprefix(f"{URL}/")

    def size_and_version(url: str) -> tuple[int, str]:
        request(0)
        return local(url).stat().st_size, ""

    def state(url: str) -> tuple[int, str]:
        request(0)
        return size_and_version(url)  # whose request is that for the checksum

    def read_object(url: str, part: tuple[int, int], version: Any = None) -> bytes:
        request(part[1])
        with open(local(url), "rb") as file:
            file.seek(part[0])
            return file.read(part[1])

    def list_files(*_: Any) -> Iterator[Any]:
        request(0)
        return iter(())  # of earlier attempts, whose folders are deleted

    with (
        mock.patch.object(private_names, "prepare_store"),
        mock.patch.object(private_names, "list_files", list_files),
        mock.patch.object(private_names, "size_and_version", size_and_version),
        mock.patch.object(private_names, "read_object", read_object),
        mock.patch.object(stores, "state", state),
        mock.patch.object(FileSystems, "create", lambda url, **_: Upload(local(url))),
    ):
        yield


@contextlib.contextmanager
def in_turn() -> Iterator[None]:
    """Has each request waited for."""
    from melbeam.pipelines.files import store_reader, store_writer

    with (
        mock.patch.object(store_reader, "ThreadPoolExecutor", Waiting),
        mock.patch.object(store_writer, "ThreadPoolExecutor", Waiting),
    ):
        yield


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--hours", type=float, default=1.0, help="of audio in the shard")
    options = parser.parse_args()
    from melbeam.pipelines.extracting.tensorflow_setup import prepare_tensorflow

    prepare_tensorflow(gpu=False)
    from melbeam.pipelines.extracting.shard_extractor import ShardExtractor
    from melbeam.pipelines.sources.units import Unit
    from melbeam.pipelines.split.plan import Shard
    from melbeam.transforms.folder_layout import SplitFolder
    from melbeam.transforms.front_end import FrontEnd
    from melbeam.transforms.records.converter import RecordConverter
    from melbeam.transforms.records.options import RecordOptions

    converter = RecordConverter(FrontEnd.load("gemma4"), RecordOptions())
    taken: dict[str, list[float]] = {"alone": [], "in turn": [], "meanwhile": []}
    checksums = set()
    with tempfile.TemporaryDirectory(prefix="melbeam-bench-") as work, store(Path(work)):
        corpus = Corpus(Path(work), options.hours, 1)
        (path,) = sorted(corpus.folder.glob("train-*"))
        input_of = {way: f"{URL}/{path.relative_to(work)}" for way in taken} | {"alone": str(path)}
        for number in range(options.rounds + 1):
            for way, seconds in taken.items():
                output = f"{work}/features" if way == "alone" else f"{URL}/features"
                extractor = ShardExtractor(SplitFolder(output, "train"), converter, "", max_reject_fraction=0)
                shard = Shard(0, 1, Unit(input_of[way], path.stat().st_size))
                with in_turn() if way == "in turn" else contextlib.nullcontext():
                    start = time.perf_counter()
                    attempt = extractor.extract(shard)
                    spent = time.perf_counter() - start
                if way != "alone":  # whose records say another source
                    checksums.add(attempt.report.features.crc32c)
                shutil.rmtree(f"{work}/features")
                if number:  # the first call compiles
                    seconds.append(spent / corpus.hours)
    assert len(checksums) == 1, "the ways give other bytes"
    ratio = [meanwhile / waited for meanwhile, waited in zip(taken["meanwhile"], taken["in turn"], strict=True)]
    claims = [
        Claim("an hour of audio from a disk to a disk, of the clock", "s", taken["alone"]),
        Claim("from a store to a store, each request waited for", "s", taken["in turn"]),
        Claim("from a store to a store, requests meanwhile", "s", taken["meanwhile"]),
        Claim("of the time with each request waited for", "", ratio),
    ]
    report("store", claims, minutes=3)


if __name__ == "__main__":
    main()
