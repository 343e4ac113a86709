"""deploy/ and the docs' Beam YAML, with the tools that they are for: `make test-cloud`."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from melbeam.pipelines.tfrecord import read_tfrecord_file

pytestmark = pytest.mark.cloud

ROOT = Path(__file__).parents[2]
SECONDS = 300


def test_the_dockerfile_passes_a_linter():
    linter = Path(sys.executable).parent / "hadolint"
    ran = subprocess.run([linter, ROOT / "deploy/Dockerfile"], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout


def test_the_beam_yaml_of_the_docs_runs(source, expected, tmp_path):
    (pipeline,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/beam_yaml.md").read_text(), re.DOTALL)
    (tmp_path / "pipeline.yaml").write_text(pipeline)
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy/beam_yaml_provider.yaml", tmp_path / "deploy")
    (tmp_path / "audio").mkdir()
    for number, path in enumerate(sorted(Path(source).parent.iterdir())):
        shutil.copy(path, tmp_path / f"audio/train-{number}")
    command = ["-m", "apache_beam.yaml.main", "--yaml_pipeline_file=pipeline.yaml", "--runner=FnApiRunner"]
    ran = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS)
    assert ran.returncode == 0, ran.stderr[-4000:]
    (tmp_path / "extracted").mkdir()
    for name, data in expected.items():
        (tmp_path / "extracted" / name.replace("/", "-")).write_bytes(data)
    extracted = features(tmp_path.glob("extracted/train-*"))
    assert len(extracted) == 60
    assert features(tmp_path.glob("features/train*")) == extracted
    assert sum(1 for path in tmp_path.glob("rejects/train*") for _ in read_tfrecord_file(str(path))) == 2


def features(paths):
    """The features by id: Beam YAML keeps no order, and knows no sources."""
    from tensorflow.train import Example

    found = {}
    for path in paths:
        for record in read_tfrecord_file(str(path)):
            fields = Example.FromString(record.data).features.feature
            found[fields["id"].bytes_list.value[0]] = fields["input_features"].bytes_list.value[0]
    return found
