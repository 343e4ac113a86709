"""What a record or a config says makes no file outside the output folder, and runs no code."""

import pytest
import yaml

from helpers import wav, write
from melbeam.pipelines import extract, ingest
from melbeam.pipelines.tfrecord import read_tfrecord_file
from melbeam.transforms import FrontEnd
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.tf_example import to_example

WAV = wav(seconds=0.25)
NAMES = ["../../evil", "/tmp/melbeam-evil", "..", "a/../../b", "~/evil", "x\x00y", "con\n../", "$(touch evil)"]


def files(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


def test_ids_sources_and_passed_through_features_are_only_content(tmp_path):
    good = [to_example({"audio": WAV, "id": name, name: name}) for name in NAMES]
    bad = [to_example({"audio": b"no audio", "id": name}) for name in NAMES]
    write(tmp_path / "deep/deeper/in/..audio", [*good, *bad])
    before = files(tmp_path)
    output = tmp_path / "deep/deeper/features"
    status = extract.main(
        [f"--input={tmp_path}/deep/deeper/in/*", f"--output={output}", "--max_reject_fraction=1"]
    )
    assert status == 0
    assert {name for name in files(tmp_path) - before if not name.startswith("deep/deeper/features")} == set()
    plain = tmp_path / "plain"
    write(tmp_path / "plain-in/audio", [to_example({"audio": WAV, "id": "a"}), to_example({"audio": b"no audio"})])
    extract.main([f"--input={tmp_path}/plain-in/*", f"--output={plain}", "--max_reject_fraction=1"])
    assert files(output) == files(plain)
    (shard,) = output.glob("train-*")
    found = [Example.FromString(item.data).features.feature for item in read_tfrecord_file(str(shard))]
    assert [record["id"].bytes_list.value[0].decode() for record in found] == NAMES


@pytest.mark.parametrize("job", [extract, ingest])
@pytest.mark.parametrize("split", ["../evil", "/tmp/evil", "a/b", "..", "", "a.b", "a\x00b"])
def test_a_split_is_no_path(tmp_path, job, split, capsys):
    write(tmp_path / "in/audio.wav", [to_example({"audio": WAV})])
    config = tmp_path / "job.yaml"
    config.write_text(yaml.safe_dump({"input": f"{tmp_path}/in/*", "output": f"{tmp_path}/out", "split": split}))
    before = files(tmp_path)
    assert job.main([f"--config={config}"]) == 2
    assert "--split must be letters, digits and underscores" in capsys.readouterr().err
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "value", ["!!python/object/apply:os.system ['touch evil']", "!!python/name:os.system", "&a [*a]"]
)
def test_yaml_is_data(tmp_path, monkeypatch, value, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="this is no YAML"):
        FrontEnd.from_yaml(f"name: {value}")
    (tmp_path / "job.yaml").write_text(f"output: {value}")
    assert extract.main(["--config=job.yaml", "--input=x"]) == 2
    assert "--config=job.yaml cannot be read" in capsys.readouterr().err
    assert files(tmp_path) == {"job.yaml"}
