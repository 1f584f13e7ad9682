"""What providers' wires do besides the usual: each form, on every provider's format."""

import time
from pathlib import Path
from typing import Literal

import pytest

from tests.backend import load_project
from tests.providers import KEY, REMOTE, environment, talking_to
from tests.render import render
from tests.standins import (
    Answer,
    Empty,
    HttpError,
    Moved,
    NoFinish,
    NotFound,
    Piece,
    Raw,
    Said,
    Silence,
    StandIn,
    Text,
    Thought,
    ToolCall,
    Usage,
)
from tests.standins.wire import sse

LOOK = ToolCall("current_time", {"time_zone": "Asia/Tokyo"})
CUT: dict[Literal["length", "safety"], str] = {
    "length": "length limit",
    "safety": "content filter",
}
AFTER: dict[str, list[Piece]] = {
    "usage alone": [Usage(), NoFinish()],
    "an empty event": [Empty(), NoFinish()],
    "both, twice": [Usage(), Empty(), Usage(), Empty(), NoFinish()],
    "the reason again": [Said(), Usage(), NoFinish()],
    "nothing": [NoFinish()],
    "a connection that stays open": [Silence(30)],
    "usage, and a connection that stays open": [Usage(), Silence(30)],
}


@pytest.mark.parametrize("provider", REMOTE)
def test_what_follows_the_finish_reason_takes_nothing_from_the_answer(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    with talking_to(standin, tmp_path, provider) as backend:
        for name, after in AFTER.items():
            delay = 0.01 if "usage" in name else 0
            standin.answers(Answer(Text("It is noon.", pieces=3), Said(), *after, delay=delay))
            before = time.monotonic()
            turn = backend.say("What time is it?")
            assert (turn.errors, turn.text, turn.ghosts) == ([], "It is noon.", []), name
            assert time.monotonic() < before + 3, name
            standin.answers(Answer(Text("Let me look."), LOOK, Said(), *after))
            standin.answers(Answer(Text("Noon.")))
            turn = backend.say("What time is it in Tokyo?")
            assert (turn.errors, turn.answers) == ([], ["Let me look.", "Noon."]), name
            for reason, told in CUT.items():
                standin.answers(Answer(Text("It is"), Said(reason), *after))
                turn = backend.say("What time is it?")
                assert (turn.errors, turn.text) == ([], "It is"), (name, reason)
                [notice] = [event for event in turn.events if event["type"] == "notice"]
                assert told in notice["message"], (name, reason)


# Nothing follows it on the other formats.
@pytest.mark.parametrize("provider", ["gemini", "local"])
def test_words_and_calls_that_follow_the_finish_reason_belong_to_the_answer(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    with talking_to(standin, tmp_path, provider) as backend:
        standin.answers(Answer(Text("It is "), Said(), Text("noon."), NoFinish(), delay=0.01))
        turn = backend.say("What time is it?")
        assert (turn.errors, turn.text) == ([], "It is noon.")
        standin.answers(Answer(Text("Let me look."), Said(), LOOK, NoFinish()))
        standin.answers(Answer(Text("Noon.")))
        turn = backend.say("What time is it in Tokyo?")
        assert (turn.errors, turn.answers) == ([], ["Let me look.", "Noon."])


@pytest.mark.parametrize("provider", REMOTE)
def test_equal_pieces_do_not_end_the_answer(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(Text(["word "] * 300)))
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("Say it 300 times.")
        assert turn.errors == []
        assert turn.text.strip() == ("word " * 300).strip()


@pytest.mark.parametrize("provider", REMOTE)
def test_no_redirect_takes_the_key_and_the_conversation_to_another_host(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    with StandIn() as other, talking_to(standin, tmp_path, provider) as backend:
        path = standin.url.replace("127.0.0.1", "localhost")
        for host in (other.url, path):
            standin.answers(Moved(f"{host}/v1/chat/completions"))
            turn = backend.say("Hello?")
            assert "leads to another one" in turn.errors[0]["message"]
            assert KEY not in str(turn.events)
        assert not other.requests and not other.unexpected
        assert len(standin.requests) == 2


JSON = "application/json"
PAGES = {
    "go": NotFound("404 page not found"),
    "fastapi": NotFound('{"detail":"Not Found"}', JSON),
    "nginx": NotFound("<html><head><title>404 Not Found</title></head></html>", "text/html"),
    "azure": NotFound('{"error":{"code":"404","message":"Resource not found"}}', JSON),
    "another method": NotFound('{"detail":"Method Not Allowed"}', JSON, 405),
    "a site": NotFound("<!doctype html><title>Our model gateway</title>", "text/html", 200),
}


@pytest.mark.parametrize("provider", REMOTE)
def test_a_wrong_address_is_told_from_a_wrong_model(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    with talking_to(standin, tmp_path, provider) as backend:
        for name, page in PAGES.items():
            standin.answers(page)
            [error] = backend.say("Hello?").errors
            assert "MODEL_BASE_URL" in error["message"], name
            assert error["allow_retry"] is (page.status == 200), name
        standin.answers(HttpError(404))
        assert "Set MODEL in" in backend.say("Hello?").errors[0]["message"]


@pytest.mark.parametrize("finish", [None, ""])
def test_done_ends_an_answer_that_gives_no_reason(
    finish: str | None, standin: StandIn, tmp_path: Path
) -> None:
    choice = {"index": 0, "delta": {"content": "noon."}, "finish_reason": finish}
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    last = Raw(sse(chunk | {"choices": [choice]}))
    done = Raw(b"data: [DONE]\n\n")
    with talking_to(standin, tmp_path) as backend:
        for after in ([done, NoFinish()], [done, Silence(30)], [done, Raw(b"data: {}\n\n")]):
            standin.answers(Answer(Text("It is "), last, *after))
            turn = backend.say("What time is it?")
            assert (turn.errors, turn.text) == ([], "It is noon.")
        standin.answers(Answer(Text("It is "), last, NoFinish()))
        assert "broke off" in backend.say("What time is it?").errors[0]["message"]


def test_a_model_that_takes_no_tools_is_told_as_such(standin: StandIn, tmp_path: Path) -> None:
    standin.answers(HttpError(400, kind="no_tools"))
    with talking_to(standin, tmp_path) as backend:
        [error] = backend.say("Hello?").errors
    assert "MODEL_TOOLS=false" in error["message"] and not error["allow_retry"]


@pytest.mark.parametrize("form", ["X-Team: chat; X-Place: 7", '{"X-Team": "chat", "X-Place": "7"}'])
@pytest.mark.parametrize("provider", REMOTE)
def test_a_gateway_gets_its_headers_and_parameters(
    provider: str, form: str, standin: StandIn, tmp_path: Path
) -> None:
    env = {"MODEL_HEADERS": form, "MODEL_QUERY": "place=north%20wing&team=chat"}
    standin.answers(Answer(LOOK), Answer(Text("Noon.")))
    with talking_to(standin, tmp_path, provider, **env) as backend:
        assert backend.say("What time is it in Tokyo?").text == "Noon."
    for request in standin.requests:
        assert (request.headers["x-team"], request.headers["x-place"]) == ("chat", "7")
        assert (request.query["team"], request.query["place"]) == ("chat", "north wing")


def test_the_headers_of_a_gateway_are_for_no_other_provider(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", standin.url)
    with talking_to(standin, tmp_path, "gemini", MODEL_HEADERS="X-Team: chat") as backend:
        agent = backend.main.server.agent
        backend.main.server.agent = agent.clone(model="anthropic/claude-haiku-4-5")
        assert backend.say("Hello?").errors == []
    assert standin.requests[0].format == "anthropic"
    assert "x-team" not in standin.requests[0].headers


@pytest.mark.parametrize("provider", REMOTE)
def test_a_model_without_tools_answers_where_that_is_set(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    with talking_to(standin, tmp_path, provider, MODEL_TOOLS="false") as backend:
        agent = backend.main.server.agent
        assert agent.tools
        backend.main.server.agent = agent.clone(handoffs=[agent.clone(name="Other")])
        assert backend.say("Hello?").text == "ok 1"
    assert standin.requests[0].tools == []
    assert "tool_choice" not in standin.requests[0].body


@pytest.mark.parametrize("model", ["local/qwen", "litellm/hosted_vllm/qwen"])
@pytest.mark.parametrize(
    "fields", [["reasoning"], ["reasoning_content"], ["reasoning", "reasoning_content"]]
)
def test_thoughts_are_shown_in_whichever_field_they_come(
    fields: list[str], model: str, standin: StandIn, tmp_path: Path
) -> None:
    thought = Thought("The clock says noon.", 4, fields)
    standin.answers(Answer(thought, LOOK), Answer(thought, Text("Noon.")))
    env = {"MODEL": model, "HOSTED_VLLM_API_KEY": KEY}
    with talking_to(standin, tmp_path, **env) as backend:
        turn = backend.say("What time is it?")
        assert (turn.errors, turn.ghosts, turn.text) == ([], [], "Noon.")
        workflows = [each for each in backend.items(turn.thread) if each["type"] == "workflow"]
        tasks = [task["content"] for each in workflows for task in each["workflow"]["tasks"]]
        assert tasks == ["The clock says noon."] * 2


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("MODEL_HEADERS", "X-Group"),
        ("MODEL_HEADERS", "X Group: chat"),
        ("MODEL_HEADERS", "X-Group: "),
        ("MODEL_HEADERS", "Host: elsewhere"),
        ("MODEL_HEADERS", '{"X-Team": 7}'),
        ("MODEL_HEADERS", '{"X-Team": "chat"'),
        ("MODEL_HEADERS", "[1]"),
        ("MODEL_HEADERS", '{"X-Team": "chat\\r\\nX-Other: 1"}'),
        ("MODEL_QUERY", "group"),
        ("MODEL_TOOLS", "perhaps"),
    ],
)
def test_a_gateway_that_is_written_wrongly_ends_the_start_with_a_line(
    name: str, wrong: str, standin: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = render(level=2, provider="gemini", store="sqlite")
    with pytest.raises(SystemExit):
        load_project(project, environment("gemini", standin, tmp_path) | {name: wrong})
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"Cannot start: {name} must be ")
    assert wrong not in line


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("X-Team secret", "The one with the number 2 is not a name and a value."),
        ("Host: secret", "Host is not for you to set."),
        ("X-Team: secret ü", "The value of X-Team is not a line of ASCII characters."),
    ],
)
def test_the_header_that_is_wrong_is_named_and_its_value_is_not(
    second: str, said: str, standin: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = render(level=2, provider="gemini", store="sqlite")
    headers = {"MODEL_HEADERS": f"X-Place: 7; {second}"}
    with pytest.raises(SystemExit):
        load_project(project, environment("gemini", standin, tmp_path) | headers)
    [line] = capsys.readouterr().err.splitlines()
    assert f" {said} " in line
    assert "secret" not in line
