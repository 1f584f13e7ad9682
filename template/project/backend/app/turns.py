"""The turns under way: a task of its own for each answer, and one writer for each thread."""

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from types import FrameType
from weakref import WeakValueDictionary

from chatkit.store import NotFoundError
from chatkit.types import ErrorEvent
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.context import RequestContext

log = logging.getLogger("app")

BUSY_SECONDS = 5.0
"""How long a message waits for the answer before it in the same thread."""
KEEP_ALIVE_SECONDS = 15.0
"""Proxies cut a stream that is silent for 60 s and more; a comment keeps it open."""
STOP_SECONDS = 5.0
"""How long a stopped turn may take to save what was said before its task is cancelled."""

# no-transform and X-Accel-Buffering keep proxies from collecting the stream before they pass it on.
STREAM_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


class Busy(Exception):
    """The thread is still being answered."""


class Turns:
    """Which threads are being answered, and by which request."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._changing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._writing: dict[str, tuple[asyncio.Lock, RequestContext]] = {}
        self._tasks: dict[asyncio.Task[None], RequestContext] = {}

    async def begin(self, thread_id: str, context: RequestContext) -> None:
        """Become the thread's one writer. Raises Busy after BUSY_SECONDS of waiting."""
        lock = self._locks.setdefault(thread_id, asyncio.Lock())
        try:
            await asyncio.wait_for(lock.acquire(), BUSY_SECONDS)
        except asyncio.TimeoutError:
            raise Busy from None
        self._writing[thread_id] = (lock, context)

    def end(self, thread_id: str) -> None:
        """Let the next writer in."""
        lock, _ = self._writing.pop(thread_id)
        lock.release()

    def changing(self, thread_id: str) -> asyncio.Lock:
        """Held while a thread is renamed or deleted, lest a rename brings back a deleted one."""
        return self._changing.setdefault(thread_id, asyncio.Lock())

    def stop(self, thread_id: str) -> None:
        """End the turn under way in this thread, if there is one."""
        if thread_id in self._writing:
            self._writing[thread_id][1].stop.set()

    def renamed(self, thread_id: str, title: str) -> None:
        """Tell the turn under way the thread's new title, lest it saves the old one over it."""
        held = self._writing.get(thread_id)
        if held and held[1].thread:
            held[1].thread.title = title

    def answer(self, stream: AsyncGenerator[bytes, None], context: RequestContext) -> "EventStream":
        """Run `stream` in a task that outlives the client's leaving; the response reads it."""
        chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        task = asyncio.create_task(_run(stream, chunks, context))
        self._tasks[task] = context
        task.add_done_callback(lambda task: self._tasks.pop(task))
        return EventStream(chunks, task, context)

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """Stop every turn as soon as the process is told to end.

        Each stream then ends by itself, and what was said is kept; uvicorn would wait for the
        whole answers, or cut them.
        """
        loop = asyncio.get_running_loop()
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def end(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._stop_all)
            if callable(handler := before[signal.Signals(number)]):
                handler(number, frame)

        for number in before:
            signal.signal(number, end)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop_all(self) -> None:
        for context in self._tasks.values():
            context.stop.set()

    async def close(self) -> None:
        """Stop every turn and wait, within STOP_SECONDS, until each has saved what was said."""
        self._stop_all()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


class EventStream(StreamingResponse):
    """Server-sent events out of a turn's queue. Whoever stops reading stops the turn."""

    def __init__(
        self,
        chunks: asyncio.Queue[bytes | None],
        task: asyncio.Task[None],
        context: RequestContext,
    ) -> None:
        super().__init__(_read(chunks), media_type="text/event-stream", headers=STREAM_HEADERS)
        self._task = task
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if not self._task.done():
                self._context.stop.set()
                asyncio.get_running_loop().call_later(STOP_SECONDS, self._task.cancel)


async def _run(
    stream: AsyncGenerator[bytes, None],
    chunks: asyncio.Queue[bytes | None],
    context: RequestContext,
) -> None:
    # Not the response's own task: Starlette cancels that one again and again when the client
    # leaves, so that nothing which awaits could be saved in it.
    try:
        async with aclosing(stream):
            async for chunk in stream:
                chunks.put_nowait(chunk)
    except NotFoundError:
        chunks.put_nowait(error_chunk("This conversation was deleted.", context))
    except Exception:
        log.exception("request %s: the turn failed", context.request_id)
        chunks.put_nowait(error_chunk("Something went wrong on the server.", context, retry=True))
    finally:
        chunks.put_nowait(None)


async def _read(chunks: asyncio.Queue[bytes | None]) -> AsyncIterator[bytes]:
    while True:
        try:
            chunk = await asyncio.wait_for(chunks.get(), KEEP_ALIVE_SECONDS)
        except asyncio.TimeoutError:
            yield b": keep-alive\n\n"
            continue
        # What is already waiting leaves in one write.
        waiting = bytearray()
        while chunk is not None:
            waiting += chunk
            if chunks.empty():
                break
            chunk = chunks.get_nowait()
        if waiting:
            yield bytes(waiting)
        if chunk is None:
            return


def with_request_id(sentence: str, context: RequestContext) -> str:
    """The sentence as a person reads it, with the id under which the log has the cause."""
    return f"{sentence} (Request {context.request_id})"


def error_chunk(sentence: str, context: RequestContext, *, retry: bool = False) -> bytes:
    event = ErrorEvent(message=with_request_id(sentence, context), allow_retry=retry)
    return b"data: " + event.model_dump_json(exclude_none=True).encode() + b"\n\n"
