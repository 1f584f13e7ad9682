"""What a run ends with where that is no text: what the chat shows, and what the model is told."""

from dataclasses import dataclass
from typing import Any

import pytest
from agents import (
    Agent,
    FunctionToolResult,
    RunContextWrapper,
    StopAtTools,
    ToolOutputImage,
    ToolsToFinalOutputResult,
    WebSearchTool,
    function_tool,
)
from chat_client import Chat, thread_of
from chatkit.agents import AgentContext, ClientToolCall
from pydantic import BaseModel
from scripted_model import ScriptedModel, tool_call
from scripted_server import AGENT, scripted_server

from core.context import RequestContext
from core.turns.agent_server import AgentServer
from core.turns.final_output import readable
from core.turns.server import TurnServer

from app.wiring import Settings


class Order(BaseModel):
    dish: str
    how_many: int


@dataclass
class Point:
    x: int
    y: int


@function_tool
async def where() -> Point:
    """Tell where we are."""
    return Point(1, 2)


@function_tool
async def look() -> ToolOutputImage:
    """Look out of the window."""
    return ToolOutputImage(image_url="data:image/png;base64,AAAA")


@function_tool
async def ask(context: RunContextWrapper[AgentContext[RequestContext]]) -> None:
    """Ask the browser."""
    context.context.client_tool_call = ClientToolCall(name="ask", arguments={})


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def server(settings: Settings, model: ScriptedModel) -> TurnServer:
    return scripted_server(settings, model)


def test_an_output_is_shown_in_words_and_told_as_json_once(
    chat: Chat, model: ScriptedModel, server: AgentServer
) -> None:
    server.agent = Agent[Any](name="Waiter", output_type=Order)
    said = '{"dish": "soup", "how_many": 2}'
    model.answers[:] = [said, said]
    events = chat.say("Soup, twice.")
    thread_id = thread_of(events)
    assert '"dish"' not in str(events) and "{" not in "".join(chat.messages(thread_id))
    assert chat.messages(thread_id)[-1] == "- **Dish:** soup\n- **How many:** 2"
    chat.say("Did you get that?", thread_id)
    told = [item for item in model.inputs[-1] if item.get("role") == "assistant"]
    assert told == [{"role": "assistant", "content": said}]


def test_an_output_that_does_not_validate_is_told_as_such(
    chat: Chat, model: ScriptedModel, server: AgentServer
) -> None:
    server.agent = Agent[Any](name="Waiter", output_type=Order)
    model.answers[:] = ["We have no soup."]
    events = chat.say("Soup, twice.")
    [error] = [event for event in events if event["type"] == "error"]
    assert "output_type" in error["message"]
    assert chat.messages(thread_of(events))[-1] == "We have no soup."


def test_a_run_ends_at_a_tool_with_what_that_returned(
    chat: Chat, model: ScriptedModel, server: AgentServer
) -> None:
    stops = StopAtTools(stop_at_tool_names=["where", "ask"])
    server.agent = AGENT.clone(tools=[where, ask], tool_use_behavior=stops)
    model.answers[:] = [tool_call("where"), tool_call("ask"), "So far."]
    events = chat.say("Where are we?")
    thread_id = thread_of(events)
    assert chat.messages(thread_id)[-1] == "- **X:** 1\n- **Y:** 2"
    # A tool of the client is no answer.
    chat.say("Ask.", thread_id)
    assert chat.messages(thread_id)[-1] == "Ask."
    chat.stream("threads.add_client_tool_output", thread_id=thread_id, result="Yes")
    assert chat.messages(thread_id)[-1] == "So far."
    outputs = [item["output"] for item in model.inputs[-1] if item.get("output")]
    assert [str(output).count("Point(") for output in outputs] == [1, 0]


def test_what_a_function_ends_a_run_with_is_shown_in_words(
    chat: Chat, model: ScriptedModel, server: AgentServer
) -> None:
    def end(_: Any, results: list[FunctionToolResult]) -> ToolsToFinalOutputResult:
        return ToolsToFinalOutputResult(True, Order(dish="soup", how_many=len(results)))

    server.agent = AGENT.clone(tools=[where], tool_use_behavior=end)
    for _ in range(2):
        model.answers[:] = [tool_call("where")]
        thread_id = thread_of(chat.say("Where are we?"))
        assert chat.messages(thread_id)[-1] == "- **Dish:** soup\n- **How many:** 1"


def test_what_a_tool_returned_is_told_again_as_it_was(
    chat: Chat, model: ScriptedModel, server: AgentServer
) -> None:
    server.agent = AGENT.clone(tools=[look])
    model.answers[:] = [tool_call("look"), "A tree.", "Yes."]
    thread_id = thread_of(chat.say("Look."))
    chat.say("Sure?", thread_id)
    first, later = (
        [item["output"] for item in told if item.get("output")] for told in model.inputs[-2:]
    )
    assert first == later
    assert first[0][0]["image_url"] == "data:image/png;base64,AAAA"


def test_a_tool_that_only_openai_has_is_refused_at_the_start_with_another_model(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    searcher = Agent[Any](name="Searcher", tools=[WebSearchTool()])
    first = AGENT.clone(handoffs=[searcher])
    searcher.handoffs = [first]
    with pytest.raises(SystemExit):
        scripted_server(settings, ScriptedModel(), agent=first)
    assert "The agent Searcher: its tool web_search runs at OpenAI" in capsys.readouterr().err
    searcher.model = ScriptedModel()
    scripted_server(settings, ScriptedModel(), agent=first)


def test_nested_outputs_are_readable() -> None:
    shown = readable({"guests": [{"name": "Ada"}, {"name": "Alan"}], "note": "a\nb", "vip": None})
    assert shown == (
        "- **Guests:**\n  - - **Name:** Ada\n  - - **Name:** Alan\n"
        "- **Note:** a\n  b\n- **Vip:** none"
    )
