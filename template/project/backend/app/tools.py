"""The tools of this level, beside those of agent.py. This is a file to edit.

Server tools run here; client tools run in the browser, where app/page/handlers.js answers them.
"""

from agents import Tool, function_tool
from chatkit.agents import ClientToolCall

from core.turns.tools import ToolContext, explain_failure

STARTERS = ("What time is it here?",)


@function_tool(failure_error_function=explain_failure)
async def browser_time_zone(context: ToolContext) -> None:
    """Find out the user's time zone, such as Europe/Berlin, by asking their browser."""
    context.context.client_tool_call = ClientToolCall(name="browser_time_zone", arguments={})


CLIENT_TOOLS: list[Tool] = [browser_time_zone]
"""A run stops at these, and goes on with what the browser answers."""
TOOLS: list[Tool] = [*CLIENT_TOOLS]
