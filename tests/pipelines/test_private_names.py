"""Names that other packages keep private are there as they were in the release that they were read in."""

import inspect
from importlib import import_module
from importlib.metadata import version

import pytest

from melbeam.pipelines.private_names import MADE_FOR


@pytest.mark.parametrize(("module", "name", "package", "release"), MADE_FOR)
def test_the_name_is_there(module, name, package, release):
    base, _, extra = package.partition("[")
    try:
        found = import_module(module)
    except ImportError:
        if not extra:
            raise
        pytest.skip(f"{package} is not installed; make test-cloud has it")
    for part in name.split("."):
        assert hasattr(found, part), f"{base} {version(base)} has no {module}.{name}; {release} had it"
        found = getattr(found, part)


def test_a_listing_takes_where_to_begin():
    from apache_beam.io.filesystem import FileSystem

    assert list(inspect.signature(FileSystem._list).parameters) == ["self", "dir_or_prefix"]
