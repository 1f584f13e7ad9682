"""An MCP server that is kept open: it is opened anew when it is lost."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import anyio
from agents import UserError
from agents.mcp import MCPServer
from mcp import ClientSession
from mcp.shared.exceptions import MCPError
from mcp.types import CONNECTION_CLOSED, REQUEST_TIMEOUT, CallToolResult, Tool

from core.own_code import kind_of, members_of

T = TypeVar("T")
log = logging.getLogger("app")

CONNECT_SECONDS = 15.0
"""How long a server may take to be opened, and how long a run waits for that."""
LIST_SECONDS = 15.0
"""How long a server may take to tell its tools."""
CLOSE_SECONDS = 5.0
"""How long a server may take to close. The SDK kills a process that takes 4."""
CHECK_SECONDS = 30.0
"""How often a server is asked whether it is still there."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between two tries to open a server; each pause is twice the last."""

MADE_NAMES = ("stdio: ", "sse: ", "streamable_http: ")
"""So begin the names that the SDK makes of a command or an address, which are not for everyone."""


class ServerAway(UserError):
    """An MCP server does not answer. The text is for everyone, also for the model.

    It is a UserError because the SDK hands those on as they are.
    """

    def __init__(self, server: MCPServer) -> None:
        self.name = given_name(server)
        which = f"The MCP server {self.name}" if self.name else "An MCP server"
        super().__init__(f"{which} does not answer.")


class KeptServer:
    """An MCP server that is kept open by a task of its own.

    One task, because what MCP's clients open has to be closed by the task that opened it.
    """

    def __init__(self, server: MCPServer, on_open: Callable[[], None]) -> None:
        self.server = server
        self.always = False
        """Whether it is an agent's of the project, and is kept open without a turn."""
        self.turns = 0
        self.idle: asyncio.TimerHandle | None = None
        self.tools: list[str] = []
        """The names of its tools, as far as they are the same for every run."""
        self.cause: str | None = "still opening"
        """Why it does not answer, for everyone; None while it does."""
        self._on_open = on_open
        self._ours = False
        self._calls = 0
        # Set for the task to look at once: whether the server is there, or is there again.
        self._look = asyncio.Event()
        # Done when it has looked.
        self._looked = asyncio.get_running_loop().create_future()
        self._list, self._call = server.list_tools, server.call_tool
        # Who asks the server, the SDK or the project's own code, asks it by way of these.
        server.list_tools = self.list_tools  # type: ignore[method-assign]
        server.call_tool = self.call_tool  # type: ignore[method-assign]
        self.task = asyncio.create_task(self._keep_open())

    def end(self) -> None:
        """Close it, if it was opened here."""
        self.task.cancel()

    async def list_tools(self, *args: Any, **options: Any) -> list[Tool]:
        """The server's tools. Raises ServerAway if it cannot be reached, also not anew."""
        await self._open()
        try:
            return await bounded(self._list(*args, **options))
        except Exception as error:
            # It may have been started anew, and not know the session any more.
            self._doubt(error)
        await self._open()
        return await bounded(self._list(*args, **options))

    async def call_tool(self, tool_name: str, *args: Any, **options: Any) -> CallToolResult:
        """What the tool says. Raises ServerAway if the server does not answer.

        It never asks twice: whether a call that was lost has had its effect, nobody knows.
        """
        await self._open()
        self._calls += 1
        try:
            return await self._call(tool_name, *args, **options)
        except Exception as error:
            line = "MCP server %s: the tool %s failed: %s"
            log.warning(line, log_name(self.server), tool_name, words_of(error))
            if isinstance(error, MCPError) and error.code not in (
                CONNECTION_CLOSED,
                REQUEST_TIMEOUT,
            ):
                # It answers; but an older one that was started anew refuses so, too.
                self._look.set()
                raise
            self._doubt(error)
            if isinstance(error, UserError):
                raise
            raise ServerAway(self.server) from error
        finally:
            self._calls -= 1

    async def _open(self) -> None:
        """Wait until the server is open, if the task has to look. Raises ServerAway."""
        if self.cause:
            self._look.set()
            await asyncio.wait([self._looked], timeout=CONNECT_SECONDS)
        if self.cause:
            raise ServerAway(self.server)

    def _doubt(self, error: Exception) -> None:
        self.cause = f"{kind_of(error)} while open"
        self._look.set()

    async def _keep_open(self) -> None:
        pause = FIRST_PAUSE
        try:
            while True:
                stage = "while opening"
                try:
                    await self._connect()
                    pause, stage = 0.0, "while open"
                    log.info("MCP server %s is open", log_name(self.server))
                    while True:
                        self._settle(None)
                        await self._wait(CHECK_SECONDS)
                        await self._check()
                except Exception as error:
                    self.cause = f"{kind_of(error)} {stage}"
                    line = "MCP server %s failed %s, and is opened anew: %s"
                    log.warning(line, log_name(self.server), stage, self._words_of(error))
                    await self._close()
                    # One that is lost is opened anew before anybody is told.
                    if pause:
                        self._settle(self.cause)
                await self._wait(pause)
                pause = min(max(2 * pause, FIRST_PAUSE), LONGEST_PAUSE)
        finally:
            self._settle("closed")
            for name in ("list_tools", "call_tool"):
                vars(self.server).pop(name, None)
            if self._ours:
                await self._close()

    async def _connect(self) -> None:
        if getattr(self.server, "session", None) is None:
            self._ours = True
            with anyio.fail_after(CONNECT_SECONDS):
                await self.server.connect()  # type: ignore[no-untyped-call]
        if forget := getattr(self.server, "invalidate_tools_cache", None):
            forget()
        await self._check()
        self._on_open()

    async def _check(self) -> None:
        """Ask for the tools, past the cache. Raises what the server is lost of."""
        session: ClientSession | None = getattr(self.server, "session", None)
        try:
            if session is None:
                tools = await bounded(self._list())
            else:
                tools = (await bounded(session.list_tools())).tools
        except Exception as error:
            # It is at work on a call, which would be lost.
            if not (self._calls and is_late(error)):
                raise
        else:
            self.tools = filtered([tool.name for tool in tools], self.server)

    async def _close(self) -> None:
        try:
            with anyio.fail_after(CLOSE_SECONDS):
                await self.server.cleanup()  # type: ignore[no-untyped-call]
        except Exception as error:
            line = "MCP server %s failed as it closed: %s"
            log.warning(line, log_name(self.server), words_of(error))

    def _words_of(self, error: Exception) -> str:
        """What failed, with the command that there is not: its error may name none."""
        command = getattr(getattr(self.server, "params", None), "command", "")
        if isinstance(error, FileNotFoundError) and command not in str(error):
            return f"{words_of(error)}: {command}"
        return words_of(error)

    async def _wait(self, seconds: float) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._look.wait(), seconds)

    def _settle(self, cause: str | None) -> None:
        """Tell those who wait what there is to know now."""
        self.cause = cause
        self._look.clear()
        looked, self._looked = self._looked, asyncio.get_running_loop().create_future()
        looked.set_result(None)


def filtered(names: list[str], server: MCPServer) -> list[str]:
    """Those of the tools that the server's `tool_filter` lets through; none if it is a function."""
    match getattr(server, "tool_filter", None):
        case None:
            return names
        case dict() as rules:
            allowed = rules.get("allowed_tool_names", names)
            blocked = rules.get("blocked_tool_names", ())
            return [name for name in names if name in allowed and name not in blocked]
        case _:
            return []


async def bounded(asking: Awaitable[T]) -> T:
    """What is asked for. Raises TimeoutError when it takes longer than LIST_SECONDS."""
    with anyio.fail_after(LIST_SECONDS):
        return await asking


def is_late(error: Exception) -> bool:
    """Whether the server has not answered in time."""
    if isinstance(error, MCPError):
        return error.code == REQUEST_TIMEOUT
    return isinstance(error, TimeoutError)


def words_of(error: BaseException) -> str:
    """What failed, for the log. The words are the project's own server's, or the SDK's."""
    if members := members_of(error):
        return "; ".join(words_of(each) for each in members)
    return ": ".join(filter(None, (type(error).__name__, str(error))))


def log_name(server: MCPServer) -> str:
    """The server's name without what may be secret in the address of which the SDK has made it."""
    return re.sub(r"//[^/@]*@", "//", server.name.partition("?")[0])


def given_name(server: MCPServer) -> str | None:
    """The name that the project gave to the server, which everyone may know."""
    return None if server.name.startswith(MADE_NAMES) else server.name
