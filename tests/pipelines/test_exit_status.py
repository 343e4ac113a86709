"""How a command's process begins and ends."""

import os
import subprocess
import sys

from helpers import encode, run, write
from melbeam.pipelines import extract
from melbeam.transforms.records.tf_example import to_example


def test_what_the_screen_cannot_spell_ends_no_job(made, tmp_path):
    records = [{"audio": encode([0.0] * 16000), "id": "天气"}, {"id": "é"}]
    write(tmp_path / "a.tfrecord", map(to_example, records))
    folder = tmp_path / "features"
    assert run(extract, f"--input={tmp_path}/a.tfrecord", f"--output={folder}").status == 3
    calls = {
        ("rejects", folder): (0, r"\xe9"),
        ("show", folder): (0, r"\u5929\u6c14"),
        ("diff", folder, made()): (1, r"\u5929\u6c14"),
        ("report", folder): (0, r"below \u221260 dBFS"),
    }
    for call, (status, said) in calls.items():
        command = [sys.executable, "-m", "melbeam.pipelines.cli", *map(str, call)]
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert (ended.returncode, said in ended.stdout) == (status, True), ended.stdout + ended.stderr
