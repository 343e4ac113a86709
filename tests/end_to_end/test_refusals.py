"""Each kind of refusal, provoked by a call that a person may type: status 2, one line, and the kind's code."""

import ast
import pickle
import re
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import pytest

from helpers import clip, wav, write
from melbeam import pipelines
from melbeam.pipelines import cli
from melbeam.pipelines.refusals import ROOMS, Refusal, UsageError, refused_as
from melbeam.pipelines.split.lock import SplitLock
from melbeam.transforms.folder_layout import SplitFolder

CASES = []


def provokes(refusal):
    """This marks a function that makes what is needed in a folder, and gives the words behind `melbeam`.

    It may give them with a context in which they are said.
    """

    def add(case):
        CASES.append(pytest.param(refusal, case, id=f"{refusal.name}-{case.__name__}"))
        return case

    return add


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A corpus of one record, `in/a`, and its features, `features`."""
    folder = tmp_path_factory.mktemp("made")
    write(folder / "in/a", [clip("one")])
    assert cli.main(["extract", f"--input={folder}/in/a", f"--output={folder}/features"]) == 0
    return folder


def extract(folder, *options, input="in/a", output="out"):
    return ["extract", f"--input={folder}/{input}", f"--output={folder}/{output}", *options]


@provokes(Refusal.UNKNOWN_JOB)
def a_mistyped_job(folder):
    return ["extrakt"]


@provokes(Refusal.UNKNOWN_JOB)
def no_job(folder):
    return []


@provokes(Refusal.UNKNOWN_OPTION)
def a_mistyped_option(folder):
    return extract(folder, "--dry_rum")


@provokes(Refusal.UNKNOWN_OPTION)
def an_option_of_beam_for_a_job_without_a_pipeline(folder):
    return ["verify", f"{folder}/features", "--runner=FlinkRunner"]


@provokes(Refusal.UNKNOWN_OPTION)
def a_glob_without_quotes(folder):
    return extract(folder, "another")


@provokes(Refusal.BAD_VALUE)
def a_value_out_of_its_bounds(folder):
    return extract(folder, "--limit=0")


@provokes(Refusal.BAD_VALUE)
def a_value_of_the_record_options(folder):
    return extract(folder, "--max_audio_seconds=0")


@provokes(Refusal.BAD_VALUE)
def a_choice_that_is_none(folder):
    return extract(folder, "--dtype=float8")


@provokes(Refusal.BAD_VALUE)
def an_argument_that_is_missing(folder):
    return ["verify"]


@provokes(Refusal.BAD_VALUE)
def an_encoding_that_is_none(folder):
    (folder / "rows.csv").write_text("audio,text\na.wav,so\n")
    return extract(folder, "--encoding_of_text=utf-9", input="rows.csv")


@provokes(Refusal.CONTRADICTION)
def two_forms_at_once(folder):
    return ["rejects", f"{folder}/features", "--csv", "--json"]


@provokes(Refusal.CONTRADICTION)
def a_number_of_shards_where_files_decide(folder):
    return ["ingest", f"--input={folder}/in/a", f"--output={folder}/out", "--num_shards=2"]


@provokes(Refusal.BAD_CONFIG)
def a_config_that_is_not_there(folder):
    return extract(folder, f"--config={folder}/none.yaml")


@provokes(Refusal.BAD_RUNNER)
def a_runner_that_loses_data(folder):
    return extract(folder, "--runner=DaskRunner")


@provokes(Refusal.NO_FOLDER_NAME)
def the_root(folder):
    return ["extract", f"--input={folder}/in/a", "--output=/"]


@provokes(Refusal.OUTPUT_IS_A_FILE)
def a_file_as_output(folder):
    return extract(folder, output="in/a")


@provokes(Refusal.OUTPUT_IS_CLOSED)
def a_closed_folder_as_output(folder):
    return extract(folder), mock.patch("os.access", return_value=False)  # root may write anywhere


@provokes(Refusal.NAME_IS_TOO_LONG)
def a_long_name(folder):
    return extract(folder, output="x" * 300)


@provokes(Refusal.OTHER_FRONT_END)
def a_second_front_end_in_the_folder(folder):
    return extract(folder, "--split=dev", "--front_end=gemma3n", output="features")


@provokes(Refusal.OTHER_JOB)
def other_options_for_the_split(folder):
    return extract(folder, "--dtype=float16", output="features")


@provokes(Refusal.LEFT_BEHIND)
def a_division_into_fewer_splits(folder):
    call = ["ingest", f"--input={folder}/in/a", f"--output={folder}/audio"]
    assert cli.main([*call, "--split=train=0.5,test=0.5"]) == 0
    return [*call, "--split=train=0.9,dev=0.1", "--overwrite"]


@provokes(Refusal.FOREIGN_FILES)
def shards_of_somebody_else(folder):
    write(folder / "out/train-00000-of-00001.tfrecord", [clip("theirs")])
    return extract(folder)


@provokes(Refusal.FOREIGN_FILES)
def a_demo_in_a_folder_with_files(folder):
    return ["demo", f"--output={folder}"]


@provokes(Refusal.UNUSABLE_JOB_FILE)
def a_torn_job_file(folder):
    (folder / "features/_melbeam/train/job.json").write_text("{")
    return extract(folder, output="features")


@provokes(Refusal.UNUSABLE_SUMMARY)
def a_torn_summary_of_another_split(folder):
    (folder / "features/_melbeam/train/summary.json").write_text("{")
    return extract(folder, "--split=dev", output="features")


@provokes(Refusal.LOCKED)
def a_job_at_work(folder):
    lock = SplitLock(SplitFolder(f"{folder}/features", "train"))
    return extract(folder, output="features"), lock


@provokes(Refusal.NO_INPUT)
def an_input_that_is_not_there(folder):
    return extract(folder, input="none-*")


@provokes(Refusal.INCOMPLETE_SET)
def a_set_with_a_gap(folder):
    write(folder / "in/b-00000-of-00002", [])
    return extract(folder, input="in/b*")


@provokes(Refusal.SEVERAL_KINDS)
def clips_beside_records(folder):
    (folder / "in/a.wav").write_bytes(wav())
    return extract(folder, input="in")


@provokes(Refusal.UNKNOWN_FORMAT)
def text_as_input_of_ingest(folder):
    (folder / "notes").write_text("neither audio nor a manifest")
    return ["ingest", f"--input={folder}/notes", f"--output={folder}/out"]


@provokes(Refusal.BAD_SOURCE)
def an_empty_manifest(folder):
    (folder / "rows.csv").write_text("")
    return extract(folder, input="rows.csv")


@provokes(Refusal.BAD_COLUMNS)
def a_column_that_is_not_there(folder):
    (folder / "rows.csv").write_text("audio,text\na.wav,so\n")
    return extract(folder, "--columns=text=sentence", input="rows.csv")


@provokes(Refusal.RESERVED_NAME)
def features_as_input(folder):
    return extract(folder, input="features/train-*")


@provokes(Refusal.RESERVED_NAME)
def a_name_of_melbeams_for_a_feature_of_theirs(folder):
    return extract(folder, "--columns=num_frames=id")


@provokes(Refusal.NOT_RAW_SAMPLES)
def files_as_samples(folder):
    return extract(folder, "--audio_format=pcm_s16le", "--pcm_sampling_rate=16000")


@provokes(Refusal.UNKNOWN_FRONT_END)
def a_mistyped_front_end(folder):
    return extract(folder, "--front_end=gemma5")


@provokes(Refusal.UNKNOWN_FRONT_END)
def a_handle_that_is_cut(folder):
    return ["presets", "hf://google"]


@provokes(Refusal.NOT_FETCHED)
def a_hub_without_its_client(folder):
    return ["presets", "hf://google/gemma-4-E2B-it"], mock.patch.dict(sys.modules, {"huggingface_hub": None})


@provokes(Refusal.BAD_FRONT_END)
def a_front_end_with_a_wrong_field(folder):
    (folder / "mine.yaml").write_text("num_mels: -1\n")
    return extract(folder, f"--front_end={folder}/mine.yaml")


@provokes(Refusal.BAD_STATISTICS)
def statistics_of_another_front_end(folder):
    return extract(folder, "--front_end=gemma3n", f"--normalize_by={folder}/features")


@provokes(Refusal.NO_FEATURES)
def a_folder_of_audio_to_verify(folder):
    return ["verify", f"{folder}/none"]


@provokes(Refusal.NO_FEATURES)
def a_folder_of_audio_to_clean(folder):
    return ["clean", f"{folder}/in"]


@provokes(Refusal.NO_FEATURES)
def a_folder_of_audio_to_index(folder):
    return ["index", f"{folder}/in"]


@provokes(Refusal.NO_FEATURES)
def a_folder_of_audio_with_rejects(folder):
    return ["rejects", f"{folder}/in"]


@provokes(Refusal.NO_SPLIT)
def a_split_that_is_not_there(folder):
    return ["rejects", f"{folder}/features", "--split=dev"]


@provokes(Refusal.NO_SPLIT)
def a_split_that_is_not_there_to_retry(folder):
    return ["retry-rejects", f"{folder}/features", "--split=dev"]


@provokes(Refusal.NO_REJECTS)
def nothing_to_retry(folder):
    return ["retry-rejects", f"{folder}/features"]


@provokes(Refusal.NO_REFERENCE)
def a_reference_that_is_not_installed(folder):
    return ["verify", f"{folder}/features", "--against=transformers"], mock.patch.dict(
        sys.modules, {"transformers": None}
    )


@provokes(Refusal.NO_PACKAGE)
def a_report_without_what_draws_it(folder):
    # As where matplotlib is missing, whose import this module's cannot do without.
    without = mock.patch.dict(sys.modules, {"melbeam.pipelines.reporting.page": None})
    return ["report", f"{folder}/features"], without


@provokes(Refusal.SOURCE_IS_GONE)
def audio_that_is_gone(folder):
    assert cli.main(extract(folder)) == 0
    (folder / "in/a").unlink()
    installed = mock.patch("melbeam.pipelines.verifying.comparison.reference")
    return ["verify", f"{folder}/out", "--against=transformers"], installed


@provokes(Refusal.NO_FEATURES)
def a_record_of_no_folder(folder):
    return ["show", f"{folder}/in"]


@provokes(Refusal.NO_SPLIT)
def a_record_of_no_split(folder):
    return ["show", f"{folder}/features", "--split=dev"]


@provokes(Refusal.NO_RECORD)
def an_id_of_no_record(folder):
    return ["show", f"{folder}/features", "two"]


@provokes(Refusal.NO_RECORD)
def a_number_of_no_record(folder):
    return ["show", f"{folder}/features", "#1"]


@provokes(Refusal.NOT_COMPARABLE)
def folders_of_other_front_ends(folder):
    assert cli.main(extract(folder, "--front_end=whisper")) == 0
    return ["diff", f"{folder}/features", f"{folder}/out"]


@provokes(Refusal.NO_PACKAGE)
def a_picture_without_matplotlib(folder):
    missing = mock.patch.dict(sys.modules, {"melbeam.transforms.plots": None})
    return ["show", f"{folder}/features", f"--png={folder}/a.png"], missing


@provokes(Refusal.BAD_VALUE)
def a_name_that_tfds_would_not_find(folder):
    return extract(folder, "--dataset_name=MyCorpus")


@provokes(Refusal.CONTRADICTION)
def a_version_and_a_name(folder):
    return extract(folder, "--dataset_name=corpus", output="out/1.0.0")


@provokes(Refusal.NOT_THERE)
def a_shard_that_is_gone(folder):
    for path in (*folder.glob("features/train-*"), *folder.glob("features/_melbeam/train/index/*")):
        path.unlink()
    return ["index", f"{folder}/features"]


@provokes(Refusal.FORBIDDEN)
def an_input_that_may_not_be_read(folder):
    refused = PermissionError(13, "Permission denied", f"{folder}/in/a")  # root may read anything
    return extract(folder), mock.patch("melbeam.pipelines.files.local.open_file", side_effect=refused)


@provokes(Refusal.WRONG_KIND_OF_PATH)
def a_folder_in_place_of_a_file(folder):
    (folder / "features/dataset_info.json").unlink()
    (folder / "features/dataset_info.json").mkdir()
    return ["index", f"{folder}/features"]


@provokes(Refusal.NO_FILE_SYSTEM)
def a_store_that_is_none(folder):
    return ["extract", "--input=elsewhere://bucket/a", f"--output={folder}/out"]


@pytest.mark.parametrize(("refusal", "case"), CASES)
def test_the_message_ends_with_the_code_of_its_kind(made, tmp_path, capsys, refusal, case):
    folder = tmp_path / "made"
    shutil.copytree(made, folder)
    given = case(folder)
    argv, context = given if isinstance(given, tuple) else (given, nullcontext())
    with context:
        try:
            status = cli.main(argv)
        except SystemExit as left:
            status = left.code
    assert status == 2
    lines = capsys.readouterr().err.splitlines()
    said = lines[0 if refusal is Refusal.UNKNOWN_JOB else -1]  # the list of jobs comes behind
    assert re.fullmatch(rf"melbeam( [a-z-]+)?: .+ \[{refusal.code}\]", said), lines


def test_each_kind_is_provoked():
    assert {case.values[0] for case in CASES} == set(Refusal)


def test_codes_are_told_apart_and_each_is_of_a_room():
    codes = [refusal.code for refusal in Refusal]
    assert codes == sorted(set(codes))
    assert all(re.fullmatch(rf"MB[{''.join(ROOMS)}]\d\d", code) for code in codes)


def test_no_command_ends_with_status_2_past_the_codes():
    """Only where a `UsageError` or argparse's own error becomes words is the exit status named."""
    named_in = set()
    for path in Path(pipelines.__path__[0]).rglob("*.py"):
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        if "EXIT_REFUSED" in names:
            named_in.add(path.name)
    assert named_in == {"exit_status.py", "command.py", "command_line.py", "cli.py"}


def test_a_block_gives_its_kind_to_what_has_none():
    with pytest.raises(UsageError, match="so") as raised, refused_as(Refusal.BAD_SOURCE):
        raise ValueError("so")
    assert raised.value.refusal is Refusal.BAD_SOURCE
    with pytest.raises(UsageError, match="thus") as raised, refused_as(Refusal.BAD_SOURCE):
        raise UsageError(Refusal.NO_INPUT, "thus")
    assert raised.value.refusal is Refusal.NO_INPUT


def test_a_refusal_crosses_processes():
    crossed = pickle.loads(pickle.dumps(UsageError(Refusal.LOCKED, "so")))
    assert (crossed.refusal, str(crossed)) == (Refusal.LOCKED, "so")
