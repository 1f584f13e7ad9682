"""A turn as a stream of server-sent events."""

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from core.turns.running import Turn

KEEP_ALIVE_SECONDS = 15.0
"""Proxies cut a stream that is silent for 60 s and more; a comment keeps it open."""
# no-transform and X-Accel-Buffering keep proxies from collecting the stream before they pass it on.
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


class EventStream(StreamingResponse):
    """Sends what a turn says. Whoever stops reading stops the turn."""

    def __init__(self, turn: Turn) -> None:
        super().__init__(read(turn), media_type="text/event-stream", headers=HEADERS)
        self._turn = turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._turn.end()


async def read(turn: Turn) -> AsyncIterator[bytes]:
    """The turn's chunks: all that wait in one write, and comments while there are none."""
    while True:
        try:
            chunk = await asyncio.wait_for(turn.chunks.get(), KEEP_ALIVE_SECONDS)
        except asyncio.TimeoutError:
            yield b": keep-alive\n\n"
            continue
        waiting = bytearray()
        while chunk is not None:
            waiting += chunk
            if turn.chunks.empty():
                break
            chunk = turn.chunks.get_nowait()
        if waiting:
            yield bytes(waiting)
        if chunk is None:
            return
