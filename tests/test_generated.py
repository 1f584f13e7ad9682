"""A generated project's own tests: green at once, with no key, no network and no model."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.render import render_into

PROJECTS: list[dict[str, str | int]] = [
    {"level": 1, "store": "memory"},
    {"level": 2, "store": "sqlite", "provider": "gemini"},
    {"level": 2, "store": "sqlite", "provider": "embedded"},
    {"level": 3, "store": "postgres", "provider": "gemini", "auth": "jwt"},
    {"level": 3, "store": "memory", "provider": "openai", "auth": "session"},
]


@pytest.mark.parametrize(
    "answers", PROJECTS, ids=lambda answers: "-".join(map(str, answers.values()))
)
def test_a_new_project_s_own_tests_are_green(answers: dict[str, str | int], tmp_path: Path) -> None:
    project = render_into(tmp_path / "myapp", **answers)
    kept = {name: value for name, value in os.environ.items() if not re.match("PYTEST|CI$", name)}
    # Nothing is left of a model that was downloaded before, and nothing can be downloaded.
    nowhere = {"XDG_CACHE_HOME": str(tmp_path), "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project / "backend",
        env=kept | nowhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"\d+ passed", ran.stdout)
    assert "skipped" not in ran.stdout
    assert not list(tmp_path.rglob("*.gguf"))
