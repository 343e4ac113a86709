"""The README's Python runs, and gives what its comments say."""

import ast
import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN = re.compile(r"^(?P<code>[^#=]+?|\w+ = [^#]+?)  # (?P<shown>\([\d, ]+\)|\d+)(:.*|)$")


def blocks(section):
    text = README.split(f"\n{section}\n", 1)[1]
    text = re.split(r"\n##+ ", text, maxsplit=1)[0]
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_converters_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    (first,), (serving,) = blocks("## The converter"), blocks("### Serving, long audio, streams")
    exec(first, names)
    checked = 0
    for line in first.splitlines():
        match = SHOWN.match(line)
        if match is None:
            continue
        name, _, value = match["code"].rpartition(" = ")
        found = names[name] if name else eval(value, names)
        assert getattr(found, "shape", found) == ast.literal_eval(match["shown"]), line
        checked += 1
    assert checked >= 4
    exec(serving, names)
    assert (tmp_path / "saved_model/saved_model.pb").exists()
    assert (tmp_path / "converter.tflite").exists()
    assert names["features"].shape == (99, 128)


def test_every_option_of_extract_is_in_the_table():
    from melbeam.pipelines import extract

    options = {f"--{name}" for name in extract.COMMAND.parser.options} - {"--help"}
    table = README.split("| option of `extract` |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(--\w+)`", table, re.MULTILINE)) == options


def test_the_tables_of_records_are_made_of_the_schema():
    script = runpy.run_path(str(ROOT / "scripts" / "reference_docs.py"))
    page = (ROOT / "docs" / "records.md").read_text(encoding="utf-8")
    assert script["filled"](page) == page
    assert all(f"`{reason}`" in page for reason in script["REASONS"])
