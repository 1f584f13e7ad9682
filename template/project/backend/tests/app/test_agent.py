"""Your agent, tried without a key: a scripted model says what the test wrote. A file to edit."""

import pytest
from agents import FunctionTool
from chat_client import Chat, thread_of
from scripted_model import ScriptedModel
from scripted_server import scripted_server

from core.turns.server import TurnServer

from app.agent import agent
from app.wiring import Settings


@pytest.fixture
def model() -> ScriptedModel:
    """What it says, one answer for each time it is asked; `tool_call(…)` makes it use a tool."""
    return ScriptedModel("Hello, Ada!", "Your name is Ada.")


@pytest.fixture
def server(settings: Settings, model: ScriptedModel) -> TurnServer:
    # MCP servers are not at hand in a test. Give it some of your own, and they count.
    return scripted_server(settings, model, agent=agent.clone(mcp_servers=[]))


def test_the_agent_is_told_what_was_said(chat: Chat, model: ScriptedModel) -> None:
    thread_id = thread_of(chat.say("My name is Ada."))
    chat.say("What is my name?", thread_id)
    assert "My name is Ada." in str(model.inputs[-1])


def test_every_tool_says_what_it_is_for() -> None:
    for tool in agent.tools:
        if isinstance(tool, FunctionTool):
            assert tool.description, f"{tool.name} has no docstring"
