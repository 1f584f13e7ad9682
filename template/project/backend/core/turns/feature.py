"""Tools, widget actions and first messages that belong together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agents import Agent, StopAtTools, Tool

from core.settings import give_up
from core.turns.widget_actions import Actions


class WrongAgent(Exception):
    """An agent cannot have what it is given. The text says why."""


@dataclass(frozen=True)
class Feature:
    """What the agent can do besides, in one piece: app/wiring.py hands features to the server."""

    tools: Sequence[Tool] = ()
    """They run here."""
    client_tools: Sequence[Tool] = ()
    """A run stops at these, and goes on with what the browser answers."""
    actions: Actions = field(default_factory=dict)
    """What the buttons and forms of its widgets do, by the actions' types."""
    starters: Sequence[str] = ()
    """First messages that the chat page offers."""


def equip(agent: Agent[Any], features: Sequence[Feature]) -> Agent[Any]:
    """The agent with the features' tools; client tools that it has already stay such.

    Raises WrongAgent where the agent's runs end at tools in another way.
    """
    client_tools = [tool.name for feature in features for tool in feature.client_tools]
    stops = agent.tool_use_behavior
    if isinstance(stops, dict):
        client_tools += stops["stop_at_tool_names"]
    elif client_tools and stops != "run_llm_again":
        raise WrongAgent(
            f"The agent {agent.name}: with client tools, tool_use_behavior has to be StopAtTools."
        )
    tools = list(agent.tools)
    for feature in features:
        tools += [tool for tool in feature.tools if tool not in tools]
        tools += [tool for tool in feature.client_tools if tool not in tools]
    if client_tools:
        stops = StopAtTools(stop_at_tool_names=client_tools)
    # The SDK checks each clone anew, so there is one, and none where nothing is added.
    return agent.clone(tools=tools, tool_use_behavior=stops) if features else agent


def actions_of(features: Sequence[Feature]) -> Actions:
    """The features' actions. Ends the program with a sentence where two have the same type."""
    found: dict[str, Any] = {}
    for feature in features:
        if both := set(found) & set(feature.actions):
            give_up(f"Two features have an action of the type {min(both)}.")
        found |= feature.actions
    return found
