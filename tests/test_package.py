"""What importing melbeam does, and who may import whom."""

import ast
import importlib
import importlib.util
import json
import pkgutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import melbeam.pipelines
import melbeam.transforms

ROOT = Path(__file__).parents[1]
# Modules of an extra, by what it brings: importing one without it says which extra to install.
OF_EXTRAS = {
    "melbeam.transforms.keras_layers": ("keras_hub", "keras"),
    "melbeam.transforms.plots": ("matplotlib", "report"),
    "melbeam.transforms.torch_data": ("torch", "torch"),
}
MODULES = sorted(
    found.name
    for package in (melbeam.transforms, melbeam.pipelines)
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    if found.name not in OF_EXTRAS
)


def loaded_after(code, cwd):
    """Name to file of every module that a fresh interpreter has after the code."""
    script = f"""
import json, sys
{code}
print(json.dumps({{name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}}))
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def heavy(modules):
    return {"tensorflow", "apache_beam"} & {name.split(".")[0] for name in modules}


def test_no_module_is_imported_under_two_names():
    assert {"melbeam.transforms.beam", "melbeam.pipelines.extract", "melbeam.pipelines.split.plan"} <= set(MODULES)
    # At the root, where transforms/ and pipelines/ could be found as packages of their own.
    modules = loaded_after("\n".join(f"import {name}" for name in MODULES), cwd=ROOT)
    assert set(MODULES) <= set(modules)
    floors = tuple(str(ROOT / floor) + "/" for floor in ("configs", "pipelines", "transforms"))
    files = {name: str(Path(file).resolve()) for name, file in modules.items() if file}
    ours = {name: file for name, file in files.items() if file.startswith(floors) or name in MODULES}
    assert set(ours) >= set(MODULES)
    assert all(name.startswith("melbeam.") for name in ours)
    assert len(set(ours.values())) == len(ours)


@pytest.mark.parametrize("module", OF_EXTRAS)
def test_a_module_of_an_extra_says_which(module):
    needed, extra = OF_EXTRAS[module]
    if importlib.util.find_spec(needed) is not None:
        pytest.skip(f"{needed} is installed")
    with pytest.raises(ImportError, match=rf"pip install 'melbeam\[{extra}\]'"):
        importlib.import_module(module)


@pytest.mark.parametrize("module", ["melbeam.transforms", "melbeam.transforms.front_end", "melbeam.pipelines.cli"])
def test_imports_neither_tensorflow_nor_beam(module, tmp_path):
    assert not heavy(loaded_after(f"import {module}", tmp_path))


@pytest.mark.parametrize(
    "job",
    [
        "demo",
        "ingest",
        "extract",
        "verify",
        "retry_rejects",
        "clean",
        "show",
        "diff",
        "report",
        "index",
        "presets",
    ],
)
def test_a_parser_waits_for_nothing_heavy(job, tmp_path):
    code = f"""
from melbeam.pipelines import {job}
try:
    {job}.main(["--help"])
except SystemExit:
    pass
"""
    modules = {name.split(".")[0] for name in loaded_after(code, tmp_path)}
    assert not modules & {"tensorflow", "apache_beam", "numpy", "ml_dtypes", "soundfile"}


def test_showing_a_record_waits_for_nothing_heavy(tmp_path):
    """It reads a folder of before too, which has no index."""
    folder = ROOT / "tests/data/folder_of_version_1"
    code = f"""
from melbeam.pipelines import diff, show
assert show.main([{str(folder)!r}, "#0"]) == 0
assert diff.main([{str(folder)!r}, {str(folder)!r}]) == 0
"""
    assert not heavy(loaded_after(code, tmp_path))


@pytest.mark.parametrize("name", ["extracting.launcher", "ingesting.launcher", "extracting.shard_extractor"])
def test_a_launcher_imports_no_tensorflow(name, tmp_path):
    assert heavy(loaded_after(f"import melbeam.pipelines.{name}", tmp_path)) <= {"apache_beam"}


def test_the_version_is_the_packages(tmp_path):
    assert melbeam.transforms.__version__ == metadata.version("melbeam")
    assert not heavy(loaded_after("import melbeam.transforms as t; assert t.__version__", tmp_path))


def test_the_beam_transform_imports_no_tensorflow(tmp_path):
    code = "from melbeam.transforms import ExtractLogMel; ExtractLogMel(on_long='chunk')"
    assert heavy(loaded_after(code, tmp_path)) == {"apache_beam"}


@pytest.mark.parametrize(
    "code", ["from melbeam.transforms import ExtractLogMel", "from melbeam.pipelines.sources import ReadAudio"]
)
def test_nothing_is_said_at_an_import_of_beam(code, tmp_path):
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("", "")


def test_a_type_checker_is_told_of_the_names_that_there_are():
    tree = ast.parse(Path(melbeam.transforms.__file__).read_text(encoding="utf-8"))
    homes = {
        alias.name: node.module.removeprefix("melbeam.transforms.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("melbeam.")
        for alias in node.names
    }
    assert homes == melbeam.transforms._HOMES
    assert sorted(homes) == sorted(melbeam.transforms.__all__)


def test_every_public_name_is_there_and_none_else():
    for name in melbeam.transforms.__all__:
        assert getattr(melbeam.transforms, name).__name__ == name
    with pytest.raises(AttributeError, match="it has FrontEnd"):
        melbeam.transforms.ExtractLogMels  # noqa: B018


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(
    ("floor", "above"),
    [("configs", ("melbeam.transforms", "melbeam.pipelines")), ("transforms", ("melbeam.pipelines",))],
)
def test_no_floor_imports_from_above(floor, above):
    files = sorted((ROOT / floor).rglob("*.py"))
    assert files
    assert not [(path.name, name) for path in files for name in imports(path) if name.startswith(above)]


# The rooms of `pipelines`, from the ground up, as docs/design.md has them. Modules beside them are the jobs, and
# what jobs and rooms share.
ROOMS = (
    {"files", "tfrecord"},
    {"sources"},
    {"split"},
    {"extracting", "ingesting"},
    {"verifying", "diffing"},
    {"reporting", "showing"},
)


@pytest.mark.parametrize("room", sorted(set().union(*ROOMS)))
def test_no_room_imports_from_above_or_from_beside_it(room):
    (own,) = (number for number, rooms in enumerate(ROOMS) if room in rooms)
    others = set().union(*ROOMS[own:]) - {room}
    if own == 0:
        others -= {"files"}  # a TFRecord file is a file
    wrong = tuple(f"melbeam.pipelines.{other}" for other in sorted(others))
    files = sorted((ROOT / "pipelines" / room).rglob("*.py"))
    assert files
    assert not [
        (path.name, name)
        for path in files
        for name in imports(path)
        if name.startswith(tuple(f"{other}." for other in wrong)) or name in wrong
    ]


def test_the_rooms_are_those_that_there_are():
    rooms = {path.parent.name for path in (ROOT / "pipelines").glob("*/__init__.py")}
    assert rooms == set().union(*ROOMS)


def test_the_floors_are_imported_by_their_full_names():
    files = [path for floor in ("transforms", "pipelines", "tests") for path in (ROOT / floor).rglob("*.py")]
    wrong = ("transforms", "pipelines", "configs")
    assert not [(path.name, name) for path in files for name in imports(path) if name.split(".")[0] in wrong]


def test_no_class_is_derived_from_a_subscripted_one_that_python_3_10_does_not_subscript():
    # mypy's stubs let it pass, and an import fails with it: `class H(logging.StreamHandler[str])`.
    for floor in ("configs", "pipelines", "transforms", "examples", "scripts", "benchmarks"):
        for path in sorted((ROOT / floor).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                bases = node.bases if isinstance(node, ast.ClassDef) else []
                subscripted = [ast.unparse(base.value) for base in bases if isinstance(base, ast.Subscript)]
                roots = {name.partition(".")[0] for name in subscripted if "." in name}
                assert not roots & sys.stdlib_module_names - {"collections", "typing"}, (path, subscripted)
