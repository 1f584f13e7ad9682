"""The agents of a project, as they hang together: by hand-offs, and as each other's tools."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from agents import Agent, FunctionTool, Handoff, Model, RunConfig
from chatkit.types import ThreadMetadata, UserMessageItem

ANSWERED_LAST = "agent"
"""Where a thread's metadata has the name of the agent that goes on with it."""


BEGAN_WITH = "began"
"""Where it has, for its newest messages, which agent began to answer each: Retry begins with it."""
MOST_MESSAGES = 50


class WrongAgent(Exception):
    """An agent is set up wrongly, or cannot have what it is given. The text says why."""


def answering(agent: Agent[Any]) -> list[Agent[Any]]:
    """The agents that may answer the user: this one, and those it hands over to, however far."""
    return _reached(agent, handed_to)


def agents_of(agent: Agent[Any]) -> list[Agent[Any]]:
    """The agents that belong to this one: those that may answer, and those that are tools."""
    return _reached(agent, lambda each: [*handed_to(each), *_as_tools(each)])


def named(agent: Agent[Any], name: str | None) -> Agent[Any]:
    """The agent of this name among those that may answer; the given one if there is none."""
    return next((each for each in answering(agent) if each.name == name), agent)


def give_way_back(agent: Agent[Any]) -> None:
    """Let each agent that this one hands over to hand back, be it by way of others.

    A conversation that was handed over goes on with the agent that has it, and would never leave
    it otherwise.
    """
    for each in answering(agent):
        if all(other.name != agent.name for other in answering(each)):
            each.handoffs = [*each.handoffs, agent]


def remember_agent(thread: ThreadMetadata, agent: Agent[Any], first: Agent[Any]) -> None:
    """Note in the thread which agent goes on with it, unless that is the first one.

    One that was chosen for a message, and to which no other hands over, does not.
    """
    if agent.name == first.name:
        thread.metadata.pop(ANSWERED_LAST, None)
    elif named(first, agent.name) is not first:
        thread.metadata[ANSWERED_LAST] = agent.name


def goes_on_with(
    thread: ThreadMetadata, message: UserMessageItem | None, first: Agent[Any]
) -> Agent[Any]:
    """The agent that answers next: for a message that is answered again, the one that began to."""
    began = thread.metadata.get(BEGAN_WITH, {}).get(message.id) if message else None
    return named(first, began or thread.metadata.get(ANSWERED_LAST))


def remember_beginning(
    thread: ThreadMetadata, message: UserMessageItem, agent: Agent[Any], first: Agent[Any]
) -> None:
    """Note in the thread which agent begins to answer the message, if there are several."""
    if len(answering(first)) > 1:
        began = {**thread.metadata.get(BEGAN_WITH, {}), message.id: agent.name}
        thread.metadata[BEGAN_WITH] = dict(list(began.items())[-MOST_MESSAGES:])


def guarded(agent: Agent[Any], first: Agent[Any], config: RunConfig) -> RunConfig:
    """The configuration, in which the guardrails of the first agent are for every message.

    The Agents SDK has them before the agent that a run begins with, and a run may begin with one
    that the thread was handed over to.
    """
    others = [each.name for each in answering(first)][1:]
    if agent.name == first.name or agent.name not in others:
        return config
    theirs = [*agent.input_guardrails, *(config.input_guardrails or [])]
    missing = [each for each in first.input_guardrails if each not in theirs]
    both = [*(config.input_guardrails or []), *missing]
    return replace(config, input_guardrails=both)


def handed_to(agent: Agent[Any]) -> list[Agent[Any]]:
    """The agents that this one hands over to itself."""
    found: list[Agent[Any]] = []
    for each in agent.handoffs:
        # The SDK knows no other way from a Handoff to its agent, before it is handed over to.
        target = each._agent_ref and each._agent_ref() if isinstance(each, Handoff) else each
        if isinstance(target, Agent):
            found.append(target)
    return found


def models_of(agents: Iterable[Agent[Any]]) -> list[str | None]:
    """The models that the agents, and those that belong to them, name; None for who names none."""
    every = [each for agent in agents for each in agents_of(agent)]
    return [each.model for each in every if not isinstance(each.model, Model)]


def _as_tools(agent: Agent[Any]) -> list[Agent[Any]]:
    tools = [each for each in agent.tools if isinstance(each, FunctionTool)]
    return [tool._agent_instance for tool in tools if isinstance(tool._agent_instance, Agent)]


def _reached(
    agent: Agent[Any], steps: Callable[[Agent[Any]], list[Agent[Any]]]
) -> list[Agent[Any]]:
    """The agent, and what the steps lead to from it, each once."""
    found = [agent]
    for each in found:
        found += [step for step in steps(each) if not any(step is known for known in found)]
    return found
