"""A provider's stream, which ends where its answer ends, whatever the connection does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Protocol

GRACE = 0.8
"""Seconds for what may follow the finish reason, such as the tokens that were used."""
LAST_EVENTS = ("response.completed", "response.incomplete", "response.failed")


class ItemStream(Protocol):
    def __aiter__(self) -> AsyncIterator[Any]: ...


class EndedStream:
    """Passes a provider's chunks or events on, up to the end of the answer.

    That the answer has ended is said in it. A connection that then stays open, or fails, takes
    nothing from it.
    """

    def __init__(self, stream: ItemStream) -> None:
        self._stream = stream
        self._done = Done(stream)
        self._chunks = stream.__aiter__()
        self._last: Any = None
        self._finished = False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            coming = self._chunks.__anext__()
            chunk = await (asyncio.wait_for(coming, GRACE) if self._finished else coming)
        except StopAsyncIteration:
            if self._finished or not self._done.said or not getattr(self._last, "choices", None):
                raise
            chunk = finishing(self._last)
        except Exception:
            if not self._finished:
                raise
            raise StopAsyncIteration from None
        self._finished = self._finished or is_finish(chunk)
        self._last = chunk
        return chunk

    def __getattr__(self, name: str) -> Any:
        # close, aclose, response: whatever else is asked of the provider's stream.
        return getattr(self._stream, name)


class Done:
    """Whether a stream of OpenAI's client has said [DONE], which the client keeps to itself.

    Servers that give no finish reason end a whole answer with it, and a cut one without it.
    """

    def __init__(self, stream: Any) -> None:
        self.said = False
        decoder = getattr(stream, "_decoder", None)
        if decoder is not None:
            self._decoded = decoder.aiter_bytes
            stream._decoder = self

    async def aiter_bytes(self, data: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        """What the stream's own decoder makes of the bytes, up to [DONE]."""
        async for event in self._decoded(data):
            if event.data.startswith("[DONE]"):
                self.said = True
                # Read to its end, a connection can be used again.
                with suppress(Exception):
                    await asyncio.wait_for(read_to_end(data), GRACE)
                return
            yield event


async def read_to_end(data: AsyncIterator[bytes]) -> None:
    async for _ in data:
        pass


def is_finish(chunk: Any) -> bool:
    """Whether the chunk or event says that the answer has ended, and how."""
    if isinstance(chunk, dict):  # One of LiteLLM's forms.
        return bool(chunk.get("finish_reason"))
    if getattr(chunk, "type", None) in LAST_EVENTS:
        return True
    choices = getattr(chunk, "choices", None)
    return bool(choices and choices[0].finish_reason)


def finishing(chunk: Any) -> Any:
    """A chunk like this one, which says nothing but that the answer is complete."""
    delta = type(chunk.choices[0].delta)()
    choice = chunk.choices[0].model_copy(update={"delta": delta, "finish_reason": "stop"})
    return chunk.model_copy(update={"choices": [choice]})
