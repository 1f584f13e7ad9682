"""The turns under way: a task of its own for each answer, and one writer for each thread."""

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

from chatkit.store import NotFoundError
from chatkit.types import ThreadMetadata

from core.context import RequestContext
from core.errors import Refused, ThreadBusy
from core.sentences import Sentence
from core.stores.locks import Locks

STOP_SECONDS = 5.0
"""How long a stopped run may take to save what was said before its task is cancelled."""
HANDLER_SECONDS = 1.0
"""The same for what does not look at `stop`: an action's handler, or a `respond` of one's own."""
BUSY_SECONDS = STOP_SECONDS + 2
"""How long a message waits for the answer before it in the same thread, which may be stopped."""


@dataclass(eq=False)
class Turn:
    """One answer, from the request to the end of its stream."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client has left or pressed Stop: the run ends and keeps what was said."""
    thread: ThreadMetadata | None = None
    """The thread that the turn holds, so that a rename reaches it while it is answered."""
    chunks: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    """What is to be sent; None is the end."""
    task: asyncio.Task[None] | None = None
    """What fills `chunks`: it outlives the client's leaving, so that what was said is kept."""
    patience: float = HANDLER_SECONDS
    """Seconds that it may take to end by itself, once it is stopped, before it is cancelled. A run
    of the agent, which looks at `stop`, sets it higher."""
    cancelling: bool = False
    """Whether that is on its way. A second time would cancel the saving of what was said."""

    def end(self) -> None:
        """Stop the turn: nobody reads any more, or its thread is deleted. What was said is kept."""
        self.stop.set()
        # Without a task it has not begun to speak: `run` ends it as soon as it does.
        if self.task and not self.task.done() and not self.cancelling:
            self.cancelling = True
            asyncio.get_running_loop().call_later(self.patience, self.task.cancel)


class Turns:
    """Which threads are being answered, and by which turn."""

    def __init__(self, locks: Locks) -> None:
        self.patience = STOP_SECONDS
        """As in Turn: the server says how long its `respond` may take to end by itself."""
        self._locks = locks
        self._of: WeakKeyDictionary[RequestContext, Turn] = WeakKeyDictionary()
        self._deleting: Counter[tuple[str, str]] = Counter()
        self._stopping = False
        self._writing: dict[tuple[str, str], Turn] = {}
        self._tasks: dict[asyncio.Task[None], Turn] = {}
        self._handlers: dict[signal.Signals, Any] = {}

    def of(self, context: RequestContext) -> Turn:
        """The turn that this request makes."""
        return self._of.setdefault(context, Turn(patience=min(self.patience, HANDLER_SECONDS)))

    @asynccontextmanager
    async def writing(self, thread_id: str, context: RequestContext) -> AsyncIterator[None]:
        """Be the thread's one writer.

        Raises ThreadBusy after BUSY_SECONDS of waiting, Refused when the server is about to stop,
        and NotFoundError if the thread is about to be deleted.
        """
        key = context.user_id, thread_id
        async with self._locks.hold(*key, BUSY_SECONDS):
            if self._deleting[key]:
                raise NotFoundError(f"{thread_id} is being deleted")
            if self._stopping:
                raise Refused(
                    Sentence("The server is about to stop. Try again in a moment."),
                    503,
                    **{"Retry-After": "5"},
                )
            self._writing[key] = self.of(context)
            try:
                yield
            finally:
                del self._writing[key]

    @asynccontextmanager
    async def deleting(self, thread_id: str, context: RequestContext) -> AsyncIterator[None]:
        """The same for whoever deletes it: no turn is waited for, under way or waiting itself."""
        key = context.user_id, thread_id
        self._deleting[key] += 1
        try:
            if turn := self._writing.get(key):
                turn.end()
            async with (
                self._locks.hold(*key, BUSY_SECONDS),
                self.changing(thread_id, context),
            ):
                yield
        finally:
            self._deleting[key] -= 1
            self._deleting += Counter()  # Those of zero go.

    def changing(
        self, thread_id: str, context: RequestContext
    ) -> AbstractAsyncContextManager[None]:
        """Held while a thread is renamed or deleted, lest a rename brings back a deleted one."""
        return self._locks.hold(context.user_id, f"changing {thread_id}", BUSY_SECONDS)

    async def check(self) -> None:
        """Raise StoreError if no turn can begin."""
        with suppress(ThreadBusy):
            async with self._locks.hold("", "ready", 0):
                pass

    def renamed(self, thread_id: str, title: str, context: RequestContext) -> None:
        """Tell the turn under way the thread's new title, lest it saves the old one over it."""
        turn = self._writing.get((context.user_id, thread_id))
        if turn and turn.thread:
            turn.thread.title = title

    def run(self, stream: AsyncGenerator[bytes, None], context: RequestContext) -> Turn:
        """The turn of this request, begun: a task of its own fills its `chunks` from `stream`."""
        turn = self.of(context)
        turn.task = task = asyncio.create_task(_run(stream, turn.chunks))
        self._tasks[task] = turn
        task.add_done_callback(lambda task: self._tasks.pop(task))
        if turn.stop.is_set():
            turn.end()
        return turn

    def start(self) -> None:
        """Stop every turn as soon as the process is told to end.

        Each stream then ends by itself, and what was said is kept; uvicorn would wait for the
        whole answers, or cut them.
        """
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = self._stopping_before(signal.getsignal(number), number)

    def _stopping_before(self, before: Any, number: signal.Signals) -> Any:
        loop = asyncio.get_running_loop()

        def end(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._stop_all)
            if callable(before):
                before(number, frame)

        signal.signal(number, end)
        return before

    def _stop_all(self) -> None:
        self._stopping = True
        for turn in self._tasks.values():
            if self.patience:
                turn.stop.set()
            else:
                turn.end()

    async def close(self) -> None:
        """Stop every turn and wait, within 2 * STOP_SECONDS, until each has saved what was said."""
        for number, before in self._handlers.items():
            signal.signal(number, before)
        self._stop_all()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
            for task in late:
                if not self._tasks[task].cancelling:
                    task.cancel()
            if late:
                # They give their locks back one after another, which may take long.
                await asyncio.wait(late, timeout=STOP_SECONDS)
        await self._locks.close()


async def _run(stream: AsyncGenerator[bytes, None], chunks: asyncio.Queue[bytes | None]) -> None:
    # Not the response's own task: Starlette cancels that one again and again when the client
    # leaves, so that nothing which awaits could be saved in it.
    try:
        async with aclosing(stream):
            async for chunk in stream:
                chunks.put_nowait(chunk)
    finally:
        chunks.put_nowait(None)
