"""Sentences in the user's language: each is there, and reaches the client wherever it is told."""

import ast
import json
import time
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import httpx
import jwt
import pytest

from tests.backend import Backend, message
from tests.git import reword
from tests.matrix import COMBINATIONS
from tests.project import files_of, parsed
from tests.providers import environment, production, talking_to
from tests.render import BACKEND, render, render_into
from tests.standins import Answer, Finish, HttpError, StandIn, Text
from tests.test_approvals import DELETE, DELETE_OTHER, actions, cards, deleting, press
from tests.test_matrix import LANGUAGES
from tests.test_start import failed_start
from tests.users import SECRET

# What is a sentence for the person at the chat: each of these arguments, where it is a text.
TOLD = {
    "Failure": (0,),
    "ModelUnavailable": (0,),
    "Sentence": (0,),
    "UnknownModel": (0,),
    "counted": (1, 2),
}
ALSO_VALUES = ("Failure", "ModelUnavailable", "UnknownModel")
"""They may also be given a Sentence."""
FOR_DEVELOPERS = (
    "A request with cookies needs an Origin",
    "The body is not JSON",
    "The client has left.",
    "The request has too many values",
    "The request's type is not an operation",
    "This backend has not been started.",
    "This host name is not allowed.",
    "This origin is not allowed.",
    "This server does not answer to this host name.",
    "This server does not offer",
    "Unknown action",
    "params.",
)
"""So begin the refusals that only a developer meets, in English."""


# --- The catalogues ---


def sources(level: int) -> Iterator[tuple[str, str]]:
    """Every module of core/ that some project of this level has."""
    found: dict[str, str] = {}
    for combination in COMBINATIONS:
        if combination.level == level:
            for name, path in files_of(render(**combination.answers)).items():
                if name.startswith("backend/core/") and name.endswith(".py"):
                    found[name] = path.read_text(encoding="utf-8")
    yield from found.items()


def calls(source: str) -> Iterator[tuple[str, list[ast.expr]]]:
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node.args


def said_at(level: int) -> set[str]:
    """Every sentence that the template tells the person at the chat at this level."""
    found: set[str] = set()
    for name, source in sources(level):
        for called, arguments in calls(source):
            for place in TOLD.get(called, ()):
                match arguments[place : place + 1]:
                    case [ast.Constant(value=str(sentence))]:
                        found.add(sentence)
                    case [ast.JoinedStr()]:
                        pytest.fail(f"{name}: no catalogue can have an f-string")
                    case [_] if called not in ALSO_VALUES and name != "backend/core/sentences.py":
                        pytest.fail(f"{name}: a Sentence that nobody can find")
    return found


def catalogue(project: Path, language: str) -> dict[str, str]:
    """The template's sentences in a language, as a project has them."""
    found: dict[str, str] = {}
    for file in sorted((project / "backend/core/languages").glob(f"{language}.*json")):
        pairs = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=list)
        assert len(dict(pairs)) == len(pairs) and not set(found) & set(dict(pairs))
        found.update(pairs)
    return found


@pytest.mark.parametrize("level", [1, 2, 3])
def test_each_language_has_each_sentence_of_its_level_and_no_other(level: int) -> None:
    said = said_at(level)
    project = render(level=level, store="memory")
    files = {path.name for path in (project / "backend/core/languages").iterdir()}
    assert {file.partition(".")[0] for file in files} == set(LANGUAGES)
    for language in LANGUAGES:
        assert set(catalogue(project, language)) == said, language


def test_a_translation_has_the_values_and_the_names_of_its_sentence() -> None:
    for language in LANGUAGES:
        for sentence, text in catalogue(BACKEND.parent, language).items():
            assert fields(text) == fields(sentence), text
            # What has to be typed as it stands here.
            for word in sentence.replace("`", " ").split():
                name = word.strip(".,:;()")
                if "_" in name or name.startswith((".env", "--", "/", "params")):
                    assert name in text, text


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_what_is_refused_is_told_in_the_user_s_language_or_is_for_developers() -> None:
    for name, source in sources(3):
        for called, arguments in calls(source):
            if called != "Refused":
                continue
            match arguments[0]:
                case ast.Constant(value=str(sentence)):
                    assert sentence.startswith(FOR_DEVELOPERS), f"{name}: {sentence}"
                case ast.JoinedStr(values=[ast.Constant(value=str(begin)), *_]):
                    assert begin.startswith(FOR_DEVELOPERS), f"{name}: {begin}"


# --- Over HTTP ---


def spoken(backend: Backend, locale: str, **headers: str) -> None:
    backend.http.headers.update({"Accept-Language": f"{locale},en;q=0.5"} | headers)


def detail(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    return str(response.json()["detail"])


def send(backend: Backend, text: str) -> httpx.Response:
    type, params = message(text)
    return backend.post(type, **params)


@pytest.mark.parametrize(
    ("locale", "nothing", "failed"),
    [
        ("de-CH", "nicht vorhanden", "Im Code dieses Projekts ist ein Fehler aufgetreten."),
        ("fr", "n'existe pas", "Le code de ce projet a échoué."),
        ("es_MX", "no existe", "El código de este proyecto ha fallado."),
        ("pt-BR", "não existe", "O código deste projeto falhou."),
        ("ja", "存在しません", "このプロジェクトのコードでエラーが発生しました。"),
        ("zh-Hant-TW", "没有此对话", "此项目的代码出错。"),
        ("it", "There is no such thread", "The project's own code failed."),
        ("en-GB", "There is no such thread", "The project's own code failed."),
    ],
)
def test_at_level_1_refusals_and_failures_are_in_the_browser_s_language(
    locale: str, nothing: str, failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Backend(render(level=1, store="memory"), {}) as backend:
        spoken(backend, locale)
        assert nothing in detail(backend.post("threads.get_by_id", thread_id="nowhere"), 404)
        monkeypatch.setattr(backend.main.server, "respond", fails)
        [error] = backend.say("Hello").errors
        assert error["message"].startswith(failed)
        if locale == "de-CH":
            assert error["message"].endswith(")") and "(Anfrage " in error["message"]


async def fails(*_: Any) -> Any:
    raise LookupError
    yield


def test_at_level_2_a_failed_run_a_notice_and_the_hint_are_in_the_browser_s_language(
    standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(HttpError(500), HttpError(401), Answer(Text("Half"), Finish("length")))
    with talking_to(standin, tmp_path) as backend:
        spoken(backend, "de")
        [error] = backend.say("Hello").errors
        assert error["message"].startswith("Der Anbieter des Modells ist überlastet.")
        spoken(backend, "ja")
        [error] = backend.say("Hello").errors
        assert ".env に LOCAL_API_KEY を設定してください。" in error["message"]
        spoken(backend, "pt-BR")
        [notice] = [event for event in backend.say("Hello").events if event["type"] == "notice"]
        assert notice["message"].startswith("A resposta atingiu o limite de tamanho")
    with Backend(render(level=2, provider="gemini", store="memory"), {}) as backend:
        spoken(backend, "fr")
        hint = backend.http.get("/page/about.json").json()["hint"]
        assert hint.startswith("Aucun modèle ne peut encore répondre : GEMINI_API_KEY")
        assert backend.say("Hello").errors[0]["message"].startswith(hint)


@pytest.mark.parametrize(
    ("locale", "labels", "title", "decided"),
    [
        (
            "de",
            ["Genehmigen", "Ablehnen"],
            "delete_file erlauben?",
            "Noch offene Entscheidungen: 1.",
        ),
        (
            "ja",
            ["承認", "拒否"],
            "delete_file を許可しますか？",
            "承認しました。残りの未決定の件数: 1。",
        ),
        ("pt-BR", ["Aprovar", "Recusar"], "Permitir delete_file?", "Decisões pendentes: 1."),
    ],
)
def test_a_card_asks_and_answers_in_the_user_s_language(
    locale: str, labels: list[str], title: str, decided: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(DELETE, DELETE_OTHER))
    with deleting(standin, tmp_path) as backend:
        spoken(backend, locale)
        thread = backend.say("Delete both").thread
        first, _ = cards(backend, thread)
        assert first["widget"]["children"][0]["value"] == title
        row = first["widget"]["children"][-1]["children"]
        assert [button["label"] for button in row] == labels
        assert set(actions(first)) == {"approve", "reject"}
        press(backend, first)
        assert cards(backend, thread)[0]["widget"]["children"][-1]["value"].endswith(decided)


def test_at_level_3_the_sign_in_says_which_language_and_without_it_the_browser(
    standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(Text("Hello.")))
    with production(standin, tmp_path, RATE_LIMIT="1/hour") as (backend, _):
        spoken(backend, "ja", Authorization="")
        assert detail(send(backend, "Hello"), 401).startswith("サインインが無効か")
        claims = {"sub": "ada", "exp": time.time() + 600, "locale": "fr-CA"}
        spoken(backend, "ja", Authorization=f"Bearer {jwt.encode(claims, SECRET)}")
        assert send(backend, "Hello").status_code == 200
        told = detail(send(backend, "Hello"), 429)
        assert told == "Vous avez envoyé 1 message en 1 heure. Attendez 60 minutes."
        assert send(backend, "Hello").headers["retry-after"]


# --- A project's own ---


def test_a_project_adds_a_language_and_says_otherwise_what_it_likes(
    standin: StandIn, tmp_path: Path
) -> None:
    project = render_into(tmp_path / "myapp", level=2, provider="local", store="sqlite")
    server = project / "backend/app/server.py"
    server.write_text(
        server.read_text(encoding="utf-8").replace(
            "class ",
            "from core.sentences import Sentence\nfrom core.errors import Refused\n\n\nclass ",
            1,
        )
        + """
    sentences = {
        "it": {
            "The model provider is overloaded. Try again in a moment.": "Sovraccarico.",
            "Closed {day}.": "Chiuso {day}.",
            "Sunday": "domenica",
        },
        "de-CH": {"{sentence} (Request {id})": "{sentence} [{id}]"},
        "en": {"Ask later.": "Please ask later."},
        "ja": {"Ask later.": "後で。"},
    }

    async def admit(self, request, context):
        match request.params.input.content[0].text:
            case "own":
                raise Refused("Ask later.", 403)
            case "day":
                raise Refused(Sentence("Closed {day}.", day=Sentence("Sunday")), 403)
""",
        encoding="utf-8",
    )
    standin.answers(HttpError(500), HttpError(500))
    with Backend(project, environment("local", standin, tmp_path)) as backend:
        backend.ready()
        spoken(backend, "it-IT")
        [error] = backend.say("Hello").errors
        assert error["message"].startswith("Sovraccarico. (Request ")
        assert detail(send(backend, "day"), 403) == "Chiuso domenica."
        spoken(backend, "de-CH")
        [error] = backend.say("Hello").errors
        assert error["message"].startswith("Der Anbieter des Modells ist überlastet.")
        assert error["message"].endswith("]")
        own = {"de-CH": "Please ask later.", "ja-JP": "後で。", "it": "Please ask later."}
        for locale, told in own.items():
            spoken(backend, locale)
            assert detail(send(backend, "own"), 403) == told


@pytest.mark.parametrize(
    ("text", "why"),
    [("Permesso: {nome}", "'Permesso: {nome}'"), ("Permesso: {name", "'Permesso: {name'")],
)
def test_a_sentence_with_a_value_that_is_none_ends_the_start(
    text: str, why: str, standin: StandIn, tmp_path: Path
) -> None:
    project = render_into(tmp_path / "myapp", level=1, store="memory")
    own = f'    sentences = {{"it": {{"Allow {{name}}?": "{text}"}}}}\n'
    reword(project / "backend/app/hello.py", "    answered_by", f"{own}    answered_by", 1)
    said = failed_start(project, environment("local", standin, tmp_path))
    assert said.startswith(f"Cannot start: sentences: it: {why} may have no other names in braces")
    assert len(said.splitlines()) == 1


def test_a_sentence_that_is_nearly_one_of_the_template_s_is_told(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    project = render_into(tmp_path / "myapp", level=1, store="memory")
    own = '    sentences = {"it": {"Something went wrong on a server.": "Sbagliato."}}\n'
    reword(project / "backend/app/hello.py", "    answered_by", f"{own}    answered_by", 1)
    with Backend(project, {}):
        pass
    assert "Is 'Something went wrong on the server.' meant?" in caplog.text
