"""Runs beside the answer, as in a guardrail or a tool: they have the project's models, too."""

from contextvars import ContextVar
from dataclasses import replace
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

_of_turn: ContextVar[ModelProvider | None] = ContextVar("models", default=None)
_of_process: list[ModelProvider] = []


def models_for_runs(models: ModelProvider) -> None:
    """Let what runs from here on have these models, unless it names a provider itself.

    It counts for the turn, and for what that begins.
    """
    _of_turn.set(models)


def add_models(models: ModelProvider) -> None:
    """Let runs outside of a turn have these models, such as those of a route of one's own.

    Of several servers in a process the one that started last counts.
    """
    set_default_agent_runner(ProjectRunner())
    _of_process.append(models)


def remove_models(models: ModelProvider) -> None:
    """Undo add_models."""
    if models in _of_process:
        _of_process.remove(models)


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
        kwargs["run_config"] = with_models(kwargs.get("run_config"))
        return await super().run(starting_agent, input, **kwargs)

    def run_sync(
        self,
        starting_agent: Agent[Any],
        input: str | list[TResponseInputItem] | RunState[Any],
        **kwargs: Any,
    ) -> RunResult:
        kwargs["run_config"] = with_models(kwargs.get("run_config"))
        return super().run_sync(starting_agent, input, **kwargs)

    def run_streamed(
        self,
        starting_agent: Agent[Any],
        input: str | list[TResponseInputItem] | RunState[Any],
        **kwargs: Any,
    ) -> RunResultStreaming:
        kwargs["run_config"] = with_models(kwargs.get("run_config"))
        return super().run_streamed(starting_agent, input, **kwargs)


def with_models(config: RunConfig | dict[str, Any] | None) -> RunConfig | dict[str, Any] | None:
    """The configuration of a run, with the project's models if it names no provider."""
    models = _of_turn.get() or next(reversed(_of_process), None)
    match config:
        case _ if models is None:
            return config
        case None:
            return RunConfig(model_provider=models)
        case dict():
            return {"model_provider": models, **config}
        case _:
            return having_models(config, models)


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
