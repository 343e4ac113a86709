"""The encoders' module, and clips whose features are stored in one of several ways."""

import importlib.util
import sys
from pathlib import Path

import pytest

from melbeam.transforms import read_features

# Tests import it by name, and pytest's importlib mode does not put their folder on the path.
_SPEC = importlib.util.spec_from_file_location("encoders", Path(__file__).parent / "encoders.py")
encoders = sys.modules["encoders"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(encoders)

STORED = {
    "bytes": ["--encoding=bytes"],
    "float_list": ["--encoding=float_list"],
    "padded": ["--pad_to_max_length=on"],
    "float_list, padded": ["--encoding=float_list", "--pad_to_max_length=on"],
}


@pytest.fixture(scope="session")
def clips():
    return encoders.clips()


@pytest.fixture(scope="session")
def stored(tmp_path_factory, clips):
    """The clips' features of a front end, stored in one of several ways, as a batch, and their folder."""
    made = {}

    def batch(front_end, way):
        if (front_end, way) not in made:
            folder = tmp_path_factory.mktemp("stored")
            made[front_end, way] = encoders.store(folder, front_end, clips, *STORED[way])
        folder = made[front_end, way]
        return next(iter(read_features(folder, front_end=front_end, batch_size=len(clips)))), folder

    return batch
