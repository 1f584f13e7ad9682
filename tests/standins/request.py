"""What a stand-in has been asked, in words that belong to no provider."""

from dataclasses import dataclass, field
from typing import Any

Turn = tuple[str, str]
"""Who and what: "user", "assistant" and "thought" with a text, "tool_call" with `str(ToolCall)`,
"tool_output" with the output."""


@dataclass
class Conversation:
    """What the model is told by a request."""

    system: str = ""
    """The system prompt where the format has its place for it."""
    turns: list[Turn] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    """The names of the tools that the model may call."""


@dataclass
class Request:
    """A request as it came in, and how its connection ended."""

    format: str
    """"gemini", "anthropic", "chat_completions" or "responses"."""
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    """By lower-case name."""
    body: dict[str, Any]
    model: str
    conversation: Conversation
    number: int
    """1 for the first request of a stand-in."""
    at: float
    """When it came, by time.monotonic()."""
    ended_at: float | None = None
    """When the stand-in had said all it was to say."""
    closed_at: float | None = None
    """When the client closed the connection before that."""

    @property
    def system(self) -> str:
        return self.conversation.system

    @property
    def turns(self) -> list[Turn]:
        return self.conversation.turns

    @property
    def tools(self) -> list[str]:
        return self.conversation.tools


def text_of(content: Any) -> list[str]:
    """The texts of a message's content, which is a string or a list of parts in every format.

    A part that is no text gives its type in brackets, so that a test can see that it was there.
    """
    if content is None:
        return []
    if isinstance(content, str):
        return [content]
    return [part["text"] if "text" in part else f"[{part['type']}]" for part in content]
