"""The tools of this level, beside those of agent.py. This is a file to edit.

Server tools run here; client tools run in the browser, where app/page/handlers.js answers them.
app/lunch/ is a larger example, with widgets.
"""

import logging
from typing import Any

from agents import ModelBehaviorError, RunContextWrapper, Tool, function_tool
from chatkit.agents import AgentContext, ClientToolCall

from core.context import RequestContext
from core.errors import Refused

from app.resources import Resources

log = logging.getLogger("app")

STARTERS = ("What time is it here?",)

Context = RunContextWrapper[AgentContext[RequestContext[Resources]]]
"""Its `context` is the turn: thread, store, and `request_context`, which says who asks."""


def explain_failure(context: RunContextWrapper[Any], error: Exception) -> str:
    """What the model is told of a tool that failed, so that it can say so."""
    if isinstance(error, Refused | ModelBehaviorError):
        return str(error)
    log.error("a tool failed", exc_info=error)
    return "The tool failed. Tell the user that this did not work."


@function_tool(failure_error_function=explain_failure)
async def browser_time_zone(context: Context) -> None:
    """Find out the user's time zone, such as Europe/Berlin, by asking their browser."""
    context.context.client_tool_call = ClientToolCall(name="browser_time_zone", arguments={})


CLIENT_TOOLS: list[Tool] = [browser_time_zone]
"""A run stops at these, and goes on with what the browser answers."""
TOOLS: list[Tool] = [*CLIENT_TOOLS]
