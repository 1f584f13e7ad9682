"""A project that grows by `copier update --data …` keeps its edits, starts, and answers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backend import Backend
from tests.git import add_tool, commit, contents, git, reword
from tests.postgres import server
from tests.project import answers_of
from tests.providers import environment, production, talking_to
from tests.releases import Template, conflicts, update
from tests.render import render
from tests.standins import Answer, StandIn, Text
from tests.users import signed_in

AGENT = "backend/app/agent.py"
# Of the project's own tests those that talk to the agent; the others see what a new project has.
TALKS = ("tests/core/test_chat.py", "tests/core/test_client_tools.py", "tests/core/test_merged.py")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template.released(tmp_path_factory.mktemp("releases") / "template")


def edit_agent(project: Path) -> None:
    reword(project / AGENT, "You are a helpful", "You are a grumpy")
    add_tool(project / AGENT)


def edit_readme(project: Path) -> None:
    reword(project / "README.md", "## Start", "## Ours\n\nOur own words.\n\n## Start")


def differences(project: Path, fresh: Path) -> set[str]:
    """The files that are not as in a new project."""
    mine, new = contents(project), contents(fresh)
    return {name for name in mine | new if mine.get(name) != new.get(name)}


def talks(project: Path, folder: Path, standin: StandIn, *, auth: str | None = None) -> None:
    """Start it on an empty database, and say something."""
    answers = answers_of(project)
    store, provider = str(answers["store"]), str(answers["provider"])
    standin.answers(Answer(Text("Hm.")))
    with signed_in(auth) as users:
        settings = environment(provider, standin, folder, store) | users.env | {"TITLES": "false"}
        with Backend(project, settings, headers=users.headers("ada")) as backend:
            backend.ready(60)
            turn = backend.say("Hello")
            assert turn.text == "Hm."
            assert backend.texts(turn.thread) == [("user", "Hello"), ("assistant", "Hm.")]
    assert "You are a grumpy assistant." in standin.requests[0].system


def test_a_hello_world_grows_into_an_agent_and_into_production(
    template: Template, tmp_path: Path
) -> None:
    project = template.project(tmp_path / "my app", {"level": 1})
    edit_readme(project)
    reword(project / "backend/app/hello.py", "Hello! You wrote", "Moin! You wrote")
    commit(project, "My hello")

    update(project, level=2, store="sqlite")
    assert conflicts(project) == []
    # What went is told, and not lost.
    gone = git(project, "diff", "--name-only", "--diff-filter=D").splitlines()
    assert "backend/app/hello.py" in gone
    assert "Moin!" in git(project, "show", "HEAD:backend/app/hello.py")
    commit(project, "An agent")

    edit_agent(project)
    commit(project, "My agent")
    edited = (project / AGENT).read_bytes()
    update(project, level=3, store="postgres")
    assert conflicts(project) == []
    assert (project / AGENT).read_bytes() == edited
    assert "Our own words." in (project / "README.md").read_text(encoding="utf-8")
    fresh = template.fresh(tmp_path / "fresh" / "my app", {"level": 3, "store": "postgres"})
    assert differences(project, fresh) == {"README.md", AGENT}

    kept = {name: value for name, value in os.environ.items() if not re.match("PYTEST|CI$", name)}
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TALKS],
        cwd=project / "backend",
        env=kept | {"DATABASE_URL": server()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert re.search(r"\d+ passed", tested.stdout)


def test_another_provider_and_a_file_for_the_conversations(
    template: Template, standin: StandIn, tmp_path: Path
) -> None:
    before = {"store": "memory", "model": "gemini/gemini-9-pro"}
    project = template.project(tmp_path / "my app", before, template.present)
    edit_readme(project)
    reword(project / AGENT, "You are a helpful", "You are a grumpy")
    commit(project, "My edits")

    update(project, provider="anthropic", store="sqlite")

    assert conflicts(project) == []
    fresh = template.fresh(tmp_path / "fresh" / "my app", {"provider": "anthropic"})
    assert differences(project, fresh) == {"README.md", AGENT}
    # The other provider's model has not stayed behind.
    assert answers_of(project)["model"] == "auto"
    talks(project, tmp_path, standin)


def test_what_was_said_before_the_sign_in_can_be_given_to_a_user(
    standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(Text("Hm.")))
    with talking_to(standin, tmp_path) as backend:
        thread = backend.say("Hello").thread
    readme = (render(level=3, provider="local", store="sqlite") / "README.md").read_text("utf-8")
    [command] = re.findall(r'^python -c "(import sqlite3;.*)"$', readme, re.MULTILINE)
    (tmp_path / "backend").mkdir()
    given = command.replace("alice", "ada")
    subprocess.run([sys.executable, "-c", given], cwd=tmp_path / "backend", check=True)
    with production(standin, tmp_path) as (backend, users):
        assert backend.texts(thread) == [("user", "Hello"), ("assistant", "Hm.")]
        with backend.client(users.headers("bob")) as bob:
            listed = bob.post("/chatkit", json={"type": "threads.list", "params": {}})
            assert listed.json()["data"] == []


def test_another_sign_in_and_a_database_server(
    template: Template, standin: StandIn, tmp_path: Path
) -> None:
    answers: dict[str, str | int] = {"level": 3, "provider": "local"}
    before = answers | {"store": "sqlite", "auth": "jwt"}
    project = template.project(tmp_path / "my app", before, template.present)
    edit_agent(project)
    reword(project / "backend/app/tools.py", '"""', '"""Ours. ', count=1)
    commit(project, "My edits")

    update(project, store="postgres", auth="session")

    assert conflicts(project) == []
    after = answers | {"store": "postgres", "auth": "session"}
    fresh = template.fresh(tmp_path / "fresh" / "my app", after)
    assert differences(project, fresh) == {AGENT, "backend/app/tools.py"}
    talks(project, tmp_path, standin, auth="session")
