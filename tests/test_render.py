"""The template itself: its files, its questions, its README, and what Copier makes of them."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from copier import Settings, run_copy
from copier.errors import UserMessageError

from scripts.dev import ROOT, TEMPLATE
from scripts.lines import table as lines_table
from tests.project import answers_of, assigned, files_of, run, settings_of
from tests.render import plain_template, render, render_into

README = (ROOT / "README.md").read_text(encoding="utf-8")


# --- The template itself ---


def test_the_template_needs_no_trust() -> None:
    questions = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    assert not {"_tasks", "_migrations", "_jinja_extensions", "_secret_questions"} & set(questions)
    assert not any(
        details.get("secret") for details in questions.values() if isinstance(details, dict)
    )


def test_generated_projects_use_the_actions_of_this_repository() -> None:
    def actions(folder: Path) -> set[str]:
        files = (folder / ".github" / "workflows").glob("*.yml")
        return {use for file in files for use in re.findall(r"uses: (.+)", file.read_text("utf-8"))}

    assert actions(ROOT)
    assert actions(TEMPLATE / "project") == actions(ROOT)


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
        ({"port": 70000}, "Write 1 to 65535 for the port, not 70000."),
        ({"port": "70000"}, "Write 1 to 65535 for the port, not 70000."),
        ({"port": 0}, "Write 1 to 65535 for the port, not 0."),
        ({"port": "abc"}, "Write 1 to 65535 for the port, not abc."),
        ({"level": 5}, "The level must be one of 1, 2, 3, not 5."),
        ({"level": "two"}, "The level must be one of 1, 2, 3, not two."),
        ({"provider": "acme"}, "The provider must be one of gemini, openai, anthropic, azure,"),
        ({"store": "mysql"}, "The store must be one of sqlite, postgres, memory, not mysql."),
        ({"level": 3, "auth": "basic"}, "The auth must be one of jwt, session, not basic."),
        (
            {"colour": "blue"},
            "There is no question colour. There are level, provider, model, store, auth, port,",
        ),
        (
            {"model": "openai/gpt-6.1-sol"},
            'Write auto, gemini/… or litellm/…: "openai/gpt-6.1-sol" is no model of gemini,',
        ),
        ({"model": "gemini-3.8-flash"}, "Write auto, gemini/… or litellm/…:"),
        ({"model": "gemini/"}, "Write auto, gemini/… or litellm/…:"),
        ({"model": 'gemini/"; import os'}, "Write auto, gemini/… or litellm/…:"),
        (
            {"provider": "embedded", "model": "embedded/llama"},
            "Write auto or embedded/smollm2-135m: the embedded provider has no model",
        ),
        (
            {"provider": "embedded", "model": "litellm/gpt-6.1-sol"},
            "Write auto or embedded/smollm2-135m: the embedded provider has no model",
        ),
    ],
    ids=str,
)
def test_a_wrong_answer_is_refused_with_a_sentence(
    answers: Mapping[str, str | int], sentence: str, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    with pytest.raises(UserMessageError, match=re.escape(sentence)):
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
    assert "Write 1 to 65535 for the port, not 70000." in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize(
    ("question", "answer", "sentence"),
    [
        ("port", 70000, "Write 1 to 65535 for the port, not 70000."),
        ("model", "gpt", 'Write auto, gemini/… or litellm/…: "gpt" is no model of gemini,'),
    ],
)
def test_a_wrong_answer_that_is_typed_can_be_typed_again(
    question: str, answer: str | int, sentence: str, tmp_path: Path
) -> None:
    """Copier asks again where a validator objects; it holds against a user's own defaults too."""
    settings = Settings(defaults={question: answer})
    with pytest.raises(ValueError, match=re.escape(f"for question '{question}': {sentence}")):
        run_copy(
            str(plain_template()), tmp_path / "app", defaults=True, quiet=True, settings=settings
        )


def test_what_a_question_says_fits_a_terminal() -> None:
    """80 columns, of which Copier takes three for a mark or an indent."""
    questions = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    asked = [each for each in questions.values() if isinstance(each, dict) and "help" in each]
    said = [line for question in asked for line in question["help"].splitlines()]
    said += [choice for question in asked for choice in question.get("choices", ())]
    assert len(asked) == 6
    assert [line for line in said if len(line.replace("{{ provider }}", "anthropic")) > 77] == []


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


# --- The repository's own README ---


def test_the_readme_tells_how_long_each_level_is() -> None:
    assert lines_table() in README, "run `make lines`"


def test_the_readme_draws_what_is_rendered() -> None:
    project = render(level=2, provider="gemini", store="sqlite")
    drawn = set(drawn_in(README[README.index("myapp/\n") :].split("```")[0]))
    assert [path for path in drawn if not (project / path).exists()] == []
    # What is one's own, and the rooms of the rest, are all there.
    folders = [path for path in (project / "backend" / "core").iterdir() if path.is_dir()]
    there = {path for path in folders if path.name != "__pycache__"}
    there |= {path for path in files_of(project).values() if path.parent.name == "app"}
    missing = {path.relative_to(project).as_posix() for path in there} - {
        path.rstrip("/") for path in drawn
    }
    assert {path for path in missing if not path.startswith("backend/tests/")} == set()


def drawn_in(tree: str) -> Iterator[str]:
    """The paths in a drawn tree, each line of which has two more spaces than its folder's."""
    folders: list[str] = []
    for line in tree.splitlines()[1:]:
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        del folders[depth - 1 :]
        yield "".join(folders) + name
        if name.endswith("/"):
            folders.append(name)


def test_the_readme_lists_the_questions() -> None:
    questions = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    asked = [name for name, about in questions.items() if name[0] != "_" and "help" in about]
    listed = re.findall(r"^\| `(\w+)` \|", README[README.index("## The questions") :], re.MULTILINE)
    assert listed == [*asked, "project_name"]
