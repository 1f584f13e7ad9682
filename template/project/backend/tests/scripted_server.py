"""A server with a model that says what the test wrote, and an agent of the tests."""

from typing import Any

from agents import Agent, function_tool
from chatkit.agents import AgentContext
from scripted_model import ScriptedModel, scripted_models
from servers import serve_with

from core.context import RequestContext
from core.turns.agent_server import AgentServer

from app.wiring import Settings


@function_tool
async def throw_die() -> str:
    """Throw a die."""
    return "A six."


AGENT = Agent[AgentContext[RequestContext]](
    name="Of the tests", instructions="You are being tested.", tools=[throw_die]
)
"""So that the template's tests hold whatever stands in app/agent.py and app/server.py. A server
gets a copy, to which it may add its features' tools."""


def scripted_server(
    project: Settings, model: ScriptedModel, kind: type[AgentServer] | None = None, **parts: Any
) -> AgentServer:
    """An AgentServer, or a server of this kind, with a scripted model; `parts` are handed to it.

    Whatever model an agent names, the scripted one answers.
    """
    models = scripted_models(model)
    given = {"agent": AGENT.clone(), "model_provider": models, "settings": project, **parts}
    return serve_with(kind or AgentServer, project, **given)
