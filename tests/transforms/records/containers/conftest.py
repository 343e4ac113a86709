"""The module beside this one that makes files."""

import importlib.util
import sys
from pathlib import Path

# Imported by name from the tests here, which pytest's importlib mode does not put on the path.
spec = importlib.util.spec_from_file_location("making", Path(__file__).parent / "making.py")
making = importlib.util.module_from_spec(spec)
sys.modules["making"] = making
spec.loader.exec_module(making)
