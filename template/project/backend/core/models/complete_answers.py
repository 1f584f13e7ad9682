"""Complete answers, distinguished from those that break off, which are kept as far as they came."""

import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from agents import FunctionTool
from agents.exceptions import _mark_error_to_drain_stream_events

from core.models.ended_streams import EndedStream, ItemStream
from core.models.sendable_input import sendable, with_calls, with_tools_words
from core.models.source import ModelUnavailable
from core.sentences import Sentence

INCOMPLETE = ("length", "model_length", "content_filter", "error", "abort")
"""The finish reasons of incomplete answers."""
NOTHING = "nothing"
"""The reason of an answer of which nothing came: another server may be at that address."""


class CutShort(Exception):
    """The provider ended the answer before it was complete.

    `reason` is the provider's word for it, such as length or server_error, or None if it gave none.
    """

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason


class KeepsWhatCame:
    """Mixed into a model: what it said before it failed comes before the failure.

    The Agents SDK else throws away what came in one burst with the failure, and offers this mark
    only to itself:
    https://github.com/openai/openai-agents-python/blob/main/src/agents/exceptions.py
    """

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        model: Any = super()
        begun = completed = False
        try:
            async with aclosing(model.stream_response(*args, **kwargs)) as events:
                async for event in events:
                    begun = True
                    match event.type:
                        case "response.incomplete":
                            details = event.response.incomplete_details
                            raise CutShort(details.reason if details else None)
                        case "response.failed":
                            failure = event.response.error
                            raise CutShort(failure.code if failure else None)
                        case "error":
                            raise CutShort(event.code)
                        case "response.completed":
                            completed = True
                    yield event
            if not completed:
                raise CutShort(None if begun else NOTHING)
        except Exception as error:
            _mark_error_to_drain_stream_events(error)
            raise


class OwnIds:
    """Ids for the calls of an answer that have none, or that of another call in the run.

    Some servers count the calls anew in each answer, and the Agents SDK takes each for the first:
    https://github.com/openai/openai-agents-python/blob/main/src/agents/run_internal/tool_planning.py
    """

    def __init__(self, given: Any) -> None:
        """`given` is what the model is told, with the calls that it has made."""
        calls = given if isinstance(given, list) else []
        self._used: set[Any] = {call.get("call_id") for call in calls if isinstance(call, dict)}
        self._ids: dict[tuple[int, str], str] = {}
        self._begun: set[int] = set()

    def give(self, delta: Any) -> None:
        """Change the ids in this part of the answer where they will not do."""
        for call in getattr(delta, "tool_calls", None) or ():
            key = call.index, call.id or ""
            if not call.id and call.index in self._begun:
                continue  # More of what was begun.
            if key not in self._ids:
                unique = call.id and call.id not in self._used
                # Mistral wants nine letters and digits.
                self._ids[key] = call.id if unique else uuid.uuid4().hex[:9]
                self._used.add(self._ids[key])
            self._begun.add(call.index)
            call.id = self._ids[key]


class FinishedStream:
    """Passes chat completion chunks on, and raises CutShort unless they end with a complete answer.

    A cut connection and an error in mid-stream otherwise pass for the end of the answer: the Agents
    SDK asks only OpenAI's own host for a finish reason, and LiteLLM invents Gemini's ("stop"), but
    keeps what the provider really said in `received_finish_reason`.
    """

    def __init__(self, stream: ItemStream, own_ids: OwnIds) -> None:
        self._stream = stream
        self._chunks = stream.__aiter__()
        self._own_ids = own_ids
        self._reason: str | None = None
        self._begun = False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            chunk = await self._chunks.__anext__()
        except StopAsyncIteration:
            if self._reason is None or self._reason in INCOMPLETE:
                raise CutShort(self._reason if self._begun else NOTHING) from None
            raise
        if chunk.choices:
            self._own_ids.give(chunk.choices[0].delta)
        if chunk.choices and chunk.choices[0].finish_reason:
            if not self._said_by_provider():
                raise CutShort(None if self._begun else NOTHING)
            # What ends an answer before its time stands, whatever is said after it.
            if self._reason not in INCOMPLETE:
                self._reason = chunk.choices[0].finish_reason
        self._begun = True
        return chunk

    def _said_by_provider(self) -> bool:
        if not hasattr(self._stream, "received_finish_reason"):
            return True
        stream: Any = self._stream
        return bool(stream.received_finish_reason or stream.intermittent_finish_reason)

    def __getattr__(self, name: str) -> Any:
        # close, aclose, response: whatever else the Agents SDK asks the provider's stream for.
        return getattr(self._stream, name)


class CompleteAnswers(KeepsWhatCame):
    """Mixed into a chat-completions model: an answer is complete only if the provider says so."""

    def takes_from_tools(self, part: dict[str, Any]) -> bool:
        """Whether the model can be shown this image or file that a tool has returned.

        Chat completions have texts there only.
        """
        return False

    async def _fetch_response(self, *args: Any, **kwargs: Any) -> Any:
        model: Any = super()
        instructions, given, settings, tools, *others = args
        for tool in tools:
            if not isinstance(tool, FunctionTool):
                raise ModelUnavailable(
                    Sentence(
                        "The agent's tool {tool} runs at OpenAI only, and not with this model.",
                        tool=tool.name,
                    )
                )
        own_ids = OwnIds(given)
        given = sendable(given)
        if isinstance(given, list):
            given = with_tools_words(with_calls(given), self.takes_from_tools)
        args = (instructions, given, settings, tools, *others)
        fetched = await model._fetch_response(*args, **kwargs)
        if not isinstance(fetched, tuple):
            return fetched
        response, stream = fetched
        return response, FinishedStream(self.ended(stream), own_ids)

    def ended(self, stream: Any) -> ItemStream:
        """The provider's stream, which ends with the answer."""
        return EndedStream(stream)
