"""Agents with models and settings of their own, and runs beside the answer, on the wire."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    ModelSettings,
    OpenAIChatCompletionsModel,
    RunContextWrapper,
    Runner,
    function_tool,
)
from openai import AsyncOpenAI

from tests.backend import Backend
from tests.providers import REMOTE, talking_to
from tests.standins import Answer, StandIn, Text, ToolCall

TO_BILLING = ToolCall("transfer_to_billing", {})


@contextmanager
def with_agent(
    agent: Agent[Any], standin: StandIn, folder: Path, provider: str, **env: str
) -> Iterator[Backend]:
    """A backend in which this agent answers."""
    with talking_to(standin, folder, provider, **env) as backend:
        server: Any = backend.main.server
        server.agent = agent
        yield backend


@pytest.mark.parametrize("provider", REMOTE)
def test_what_an_agent_names_is_asked_and_the_others_ask_model(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    billing = Agent[Any](
        name="billing", model="other-1", model_settings=ModelSettings(max_tokens=77)
    )
    first = Agent[Any](name="first", handoffs=[billing])
    standin.answers(Answer(TO_BILLING), Answer(Text("Paid.")))
    with with_agent(first, standin, tmp_path, provider, MODEL=f"{provider}/first-1") as backend:
        assert backend.say("My bill?").text == "Paid."
    one, other = standin.requests
    assert (one.model, other.model) == ("first-1", "other-1")
    assert "77" not in str(one.body)
    assert "77" in str(other.body)


@pytest.mark.parametrize("provider", ["openai", "local"])
def test_an_agent_of_another_provider_asks_that_one(
    provider: str, standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-1")
    with StandIn() as theirs:
        monkeypatch.setenv("ANTHROPIC_API_BASE", theirs.url)
        theirs.answers(Answer(Text("Paid.")))
        standin.answers(Answer(TO_BILLING))
        billing = Agent[Any](name="billing", model="anthropic/claude-sonnet-4-5")
        first = Agent[Any](name="first", handoffs=[billing])
        with with_agent(first, standin, tmp_path, provider) as backend:
            assert backend.say("My bill?").text == "Paid."
        assert [request.format for request in theirs.requests] == ["anthropic"]
        assert theirs.requests[0].headers["x-api-key"] == "sk-ant-1"
    assert len(standin.requests) == 1


def test_the_key_that_another_provider_wants_is_named(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    agent = Agent[Any](name="first", model="anthropic/claude-sonnet-4-5")
    with with_agent(agent, standin, tmp_path, "openai") as backend:
        assert "ANTHROPIC_API_KEY is not set" in str(backend.say("Hello").errors)
    assert not standin.requests


def test_a_model_of_somebody_else_s_is_not_replaced(standin: StandIn, tmp_path: Path) -> None:
    with StandIn() as theirs:
        theirs.answers(Answer(Text("Within the house.")))
        client = AsyncOpenAI(base_url=f"{theirs.url}/v1", api_key="none")
        own = OpenAIChatCompletionsModel("own-1", client)
        agent = Agent[Any](name="first", model=own, model_settings=ModelSettings(temperature=0.5))
        with with_agent(agent, standin, tmp_path, "openai") as backend:
            assert backend.say("A secret.").text == "Within the house."
        assert theirs.requests[0].body["temperature"] == 0.5
    assert not standin.requests


def test_openai_keeps_nothing_whatever_an_agent_says_and_the_log_tells_it_once(
    standin: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = ModelSettings(store=True, response_include=["web_search_call.action.sources"])
    agent = Agent[Any](name="first", model_settings=settings)
    standin.always(Answer(Text("Yes.")))
    with (
        caplog.at_level(logging.WARNING),
        with_agent(agent, standin, tmp_path, "openai") as backend,
    ):
        backend.say("Now?")
        backend.say("And now?")
    for request in standin.requests:
        assert request.body["store"] is False
        both = {"reasoning.encrypted_content", "web_search_call.action.sources"}
        assert set(request.body["include"]) == both
    assert caplog.text.count("the store of an agent's model_settings is not used") == 1


@function_tool
def look() -> str:
    """Look."""
    return "It is late."


@pytest.mark.parametrize(
    ("model", "unused"),
    [
        (
            "claude-sonnet-5-5",
            ["prompt", "seed", "store", "temperature", "tool_choice", "top_p", "verbosity"],
        ),
        ("claude-haiku-4-5", ["prompt", "seed", "store", "verbosity"]),
    ],
)
def test_the_log_tells_once_what_of_an_agent_s_settings_claude_does_not_get(
    model: str,
    unused: list[str],
    standin: StandIn,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = ModelSettings(
        max_tokens=77,
        temperature=0.3,
        top_p=0.4,
        tool_choice="look",
        verbosity="low",
        store=False,
        extra_args={"seed": 3},
    )
    agent = Agent[Any](name="first", model_settings=settings, tools=[look], prompt={"id": "pmpt_1"})
    standin.always(Answer(Text("Yes.")))
    with (
        caplog.at_level(logging.WARNING),
        with_agent(agent, standin, tmp_path, "anthropic", MODEL=f"anthropic/{model}") as backend,
    ):
        backend.say("Now?")
        backend.say("And now?")
    said = [record.getMessage() for record in caplog.records if record.name == "app"]
    told = [line.partition(" of an agent")[0].partition(": the ")[2] for line in said]
    assert sorted(told) == unused
    for request in standin.requests:
        assert request.body["max_tokens"] == 77
        sent = {"temperature", "top_p", "tool_choice"} & set(request.body)
        assert sent == {"temperature", "top_p", "tool_choice"} - set(unused)
    if "tool_choice" not in unused:
        assert standin.requests[0].body["tool_choice"]["name"] == "look"


@pytest.mark.parametrize("provider", REMOTE)
def test_a_guardrail_s_own_run_asks_the_project_s_model(
    provider: str, standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With it the Agents SDK would ask OpenAI.
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    judge = Agent[Any](name="judge", instructions="Judge it.")

    async def judged(
        context: RunContextWrapper[Any], agent: Agent[Any], given: Any
    ) -> GuardrailFunctionOutput:
        run = await Runner.run(judge, given)
        return GuardrailFunctionOutput(None, tripwire_triggered=run.final_output == "No.")

    rule = InputGuardrail(judged, run_in_parallel=False)
    agent = Agent[Any](name="first", instructions="Answer.", input_guardrails=[rule])
    standin.answers(Answer(Text("Fine.")), Answer(Text("Hello.")))
    with with_agent(agent, standin, tmp_path, provider) as backend:
        assert backend.say("Hello?").text == "Hello."
    assert [request.system for request in standin.requests] == ["Judge it.", "Answer."]
