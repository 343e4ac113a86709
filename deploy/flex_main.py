"""What the launcher of the flex template runs: `melbeam extract`, with flags as a template passes them."""

import sys

from melbeam.pipelines import extract
from melbeam.pipelines.exit_status import leave_with

FLAGS = ("check_md5", "allow_missing_shards", "overwrite", "gpu", "recheck")


def arguments(given: list[str]) -> list[str]:
    """A template gives every parameter a value: --overwrite=true is --overwrite, --overwrite=false is nothing."""
    off = {f"--{name}=false" for name in FLAGS}
    on = {f"--{name}=true": f"--{name}" for name in FLAGS}
    return [on.get(argument, argument) for argument in given if argument not in off]


if __name__ == "__main__":
    leave_with(lambda: extract.main(arguments(sys.argv[1:])))
