"""What app/resources.py opens: once, in the background, and closed again at the end."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from core.errors import Refused
from core.own_code import kind_of
from core.sentences import Sentence
from core.settings import give_up

log = logging.getLogger("app")

WAIT_SECONDS = 10.0
"""How long a request waits for resources that are still being opened."""
CLOSE_SECONDS = 10.0
"""How long closing may take before the server ends without it."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between two tries to open what could not be opened; each pause is twice the last."""

Opener = Callable[[], AbstractAsyncContextManager[Any]]


class NotReady(Exception):
    """Raised in app/resources.py: /ready shows its text, so it must hold no secret."""


@asynccontextmanager
async def nothing() -> AsyncIterator[None]:
    """The resources of a project that has none."""
    yield None


class Resources:
    """Opens an async context manager in a task of its own, which also closes it.

    One task, because what MCP's clients open has to be closed by the task that opened it. What
    cannot be opened is tried again; meanwhile the server answers /health, and says on /ready what
    failed.
    """

    def __init__(self, opener: Opener = nothing) -> None:
        """Ends the program with a sentence for a function that opens nothing by itself."""
        if inspect.isasyncgenfunction(opener):
            give_up(f"app/resources.py: {opener.__name__} needs @asynccontextmanager above it.")
        self.inside: Opener = nothing
        """Opened after it, and closed before it: what may hang on what it has opened."""
        self._opener = opener
        self._task: asyncio.Task[None] | None = None
        # Set while `_value` is what was opened.
        self._opened = asyncio.Event()
        # Tells the task to close what it has opened.
        self._end = asyncio.Event()
        self._closing = False
        self._failure: str | None = None
        self._value: Any = None

    def start(self) -> None:
        """Begin to open. Needs a running event loop; does nothing the second time."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep_open())

    async def close(self) -> None:
        """Close what was opened, and wait for it, within CLOSE_SECONDS."""
        self._closing = True
        self._end.set()
        if self._task is None:
            return
        if not self._opened.is_set():
            self._task.cancel()
        _, late = await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
        if late:
            log.error("app/resources.py takes more than %.0f s to close: given up", CLOSE_SECONDS)
            self._task.cancel()

    async def get(self) -> Any:
        """What was opened. Raises Refused with 503 if that takes longer than WAIT_SECONDS."""
        if not self._opened.is_set():
            self.start()
            waiting = WAIT_SECONDS if self._failure is None else 0
            try:
                await asyncio.wait_for(self._opened.wait(), waiting)
            except asyncio.TimeoutError:
                raise Refused(
                    Sentence(
                        "Something that this server needs cannot be reached now. Its log and "
                        "/ready say what. Try again in a moment."
                    ),
                    503,
                    **{"Retry-After": "5"},
                ) from None
        return self._value

    @property
    def value(self) -> Any:
        """What was opened, or None while that is not so."""
        return self._value if self._opened.is_set() else None

    def not_ready(self) -> str | None:
        """What could not be opened, or None."""
        if self._opened.is_set():
            return None
        return f"resources: {self._failure or 'still opening'}"

    async def _keep_open(self) -> None:
        pause = FIRST_PAUSE
        while True:
            stage = "while opening"
            try:
                async with self._opener() as value, self.inside():
                    self._value = value
                    self._failure = None
                    self._opened.set()
                    pause, stage = FIRST_PAUSE, "while open"
                    await self._end.wait()
                return
            except asyncio.CancelledError:
                self._opened.clear()
                self._failure = f"cancelled {stage}"
                if not self._closing:
                    log.error("app/resources.py was cancelled %s, and is not tried again", stage)
                raise
            # SystemExit too: a wrong setting that it loads must not end a server that serves.
            except (Exception, SystemExit) as error:
                if self._closing:
                    log.exception("app/resources.py failed as it closed")
                    return
                # What was open may end by itself, as an MCP server's session does.
                self._opened.clear()
                # The log has it all; /ready is for everyone, and an error's words may be secret.
                known = isinstance(error, NotReady)
                self._failure = str(error) if known else f"{kind_of(error)} {stage}"
                line = "app/resources.py failed %s, and is tried again in %.0f s"
                log.error(line, stage, pause, exc_info=error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
