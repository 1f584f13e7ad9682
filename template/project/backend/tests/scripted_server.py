"""The project's server with a model that says what the test wrote, and an agent of the tests."""

from typing import Any

from agents import Agent, function_tool
from chatkit.agents import AgentContext
from scripted_model import ScriptedModel, ScriptedSource
from servers import serve_with

from core.context import RequestContext

from app.server import Server
from app.wiring import Settings


@function_tool
async def throw_die() -> str:
    """Throw a die."""
    return "A six."


AGENT = Agent[AgentContext[RequestContext]](
    name="Of the tests", instructions="You are being tested.", tools=[throw_die]
)
"""So that the template's tests hold whatever agent stands in app/agent.py."""


def scripted_server(project: Settings, model: ScriptedModel, **parts: Any) -> Server:
    """The project's server with a scripted model; `parts` are handed to it."""
    given = {"agent": AGENT, "model": ScriptedSource(model), "settings": project, **parts}
    return serve_with(Server, project, **given)
