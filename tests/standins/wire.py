"""What every provider's wire format has in common."""

import copy
import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

from tests.standins.request import Conversation, Request
from tests.standins.script import Fault, HttpError, Spoken, Text

HALF = "and here the line br"
"""The text in which a line of JSON breaks off."""


class Wire(ABC):
    """One response in a provider's streaming format: turns pieces into events, as bytes.

    It keeps what an answer needs to be of one piece: its ids, its counters, what is open.
    """

    format: ClassVar[str]

    def __init__(self, request: Request) -> None:
        self.request = request
        self.model = request.model
        self.input_tokens = max(1, len(json.dumps(request.body)) // 4)
        self.output_tokens = 0

    @abstractmethod
    def begin(self) -> Iterator[bytes]:
        """What comes before the first piece."""

    @abstractmethod
    def say(self, piece: Spoken) -> Iterator[bytes]:
        """A piece of the answer."""

    @abstractmethod
    def finish(self, reason: str) -> Iterator[bytes]:
        """The end of the answer: a reason of script.Finish."""

    @abstractmethod
    def said(self, reason: str) -> Iterator[bytes]:
        """The event with that reason, without what follows it."""

    @abstractmethod
    def usage(self) -> Iterator[bytes]:
        """The tokens, counted in an event of their own."""

    @abstractmethod
    def empty(self) -> Iterator[bytes]:
        """An event that says nothing."""

    @abstractmethod
    def fault(self, fault: Fault) -> Iterator[bytes]:
        """The provider's own error event."""

    @staticmethod
    @abstractmethod
    def http_error(error: HttpError, request: Request) -> dict[str, Any]:
        """The body of an HTTP error."""

    @staticmethod
    @abstractmethod
    def conversation(body: dict[str, Any]) -> Conversation:
        """What a request of this format tells the model."""

    @staticmethod
    def unacceptable(request: Request) -> HttpError | None:
        """What is answered, whatever the script says, to a request that no provider takes."""
        return None

    def half_a_line(self) -> bytes:
        """An event that breaks off inside a string of its JSON."""
        # On a copy: what is never said must not be told again by the events at the end.
        events = copy.deepcopy(self).say(Text(HALF))
        event = next(event for event in events if HALF.encode() in event)
        return event[: event.index(HALF.encode()) + len(HALF)]


def sse(data: dict[str, Any], event: str | None = None, newline: str = "\n") -> bytes:
    """One server-sent event."""
    name = f"event: {event}{newline}" if event else ""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    # Half a surrogate pair has no UTF-8; this writes it as JSON's escape for it.
    return f"{name}data: {text}{newline}{newline}".encode("utf-8", "backslashreplace")


def token(prefix: str, length: int = 24) -> str:
    """An id as long and as random as the real ones."""
    return prefix + secrets.token_hex((length + 1) // 2)[:length]


def marked(sentence: str, marker: str) -> str:
    """A provider's message with the test's marker in it."""
    return f"{sentence} {marker}".rstrip()
