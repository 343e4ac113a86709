"""The README and the pages behind it: what they show runs, and their tables are made of the code."""

import ast
import contextlib
import io
import re
import runpy
import shlex
from pathlib import Path

import pytest

from melbeam.pipelines import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONVERTER = (ROOT / "docs" / "converter.md").read_text(encoding="utf-8")
SHOWN = re.compile(r"^(?P<code>[^#=]+?|\w+ = [^#]+?)  # (?P<shown>\([\d, ]+\)|\d+)(:.*|)$")
# What depends on the machine that runs: times, and the speed made of them.
TIMES = re.compile(r"of audio in .*: [\d,.]+ times real time")
# What depends on matplotlib's release.
SIZE_OF_PAGE = re.compile(r"(?<=report\.html: 1 split, )[\d.]+ [KM]iB")


def blocks(text, language="python"):
    """The text's blocks of code of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def check_shown(code, names):
    """Holds each value that a comment of the code shows against what its line gave; the number of them."""
    checked = 0
    for line in code.splitlines():
        match = SHOWN.match(line)
        if match is None:
            continue
        name, _, value = match["code"].rpartition(" = ")
        found = names[name] if name else eval(value, names)
        assert getattr(found, "shape", found) == ast.literal_eval(match["shown"]), line
        checked += 1
    return checked


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which `make demo` ran."""
    folder = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.chdir(folder)
        assert cli.main(["demo"]) == 0
    return folder


def test_its_length():
    assert len(README.splitlines()) <= 150


def test_its_first_screen_is_what_the_commands_print(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (session,) = blocks(README, "console")
    steps = re.split(r"^\$ melbeam ", session, flags=re.MULTILINE)[1:]
    assert len(steps) == 2
    for step, status in zip(steps, (3, 0), strict=True):
        command, _, shown = step.partition("\n")
        assert cli.main(shlex.split(command)) == status
        printed = capsys.readouterr().out
        shown, printed = (SIZE_OF_PAGE.sub("", TIMES.sub("", text)) for text in (shown, printed))
        assert shown == printed
    (reject,) = blocks(README, "text")
    assert cli.main(["rejects", "features/1.0.0"]) == 0
    assert f"\n\n{reject}\n" in capsys.readouterr().out


def test_its_python_runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    converter, tf_data, in_beam = blocks(README)
    names = {}
    exec(converter, names)
    assert check_shown(converter, names) == 2

    exec(tf_data, names)
    (clip,) = names["clips"]
    assert clip["input_features"].shape == (clip["num_frames"], 128)
    assert sum(len(batch["id"]) for batch in names["batches"]) == 9

    exec(in_beam, names)
    assert {path.name.partition("-")[0] for path in Path("mine").iterdir()} == {"features", "rejects"}


def test_the_converters_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, presets, serving = blocks(CONVERTER)[:3]
    names = {}
    exec(first, names)
    assert check_shown(first, names) == 3
    exec(presets.splitlines()[0], names)  # the others need the network
    exec(serving, names)
    assert (tmp_path / "saved_model/saved_model.pb").exists()
    assert (tmp_path / "converter.tflite").exists()
    assert names["features"].shape == (99, 128)


def test_the_page_of_reading_runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    names = {}
    exec(blocks((ROOT / "docs/reading.md").read_text(encoding="utf-8"))[0], names)
    batches = list(names["dataset"])
    assert sum(len(batch["id"]) for batch in batches) == 8  # train[:90%] of nine clips
    assert all(batch["input_features"].shape[:2] == batch["input_features_mask"].shape for batch in batches)


@pytest.mark.parametrize(
    "page", sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")]), ids=lambda page: page.stem
)
def test_each_command_that_a_page_shows_is_one(page):
    """The pages of docs/tasks have a test of their own, which runs them."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for code in (code for language, code in found if language in ("", "bash", "console")):
        for line in code.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True) if "melbeam " in line else []
            if words[:1] == ["melbeam"] and not words[1].endswith(":"):
                arguments = [word for word in words[2:] if not word.startswith("--config=")]
                cli.command_of(words[1]).parse(arguments)


@pytest.mark.parametrize("page", ["records.md", "cli.md", "errors.md"])
def test_the_tables_are_made_of_the_code(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert runpy.run_path(str(ROOT / "scripts" / "reference_docs.py"))["filled"](page, text) == text


@pytest.mark.parametrize("page", sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), (page.name, target)
