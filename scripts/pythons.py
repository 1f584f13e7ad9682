"""Runs the tests on every Python of this machine that the template supports.

`make test-all` runs it. Each version has an environment of its own, such as .venv-3.12; arguments
go to pytest. Exit code 0 if at least one version was there, and the tests pass on each.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from scripts.dev import ROOT, give_up

SUPPORTED = ("3.10", "3.11", "3.12", "3.13", "3.14")


def main() -> int:
    pythons = installed()
    for version in SUPPORTED:
        print(f"Python {version}: {pythons.get(version, 'not on this machine')}")
    if not pythons:
        give_up("There is no Python to test on.")
    rows = []
    for version, python in pythons.items():
        print(f"\n--- Python {version} ---", flush=True)
        begun = time.monotonic()
        code = run_tests(version, python)
        rows.append((version, code, time.monotonic() - begun))
    print("\nPython  tests   seconds")
    for version, code, seconds in rows:
        print(f"{version:7} {'failed' if code else 'passed'} {seconds:8.0f}")
    for version in SUPPORTED:
        if version not in pythons:
            print(f"{version:7} not on this machine")
    return int(any(code for _, code, _ in rows))


def installed() -> dict[str, str]:
    """A Python that works for each version that is here, by version."""
    found: dict[str, str] = {}
    for python in candidates():
        version = version_of(python)
        if version in SUPPORTED:
            found.setdefault(version, python)
    return {version: found[version] for version in SUPPORTED if version in found}


def candidates() -> Iterator[str]:
    """What may be a Python: uv's list, the PATH's names, and pyenv's versions."""
    uv = [sys.executable, "-m", "uv", "python", "list"]
    listed = subprocess.run(
        [*uv, "--only-installed", "--output-format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        for python in json.loads(listed.stdout):
            yield python["path"]
    for version in SUPPORTED:
        if on_path := shutil.which(f"python{version}"):
            yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for version in SUPPORTED:
        yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True))


def version_of(python: str) -> str | None:
    """Such as 3.12. None for what does not run: so are pyenv's names of versions not chosen."""
    says = "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
    command = [python, "-c", says]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    implementation, _, version = asked.stdout.strip().partition(" ")
    return version if asked.returncode == 0 and implementation == "cpython" else None


def run_tests(version: str, python: str) -> int:
    """Run the tests on this Python, and pass on their exit code."""
    command = [python, "scripts/dev.py", "test", *sys.argv[1:]]
    own = {**os.environ, "DEV_VENV": f".venv-{version}"}
    return subprocess.run(command, cwd=ROOT, env=own, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
