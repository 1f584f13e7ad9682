"""The agent: what it is told, and which tools it has. This is the file to edit."""

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agents import Agent, function_tool
from chatkit.agents import AgentContext

from core.context import RequestContext

INSTRUCTIONS = """\
You are a helpful assistant. Answer in the user's language, briefly, in Markdown.
When a tool can find something out, use it instead of guessing.
"""

# What the chat page offers to begin with.
STARTERS = (
    "What can you do?",
    "What time is it in Tokyo, and is that a good time to call?",
    "Explain server-sent events with a short example in Python.",
)


@function_tool
async def current_time(time_zone: str) -> str:
    """Tell the current date and time in a time zone.

    Args:
        time_zone: An IANA name such as Europe/Berlin or America/New_York.
    """
    try:
        now = datetime.now(ZoneInfo(time_zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"There is no time zone named {time_zone!r}. Use an IANA name such as Europe/Berlin."
    return now.strftime("%A, %d %B %Y, %H:%M %Z")


agent = Agent[AgentContext[RequestContext]](
    name="Assistant",
    instructions=INSTRUCTIONS,
    tools=[current_time],
)
