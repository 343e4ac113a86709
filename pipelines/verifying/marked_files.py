"""Files of which a report keeps size and checksum: whether they are there, and whole."""

from __future__ import annotations

from collections.abc import Iterator

from melbeam.pipelines import files
from melbeam.pipelines.split.reports import FileMark
from melbeam.pipelines.tfrecord import Damage, Record, read_tfrecord_file
from melbeam.pipelines.verifying.findings import Findings

NO_LIMIT = 1 << 50  # bytes of a record: what a file holds is read
_AGAIN_READING = {
    "extract": "extract again with --recheck, its shard is done anew",
    "ingest": "ingest again, with --overwrite",
}


def is_whole(
    path: str, mark: FileMark, findings: Findings, *, job: str = "extract", of_records: bool = True
) -> bool:
    """Whether a file is the one that its report describes; a fault says what else it is.

    Args:
        path: of the file.
        mark: the report's.
        findings: that get the fault.
        job: "extract" or "ingest", which made it.
        of_records: whether it is a TFRecord file, whose first damaged record can be named.
    """
    state = files.state(path)
    again = f"{job} again, its shard is done anew"
    if state is None:
        findings.fault(path, f"it is missing: {again}")
        return False
    if mark.confirms(path):
        return True
    if state[0] == mark.size:  # by which a start takes a shard as done
        again = _AGAIN_READING[job]
    damage = _first_damage(path) if of_records else None
    named = "swapped or changed"
    if damage is not None:
        named = f"record {damage.number}, at byte {damage.offset}, is {damage.reason}"
    findings.fault(
        path,
        f"it is not the file that its report describes ({mark.num_records} records, {mark.size} bytes, CRC32C "
        f"{mark.crc32c:08x}): {named}; {again}",
    )
    return False


def _first_damage(path: str) -> Damage | None:
    items = read_tfrecord_file(path, max_record_bytes=NO_LIMIT)
    return next((item for item in items if isinstance(item, Damage)), None)


def read_whole(path: str, findings: Findings) -> Iterator[Record]:
    """The records of a file; a damaged one is a fault."""
    for item in read_tfrecord_file(path, max_record_bytes=NO_LIMIT):
        if isinstance(item, Record):
            yield item
        else:
            findings.fault(path, f"{item.reason}: {item.detail}", item.number)
