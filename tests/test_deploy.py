"""What deploy/ and configs/jobs/ hold fits the options that there are."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import DebugOptions, WorkerOptions

from melbeam.pipelines import extract
from melbeam.pipelines.beam_options import choose_runner
from melbeam.pipelines.private_names import beam_options

ROOT = Path(__file__).parents[1]


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem, ROOT / path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


flex_template, flex_main = module(Path("scripts/flex_template.py")), module(Path("deploy/flex_main.py"))
METADATA = json.loads((ROOT / "deploy/flex_template.json").read_text())
PARAMETERS = {parameter["name"]: parameter for parameter in METADATA["parameters"]}
OPTIONS = extract.COMMAND.parser.options
ACTIONS = {name: action for name, action in OPTIONS.items() if name not in flex_template.LEFT_OUT}

# For each parameter: values that extract takes, and values that it, or a template, does not.
VALUES = {
    "input": (["gs://bucket/audio/train-*", "gs://b.c-d/**"], ["audio/train-*", "gs://bucket", "gs:///x"]),
    "output": (["gs://bucket/features/1.0.0", "gs://bucket"], ["features", "gs://bucket/*", "gs://"]),
    "split": (["train", "dev_2"], ["a-b", "", "a/b"]),
    "dataset_name": (["my_corpus", "a2"], ["My", "a/b", "2a", ""]),
    "front_end": (
        ["gemma4", "hf://google/gemma-4-E2B-it", "kaggle://keras/gemma4/keras/gemma4_2b/2"],
        ["", "a b"],
    ),
    "pcm_sampling_rate": (["8000"], ["0", "8 kHz", "-1"]),
    "max_audio_seconds": (["14400", "0.5"], ["", "-1", "1e3"]),
    "max_record_bytes": (["268435456"], ["0", "1.5"]),
    "cut_tolerance_seconds": (["0", "0.02"], ["-1", "x"]),
    "min_seconds": (["0", "0.5"], ["-1", "x"]),
    "chunk_seconds": (["10", "0.5"], ["-1", "x"]),
    "chunk_overlap_seconds": (["0", "0.5"], ["-1", "x"]),
    "channel": (["mean", "0", "1"], ["", "left", "-1"]),
    "not_in": (["train", "train+test", "train,dev_2"], ["", "train+", "a b"]),
    "shard_bytes": (["268435456"], ["0", "1.5"]),
    "columns": (["audio=speech", "text=json.text,id=key"], ["audio", "=x", "audio="]),
    "root": (["gs://bucket/corpus", "gs://bucket"], ["corpus", "gs://"]),
    "encoding_of_text": (["utf-8", "cp1252"], ["", "utf 8"]),
    "max_convert_seconds": (["600", "20.5"], ["-1", "x"]),
    "max_reject_fraction": (["0", "0.01", "1", "1.0"], ["1.5", "-0.1", ".", "1%"]),
    "limit": (["1", "1000"], ["0", "all"]),
    "normalize_by": (["gs://bucket/features/1.0.0", "features/1.0.0"], ["", "a b"]),
    "sdk_container_image": (["europe-docker.example/project/melbeam:1"], ["", "a b"]),
}


def test_the_metadata_is_made_of_the_options():
    assert flex_template.metadata() == METADATA, "run python scripts/flex_template.py"
    assert set(PARAMETERS) == {*ACTIONS, *flex_template.BEAMS}
    assert set(ACTIONS) & beam_options().keys() == set()
    assert set(flex_template.BEAMS) <= beam_options().keys()


@pytest.mark.parametrize("name", PARAMETERS)
def test_each_pattern_takes_what_extract_takes(name):
    (pattern,) = PARAMETERS[name]["regexes"]
    action = ACTIONS.get(name)
    if action is not None and action.choices:
        good, bad = list(action.choices), ["", f"{action.choices[0]}x"]
    elif action is not None and action.nargs == 0:
        good, bad = ["true", "false"], ["", "yes", "True"]
    else:
        good, bad = VALUES[name]
    assert all(re.fullmatch(pattern, value) for value in good)
    assert not any(re.fullmatch(pattern, value) for value in bad)
    default = PARAMETERS[name].get("defaultValue")
    assert default is None or re.fullmatch(pattern, default)


def test_extract_takes_every_parameter_as_a_template_passes_it():
    given = []
    for name, parameter in PARAMETERS.items():
        action = ACTIONS.get(name)
        if action is not None and (action.choices or action.nargs == 0):
            value = "true" if action.nargs == 0 else action.choices[-1]
        else:
            value = VALUES[name][0][0]
        assert re.fullmatch(parameter["regexes"][0], value)
        given.append(f"--{name}={value}")
    found, beam = extract.COMMAND.parse(flex_main.arguments(given))
    assert found.overwrite is True
    assert found.max_reject_fraction == 0
    assert beam == [f"--sdk_container_image={VALUES['sdk_container_image'][0][0]}"]
    given = ["--input=gs://b/x", "--output=gs://b/y", *(f"--{name}=false" for name in flex_main.FLAGS)]
    found, beam = extract.COMMAND.parse(flex_main.arguments(given))
    assert not any(getattr(found, name) for name in flex_main.FLAGS)
    assert beam == []


def test_the_launcher_knows_every_flag():
    assert set(flex_main.FLAGS) == {name for name, action in ACTIONS.items() if action.nargs == 0}


def test_the_job_for_dataflow_is_accepted():
    config = ROOT / "configs/jobs/dataflow.yaml"
    command = [f"--config={config}", "--input=gs://b/x", "--output=gs://b/y", "--max_num_workers=7"]
    _, beam = extract.COMMAND.parse(command)
    choice = choose_runner(beam)
    found = choice.options
    assert (choice.runner, choice.local) == ("DataflowRunner", False)
    workers = found.view_as(WorkerOptions)
    assert workers.max_num_workers == 7
    assert workers.machine_type
    assert workers.disk_size_gb >= 30
    assert workers.autoscaling_algorithm == "THROUGHPUT_BASED"
    assert found.view_as(DebugOptions).number_of_worker_harness_threads == 2


def test_the_image_has_the_beam_and_the_tensorflow_that_the_readme_names():
    dockerfile, readme = ((ROOT / name).read_text(encoding="utf-8") for name in ("deploy/Dockerfile", "README.md"))
    beam = re.search(r"^ARG BEAM_VERSION=(.+)$", dockerfile, re.MULTILINE)[1]
    tensorflow = re.search(r"^ARG TENSORFLOW_VERSION=(.+)$", dockerfile, re.MULTILINE)[1]
    assert f"apache-beam {beam}" in readme
    assert f"TensorFlow {tensorflow}" in readme
    last = [line for line in dockerfile.splitlines() if line.startswith(("USER", "ENTRYPOINT", "FROM"))]
    assert last[-2:] == ["USER 1000", 'ENTRYPOINT ["/opt/apache/beam/boot"]']
