"""Stand-ins for the providers: real servers on loopback that stream each one's wire format.

    with StandIn() as provider:
        provider.answers(Answer(Text("Let me look."), ToolCall("current_time", {})), HttpError(500))
        ...  # point a client at provider.url
        assert provider.requests[0].turns == [("user", "What time is it?")]

The format is chosen by the request's path, so that one stand-in is every provider at once.
"""

from tests.standins.request import Conversation, Request, Turn
from tests.standins.script import (
    Answer,
    Cut,
    Empty,
    Fault,
    Finish,
    Hosted,
    HttpError,
    MalformedJson,
    Moved,
    NoFinish,
    NotFound,
    Piece,
    Raw,
    Refusal,
    Reply,
    Said,
    Silence,
    Source,
    Text,
    Thought,
    ToolCall,
    Usage,
)
from tests.standins.server import StandIn

__all__ = [
    "Answer",
    "Conversation",
    "Cut",
    "Empty",
    "Fault",
    "Finish",
    "Hosted",
    "HttpError",
    "MalformedJson",
    "Moved",
    "NoFinish",
    "NotFound",
    "Piece",
    "Raw",
    "Refusal",
    "Reply",
    "Request",
    "Said",
    "Silence",
    "Source",
    "StandIn",
    "Text",
    "Thought",
    "ToolCall",
    "Turn",
    "Usage",
]
