"""Dataflow, rehearsed without the cloud: `make rehearse-dataflow`.

1. Demo clips go through `melbeam ingest` onto gs:// of a storage emulator, and through a local `melbeam extract`.
2. `melbeam extract --runner=DataflowRunner --setup_file=./setup.py` submits the same job with Beam's own client;
   a small HTTP service stands for Dataflow's and records the job.
3. The recorded pipeline runs on workers booted from a fresh environment: what Beam's worker image has
   (apache-beam[gcp]), and the staged sdist with its dependencies. The runner's side has no melbeam.
4. What it wrote to gs:// must equal the local run, byte for byte.
5. Two controls must fail: an sdist without its package data, and one that does not name a dependency.

What it cannot show: Dataflow's own service, its machines, quotas and permissions, and building the image.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from processes import Failed, free_port, run, serving

ROOT = Path(__file__).parents[1]
FOR_TESTS = ROOT / "tests/engines"
PAGE = ROOT / "docs/tasks/dataflow.md"
BUCKET = "my-bucket"  # as the page has it
COMMAND_SECONDS, INSTALL_SECONDS, PIPELINE_SECONDS = 300, 1800, 300
NOT_SOURCE = (
    ".git",
    ".venv*",
    ".*_cache",
    ".hypothesis",
    "*.egg-info",
    "build",
    "dist",
    "__pycache__",
    "melbeam-demo",
)

# Beam's container contract, without the container: boots a worker as the image's own boot program does.
BOOT = """#!{python}
import argparse, os, sys
parser = argparse.ArgumentParser()
for name in ("id", "logging_endpoint", "artifact_endpoint", "provision_endpoint", "control_endpoint"):
    parser.add_argument("--" + name)
given = parser.parse_args()
os.environ["WORKER_ID"] = given.id
os.environ["PIPELINE_OPTIONS"] = open({options!r}).read()
os.environ["LOGGING_API_SERVICE_DESCRIPTOR"] = 'url: "' + given.logging_endpoint + '"'
os.environ["CONTROL_API_SERVICE_DESCRIPTOR"] = 'url: "' + given.control_endpoint + '"'
os.execv(sys.executable, [sys.executable, "-m", "apache_beam.runners.worker.sdk_worker_main"])
"""

# Dataflow's side: it has the recorded pipeline, and Beam, but neither melbeam nor what melbeam needs.
SERVICE = """
import importlib.util, sys
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2, endpoints_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

for name in ("melbeam", "tensorflow", "soundfile"):
    assert importlib.util.find_spec(name) is None, name
with open(sys.argv[1], "rb") as file:
    pipeline = beam_runner_api_pb2.Pipeline.FromString(file.read())
pool = beam_runner_api_pb2.ExternalPayload(endpoint=endpoints_pb2.ApiServiceDescriptor(url=sys.argv[2]))
for environment in pipeline.components.environments.values():
    environment.urn = common_urns.environments.EXTERNAL.urn
    environment.payload = pool.SerializeToString()
    del environment.dependencies[:]  # installed in the workers' environment already
result = FnApiRunner().run_via_runner_api(pipeline, PipelineOptions(["--direct_num_workers=1"]))
result.wait_until_finish()
assert result.state == "DONE", result.state
"""

# What an image that launches a flex template does with the package, too.
LAUNCH = "from melbeam.pipelines.cli import main; import sys; sys.exit(main(sys.argv[1:]))"


def module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


fake_google = module(FOR_TESTS / "fake_google.py")


class Rehearsal:
    """One emulator, one recorder, and the environments of both sides."""

    def __init__(self, work: Path, emulator: str, recorder: Any) -> None:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        self.work, self.recorder = work, recorder
        # As in a new shell: nothing of this process in the environment of a worker.
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL", "GOOGLE_", "CLOUDSDK"))
        }
        local = "127.0.0.1,localhost"
        proxies = {"NO_PROXY": local, "no_proxy": local, "no_grpc_proxy": local}
        account = work / "account.json"
        fake_google.service_account(account, f"{recorder.url}/token")
        self.env = {
            **kept,
            **proxies,
            "STORAGE_EMULATOR_HOST": emulator,
            "NO_GCE_CHECK": "true",
            "GOOGLE_APPLICATION_CREDENTIALS": str(account),
        }
        os.environ.update(self.env)
        client = storage.Client(project="rehearsal", credentials=AnonymousCredentials())
        client.create_bucket(BUCKET)
        self.bucket = client.bucket(BUCKET)
        self.constraints = work / "constraints.txt"
        self.service, self.worker = work / "service", work / "worker"

    def melbeam(self, *arguments: str, cwd: Path | None = None) -> str:
        """Runs the command of this environment."""
        command = [sys.executable, "-m", "melbeam.pipelines.cli", *arguments]
        return run(command, seconds=COMMAND_SECONDS, env=self.env, cwd=cwd or self.work)

    def environments(self) -> None:
        """The service's, with Beam alone; the workers' begins as its copy, as Beam's image does."""
        frozen = run([sys.executable, "-m", "pip", "freeze", "--exclude-editable"], seconds=COMMAND_SECONDS)
        # The same versions as here: another TensorFlow may differ in the last bits.
        pins = [line for line in frozen.splitlines() if "==" in line and not line.startswith("-")]
        self.constraints.write_text("\n".join(pins) + "\n")
        for folder in (self.service, self.worker):
            run([sys.executable, "-m", "venv", folder], seconds=COMMAND_SECONDS)
        self.pip(self.service, "install", "apache-beam[gcp]", "setuptools")
        shutil.rmtree(site_packages(self.worker))
        shutil.copytree(site_packages(self.service), site_packages(self.worker))

    def pip(self, environment: Path, *arguments: Any) -> None:
        """Runs an environment's pip."""
        command = [environment / "bin/python", "-m", "pip", "-q", "--disable-pip-version-check", *arguments]
        if arguments[0] == "install":
            command += ["-c", self.constraints]
        run(command, seconds=INSTALL_SECONDS, env=self.env, cwd=self.work)

    def submit(self, source: Path, output: str) -> dict[str, Any]:
        """The job as the service got it, submitted from a checkout."""
        before = len(self.recorder.jobs)
        said = self.launch(source, output, "--no_wait_until_finish")
        jobs = self.recorder.jobs[before:]
        if len(jobs) != 1 or "the job was accepted" not in said:
            raise Failed(f"{len(jobs)} jobs were created\n{said[-3000:]}")
        return jobs[0]

    def template(self, source: Path, output: str) -> None:
        """The launcher of a flex template is told to leave the job as a file, not to create it."""
        before = len(self.recorder.jobs)
        self.launch(source, output, f"--template_location=gs://{BUCKET}/template/job")
        job = json.loads(self.stored("template")["job"])
        if (
            len(self.recorder.jobs) > before
            or "pipelineUrl" not in job["environment"]["sdkPipelineOptions"]["options"]
        ):
            raise Failed("--template_location wrote no template, or created a job")

    def launch(self, source: Path, output: str, *options: str) -> str:
        """Runs the task page's own extract, for this service; gives what it said."""
        (words,) = [words for words in page_commands() if "--runner=DataflowRunner" in words]
        words = [f"--output={output}" if word.startswith("--output=") else word for word in words]
        return self.melbeam(*words, f"--dataflow_endpoint={self.recorder.url}", *options, cwd=source)

    def execute(self, job: dict[str, Any], output: str) -> None:
        """Runs a recorded job on the workers' environment."""
        options = whole_numbers(job["environment"]["sdkPipelineOptions"]["options"])
        folder = Path(tempfile.mkdtemp(dir=self.work))
        pipeline = self.fetch(options["pipelineUrl"], folder)
        packages = [package["name"] for package in job["environment"]["workerPools"][0]["packages"]]
        sdists = [name for name in packages if name.endswith(".tar.gz")]
        if len(sdists) != 1:
            raise Failed(f"staged are {packages}, not one sdist")
        sdist = self.fetch(f"{options['staging_location']}/{sdists[0]}", folder)
        self.pip(self.worker, "uninstall", "-y", "melbeam")
        self.pip(self.worker, "install", sdist)

        check = ["extract", f"--input=gs://{BUCKET}/audio/train-*", f"--output={output}", "--dry_run"]
        python = self.worker / "bin/python"
        said = run([python, "-c", LAUNCH, *check], seconds=COMMAND_SECONDS, env=self.env, cwd=folder)
        if "train-00000-of-" not in said:
            raise Failed(f"--dry_run shows no plan:\n{said}")

        (folder / "options.json").write_text(json.dumps(options))
        boot = folder / "boot"
        boot.write_text(BOOT.format(python=python, options=str(folder / "options.json")))
        boot.chmod(0o755)
        (folder / "service.py").write_text(SERVICE)
        port, log = free_port(), folder / "workers.log"
        pool = [python, FOR_TESTS / "worker_pool.py", f"--service_port={port}"]
        try:
            with serving([*pool, f"--container_executable={boot}"], port, log, self.env):
                command = [self.service / "bin/python", folder / "service.py", pipeline, f"localhost:{port}"]
                run(command, seconds=PIPELINE_SECONDS, env=self.env, cwd=folder)
        except Failed as error:
            raise Failed(f"{error}\nworkers: {log.read_text(errors='replace')[-3000:]}") from None

    def fetch(self, url: str, folder: Path) -> Path:
        """A staged file, in a local folder."""
        target = folder / url.rsplit("/", 1)[1]
        self.bucket.blob(url.removeprefix(f"gs://{BUCKET}/")).download_to_filename(str(target))
        return target

    def stored(self, prefix: str) -> dict[str, bytes]:
        """What the bucket holds below a name."""
        blobs = self.bucket.list_blobs(prefix=f"{prefix}/")
        return {blob.name.removeprefix(f"{prefix}/"): blob.download_as_bytes() for blob in blobs}


def site_packages(environment: Path) -> Path:
    return environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def whole_numbers(value: Any) -> Any:
    """Integers as integers again: in the recorded job each is a float, since it has no other numbers."""
    if isinstance(value, dict):
        return {name: whole_numbers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [whole_numbers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def page_commands() -> list[list[str]]:
    """The words behind `melbeam` of each command of the task page, in order."""
    page = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```bash\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    commands = [shlex.split(line) for line in "\n".join(blocks).splitlines()]
    return [words[1:] for words in commands if words[:1] == ["melbeam"]]


def source_copy(folder: Path) -> Path:
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_SOURCE))
    return folder


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    if old not in text:
        raise Failed(f"{path.name} has no {old!r} to leave out")
    path.write_text(text.replace(old, new))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", help="an empty folder to work in, and to keep")
    kept = parser.parse_args().keep
    work = Path(kept or tempfile.mkdtemp(prefix="melbeam-rehearsal-")).resolve()
    work.mkdir(parents=True, exist_ok=True)
    port = free_port()
    emulator = [
        Path(sys.executable).parent / "gcp-storage-emulator",
        "start",
        "--host=127.0.0.1",
        f"--port={port}",
    ]
    recorder = fake_google.Recorder()
    try:
        with serving([*emulator, "--in-memory"], port, work / "emulator.log", dict(os.environ)):
            rehearse(Rehearsal(work, f"http://127.0.0.1:{port}", recorder))
    except Failed as error:
        print(f"rehearsal failed: {error}", file=sys.stderr)
        return 1
    finally:
        recorder.shutdown()
        if not kept:
            shutil.rmtree(work, ignore_errors=True)
    return 0


def as_a_local_job_has_it(name: str, data: bytes) -> bytes:
    """The file, but for the checksums of the store itself, which a report on a store has."""
    if "/reports/" not in name:
        return data
    return (json.dumps({**json.loads(data), "store_checksums": {}}, indent=1, sort_keys=True) + "\n").encode()


def rehearse(rehearsal: Rehearsal) -> None:
    start, work = time.monotonic(), rehearsal.work

    def say(what: str) -> None:
        print(f"[{time.monotonic() - start:4.0f} s] {what}", flush=True)

    clips = ROOT / "pipelines/demo_clips"
    rehearsal.melbeam("ingest", f"--input={clips}/*", f"--output=gs://{BUCKET}/audio", "--num_shards=3")
    local = work / "local"
    rehearsal.melbeam("extract", f"--input=gs://{BUCKET}/audio/train-*", f"--output={local}")
    expected = {str(p.relative_to(local)): p.read_bytes() for p in local.rglob("*") if p.is_file()}
    say(f"the local run wrote {len(expected)} files")

    features = f"gs://{BUCKET}/features/1.0.0"
    source = source_copy(work / "source")
    plan, _, *after = page_commands()
    if "train-00000-of-" not in rehearsal.melbeam(*plan, cwd=source):
        raise Failed("the page's --dry_run shows no plan")
    job = rehearsal.submit(source, features)
    say("submitted through DataflowRunner, and recorded")
    rehearsal.template(work / "source", f"gs://{BUCKET}/from_template")
    say("--template_location wrote a template, and created no job")
    rehearsal.environments()
    rehearsal.execute(job, features)
    found = {name: as_a_local_job_has_it(name, data) for name, data in rehearsal.stored("features/1.0.0").items()}
    if found != expected:
        names = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        raise Failed(f"these differ from the local run: {', '.join(names)}")
    say(f"it ran on workers from a fresh environment: all {len(found)} files equal the local run's")
    for words in after:
        rehearsal.melbeam(*words)
    say("the commands of the task page that look at the features end well")

    def no_data(source: Path) -> None:
        left = (
            '"melbeam.configs.front_ends": ["gemma3n.yaml"]'  # without a file, the folder itself would be missed
        )
        replaced(source / "setup.py", '"melbeam.configs.front_ends": ["*.yaml"]', left)

    def no_soundfile(source: Path) -> None:
        replaced(source / "pyproject.toml", '    "soundfile>=0.12.1",\n', "")
        rehearsal.pip(rehearsal.worker, "uninstall", "-y", "soundfile")

    for what, change, sign in (
        ("package data left out", no_data, "nothing is called 'gemma4'"),
        ("a dependency left out", no_soundfile, "No module named 'soundfile'"),
    ):
        name = change.__name__
        source = source_copy(work / name)
        change(source)
        output = f"gs://{BUCKET}/{name}"
        job = rehearsal.submit(source, output)
        try:
            rehearsal.execute(job, output)
        except Failed as error:
            if sign not in str(error):
                raise Failed(f"the control with {what} failed for another reason: {error}") from None
            say(f"control: with {what} it fails, as it must")
        else:
            raise Failed(f"with {what}, all went well")


if __name__ == "__main__":
    sys.exit(main())
