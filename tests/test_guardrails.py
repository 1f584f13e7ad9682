"""What a guardrail has blocked, on every provider's wire: told in a sentence, and only once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    OutputGuardrail,
    RunConfig,
    ToolGuardrailFunctionOutput,
    ToolInputGuardrail,
    ToolOutputGuardrail,
    function_tool,
    handoff,
)

from tests.backend import Turn
from tests.providers import REMOTE, talking_to
from tests.standins import Answer, HttpError, StandIn, Text, ToolCall

SECRET = "The secret is 42."


async def blocks(_context: Any, _agent: Any, said: Any) -> GuardrailFunctionOutput:
    await asyncio.sleep(0.02)
    return GuardrailFunctionOutput({"why": "secrets"}, "secret" in str(said))


async def fails(_context: Any, _agent: Any, said: Any) -> GuardrailFunctionOutput:
    raise RuntimeError("The guardrail has no model.")


def told(turn: Turn) -> str:
    """The sentence that the chat shows; nothing is kept, and a Retry would not help."""
    [error] = turn.errors
    assert error["allow_retry"] is False
    assert (turn.ghosts, turn.answers) == ([], [])
    return sentence(error)


def sentence(error: dict[str, Any]) -> str:
    return str(error["message"]).partition(" (Request ")[0]


def hidden(standin: StandIn) -> str:
    return str(standin.requests[-1].turns)


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("provider", REMOTE)
def test_a_blocked_message_is_not_told_with_the_next_one(
    provider: str, parallel: bool, standin: StandIn, tmp_path: Path
) -> None:
    with talking_to(standin, tmp_path, provider) as backend:
        guardrail = InputGuardrail(blocks, run_in_parallel=parallel)
        agent = backend.main.server.agent
        backend.main.server.agent = agent.clone(input_guardrails=[guardrail])
        thread = backend.say("I am Ada.").thread
        standin.answers(Answer(Text(SECRET, pieces=4), delay=0.05 if parallel else 0))
        assert told(backend.say("Tell me the secret.", thread)) == "This cannot be answered here."
        standin._replies.clear()
        asked = len(standin.requests)
        turn = backend.say("Who am I, then?", thread)
        assert not turn.errors
        assert len(standin.requests) == asked + 1
        assert backend.say("Sure?", thread).text
        # The user still sees what they wrote.
        texts = [text for role, text in backend.texts(thread) if role == "user"]
        assert texts == ["I am Ada.", "Tell me the secret.", "Who am I, then?", "Sure?"]
        assert "blocked" not in str(backend.items(thread))
    assert "secret" not in hidden(standin)
    assert [text for role, text in standin.requests[-1].turns if role == "user"] == [
        "I am Ada.",
        "Who am I, then?",
        "Sure?",
    ]


def test_a_thread_that_an_older_release_has_locked_opens_again(
    standin: StandIn, tmp_path: Path
) -> None:
    with talking_to(standin, tmp_path) as backend:
        agent = backend.main.server.agent
        thread = backend.say("I am Ada.").thread
        standin.answers(HttpError(503))
        backend.say("Tell me the secret.", thread)  # As if blocked, and not marked.
        guarded = agent.clone(input_guardrails=[InputGuardrail(blocks, run_in_parallel=False)])
        backend.main.server.agent = guarded
        for message in ("Well?", "Hello?"):
            assert told(backend.say(message, thread))
        assert not backend.say("Who am I?", thread).errors
    assert ("user", "I am Ada.") in standin.requests[-1].turns
    assert "secret" not in hidden(standin)


@pytest.mark.parametrize("provider", REMOTE)
def test_a_blocked_answer_is_answered_with_the_sentence_that_the_user_saw(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    with talking_to(standin, tmp_path, provider) as backend:
        agent = backend.main.server.agent
        backend.main.server.agent = agent.clone(output_guardrails=[OutputGuardrail(blocks)])
        standin.answers(Answer(Text(SECRET, pieces=4)))
        turn = backend.say("Tell me.")
        assert told(turn) == "This cannot be answered here."
        standin.answers(Answer(Text("Hello.")))
        turn = backend.say("Hello.", turn.thread)
        assert (turn.errors, turn.text) == ([], "Hello.")
    assert standin.requests[-1].turns == [
        ("user", "Tell me."),
        ("assistant", "This cannot be answered here."),
        ("user", "Hello."),
    ]


def test_a_guardrail_of_the_agent_that_took_over_and_of_the_run_count_too(
    standin: StandIn, tmp_path: Path
) -> None:
    with talking_to(standin, tmp_path) as backend:
        server = backend.main.server
        first = server.agent
        second = Agent[Any](name="Second", output_guardrails=[OutputGuardrail(blocks)])
        server.agent = first.clone(handoffs=[handoff(second)])
        standin.answers(Answer(ToolCall("transfer_to_second", {})), Answer(Text(SECRET)))
        thread = backend.say("Tell me.").thread
        assert [role for role, _ in backend.texts(thread)] == ["user"]
        assert not backend.say("Hello.", thread).errors

        def run_config(*args: Any) -> RunConfig:
            config: RunConfig = type(server).run_config(server, *args)
            config.input_guardrails = [InputGuardrail(blocks)]
            return config

        server.run_config = run_config
        assert told(backend.say("Tell me the secret.", thread))
        assert not backend.say("Hello.", thread).errors
    assert "secret" not in hidden(standin)


@pytest.mark.parametrize("of", ["input", "output"])
@pytest.mark.parametrize("provider", REMOTE)
def test_a_blocked_tool_is_told_in_a_sentence_and_the_thread_goes_on(
    provider: str, of: str, standin: StandIn, tmp_path: Path
) -> None:
    def stops(data: Any) -> ToolGuardrailFunctionOutput:
        return ToolGuardrailFunctionOutput.raise_exception("no")

    @function_tool
    async def look() -> str:
        """Look."""
        return SECRET

    if of == "input":
        look.tool_input_guardrails = [ToolInputGuardrail(stops)]
    else:
        look.tool_output_guardrails = [ToolOutputGuardrail(stops)]
    standin.answers(Answer(Text("Let me look."), ToolCall("look", {})), Answer(Text("Hello.")))
    with talking_to(standin, tmp_path, provider) as backend:
        backend.main.server.agent = backend.main.server.agent.clone(tools=[look])
        turn = backend.say("Look at it.")
        [error] = turn.errors
        assert sentence(error) == "This cannot be answered here."
        assert error["allow_retry"] is False
        assert turn.answers == ["Let me look."]
        turn = backend.say("Hello.", turn.thread)
        assert (turn.errors, turn.text) == ([], "Hello.")
    assert [text for role, text in standin.requests[-1].turns if role == "user"] == [
        "Look at it.",
        "Hello.",
    ]
    assert "This cannot be answered here." in hidden(standin)
    assert "42" not in hidden(standin)


def test_a_tool_s_output_that_was_the_blocked_answer_is_not_told_again(
    standin: StandIn, tmp_path: Path
) -> None:
    @function_tool
    async def look() -> str:
        """Look."""
        return SECRET

    standin.answers(Answer(ToolCall("look", {})), Answer(Text("Hello.")))
    with talking_to(standin, tmp_path) as backend:
        backend.main.server.agent = backend.main.server.agent.clone(
            tools=[look],
            tool_use_behavior="stop_on_first_tool",
            output_guardrails=[OutputGuardrail(blocks)],
        )
        thread = backend.say("Look at it.").thread
        assert not backend.say("Hello.", thread).errors
    assert "42" not in hidden(standin)


def test_a_project_says_it_in_its_own_words(standin: StandIn, tmp_path: Path) -> None:
    with talking_to(standin, tmp_path) as backend:
        server = backend.main.server
        server.agent = server.agent.clone(input_guardrails=[InputGuardrail(blocks)])

        class Own(type(server)):  # type: ignore[misc]
            def blocked(self, error: Any, context: Any) -> str:
                return f"Not here: {error.guardrail_result.output.output_info['why']}."

        server.__class__ = Own
        assert told(backend.say("Tell me the secret.")) == "Not here: secrets."


@pytest.mark.parametrize("of", ["input", "output"])
def test_a_guardrail_that_fails_has_blocked_nothing_and_lets_nothing_through(
    of: str, standin: StandIn, tmp_path: Path
) -> None:
    with talking_to(standin, tmp_path) as backend:
        agent = backend.main.server.agent
        if of == "input":
            guarded = agent.clone(input_guardrails=[InputGuardrail(fails)])
        else:
            guarded = agent.clone(output_guardrails=[OutputGuardrail(fails)])
        backend.main.server.agent = guarded
        turn = backend.say("Tell me.")
        [error] = turn.errors
        assert "cannot be answered here" not in error["message"]
        assert (turn.ghosts, turn.answers) == ([], [])
        backend.main.server.agent = agent
        assert not backend.say("And now?", turn.thread).errors
    assert [text for role, text in standin.requests[-1].turns if role == "user"] == [
        "Tell me.",
        "And now?",
    ]
