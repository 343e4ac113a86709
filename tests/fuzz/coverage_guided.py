"""The same targets under atheris, which keeps what reaches new code (pip install atheris; Linux, some Pythons):

    python tests/fuzz/coverage_guided.py audio -max_total_time=3600

The first folder of libFuzzer's arguments takes what it keeps, by default one in the temporary folder. atheris
itself grows while it traces `tfrecord` (70 kB a run, which the same runs without it do not): give that
-rss_limit_mb=14000, and a minute or two at a time.
"""

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))

with atheris.instrument_imports(include=["melbeam", "targets", "yaml"]):
    import targets

if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    if not any(not argument.startswith("-") for argument in arguments):
        arguments.append(tempfile.mkdtemp(prefix=f"melbeam-fuzz-{name}-"))
    limits = ["-max_len=8192", "-timeout=20", "-rss_limit_mb=2048"]  # of two of a kind, the last one counts
    atheris.Setup([sys.argv[0], *limits, *arguments, str(targets.CORPUS / name)], targets.TARGETS[name])
    atheris.Fuzz()
