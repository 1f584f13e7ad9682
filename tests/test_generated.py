"""A generated project's own tests: green at once, with no key, no network and no model."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.git import reword
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
    said = own_tests(project)
    assert "skipped" not in said
    assert not list(tmp_path.rglob("*.gguf"))


def test_an_edited_hello_world_has_green_tests(tmp_path: Path) -> None:
    project = render_into(tmp_path / "myapp", level=1, store="memory")
    hello = project / "backend" / "app" / "hello.py"
    reword(hello, "Hello! You wrote", "Moin! I heard")
    own_tests(project, "tests/app/test_hello.py")
    reword(hello, "text=answer", 'text=""')
    with pytest.raises(AssertionError, match="1 failed"):
        own_tests(project, "tests/app/test_hello.py")


def test_a_project_with_an_agent_of_its_own_and_without_the_page_has_green_tests(
    tmp_path: Path,
) -> None:
    project = render_into(tmp_path / "myapp", level=3, provider="openai", store="memory")
    app = project / "backend" / "app"
    shutil.rmtree(app / "page")
    wiring = (app / "wiring.py").read_text(encoding="utf-8")
    without, lines = re.subn(r".*add_chat_page.*\n", "", wiring)
    assert lines == 2
    (app / "wiring.py").write_text(without, encoding="utf-8")
    reword(app / "agent.py", "INSTRUCTIONS", "PROMPT")
    reword(app / "agent.py", "[current_time]", "[]")
    reword(app / "agent.py", "What can you do?", "Who are you?")
    assert "1 skipped" in own_tests(project)


def own_tests(project: Path, *files: str) -> str:
    """What the project's own tests print; they pass."""
    kept = {name: value for name, value in os.environ.items() if not re.match("PYTEST|CI$", name)}
    # Nothing is left of a model that was downloaded before, and nothing can be downloaded.
    nowhere = {"XDG_CACHE_HOME": str(project.parent), "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        cwd=project / "backend",
        env=kept | nowhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"\d+ passed", ran.stdout)
    return ran.stdout
