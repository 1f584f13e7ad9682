"""The lowest versions that are allowed, of what a project requires and of Copier."""

import json
import subprocess
import sys
from pathlib import Path

from packaging.version import Version

from scripts.dev import install, lowest_copier, make_venv, python_of
from scripts.versions import PROJECTS, environment, run_tests
from tests.git import contents
from tests.project import lowest_of, requirements_in
from tests.render import plain_template, render_into

LEVELS: dict[str, dict[str, str | int]] = {
    "one": {"level": 1},
    "two": {"level": 2},
    "three": {"level": 3},
}
RENDER = """
import json, sys
from copier import Settings, run_copy

template, folder, levels = json.loads(sys.argv[1])
for name, answers in levels.items():
    project = f"{folder}/{name}"
    run_copy(template, project, data=answers, defaults=True, quiet=True, settings=Settings())
"""


def test_a_project_s_own_tests_are_green_with_the_lowest_versions(tmp_path: Path) -> None:
    project = render_into(tmp_path / "myapp", **PROJECTS["agent"])
    python = environment("lowest", [project], tmp_path / ".venv")

    freeze = [sys.executable, "-m", "uv", "pip", "freeze", "--python", str(python)]
    frozen = subprocess.run(freeze, capture_output=True, text=True, check=True).stdout
    installed = dict(line.split("==") for line in frozen.splitlines())
    backend = project / "backend"
    required = requirements_in(backend / "requirements.txt")
    required |= requirements_in(backend / "requirements-dev.txt")
    for requirement in required.values():
        assert Version(installed[requirement.name]) == lowest_of(requirement), requirement.name
    assert run_tests(project, python) == 0


def test_the_lowest_copier_renders_the_same(tmp_path: Path) -> None:
    venv = tmp_path / ".venv"
    make_venv(venv)
    install(venv, [lowest_copier()])
    template, folder = str(plain_template()), tmp_path / "lowest"
    given = json.dumps([template, str(folder), LEVELS])
    subprocess.run([python_of(venv), "-c", RENDER, given], check=True)
    for name, answers in LEVELS.items():
        rendered = render_into(tmp_path / "tested" / name, **answers)
        assert contents(folder / name) == contents(rendered)
