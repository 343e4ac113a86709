"""What a type checker says of melbeam as its users see it: mypy --strict, and pyright on the documented examples.

    python scripts/check_types.py

The public surface is each module that a public name lives in, and the modules of the extras. The examples are the
Python blocks of the README and of the pages of docs/tasks/, those of a page one after the other.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import melbeam.pipelines.sources
import melbeam.transforms

ROOT = Path(__file__).parents[1]
# Where `make check` shows the package to type checkers, which do not see through an editable install.
TYPED = ROOT / ".venv" / "typed"
OF_EXTRAS = ("keras_layers", "torch_data")
# Beam's own types: `|` gives any value that a pipeline has, without a transform's outputs, and `apache_beam` does
# not mark what it exports. And what is installed in other environments only.
_OF_OTHERS = re.compile(
    r'Cannot access attribute "\w+" for class "(PValue|list|tuple|dict)\b'
    r'|is not exported from module "apache_beam"'
    r'|Import "(datasets|keras_hub|tensorflow_datasets|torch|transformers)[\w.]*" could not be resolved'
)
_PYRIGHT = {
    "extraPaths": [str(TYPED)],
    "reportUnusedExpression": "none",  # a pipeline is one
    "reportMissingModuleSource": "none",
}


def public_modules() -> list[str]:
    """The modules that public names are imported from, and those that they live in."""
    homes = {getattr(melbeam.transforms, name).__module__ for name in melbeam.transforms.__all__}
    homes |= {getattr(melbeam.pipelines.sources, name).__module__ for name in melbeam.pipelines.sources.__all__}
    packages = {"melbeam.transforms", "melbeam.transforms.presets", "melbeam.pipelines.sources"}
    packages |= {"melbeam.pipelines.refusals", "melbeam.transforms.packing"}
    return sorted(homes | packages | {f"melbeam.transforms.{name}" for name in OF_EXTRAS})


def examples() -> dict[str, str]:
    """The Python blocks of each page that has some, as one program."""
    found = {}
    for page in sorted([ROOT / "README.md", *(ROOT / "docs" / "tasks").glob("*.md")]):
        blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        if blocks:
            found[str(page.relative_to(ROOT)).replace("/", "_").removesuffix(".md")] = "\n".join(blocks)
    return found


def main() -> int:
    modules = public_modules()
    print(f"mypy --strict: {', '.join(modules)}")
    command = [sys.executable, "-m", "mypy", "--strict", *(word for name in modules for word in ("-m", name))]
    strict = subprocess.run(command, cwd=ROOT, env={**os.environ, "MYPYPATH": str(TYPED)}, check=False)
    with tempfile.TemporaryDirectory() as folder:
        for name, program in examples().items():
            Path(folder, f"{name}.py").write_text(program, encoding="utf-8")
        Path(folder, "pyrightconfig.json").write_text(json.dumps(_PYRIGHT), encoding="utf-8")
        command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", folder, "--outputjson"]
        said = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    found = json.loads(said.stdout)
    faults = [one for one in found["generalDiagnostics"] if not _OF_OTHERS.search(one["message"])]
    for fault in faults:
        line = fault["range"]["start"]["line"] + 1
        print(f"{Path(fault['file']).stem}, line {line} of its Python blocks: {fault['message']}")
    checked = found["summary"]["filesAnalyzed"]
    print(f"pyright: {checked} pages with examples, {len(faults)} faults")
    return strict.returncode or int(bool(faults) or checked == 0)


if __name__ == "__main__":
    sys.exit(main())
