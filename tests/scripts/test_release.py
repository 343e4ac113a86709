"""The release, in a clone of this repository: what it refuses, what it builds, tags, pushes and uploads."""

import http.server
import os
import re
import runpy
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSION = "7.8.9"


def git(folder, *words):
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path):
    """A clone whose last commit is ready to be released."""
    if subprocess.run(["git", "rev-parse"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("this checkout is no git repository")
    folder = tmp_path / "clone"
    git(tmp_path, "init", "-q", "--bare", "origin.git")
    git(tmp_path, "clone", "-q", "--no-hardlinks", str(ROOT), str(folder))
    git(folder, "remote", "set-url", "origin", str(tmp_path / "origin.git"))
    git(folder, "config", "user.name", "Somebody")
    git(folder, "config", "user.email", "somebody@example.org")
    edit(folder / "pyproject.toml", r'^version = ".*"', f'version = "{VERSION}"')
    edit(folder / "CHANGELOG.md", r"^## \[Unreleased\]", f"## [Unreleased]\n\n## [{VERSION}] - 2024-02-29")
    git(folder, "commit", "-qam", "Ready")
    return folder


def edit(path, pattern, text):
    changed, count = re.subn(pattern, text, path.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE)
    assert count == 1
    path.write_text(changed, encoding="utf-8")


def release(folder, *options, **environment):
    command = [sys.executable, folder / "scripts/release.py", VERSION, *options]
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        timeout=600,
    )


@pytest.mark.parametrize(
    ("file", "pattern", "text", "said"),
    [
        ("README.md", r"\A", "changed", "the working tree has changes"),
        ("pyproject.toml", r'^version = ".*"', 'version = "7.8.8"', "pyproject.toml has version 7.8.8, not 7.8.9"),
        ("CHANGELOG.md", r"^## \[7.8.9\]", "## [7.8.8]", "no heading '## [7.8.9] - YYYY-MM-DD'"),
        ("CHANGELOG.md", r"2024-02-29", "soon", "must be '## [7.8.9] - YYYY-MM-DD'"),
        ("CHANGELOG.md", r"2024-02-29", "2024-02-30", "must be '## [7.8.9] - YYYY-MM-DD'"),
        ("CHANGELOG.md", r"2024-02-29", "2924-02-28", "of today or before"),
        ("CHANGELOG.md", r"2024-02-29$", "2024-02-29\n\n## [0.5.0]", "says nothing under"),
        (
            "CHANGELOG.md",
            r"^## \[Unreleased\]",
            "## [Unreleased]\n\n- New.\n",
            "still has entries under Unreleased",
        ),
    ],
)
def test_what_is_not_ready_is_refused_before_anything_is_built(clone, file, pattern, text, said):
    edit(clone / file, pattern, text)
    if "working tree" not in said:
        git(clone, "commit", "-qam", "Not ready")
    refused = release(clone)
    assert (refused.returncode, said in refused.stderr) == (1, True), refused.stderr
    assert not (clone / "dist").exists()
    assert git(clone, "tag", "--list", f"v{VERSION}") == ""


def test_a_version_is_released_once(clone):
    git(clone, "tag", f"v{VERSION}")
    assert f"the tag v{VERSION} is there already" in release(clone).stderr


@pytest.mark.parametrize("version", ["1.2", "v1.2.3", "1.2.3-rc1", ""])
def test_a_version_has_three_numbers(version):
    check_version = runpy.run_path(str(ROOT / "scripts/release.py"))["check_version"]
    with pytest.raises(Exception, match="is no version"):
        check_version(ROOT, version)


class Index(http.server.BaseHTTPRequestHandler):
    """An index that takes what is uploaded, and remembers the files' names."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.uploaded += re.findall(rb'filename="([^"]+)"', body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def index():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
    server.uploaded = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_the_whole_release(clone, index, tmp_path):
    pytest.importorskip("build", reason="the extra `check` has it")
    pytest.importorskip("twine", reason="the extra `check` has it")
    files = [f"melbeam-{VERSION}-py3-none-any.whl", f"melbeam-{VERSION}.tar.gz"]
    tried = release(clone, "--dry_run", f"--output={tmp_path}/tried")
    assert tried.returncode == 0, tried.stderr
    assert sorted(path.name for path in (tmp_path / "tried").iterdir()) == files
    assert git(clone, "tag", "--list", f"v{VERSION}") == ""

    where = {
        "TWINE_REPOSITORY_URL": f"http://127.0.0.1:{index.server_port}/",
        "TWINE_USERNAME": "somebody",
        "TWINE_PASSWORD": "secret",
    }
    done = release(clone, "--upload", **where)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (clone / "dist").iterdir()) == files
    assert git(clone, "rev-parse", f"v{VERSION}^{{commit}}") == git(clone, "rev-parse", "HEAD")
    assert git(tmp_path / "origin.git", "tag", "--list") == f"v{VERSION}"
    assert sorted(name.decode() for name in index.uploaded) == files
