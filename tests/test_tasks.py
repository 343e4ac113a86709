"""The task pages: their commands and programs run as they stand, in the order in which they stand.

A page's blocks are run in a folder that has what the pages speak of: `recordings/` with its metadata, and the
`examples/` of a checkout. A comment above a block says what it needs (`needs:`, modules that other environments
have, that of `make test-examples` for example), with which status it ends (`status:`), or who else runs it
(`run: rehearsal`, scripts/rehearse_dataflow.py; `run: flink`, tests/engines/test_flink.py).
"""

import gzip
import http.server
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest
import soundfile

from helpers import blocks
from melbeam.pipelines import cli
from melbeam.transforms import FrontEnd
from melbeam.transforms.presets import save_preset

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs/tasks").glob("*.md"))
CLIPS = ROOT / "pipelines/demo_clips"
ELSEWHERE = {"rehearsal", "flink", "flink pool"}


def needs_of_the_page(page):
    found = re.match(r"<!-- page needs: (.*) -->\n", page.read_text(encoding="utf-8"))
    return found[1].split() if found else []


def absent(modules):
    return [name for name in modules if find_spec(name) is None]


@pytest.fixture
def folder(tmp_path, hub):
    """A folder as the pages' readers have it."""
    recordings = tmp_path / "recordings"
    shutil.copytree(CLIPS, recordings)
    rows = (recordings / "transcripts.csv").rename(recordings / "metadata.csv").read_text().splitlines()
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    whole = (recordings / "02-river.flac").read_bytes()
    (recordings / "cut.flac").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "found_again").mkdir()
    shutil.copy(recordings / "01-morning.wav", tmp_path / "found_again/lost.wav")
    faults = ["cut.flac,A cut file.", "lost.wav,A file that was lost."]
    (recordings / "with_faults.csv").write_text("\n".join([*rows, *faults]) + "\n")
    with gzip.open(tmp_path / "cuts.jsonl.gz", "wt") as file:
        for row in rows[1:3]:
            name, _, text = row.partition(",")
            print(json.dumps(cut_of(recordings / name, text)), file=file)
    return tmp_path


def cut_of(path, text):
    """This gives a clip as lhotse writes it."""
    info = soundfile.info(path)
    recording = {
        "id": path.stem,
        "sources": [{"type": "file", "channels": [0], "source": str(path)}],
        "sampling_rate": info.samplerate,
        "num_samples": info.frames,
        "duration": info.duration,
    }
    supervision = {
        "id": path.stem,
        "recording_id": path.stem,
        "start": 0.0,
        "duration": info.duration,
        "text": text,
    }
    return {
        "id": path.stem,
        "start": 0.0,
        "duration": info.duration,
        "channel": 0,
        "supervisions": [supervision],
        "recording": recording,
        "type": "MonoCut",
    }


class Hub(http.server.BaseHTTPRequestHandler):
    """A hub that has the gated checkpoint's preset, without the gate."""

    def _answer(self):
        name = self.path.rpartition("/")[2]
        content = self.server.files.get(name, b"")
        self.send_response(200 if content else 404)
        if not content:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("X-Repo-Commit", "c" * 40)
        self.send_header("ETag", f'"{name}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_GET = _answer

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(tmp_path_factory):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    path = save_preset(FrontEnd.load("gemma4"), tmp_path_factory.mktemp("preset"), family="gemma4")
    server.files = {path.name: path.read_bytes()}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def run(block, folder, hub):
    """This runs a block as somebody who types it does, and gives what it prints."""
    command = ["bash", "-eu", "-o", "pipefail", "-c"] if block.language == "bash" else [sys.executable, "-c"]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HF_ENDPOINT": hub,
        "HF_HOME": str(folder / "hf"),
        "CUDA_VISIBLE_DEVICES": "",  # only the device of the machine could make it another result
    }
    done = subprocess.run(
        [*command, block.code], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    expected = int(block.said.get("status", 0))
    assert done.returncode == expected, f"{block.code}\nstatus {done.returncode}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_commands_run_as_they_stand(page, folder, hub):
    if missing := absent(needs_of_the_page(page)):
        pytest.skip(f"{', '.join(missing)}: not installed here")
    here = [block for block in blocks(page) if block.said.get("run") not in ELSEWHERE]
    if not here:
        pytest.skip("the rehearsal of Dataflow, or the tests on Flink, run its commands")
    there = [block for block in here if not absent(block.said.get("needs", "").split())]
    printed = {block.code: run(block, folder, hub) for block in there}
    for code, text in printed.items():
        if "hf://" in code:  # the gated checkpoint's front end is the one that melbeam has
            assert len(set(text.splitlines())) == 1, text
        if "melbeam verify" in code:
            assert "no faults" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_page_says_the_problem_shows_commands_and_says_what_can_go_wrong(page):
    text = page.read_text(encoding="utf-8")
    assert len(blocks(page)) == len(re.findall("^```(?:bash|python)$", text, re.MULTILINE)) > 0
    assert text.count("**What can go wrong.**") == 1
    assert {block.said["run"] for block in blocks(page) if "run" in block.said} <= ELSEWHERE
    assert f"tasks/{page.name}" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_option_that_a_page_names_is_one_of_melbeams_or_beams(page):
    """Commands that run elsewhere are parsed too, before anybody has a cluster."""
    for block in blocks(page):
        for line in block.code.replace("\\\n", " ").splitlines():
            words = shlex.split(line.partition(" | ")[0].partition(" > ")[0], comments=True)
            if block.language == "bash" and words[:1] == ["melbeam"]:
                arguments = [word for word in words[2:] if not word.startswith("--config=")]
                cli.command_of(words[1]).parse(arguments)
