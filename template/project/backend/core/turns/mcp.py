"""The MCP servers of the agents, each kept open by itself as long as they are needed."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from agents import Agent
from agents.mcp import MCPServer

from core.turns.agents import WrongAgent
from core.turns.kept_mcp_server import CLOSE_SECONDS, KeptServer, given_name

log = logging.getLogger("app")

IDLE_SECONDS = 300.0
"""How long one that only `agent_for` has brought is kept open after the last turn with it."""


class McpServers:
    """Keeps the MCP servers of agents open, each in a task of its own.

    One that is away is in the way of those runs alone that ask it. One that is open already, since
    app/resources.py has opened it, is only opened anew when it is lost.
    """

    def __init__(self) -> None:
        self._agents: list[Agent[Any]] = []
        self._kept: dict[MCPServer, KeptServer] = {}
        self._told: set[str] = set()

    @asynccontextmanager
    async def open(self, agents: Iterable[Agent[Any]]) -> AsyncIterator[None]:
        """Keep the servers of these agents open, all the while. Does not wait for them."""
        self._agents = list(agents)
        for server in servers_of(self._agents):
            self._keep(server).always = True
        try:
            yield
        finally:
            kept, self._kept = list(self._kept.values()), {}
            for each in kept:
                each.end()
            if kept:
                await asyncio.wait([each.task for each in kept], timeout=CLOSE_SECONDS + 1)

    def keep(self, agents: Iterable[Agent[Any]]) -> list[KeptServer]:
        """Keep the servers of these agents open, too: for IDLE_SECONDS, if only a turn has them."""
        kept = [self._keep(server) for server in servers_of(agents)]
        for each in kept:
            self._end_if_idle(each)
        return kept

    @asynccontextmanager
    async def using(self, agents: Iterable[Agent[Any]]) -> AsyncIterator[None]:
        """Keep the servers of a turn's agents open at least as long as that."""
        used = self.keep(agents)
        for each in used:
            each.turns += 1
        try:
            yield
        finally:
            for each in used:
                each.turns -= 1
                self._end_if_idle(each)

    def not_ready(self) -> str | None:
        """Which server is away, or which agent cannot answer with those that it has, or None."""
        for server, kept in self._kept.items():
            if kept.always and kept.cause:
                name = given_name(server) or server.name.partition(":")[0]
                return f"MCP server {name}: {kept.cause}"
        return next(self._clashes(), None)

    def _keep(self, server: MCPServer) -> KeptServer:
        if server not in self._kept:
            self._kept[server] = KeptServer(server, self._tell_clashes)
        return self._kept[server]

    def _end_if_idle(self, kept: KeptServer) -> None:
        """End it in IDLE_SECONDS, unless it is used again, or always."""
        if kept.idle:
            kept.idle.cancel()
        if not kept.always:
            kept.idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._end, kept)

    def _end(self, kept: KeptServer) -> None:
        if not kept.turns and self._kept.get(kept.server) is kept:
            del self._kept[kept.server]
            kept.end()

    def _clashes(self) -> Iterator[str]:
        """Which agents have two tools of the same name, by one MCP server at least."""
        for agent in self._agents:
            if agent.mcp_config.get("include_server_in_tool_names"):
                continue
            kept = [self._kept[server] for server in agent.mcp_servers if server in self._kept]
            names = Counter(name for each in kept for name in set(each.tools))
            own = {tool.name for tool in agent.tools}
            if shared := sorted(name for name in names if names[name] > 1 or name in own):
                yield (
                    f"The agent {agent.name}: an MCP server's tool {shared[0]} has the name of "
                    'another tool. Set mcp_config={"include_server_in_tool_names": True} on it.'
                )

    def _tell_clashes(self) -> None:
        for clash in self._clashes():
            if clash not in self._told:
                self._told.add(clash)
                log.error("%s", clash)


def check_servers(agents: Iterable[Agent[Any]]) -> None:
    """Raise WrongAgent where something else than MCP servers stands among an agent's."""
    for agent in agents:
        for each in agent.mcp_servers:
            if not isinstance(each, MCPServer):
                raise WrongAgent(
                    f"The agent {agent.name}: mcp_servers holds {type(each).__name__}, which is "
                    "no MCPServer of agents.mcp."
                )


def servers_of(agents: Iterable[Agent[Any]]) -> list[MCPServer]:
    """The agents' MCP servers, each once."""
    return list(dict.fromkeys(server for agent in agents for server in agent.mcp_servers))
