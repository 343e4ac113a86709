"""Built, installed where nothing else is, and run."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def run(*command, cwd, **options):
    # As in a new shell: nothing of this checkout on the path, nothing of this test in the environment.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST", "TF_", "VIRTUAL"))}
    return subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True, **options
    )


def succeed(*command, cwd):
    ended = run(*command, cwd=cwd, timeout=1200)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    return ended.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of an empty environment."""
    folder = tmp_path_factory.mktemp("environment")
    succeed(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    return folder / "venv/bin/python"


@pytest.fixture(scope="module")
def built(python, tmp_path_factory):
    """An sdist of the working tree, and a wheel that was built from that sdist."""
    folder = tmp_path_factory.mktemp("build")
    unwanted = (
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
    shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*unwanted))
    succeed(python, "-m", "pip", "install", "-q", "build", "twine", cwd=folder)
    succeed(python, "-m", "build", "--outdir", folder / "dist", folder / "source", cwd=folder)
    said = succeed(python, "-m", "twine", "check", "--strict", *folder.glob("dist/*"), cwd=folder)
    assert said.count("PASSED") == 2
    (sdist,), (wheel,) = folder.glob("dist/*.tar.gz"), folder.glob("dist/*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(python, built):
    """The folder of the commands of an environment with the wheel and what it needs."""
    succeed(python, "-m", "pip", "install", "-q", built[1], cwd=built[1].parent)
    return python.parent


def shipped():
    """Files of the package in the repository, by their names in the installed one."""
    floors = ("configs", "pipelines", "transforms")
    files = [path for floor in floors for path in (ROOT / floor).rglob("*") if path.is_file()]
    wanted = (".py", ".css", ".yaml", ".typed", ".wav", ".flac", ".mp3", ".ogg", ".csv")
    return sorted(f"melbeam/{path.relative_to(ROOT)}" for path in files if path.name.endswith(wanted))


def test_the_wheel_holds_every_file_of_the_package(built):
    names = [n for n in zipfile.ZipFile(built[1]).namelist() if not n.endswith("/.gitkeep")]
    names = [n for n in names if ".dist-info/" not in n]
    assert sorted(names) == shipped()
    assert sum(name.startswith("melbeam/pipelines/demo_clips/") for name in names) == 9


def test_the_sdist_holds_readme_and_license(built):
    with tarfile.open(built[0]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"README.md", "LICENSE", "pyproject.toml", "setup.py"} <= names


@pytest.mark.parametrize("of", ["wheel", "sdist"])
def test_the_demo_runs_in_an_empty_folder_without_a_network(installed, built, tmp_path, of):
    (package,) = [path for path in built if path.name.endswith({"wheel": ".whl", "sdist": ".tar.gz"}[of])]
    again = ("install", "-q", "--force-reinstall", "--no-deps", package)  # what it needs is there
    succeed(installed / "python", "-m", "pip", *again, cwd=tmp_path)
    nowhere = "http://127.0.0.1:9"
    command = ["env", f"http_proxy={nowhere}", f"https_proxy={nowhere}", installed / "melbeam", "demo"]
    said = succeed(*command, cwd=tmp_path)
    assert "13 records read = 8 converted + 5 rejected" in said
    assert "not drawn: pip install 'melbeam[demo]'" in said  # no matplotlib among what melbeam needs
    assert "not made: pip install 'melbeam[demo]'" in said
    assert sorted(path.name for path in (tmp_path / "melbeam-demo").iterdir()) == [
        ".melbeam-demo",
        "clips",
        "features",
    ]


def test_it_runs_the_installed_package(installed, tmp_path):
    found = succeed(installed / "python", "-c", "import melbeam.transforms as t; print(t.__file__)", cwd=tmp_path)
    assert Path(found.strip()).is_relative_to(installed.parent)


def imported(installed, cwd, *arguments):
    code = f"""
import sys
from melbeam.pipelines.cli import main
status = main({[str(argument) for argument in arguments]})
print("imported:", "tensorflow" in sys.modules, "status:", status)
"""
    return succeed(installed / "python", "-c", code, cwd=cwd).splitlines()[-1]


def test_the_launcher_imports_no_tensorflow(installed, tmp_path):
    assert imported(installed, tmp_path, "--help") == "imported: False status: 0"
    clips = ROOT / "pipelines/demo_clips"
    ingest = ("ingest", f"--input={clips}/*.wav", "--output=audio", "--num_shards=1")
    assert imported(installed, tmp_path, *ingest) == "imported: False status: 0"
    extract = ("extract", "--input=audio/train-*", "--output=features", "--dry_run")
    assert imported(installed, tmp_path, *extract) == "imported: False status: 0"
    assert not (tmp_path / "features").exists()


@pytest.mark.parametrize("command", [["--help"], ["extract", "--help"], ["ingest", "--help"], ["demo", "--help"]])
def test_help(installed, tmp_path, command):
    ended = run(installed / "melbeam", *command, cwd=tmp_path, timeout=60)
    assert ended.returncode == 0
    assert "usage: melbeam" in ended.stdout + ended.stderr


def test_each_job_is_a_module_too(installed, tmp_path):
    ended = run(installed / "python", "-m", "melbeam.pipelines.extract", "--input=x", cwd=tmp_path, timeout=60)
    assert (ended.returncode, "--output" in ended.stderr) == (2, True)
