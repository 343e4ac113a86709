"""A release: checks the working tree, the version and the changelog, builds, checks what was built, and tags.

    python scripts/release.py 0.2.0 --dry_run     # checks and builds; no tag
    python scripts/release.py 0.2.0               # and tags v0.2.0
    python scripts/release.py 0.2.0 --upload      # and pushes the tag, and uploads to the package index

Before it, .ci/run passes on a clean clone; CHANGELOG.md has what was under Unreleased under the heading
`## [0.2.0] - YYYY-MM-DD`, and pyproject.toml has the version, which is written nowhere else. The extra `check`
brings build and twine; --upload takes the index's credentials as twine does, from TWINE_PASSWORD or a .pypirc.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
import tempfile
from pathlib import Path


class NotReady(Exception):
    """Something has to be done before the release; the message says what."""


def git(root: Path, *words: str) -> str:
    """What a git command prints.

    Raises:
        NotReady: it failed.
    """
    ended = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise NotReady(f"git {' '.join(words)} failed: {ended.stderr.strip()}")
    return ended.stdout.strip()


def check_tree(root: Path, version: str) -> None:
    """Sees to it that what is tagged is what is built.

    Raises:
        NotReady: there are changes that are not committed, or the tag is there already.
    """
    if changed := git(root, "status", "--porcelain"):
        raise NotReady(f"the working tree has changes: commit or remove them:\n{changed}")
    if git(root, "tag", "--list", f"v{version}"):
        raise NotReady(f"the tag v{version} is there already: a version is released once")


def check_version(root: Path, version: str) -> None:
    """Holds the version against pyproject.toml, its one place.

    Raises:
        NotReady: it is none, or another one.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        raise NotReady(
            f"{version!r} is no version: MAJOR.MINOR.PATCH, with a1, b1 or rc1 behind it for one to try"
        )
    found = re.search(r'^version = "(.*)"$', (root / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None or found[1] != version:
        raise NotReady(f"pyproject.toml has version {found and found[1]}, not {version}: set it, and commit")


def check_changelog(root: Path, version: str, today: datetime.date) -> None:
    """Looks for the version's own heading, with its date and something below it.

    Raises:
        NotReady: it is not there, its date is none or lies ahead, or it has nothing to say.
    """
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\[.*)\n((?:(?!^## ).*\n?)*)", text, re.MULTILINE))
    heading = next((one for one in sections if one.startswith(f"[{version}]")), None)
    if heading is None:
        raise NotReady(f"CHANGELOG.md has no heading '## [{version}] - YYYY-MM-DD': move what is under Unreleased")
    dated = re.fullmatch(rf"\[{re.escape(version)}\] - (\d{{4}}-\d{{2}}-\d{{2}})", heading)
    try:
        date = datetime.date.fromisoformat(dated[1]) if dated else None
    except ValueError:
        date = None
    if date is None or date > today:
        raise NotReady(f"CHANGELOG.md: '## {heading}' must be '## [{version}] - YYYY-MM-DD', of today or before")
    if not sections[heading].strip():
        raise NotReady(f"CHANGELOG.md says nothing under '## {heading}'")
    unreleased = next((text for one, text in sections.items() if one == "[Unreleased]"), "")
    if re.search(r"^- ", unreleased, re.MULTILINE):
        raise NotReady(f"CHANGELOG.md still has entries under Unreleased: move them under [{version}]")


def build(root: Path, version: str, folder: Path) -> list[Path]:
    """The sdist and the wheel of the commit, checked by twine; the wheel is built from the sdist.

    Raises:
        NotReady: a step failed, or another version came of it.
    """
    with tempfile.TemporaryDirectory() as clone:  # so that nothing that git ignores can slip in
        git(root, "clone", "-q", "--no-hardlinks", str(root), f"{clone}/melbeam")
        _run("build", "--outdir", str(folder), f"{clone}/melbeam")
    built = sorted(folder.iterdir())
    expected = [f"melbeam-{version}-py3-none-any.whl", f"melbeam-{version}.tar.gz"]
    if [path.name for path in built] != expected:
        raise NotReady(f"expected {', '.join(expected)}, got {', '.join(path.name for path in built)}")
    _run("twine", "check", "--strict", *map(str, built))
    return built


def _run(module: str, *words: str) -> None:
    ended = subprocess.run([sys.executable, "-m", module, *words], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise NotReady(
            f"python -m {module} {' '.join(words)} failed:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}"
        )


def release(root: Path, version: str, folder: Path, *, dry_run: bool, upload: bool) -> None:
    """All steps in their order; nothing is tagged before everything was checked.

    Raises:
        NotReady: something has to be done first.
    """
    check_version(root, version)
    check_changelog(root, version, datetime.date.today())
    check_tree(root, version)
    print(
        f"{git(root, 'rev-parse', '--short', 'HEAD')}: the tree is clean, and version and changelog say {version}"
    )
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise NotReady(f"{folder} holds files: remove them, or name another folder with --output")
    built = build(root, version, folder)
    print("built and checked: " + ", ".join(str(path) for path in built))
    if dry_run:
        print(f"--dry_run: no tag; without it, v{version} is tagged")
        return
    git(root, "tag", "-a", f"v{version}", "-m", f"melbeam {version}")
    print(f"tagged v{version}")
    if upload:
        git(root, "push", "origin", f"v{version}")
        _run("twine", "upload", "--non-interactive", *map(str, built))
        print("pushed the tag and uploaded")
    else:
        print(f"not published: git push origin v{version}; python -m twine upload {folder}/*")


def main() -> int:
    """Releases; gives 1 where something has to be done first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", help="MAJOR.MINOR.PATCH")
    parser.add_argument("--dry_run", action="store_true", help="check and build; no tag")
    parser.add_argument("--upload", action="store_true", help="push the tag, and upload what was built")
    parser.add_argument("--output", type=Path, help="folder for what is built (default: dist)")
    options = parser.parse_args()
    if options.dry_run and options.upload:
        parser.error("--dry_run and --upload contradict each other")
    root = Path(__file__).parents[1]
    try:
        output = (options.output or root / "dist").absolute()
        release(root, options.version, output, dry_run=options.dry_run, upload=options.upload)
    except NotReady as reason:
        print(f"release: not ready: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
