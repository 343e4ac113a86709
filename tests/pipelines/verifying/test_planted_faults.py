"""Faults that leave every checksum, size and number of records as it should be: each is found, by what it is."""

import numpy as np
import pytest

from melbeam.transforms.records.index import decode_index, encode_index

SHARD = "train-00000-of-00002.tfrecord"
DAMAGED = "train-00001-of-00002.tfrecord"
CHUNKS = "chunks-00000-of-00001.tfrecord"
CUT = "cut-00000-of-00001.tfrecord"
PADDED = "padded-00000-of-00001.tfrecord"
COMPACT = "compact-00000-of-00001.tfrecord"
REPORT = "_melbeam/train/reports/00000.json"


def drop(name):
    return lambda fields: fields.pop(name)


def set_float(name, value):
    return lambda fields: fields[name].float_list.value.__setitem__(0, value)


def set_int(name, value):
    return lambda fields: fields[name].int64_list.value.__setitem__(0, value)


def add_int(name, value):
    return lambda fields: fields[name].int64_list.value.append(value)


def set_bytes(name, value):
    return lambda fields: fields[name].bytes_list.value.__setitem__(0, value)


def add_empty(fields):
    fields["speaker"].int64_list.SetInParent()


def change_bytes(name, change):
    def edit(fields):
        values = fields[name].bytes_list.value
        values[0] = change(values[0])

    return edit


def edit_row(name, difference):
    """Changes a row of the index, and the report's mark of it with it."""

    def plant(folder):
        layout, index = folder.split(SHARD)
        rows = decode_index(folder.file(layout.index(index)).read_bytes()).copy()
        rows[name][1] += difference
        folder.replace_index(SHARD, encode_index(map(tuple, rows.tolist())), len(rows))

    return plant


def swap_chunks(folder):
    records = folder.records(CHUNKS)
    folder.replace_records(CHUNKS, [records[1], records[0], *records[2:]])


def wrong_sum(folder):
    """Changes a sum of a split's only shard in report and summary alike, as a job that miscounts would."""
    for name in ("reports/00000.json", "summary.json"):
        folder.edit(f"_melbeam/cut/{name}", lambda counts: counts["distributions"]["seconds"].update(total=7))


def of_record(shard, number, change):
    return lambda folder: folder.edit_record(shard, number, change)


def of_report(change, shard=SHARD):
    return lambda folder: folder.edit_report(shard, change)


def of_reject(number, change, shard=SHARD):
    return lambda folder: folder.edit_reject(shard, number, change)


def of_file(name, change):
    return lambda folder: folder.edit(name, change)


FAULTS = {
    # A feature record, by the schema.
    "a level is missing": (of_record(SHARD, 1, drop("rms_dbfs")), "it has no rms_dbfs"),
    "a level of another type": (
        of_record(SHARD, 1, lambda fields: fields["rms_dbfs"].int64_list.value.append(-20)),
        "rms_dbfs must be one value in a float_list, got 1 in int64_list",
    ),
    "a level that is not finite": (of_record(SHARD, 1, set_float("peak_dbfs", np.nan)), "peak_dbfs nan"),
    "a mean above the peak": (of_record(SHARD, 1, set_float("rms_dbfs", -3.0)), "above its peak_dbfs"),
    "a share of no samples": (
        of_record(SHARD, 1, set_float("full_scale_fraction", 0.00033)),
        "full_scale_fraction 0.00033, no share of 1600 samples",
    ),
    "a share of no blocks": (
        of_record(SHARD, 1, set_float("silent_fraction", 0.55)),
        "silent_fraction 0.55, no share of 10 blocks",
    ),
    "another level, as likely": (
        of_record(SHARD, 1, set_float("rms_dbfs", -20.5)),
        "distributions.rms_dbfs.",
    ),
    "a clip that says it is truncated": (of_record(SHARD, 1, add_int("truncated", 1)), "has truncated"),
    "a short clip that says so in a split of cut ones": (
        of_record(CUT, 1, add_int("truncated", 1)),
        "has truncated",
    ),
    "a cut clip that does not say so": (
        of_record(CUT, 0, drop("truncated")),
        "the records that were truncated are not those of the report: 0 are there, the report says 1",
    ),
    "a chunk that does not say whose its text is": (
        of_record(CHUNKS, 1, drop("text_is_of_whole_clip")),
        "has no text_is_of_whole_clip",
    ),
    "a clip whose text is said to be of a whole one": (
        of_record(SHARD, 1, add_int("text_is_of_whole_clip", 1)),
        "has text_is_of_whole_clip",
    ),
    "a flag that is no 1": (of_record(CHUNKS, 1, set_int("text_is_of_whole_clip", 2)), "text_is_of_whole_clip 2"),
    "a chunk without a number": (of_record(CHUNKS, 1, drop("chunk_index")), "chunk_index or start_sample alone"),
    "chunks in another order": (swap_chunks, "but the chunk before it is not the record before it"),
    "more samples than the model takes": (of_record(SHARD, 1, set_int("num_samples", 3201)), "num_samples 3201"),
    "audio among the features": (
        of_record(SHARD, 1, lambda fields: fields["audio"].bytes_list.value.append(b"RIFF")),
        "has audio, a field that no feature record has",
    ),
    "a tail that no reader of this model needs": (
        of_record(SHARD, 1, lambda fields: fields["input_features_tail"].bytes_list.value.append(b"")),
        "has an input_features_tail",
    ),
    "a field without a value": (of_record(SHARD, 1, add_empty), "has speaker without a value"),
    "a field that is gone": (
        of_record(SHARD, 1, drop("text")),
        "fields.text.kinds.bytes_list is 4, the records come to 3",
    ),
    "a field that nobody counted": (
        of_record(SHARD, 1, add_int("speaker", 1)),
        "fields.speaker.kinds.int64_list is 1",
    ),
    "a field of another type": (
        of_record(SHARD, 1, lambda fields: fields["text"].float_list.value.append(1.0)),
        "fields.text.kinds.float_list is None, the records come to 1",
    ),
    "another text": (
        of_record(SHARD, 1, set_bytes("text", b"two words")),
        "distributions.characters_per_second.",
    ),
    "tokens of another clip": (of_record(SHARD, 1, set_int("num_audio_tokens", 4)), "num_audio_tokens 4"),
    # A report, counted again.
    "an id that is named for nothing": (
        of_report(lambda report: report["named_ids"].update(too_short=["clip-1"])),
        "named_ids.too_short[0] is clip-1, the records come to short-0",
    ),
    "an id that no clip has": (
        of_report(lambda report: report["named_ids"].update(resampled=["nobody"])),
        "named_ids has 'nobody', which is no clip of",
    ),
    "fewer ids than there are": (
        of_report(lambda report: report["named_ids"].update(resampled=[])),
        "named_ids has 0 of 1 resampled",
    ),
    "ids of a reason that was not counted": (
        of_report(lambda report: report["named_ids"].update(too_long=["clip-1"])),
        "named_ids has 'too_long', which is no reject and no change",
    ),
    "a clip that is named for another": (
        of_report(lambda report: report["named_ids"].update(truncated=["cut-1"]), CUT),
        "named_ids.truncated[0] is cut-1, the records come to cut-0",
    ),
    "a sum that a job got wrong": (wrong_sum, "distributions.seconds.total is 7, the records come to "),
    "a largest value that no record has": (
        of_report(lambda report: report["distributions"]["seconds"]["largest"][0].update(value=9.5)),
        "distributions.seconds.largest[0].value is 9.5",
    ),
    "a bin that does change": (
        of_report(lambda report: report["statistics"]["constants"].__setitem__(3, -100.0)),
        "the sums of the features are not those of the report",
    ),
    "the counts of a field": (
        of_report(lambda report: report["fields"]["text"].update(most=3)),
        "fields.text.most is 3, the records come to 1",
    ),
    "damaged bytes": (
        of_report(lambda report: report.update(damaged_bytes=29), DAMAGED),
        "the damaged bytes are not those of the report: 30 are there, the report says 29",
    ),
    "chunks with the text of their whole clip": (
        of_report(lambda report: report.update(whole_texts=1), CHUNKS),
        "the chunks with the text of their whole clip are not those of the report",
    ),
    "records with an empty text": (
        of_report(lambda report: report.update(empty_texts=1)),
        "the records with an empty text are not those of the report: 0 are there, the report says 1",
    ),
    "records left out by a job that leaves none out": (
        of_report(lambda report: report.update(left_out=1)),
        "1 records are left out, and the job leaves none out",
    ),
    "the length of clips, which a job on features does not count": (
        of_report(lambda report: report.update(microseconds=1)),
        "the microseconds are not those of the report: 0 are there, the report says 1",
    ),
    "clips of unknown length, likewise": (
        of_report(lambda report: report.update(unknown_lengths=1)),
        "the unknown_lengths are not those of the report: 0 are there, the report says 1",
    ),
    "no versions": (of_report(lambda report: report.update(versions={})), "it names no version of melbeam"),
    "another record version": (
        of_report(lambda report: report.update(record_version=1)),
        "record_version 1 is not that of job.json",
    ),
    "more trimmed clips than chunked ones": (
        of_report(lambda report: report["changes"].update(trimmed=1)),
        "more clips are trimmed than chunked",
    ),
    "squares of fewer bins than sums": (
        of_report(lambda report: report["statistics"]["squares"].pop()),
        "sums of 128 bins, squares of 127 and constants of 128",
    ),
    "constants of fewer bins": (
        of_report(lambda report: report["statistics"]["constants"].pop()),
        "sums of 128 bins, squares of 128 and constants of 127",
    ),
    "a report of no shard": (
        lambda folder: folder.file("_melbeam/train/reports/00005.json").write_text("{}"),
        "a report of no shard of the plan",
    ),
    # A reject, by the schema and by the record in it.
    "a reject with another id": (
        of_reject(0, set_bytes("id", b"clip-1")),
        "its id is 'clip-1', that of the record",
    ),
    "a reject without its id": (of_reject(0, drop("id")), "its id is None, that of the record in it 'silent-0'"),
    "a reject without a detail": (of_reject(0, drop("detail")), "detail must be one value in a bytes_list, got 0"),
    "a reject of no known reason": (of_reject(0, set_bytes("reason", b"tired")), "unknown reason 'tired'"),
    "a reject of another reason": (
        of_reject(0, set_bytes("reason", b"bad_audio")),
        "the rejects by reason are not those of the report",
    ),
    # The index.
    "no index": (lambda f: f.file("_melbeam/train/index/00000.npy").unlink(), "index/00000.npy: it is missing"),
    "an index of no shard": (
        lambda folder: folder.file("_melbeam/train/index/00007.npy").write_bytes(b""),
        "an index of no shard of the plan",
    ),
    "a changed index": (
        lambda folder: folder.file("_melbeam/train/index/00000.npy").write_bytes(encode_index([])),
        "index/00000.npy: it is not the file that its report describes",
    ),
    "an index of other records": (
        lambda folder: folder.replace_index(SHARD, encode_index([(0, 1, 1)]), 1),
        "it has 1 rows, ",
    ),
    "what is no index": (lambda folder: folder.replace_index(SHARD, b"no", 4), "2 bytes that are no index"),
    "another offset": (edit_row("offset", 1), "record 1: its offset is "),
    "another size": (edit_row("size", 1), "record 1: its size is "),
    "another number of frames": (edit_row("num_frames", 1), "record 1: its num_frames is "),
    "an index that its report knows nothing of": (
        of_report(lambda report: report.update(index_file=None)),
        "it knows of no index of shard 0 of 2",
    ),
    # What the splits and the folder say in sum.
    "no schema": (
        lambda folder: folder.file("_melbeam/train/schema.json").unlink(),
        "_melbeam/train/schema.json: it cannot be read",
    ),
    "an edited schema": (
        of_file("_melbeam/train/schema.json", lambda schema: schema["fields"]["speaker"].update(optional=False)),
        "fields.speaker.optional is False, the reports come to True",
    ),
    "an edited distribution of a summary": (
        of_file("_melbeam/train/summary.json", lambda s: s["distributions"]["spread"].update(count=1)),
        "it is not the sum of the reports: distributions.spread.count is 1",
    ),
    "edited versions of a summary": (
        of_file("_melbeam/train/summary.json", lambda summary: summary["versions"].update(numpy=["0.1"])),
        "it is not the sum of the reports: versions.numpy",
    ),
    "an edited reject count of the statistics": (
        of_file("statistics.json", lambda s: s["splits"]["train"]["rejects"].update(no_audio=9)),
        "splits.train.rejects.no_audio is 9",
    ),
    "a description of another front end": (
        of_file("dataset_info.json", lambda info: info.update(description="Log-mel features.")),
        "description is Log-mel features.",
    ),
    "a plan whose paths are no text": (
        lambda folder: folder.file("_melbeam/train/plan.jsonl").write_text("[7, 1, null]\n"),
        "line 1 of ",
    ),
    "a plan whose details are none": (
        lambda folder: folder.file("_melbeam/train/plan.jsonl").write_text(
            '{"kind": "audio", "path": "wav", "size": 1, "part": [0, 1], "span": [0, null, 0], '
            '"num_records": 1, "details": null, "limit": null}\n'
        ),
        "details a mapping",
    ),
    "a job that says nothing of what it is": (
        of_file("_melbeam/train/job.json", lambda job: job.update(identity=None)),
        "job.json or plan.jsonl cannot be read",
    ),
    "a job of a later melbeam": (
        of_file("_melbeam/train/job.json", lambda job: job["identity"].update(record_version=99)),
        "record_version is 99, this melbeam knows 1 to ",
    ),
    "a job of no melbeam": (
        of_file("_melbeam/train/job.json", lambda job: job["identity"].update(record_version=0)),
        "record_version is 0, which no melbeam has written: it was edited; extract again",
    ),
}

ROW = 80 * 4  # bytes of a frame of the folder without a mask


def put_value(row):
    """Puts 1.5 into the first value of a row."""
    return lambda data: data[: row * ROW] + np.float32(1.5).tobytes() + data[row * ROW + 4 :]


FAULTS_OF_FULL_LENGTH = {
    "noise behind a padded clip": (
        of_record(PADDED, 0, change_bytes("input_features", put_value(40))),
        "input_features that is no silence behind its 10 frames",
    ),
    "a value behind a padded clip that is not finite": (
        of_record(
            PADDED, 0, change_bytes("input_features", lambda data: data[:-4] + np.float32(np.nan).tobytes())
        ),
        "values that are not finite",
    ),
    "a padded clip that is cut": (
        of_record(PADDED, 0, change_bytes("input_features", lambda data: data[:-ROW])),
        "input_features of 49 rows",
    ),
    "no tail": (of_record(COMPACT, 0, drop("input_features_tail")), "has no input_features_tail"),
    "an empty tail": (
        of_record(COMPACT, 0, set_bytes("input_features_tail", b"")),
        "input_features_tail of 0 rows",
    ),
    "a tail that is no rows": (
        of_record(COMPACT, 0, change_bytes("input_features_tail", lambda data: data[:-1])),
        "it is no feature record",
    ),
    "a tail beyond the model's length": (
        of_record(COMPACT, 0, change_bytes("input_features_tail", lambda data: data[:ROW] * 41)),
        "input_features_tail of 41 rows",
    ),
    "a tail that goes on": (
        of_record(COMPACT, 0, change_bytes("input_features_tail", lambda data: data + data[-ROW:])),
        "input_features_tail that goes on behind its first silent row",
    ),
    "a tail that is not finite": (
        of_record(
            COMPACT, 0, change_bytes("input_features_tail", lambda data: np.float32(np.inf).tobytes() + data[4:])
        ),
        "values that are not finite",
    ),
}


def test_whole_folders_have_no_faults(folder, full_length_folder):
    for whole in (folder, full_length_folder):
        status, said = whole.verify()
        assert (status, said.splitlines()[-1]) == (0, "no faults, 0 warnings"), said


def check_it_is_found(folder, plant, named):
    plant(folder)
    status, said = folder.verify()
    assert status == 1, said
    assert any(line.startswith("FAULT: ") and named in line for line in said.splitlines()), said


@pytest.mark.parametrize("name", FAULTS)
def test_it_finds(folder, name):
    check_it_is_found(folder, *FAULTS[name])


@pytest.mark.parametrize("name", FAULTS_OF_FULL_LENGTH)
def test_it_finds_without_a_mask(full_length_folder, name):
    check_it_is_found(full_length_folder, *FAULTS_OF_FULL_LENGTH[name])


def test_a_summary_is_not_compared_where_a_report_is_missing(folder):
    """One fault is told once, and not again in every file that rests on it."""
    folder.file(REPORT).unlink()
    status, said = folder.verify()
    faults = [line for line in said.splitlines() if line.startswith("FAULT: ")]
    assert (status, len(faults), "no report of shard 0 of 2" in faults[0]) == (1, 1, True), said


def test_a_record_with_a_fault_is_told_once(folder):
    folder.edit_record(SHARD, 1, set_int("num_frames", 3))
    faults = [line for line in folder.verify()[1].splitlines() if line.startswith("FAULT: ")]
    assert len(faults) == 1, faults


def test_a_conversion_by_tfds_is_no_fault(folder):
    """What `tfds convert_format --out_file_format=array_record` leaves in a folder, by TFDS 4.9.10."""
    folder.edit("dataset_info.json", lambda info: info.update(alternativeFileFormats=["array_record", "parquet"]))
    for ending in ("array_record", "parquet"):
        folder.file(SHARD).with_suffix(f".{ending}").write_bytes(b"another format")
    status, said = folder.verify()
    assert (status, said.splitlines()[-1]) == (0, "no faults, 1 warning"), said
    assert "TFDS has converted the folder to array_record, parquet too: those copies are not checked" in said
