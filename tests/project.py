"""What a rendered project consists of: its files, modules, imports, settings and answers."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from scripts.dev import ROOT


def files_of(project: Path) -> dict[str, Path]:
    """Each file by its path from the project's root, without what running it has left."""
    return {
        path.relative_to(project).as_posix(): path
        for path in sorted(project.rglob("*"))
        if path.is_file() and not re.search(r"__pycache__|\.\w+_cache|\.db", path.as_posix())
    }


def sources_of(project: Path) -> Iterator[str]:
    for name, path in files_of(project).items():
        if name.endswith(".py"):
            yield path.read_text(encoding="utf-8")


# By its text, not its path: most files are the same in many projects.
@cache
def parsed(source: str) -> ast.Module:
    return ast.parse(source)


def imports_of(project: Path) -> set[str]:
    """Every module that the project's files import, by its dotted name."""
    return {name for source in sources_of(project) for name in imports_in(source)}


def packages_imported(project: Path, *, by_tests: bool) -> set[str]:
    """The packages that the project's tests import, or those that all the rest does."""
    return {
        name.split(".")[0]
        for path, file in files_of(project).items()
        if path.endswith(".py") and is_test(path) == by_tests
        for name in imports_in(file.read_text(encoding="utf-8"))
    }


def is_test(path: str) -> bool:
    """Whether a file is for the tests alone: those of a folder of app/ lie in it."""
    name = path.rpartition("/")[2]
    return path.startswith("backend/tests/") or name.startswith(("test_", "conftest"))


@cache
def imports_in(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            # What is imported from a folder may be a module of it.
            if re.fullmatch(r"(app|core)(\.[a-z]+)?", node.module):
                found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def settings_of(project: Path) -> dict[str, str]:
    """Every setting, with its default as Python writes it."""
    found: dict[str, str] = {}
    files = [
        file for part in ("core", "app") for file in (project / "backend" / part).rglob("*.py")
    ]
    # The wiring has the last word: it may give a setting another default.
    for file in sorted(files, key=lambda file: file.name == "wiring.py"):
        found |= settings_in(file.read_text(encoding="utf-8"))
    return found


@cache
def settings_in(source: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.ClassDef) and node.name.endswith("Settings"):
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    assert isinstance(line.value, ast.Call), "a setting is a Field"
                    found[line.target.id] = ast.unparse(default_of(line.value))
    return found


@cache
def settings_read_in(source: str) -> set[str]:
    """What is asked of `settings` or `self.settings`."""
    return {
        node.attr
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value) in ("settings", "self.settings")
    }


def default_of(field: ast.Call) -> ast.expr:
    named = [keyword.value for keyword in field.keywords if keyword.arg == "default"]
    match named[0] if named else None:
        case None:
            return ast.Constant(None)  # It has to be set.
        case ast.Call(args=[secret]):
            return secret
        case default:
            return default


def assigned(project: Path, name: str) -> object:
    """The constant of this name in wiring.py."""
    wiring = project / "backend" / "app" / "wiring.py"
    for node in parsed(wiring.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"{name} is not assigned")


def answers_of(project: Path) -> dict[str, object]:
    """The answers that the project remembers, without where it came from."""
    recorded = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    return {name: answer for name, answer in recorded.items() if not name.startswith("_")}


def name_of(requirement: str) -> str:
    match = re.match(r"[a-z0-9-]+", requirement)
    assert match, requirement
    return match[0]


def requirements_in(file: Path) -> dict[str, Requirement]:
    """What a requirements file requires, by its lines."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return {line: Requirement(line) for line in lines if re.match("[a-z]", line)}


def lowest_of(requirement: Requirement) -> Version:
    """The lowest version that it allows. A requirement without one is an error."""
    [bound] = (one for one in requirement.specifier if one.operator == ">=")
    return Version(bound.version)


def run(command: list[str], cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
