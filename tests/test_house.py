"""The house of a generated project: two storeys, rooms whose imports point downward, no circle."""

import ast
import re
from collections.abc import Container, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.matrix import COMBINATIONS, Combination
from tests.project import files_of, parsed
from tests.render import render

EVERY = pytest.mark.parametrize("combination", COMBINATIONS, ids=str)

# From the top to the ground. A room may use those behind it; the ground is core/ itself.
ROOMS = ("http", "turns", "protocol", "auth", "models", "stores", "")
BESIDE = {("auth", "models"), ("auth", "stores"), ("models", "stores"), ("models", "auth")}
"""These rooms stand on the same floor: neither uses the other."""
MOST_NAMES = {1: 5, 2: 8}
MOST_LINES = 350
MOST_OF_ONES_OWN = 200


@cache
def arrows(combination: Combination) -> dict[str, set[str]]:
    """Every module of app/ and core/ without their tests, with the modules that it imports."""
    sources = dict(modules(render(**combination.answers)))
    return {name: set(uses(source, sources)) - {name} for name, source in sources.items()}


def uses(source: str, known: Container[str]) -> Iterator[str]:
    """The known modules that a source imports."""
    for module, name in imported(source):
        # A module out of a folder, or a name out of a module.
        inner = f"{module}.{name}"
        if inner in known or module in known:
            yield inner if inner in known else module


# By its text: most files are the same in many projects.
@cache
def imported(source: str) -> list[tuple[str, str]]:
    """What a source imports: a module, and a name out of it if there is one."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            found += [(name.name, "") for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(node.module, name.name) for name in node.names]
    return found


def modules(project: Path) -> Iterator[tuple[str, str]]:
    for name, path in files_of(project).items():
        match = re.fullmatch(r"backend/((app|core)/.*?)(/__init__)?\.py", name)
        if match and not path.name.startswith("test_"):
            yield match[1].replace("/", "."), path.read_text(encoding="utf-8")


def room_of(module: str) -> str:
    """The room of a module of core/; the empty one for what stands on the ground."""
    parts = module.split(".")
    return parts[1] if len(parts) > 2 or parts[-1] in ROOMS else ""


@EVERY
def test_core_never_imports_app(combination: Combination) -> None:
    for module, used in arrows(combination).items():
        if module.split(".")[0] == "core":
            assert not {each for each in used if each.split(".")[0] == "app"}, module


@EVERY
def test_the_rooms_of_core_use_only_those_below_them(combination: Combination) -> None:
    for module, used in arrows(combination).items():
        if not module.startswith("core."):
            continue
        here = room_of(module)
        for each in used:
            if each.startswith("core.") and (there := room_of(each)) != here:
                assert ROOMS.index(here) < ROOMS.index(there), f"{module} uses {each}"
                assert (here, there) not in BESIDE, f"{module} uses {each}"


@EVERY
def test_no_module_reaches_itself(combination: Combination) -> None:
    # Raises CycleError, which names the circle. A folder's own module runs with each of its
    # modules, but that is Python's doing, and no arrow that anybody drew.
    TopologicalSorter(arrows(combination)).prepare()


@EVERY
def test_the_map_of_core_names_its_rooms(combination: Combination) -> None:
    core = render(**combination.answers) / "backend" / "core"
    drawn = re.findall(r"^\| `(\w+)/` \|", (core / "README.md").read_text("utf-8"), re.MULTILINE)
    there = {path.parent.name for path in core.glob("*/__init__.py")}
    assert set(drawn) == there
    assert drawn == [room for room in ROOMS if room in there]
    for named in re.findall(r"`(\w+/\w+\.py)`", (core / "README.md").read_text("utf-8")):
        root = core.parent if named.startswith("app/") else core
        assert (root / named).exists(), named


@EVERY
def test_one_s_own_storey_can_be_taken_in_at_a_glance(combination: Combination) -> None:
    app = render(**combination.answers) / "backend" / "app"
    names = [path.name for path in app.iterdir() if path.name != "__pycache__"]
    assert len(names) <= MOST_NAMES.get(combination.level, len(names)), names
    if combination.level <= 2:
        lines = sum(len(path.read_text("utf-8").splitlines()) for path in app.glob("*.py"))
        assert lines < MOST_OF_ONES_OWN


@EVERY
def test_no_file_is_too_long_to_be_about_one_subject(combination: Combination) -> None:
    for name, path in files_of(render(**combination.answers)).items():
        if name.startswith(("backend/app/", "backend/core/")) and path.suffix == ".py":
            assert len(path.read_text("utf-8").splitlines()) <= MOST_LINES, name
