"""What a model thought goes back to it with its calls, on every wire that asks for that."""

from pathlib import Path
from typing import Any

import pytest
from agents import ModelSettings

from tests.backend import Backend
from tests.providers import REMOTE, production
from tests.standins import Answer, StandIn, Text, Thought, ToolCall

ASK = ToolCall("browser_time_zone", {})
LOOK = ToolCall("current_time", {"time_zone": "Asia/Tokyo"})
MENU = ToolCall("show_menu", {})
SETTINGS = {
    "anthropic": ModelSettings(
        max_tokens=8000, extra_args={"thinking": {"type": "enabled", "budget_tokens": 2000}}
    ),
}


def think(backend: Backend, provider: str) -> None:
    """Have the agent ask for thoughts where they are asked for."""
    agent = backend.main.server.agent
    settings = SETTINGS.get(provider, ModelSettings())
    backend.main.server.agent = agent.clone(model_settings=settings)


def answer_client(backend: Backend, thread: str) -> Any:
    result = {"time_zone": "Europe/Berlin"}
    return backend.turn("threads.add_client_tool_output", thread_id=thread, result=result)


ANSWERS = {
    "alone": [Answer(Thought("Where?"), ASK)],
    "after words": [Answer(Thought("Where?"), Text("Let me ask."), ASK)],
    "beside a server's": [Answer(Thought("Both."), Text("Let me see."), LOOK, ASK)],
    "before a server's": [Answer(Thought("Both."), ASK, LOOK)],
    "beside a widget": [Answer(Thought("Both."), MENU, ASK)],
    "after a server's": [Answer(Thought("First."), LOOK), Answer(Thought("Then."), ASK)],
    "twice": [Answer(Thought("Where?"), ASK), Answer(Thought("Again."), Text("Once more."), ASK)],
}


THOUGHTS = {
    "alone": ["Where?"],
    "after words": ["Where?"],
    "after a server's": ["First.", "Then."],
    "twice": ["Where?", "Again."],
}


@pytest.mark.parametrize("provider", REMOTE)
def test_thoughts_go_back_with_the_calls_they_led_to_when_a_client_s_tool_has_answered(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    with production(standin, tmp_path, provider) as (backend, _):
        think(backend, provider)
        for name, answers in ANSWERS.items():
            standin.answers(*answers, Answer(Text("It is noon.")), Answer(Text("Yes.")))
            turn = backend.say("What time is it here?")
            while not turn.errors and "It is noon." not in turn.answers:
                turn = answer_client(backend, turn.thread)
            assert (turn.errors, turn.answers[-1:]) == ([], ["It is noon."]), name
            if provider in ("anthropic", "openai"):
                told = [said for who, said in standin.requests[-1].turns if who == "thought"]
                assert told == THOUGHTS.get(name, ["Both."]), name
            if provider == "gemini":
                assert "skip_thought_signature" not in first_signatures(standin), name
            turn = backend.say("Are you sure?", turn.thread)
            assert (turn.errors, turn.text) == ([], "Yes."), name
            assert "thought" not in [who for who, _ in standin.requests[-1].turns], name


def first_signatures(standin: StandIn) -> str:
    """The signatures of the calls that lead a content of Gemini's."""
    contents = standin.requests[-1].body["contents"]
    calls = [[part for part in each["parts"] if "function" in str(part)[:20]] for each in contents]
    return str([call[0] for call in calls if call])


@pytest.mark.parametrize("provider", REMOTE)
def test_thoughts_lead_the_message_with_several_calls_within_a_turn(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(
        Answer(Thought("Both."), Text("Let me look."), LOOK, LOOK),
        Answer(Thought("Again."), LOOK, MENU),
        Answer(Text("Noon.")),
    )
    with production(standin, tmp_path, provider) as (backend, _):
        think(backend, provider)
        turn = backend.say("What time is it in Tokyo?")
        assert (turn.errors, turn.answers[-1:]) == ([], ["Noon."])
