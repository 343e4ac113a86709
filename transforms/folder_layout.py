"""The names of everything that lies in a folder of features, and in one of audio TFRecords.

    features/1.0.0/train-00000-of-00100.tfrecord ...     the shards of features; readers glob train-*
    features/1.0.0/dataset_info.json, features.json      TFDS metadata of all finished splits
    features/1.0.0/front_end.json, statistics.json       the front end with its fingerprint; statistics by split
    features/1.0.0/report.html                           what `melbeam report` shows of it all
    features/1.0.0/records/train-00000-of-00100.parquet  the table of a shard: ids, texts, lengths, sources
    features/1.0.0/croissant.json                        the data set as machines read it, by those tables
    features/1.0.0/README.md                             the data set's card, as hubs show it
    features/1.0.0/_melbeam/train/job.json, lock.json    what the split is made of, and who is at work on it
    features/1.0.0/_melbeam/train/plan.jsonl             the input file, or the part of one, of each shard
    features/1.0.0/_melbeam/train/schema.json            the fields of this split's records
    features/1.0.0/_melbeam/train/summary.json           totals of the finished split
    features/1.0.0/_melbeam/train/failed.log             the log of the last start, where it failed
    features/1.0.0/_melbeam/train/reports/00007.json     a finished shard's report, the mark that it is done
    features/1.0.0/_melbeam/train/index/00007.npy        where its records lie
    features/1.0.0/_melbeam/train/rejects/00007.tfrecord its rejects, if it has any
    features/1.0.0/_melbeam/train/tmp/00007/...          what attempts at it write
    audio/_melbeam/train/gathered/...                    clips on their way to shards, while ingest divides them

Paths in, paths out: nothing here lists, reads or deletes a file, so that readers and jobs both know these names.
A folder's own path is literal; the globs escape what it holds of `*`, `?` and `[`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from glob import escape

DATASET_INFO, FEATURES, FRONT_END, STATISTICS = (
    "dataset_info.json",
    "features.json",
    "front_end.json",
    "statistics.json",
)
# What lies in the bookkeeping of each split: `of_all_splits` globs it.
JOB, PLAN, SUMMARY = "job.json", "plan.jsonl", "summary.json"
REPORT_PAGE = "report.html"
CROISSANT, CARD = "croissant.json", "README.md"
TABLES = "records"  # the folder of the tables
# The name of a shard in TFDS's words; `ShardName` writes the same.
TFDS_FILE_TEMPLATE = "{SPLIT}-{SHARD_X_OF_Y}.{FILEFORMAT}"
# The version of a data set, which is the name of its folder where TFDS finds it by name.
TFDS_VERSION = "1.0.0"
# The end of the name of a small file that is being written: it is renamed when it is whole.
HALF_WRITTEN = ".tmp"

# What the name of a split has behind it in that of the split of its rejects, once they pass.
RETRIED = "_retried"
BOOKKEEPING = "_melbeam"
_MIN_DIGITS = 5
_SHARD = re.compile(r"(\w+)-(\d{5,})-of-(\d{5,})\.tfrecord")


@dataclass(frozen=True)
class ShardName:
    """The name of one TFRecord file of a split: `train-00007-of-00100.tfrecord`."""

    split: str
    index: int
    num_shards: int

    def __str__(self) -> str:
        """The name, with as many digits as TFDS expects: five, or those of the number of shards if it has more."""
        digits = max(_MIN_DIGITS, len(str(self.num_shards)))
        return f"{self.split}-{self.index:0{digits}d}-of-{self.num_shards:0{digits}d}.tfrecord"

    @classmethod
    def parse(cls, path: str) -> ShardName | None:
        """The name that the path ends with, or None where no shard is called so."""
        found = _SHARD.fullmatch(file_name(path))
        return cls(found[1], int(found[2]), int(found[3])) if found else None

    @classmethod
    def of_table(cls, path: str) -> ShardName | None:
        """The name of the shard whose records the table at the path holds, or None where no table is called so."""
        name = file_name(path)
        return cls.parse(f"{name.removesuffix('.parquet')}.tfrecord") if name.endswith(".parquet") else None

    @staticmethod
    def glob(folder: str, split: str | None = None) -> str:
        """The glob of the shards of a split in a folder, or of all splits."""
        return f"{escape(folder)}/{shards_of('*' if split is None else split)}"


@dataclass(frozen=True)
class TemporaryName:
    """The name of a file that an attempt at a shard writes: `tmp/00007/3f2a09c15d7e.report`."""

    shard: int
    attempt: str
    kind: str  # "features", "rejects", "index", "table", "report" or "progress"

    @classmethod
    def parse(cls, path: str) -> TemporaryName:
        """The inverse of `SplitFolder.temporary`."""
        shard, name = path.rsplit("/", 2)[1:]
        attempt, _, kind = name.rpartition(".")
        return cls(int(shard), attempt, kind)


@dataclass(frozen=True)
class SplitFolder:
    """The paths of one split of a folder of features.

    Args:
        output: the folder, without a slash at its end.
        split: the name of the split.
    """

    output: str
    split: str

    @classmethod
    def holding(cls, path: str) -> SplitFolder:
        """The split that job.json, or another file directly in its bookkeeping, belongs to."""
        output, _, split, _ = path.rsplit("/", 3)
        return cls(output, split)

    @property
    def retried(self) -> SplitFolder:
        """The split of what passes when this one's rejects are tried again."""
        return SplitFolder(self.output, f"{self.split}{RETRIED}")

    def shard(self, index: int, num_shards: int) -> str:
        """A finished shard of features."""
        return f"{self.output}/{ShardName(self.split, index, num_shards)}"

    @property
    def shards_glob(self) -> str:
        """The glob of the shards of features."""
        return ShardName.glob(self.output, self.split)

    @property
    def like_shards_glob(self) -> str:
        """The glob of the shards, and of files that readers who glob `train-*` would take for some."""
        return f"{escape(self.output)}/{self.split}-*.tfrecord*"

    def table(self, index: int, num_shards: int) -> str:
        """The table of a shard's records."""
        name = str(ShardName(self.split, index, num_shards)).removesuffix(".tfrecord")
        return f"{self.output}/{TABLES}/{name}.parquet"

    @property
    def tables_glob(self) -> str:
        """The glob of the tables of all shards."""
        return f"{escape(self.output)}/{tables_of(self.split)}"

    @property
    def bookkeeping(self) -> str:
        """The folder of everything that is not features."""
        return f"{self.output}/{BOOKKEEPING}/{self.split}"

    @property
    def job(self) -> str:
        """What the split is made of."""
        return f"{self.bookkeeping}/{JOB}"

    @property
    def lock(self) -> str:
        """Which job is at work on the split."""
        return f"{self.bookkeeping}/lock.json"

    @property
    def lock_guard(self) -> str:
        """Which job is taking a dead one's lock over; one of the half-written files."""
        return f"{self.lock}.guard{HALF_WRITTEN}"

    @property
    def plan(self) -> str:
        """The input file, or the part of one, of each shard."""
        return f"{self.bookkeeping}/{PLAN}"

    @property
    def schema(self) -> str:
        """The fields of this split's records."""
        return f"{self.bookkeeping}/schema.json"

    @property
    def summary(self) -> str:
        """Totals of the finished split."""
        return f"{self.bookkeeping}/{SUMMARY}"

    @property
    def failure_log(self) -> str:
        """The log of the last start that failed."""
        return f"{self.bookkeeping}/failed.log"

    def report(self, index: int) -> str:
        """The report of a shard: the mark that it is done."""
        return f"{self.bookkeeping}/reports/{index:05d}.json"

    @property
    def reports_glob(self) -> str:
        """The glob of the reports."""
        return self._below("reports/*.json")

    def index(self, index: int) -> str:
        """Where the records of a shard lie in its file."""
        return f"{self.bookkeeping}/index/{index:05d}.npy"

    @property
    def index_glob(self) -> str:
        """The glob of the indexes."""
        return self._below("index/*.npy")

    def rejects(self, index: int) -> str:
        """The rejects of a shard, if it has any."""
        return f"{self.bookkeeping}/rejects/{index:05d}.tfrecord"

    @property
    def rejects_glob(self) -> str:
        """The glob of the rejects of all shards."""
        return self._below("rejects/*.tfrecord")

    def temporary_folder(self, index: int) -> str:
        """The folder of what attempts at a shard write: each shard has its own, so that no listing is long."""
        return f"{self.bookkeeping}/tmp/{index:05d}"

    def temporary(self, index: int, attempt: str, kind: str) -> str:
        """A file of one attempt at a shard; kind as in `TemporaryName`."""
        return f"{self.temporary_folder(index)}/{attempt}.{kind}"

    def temporaries_glob(self, index: int | None = None) -> str:
        """The glob of what attempts at a shard, or at all of them, write."""
        return f"{escape(self.temporary_folder(index))}/*" if index is not None else self._below("tmp/*/*")

    @property
    def gathered(self) -> SplitFolder:
        """Where clips lie in the order of the input until each is written to its shard, of a job's first split."""
        return SplitFolder(f"{self.bookkeeping}/gathered", "clips")

    @property
    def gathered_glob(self) -> str:
        """The glob of everything there."""
        return self._below("gathered/**")

    @property
    def half_written_globs(self) -> tuple[str, ...]:
        """The globs of small files that a job which was killed was writing at that moment."""
        return tuple(self._below(f"{folder}*{HALF_WRITTEN}") for folder in ("", "reports/", "index/"))

    @property
    def contents_globs(self) -> tuple[str, ...]:
        """The globs of what shards leave in the bookkeeping, the reports first."""
        return tuple(self._below(f"{folder}/*") for folder in ("reports", "index", "rejects"))

    @property
    def bookkeeping_glob(self) -> str:
        """The glob of the files directly in the bookkeeping."""
        return self._below("*")

    def _below(self, pattern: str) -> str:
        return f"{escape(self.bookkeeping)}/{pattern}"


def shards_of(split: str) -> str:
    """The glob of the shards of a split, from the folder of features on."""
    return f"{split}-*-of-*.tfrecord"


def tables_of(split: str) -> str:
    """The glob of the tables of a split, from the folder of features on."""
    return f"{TABLES}/{split}-*-of-*.parquet"


def folder_of_dataset(data_dir: str, name: str) -> str:
    """The folder that `tfds.load(name, data_dir=data_dir)` reads."""
    return f"{data_dir}/{name}/{TFDS_VERSION}"


def file_name(path: str) -> str:
    """The last part of a path."""
    return path.rsplit("/", 1)[-1]


def parent(path: str) -> str:
    """The folder that a path with a slash lies in."""
    return path.rsplit("/", 1)[0]


def folder_of(path: str) -> str:
    """The folder that a path lies in; "." for a name alone."""
    return parent(path) if "/" in path else "."


def folder_prefix(path: str) -> str:
    """The folder that a path lies in, with a slash at its end; "" for a name alone."""
    return f"{parent(path)}/" if "/" in path else ""


def shard_of_file(path: str) -> int:
    """The number of the shard that a report or a file of rejects, by its path in `SplitFolder`, belongs to."""
    return int(file_name(path).partition(".")[0])


def folder_kept_in(path: str) -> str | None:
    """Returns the folder whose bookkeeping a path is, or lies in; None where it lies in none."""
    output, bookkeeping, _ = f"{path}/".partition(f"/{BOOKKEEPING}/")
    return output if bookkeeping else None


def kept_path(path: str) -> str:
    """The path of a file of a folder's bookkeeping, from there on; that of any other file as it is."""
    folder = folder_kept_in(path)
    return path if folder is None else path.removeprefix(f"{folder}/")


def of_all_splits(output: str, name: str, *, below: int = 0) -> str:
    """The glob of a file of that name, `JOB` for example, in the bookkeeping of each split.

    Args:
        output: a folder of features, or one above it.
        name: of the file.
        below: how many folders lie between the two: 1 for `features` where the shards are in `features/1.0.0`.
    """
    return f"{escape(output)}/{'*/' * below}{BOOKKEEPING}/*/{name}"
