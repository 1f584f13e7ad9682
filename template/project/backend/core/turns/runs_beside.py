"""Runs beside the answer, as in a guardrail or a tool: they have what the answer has."""

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from agents import (
    Agent,
    ModelProvider,
    MultiProvider,
    RunConfig,
    RunResult,
    RunResultStreaming,
    TResponseInputItem,
)
from agents.run import AgentRunner, RunState, set_default_agent_runner

from core.turns.agents import agents_of
from core.turns.mcp import McpServers


@dataclass(eq=False)
class RunsBeside:
    """What runs beside the answers of a server have of it: its models, and open MCP servers."""

    models: ModelProvider
    mcp_servers: McpServers
    loop: asyncio.AbstractEventLoop | None = None
    """Where the server runs: MCP servers are opened there only."""

    def having(self, models: ModelProvider) -> "RunsBeside":
        """The same with other models."""
        return replace(self, models=models)

    def for_this_turn(self) -> None:
        """Let what runs from here on, and what that begins, have them."""
        _of_turn.set(self)


_of_turn: ContextVar[RunsBeside | None] = ContextVar("runs_beside", default=None)
_of_process: list[RunsBeside] = []


def add_runs_beside(beside: RunsBeside) -> None:
    """Let runs outside of a turn have them, such as those of a route of one's own.

    Of several servers in a process the one that started last counts.
    """
    beside.loop = asyncio.get_running_loop()
    set_default_agent_runner(ProjectRunner())
    _of_process.append(beside)


def remove_runs_beside(beside: RunsBeside) -> None:
    """Undo add_runs_beside."""
    if beside in _of_process:
        _of_process.remove(beside)


class ProjectRunner(AgentRunner):
    """Runs agents as the Agents SDK does, with the project's models where it would take OpenAI's.

    The SDK would ask api.openai.com, past MODEL_BASE_URL, or fail for want of a key:
    https://github.com/openai/openai-agents-python/blob/main/src/agents/models/multi_provider.py
    """

    async def run(
        self,
        starting_agent: Agent[Any],
        input: str | list[TResponseInputItem] | RunState[Any],
        **kwargs: Any,
    ) -> RunResult:
        kwargs["run_config"] = run_config_beside(starting_agent, kwargs.get("run_config"))
        return await super().run(starting_agent, input, **kwargs)

    def run_sync(
        self,
        starting_agent: Agent[Any],
        input: str | list[TResponseInputItem] | RunState[Any],
        **kwargs: Any,
    ) -> RunResult:
        kwargs["run_config"] = run_config_beside(starting_agent, kwargs.get("run_config"))
        return super().run_sync(starting_agent, input, **kwargs)

    def run_streamed(
        self,
        starting_agent: Agent[Any],
        input: str | list[TResponseInputItem] | RunState[Any],
        **kwargs: Any,
    ) -> RunResultStreaming:
        kwargs["run_config"] = run_config_beside(starting_agent, kwargs.get("run_config"))
        return super().run_streamed(starting_agent, input, **kwargs)


def run_config_beside(
    agent: Agent[Any], config: RunConfig | dict[str, Any] | None
) -> RunConfig | dict[str, Any] | None:
    """The configuration of a run, with the project's models if it names no provider.

    The agents' MCP servers are opened.
    """
    beside = _of_turn.get() or next(reversed(_of_process), None)
    if beside is None:
        return config
    if asyncio._get_running_loop() is beside.loop:
        beside.mcp_servers.keep(agents_of(agent))
    match config:
        case None:
            return RunConfig(model_provider=beside.models)
        case dict():
            return {"model_provider": beside.models, **config}
        case _:
            return having_models(config, beside.models)


def having_models(config: RunConfig, models: ModelProvider) -> RunConfig:
    """The configuration, with these models if it names no provider."""
    match config.model_provider:
        case MultiProvider() as provider if is_untouched(provider):
            return replace(config, model_provider=models)
        case _:
            return config


def is_untouched(provider: MultiProvider) -> bool:
    """Whether this is what RunConfig takes when it is given none, and not somebody's own."""
    given, plain = provider.openai_provider, MultiProvider().openai_provider
    names = ("_client", "_stored_api_key", "_stored_base_url", "_stored_organization")
    return (
        type(provider) is MultiProvider
        and provider.provider_map is None
        and all(getattr(given, name, None) == getattr(plain, name, None) for name in names)
    )
