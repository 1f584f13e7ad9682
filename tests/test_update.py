"""`copier update`: from every release, over edits and conflicts, and what it refuses."""

import importlib
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from copier.errors import UserMessageError

from scripts.dev import ROOT
from scripts.release import CHANGELOG, Release, releases
from tests.backend import Backend
from tests.git import add_tool, alone, commit, contents, git, reword
from tests.project import answers_of
from tests.providers import environment
from tests.releases import OLDER, Answers, Template, conflicts, tag_release, update
from tests.render import render_into
from tests.standins import Answer, StandIn, Text, ToolCall
from tests.test_generated import own_tests
from tests.test_start import failed_start
from tests.users import signed_in

GH = "https://github.com/org/chatkit-template"

SAMPLES: list[Answers] = [
    {"level": 1},
    {"level": 2, "provider": "gemini", "store": "sqlite", "port": 9000},
    {"level": 3, "provider": "openai", "store": "postgres", "auth": "jwt"},
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template.released(tmp_path_factory.mktemp("releases") / "template")


@pytest.fixture(scope="module")
def generated(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commonest project, made from an older release. Copy it."""
    return template.project(tmp_path_factory.mktemp("generated") / "my app", {})


@pytest.fixture
def project(generated: Path, tmp_path: Path) -> Path:
    return copytree(generated, tmp_path / "my app")


# --- From every release ---


@pytest.mark.parametrize("answers", SAMPLES, ids=lambda answers: f"level{answers['level']}")
def test_an_untouched_project_of_any_release_becomes_like_a_new_one(
    answers: Answers, template: Template, tmp_path: Path
) -> None:
    fresh = contents(template.fresh(tmp_path / "fresh" / "my app", answers))
    versions = [release.version for release in releases(ROOT)]
    # The newest one with each sample; the older ones, of which there will be many, in turn.
    older = versions[:-1][SAMPLES.index(answers) :: len(SAMPLES)]
    for version in (OLDER, *older, *versions[-1:]):
        project = template.project(tmp_path / version / "my app", answers, version)
        update(project)
        assert contents(project) == fresh, version
        assert conflicts(project) == [], version


def test_nothing_changes_where_nothing_is_new_but_the_folder(
    template: Template, tmp_path: Path
) -> None:
    project = template.project(tmp_path / "my app", {}, template.present)
    moved = project.rename(tmp_path / "elsewhere")
    update(moved)
    assert git(moved, "status", "--porcelain") == ""
    assert answers_of(moved)["project_name"] == "my app"


def test_the_changelog_tells_of_every_release() -> None:
    changelog = (ROOT / CHANGELOG).read_text(encoding="utf-8")
    for release in releases(ROOT):
        assert f"\n## {release.version} - 20" in changelog


def test_a_clone_without_a_release_is_told_what_to_fetch(template: Template) -> None:
    with pytest.raises(AssertionError, match="Fetch the whole history: git fetch --unshallow"):
        tag_release(template.repository, Release("0.0.2", "0" * 40))


# --- Into the two storeys of 0.6.0 ---


def test_edits_of_0_5_0_stand_and_a_command_changes_what_they_import(
    template: Template, standin: StandIn, tmp_path: Path
) -> None:
    answers: Answers = {"level": 3, "provider": "local", "store": "sqlite"}
    project = template.project(tmp_path / "my app", answers, "0.5.0")
    backend, app = project / "backend", project / "backend" / "app"
    (project / ".env").write_text("HISTORY_ITEMS=7\n", encoding="utf-8")
    add_tool(app / "agent.py")
    reword(project / "README.md", "## Start", "## Ours\n\nOur own words.\n\n## Start")
    reword(app / "page/handlers.js", "effects = {}", "effects = { party: () => {} }")
    shouting = (
        "@function_tool(failure_error_function=told)\n"
        "async def shout(context: Context, text: str) -> str:\n"
        '    """Say it louder."""\n'
        "    return text.upper()\n\n\nCLIENT_TOOLS"
    )
    reword(app / "tools.py", "CLIENT_TOOLS", shouting, 1)
    reword(app / "tools.py", "order_lunch, *", "order_lunch, shout, *")
    (app / "widgets/mine.widget").write_bytes((app / "widgets/menu.widget").read_bytes())
    own = "from app.context import RequestContext\nfrom app.protocol import Refused, text_of\n"
    (app / "mine.py").write_text(f'"""Mine."""\n\n{own}', encoding="utf-8")
    commit(project, "My edits")
    edited = contents(project)

    update(project)

    assert conflicts(project) == ["backend/app/tools.py"]
    # Only in the line that both have changed; and there both sides are.
    tools = (app / "tools.py").read_text(encoding="utf-8")
    assert tools.count("<<<<<<<") == 1
    assert "async def shout" in tools
    now = contents(project)
    for name in (".env", "backend/app/mine.py", "backend/app/widgets/mine.widget"):
        assert now[name] == edited[name]
    assert b"Our own words." in now["README.md"]
    assert b"party: () => {}" in now["backend/app/page/handlers.js"]
    assert b"async def add(" in now["backend/app/agent.py"]

    # As CHANGELOG.md says.
    kept = ("backend/app/tools.py", "backend/app/actions.py", "backend/app/widgets")
    git(project, "checkout", "HEAD", "--", *kept)
    wiring = (app / "wiring.py").read_text(encoding="utf-8").splitlines(keepends=True)
    without = [line for line in wiring if "LUNCH" not in line]
    assert len(wiring) - len(without) == 2
    (app / "wiring.py").write_text("".join(without), encoding="utf-8")
    listed = moved_names(backend, code=1)
    assert "app/mine.py:3: from core.context import RequestContext" in listed
    text_of = "from core.errors import Refused; from core.protocol.messages import text_of"
    assert f"app/mine.py:4: {text_of}" in listed
    assert "Changed to" in moved_names(backend, "--write")
    assert "Nothing here" in moved_names(backend)

    standin.answers(Answer(ToolCall("shout", {"text": "hello"})), Answer(Text("HELLO, I said.")))
    with signed_in("jwt") as users:
        env = environment("local", standin, tmp_path) | users.env | {"TITLES": "false"}
        with Backend(project, env, headers=users.headers("ada")) as running:
            running.ready()
            assert importlib.import_module("app.mine").Refused
            assert running.say("Louder!").text == "HELLO, I said."
    assert "HELLO" in str(standin.requests[1].body)
    offered = [tool["function"]["name"] for tool in standin.requests[0].body["tools"]]
    assert {"add", "shout", "show_menu", "browser_time_zone"} <= set(offered)
    own_tests(project)


ODD_IMPORTS = {
    "plain.py": ("import app.settings\n", "by hand: app.settings is core.settings now", None),
    "alias.py": (
        "import app.context as c\n",
        "import core.context as c",
        "import core.context as c\n",
    ),
    "relative.py": (
        "from .context import RequestContext\n",
        "from core.context import RequestContext",
        "from core.context import RequestContext\n",
    ),
    "gone.py": (
        "from app.auth_jwt import context_of\n",
        "by hand: context_of of app.auth_jwt is gone",
        None,
    ),
    "two.py": (
        "from app.store import StoreError; X = 1\n",
        "by hand: the line has more than the import; now: from core.errors import StoreError",
        None,
    ),
    "comment.py": (
        "from app.store import StoreError  # noqa: F401\n",
        "by hand: the line has more than the import; now: from core.errors import StoreError",
        None,
    ),
    "inside.py": (
        "def f():\n    from app.store import (\n        BaseStore,\n        StoreError,\n    )\n",
        "from core.stores.base import BaseStore; from core.errors import StoreError",
        "def f():\n"
        "    from core.stores.base import BaseStore\n"
        "    from core.errors import StoreError\n",
    ),
    "string.py": (
        'name = "app.protocol"\n',
        "by hand: app.protocol is core.protocol.requests now",
        None,
    ),
    "windows.py": (
        "\ufefffrom app.context import RequestContext\r\nX = 1\r\n",
        "from core.context import RequestContext",
        "\ufefffrom core.context import RequestContext\r\nX = 1\r\n",
    ),
    "conflict.py": ("<<<<<<< before updating\n", "resolve the conflict first", None),
}


def test_the_command_changes_what_it_can_and_lists_the_rest(tmp_path: Path) -> None:
    backend = render_into(tmp_path / "my app", level=3, provider="local") / "backend"
    (backend / "jobs").mkdir()
    for name, (source, _, _) in ODD_IMPORTS.items():
        folder = backend / ("app" if name == "relative.py" else "jobs")
        (folder / name).write_bytes(source.encode())
    for arguments in ((), ("--write",)):
        listed = moved_names(backend, *arguments, code=1)
        for name, (_, line, _) in ODD_IMPORTS.items():
            assert re.search(rf"{name}:\d: {re.escape(line)}", listed), (name, listed)
    for name, (source, _, changed) in ODD_IMPORTS.items():
        folder = backend / ("app" if name == "relative.py" else "jobs")
        assert (folder / name).read_bytes() == (changed or source).encode(), name


def test_a_method_that_is_no_longer_called_ends_the_start(tmp_path: Path) -> None:
    """It may be a sign-in: without it everybody would be let in, and nobody would notice."""
    project = render_into(tmp_path / "my app", level=2, provider="local", store="memory")
    server = project / "backend/app/server.py"
    methods = (
        "    async def identify(self, request):\n        raise Exception\n\n"
        "    async def admit(self, context, held):\n        raise Exception\n\n"
        "    def begin(self):\n        'Something of my own.'\n\n"
        "    def equipped(self, agent):\n        return agent\n\n"
        "    def note_failure(self, error):\n        raise error\n"
    )
    server.write_text(server.read_text(encoding="utf-8") + f"\n{methods}", encoding="utf-8")
    assert failed_start(project, {}).splitlines() == [
        "Cannot start: `admit` of app.server.Server gets (request, context) now.",
        "Cannot start: `equipped` of app.server.Server is no longer called: override "
        "`prepare(agent)`.",
        "Cannot start: `identify` of app.server.Server is no longer called: app/wiring.py hands in "
        "a SignIn as `sign_in`.",
        "Cannot start: `note_failure` of app.server.Server is no longer called: what is lost is "
        "opened anew by itself.",
    ]


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ("models = {'fast': 'local/a'}", "`models` of the server is a list of ModelOption or str"),
        ("models = 'fast'", "`models` of the server is a list of ModelOption or str"),
        ("tools = ['search']", "`tools` of the server is a list of ToolOption"),
        (
            "drop = ['a', 'b']",
            "`drop` of app.server.Server has the name of a method that is called",
        ),
        ("def prepare(self): 'Something of my own.'", "that is called with (agent). Take these"),
        ("def stream(self, name): 'Something of my own.'", "`stream` of app.server.Server has"),
    ],
)
def test_an_own_name_that_the_core_has_too_ends_the_start(
    own: str, told: str, tmp_path: Path
) -> None:
    project = render_into(tmp_path / "my app", level=2, provider="local", store="memory")
    server = project / "backend/app/server.py"
    server.write_text(f"{server.read_text(encoding='utf-8')}\n    {own}\n", encoding="utf-8")
    [line] = failed_start(project, {}).splitlines()
    assert told in line


def moved_names(backend: Path, *arguments: str, code: int = 0) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "core.moved_names", *arguments],
        cwd=backend,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == code, ran.stderr
    return ran.stdout


# --- As the user types it ---


def test_copy_and_update_as_typed_keep_every_edit(
    template: Template, standin: StandIn, tmp_path: Path
) -> None:
    published = tmp_path / "published.git"
    git(tmp_path, "init", "--quiet", "--bare", str(published))
    publish = ("push", "--quiet", str(published), f"v{OLDER}")
    git(template.repository, *publish)
    redirected = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{published.as_posix()}.insteadOf",
        "GIT_CONFIG_VALUE_0": f"{GH}.git",
    }
    env = alone(tmp_path / "home", **redirected)
    answers = ("--data", "level=3", "--data", "store=sqlite", "--data", "provider=local")
    copier(
        "copy", "--defaults", *answers, "gh:org/chatkit-template", "myapp", cwd=tmp_path, env=env
    )
    project = tmp_path / "myapp"
    commit(project, "As generated")

    app = project / "backend" / "app"
    (project / ".env").write_text("PORT=8123\n", encoding="utf-8")
    add_tool(app / "agent.py")
    reword(app / "tools.py", "from agents", "# Mine.\nfrom agents", count=1)
    reword(project / "README.md", "## Start", "## Ours\n\nOur own words.\n\n## Start")
    route = '\n\n@app.get("/mine")\ndef mine() -> str:\n    return "mine"\n\n\nif __name__'
    reword(project / "backend" / "main.py", "\nif __name__", route)
    (app / "mine.py").write_text('"""Mine."""\n', encoding="utf-8")
    (project / "backend/tests/app/test_agent.py").unlink()
    commit(project, "My edits")
    edited = contents(project)

    git(template.repository, *publish[:-1], f"v{template.present}")
    updated = copier("update", "--defaults", cwd=project, env=env)

    assert f"{GH}/blob/v{template.present}/CHANGELOG.md" in updated.stderr
    assert "git diff --relative --name-only --diff-filter=U" in updated.stderr
    assert conflicts(project) == []
    now = contents(project)
    for name in (".env", "backend/app/tools.py", "backend/app/mine.py"):
        assert now[name] == edited[name]
    assert b"briefly, in Markdown" in now["backend/app/agent.py"]
    assert b"Our own words." in now["README.md"]
    assert b"## Settings" in now["README.md"]
    assert "backend/tests/app/test_agent.py" not in now
    assert "backend/core/gone.py" not in now
    assert set(now) - set(edited) == {"backend/core/http/chat_page.py"}
    with signed_in("jwt") as users:
        settings = environment("local", standin, tmp_path) | users.env | {"TITLES": "false"}
        standin.answers(Answer(Text("Hm.")))
        with Backend(project, settings, headers=users.headers("ada")) as backend:
            backend.ready()
            assert backend.http.get("/mine").json() == "mine"
            assert backend.say("Hello").text == "Hm."
    assert "add" in [tool["function"]["name"] for tool in standin.requests[0].body["tools"]]


def copier(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, code: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "copier", *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


# --- Conflicts ---


def test_conflicts_are_listed_and_nothing_of_either_side_is_lost(project: Path) -> None:
    reword(project / "README.md", "## Every setting", "## My settings")
    reword(project / ".env.example", "# The address.", "# My address.")
    reword(project / "backend/app/agent.py", "in Markdown", "in verse")
    reword(project / "backend/main.py", "Serve it:", "Serve mine:")
    commit(project, "My edits")

    # Copier itself says that all is well.
    update(project)

    conflicted = [".env.example", "README.md", "backend/app/agent.py", "backend/main.py"]
    assert conflicts(project) == conflicted
    readme = (project / "README.md").read_text(encoding="utf-8")
    assert (
        "<<<<<<< before updating\n## My settings\n=======\n## Settings\n>>>>>>> after updating\n"
    ) in readme
    assert readme.startswith("# my app\n")
    agent = (project / "backend/app/agent.py").read_text(encoding="utf-8")
    assert "in verse" in agent and "briefly, in Markdown" in agent
    started = run_in(project / "backend", "main.py")
    assert "main.py" in started
    assert "<<<<<<< before updating" in started
    assert started.splitlines()[-1].startswith("SyntaxError")
    # In a text they are no error: the project's own tests find them.
    git(project, "checkout", "--ours", "backend/main.py")
    tested = run_in(
        project / "backend", "-m", "pytest", "-q", "--noconftest", "tests/core/test_merged.py"
    )
    for name in conflicted[:-1]:
        assert f"'{Path(name)}:".replace("\\", "\\\\") in tested
    assert "'backend/main.py" not in tested


def run_in(folder: Path, *arguments: str) -> str:
    """What a Python says that fails."""
    ran = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 1
    return ran.stdout + ran.stderr


def test_a_project_inside_a_larger_repository_is_updated_alone(
    generated: Path, tmp_path: Path
) -> None:
    project = tmp_path / "services" / "my app"
    copytree(generated, project)
    # No longer a repository of its own.
    (project / ".git").rename(tmp_path.parent / "was.git")
    other = tmp_path / "other.txt"
    other.write_text("old\n", encoding="utf-8")
    reword(project / "README.md", "## Every setting", "## My settings")
    commit(tmp_path, "Everything")
    other.write_text("being written\n", encoding="utf-8")

    update(project)

    assert conflicts(project) == ["README.md"]
    assert (project / "README.md").read_text(encoding="utf-8").startswith("# my app\n")
    assert not (project / "backend/core/gone.py").exists()
    assert (project / "backend/core/http/chat_page.py").exists()
    assert other.read_text(encoding="utf-8") == "being written\n"


# --- What is refused ---


@pytest.mark.parametrize(
    ("recorded", "by_hand", "sentence"),
    [
        ("store: sqlite", "store: mysql", "The store must be one of sqlite, postgres, memory,"),
        ("level: 2", "level: agent", "The level must be one of 1, 2, 3, not agent."),
        ("level: 2", "level:", "The level must be one of 1, 2, 3, not None."),
        ("provider: gemini", "provider: 5", "The provider must be one of gemini, openai,"),
        ("port: 8000", "port: high", "Write 1 to 65535 for the port, not high."),
        ("model: auto", "model: gpt", "Write auto, gemini/… or litellm/…:"),
    ],
    ids=str,
)
def test_an_answer_spoilt_by_hand_is_refused_and_changes_nothing(
    recorded: str, by_hand: str, sentence: str, project: Path
) -> None:
    reword(project / ".copier-answers.yml", recorded, by_hand)
    commit(project, "By hand")
    with pytest.raises(UserMessageError) as refused:
        update(project)
    assert sentence in str(refused.value)
    assert git(project, "status", "--porcelain") == ""


def test_an_unknown_answer_is_refused_by_an_update(project: Path) -> None:
    with pytest.raises(UserMessageError, match="There is no question colour"):
        update(project, colour="blue")
    assert git(project, "status", "--porcelain") == ""


def test_work_that_is_not_committed_is_refused(project: Path) -> None:
    (project / "README.md").write_text("Mine\n", encoding="utf-8")
    refused = copier("update", "--defaults", cwd=project, code=1)
    assert "Please commit or stash your local changes and retry." in refused.stderr
    assert (project / "README.md").read_text(encoding="utf-8") == "Mine\n"


def test_a_project_without_git_is_refused(generated: Path, tmp_path: Path) -> None:
    project = copytree(generated, tmp_path / "my app", ignore=ignore_patterns(".git"))
    with pytest.raises(UserMessageError, match="only supported in git-tracked subprojects"):
        update(project)
