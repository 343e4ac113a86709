"""Prints what an extra of pyproject.toml asks for, a line each, without what the package itself needs.

    python scripts/requirements_of_extra.py docs | xargs pip install

So an environment that only reads the sources, as the site's does, is there in seconds, without TensorFlow.
"""

import sys
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
print("\n".join(project["optional-dependencies"][sys.argv[1]]))
