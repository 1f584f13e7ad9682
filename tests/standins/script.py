"""What a stand-in is told to say, in words that belong to no provider."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal


def split(text: str, pieces: int) -> list[str]:
    """The text in this many parts of about the same length."""
    cuts = [len(text) * number // pieces for number in range(pieces + 1)]
    return [text[start:end] for start, end in pairwise(cuts)]


@dataclass(frozen=True)
class Text:
    """Words of the answer: one string cut into `pieces` deltas, or a list of deltas as given.

    Neighbouring texts, also with a silence between them, are one message.
    """

    text: str | Sequence[str]
    pieces: int = 1

    @property
    def deltas(self) -> list[str]:
        if isinstance(self.text, str):
            return split(self.text, self.pieces)
        return list(self.text)


@dataclass(frozen=True)
class Thought(Text):
    """What the model thinks before it speaks, or the provider's summary of it."""

    fields: Sequence[str] = ("reasoning_content",)
    """Where chat completions have it: no field of OpenAI's, but of DeepSeek, vLLM and llama.cpp;
    vLLM and Ollama call it `reasoning`, too."""


@dataclass(frozen=True)
class Refusal(Text):
    """The model declines: a refusal where the format has such a thing, else text and a stop."""


@dataclass(frozen=True)
class Source:
    """Where the text before it comes from, as hosted tools tell it: OpenAI Responses only."""

    annotation: Mapping[str, Any]


@dataclass(frozen=True)
class Hosted:
    """A call of a tool that runs at the provider: OpenAI Responses only."""

    type: str
    """The item's, such as web_search_call."""
    found: Mapping[str, Any] = field(default_factory=dict)
    """What the item has when it is done, beside its type, id and status."""
    images: Sequence[str] = ()
    """Partial images, in base64."""
    done: bool = True
    """Whether it comes to its end: else what follows finds it open."""
    beside: Sequence["Hosted"] = ()
    """Calls that are at work at the same time. They end in the opposite order."""


@dataclass(frozen=True)
class ToolCall:
    """A call of a function. Several in one answer are parallel calls."""

    name: str
    arguments: Mapping[str, Any] | str
    """A text is sent as it is, where the format has them as text: a model may write no JSON."""
    pieces: int = 3
    """In how many deltas the arguments come, where the format cuts them."""
    namespace: str | None = None
    """The tool's: OpenAI Responses only."""

    def __str__(self) -> str:
        """As `Request.turns` tells it."""
        return f"{self.name}({self.json})"

    @property
    def json(self) -> str:
        if isinstance(self.arguments, str):
            return self.arguments
        return json.dumps(self.arguments, ensure_ascii=False)

    @property
    def deltas(self) -> list[str]:
        return split(self.json, self.pieces)


@dataclass(frozen=True)
class Silence:
    """Nothing for so many seconds. In first place it holds back the HTTP headers too, unless
    `headers` sends them ahead."""

    seconds: float
    headers: bool = False


@dataclass(frozen=True)
class Cut:
    """The connection ends here: between two events, or after half a line of JSON.

    Given instead of an answer, it ends before any byte of a response.
    """

    inside: bool = False


@dataclass(frozen=True)
class Fault:
    """The provider's own error event in mid-stream; nothing follows it.

    `form` matters to OpenAI Responses only, which has three: "error" is what the service sends (the
    error nested in an `error` event, then `response.failed`), "flat" is the `error` event of its
    reference, and "failed" is `response.failed` alone.
    """

    marker: str = ""
    form: Literal["error", "flat", "failed"] = "error"


@dataclass(frozen=True)
class MalformedJson:
    """A line of JSON that breaks off, after which the stream goes on.

    Given instead of an answer, it is the whole body.
    """

    marker: str = ""


@dataclass(frozen=True)
class NoFinish:
    """The stream ends here, cleanly for HTTP, with no finish reason and no last event."""


@dataclass(frozen=True)
class Finish:
    """The answer ends here for this reason, in the provider's own word for it.

    "failed" is no word of OpenAI Responses.
    """

    reason: Literal["stop", "length", "safety", "failed"] = "stop"


@dataclass(frozen=True)
class Said:
    """The finish reason is said here, and what stands behind it still follows."""

    reason: Literal["stop", "length", "safety", "failed"] = "stop"


@dataclass(frozen=True)
class Usage:
    """The tokens are counted in an event of their own."""


@dataclass(frozen=True)
class Empty:
    """An event that says nothing."""


@dataclass(frozen=True)
class Raw:
    """These bytes, as they are."""

    data: bytes


@dataclass(frozen=True)
class HttpError:
    """An HTTP error with the provider's own body, in which `marker` stands."""

    status: int
    marker: str = ""
    kind: Literal["", "context_length", "bad_key", "unpaid", "no_tools"] = ""
    """What a 400 is about: a prompt that is too long, or, of Gemini, a wrong key."""
    retry_after: int | None = None
    """Seconds, for the header of that name."""


@dataclass(frozen=True)
class Moved:
    """A redirect that keeps the request's method and body."""

    location: str


@dataclass(frozen=True)
class NotFound:
    """What answers at an address where no provider is: a gateway, or the wrong path of one."""

    body: str
    content_type: str = "text/plain"
    status: int = 404


Spoken = Text | Thought | Refusal | ToolCall
After = Said | Usage | Empty | Raw
Piece = Spoken | Source | Hosted | Silence | Cut | Fault | MalformedJson | NoFinish | Finish | After


class Answer:
    """One response: its pieces in order, with `delay` seconds after each event.

    Without a delay all events up to the next silence are made first and leave at once, so that
    thousands of deltas cost the client's process little while it reads them.
    """

    def __init__(self, *pieces: Piece, delay: float = 0) -> None:
        self.pieces = pieces
        self.delay = delay

    def __repr__(self) -> str:
        return f"Answer{self.pieces}"


Reply = Answer | HttpError | MalformedJson | Cut | Moved | NotFound
