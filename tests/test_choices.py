"""What a user chooses in the composer, on every provider's wire: which model is asked, for what."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.backend import Backend
from tests.providers import REMOTE, environment
from tests.render import render_into
from tests.standins import Answer, Request, StandIn, Text, Thought, ToolCall
from tests.test_start import failed_start

SERVER = """
from core.protocol.inference_options import ModelOption, ToolOption
from core.turns.agent_server import AgentServer


class Server(AgentServer):
    models = ("plain-model", ModelOption(id="other", label="Another", model="PROVIDER/other-model"))
    tools = (ToolOption(id="current_time", label="The time", icon="clock"),)
"""
AGENT = """
from agents import Agent, ModelSettings, function_tool
from openai.types.shared import Reasoning

STARTERS = ()


@function_tool
def current_time(time_zone: str) -> str:
    return "Late."


clerk = Agent(name="clerk", model="clerk-model")
agent = Agent(name="first", tools=[current_time], MORE)
"""
TOKYO = ToolCall("current_time", {"time_zone": "Asia/Tokyo"})
TIME: dict[str, Any] = {"tool_choice": {"id": "current_time"}}


@contextmanager
def choosing(
    standin: StandIn, folder: Path, provider: str, agent: str | None = None, **env: str
) -> Iterator[Backend]:
    project = render_into(folder / "myapp", level=2, provider=provider, store="sqlite")
    app = project / "backend" / "app"
    source = SERVER.replace("PROVIDER", provider)
    if agent:
        (app / "agent.py").write_text(agent, encoding="utf-8")
    (app / "server.py").write_text(source, encoding="utf-8")
    with Backend(project, environment(provider, standin, folder) | env) as backend:
        backend.ready()
        yield backend


def forced(request: Request) -> Any:
    """The tool that the model has to call, or None."""
    body = request.body
    match request.format:
        case "gemini":
            calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
            return calling["allowed_function_names"][0] if calling.get("mode") == "ANY" else None
        case "chat_completions":
            return body.get("tool_choice", {}).get("function", {}).get("name")
        case _:
            choice = body.get("tool_choice")
            return choice.get("name") if isinstance(choice, dict) else None


@pytest.mark.parametrize("provider", REMOTE)
def test_the_model_has_to_call_a_tool_that_is_chosen_once(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(TOKYO), Answer(Text("It is late.")), Answer(Text("Hello.")))
    with choosing(standin, tmp_path, provider) as backend:
        turn = backend.say("In Tokyo?", **TIME)
        assert turn.text == "It is late."
        assert not turn.errors
        assert backend.say("Hello", turn.thread).text == "Hello."
        assert backend.texts(turn.thread)[0] == ("user", "In Tokyo?")
    # Claude's newest models always think, and cannot be made to: they are told instead.
    first = None if provider == "anthropic" else "current_time"
    assert [forced(request) for request in standin.requests] == [first, None, None]
    told = "[The user has chosen the tool current_time for this.]"
    for request in standin.requests:
        assert told in str(request.turns)


@pytest.mark.parametrize(("effort", "first"), [("none", "current_time"), ("low", None)])
def test_claude_is_not_made_to_call_it_where_it_is_told_to_think(
    effort: str, first: str | None, standin: StandIn, tmp_path: Path
) -> None:
    thoughts = [Thought("What time is it there?")] if effort == "low" else []
    standin.answers(Answer(*thoughts, TOKYO), Answer(Text("It is late.")))
    model = "anthropic/claude-sonnet-4-5"
    agent = AGENT.replace(
        "MORE", f"model_settings=ModelSettings(reasoning=Reasoning(effort={effort!r}))"
    )
    with choosing(standin, tmp_path, "anthropic", agent, MODEL=model) as backend:
        assert backend.say("In Tokyo?", **TIME).text == "It is late."
    assert [forced(request) for request in standin.requests] == [first, None]
    assert ("thinking" in standin.requests[0].body) == (effort == "low")


@pytest.mark.parametrize("provider", REMOTE)
def test_the_model_that_is_chosen_answers_until_the_next_message(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.always(Answer(Text("Hello.")))
    with choosing(standin, tmp_path, provider) as backend:
        usual = backend.main.settings.model.partition("/")[2]
        turn = backend.say("Hello", model="other")
        backend.say("Hello", turn.thread)
        backend.say("Hello", turn.thread, model="plain-model")
        asked = backend.items(turn.thread)[0]["id"]
        backend.turn("threads.retry_after_item", thread_id=turn.thread, item_id=asked)
    models = [request.model for request in standin.requests]
    assert models == ["other-model", usual, "plain-model", "other-model"]


def test_it_is_for_the_first_agent_too_and_others_keep_their_own(
    standin: StandIn, tmp_path: Path
) -> None:
    to_clerk = ToolCall("transfer_to_clerk", {})
    standin.answers(Answer(to_clerk), *[Answer(Text("Hello."))] * 3)
    agent = AGENT.replace("MORE", "model='own-model', handoffs=[clerk]")
    with choosing(standin, tmp_path, "local", agent) as backend:
        turn = backend.say("To the clerk", model="other")
        backend.say("Are you there?", turn.thread, model="other")
        backend.say("Hello")
    models = [request.model for request in standin.requests]
    assert models == ["other-model", "clerk-model", "clerk-model", "own-model"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ('models = ("nobody/knows",)', "models: The model nobody/knows is not known"),
        ('models = ("gpt-6", "gpt-6")', "models: two options have the same id"),
        ('tools = (ToolOption(id="x", label="X", icon="bug"),)', "has no tool x."),
        ('tools = (ToolOption(id="x", label="X", icon="bug", agent="y"),)', "of x is no Agent"),
    ],
)
def test_an_option_that_cannot_be_done_ends_the_start_with_a_sentence(
    options: str, words: str, standin: StandIn, tmp_path: Path
) -> None:
    project = render_into(tmp_path / "myapp", level=2, provider="openai", store="sqlite")
    source = re.sub("(?s)    models = .*", f"    {options}\n", SERVER)
    (project / "backend/app/server.py").write_text(source, encoding="utf-8")
    said = failed_start(project, environment("openai", standin, tmp_path))
    assert said.startswith("Cannot start: ") and said.count("\n") == 1
    assert words in said
