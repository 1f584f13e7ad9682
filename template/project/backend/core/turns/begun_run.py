"""A run of an agent, begun, or gone on with."""

from dataclasses import dataclass
from typing import Any

from agents import (
    Agent,
    RunConfig,
    RunErrorHandlers,
    RunHooks,
    Runner,
    RunResultStreaming,
    RunState,
    TResponseInputItem,
    UserError,
)
from chatkit.agents import AgentContext

from core.context import RequestContext
from core.turns.agents import answering
from core.turns.begun_calls import BegunCalls
from core.turns.failed_tools import log_failed_tools
from core.turns.failures import failed_run
from core.turns.final_output import end_in_words, let_last_words_come, refusal
from core.turns.paused_run import PausedState

log_failed_tools()


@dataclass(frozen=True)
class BegunRun:
    """A run of an agent, and the calls of its tools."""

    result: RunResultStreaming
    calls: BegunCalls


def begin_run(
    agent: Agent[Any],
    given: list[TResponseInputItem] | PausedState,
    context: AgentContext[RequestContext],
    config: RunConfig,
    hooks: RunHooks[AgentContext[RequestContext]] | None,
    max_turns: int,
) -> BegunRun:
    """Begin to run the agent with the model's input, or go on with a run that was paused.

    Raises CustomStreamError where the Agents SDK cannot make a run of this agent. It has asked
    nobody by then.
    """
    for each in answering(agent):
        end_in_words(each)
    calls = BegunCalls(hooks)
    try:
        result = Runner.run_streamed(
            agent,
            given,
            context=None if isinstance(given, RunState) else context,
            max_turns=max_turns,
            hooks=calls,
            error_handlers=RunErrorHandlers(
                model_refusal=refusal, invalid_final_output=let_last_words_come
            ),
            run_config=config,
        )
        return BegunRun(result, calls)
    except Exception as error:
        wrong = UserError(f"The agent {agent.name} cannot be run: {error}")
        wrong.__cause__ = error
        raise failed_run(wrong, context.request_context, begun=False, api_key=None) from None
