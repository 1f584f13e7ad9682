"""Release the template: everything checked, tagged, and recorded in tests/releases.toml.

The tag's commit is the one that dates the entry in CHANGELOG.md; the commit after it records its
hash, because a clone may come without tags, and the tests update from every release.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from scripts.dev import ROOT, give_up

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RECORD = "tests/releases.toml"
CHANGELOG = "CHANGELOG.md"
DEV = [sys.executable, str(ROOT / "scripts" / "dev.py")]
# The tests update a project from every release to this tree.
CHECKS = {"make lint": [*DEV, "lint"], "make test": [*DEV, "test"]}


@dataclass(frozen=True)
class Release:
    version: str
    commit: str


class Refused(Exception):
    """Why nothing was released, in a sentence."""


def releases(root: Path) -> list[Release]:
    """Every release that the tree records, oldest first."""
    recorded = tomllib.loads((root / RECORD).read_text(encoding="utf-8"))
    return [Release(entry["version"], entry["commit"]) for entry in recorded.get("release", [])]


def release(root: Path, version: str, checks: dict[str, list[str]]) -> Release:
    """Check the repository, then commit, tag and record the release.

    Raises Refused, with everything as it was.
    """
    check_version(root, version)
    head = check_tree(root)
    dated = dated_changelog(root, version)
    for name, command in checks.items():
        print(f"{name} ...", flush=True)
        if subprocess.run(command, cwd=root, check=False).returncode:
            raise Refused(f"{name} failed; the lines above say why.")
    if check_tree(root) != head:
        raise Refused("There is another commit than the one that was checked.")
    try:
        (root / CHANGELOG).write_text(dated, encoding="utf-8", newline="\n")
        commit(root, CHANGELOG, f"Release {version}")
        made = Release(version, git(root, "rev-parse", "HEAD"))
        checked = f"Checked: {', '.join(checks)}"
        git(root, "tag", "--annotate", f"v{version}", "--message", f"{version}\n\n{checked}")
        with (root / RECORD).open("a", encoding="utf-8", newline="\n") as record:
            record.write(f'\n[[release]]\nversion = "{version}"\ncommit = "{made.commit}"\n')
        commit(root, RECORD, f"Record release {version}")
    except BaseException:
        # The tree was clean: only what was written here is taken back.
        git(root, "reset", "--quiet", "--hard", head)
        if git(root, "tag", "--list", f"v{version}"):
            git(root, "tag", "--delete", f"v{version}")
        raise
    return made


def check_version(root: Path, version: str) -> None:
    if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", version, re.ASCII):
        raise Refused(f"{version!r} is no version: write three numbers, such as 0.1.0.")
    released = releases(root)
    last = released[-1].version if released else "0.0.0"
    major, minor, patch = map(int, last.split("."))
    following = [f"{major}.{minor}.{patch + 1}", f"{major}.{minor + 1}.0", f"{major + 1}.0.0"]
    if version not in following:
        raise Refused(f"{version} does not follow {last}: that would be {', '.join(following)}.")
    if git(root, "tag", "--list", f"v{version}"):
        raise Refused(f"There is a tag v{version} already, which {RECORD} does not record.")


def check_tree(root: Path) -> str:
    """The commit that would be released."""
    branch = git(root, "branch", "--show-current")
    if branch != "main":
        raise Refused(f"Releases are made on main; this is {branch or 'no branch'}.")
    if changed := git(root, "status", "--porcelain"):
        raise Refused(f"Commit or stash what is not committed:\n{changed}")
    return git(root, "rev-parse", "HEAD")


def dated_changelog(root: Path, version: str) -> str:
    """CHANGELOG.md with this release's heading and today's date."""
    text = (root / CHANGELOG).read_text(encoding="utf-8")
    heading = f"## {version} - {date.today().isoformat()}"
    entry = re.search(
        rf"^## (?:Unreleased|{re.escape(version)}\b[^\n]*)\n(.*?)(?=^## |\Z)", text, re.M | re.S
    )
    if entry is None or not entry[1].strip():
        raise Refused(
            f"{CHANGELOG} does not tell what is new: write it below the heading ## Unreleased."
        )
    return text[: entry.start()] + heading + text[entry.start(1) - 1 :]


def commit(root: Path, file: str, message: str) -> None:
    # Nothing to commit where the heading had its date.
    git(root, "commit", "--quiet", "--allow-empty", "--message", message, "--", file)


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Refused(f"git {arguments[0]} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


def main(args: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make release VERSION=0.1.0", description=__doc__)
    parser.add_argument("version", nargs="?", default="")
    version = parser.parse_args(args).version
    try:
        made = release(ROOT, version, CHECKS)
    except Refused as refused:
        give_up(f"Nothing is released. {refused}")
    except KeyboardInterrupt:
        return 130
    print(
        f"Release {made.version} is made: {', '.join(CHECKS)} passed.\n"
        f"Commit {made.commit[:12]} has the tag v{made.version}; the commit after it records both "
        f"in {RECORD}.\nTo publish it: git push --follow-tags"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
