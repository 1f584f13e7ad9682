"""The repository's commands, as `make` calls them; without make: `python scripts/dev.py test`.

Plain Python, so that Windows can do all of it too. The tools go into .venv, or the folder that
DEV_VENV names, with uv where there is one and with pip where there is not; what is there already is
not installed again.
"""

from __future__ import annotations  # an old Python must come as far as the sentence about it

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / os.environ.get("DEV_VENV", ".venv")
TEMPLATE = ROOT / "template"
CONSTRAINTS = TEMPLATE / "project" / "backend" / "constraints.txt"


def demo(args: Sequence[str]) -> int:
    """Render a project with the embedded model, start it, and say how to talk to it."""
    prepare_copier()
    return run_python("-m", "scripts.demo", *args)


def test(args: Sequence[str]) -> int:
    """Run all tests; `--copier lowest` or `newest`: with another Copier than the tested one."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--copier", choices=["tested", "lowest", "newest"], default="tested")
    options, args = parser.parse_known_args(args)
    prepare_all(options.copier)
    # More processes than cores: many tests wait.
    return run_tests((os.cpu_count() or 1) + 2, *args)


def matrix(args: Sequence[str]) -> int:
    """Render, check, start and talk to a project of every combination of answers."""
    prepare_all()
    return run_tests(os.cpu_count() or 1, "tests/test_matrix.py", *args)


def test_all(args: Sequence[str]) -> int:
    """Run the tests on every Python from 3.10 to 3.14 that is on this machine."""
    prepare_all()
    return run_python("-m", "scripts.pythons", *args)


def lint(args: Sequence[str]) -> int:
    """Check style and types, of the tools here and of the template as it lies, and workflows."""
    prepare_all()
    workflows = [ROOT / ".github", TEMPLATE / "project" / ".github"]
    files = sorted(str(file) for folder in workflows for file in folder.rglob("*.yml"))
    return max(
        run_python("-m", "ruff", "check", "."),
        run_python("-m", "ruff", "format", "--check", "."),
        run_python("-m", "mypy"),
        # A fork of actionlint, which itself comes in no wheel.
        run_python("-m", "jactionlint", "--no-online", "--shellcheck=", *files),
        run_tool("zizmor", "--offline", "--quiet", *map(str, workflows)),
    )


def lowest(args: Sequence[str]) -> int:
    """Run projects' own tests with the lowest versions that they allow."""
    prepare_all()
    return run_python("-m", "scripts.versions", "lowest", *args)


def newest(args: Sequence[str]) -> int:
    """Run projects' own tests with the newest versions there are."""
    prepare_all()
    return run_python("-m", "scripts.versions", "newest", *args)


def start(args: Sequence[str]) -> int:
    """Copy a project, install and start it by the README's words, and talk to it."""
    prepare_copier()
    return run_python("-m", "scripts.start", *args)


def examples(args: Sequence[str]) -> int:
    """Write a project of each level, and a page that compares them."""
    prepare_copier()
    return run_python("-m", "scripts.examples", *args)


def lines(args: Sequence[str]) -> int:
    """Count the lines of each level, and write the numbers into README.md."""
    prepare_all()
    return run_python("-m", "scripts.lines", *args)


def screenshot(args: Sequence[str]) -> int:
    """Take the README's picture of the chat page anew, in a real browser."""
    prepare_all()
    return run_python("-m", "scripts.screenshot", *args)


def constraints(args: Sequence[str]) -> int:
    """Compile the tested versions anew: template/constraints.in to constraints.txt."""
    # Nothing more: what the old versions forbid can only be installed after this.
    prepare("uv", [pinned("uv")])
    header = "# The tested versions, for every set of answers; `copier update` renews them.\n"
    compiled = run_python(
        *("-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.10"),
        *("--no-header", "--no-annotate", "--upgrade", *args),
        *(str(TEMPLATE / "constraints.in"), "--output-file", str(CONSTRAINTS)),
    )
    if compiled == 0:
        versions = CONSTRAINTS.read_text(encoding="utf-8")
        CONSTRAINTS.write_text(header + versions, encoding="utf-8", newline="\n")
    return compiled


def release(args: Sequence[str]) -> int:
    """Release the template under this version: check everything, tag it, record it."""
    prepare_all()
    return run_python("-m", "scripts.release", *args)


COMMANDS = {
    "demo": demo,
    "test": test,
    "matrix": matrix,
    "test-all": test_all,
    "lint": lint,
    "lowest": lowest,
    "newest": newest,
    "start": start,
    "examples": examples,
    "lines": lines,
    "screenshot": screenshot,
    "constraints": constraints,
    "release": release,
}


def main() -> int:
    if sys.version_info < (3, 10):  # noqa: UP036 - whoever calls it may have an older one
        give_up(
            f"Python 3.10 or newer is needed; this is {sys.version.split()[0]}. "
            "If there is another: make PYTHON=python3.12 test, and the like."
        )
    parser = argparse.ArgumentParser(description="The repository's commands.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.__doc__, add_help=False)
    chosen, rest = parser.parse_known_args()
    # Where it is set, as in many containers, each process would compile every package anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        return COMMANDS[chosen.command](rest)
    except KeyboardInterrupt:
        return 130


# --- What the other scripts and the tests share ---


def copy_template(into: Path) -> Path:
    """A plain copy of the template as it lies here, committed or not.

    Without git, because inside a repository Copier takes the newest tag.
    """
    into.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "copier.yml", into)
    left_behind = shutil.ignore_patterns("__pycache__", ".venv", "*.pyc", ".*_cache", "*.db*")
    shutil.copytree(TEMPLATE, into / TEMPLATE.name, ignore=left_behind)
    return into


def python_of(venv: Path) -> Path:
    """The interpreter of a virtual environment."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def install(venv: Path, requirements: Sequence[str], *, cwd: Path = ROOT) -> None:
    """Install into `venv`, made if need be. Ends the program with a sentence where that fails."""
    if not python_of(venv).exists():
        make_venv(venv)
    if has_uv():
        command = ["uv", "pip", "install", "--quiet", "--python", str(python_of(venv))]
        done = subprocess.run([*command, *requirements], cwd=cwd, check=False)
        failed = done.returncode != 0
    else:
        # Most of what is installed is never imported: to compile it all takes longer than to run.
        command = [str(python_of(venv)), "-m", "pip", "install", "--no-compile"]
        command += ["--disable-pip-version-check"]
        failed = run_with_dots([*command, *requirements], cwd) != 0
    if failed:
        give_up("The packages could not be installed; the lines above say why.")


def run_with_dots(command: Sequence[str], cwd: Path) -> int:
    """Run pip, and print a dot for each package: it may take a minute."""
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Collecting "):
                print(".", end="", flush=True)
    print()
    return process.returncode


def make_venv(venv: Path) -> None:
    """Make a virtual environment. Ends the program with a sentence where that cannot be."""
    shutil.rmtree(venv, ignore_errors=True)
    if has_uv():
        command = ["uv", "venv", "--quiet", "--python", sys.executable, str(venv)]
    else:
        command = [sys.executable, "-m", "venv", str(venv)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        shutil.rmtree(venv, ignore_errors=True)
        if "ensurepip" in made.stdout + made.stderr:
            give_up(
                "This Python cannot make virtual environments. On Debian and Ubuntu: "
                "sudo apt install python3-venv. Or install uv: https://docs.astral.sh/uv/"
            )
        give_up(f"No virtual environment could be made in {venv}: {made.stderr.strip()}")


def has_uv() -> bool:
    """Whether uv is there, and works."""
    try:
        return subprocess.run(["uv", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def fingerprint(*parts: str | Path) -> str:
    """A short text that changes when one of these files or texts does, or the Python."""
    digest = hashlib.sha256(sys.version.encode())
    for part in parts:
        digest.update(part.read_bytes() if isinstance(part, Path) else part.encode())
    return digest.hexdigest()


def give_up(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    raise SystemExit(1)


# --- .venv, the environment of the tools ---


def prepare_all(copier: str = "tested") -> None:
    prepare(
        "tools",
        ["-r", "requirements-dev.txt"],
        ROOT / "requirements-dev.txt",
        TEMPLATE / "constraints.in",
        CONSTRAINTS,
    )
    prepare_copier(copier)


def prepare_copier(which: str = "tested") -> None:
    """Install Copier alone, which is enough to render, and quick: the tested, lowest or newest."""
    tested = pinned("copier")
    wanted = {"tested": [tested], "lowest": [lowest_copier()], "newest": ["--upgrade", "copier"]}
    prepare("Copier", wanted[which])


def pinned(tool: str) -> str:
    """The tested version of a tool, as a requirement."""
    required = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in required if line.startswith(f"{tool}=="))


def lowest_copier() -> str:
    """The lowest Copier that the template asks for, as a requirement."""
    questions = (ROOT / "copier.yml").read_text(encoding="utf-8")
    found = re.search(r'^_min_copier_version: "(.+)"$', questions, re.MULTILINE)
    assert found
    return f"copier=={found[1]}"


def prepare(what: str, requirements: Sequence[str], *files: Path) -> None:
    """Install into .venv, unless that was done for the same requirements."""
    stamp = VENV / f".installed-{what.lower()}"
    wanted = fingerprint(*files, *requirements)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"Installing {what} into {VENV.name} ...", flush=True)
    install(VENV, requirements)
    stamp.write_text(wanted)


def run_tool(name: str, *arguments: str) -> int:
    """Run a program that is not Python, out of .venv."""
    program = python_of(VENV).with_stem(name)
    return subprocess.run([program, *arguments], cwd=ROOT, check=False).returncode


def run_tests(processes: int, *arguments: str) -> int:
    # In their own order: the group with the fewest tests is not the quickest.
    spread = ("-n", str(processes), "--dist", "loadscope", "--no-loadscope-reorder")
    return run_python("-m", "pytest", *spread, "--durations=30", *arguments)


def run_python(*arguments: str) -> int:
    """Run .venv's Python. Ctrl+C reaches it too: it is given the time to end by itself."""
    with subprocess.Popen([str(python_of(VENV)), *arguments], cwd=ROOT) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue


if __name__ == "__main__":
    raise SystemExit(main())
