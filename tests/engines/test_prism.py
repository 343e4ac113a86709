"""Prism, Beam's portable runner in Go, built at Beam's own version: `make test-prism`."""

import os
import subprocess

import apache_beam as beam
import pytest

pytestmark = pytest.mark.prism

PACKAGE = "github.com/apache/beam/sdks/v2/go/cmd/prism"
BUILD_SECONDS = 1200


@pytest.fixture(scope="session")
def prism(cache, need):
    """The program's path."""
    need("go", "Go 1.25 or later")
    folder = cache / f"prism-{beam.__version__}"
    if not (folder / "prism").exists():
        built = subprocess.run(
            ["go", "install", f"{PACKAGE}@v{beam.__version__}"],
            env={**os.environ, "GOBIN": str(folder)},
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
        )
        assert built.returncode == 0, built.stderr
    return folder / "prism"


@pytest.fixture
def job_endpoint(prism, serving, free_port, tmp_path):
    port = free_port()
    with serving([prism, f"--job_port={port}", "--serve_http=false"], port, tmp_path / "prism.log"):
        yield f"localhost:{port}"


def test_prism_runner_writes_what_the_local_default_does(prism, source, expected, extract, files_of, tmp_path):
    job = extract(source, tmp_path / "features", "--runner=PrismRunner", f"--prism_location={prism}")
    ended = job.end()
    assert ended.status == 0, ended.text
    assert files_of(job.output) == expected


def test_a_worker_pool_writes_what_the_local_default_does(
    on_a_pool, source, expected, extract, files_of, tmp_path
):
    job = extract(source, tmp_path / "features", *on_a_pool)
    ended = job.end()
    assert ended.status == 0, ended.text
    assert files_of(job.output) == expected


def test_a_killed_worker_fails_the_job_and_the_same_command_goes_on(
    on_a_pool, worker_pool, source, expected, extract, files_of, tmp_path
):
    job = extract(source, tmp_path / "features", *on_a_pool)
    job.wait_for("_melbeam/train/tmp/*/*.report")
    worker_pool.kill_a_worker()
    ended = job.end()
    assert ended.status == 1, ended.text
    again = extract(source, tmp_path / "features", *on_a_pool)
    ended = again.end()
    assert ended.status == 0, ended.text
    assert files_of(again.output) == expected


def test_it_gives_the_metrics(on_a_pool, check_metrics):
    check_metrics(*on_a_pool)
