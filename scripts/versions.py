"""Runs generated projects' own tests with other versions than the tested ones.

`make lowest` takes the lowest versions that their requirements allow, `make newest` the newest
there are. Exit code 0 if all tests pass.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.dev import ROOT, give_up, make_venv, python_of
from scripts.rendered import Answers, render

BUILD = ROOT / "build"

# Together they require everything that the template knows.
PROJECTS: dict[str, Answers] = {
    "agent": {"level": 2, "provider": "gemini", "store": "sqlite"},
    "toy": {"level": 2, "provider": "embedded", "store": "memory"},
    "production": {"level": 3, "provider": "openai", "store": "postgres", "auth": "jwt"},
}
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", choices=RESOLUTIONS)
    versions = parser.parse_args().versions

    folder = BUILD / versions
    projects = {folder / name: answers for name, answers in PROJECTS.items()}
    render(projects)
    print(f"- Installing the {versions} versions into build/{versions}/.venv ...", flush=True)
    python = environment(versions, list(projects), folder / ".venv")
    failed = []
    for project in projects:
        print(f"- The tests of build/{versions}/{project.name} ...", flush=True)
        if run_tests(project, python):
            failed.append(project.name)
    if failed:
        print(f"With the {versions} versions tests fail: {', '.join(failed)}.", file=sys.stderr)
        return 1
    print(f"All tests pass with the {versions} versions.")
    return 0


def environment(versions: str, projects: Sequence[Path], venv: Path) -> Path:
    """A Python that has what these projects require, constraints.txt aside: lowest or newest.

    Lowest is what a requirement itself allows; what comes with it is the newest that fits.
    """
    make_venv(venv)
    python = python_of(venv)
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python)]
    for project in projects:
        (project / "backend" / "constraints.txt").write_text("")
        install += ["--requirements", str(project / "backend" / "requirements-dev.txt")]
    install += ["--resolution", RESOLUTIONS[versions]]
    if subprocess.run(install, check=False).returncode:
        give_up("The packages could not be installed; the lines above say why.")
    return python


def run_tests(project: Path, python: Path) -> int:
    """Run the project's own tests, and pass on their exit code."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=project / "backend", env=own, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
